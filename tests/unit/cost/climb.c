// What happens on the way up: sentences that go out, drafts, models that are down, slow, wrong or too dear, the latch
// of a conversation, the escalations of a tenant, audits.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include "../fake_kind.h"
#include "base/clock.h"
#include "cost/kinds.h"
#include "models/policies/attempt.h"
#include "tests.h"

static struct says small, large;
static struct asked it;
static struct tdm_shared *state;

static void start(void) {
	says_init(&small, "small", "It is 41.");
	says_init(&large, "large", "Forty-two");
}

static int make(const char *options) {
	static struct tdm_build build;
	struct tdm_value *map = NULL;
	memset(&it, 0, sizeof it);
	tdm_arena_init(&it.arena, (size_t)64 << 20);
	static struct tdm_model *parts[2];
	static const char *roles[] = {"small", "large"};
	parts[0] = &small.model;
	parts[1] = &large.model;
	build = (struct tdm_build){.arena = &it.arena, .error = &it.error, .name = "it", .where = "test: model it"};
	build.kind = &tdm_kind_cascade;
	build.parts = parts;
	build.part_roles = roles;
	build.n_parts = 2;
	build.state = state;
	void *read = tdm_arena_alloc(&it.arena, tdm_kind_cascade.options_bytes);
	assert_int_equal(tdm_yaml_parse(&it.arena, "test", options, strlen(options), &map, &it.error), TDM_OK);
	int status = tdm_options_read(&it.arena, build.where, map, tdm_kind_cascade.options, tdm_kind_cascade.n_options,
	                              NULL, read, tdm_kind_cascade.options_bytes, &it.error);
	return status ? status : tdm_kind_cascade.create(&build, read, &it.model);
}

static void done(void) {
	if (it.model)
		it.model->ops->destroy(it.model);
	asked_done(&it);
}

static const struct tdm_decision *row(int i) {
	const struct tdm_decision *d = it.run.record->decisions;
	while (d && i-- > 0)
		d = d->next;
	return d;
}

// --- sentences: the small model is unsure between # and the end

static int unsure_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                           struct tdm_sink *sink, struct tdm_result *result) {
	struct says *s = (struct says *)m;
	struct tdm_call call = {.model = m->name, .purpose = "answer", .status = "ok"};
	float logprob = -0.1f;
	int status = TDM_OK;
	s->calls++;
	tdm_record_call(run->record, &call);
	for (const char *at = s->answers[0]; *at && !status; at++) {
		struct tdm_event e = {.text = at, .len = 1, .author = m->name, .token = -1};
		logprob = *at == '#' ? -9 : logprob;
		e.logprob = logprob;
		if (*at != '#')
			status = sink->put(sink, &e);
		result->completion_tokens++;
	}
	result->prompt_tokens = 5;
	if (status < 0)
		return status;
	return s->status ? tdm_fail(&run->error, s->status, "%s fails as told", m->name) : TDM_OK;
}

static void be_unsure(const char *answer) {
	static const struct tdm_model_ops ops = {.generate = unsure_generate};
	start();
	small.model.ops = &ops;
	small.answers[0] = answer;
}

static void sentences_go_out_and_stay(void **unused) {
	be_unsure("It rains. It# pours. Yes.");
	large.answers[0] = " It is wet.";
	assert_int_equal(make("{gate: logprob, threshold: -0.5, hold: sentence}"), TDM_OK);
	assert_string_equal(asked_answer(&it, 1, NULL), "It rains. It is wet.");
	assert_string_equal(large.last_user, "It rains."); // to be continued
	assert_string_equal(row(0)->choice, "escalate");
	assert_string_equal(row(0)->detail, "1 sentences out");
	assert_true(row(0)->score < -0.5);
	assert_string_equal(it.run.record->calls->status, "ok"); // its words are in the answer
	assert_int_equal(it.result.completion_tokens, 9 + 11);
	assert_true(isnan(it.result.mean_logprob));
	done();
}

static void a_sure_answer_streams_whole(void **unused) {
	be_unsure("It rains.\nIt pours! Yes");
	assert_int_equal(make("{gate: least, threshold: -0.5, hold: sentence}"), TDM_OK);
	assert_string_equal(asked_answer(&it, 1, NULL), "It rains.\nIt pours! Yes");
	assert_int_equal(large.calls, 0);
	assert_string_equal(row(0)->detail, "3 sentences out");
	assert_string_equal(row(0)->choice, "keep");
	done();
}

