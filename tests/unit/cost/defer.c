// Deferral over models with table-driven logits, where who writes which token is known; what each side reads; and what
// happens when one of them fails.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "../fake_kind.h"
#include "../fake_step.h"
#include "base/file.h"
#include "base/text.h"
#include "cost/defer/doubt.h"
#include "cost/kinds.h"
#include "models/local/joint.h"
#include "models/predict/probe.h"
#include "tests.h"
#include <stdio.h>

enum { V = 50, ROWS = 61 };

static const char *const roles[] = {"small", "large"};

struct pair {
	float small_table[ROWS * V], large_table[ROWS * V];
	struct fake small, large;
	struct asked a;
	struct tdm_request request;
};

// Both are sure that letter t + 1 follows letter t. `unsure`: letters after which the small one is not, and the large
// one is sure of t + 3.
static void alphabet(struct pair *p, const char *unsure) {
	for (int t = 0; t < V; t++) {
		bool is_unsure = strchr(unsure, 'a' + t) != NULL && t < 26;
		for (int i = 0; i < V; i++)
			p->small_table[t * V + i] = p->large_table[t * V + i] = 0;
		p->small_table[t * V + (t + 1) % V] = is_unsure ? 0.1f : 20;
		p->large_table[t * V + (t + (is_unsure ? 3 : 1)) % V] = 20;
	}
	fake_init(&p->small, "small", p->small_table, V, V);
	fake_init(&p->large, "large", p->large_table, V, V);
	tdm_request_init(&p->request);
	p->request.temperature = 0;
}

static const char *answer(struct pair *p, const char *options, int max_tokens) {
	p->request.max_tokens = max_tokens;
	assert_int_equal(
	    asked_make(&p->a, &tdm_kind_defer, options, 2, (struct tdm_model *[]){&p->small.model, &p->large.model}, roles),
	    TDM_OK);
	return asked_answer(&p->a, 5, &p->request);
}

struct witness {
	struct tdm_sink sink;
	char authors[80];
	float logprobs[80];
	size_t n;
};

static int see(struct tdm_sink *sink, const struct tdm_event *event) {
	struct witness *w = (struct witness *)sink;
	w->logprobs[w->n] = event->logprob;
	w->authors[w->n++] = event->author[0];
	w->authors[w->n] = 0;
	return TDM_OK;
}

static struct witness seen;

// Who wrote each token of the last answer: s or l.
static const char *authors(struct pair *p) {
	seen = (struct witness){.sink = {.put = see}};
	assert_int_equal(tdm_collect_put(&p->a.collect, &seen.sink), TDM_OK);
	return seen.authors;
}

static const struct tdm_call *call_of(const struct pair *p, const char *model) {
	for (const struct tdm_call *c = p->a.run.record->calls; c; c = c->next)
		if (!strcmp(c->model, model))
			return c;
	return NULL;
}

static void demand_45_the_large_one_writes_what_the_small_one_doubts(void **state) {
	struct pair p;
	alphabet(&p, "ch");
	assert_string_equal(answer(&p, "{}", 8), "bcfghklm");
	assert_string_equal(authors(&p), "sslssls"
	                                 "s");
	assert_int_equal(p.large.evals, 2);  // what it had not written, in one pass each time it was asked
	assert_int_equal(p.large.tokens, 5); // b c, f g h
	assert_int_equal(p.small.evals, 7);
	const struct tdm_call *small = call_of(&p, "small"), *large = call_of(&p, "large");
	assert_int_equal(small->completion_tokens, 6);
	assert_int_equal(large->completion_tokens, 2);
	assert_int_equal(small->completion_tokens + large->completion_tokens, p.a.result.completion_tokens);
	assert_int_equal(small->prompt_tokens, 3 + 2); // the prompt and what the other one wrote
	assert_int_equal(large->prompt_tokens, 3 + 4);
	assert_int_equal(large->passes, 3);
	const struct tdm_decision *d = p.a.run.record->decisions;
	assert_string_equal(d->choice, "both");
	assert_non_null(strstr(d->detail, "large wrote 2 of 8 tokens (25.0 %), pen moved 4 times"));
	asked_done(&p.a);
}

