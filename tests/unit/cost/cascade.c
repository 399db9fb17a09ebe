// The decision, what goes out, and what the record says about it.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "../fake_kind.h"
#include "base/file.h"
#include "cost/kinds.h"
#include "models/predict/linear.h"
#include "tests.h"

static struct says small, large;

static int make(struct asked *a, const char *options) {
	static const char *const roles[] = {"small", "large"};
	return asked_make(a, &tdm_kind_cascade, options, 2, (struct tdm_model *[]){&small.model, &large.model}, roles);
}

static void start(void) {
	says_init(&small, "small", "It is 42.");
	says_init(&large, "large", "Forty-two");
}

static void logprob_keeps_at_the_threshold(void **state) {
	struct asked a;
	start();
	small.mean_logprob = -0.25;
	assert_int_equal(make(&a, "{gate: logprob, threshold: -0.25}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), "It is 42.");
	assert_string_equal(a.result.served, "small");
	assert_int_equal(large.calls, 0);
	assert_string_equal(a.run.record->calls->status, "ok");
	const struct tdm_decision *d = a.run.record->decisions;
	assert_string_equal(d->choice, "keep");
	assert_string_equal(d->signal, "logprob");
	assert_string_equal(d->kind, "cascade");
	assert_true(d->score == -0.25 && d->threshold == -0.25 && !d->next);
	asked_done(&a);
}

static void kept_answer_is_replayed_event_by_event(void **state) {
	struct asked a;
	start();
	assert_int_equal(make(&a, "{gate: logprob, threshold: -1}"), TDM_OK);
	asked_answer(&a, 1, NULL);
	assert_int_equal(a.collect.n, strlen("It is 42."));
	assert_int_equal(a.collect.logprobs.n, a.collect.n);
	assert_string_equal(a.collect.author, "small");
	asked_done(&a);
}

static void below_the_threshold_the_large_model_answers(void **state) {
	struct asked a;
	start();
	small.mean_logprob = -0.26;
	assert_int_equal(make(&a, "{gate: logprob, threshold: -0.25}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two");
	assert_string_equal(a.result.served, "large");
	assert_string_equal(a.run.record->calls->status, "discarded");
	assert_string_equal(a.run.record->calls->next->status, "ok");
	assert_string_equal(a.run.record->decisions->choice, "escalate");
	small.mean_logprob = (double)NAN; // unknown is never good enough
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two");
	asked_done(&a);
}

static void agreement_counts_equal_samples(void **state) {
	struct asked a;
	start();
	small.n_answers = 4;
	small.answers[1] = "the answer is 42";
	small.answers[2] = "41";
	small.answers[3] = "42,0";
	small.answers[0] = "It is 42.";
	assert_int_equal(make(&a, "{samples: 3, threshold: 0.6, how: number}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two");
	assert_string_equal(a.run.record->decisions->detail, "1/3");
	small.answers[2] = "42.0";
	assert_string_equal(asked_answer(&a, 1, NULL), "It is 42.");
	const struct tdm_decision *d = a.run.record->decisions;
	assert_string_equal(d->detail, "2/3");
	assert_string_equal(d->signal, "agreement");
	assert_true(fabs(d->score - 2.0 / 3) < 1e-15);
	assert_true(fabs(small.temperature - 0.7f) < 1e-6f);
	asked_done(&a);
}

// Weights under which one sign decides: z = 1 + w * sign.
static void write_weights(const char *path, enum tdm_reads reads, enum tdm_sign sign, float weight) {
	static struct tdm_linear w;
	struct tdm_bytes out;
	w = (struct tdm_linear){.reads = reads, .bias = 1};
	w.weights[TDM_FEATURE_SIGNS + sign] = weight;
	tdm_bytes_init(&out, 1 << 20);
	tdm_linear_write(&w, &out);
	assert_false(out.failed);
	assert_int_equal(tdm_file_write(path, out.data, out.len, NULL), TDM_OK);
	tdm_bytes_release(&out);
}

static void scorer_sees_question_and_answer(void **state) {
	static const char text[] = "Is it 42 or 43?";
	struct tdm_message message = {.from = TDM_FROM_USER, .text = text, .len = sizeof text - 1};
	struct tdm_request request;
	struct asked a;
	start();
	write_weights("build/cascade.json", TDM_READS_ANSWER, TDM_SIGN_COPIED, 4);
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	assert_int_equal(make(&a, "{gate: scorer, weights: build/cascade.json, threshold: 0.9}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, &request), "It is 42.");
	const struct tdm_decision *d = a.run.record->decisions;
	assert_string_equal(d->signal, "scorer");
	assert_string_equal(d->choice, "keep");
	assert_true(d->score > 0.9 && d->score < 1 && d->threshold == 0.9);
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two"); // to another question, which has none of these words
	d = a.run.record->decisions;
	assert_true(d->score < 0.6);
	assert_string_equal(d->choice, "escalate");
	asked_done(&a);
}

static void scorer_sees_how_sure_the_answer_was(void **state) {
	struct asked a;
	start();
	write_weights("build/cascade.json", TDM_READS_ANSWER, TDM_SIGN_LEAST, 8);
	assert_int_equal(make(&a, "{gate: scorer, weights: build/cascade.json, threshold: 0.7}"), TDM_OK);
	small.mean_logprob = -0.01;
	assert_string_equal(asked_answer(&a, 1, NULL), "It is 42.");
	small.mean_logprob = -2;
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two");
	small.mean_logprob = (double)NAN; // unknown is never good enough
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two");
	small.mean_logprob = -0.01;
	small.answers[0] = ""; // and nor is nothing
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two");
	assert_true(isnan(a.run.record->decisions->score));
	asked_done(&a);
}

static void bad_weights_are_refused(void **state) {
	static const char *const rows[][2] = {
	    {"{gate: scorer}", "test: model it: gate scorer needs weights: a path, or embedded:cascade"},
	    {"{gate: scorer, weights: nowhere.json}", "nowhere.json"},
	    {"{gate: scorer, weights: embedded:other}", "test: model it: this program contains no weights embedded:other"},
	    {"{gate: scorer, weights: build/question.json}",
	     "these weights judge questions alone, kind cascade needs some"},
	    {"{gate: scorer, weights: build/no.json}", "build/no.json: weights of a scorer are expected to have version 1"},
	};
	struct asked a;
	start();
	write_weights("build/question.json", TDM_READS_QUESTION, 0, 0);
	assert_int_equal(tdm_file_write("build/no.json", "{}", 2, NULL), TDM_OK);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make(&a, rows[i][0]), TDM_ECONFIG);
		assert_non_null(strstr(a.error.text, rows[i][1]));
		asked_done(&a);
	}
	small.model.can = TDM_CAN_TEXT;
	assert_int_equal(make(&a, "{gate: scorer, weights: build/cascade.json}"), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "gate scorer needs log-probabilities, which model small does not give"));
	asked_done(&a);
}

static void samples_are_named_and_stay_ok(void **state) {
	struct asked a;
	struct tdm_request request;
	start();
	small.n_answers = 2;
	small.answers[1] = "no idea";
	tdm_request_init(&request);
	assert_int_equal(make(&a, "{samples: 2}"), TDM_OK);
	asked_answer(&a, 1, &request);
	const struct tdm_call *c = a.run.record->calls;
	assert_string_equal(c->status, "discarded");
	assert_string_equal(c->purpose, "answer");
	assert_string_equal(c->next->purpose, "sample");
	assert_string_equal(c->next->status, "ok");
	assert_string_equal(c->next->next->status, "ok");
	assert_string_equal(c->next->next->next->model, "large");
	assert_null(c->next->next->next->next);
	asked_done(&a);
}

static void limits_of_the_threshold(void **state) {
	struct asked a;
	start();
	assert_int_equal(make(&a, "{threshold: 1.01}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two");
	asked_done(&a);
	small.n_answers = 2;
	small.answers[1] = "something else";
	assert_int_equal(make(&a, "{threshold: 0}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), "It is 42.");
	asked_done(&a);
}

static void failing_small_model_is_replaced(void **state) {
	struct asked a;
	start();
	small.status = TDM_EUPSTREAM;
	assert_int_equal(make(&a, "{}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two");
	assert_int_equal(a.status, TDM_OK);
	assert_int_equal(a.run.error.status, TDM_OK);
	assert_string_equal(a.run.record->calls->status, "failed");
	assert_string_equal(a.run.record->decisions->signal, "failed");
	assert_string_equal(a.run.record->decisions->detail, "upstream_error");
	asked_done(&a);
}

// What says nothing about an answer is no evidence for it: the large model answers, and the request after that is
// decided by what there is to know about it alone.
static void demand_43_a_gate_without_evidence_decides_nothing(void **state) {
	struct asked a;
	start();
	assert_int_equal(make(&a, "{gate: logprob, threshold: -0.25}"), TDM_OK);
	for (int i = 0; i < 6; i++) {
		bool known = i % 2;
		small.mean_logprob = known ? -0.1 : (double)NAN;
		small.status = i == 2 ? TDM_EUPSTREAM : TDM_OK;
		assert_string_equal(asked_answer(&a, 1, NULL), known ? "It is 42." : "Forty-two");
		assert_int_equal(a.status, TDM_OK);
		assert_string_equal(a.run.record->decisions->choice, known ? "keep" : "escalate");
	}
	asked_done(&a);
	write_weights("build/cascade.json", TDM_READS_ANSWER, TDM_SIGN_LEAST, 8);
	small.status = TDM_OK;
	assert_int_equal(make(&a, "{gate: scorer, weights: build/cascade.json, threshold: 0.7}"), TDM_OK);
	for (int i = 0; i < 4; i++) {
		small.mean_logprob = i % 2 ? -0.01 : (double)NAN;
		assert_string_equal(asked_answer(&a, 1, NULL), i % 2 ? "It is 42." : "Forty-two");
	}
	asked_done(&a);
}

static void refusals_and_ends_are_not_replaced(void **state) {
	const int final[] = {TDM_EGONE, TDM_EDEADLINE, TDM_EFILTERED, TDM_EPRIVACY, TDM_EEGRESS, TDM_EGUARD};
	struct asked a;
	start();
	for (size_t i = 0; i < sizeof final / sizeof *final; i++) {
		small.status = final[i];
		assert_int_equal(make(&a, "{}"), TDM_OK);
		assert_string_equal(asked_answer(&a, 1, NULL), "");
		assert_int_equal(a.status, final[i]);
		assert_int_equal(large.calls, 0);
		asked_done(&a);
	}
}

static void tools_are_for_the_large_model(void **state) {
	static const struct tdm_tool tool = {.name = "f"};
	struct tdm_request request;
	struct asked a;
	tdm_request_init(&request);
	request.tools = (struct tdm_toolbox){.items = &tool, .n = 1};
	start();
	large.model.can |= TDM_CAN_TOOLS;
	assert_int_equal(make(&a, "{gate: logprob, threshold: -1}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, &request), "Forty-two");
	assert_int_equal(small.calls, 0);
	assert_string_equal(a.run.record->decisions->choice, "escalate");
	assert_string_equal(a.run.record->decisions->signal, "tools");
	request.tools.choice = TDM_TOOLS_NONE;
	assert_string_equal(asked_answer(&a, 1, &request), "It is 42.");
	asked_done(&a);
}

static void bad_settings_are_refused(void **state) {
	struct asked a;
	start();
	assert_int_equal(make(&a, "{gate: logprob, threshold: 0.5}"), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "test: model it: threshold is a mean log-probability"));
	asked_done(&a);
	small.model.can = TDM_CAN_TEXT;
	assert_int_equal(make(&a, "{gate: logprob, threshold: -0.5}"), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "model small"));
	asked_done(&a);
	assert_int_equal(make(&a, "{gate: agreement}"), TDM_OK);
	assert_int_equal(a.model->can, TDM_CAN_TEXT);
	asked_done(&a);
}

int tdm_test_cascade(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(logprob_keeps_at_the_threshold),
	    cmocka_unit_test(kept_answer_is_replayed_event_by_event),
	    cmocka_unit_test(below_the_threshold_the_large_model_answers),
	    cmocka_unit_test(agreement_counts_equal_samples),
	    cmocka_unit_test(scorer_sees_question_and_answer),
	    cmocka_unit_test(scorer_sees_how_sure_the_answer_was),
	    cmocka_unit_test(bad_weights_are_refused),
	    cmocka_unit_test(samples_are_named_and_stay_ok),
	    cmocka_unit_test(limits_of_the_threshold),
	    cmocka_unit_test(failing_small_model_is_replaced),
	    cmocka_unit_test(demand_43_a_gate_without_evidence_decides_nothing),
	    cmocka_unit_test(refusals_and_ends_are_not_replaced),
	    cmocka_unit_test(tools_are_for_the_large_model),
	    cmocka_unit_test(bad_settings_are_refused),
	};
	return cmocka_run_group_tests_name("cascade", tests, NULL, NULL);
}
