// Drafts of another vocabulary: what comes of them is the target's own, by enumeration, by counting, and byte for byte
// with real sessions of two tokenizers.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "../fake_step.h"
#include "../toys.h"
#include "base/clock.h"
#include "cost/kinds.h"
#include "cost/speculate/verify.h"
#include "models/align.h"
#include "tests.h"

enum { TARGET_V = 5, DRAFT_V = 7, ROWS = 40, LENGTH = 3 };
enum { ROUNDS = TDM_SANITIZED ? 10 : 40 }; // of real sessions

static const char *const target_pieces[] = {"a", "b", "ab", "c", "d"}; // d is not the draft's
static const char *const draft_pieces[] = {"bc", "c", "b", "ab", "x", "a", "aa"};

// --- enumeration: all drafts of two tokens, all that can become of them

struct outcomes {
	struct tdm_session *target, *draft;
	struct tdm_run run;
	float q[2][TARGET_V], p[LENGTH][TARGET_V];
	int32_t drafted[2];
	double probability[TARGET_V][TARGET_V][TARGET_V];
};

static void law_after(struct tdm_session *s, struct tdm_run *run, const int32_t *tokens, int n, float *out) {
	static const struct tdm_sampling plain = {.temperature = 1, .top_p = 1, .repeat_penalty = 1};
	assert_int_equal(s->ops->rewind(s, s->prompt_tokens), TDM_OK);
	assert_int_equal(n ? s->ops->eval(s, run, tokens, NULL, n) : s->ops->prompt(s, run, NULL, NULL), TDM_OK);
	tdm_sampling_probs(&plain, s->ops->logits(s, n ? n - 1 : 0), TARGET_V, NULL, 0, out);
}

// What is drawn by the target alone behind n tokens.
static void complete(struct outcomes *o, int32_t *tokens, int n, double weight) {
	float p[TARGET_V];
	if (n == LENGTH) {
		o->probability[tokens[0]][tokens[1]][tokens[2]] += weight;
		return;
	}
	law_after(o->target, &o->run, tokens, n, p);
	for (int32_t v = 0; v < TARGET_V; v++) {
		tokens[n] = v;
		complete(o, tokens, n + 1, weight * (double)p[v]);
	}
}

static const float *row_of(void *target, int i) {
	return ((struct outcomes *)target)->p[i];
}

// The first `kept` tokens are kept and the next one is not, or there is none. The code is asked at both ends of the
// draws that do so.
static void settle(struct outcomes *o, int kept, const double *accept, double weight) {
	struct tdm_chain chain = {TARGET_V, 2, o->drafted, o->q[0], row_of, o};
	double rest[TARGET_V], total = 0;
	int32_t tokens[LENGTH] = {o->drafted[0], o->drafted[1], 0};
	assert_int_equal(tdm_verify_chain(&chain, accept, 0.5).accepted, kept);
	for (int v = 0; v < TARGET_V; v++)
		total += rest[v] = fmax(0, (double)o->p[kept][v] - (kept < 2 ? (double)o->q[kept][v] : 0));
	for (int32_t v = 0; v < TARGET_V && total > 0; v++) {
		tokens[kept] = v;
		complete(o, tokens, kept + 1, weight * rest[v] / total);
		tokens[kept] = kept < 2 ? o->drafted[kept] : 0;
	}
}

static void accept_or_not(struct outcomes *o, double weight) {
	double accept[2] = {0.5, 0.5};
	for (int i = 0; i < 2; i++) {
		int32_t x = o->drafted[i];
		double keep = fmin(1, (double)o->p[i][x] / (double)o->q[i][x]);
		accept[i] = keep + 1e-9;
		if (keep < 1 - 1e-6)
			settle(o, i, accept, weight * (1 - keep));
		accept[i] = keep - 1e-9;
		weight *= keep < 1 - 1e-6 ? keep : 1;
	}
	settle(o, 2, accept, weight);
}

