// Guesses over models with table-driven logits: with the same draws the answer is the one of the plain loop, token by
// token, at every temperature, whatever was guessed.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include "../fake_kind.h"
#include "../fake_step.h"
#include "cost/speculate/habit.h"
#include "cost/kinds.h"
#include "models/local/joint.h"
#include "tests.h"

enum { V = 4, ROWS = 61 };

static const char *const roles[] = {"target"};

// The loop that knows no guesses.
static void alone(struct fake *f, uint64_t seed, const struct tdm_request *request, char *out) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_collect collect;
	struct tdm_result result = {0};
	struct tdm_session *s = NULL;
	tdm_arena_init(&arena, (size_t)1 << 24);
	assert_int_equal(tdm_run_init(&run, &arena, seed), TDM_OK);
	tdm_collect_init(&collect, 1 << 16, NULL, &arena);
	assert_int_equal(fake_open(&f->model, &run, &s), TDM_OK);
	assert_int_equal(tdm_joint_decode(&run, request, s, f->model.name, &collect.sink, &result), TDM_OK);
	snprintf(out, 256, "%s", collect.text.data ? collect.text.data : "");
	s->ops->close(s);
	tdm_collect_release(&collect);
	tdm_arena_release(&arena);
}

static void any_guess_leaves_the_answer(void **state) {
	static float table[ROWS * V];
	enum { N_OPTIONS = 8 };
	static const char *const options[N_OPTIONS] = {
	    "{from: lookup, adaptive: no}",          "{from: lookup}",
	    "{from: lookup, adaptive: no, most: 2}", "{from: learned, adaptive: no}",
	    "{from: recycle, adaptive: no}",         "{from: recycle, adaptive: no, most: 32, habit_bytes: 4096}",
	    "{from: all, adaptive: no, most: 7}",    "{from: all}"};
	struct tdm_rng rng;
	int64_t guessed = 0, kept = 0;
	tdm_rng_init(&rng, 31);
	for (int round = 0; round < 800; round++) {
		struct fake target;
		struct asked a;
		struct tdm_request request;
		char want[256];
		for (int i = 0; i < ROWS * V; i++)
			table[i] = (float)(tdm_rng_normal(&rng) * (1 + round % 5));
		fake_init(&target, "large", table, ROWS, V);
		target.by_history = round % 2;
		target.end = round % 3 ? -1 : 3;
		target.context = round % 7 ? 64 : 20;
		tdm_request_init(&request);
		request.temperature = (float)(round % 4) / 2;
		request.repeat_penalty = round % 11 ? 0 : 1.2f;
		request.max_tokens = 1 + round % 50;
		alone(&target, (uint64_t)round, &request, want);
		assert_int_equal(asked_make(&a, &tdm_kind_speculate, options[round % N_OPTIONS], 1,
		                            (struct tdm_model *[]){&target.model}, roles),
		                 TDM_OK);
		for (int again = 0; again < 2; again++)
			assert_string_equal(asked_answer(&a, (uint64_t)round, &request), want);
		assert_int_equal(a.status, TDM_OK);
		assert_int_equal(target.open_sessions, 0);
		guessed += a.run.record->calls->drafted;
		kept += a.run.record->calls->accepted;
		a.model->ops->destroy(a.model);
		asked_done(&a);
	}
	assert_true(guessed > 9000 && kept > 2000 && kept < guessed);
}

static void a_text_that_repeats_itself_needs_few_passes(void **state) {
	static float table[V * V]; // each token is followed by the next one
	struct fake target;
	struct asked a;
	struct tdm_request request;
	for (int i = 0; i < V; i++)
		table[i * V + (i + 1) % V] = 9;
	fake_init(&target, "large", table, V, V);
	tdm_request_init(&request);
	request.temperature = 0;
	request.max_tokens = 51;
	assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{from: lookup, adaptive: no}", 1,
	                            (struct tdm_model *[]){&target.model}, roles),
	                 TDM_OK);
	assert_int_equal(strlen(asked_answer(&a, 1, &request)), 51);
	assert_true(a.run.record->calls->passes < 10);
	assert_string_equal(a.run.record->decisions->choice, "exact");
	a.model->ops->destroy(a.model);
	asked_done(&a);
}

static void roles_and_sources_must_fit(void **state) {
	static float table[V * V];
	struct fake target;
	struct asked a;
	fake_init(&target, "large", table, V, V);
	struct tdm_model *both[] = {&target.model, &target.model};
	assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{}", 1, both, roles), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "draft"));
	asked_done(&a);
	assert_int_equal(
	    asked_make(&a, &tdm_kind_speculate, "{from: lookup}", 2, both, (const char *const[]){"target", "draft"}),
	    TDM_ECONFIG);
	asked_done(&a);
	assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{from: layers}", 1, both, roles), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "local target"));
	asked_done(&a);
}