static void demand_45_who_is_not_asked_reads_nothing(void **state) {
	struct pair p;
	alphabet(&p, "");
	assert_string_equal(answer(&p, "{}", 8), "bcdefghi");
	assert_null(call_of(&p, "large"));
	assert_int_equal(p.large.evals, 0);
	assert_string_equal(p.a.run.record->decisions->choice, "small");
	assert_int_equal(p.large.open_sessions + p.small.open_sessions, 0);
	asked_done(&p.a);
}

static void it_stays_as_long_as_it_must(void **state) {
	struct pair p;
	alphabet(&p, "c");
	assert_string_equal(answer(&p, "{stay: 3}", 8), "bcfghijk");
	assert_string_equal(authors(&p), "sslllsss");
	asked_done(&p.a);
	assert_string_equal(answer(&p, "{first: 3}", 8), "bcfghijk");
	assert_string_equal(authors(&p), "lllsssss");
	asked_done(&p.a);
	// by its own doubt: it is sure of what follows f, so it gives the pen back without a pass of the small one
	assert_string_equal(answer(&p, "{back: large}", 5), "bcfgh");
	assert_string_equal(authors(&p), "sslss");
	asked_done(&p.a);
}

// Doubts .2 .8 .6 .2 .6: taken at .8, kept at .6, given back at .2, not taken at .6.
static void the_pen_has_hysteresis(void **state) {
	static const double p1[] = {0.9, 0.6, 0.7, 0.9, 0.7, 0.9, 0.9};
	struct pair p;
	alphabet(&p, "");
	for (int t = 0; t < 7; t++)
		for (int i = 0; i < V; i++)
			p.small_table[t * V + i] = i == t + 1 ? (float)log(p1[t] / (1 - p1[t])) : i == t + 9 ? 0 : -60;
	assert_string_equal(answer(&p, "{signal: margin, threshold: 0.7, release: 0.5}", 7), "bcdefgh");
	assert_string_equal(authors(&p), "sllssss");
	asked_done(&p.a);
	answer(&p, "{signal: margin, threshold: 0.7}", 7);
	assert_string_equal(authors(&p), "slsssss");
	asked_done(&p.a);
}

static void demand_45_the_large_ones_absence_is_survived(void **state) {
	struct pair p;
	for (int at = 1; at <= 2; at++) {
		alphabet(&p, "ch");
		p.large.fails_at = at; // it is asked after c and after h
		assert_string_equal(answer(&p, "{}", 8), at == 1 ? "bcdefghi" : "bcfghijk");
		assert_int_equal(p.a.status, TDM_OK);
		assert_string_equal(authors(&p), at == 1 ? "ssssssss" : "sslsssss");
		const struct tdm_warning *w = p.a.run.record->warnings;
		assert_string_equal(w->code, "model_out");
		assert_string_equal(w->param, "large");
		assert_non_null(strstr(w->message, "model small writes the rest"));
		assert_string_equal(call_of(&p, "large")->status, "failed");
		assert_string_equal(call_of(&p, "small")->status, "ok");
		asked_done(&p.a);
	}
	alphabet(&p, "ch");
	p.large.context = 4; // too short for what it would have to read
	assert_string_equal(answer(&p, "{}", 8), "bcdefghi");
	assert_string_equal(p.a.run.record->warnings->param, "large");
	asked_done(&p.a);
}

static void demand_45_the_large_one_takes_over(void **state) {
	struct pair p;
	alphabet(&p, "c");
	p.small.fails_at = 2;
	assert_string_equal(answer(&p, "{}", 6), "bcfghi");
	assert_string_equal(authors(&p), "ssllll");
	assert_string_equal(p.a.run.record->warnings->param, "small");
	asked_done(&p.a);
	p.small.evals = p.large.evals = 0;
	p.large.fails_at = 3;
	answer(&p, "{}", 6);
	assert_int_equal(p.a.status, TDM_EINTERNAL);
	assert_int_equal(p.large.open_sessions + p.small.open_sessions, 0);
	asked_done(&p.a);
}

