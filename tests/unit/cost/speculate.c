// The kind over models with table-driven logits: greedy output is the target's own whatever the draft, sampled output
// follows the target's law, and no pass is wasted.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "../fake_kind.h"
#include "../fake_step.h"
#include "cost/kinds.h"
#include "tests.h"

enum { V = 50, ROWS = 61 };

static const char *const roles[] = {"target", "draft"};

static void random_table(struct tdm_rng *rng, float *table, double spread) {
	for (int i = 0; i < ROWS * V; i++)
		table[i] = (float)(tdm_rng_normal(rng) * spread);
}

static int make(struct asked *a, struct fake *target, struct fake *draft, const char *options) {
	return asked_make(a, &tdm_kind_speculate, options, 2, (struct tdm_model *[]){&target->model, &draft->model}, roles);
}

static void made_done(struct asked *a) {
	a->model->ops->destroy(a->model);
	asked_done(a);
}

// The target alone, without any of the code under test.
static void greedy_alone(struct fake *f, int max_tokens, char *out) {
	struct tdm_run run = {0};
	struct tdm_session *s = NULL;
	const char *piece;
	assert_int_equal(fake_open(&f->model, &run, &s), TDM_OK);
	s->ops->prompt(s, &run, NULL, NULL);
	int n = 0;
	for (;;) {
		const float *z = s->ops->logits(s, 0);
		int32_t best = 0;
		for (int i = 1; i < f->n_vocab; i++)
			if (z[i] > z[best])
				best = i;
		if (best == f->end)
			break;
		s->ops->piece(s, best, &piece);
		out[n++] = *piece;
		if (n == max_tokens || s->ops->eval(s, &run, &best, NULL, 1))
			break;
	}
	out[n] = 0;
	s->ops->close(s);
}

static void demand_47_greedy_is_the_target(void **state) {
	static float target_table[ROWS * V], draft_table[ROWS * V];
	const char *const options[] = {"{}",
	                               "{gamma: 1, adaptive: no}",
	                               "{gamma: 12, min_prob: 0}",
	                               "{min_prob: 0.9, opening: 5}",
	                               "{nodes: 12, adaptive: no}",
	                               "{nodes: 32, width: 8, depth: 24, min_node: 0, adaptive: no}",
	                               "{nodes: 16}",
	                               "{nodes: 9, width: 1, min_node: 0, adaptive: no, opening: 0}"};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 3);
	for (int round = 0; round < 240; round++) {
		struct fake target, draft;
		struct asked a;
		struct tdm_request request;
		char want[256];
		random_table(&rng, target_table, 3);
		for (int i = 0; i < ROWS * V; i++) // the draft agrees more or less
			draft_table[i] = target_table[i] + (float)(tdm_rng_normal(&rng) * (round % 7) / 2);
		fake_init(&target, "large", target_table, ROWS, V);
		fake_init(&draft, "small", draft_table, ROWS, V);
		target.by_history = draft.by_history = true;
		draft.prompt_tokens = 5;
		target.end = draft.end = round % 2 ? 4 : -1;
		draft.context = round % 5 == 4 ? 20 : 64;
		target.tail = round % 26 - 1;               // the opening is not asked for, or cut
		target.pause_us = round % 6 == 5 ? 300 : 0; // time for the draft to go ahead
		tdm_request_init(&request);
		request.temperature = 0;
		request.max_tokens = 1 + round % 40;
		greedy_alone(&target, request.max_tokens, want);
		assert_int_equal(make(&a, &target, &draft, options[round % 8]), TDM_OK);
		assert_string_equal(asked_answer(&a, (uint64_t)round, &request), want);
		assert_int_equal(a.status, TDM_OK);
		assert_string_equal(a.result.served, "large");
		assert_int_equal(target.open_sessions + draft.open_sessions, 0);
		made_done(&a);
	}
}