static void a_room_that_changes_hands_is_empty(void **state) {
	static const int n_read[] = {3, 2000}; // less and more than is remembered one by one
	static int32_t text[2000];
	float logits[20] = {0};
	struct tdm_guess g;
	for (int i = 0; i < 2000; i++)
		text[i] = i % 97;
	for (int i = 0; i < 2; i++) {
		struct tdm_habits *h = tdm_habits_new(1 << 16, 1);
		tdm_habits_read(h, "a", text, n_read[i], 0);
		for (int token = 0; token < n_read[i]; token++)
			tdm_habits_rank(h, "a", token, logits, 20);
		tdm_habits_follow(h, "a", text, 2, 10, &g);
		assert_int_not_equal(g.n, 0);
		tdm_habits_branch(h, "a", n_read[i] - 1, 10, &g);
		assert_int_not_equal(g.n, 0);
		tdm_habits_read(h, "b", text + 50, 2, 1);
		for (int at = 2; at < 97; at++) {
			tdm_habits_follow(h, "b", text, at, 10, &g);
			assert_int_equal(g.n, 0);
		}
		for (int token = 0; token < 2000; token++) {
			tdm_habits_branch(h, "b", token, 10, &g);
			assert_int_equal(g.n, 0);
		}
		tdm_habits_free(h);
	}
}

static void habits_are_the_tenants_own_and_bounded(void **state) {
	struct tdm_habits *h = tdm_habits_new(4096, 2);
	const int32_t text[] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct tdm_guess g;
	tdm_habits_read(h, "a", text, 8, 2);
	tdm_habits_follow(h, "a", text, 4, 10, &g);
	assert_int_equal(g.n, 4);
	assert_int_equal(g.sort, TDM_HABIT_RUN - 2);
	assert_memory_equal(g.tokens, text + 4, 16);
	tdm_habits_follow(h, "b", text, 4, 10, &g);
	assert_int_equal(g.n, 0);
	tdm_habits_follow(h, NULL, text, 4, 10, &g);
	assert_int_equal(g.n, 0);
	tdm_habits_read(h, "b", text, 8, 7);
	tdm_habits_follow(h, "a", text, 4, 10, &g);
	assert_int_equal(g.n, 4);
	tdm_habits_read(h, "c", text, 8, 7); // the room of b, which was used longest ago
	tdm_habits_follow(h, "b", text, 7, 10, &g);
	assert_int_equal(g.n, 0);
	for (int32_t i = 0; i < 100000; i++) // far more than a room holds
		tdm_habits_read(h, "a", (int32_t[]){i * 7, i * 3, i}, 3, 2);
	tdm_habits_free(h);
}

// A tree whose nodes are in the order of what they promise, each after its parent.
static void a_tree_of_successors_is_a_tree_wherever_it_is_cut(void **state) {
	struct tdm_habits *h = tdm_habits_new(1 << 16, 1);
	struct tdm_guess g;
	struct tdm_rng rng;
	tdm_rng_init(&rng, 9);
	float logits[20];
	for (int32_t token = 0; token < 20; token++) {
		for (int i = 0; i < 20; i++)
			logits[i] = (float)tdm_rng_normal(&rng);
		tdm_habits_rank(h, NULL, token, logits, 20);
	}
	logits[3] = 100; // of token 19, ranked anew
	logits[5] = 50;
	tdm_habits_rank(h, NULL, 19, logits, 20);
	for (int most = 1; most <= TDM_GUESS_MOST; most++) {
		tdm_habits_branch(h, NULL, 19, most, &g);
		assert_int_equal(g.n, most);
		assert_int_equal(g.tokens[0], 3);
		for (int i = 0; i < g.n; i++) {
			assert_true(g.parents[i] >= -1 && g.parents[i] < i);
			assert_int_equal(tdm_guess_child(&g, g.n, g.parents[i], g.tokens[i]), i); // children differ
		}
	}
	assert_true(tdm_guess_child(&g, g.n, -1, 5) > 0);
	tdm_habits_branch(h, NULL, 100, 5, &g); // never seen
	assert_int_equal(g.n, 0);
	tdm_habits_free(h);
}

int tdm_test_follow(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_guess_leaves_the_answer),
	    cmocka_unit_test(a_text_that_repeats_itself_needs_few_passes),
	    cmocka_unit_test(habits_are_the_tenants_own_and_bounded),
	    cmocka_unit_test(a_room_that_changes_hands_is_empty),
	    cmocka_unit_test(a_tree_of_successors_is_a_tree_wherever_it_is_cut),
	    cmocka_unit_test(roles_and_sources_must_fit),
	};
	return cmocka_run_group_tests_name("follow", tests, NULL, NULL);
}