static void draft_all(struct outcomes *o, int n, double weight) {
	if (n == 2) {
		for (int i = 0; i <= 2; i++)
			law_after(o->target, &o->run, o->drafted, i, o->p[i]);
		accept_or_not(o, weight);
		return;
	}
	float q[TARGET_V];
	law_after(o->draft, &o->run, o->drafted, n, q);
	assert_true(q[4] == 0);
	for (int32_t v = 0; v < TARGET_V; v++) {
		memcpy(o->q[n], q, sizeof q);
		o->drafted[n] = v;
		if (q[v] > 0)
			draft_all(o, n + 1, weight * (double)q[v]);
	}
}

static void random_table(struct tdm_rng *rng, float *table, int n, int unlikely) {
	for (int i = 0; i < n; i++)
		table[i] = tdm_rng_below(rng, 8) < (uint64_t)unlikely ? -80 : (float)tdm_rng_normal(rng) * 2;
}

static void demand_47_enumeration_over_two_vocabularies_gives_the_target(void **state) {
	static float target_table[ROWS * TARGET_V], draft_table[ROWS * DRAFT_V];
	struct tdm_rng rng;
	tdm_rng_init(&rng, 21);
	for (int round = 0; round < 30; round++) {
		struct outcomes o = {0};
		struct fake target, draft;
		struct tdm_align *map = NULL;
		double drawn[TARGET_V][TARGET_V][TARGET_V];
		int32_t tokens[LENGTH], n;
		random_table(&rng, target_table, ROWS * TARGET_V, round % 4);
		random_table(&rng, draft_table, ROWS * DRAFT_V, round % 3);
		fake_init(&target, "large", target_table, ROWS, TARGET_V);
		fake_init(&draft, "small", draft_table, ROWS, DRAFT_V);
		target.by_history = draft.by_history = true;
		target.pieces = target_pieces;
		draft.pieces = draft_pieces;
		assert_int_equal(fake_open(&target.model, &o.run, &o.target), TDM_OK);
		assert_int_equal(fake_open(&draft.model, &o.run, &o.draft), TDM_OK);
		assert_int_equal(tdm_align_new(o.draft, o.target, &map, &o.run.error), TDM_OK);
		assert_int_equal(tdm_align_shared(map, &n), 4);
		assert_int_equal(n, DRAFT_V);
		assert_int_equal(tdm_align_open(&o.run, map, o.draft, o.target, &o.draft), TDM_OK);
		draft_all(&o, 0, 1);
		memcpy(drawn, o.probability, sizeof drawn);
		memset(o.probability, 0, sizeof o.probability);
		complete(&o, tokens, 0, 1);
		for (int i = 0; i < TARGET_V * TARGET_V * TARGET_V; i++)
			assert_true(fabs((&drawn[0][0][0])[i] - (&o.probability[0][0][0])[i]) < 2e-6);
		o.draft->ops->close(o.draft);
		o.target->ops->close(o.target);
		assert_int_equal(target.open_sessions + draft.open_sessions, 0);
		tdm_align_free(map);
	}
}

// --- counting: transitions of sampled answers against the target's rows