static void context_ends_the_answer_with_length(void **state) {
	static float table[ROWS * V];
	struct tdm_rng rng;
	struct fake target, draft;
	struct asked a;
	char want[256];
	tdm_rng_init(&rng, 4);
	random_table(&rng, table, 5);
	fake_init(&target, "large", table, ROWS, V);
	fake_init(&draft, "small", table, ROWS, V);
	target.by_history = draft.by_history = true;
	target.context = 30;
	greedy_alone(&target, 200, want);
	assert_int_equal(make(&a, &target, &draft, "{}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), want);
	assert_int_equal(a.result.finish, TDM_FINISH_LENGTH);
	made_done(&a);
}

// A draft that is the target: everything is accepted, the target works in few passes, and the draft sees each token
// once.
static void no_pass_is_wasted(void **state) {
	static float table[ROWS * V];
	struct tdm_rng rng;
	struct fake target, draft;
	struct asked a;
	struct tdm_request request;
	tdm_rng_init(&rng, 5);
	random_table(&rng, table, 8);
	fake_init(&target, "large", table, ROWS, V);
	fake_init(&draft, "small", table, ROWS, V);
	target.by_history = draft.by_history = true;
	tdm_request_init(&request);
	request.max_tokens = 51;
	target.tail = 24;
	assert_int_equal(make(&a, &target, &draft, "{gamma: 4, opening: 16, adaptive: no, min_prob: 0, ahead: no}"),
	                 TDM_OK);
	assert_int_equal(strlen(asked_answer(&a, 1, &request)), 51);
	const struct tdm_call *t = a.run.record->calls, *d = t->next;
	assert_string_equal(t->purpose, "verify");
	assert_string_equal(d->purpose, "draft");
	assert_int_equal(t->drafted, 43);
	assert_int_equal(t->accepted, 43);
	assert_int_equal(t->passes, 8);      // the prompt with 16 and a token of its own, 5 tokens each, the last 4
	assert_int_equal(target.tokens, 34); // without the prompt's pass
	assert_int_equal(draft.evals, 42);
	assert_true(draft.tokens <= 50);
	assert_true(a.run.record->decisions->score == 1);
	made_done(&a);
}

// A prompt that the draft cannot hold is answered all the same, with every way of drafting.
static void a_draft_with_too_small_a_context_is_left_alone(void **state) {
	static float table[ROWS * V];
	static const char *const options[] = {"{}", "{adaptive: no}", "{nodes: 8, adaptive: no}",
	                                      "{accept: cascade, alpha: 0.5}"};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 9);
	random_table(&rng, table, 3);
	for (int i = 0; i < 8; i++) {
		struct fake target, draft;
		struct asked a;
		struct tdm_request request;
		char want[256];
		fake_init(&target, "large", table, ROWS, V);
		fake_init(&draft, "small", table, ROWS, V);
		target.by_history = draft.by_history = true;
		draft.prompt_tokens = draft.context = 8;
		draft.prompt_tokens += 1 + i / 4;
		tdm_request_init(&request);
		request.temperature = 0;
		request.max_tokens = 20;
		greedy_alone(&target, request.max_tokens, want);
		assert_int_equal(make(&a, &target, &draft, options[i % 4]), TDM_OK);
		assert_string_equal(asked_answer(&a, 1, &request), want); // by the first one nobody knows what a draft is worth
		assert_string_equal(asked_answer(&a, 2, &request), want);
		assert_int_equal(a.status, TDM_OK);
		assert_string_equal(a.run.record->warnings->code, "no_draft");
		assert_int_equal(a.run.record->calls->drafted, 0);
		assert_int_equal(target.open_sessions + draft.open_sessions, 0);
		made_done(&a);
	}
}

// Trees bring more than chains where the second best is often right, in the same number of passes of the target.
static void a_tree_keeps_what_a_chain_loses(void **state) {
	static float target_table[ROWS * V], draft_table[ROWS * V];
	static const char *const options[] = {"{gamma: 3, adaptive: no, min_prob: 0, opening: 0}",
	                                      "{nodes: 24, depth: 3, width: 3, min_node: 0, adaptive: no, opening: 0}"};
	struct tdm_rng rng;
	int64_t passes[2] = {0}, read = 0;
	tdm_rng_init(&rng, 12);
	for (int round = 0; round < 20; round++)
		for (int tree = 0; tree < 2; tree++) {
			struct fake target, draft;
			struct asked a;
			struct tdm_request request;
			random_table(&rng, target_table, 3);
			for (int i = 0; i < ROWS * V; i++)
				draft_table[i] = target_table[i] + (float)tdm_rng_normal(&rng);
			fake_init(&target, "large", target_table, ROWS, V);
			fake_init(&draft, "small", draft_table, ROWS, V);
			target.by_history = draft.by_history = true;
			tdm_request_init(&request);
			request.temperature = 0;
			request.max_tokens = 40;
			assert_int_equal(make(&a, &target, &draft, options[tree]), TDM_OK);
			asked_answer(&a, 1, &request);
			passes[tree] += a.run.record->calls->passes;
			read += tree ? draft.evals : 0;
			made_done(&a);
		}
	assert_true((double)passes[1] < 0.85 * (double)passes[0]);
	assert_true(read <= 3 * passes[1]); // a level is read in one pass of the draft
}

static void trees_are_refused_where_they_have_no_rule(void **state) {
	static float table[ROWS * V];
	static const struct {
		const char *options, *says;
	} cases[] = {{"{nodes: 8, verify: block}", "chains"},
	             {"{verify: kseq}", "nodes"},
	             {"{nodes: 8, accept: typical}", "accept: exact"},
	             {"{nodes: 8, align: intersect}", "vocabulary"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fake target, draft;
		struct asked a;
		fake_init(&target, "large", table, ROWS, V);
		fake_init(&draft, "small", table, ROWS, V);
		assert_int_equal(make(&a, &target, &draft, cases[i].options), TDM_ECONFIG);
		assert_non_null(strstr(a.error.text, cases[i].says));
		asked_done(&a);
	}
}

// A draft that costs more than it saves is left alone, and not even opened, until time has passed.
static void demand_46_a_draft_that_loses_is_off(void **state) {
	static float target_table[ROWS * V], draft_table[ROWS * V];
	struct tdm_rng rng;
	struct fake target, draft;
	struct asked a;
	struct tdm_request request;
	char want[256];
	int quiet = 0;
	tdm_rng_init(&rng, 6);
	random_table(&rng, target_table, 3);
	random_table(&rng, draft_table, 3);
	fake_init(&target, "large", target_table, ROWS, V);
	fake_init(&draft, "small", draft_table, ROWS, V);
	target.by_history = draft.by_history = true;
	draft.pause_us = target.pause_us = 400;
	tdm_request_init(&request);
	request.temperature = 0;
	request.max_tokens = 40;
	greedy_alone(&target, request.max_tokens, want);
	assert_int_equal(make(&a, &target, &draft, "{min_prob: 0, ahead: no}"), TDM_OK);
	for (int i = 0; i < 20; i++) {
		assert_string_equal(asked_answer(&a, (uint64_t)i, &request), want);
		quiet += a.run.record->calls->drafted == 0;
		assert_int_equal(target.open_sessions + draft.open_sessions, 0);
	}
	assert_true(quiet >= 6);
	made_done(&a);
}

static void demand_47_different_vocabularies_are_refused(void **state) {
	static float table[ROWS * V];
	struct fake target, draft;
	struct asked a;
	fake_init(&target, "large", table, ROWS, V);
	fake_init(&draft, "small", table, ROWS, V);
	draft.vocab_id++;
	assert_int_equal(make(&a, &target, &draft, "{}"), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "large and small"));
	assert_non_null(strstr(a.error.text, "align: intersect"));
	assert_int_equal(target.open_sessions + draft.open_sessions, 0);
	asked_done(&a);
}

static void softmax(const float *z, double *p) {
	double top = -INFINITY, sum = 0;
	for (int i = 0; i < V; i++)
		top = fmax(top, (double)z[i]);
	for (int i = 0; i < V; i++)
		sum += p[i] = exp((double)z[i] - top);
	for (int i = 0; i < V; i++)
		p[i] /= sum;
}

// Chi-square of observed counts against n * p, small cells pooled; adds to *x2 and *df.
static void add_chi_square(const int *seen, const double *p, int n, double *x2, int *df) {
	double pooled = 0, pooled_seen = 0;
	int cells = 0;
	for (int i = 0; i < V; i++) {
		double want = p[i] * n;
		if (want < 5) {
			pooled += want;
			pooled_seen += seen[i];
			continue;
		}
		*x2 += (seen[i] - want) * (seen[i] - want) / want;
		cells++;
	}
	if (pooled > 5) {
		*x2 += (pooled_seen - pooled) * (pooled_seen - pooled) / pooled;
		cells++;
	}
	*df += cells > 1 ? cells - 1 : 0;
}

static int letter(char c) {
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	return (int)(strchr(letters, c) - letters);
}

// Transitions between tokens of many sampled answers against the rows of the target, with zeros in p and in q.
static void sampled_follows_the_target(void **state) {
	static float target_table[V * V], draft_table[V * V];
	static int seen[V][V], from[V];
	static const char *const options[] = {"{min_prob: 0, gamma: 6}",
	                                      "{min_prob: 0.1}",
	                                      "{min_prob: 0, gamma: 6, verify: block}",
	                                      "{min_prob: 0.1, verify: block}",
	                                      "{nodes: 12, min_node: 0}",
	                                      "{nodes: 20, width: 8, depth: 3}",
	                                      "{nodes: 12, width: 3, verify: kseq, min_node: 0}",
	                                      "{nodes: 24, width: 2, opening: 0, verify: kseq}"};
	struct fake target, draft;
	struct asked a;
	struct tdm_request request;
	struct tdm_rng rng;
	double p[V], x2 = 0;
	int df = 0;
	tdm_rng_init(&rng, 6);
	for (int i = 0; i < V * V; i++) {
		target_table[i] = tdm_rng_below(&rng, 4) ? (float)tdm_rng_normal(&rng) * 2 : -1000;
		draft_table[i] = tdm_rng_below(&rng, 4) ? target_table[i] / 2 + (float)tdm_rng_normal(&rng) : -1000;
	}
	fake_init(&target, "large", target_table, V, V);
	fake_init(&draft, "small", draft_table, V, V);
	tdm_request_init(&request);
	request.temperature = 1;
	request.max_tokens = 40;
	for (int i = 0; i < 2400; i++) {
		target.tail = i % 3 ? 24 : -1;
		assert_int_equal(make(&a, &target, &draft, options[i % 8]), TDM_OK);
		const char *text = asked_answer(&a, (uint64_t)i, &request);
		assert_int_equal(strlen(text), 40);
		for (int k = 1; k < 40; k++) {
			from[letter(text[k - 1])]++;
			seen[letter(text[k - 1])][letter(text[k])]++;
		}
		made_done(&a);
	}
	for (int i = 0; i < V; i++) {
		softmax(target_table + i * V, p);
		for (int j = 0; j < V; j++)
			assert_true(p[j] > 0 || seen[i][j] == 0);
		add_chi_square(seen[i], p, from[i], &x2, &df);
	}
	assert_true(df > 500);
	assert_true(fabs(x2 - df) < 4 * sqrt(2.0 * df)); // one fixed seed; 4 standard deviations
}

static void seed_repeats_the_answer(void **state) {
	static float target_table[ROWS * V], draft_table[ROWS * V];
	struct fake target, draft;
	struct asked a;
	struct tdm_request request;
	struct tdm_rng rng;
	char first[64];
	tdm_rng_init(&rng, 8);
	random_table(&rng, target_table, 1);
	random_table(&rng, draft_table, 1);
	fake_init(&target, "large", target_table, ROWS, V);
	fake_init(&draft, "small", draft_table, ROWS, V);
	tdm_request_init(&request);
	request.temperature = 0.8f;
	request.max_tokens = 30;
	assert_int_equal(make(&a, &target, &draft, "{min_prob: 0}"), TDM_OK);
	memcpy(first, asked_answer(&a, 9, &request), 31);
	assert_string_equal(asked_answer(&a, 9, &request), first);
	assert_string_not_equal(asked_answer(&a, 10, &request), first);
	request.draw = 1;
	assert_string_not_equal(asked_answer(&a, 9, &request), first);
	made_done(&a);
}

static int keep_all(struct tdm_session *s, int length) {
	(void)s, (void)length;
	return TDM_OK;
}

static int open_forgetful(struct tdm_model *m, struct tdm_run *run, struct tdm_session **out) {
	static struct tdm_session_ops ops;
	int status = fake_open(m, run, out);
	ops = *(*out)->ops;
	ops.rewind = keep_all;
	(*out)->ops = &ops;
	return status;
}

// A target that keeps what was rejected must be found out by the test of greedy answers.
static void a_missing_rewind_is_found(void **state) {
	static float target_table[ROWS * V], draft_table[ROWS * V];
	struct fake target, draft;
	struct asked a;
	struct tdm_request request;
	struct tdm_rng rng;
	char want[256];
	tdm_rng_init(&rng, 3);
	random_table(&rng, target_table, 3);
	random_table(&rng, draft_table, 3);
	fake_init(&target, "large", target_table, ROWS, V);
	fake_init(&draft, "small", draft_table, ROWS, V);
	target.by_history = true;
	tdm_request_init(&request);
	request.temperature = 0;
	request.max_tokens = 30;
	greedy_alone(&target, 30, want);
	for (int forgets = 0; forgets < 2; forgets++) {
		struct tdm_model_ops ops = *target.model.ops;
		if (forgets)
			ops.open = open_forgetful;
		target.model.ops = &ops;
		assert_int_equal(make(&a, &target, &draft, "{gamma: 4, adaptive: no, min_prob: 0}"), TDM_OK);
		const char *got = asked_answer(&a, 1, &request);
		assert_true((strcmp(got, want) == 0) == !forgets);
		made_done(&a);
	}
}

static void cancelled_run_stops(void **state) {
	static float table[ROWS * V];
	struct fake target, draft;
	struct asked a;
	atomic_bool cancelled = true;
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "x", .len = 1};
	struct tdm_request request;
	fake_init(&target, "large", table, ROWS, V);
	fake_init(&draft, "small", table, ROWS, V);
	assert_int_equal(make(&a, &target, &draft, "{}"), TDM_OK);
	assert_int_equal(tdm_run_init(&a.run, &a.arena, 1), TDM_OK);
	a.run.cancelled = &cancelled;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	tdm_collect_init(&a.collect, 1000, NULL, NULL);
	assert_int_equal(a.model->ops->generate(a.model, &a.run, &request, &a.collect.sink, &a.result), TDM_EGONE);
	assert_string_equal(a.run.record->calls->status, "cancelled");
	assert_int_equal(target.open_sessions + draft.open_sessions, 0);
	made_done(&a);
}

int tdm_test_speculate(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(demand_47_greedy_is_the_target),
	    cmocka_unit_test(context_ends_the_answer_with_length),
	    cmocka_unit_test(no_pass_is_wasted),
	    cmocka_unit_test(demand_46_a_draft_that_loses_is_off),
	    cmocka_unit_test(a_draft_with_too_small_a_context_is_left_alone),
	    cmocka_unit_test(a_tree_keeps_what_a_chain_loses),
	    cmocka_unit_test(trees_are_refused_where_they_have_no_rule),
	    cmocka_unit_test(demand_47_different_vocabularies_are_refused),
	    cmocka_unit_test(sampled_follows_the_target),
	    cmocka_unit_test(seed_repeats_the_answer),
	    cmocka_unit_test(a_missing_rewind_is_found),
	    cmocka_unit_test(cancelled_run_stops),
	};
	return cmocka_run_group_tests_name("speculate", tests, NULL, NULL);
}