static void a_step_is_read_in_one_pass_and_written_again(void **state) {
	static const char step[] = "{unit: step, max_step_tokens: 3, threshold: 0.5}";
	struct pair p;
	alphabet(&p, "e");
	p.small_table[('e' - 'a') * V + 'f' - 'a'] = 20; // sure, and wrong for the large one
	assert_string_equal(answer(&p, step, 9), "bcdehijkl");
	assert_string_equal(authors(&p), "ssslllsss");
	assert_int_equal(p.large.evals, 3 + 2); // one for each step it reads, and two to write on
	assert_non_null(strstr(p.a.run.record->decisions->detail, "1 steps again"));
	assert_string_equal(p.a.run.record->decisions->signal, "surprise");
	asked_done(&p.a);
	p.large.evals = 0;
	p.large.fails_at = 3; // while it writes the step again
	assert_string_equal(answer(&p, step, 9), "bcdefghij");
	assert_string_equal(authors(&p), "sssl"
	                                 "sssss");
	asked_done(&p.a);
	p.large.fails_at = p.small.evals = 0;
	p.small.fails_at = 5; // in the middle of its second step
	assert_string_equal(answer(&p, step, 9), "bcdehijkl");
	assert_string_equal(authors(&p), "sssllllll");
	asked_done(&p.a);
	p.small.fails_at = 0;
	assert_string_equal(answer(&p, "{unit: step, max_step_tokens: 3, threshold: 1000}", 8), "bcdefghi");
	assert_string_equal(authors(&p), "ssssssss");
	asked_done(&p.a);
	assert_string_equal(answer(&p, "{unit: step, max_step_tokens: 3, threshold: 1000, first: 2}", 8), "bcdehijk");
	assert_string_equal(authors(&p), "llllllss");
	asked_done(&p.a);
}

// The model alone, by the plain loop.
static void alone(struct fake *f, const struct tdm_request *request, uint64_t seed, char *out, size_t cap) {
	struct tdm_session *s = NULL;
	struct tdm_collect collect;
	struct tdm_result result;
	struct tdm_arena arena;
	struct tdm_run run;
	tdm_arena_init(&arena, (size_t)16 << 20);
	assert_int_equal(tdm_run_init(&run, &arena, seed), TDM_OK);
	tdm_collect_init(&collect, 1 << 16, NULL, NULL);
	assert_int_equal(fake_open(&f->model, &run, &s), TDM_OK);
	assert_int_equal(tdm_joint_decode(&run, request, s, f->model.name, &collect.sink, &result), TDM_OK);
	snprintf(out, cap, "%s", collect.text.data ? collect.text.data : "");
	s->ops->close(s);
	tdm_collect_release(&collect);
	tdm_arena_release(&arena);
}

static void no_threshold_reached_is_the_small_one_and_every_one_the_large_one(void **state) {
	static const char *const options[] = {"{threshold: 1e9}",
	                                      "{threshold: -1e9}",
	                                      "{threshold: -1e9, back: large}",
	                                      "{first: 1000}",
	                                      "{unit: step, threshold: 1e9}",
	                                      "{unit: step, max_step_tokens: 5, threshold: -1e9}"};
	struct tdm_rng rng;
	struct pair p;
	tdm_rng_init(&rng, 3);
	for (int round = 0; round < 120; round++) {
		char want[256];
		alphabet(&p, "");
		for (int i = 0; i < ROWS * V; i++) {
			p.small_table[i] = (float)tdm_rng_normal(&rng) * 3;
			p.large_table[i] = (float)tdm_rng_normal(&rng) * 3;
		}
		p.small.n_rows = p.large.n_rows = ROWS;
		p.small.by_history = p.large.by_history = true;
		p.small.prompt_tokens = 5;
		p.small.end = p.large.end = round % 2 ? 4 : -1;
		p.small.context = round % 5 == 4 ? 20 : 64;
		p.large.context = round % 5 == 4 ? 18 : 62; // as much room for an answer
		// a step that is taken back has used up random numbers, so only its greedy answer is the large one's
		p.request.temperature = round % 3 == 1 && round % 6 != 5 ? 0.8f : 0;
		p.request.repeat_penalty = round % 4 == 3 ? 1.3f : 0;
		p.request.max_tokens = 1 + round % 40;
		alone(round % 6 % 4 ? &p.large : &p.small, &p.request, 5, want, sizeof want);
		assert_string_equal(answer(&p, options[round % 6], p.request.max_tokens), want);
		assert_int_equal(p.a.status, TDM_OK);
		assert_int_equal(p.large.open_sessions + p.small.open_sessions, 0);
		asked_done(&p.a);
	}
}