static void demand_47_sampled_answers_follow_the_target_over_two_vocabularies(void **state) {
	static float target_table[TARGET_V * TARGET_V], draft_table[DRAFT_V * DRAFT_V];
	static const char *const pieces[] = {"a", "b", "ef", "c", "d"}; // so that a text is split in one way
	static const char *const others[] = {"cd", "c", "b", "ef", "x", "a", "ab"};
	static const char *const roles[] = {"target", "draft"};
	int seen[TARGET_V][TARGET_V] = {0}, from[TARGET_V] = {0}, df = 0;
	double x2 = 0;
	struct fake target, draft;
	struct asked a;
	struct tdm_request request;
	struct tdm_rng rng;
	tdm_rng_init(&rng, 22);
	random_table(&rng, target_table, TARGET_V * TARGET_V, 0);
	random_table(&rng, draft_table, DRAFT_V * DRAFT_V, 1);
	fake_init(&target, "large", target_table, TARGET_V, TARGET_V);
	fake_init(&draft, "small", draft_table, DRAFT_V, DRAFT_V);
	target.pieces = pieces;
	draft.pieces = others;
	draft.vocab_id++;
	tdm_request_init(&request);
	request.temperature = 1;
	request.max_tokens = 40;
	int64_t accepted = 0;
	for (int i = 0; i < 400; i++) {
		assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{align: intersect, min_prob: 0}", 2,
		                            (struct tdm_model *[]){&target.model, &draft.model}, roles),
		                 TDM_OK);
		int last = -1;
		for (const char *at = asked_answer(&a, (uint64_t)i, &request); *at; at++) {
			int token = *at == 'e' ? 2 : *at == 'f' ? -1 : *at > 'b' ? *at - 'c' + 3 : *at - 'a';
			if (token < 0)
				continue;
			if (last >= 0) {
				from[last]++;
				seen[last][token]++;
			}
			last = token;
		}
		accepted += a.run.record->calls->accepted;
		a.model->ops->destroy(a.model);
		asked_done(&a);
	}
	assert_true(accepted > 1000);
	for (int i = 0; i < TARGET_V; i++) {
		float p[TARGET_V];
		tdm_sampling_probs(&(struct tdm_sampling){.temperature = 1, .top_p = 1, .repeat_penalty = 1},
		                   target_table + i * TARGET_V, TARGET_V, NULL, 0, p);
		for (int j = 0; j < TARGET_V; j++) {
			double want = (double)p[j] * from[i];
			x2 += want > 5 ? (seen[i][j] - want) * (seen[i][j] - want) / want : 0;
			df += want > 5;
		}
		df -= from[i] > 0;
	}
	assert_true(df > 10);
	assert_true(x2 < df + 4 * sqrt(2.0 * df)); // one fixed seed; 4 standard deviations
}

// --- real sessions

static const char yaml[] =
    "models:\n"
    "  large: {kind: local, path: toy-one.gguf, max_tokens: 60}\n"
    "  other: {kind: local, path: toy-other.gguf, max_tokens: 60}\n"
    "  small: {kind: local, path: toy-two.gguf}\n"
    "  twin: {kind: local, path: toy-one.gguf}\n"
    "  shared: {kind: speculate, target: large, draft: other, align: intersect, min_prob: 0, adaptive: no}\n"
    "  timed: {kind: speculate, target: large, draft: other, align: intersect}\n"
    "  alone: {kind: speculate, target: large, draft: other, align: intersect, min_prob: 0, adaptive: no, ahead: no, "
    "opening: 0, gamma: 9}\n"
    "  back: {kind: speculate, target: other, draft: large, align: intersect, min_prob: 0, adaptive: no}\n"
    "  text: {kind: speculate, target: large, draft: other, align: string, min_prob: 0, adaptive: no, gamma: 8}\n"
    "  text_timed: {kind: speculate, target: other, draft: large, align: string}\n"
    "  text_same: {kind: speculate, target: large, draft: twin, align: string, min_prob: 0, adaptive: no, gamma: 12}\n"
    "  text_strange: {kind: speculate, target: other, draft: small, align: string, min_prob: 0, adaptive: no}\n"
    "  strange: {kind: speculate, target: other, draft: small, align: intersect, min_prob: 0, adaptive: no}\n";
static const struct tdm_kind *const kinds[] = {&tdm_kind_local, &tdm_kind_speculate, NULL};
static const struct {
	const char *model, *target;
	bool is_alike, is_text;
} pairs[] = {
    {"shared", "large", true, false},      {"timed", "large", false, false}, // how much is drafted depends on time
    {"alone", "large", true, false},       {"back", "other", true, false},       {"strange", "other", false, false},
    {"text", "large", true, true},         {"text_timed", "other", false, true}, {"text_same", "large", true, true},
    {"text_strange", "other", false, true}};
enum { N_PAIRS = sizeof pairs / sizeof *pairs };

