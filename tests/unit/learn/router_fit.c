// Fits on planted outcomes, whose best router is known: which words a question has decides who is right.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/random.h"
#include "learn/factors.h"
#include "learn/router_fit.h"
#include "learn/sparse.h"
#include "tests.h"

enum { N = 400, SPACE = 128 };

static char texts[N][SPACE];
static double quality[N][3], cost[N][3];
static bool hard[N];
static struct tdm_router_item items[N];
static struct tdm_router_look looks[N];
static int fold[N];
static float vectors[N][2];
static const char *const names[] = {"tiny", "middle", "big"};

// Sums are right with every model, nine in ten times; verse only with the last; the middle one also knows towns. Of the
// first model one in ten is turned.
static void plant(int n_models) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 7);
	for (int i = 0; i < N; i++) {
		int kind = (int)tdm_rng_below(&rng, n_models == 3 ? 3 : 2);
		char name[9] = {0}; // so that no two have equal features
		for (int k = 0; k < 8; k++)
			name[k] = (char)('a' + tdm_rng_below(&rng, 26));
		hard[i] = kind != 0;
		int n = kind == 0   ? snprintf(texts[i], SPACE, "what is the sum of %d and %d please, %s", i, 2 * i, name)
		        : kind == 1 ? snprintf(texts[i], SPACE, "write a sonnet verse %d about love %d, %s", i, 2 * i, name)
		                    : snprintf(texts[i], SPACE, "which capital town %d lies at river %d, %s", i, 2 * i, name);
		quality[i][0] = (kind == 0) != (tdm_rng_below(&rng, 10) == 0);
		quality[i][n_models - 1] = kind != 0 || tdm_rng_below(&rng, 10) != 0;
		if (n_models == 3)
			quality[i][1] = kind != 1;
		for (int m = 0; m < n_models; m++)
			cost[i][m] = m == 0 ? 1 : m == n_models - 1 ? 10 : 3;
		vectors[i][0] = kind == 0 ? 1 : 0.1f * (float)tdm_rng_double(&rng);
		vectors[i][1] = kind == 0 ? 0.1f * (float)tdm_rng_double(&rng) : 1;
		items[i] = (struct tdm_router_item){texts[i], (size_t)n, NULL, quality[i], cost[i]};
	}
}

static struct tdm_router_options how(enum tdm_router_scorer scorer, int n_models) {
	return (struct tdm_router_options){.scorer = scorer,
	                                   .n_models = n_models,
	                                   .models = names,
	                                   .l2 = 2,
	                                   .neighbours = 9,
	                                   .rank = 8,
	                                   .epochs = 30,
	                                   .rate = 0.01,
	                                   .folds = 4,
	                                   .seed = 3};
}

// How often a hard question scores below an easy one, each judged by a router that has not seen it.
static double apart(void) {
	double right = 0, all = 0;
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++)
			if (hard[i] && !hard[k]) {
				right += looks[i].good[0] < looks[k].good[0];
				all++;
			}
	return right / all;
}

static void every_scorer_finds_what_was_planted(void **state) {
	plant(2);
	for (int s = 0; s < TDM_ROUTER_SCORERS; s++)
		for (int width = 0; width <= 2; width += 2) {
			struct tdm_router_options o = how((enum tdm_router_scorer)s, 2);
			o.width = width;
			o.reads = width ? TDM_ROUTER_READS_VECTOR : TDM_ROUTER_READS_TEXT;
			for (int i = 0; i < N; i++)
				items[i].vector = width ? vectors[i] : NULL;
			tdm_router_folds(items, N, &o, fold);
			assert_int_equal(tdm_router_cross(items, N, fold, &o, looks, NULL), TDM_OK);
			if (apart() < 0.97)
				fail_msg("%s, width %d: %.3f", tdm_router_names[s], width, apart());
		}
}