static void an_unsure_first_sentence_leaves_no_word(void **unused) {
	be_unsure("#It rains. It pours.");
	assert_int_equal(make("{gate: logprob, threshold: -0.5, hold: sentence}"), TDM_OK);
	assert_string_equal(asked_answer(&it, 1, NULL), "Forty-two");
	assert_string_equal(large.last_user, "ask me");
	assert_string_equal(it.run.record->calls->status, "discarded");
	done();
}

static void a_model_that_breaks_off_is_continued(void **unused) {
	be_unsure("It rains. It po");
	small.status = TDM_EUPSTREAM;
	large.answers[0] = " Then sun.";
	assert_int_equal(make("{gate: logprob, threshold: -0.5, hold: sentence, otherwise: keep}"), TDM_OK);
	assert_string_equal(asked_answer(&it, 1, NULL), "It rains. Then sun.");
	large.status = TDM_EUPSTREAM; // what went out stays, and its end is an error
	large.answers[0] = "";
	assert_string_equal(asked_answer(&it, 1, NULL), "It rains.");
	assert_int_equal(it.status, TDM_EUPSTREAM);
	done();
}

struct few { // wants a few pieces
	struct tdm_sink sink;
	int n;
};

static int few_put(struct tdm_sink *sink, const struct tdm_event *event) {
	return ++((struct few *)sink)->n == 3 ? TDM_SINK_ENOUGH : TDM_OK;
}

static void who_reads_may_stop_in_a_sentence(void **unused) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "x", .len = 1};
	struct tdm_request request;
	struct few few = {.sink = {few_put, NULL}};
	be_unsure("It rains. It pours.");
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	assert_int_equal(make("{gate: logprob, threshold: -0.5, hold: sentence}"), TDM_OK);
	assert_int_equal(tdm_run_init(&it.run, &it.arena, 1), TDM_OK);
	assert_int_equal(tdm_generate(it.model, &it.run, &request, &few.sink, &it.result), TDM_OK);
	assert_true(few.n == 3 && large.calls == 0);
	done();
}

// --- drafts

static void a_draft_is_handed_over(void **unused) {
	start();
	small.mean_logprob = -2;
	assert_int_equal(make("{gate: logprob, threshold: -0.5, hand_over: yes}"), TDM_OK);
	assert_string_equal(asked_answer(&it, 1, NULL), "Forty-two");
	assert_string_equal(large.last_user, "ask me\n\nA first draft of the answer, which may be wrong:\nIt is 41.");
	small.status = TDM_EUPSTREAM; // half an answer is no draft
	asked_answer(&it, 1, NULL);
	assert_string_equal(large.last_user, "ask me");
	done();
}

// --- the large model is down, slow, too dear

static void a_large_model_that_is_down_is_an_error_or_not(void **unused) {
	start();
	small.mean_logprob = -2;
	large.status = TDM_EUPSTREAM;
	large.answers[0] = "";
	assert_int_equal(make("{gate: logprob, threshold: -0.5}"), TDM_OK);
	assert_string_equal(asked_answer(&it, 1, NULL), "");
	assert_int_equal(it.status, TDM_EUPSTREAM);
	done();
	assert_int_equal(make("{gate: logprob, threshold: -0.5, otherwise: keep}"), TDM_OK);
	assert_string_equal(asked_answer(&it, 1, NULL), "It is 41.");
	assert_int_equal(it.status, TDM_OK);
	assert_string_equal(it.result.served, "small");
	assert_string_equal(row(1)->choice, "keep");
	assert_string_equal(row(1)->signal, "otherwise");
	assert_string_equal(row(1)->detail, "upstream_error");
	assert_string_equal(it.run.record->calls->status, "ok");
	assert_string_equal(it.run.record->warnings->code, "not_escalated");
	large.answers[0] = "Forty"; // once it has spoken nothing takes its place
	assert_string_equal(asked_answer(&it, 1, NULL), "Forty");
	assert_int_equal(it.status, TDM_EUPSTREAM);
	large.answers[0] = "";
	large.status = TDM_EGUARD; // a refusal is not gone around
	assert_string_equal(asked_answer(&it, 1, NULL), "");
	assert_int_equal(it.status, TDM_EGUARD);
	small.status = TDM_EUPSTREAM; // nothing to go back to
	large.status = TDM_EUPTIME;
	assert_string_equal(asked_answer(&it, 1, NULL), "");
	assert_int_equal(it.status, TDM_EUPTIME);
	done();
}