static void demand_47_answers_are_the_targets_across_tokenizers(void **state) {
	static const char *const prompts[] = {"hello", "What is 12 + 7?", "x", "Name the colour of the other one.",
	                                      "naïve 🙂"};
	static const char *const stops[] = {"es", "\n"};
	struct toys t;
	struct tdm_request request;
	int64_t accepted[N_PAIRS] = {0}, drafted[N_PAIRS] = {0};
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < ROUNDS; i++) {
		tdm_request_init(&request);
		request.temperature = 0;
		request.repeat_penalty = i % 3 == 1 ? 1.3f : 0;
		request.max_tokens = i < ROUNDS / 3 ? 0 : i < ROUNDS / 2 ? 250 : i;
		request.logprobs = i % 2;
		request.top_logprobs = i % 5;
		request.stop = stops;
		request.n_stop = i % 4 == 3 ? 2 : 0;
		for (int m = 0; m < N_PAIRS; m++) {
			char want[4000];
			const char *prompt = prompts[i % 5];
			snprintf(want, sizeof want, "%s", toys_ask(&t, pairs[m].target, prompt, &request, 1));
			struct tdm_result result = t.result;
			assert_true(strlen(want) > 0 || request.n_stop);
			assert_string_equal(toys_ask(&t, pairs[m].model, prompt, &request, 1), want);
			assert_int_equal(t.result.finish, result.finish);
			assert_int_equal(t.result.completion_tokens, result.completion_tokens);
			assert_true(t.result.mean_logprob == result.mean_logprob);
			drafted[m] += t.run.record->calls->drafted;
			accepted[m] += t.run.record->calls->accepted;
		}
	}
	for (int m = 0; m < N_PAIRS; m++) // the same weights in all but one: they differ where texts are split otherwise
		if (pairs[m].is_alike)
			assert_true(accepted[m] > drafted[m] / 6 && drafted[m] > 25 * ROUNDS);
	toys_close(&t);
}

// A text leaves the draws as they are: sampled answers too are the target's own.
static void demand_47_answers_drafted_as_text_are_the_targets_when_sampled(void **state) {
	struct toys t;
	struct tdm_request request;
	int64_t accepted = 0;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < ROUNDS; i++) {
		tdm_request_init(&request);
		request.temperature = 0.3f * (float)(i % 5);
		request.max_tokens = 20 + i;
		request.draw = (uint64_t)i % 3;
		for (int m = 0; m < N_PAIRS; m++) {
			char want[4000];
			if (!pairs[m].is_text)
				continue;
			snprintf(want, sizeof want, "%s", toys_ask(&t, pairs[m].target, "x", &request, (uint64_t)i));
			double logprob = t.result.mean_logprob;
			assert_string_equal(toys_ask(&t, pairs[m].model, "x", &request, (uint64_t)i), want);
			assert_true(t.result.mean_logprob == logprob);
			accepted += t.run.record->calls->accepted;
		}
	}
	assert_true(accepted > 5 * ROUNDS);
	toys_close(&t);
}

static void demand_47_a_form_is_kept_across_tokenizers(void **state) {
	static const struct tdm_form forms[] = {
	    {.kind = TDM_GRAMMAR_REGEX, .text = "(yes|no|the)( [a-z]{1,6}){2,5}\\."},
	    {.kind = TDM_GRAMMAR_SCHEMA,
	     .text = "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":9},\"minItems\":2,"
	             "\"maxItems\":3}"},
	    {.kind = TDM_GRAMMAR_GBNF, .text = "root ::= \"[\" list \"]\"\nlist ::= [0-9] (\",\" [0-9]){3,9}"},
	};
	struct toys t;
	int64_t accepted = 0;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < 9 * N_PAIRS; i++) {
		struct tdm_form form = forms[i % 3];
		struct tdm_request request;
		char want[4000];
		int m = i / 3 % N_PAIRS;
		form.len = strlen(form.text);
		tdm_request_init(&request);
		request.form = &form;
		request.temperature = 0;
		request.max_tokens = 100;
		snprintf(want, sizeof want, "%s", toys_ask(&t, pairs[m].target, "hello", &request, (uint64_t)i));
		assert_string_equal(toys_ask(&t, pairs[m].model, "hello", &request, (uint64_t)i), want);
		assert_int_equal(t.run.error.status, TDM_OK);
		accepted += t.run.record->calls->accepted;
		request.temperature = 1; // sampled: at least the form is kept, or nothing would come of it
		toys_ask(&t, pairs[m].model, "hello", &request, (uint64_t)i);
		assert_int_equal(t.run.error.status, TDM_OK);
	}
	assert_true(accepted > 100);
	toys_close(&t);
}