// Graded answers, of which none of the small model's is as good as the large one's: without a slack every label would
// be the same. The one that is found tells the good ones from the bad (HybridLLM's transformed labels).
static void a_slack_makes_labels_differ(void **state) {
	plant(2);
	for (int i = 0; i < N; i++) {
		quality[i][0] = hard[i] ? 0.3 : 0.85;
		quality[i][1] = 1;
	}
	struct tdm_router_options o = how(TDM_ROUTER_GAP, 2);
	tdm_router_folds(items, N, &o, fold);
	assert_int_equal(tdm_router_cross(items, N, fold, &o, looks, NULL), TDM_OK);
	assert_true(apart() > 0.97);
	double easy = 0, n_easy = 0;
	for (int i = 0; i < N; i++)
		if (!hard[i]) {
			easy += looks[i].good[0];
			n_easy++;
		}
	assert_true(easy / n_easy > 0.7); // they are within the slack
}

// With a price on answers each kind of question goes to the cheapest model that can answer it.
static void a_price_chooses_among_three(void **state) {
	plant(3);
	struct tdm_router_options o = how(TDM_ROUTER_QUALITY, 3);
	struct tdm_router_policy policy = {.willingness_to_pay = 15};
	struct tdm_router r = {.n_models = 3};
	double gained = 0, paid = 0;
	int chosen[3] = {0};
	bool undecided;
	o.l2 = 0.1;
	tdm_router_folds(items, N, &o, fold);
	assert_int_equal(tdm_router_cross(items, N, fold, &o, looks, NULL), TDM_OK);
	for (int i = 0; i < N; i++) {
		int m = tdm_router_choose(&r, &looks[i], &policy, &undecided);
		chosen[m]++;
		gained += quality[i][m] / N;
		paid += cost[i][m] / N;
		assert_true(fabs(looks[i].cost[2] - 10) < 0.5);
	}
	assert_true(chosen[0] > N / 5 && chosen[1] > N / 5 && chosen[2] > N / 5);
	assert_true(gained > 0.93 && paid < 6);
}

static void quantiles_keep_their_word(void **state) {
	plant(2);
	struct tdm_router_options o = how(TDM_ROUTER_GAP, 2);
	struct tdm_router r;
	struct tdm_arena arena;
	bool undecided;
	tdm_arena_init(&arena, 1 << 24);
	tdm_router_folds(items, N, &o, fold);
	assert_int_equal(tdm_router_cross(items, N, fold, &o, looks, NULL), TDM_OK);
	assert_int_equal(tdm_router_fit(items, N, NULL, 0, &o, &arena, &r, NULL), TDM_OK);
	assert_int_equal(tdm_router_calibrate(&r, items, looks, N, NULL), TDM_OK);
	for (int tenth = 1; tenth < 10; tenth++) {
		struct tdm_router_policy policy = {.threshold = tdm_linear_threshold(r.by_score, tenth / 10.0)};
		double kept = 0, paid = 0;
		for (int i = 0; i < N; i++) {
			int m = tdm_router_choose(&r, &looks[i], &policy, &undecided);
			kept += m == 0;
		}
		assert_true(fabs(kept / N - tenth / 10.0) <= 2.0 / N);
		policy.threshold = tdm_router_threshold_by_spend(&r, tenth / 10.0);
		for (int i = 0; i < N; i++)
			paid += cost[i][tdm_router_choose(&r, &looks[i], &policy, &undecided)] / 10 / N;
		assert_true(tenth == 1 || (paid <= tenth / 10.0 + 1e-9 && paid > tenth / 10.0 - 0.03));
	}
	assert_true(r.by_familiar[0] < r.by_familiar[100]);
	assert_true(r.by_familiar[100] <= 1 && tdm_router_familiar(&r, "zxcv qwer tyui", 14) < 0.4);
	tdm_arena_release(&arena);
}

static void equal_texts_share_a_part(void **state) {
	plant(2);
	struct tdm_router_options o = how(TDM_ROUTER_QUALITY, 2);
	int count[4] = {0};
	items[1].text = items[0].text;
	items[1].n = items[0].n;
	tdm_router_folds(items, N, &o, fold);
	assert_int_equal(fold[0], fold[1]);
	for (int i = 0; i < N; i++)
		count[fold[i]]++;
	for (int k = 0; k < 4; k++)
		assert_in_range(count[k], N / 8, N / 2);
}