static int slow_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                         struct tdm_sink *sink, struct tdm_result *result) {
	int status = TDM_OK;
	for (int64_t until_us = tdm_now_us() + 3000000; !status && tdm_now_us() < until_us;) {
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		status = tdm_run_check(run);
	}
	return status;
}

static void a_slow_large_model_is_not_waited_for(void **unused) {
	static const struct tdm_model_ops ops = {.generate = slow_generate};
	int64_t begun_us = tdm_now_us();
	start();
	small.mean_logprob = -2;
	large.model.ops = &ops;
	assert_int_equal(make("{gate: logprob, threshold: -0.5, otherwise: keep, wait_ms: 20}"), TDM_OK);
	assert_string_equal(asked_answer(&it, 1, NULL), "It is 41.");
	assert_int_equal(it.status, TDM_OK);
	assert_string_equal(row(1)->detail, "upstream_timeout");
	assert_true(tdm_now_us() - begun_us < 2500000);
	done();
}

static void what_cannot_be_paid_is_not_asked(void **unused) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "x", .len = 1};
	struct tdm_request request;
	struct tdm_collect words;
	start();
	small.mean_logprob = -2;
	large.model.price = (struct tdm_price){.in = 10, .out = 1000};
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	for (int keeps = 0; keeps < 2; keeps++) {
		assert_int_equal(
		    make(keeps ? "{gate: logprob, threshold: -0.5, otherwise: keep}" : "{gate: logprob, threshold: -0.5}"),
		    TDM_OK);
		assert_int_equal(tdm_run_init(&it.run, &it.arena, 1), TDM_OK);
		it.run.objective.max_cost = 0.1; // one answer may cost 0.51
		tdm_collect_init(&words, 1000, NULL, NULL);
		assert_int_equal(tdm_generate(it.model, &it.run, &request, &words.sink, &it.result),
		                 keeps ? TDM_OK : TDM_EOBJECTIVE);
		assert_true(large.calls == 0 && it.run.objective.max_cost == 0.1);
		assert_int_equal(words.text.len, keeps ? 9 : 0);
		tdm_collect_release(&words);
		done();
	}
}

// --- the latch

static void asks(const char *session, const char *expected) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "x", .len = 1};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	tdm_collect_release(&it.collect);
	assert_int_equal(tdm_run_init(&it.run, &it.arena, 1), TDM_OK);
	it.run.objective.session = session;
	tdm_collect_init(&it.collect, 1 << 16, NULL, &it.arena);
	it.status = tdm_generate(it.model, &it.run, &request, &it.collect.sink, &it.result);
	assert_string_equal(it.collect.text.data ? it.collect.text.data : "", expected);
}

static void open_state(void) {
	struct tdm_shared_options o;
	struct tdm_error err = {0};
	tdm_shared_options_init(&o);
	assert_int_equal(tdm_shared_open(&o, &state, &err), TDM_OK);
}

static void close_state(void) {
	tdm_shared_close(state);
	state = NULL;
}

static void a_conversation_stays_with_the_large_model(void **unused) {
	start();
	open_state();
	assert_int_equal(make("{gate: logprob, threshold: -0.5, latch: 2, confirmations: 2}"), TDM_OK);
	small.mean_logprob = -2;
	asks("one", "Forty-two");
	small.mean_logprob = -0.1;
	asks("one", "It is 41."); // one escalation is no habit, and this ends the row
	small.mean_logprob = -2;
	asks("one", "Forty-two");
	asks("one", "Forty-two");
	small.mean_logprob = -0.1;
	asks("one", "Forty-two"); // latched: the first confirmation
	assert_string_equal(row(1)->signal, "latch");
	assert_true(row(1)->score == 1 && row(1)->threshold == 2);
	assert_string_equal(it.run.record->calls->status, "discarded");
	asks("two", "It is 41."); // another conversation
	small.mean_logprob = -2;
	asks("one", "Forty-two"); // not confirmed: from the beginning
	small.mean_logprob = -0.1;
	asks("one", "Forty-two");
	asks("one", "It is 41."); // the second in a row opens the latch
	assert_string_equal(row(1)->choice, "keep");
	asks("one", "It is 41.");
	assert_null(row(1));
	done();
	close_state();
}