static void demand_47_vocabularies_meet_in_a_named_way_or_not_at_all(void **state) {
	static const char bad[] = "models:\n"
	                          "  large: {kind: local, path: toy-one.gguf}\n"
	                          "  other: {kind: local, path: toy-other.gguf}\n"
	                          "  it: {kind: speculate, target: large, draft: other}\n";
	struct tdm_error err = {0};
	struct tdm_tree *tree = NULL;
	struct toys t;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	assert_int_equal(tdm_tree_load("toys.yaml", t.folder, bad, strlen(bad), kinds, NULL, &tree, &err), TDM_ECONFIG);
	assert_non_null(strstr(err.text, "toys.yaml line 4"));
	assert_non_null(strstr(err.text, "models large and other have different vocabularies; expected"));
	static const char *const roles[] = {"target"};
	struct fake target;
	struct asked a;
	fake_init(&target, "large", NULL, 1, 1);
	assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{from: lookup, align: string}", 1,
	                            (struct tdm_model *[]){&target.model}, roles),
	                 TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "align is for a model in the role draft"));
	asked_done(&a);
	toys_close(&t);
}

// --- drafts of a model that is asked for words

struct prophet { // knows the answer, or believes so, and goes on where it stands
	struct tdm_model model;
	const char *answer;
	int calls, status, most; // most: characters of what it says; status: how it fails
	int64_t pause_us;
	char heard[256], purpose[16];
};

static int prophesy(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct prophet *p = (struct prophet *)m;
	const struct tdm_message *last = &request->messages[request->n_messages - 1];
	size_t at = last->from == TDM_FROM_ASSISTANT ? last->len : 0, n = strlen(p->answer);
	p->calls++;
	snprintf(p->heard, sizeof p->heard, "%.*s", (int)last->len, last->text);
	snprintf(p->purpose, sizeof p->purpose, "%s", request->purpose ? request->purpose : "");
	for (int64_t us = 0; us < p->pause_us; us += 1000) {
		usleep(1000);
		int status = tdm_run_check(run);
		if (status)
			return status;
	}
	if (p->status)
		return tdm_fail(&run->error, p->status, "the prophet is not well");
	assert_true(request->temperature == 0);
	size_t rest = at < n ? n - at : 0;
	bool is_all = rest <= (size_t)p->most;
	result->finish = is_all ? TDM_FINISH_STOP : TDM_FINISH_LENGTH;
	tdm_put_text(sink, m->name, p->answer + at, is_all ? rest : (size_t)p->most);
	return TDM_OK;
}

static void prophet_init(struct prophet *p, const char *answer) {
	static const struct tdm_model_ops ops = {.generate = prophesy};
	*p = (struct prophet){.answer = answer, .most = 40};
	p->model = (struct tdm_model){.ops = &ops, .name = "prophet", .can = TDM_CAN_TEXT};
}

enum { LETTERS = 50, LETTER_ROWS = 61 };

struct spoken { // a target of letters, a prophet, and what the target says alone
	struct fake target;
	struct prophet prophet;
	struct asked a;
	struct tdm_request request;
	char want[256];
};

static void spoken_open(struct spoken *s, const char *options) {
	static float table[LETTER_ROWS * LETTERS];
	static const char *const roles[] = {"target", "draft"};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 31);
	random_table(&rng, table, LETTER_ROWS * LETTERS, 0);
	fake_init(&s->target, "large", table, LETTER_ROWS, LETTERS);
	s->target.by_history = true;
	s->target.end = 7;
	tdm_request_init(&s->request);
	s->request.temperature = 0;
	s->request.max_tokens = 50;
	prophet_init(&s->prophet, "");
	assert_int_equal(
	    asked_make(&s->a, &tdm_kind_speculate, "{from: lookup}", 1, (struct tdm_model *[]){&s->target.model}, roles),
	    TDM_OK);
	snprintf(s->want, sizeof s->want, "%s", asked_answer(&s->a, 1, &s->request));
	s->a.model->ops->destroy(s->a.model);
	asked_done(&s->a);
	assert_true(strlen(s->want) > 10);
	s->target.evals = s->target.tokens = 0;
	s->prophet.answer = s->want;
	assert_int_equal(asked_make(&s->a, &tdm_kind_speculate, options, 2,
	                            (struct tdm_model *[]){&s->target.model, &s->prophet.model}, roles),
	                 TDM_OK);
}