static void a_seed_repeats_the_answer(void **state) {
	struct pair p;
	struct tdm_rng rng;
	char first[64];
	tdm_rng_init(&rng, 8);
	alphabet(&p, "");
	for (int i = 0; i < V * V; i++) {
		p.small_table[i] = (float)tdm_rng_normal(&rng);
		p.large_table[i] = (float)tdm_rng_normal(&rng);
	}
	p.request.temperature = 0.8f;
	memcpy(first, answer(&p, "{threshold: 3.5}", 30), 31);
	assert_non_null(strchr(authors(&p), 's'));
	assert_non_null(strchr(authors(&p), 'l'));
	assert_string_equal(asked_answer(&p.a, 5, &p.request), first);
	assert_string_not_equal(asked_answer(&p.a, 6, &p.request), first);
	p.request.draw = 1;
	assert_string_not_equal(asked_answer(&p.a, 5, &p.request), first);
	asked_done(&p.a);
}

static void stop_strings_and_probabilities_hold(void **state) {
	static const char *const stop[] = {"hk"};
	struct pair p;
	alphabet(&p, "ch");
	p.request.stop = stop;
	p.request.n_stop = 1;
	p.request.logprobs = true;
	assert_string_equal(answer(&p, "{}", 20), "bcfg"); // the stop string is of both
	assert_int_equal(p.a.result.finish, TDM_FINISH_STOP);
	double sure = -log1p((V - 1) * exp(-20));
	assert_string_equal(authors(&p), "ssls");
	for (size_t i = 0; i < seen.n; i++) // each under its author's own distribution
		assert_true(fabs((double)seen.logprobs[i] - sure) < 1e-6);
	asked_done(&p.a);
}

static int create_with(struct pair *p, const char *options) {
	int status =
	    asked_make(&p->a, &tdm_kind_defer, options, 2, (struct tdm_model *[]){&p->small.model, &p->large.model}, roles);
	tdm_arena_release(&p->a.arena);
	return status;
}

// A probe that says 1 / (1 + e^(10 - 20 margin)): half where the margin is half. Its file says that a tenth of the
// tokens score 0.8 or more.
static void a_probe_decides(void **state) {
	double none[1] = {0};
	struct tdm_probe probe = {.bias = -10, .hidden = none};
	struct tdm_error err = {0};
	struct tdm_bytes text;
	struct pair p;
	probe.signs[TDM_ROW_MARGIN] = 20;
	for (int q = 0; q < TDM_N_QUANTILES; q++)
		probe.quantiles[q] = q < 90 ? 0.1 : 0.8;
	tdm_bytes_init(&text, 1 << 16);
	tdm_probe_write(&probe, &text);
	assert_int_equal(tdm_file_write("build/probe.json", text.data, text.len, &err), TDM_OK);
	tdm_bytes_release(&text);
	alphabet(&p, "ch");
	assert_string_equal(answer(&p, "{signal: probe, weights: build/probe.json, threshold: 0.5}", 8), "bcfghklm");
	assert_string_equal(authors(&p), "sslsslss");
	assert_string_equal(p.a.run.record->decisions->signal, "probe");
	asked_done(&p.a);
	answer(&p, "{signal: probe, weights: build/probe.json, share: 0.1}", 8);
	assert_string_equal(authors(&p), "sslsslss");
	assert_true(fabs(p.a.run.record->decisions->threshold - 0.8) < 1e-9);
	asked_done(&p.a);
	assert_int_equal(create_with(&p, "{signal: probe}"), TDM_ECONFIG);
	assert_int_equal(create_with(&p, "{signal: probe, weights: build/no-probe.json}"), TDM_ECONFIG);
	assert_int_equal(create_with(&p, "{signal: probe, weights: build/probe.json, back: large}"), TDM_ECONFIG);
	assert_int_equal(create_with(&p, "{signal: probe, weights: build/probe.json, unit: step}"), TDM_ECONFIG);
	assert_int_equal(create_with(&p, "{share: 0.1}"), TDM_ECONFIG);
	probe.width = 1; // reads a hidden state that these models do not have
	tdm_bytes_init(&text, 1 << 16);
	tdm_probe_write(&probe, &text);
	assert_int_equal(tdm_file_write("build/probe.json", text.data, text.len, &err), TDM_OK);
	tdm_bytes_release(&text);
	answer(&p, "{signal: probe, weights: build/probe.json}", 8);
	assert_int_equal(p.a.status, TDM_ECONFIG);
	assert_non_null(strstr(p.a.run.error.text, "hidden state of 1 numbers"));
	asked_done(&p.a);
	remove("build/probe.json");
}