static void gradient_of_factors(void **state) {
	enum { RANK = 3, INPUTS = 4, MODELS = 3, PARAMS = RANK * (INPUTS + MODELS + 1) };
	float params[PARAMS], gradient[PARAMS] = {0}, other[PARAMS], hidden[RANK], x[INPUTS] = {0.5f, -1, 0.25f, 2};
	struct tdm_factors f = {MODELS, RANK, INPUTS, params};
	struct tdm_factors_pair pair = {x, 2, 0};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 5);
	for (int i = 0; i < PARAMS; i++)
		params[i] = (float)tdm_rng_normal(&rng) / 2;
	assert_int_equal(tdm_factors_n(&f), PARAMS);
	tdm_factors_gradient(&f, &pair, hidden, gradient);
	for (int i = 0; i < PARAMS; i++) {
		float held = params[i];
		params[i] = held + 0.01f;
		double above = tdm_factors_gradient(&f, &pair, hidden, other);
		params[i] = held - 0.01f;
		double below = tdm_factors_gradient(&f, &pair, hidden, other);
		params[i] = held;
		assert_true(fabs((above - below) / 0.02 - (double)gradient[i]) < 2e-3);
	}
}

// Where the gradient is zero: sum (p - y) x + l2 w = 0, with labels between 0 and 1 as well.
static void regressions_end_at_their_minimum(void **state) {
	static const float rows[6][2] = {{1, 0}, {0, 1}, {1, 1}, {2, 0}, {0, 0.5f}, {0, 0}};
	static const double y[6] = {1, 0, 0.5, 0.75, 0.25, 1};
	for (int linear = 0; linear < 2; linear++) {
		struct tdm_sparse s = {.width = 2};
		double w[3], g[3] = {0};
		for (int i = 0; i < 6; i++)
			assert_int_equal(tdm_sparse_add(&s, rows[i]), TDM_OK);
		assert_int_equal(tdm_sparse_fit(&s, y, linear, 0.5, w), TDM_OK);
		for (int i = 0; i < 6; i++) {
			double z = w[2] + w[0] * (double)rows[i][0] + w[1] * (double)rows[i][1];
			double off = (linear ? z : 1 / (1 + exp(-z))) - y[i];
			g[0] += off * (double)rows[i][0];
			g[1] += off * (double)rows[i][1];
			g[2] += off;
		}
		assert_true(fabs(g[0] + 0.5 * w[0]) < 1e-3 && fabs(g[1] + 0.5 * w[1]) < 1e-3 && fabs(g[2]) < 1e-3);
		tdm_sparse_release(&s);
	}
}

// Where only the first of many columns tells anything, a large penalty loses least on rows that were left out; where
// labels follow the columns without noise, the smallest does.
static void a_penalty_is_found(void **state) {
	for (int noisy = 0; noisy < 2; noisy++) {
		struct tdm_sparse s = {.width = 40};
		struct tdm_rng rng;
		double y[200], w[41], l2 = 0;
		tdm_rng_init(&rng, 9);
		for (int i = 0; i < 200; i++) {
			float x[40];
			for (int k = 0; k < 40; k++)
				x[k] = (float)tdm_rng_normal(&rng);
			y[i] = noisy ? (double)tdm_rng_below(&rng, 2) : (x[0] + x[1] > 0);
			assert_int_equal(tdm_sparse_add(&s, x), TDM_OK);
		}
		assert_int_equal(tdm_sparse_fit_best(&s, y, false, &l2, w), TDM_OK);
		assert_true(noisy ? l2 == 64 : l2 <= 2);
		tdm_sparse_release(&s);
	}
}

static void nothing_to_fit_on_is_refused(void **state) {
	struct tdm_router_options o = how(TDM_ROUTER_QUALITY, 2);
	struct tdm_router r;
	struct tdm_arena arena;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(tdm_router_fit(items, 0, NULL, 0, &o, &arena, &r, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "at least one"));
	tdm_arena_release(&arena);
}

int tdm_test_router_fit(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_scorer_finds_what_was_planted),
	    cmocka_unit_test(a_slack_makes_labels_differ),
	    cmocka_unit_test(a_price_chooses_among_three),
	    cmocka_unit_test(quantiles_keep_their_word),
	    cmocka_unit_test(equal_texts_share_a_part),
	    cmocka_unit_test(gradient_of_factors),
	    cmocka_unit_test(regressions_end_at_their_minimum),
	    cmocka_unit_test(a_penalty_is_found),
	    cmocka_unit_test(nothing_to_fit_on_is_refused),
	};
	return cmocka_run_group_tests_name("router_fit", tests, NULL, NULL);
}