static void spoken_close(struct spoken *s) {
	assert_int_equal(s->target.open_sessions, 0);
	s->a.model->ops->destroy(s->a.model);
	asked_done(&s->a);
}

static void demand_49_a_draft_may_be_the_words_of_a_model_elsewhere(void **state) {
	struct spoken s;
	spoken_open(&s, "{align: string, adaptive: no, gamma: 5}");
	int n = (int)strlen(s.want);
	assert_string_equal(asked_answer(&s.a, 1, &s.request), s.want);
	const struct tdm_call *c = s.a.run.record->calls;
	assert_string_equal(c->purpose, "verify");
	assert_string_equal(s.prophet.purpose, "draft");
	assert_true(s.prophet.calls <= 2); // one call is good for many passes
	assert_true(c->passes < n / 3 && c->accepted > n / 2);
	assert_non_null(strstr(s.a.run.record->decisions->detail, "text of prophet"));
	assert_string_equal(s.a.run.record->decisions->choice, "exact");
	s.prophet.answer = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"; // one that is wrong costs time alone
	assert_string_equal(asked_answer(&s.a, 1, &s.request), s.want);
	assert_true(s.prophet.calls > 5);
	assert_int_equal(strncmp(s.prophet.heard, s.want, strlen(s.prophet.heard)), 0);
	spoken_close(&s);
}

static void demand_49_a_draft_that_fails_is_silent_and_the_answer_goes_on(void **state) {
	struct spoken s;
	spoken_open(&s, "{align: string, adaptive: no}");
	s.prophet.status = TDM_EUPSTREAM;
	assert_string_equal(asked_answer(&s.a, 1, &s.request), s.want);
	assert_int_equal(s.a.status, TDM_OK);
	assert_int_equal(s.prophet.calls, 1);
	assert_non_null(strstr(s.a.run.record->decisions->detail, "no more drafts: the prophet is not well"));
	spoken_close(&s);
}

// A round trip that takes longer than the target itself: the draft is soon asked no more, and never waited for longer
// than it can be worth.
static void demand_49_the_round_trip_is_in_the_decision(void **state) {
	struct spoken s;
	spoken_open(&s, "{align: string}");
	s.target.pause_us = 200;
	s.prophet.pause_us = 30000000;
	int64_t start_us = tdm_now_us();
	for (int i = 0; i < 6; i++)
		assert_string_equal(asked_answer(&s.a, (uint64_t)i, &s.request), s.want);
	assert_true(s.prophet.calls <= 4);
	assert_true(tdm_now_us() - start_us < s.prophet.pause_us * s.prophet.calls);
	// One that is quick is asked, even where it has to prove itself first
	struct spoken quick;
	spoken_open(&quick, "{align: string}");
	quick.target.pause_us = 2000;
	int64_t accepted = 0;
	for (int i = 0; i < 60 && accepted <= (int64_t)strlen(quick.want); i++) { // a busy machine takes longer to be sure
		assert_string_equal(asked_answer(&quick.a, (uint64_t)i, &quick.request), quick.want);
		accepted += quick.a.run.record->calls->accepted;
	}
	assert_true(accepted > (int64_t)strlen(quick.want));
	spoken_close(&quick);
	spoken_close(&s);
}

int tdm_test_align(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(demand_47_enumeration_over_two_vocabularies_gives_the_target),
	    cmocka_unit_test(demand_47_sampled_answers_follow_the_target_over_two_vocabularies),
	    cmocka_unit_test(demand_47_answers_are_the_targets_across_tokenizers),
	    cmocka_unit_test(demand_47_answers_drafted_as_text_are_the_targets_when_sampled),
	    cmocka_unit_test(demand_47_a_form_is_kept_across_tokenizers),
	    cmocka_unit_test(demand_49_a_draft_may_be_the_words_of_a_model_elsewhere),
	    cmocka_unit_test(demand_49_a_draft_that_fails_is_silent_and_the_answer_goes_on),
	    cmocka_unit_test(demand_49_the_round_trip_is_in_the_decision),
	    cmocka_unit_test(demand_47_vocabularies_meet_in_a_named_way_or_not_at_all),
	};
	return cmocka_run_group_tests_name("align", tests, NULL, NULL);
}