static void different_vocabularies_are_refused(void **state) {
	struct pair p;
	alphabet(&p, "");
	p.large.vocab_id++;
	answer(&p, "{}", 4);
	assert_int_equal(p.a.status, TDM_ECONFIG);
	assert_non_null(strstr(p.a.run.error.text, "small and large"));
	assert_int_equal(p.large.open_sessions + p.small.open_sessions, 0);
	asked_done(&p.a);
}

static void doubts_have_known_values(void **state) {
	static const float even[] = {1, 1, 1, 1}, one[] = {-INFINITY, 5, -INFINITY, -INFINITY};
	static const float three[] = {0, 0.6931472f, -INFINITY, -INFINITY}; // 1/3, 2/3
	static const float evidence[] = {3, 1, 0, 0};
	assert_true(fabs(tdm_doubt(0, even, 4) - log(4)) < 1e-9);
	assert_true(fabs(tdm_doubt(0, one, 4)) < 1e-12);
	assert_true(fabs(tdm_doubt(0, three, 4) - (log(3) - 2 * log(2) / 3)) < 1e-6);
	assert_true(fabs(tdm_doubt(1, even, 4) - 1) < 1e-12);
	assert_true(fabs(tdm_doubt(1, one, 4)) < 1e-12);
	assert_true(fabs(tdm_doubt(1, three, 4) - 2.0 / 3) < 1e-6);
	// 3/4 (psi(5) - psi(4)) + 1/4 (psi(5) - psi(2)) = 3/4 * 1/4 + 1/4 (1/2 + 1/3 + 1/4), but for the clamped two
	assert_true(fabs(tdm_doubt(2, evidence, 4) - (0.1875 + 0.25 * 13 / 12)) < 3e-3);
}

int tdm_test_defer(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(demand_45_the_large_one_writes_what_the_small_one_doubts),
	    cmocka_unit_test(demand_45_who_is_not_asked_reads_nothing),
	    cmocka_unit_test(it_stays_as_long_as_it_must),
	    cmocka_unit_test(the_pen_has_hysteresis),
	    cmocka_unit_test(demand_45_the_large_ones_absence_is_survived),
	    cmocka_unit_test(demand_45_the_large_one_takes_over),
	    cmocka_unit_test(a_step_is_read_in_one_pass_and_written_again),
	    cmocka_unit_test(no_threshold_reached_is_the_small_one_and_every_one_the_large_one),
	    cmocka_unit_test(a_seed_repeats_the_answer),
	    cmocka_unit_test(stop_strings_and_probabilities_hold),
	    cmocka_unit_test(a_probe_decides),
	    cmocka_unit_test(different_vocabularies_are_refused),
	    cmocka_unit_test(doubts_have_known_values),
	};
	return cmocka_run_group_tests_name("defer", tests, NULL, NULL);
}