static void without_a_session_the_first_words_are_the_conversation(void **unused) {
	start();
	open_state();
	small.mean_logprob = -2;
	assert_int_equal(make("{gate: logprob, threshold: -0.5, latch: 1, confirmations: 2}"), TDM_OK);
	asks(NULL, "Forty-two");
	small.mean_logprob = -0.1;
	asks(NULL, "Forty-two");
	assert_string_equal(asked_answer(&it, 1, NULL), "It is 41."); // begins with other words
	done();
	close_state();
	assert_int_equal(make("{latch: 1}"), TDM_ECONFIG);
	assert_non_null(strstr(it.error.text, "latch and escalations need a shared state"));
	asked_done(&it);
}

// Prompts that no gate accepts spend the escalations of their tenant, and nobody else's; then the small answer is all
// there is, or an error.
static void S83_escalations_of_a_tenant_are_bounded(void **unused) {
	start();
	open_state();
	small.mean_logprob = -9;
	for (int keeps = 0; keeps < 2; keeps++) {
		large.calls = 0;
		char options[160];
		snprintf(options, sizeof options, "{gate: logprob, threshold: -0.5, escalations: 2, window: total%s}",
		         keeps ? ", otherwise: keep" : "");
		assert_int_equal(make(options), TDM_OK);
		for (int i = 0; i < 4; i++)
			asks(NULL, i < 2 && !keeps ? "Forty-two" : keeps ? "It is 41." : "");
		assert_int_equal(it.status, keeps ? TDM_OK : TDM_EQUOTA);
		assert_int_equal(large.calls, keeps ? 0 : 2); // the second cascade has the name of the first, and its count
		assert_string_equal(it.run.record->warnings->code, "escalations_spent");
		done();
	}
	close_state();
}

static void a_certificate_keeps_what_passed_alone(void **unused) {
	static const char *const rows[] = {"{gate: logprob, threshold: -1, certificate: c, otherwise: keep}",
	                                   "{gate: logprob, threshold: -1, certificate: c, hold: sentence}"};
	start();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(make(rows[i]), TDM_ECONFIG);
		assert_non_null(strstr(it.error.text, "a certificate is of whole answers that passed"));
		asked_done(&it);
	}
}

// --- audits

static void S84_audits_find_kept_answers_that_are_wrong(void **unused) {
	int n_audits = 0;
	start();
	assert_int_equal(make("{gate: logprob, threshold: -0.5, audit: 0.25, how: number}"), TDM_OK);
	large.answers[0] = "42";
	for (uint64_t seed = 0; seed < 400; seed++) {
		assert_string_equal(asked_answer(&it, seed, NULL), "It is 41."); // what is served does not change
		const struct tdm_decision *d = row(1);
		if (!d)
			continue;
		n_audits++;
		assert_string_equal(d->signal, "audit");
		assert_string_equal(d->choice, "differs");
		assert_string_equal(it.run.record->calls->next->purpose, "judge");
	}
	assert_true(n_audits > 70 && n_audits < 130);
	assert_int_equal(large.calls, n_audits);
	done();
	assert_int_equal(make("{gate: logprob, threshold: -0.5, audit: 1, how: number}"), TDM_OK);
	large.answers[0] = "41.0";
	asked_answer(&it, 1, NULL);
	assert_string_equal(row(1)->choice, "agrees");
	large.status = TDM_EUPSTREAM;
	assert_string_equal(asked_answer(&it, 1, NULL), "It is 41.");
	assert_true(it.status == TDM_OK && it.run.error.status == TDM_OK);
	assert_string_equal(row(1)->choice, "unknown");
	done();
}

int tdm_test_climb(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sentences_go_out_and_stay),
	    cmocka_unit_test(a_sure_answer_streams_whole),
	    cmocka_unit_test(an_unsure_first_sentence_leaves_no_word),
	    cmocka_unit_test(a_model_that_breaks_off_is_continued),
	    cmocka_unit_test(who_reads_may_stop_in_a_sentence),
	    cmocka_unit_test(a_draft_is_handed_over),
	    cmocka_unit_test(a_large_model_that_is_down_is_an_error_or_not),
	    cmocka_unit_test(a_slow_large_model_is_not_waited_for),
	    cmocka_unit_test(what_cannot_be_paid_is_not_asked),
	    cmocka_unit_test(a_conversation_stays_with_the_large_model),
	    cmocka_unit_test(without_a_session_the_first_words_are_the_conversation),
	    cmocka_unit_test(S83_escalations_of_a_tenant_are_bounded),
	    cmocka_unit_test(a_certificate_keeps_what_passed_alone),
	    cmocka_unit_test(S84_audits_find_kept_answers_that_are_wrong),
	};
	return cmocka_run_group_tests_name("climb", tests, NULL, NULL);
}
