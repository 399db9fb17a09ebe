// Sampler against a plain implementation that sorts and counts in double, and draws against their distribution.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/sampler.h"
#include "tests.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MOST 400

static double values[MOST];

static int by_value_then_id(const void *a, const void *b) {
	int i = *(const int *)a, j = *(const int *)b;
	return values[i] != values[j] ? (values[i] < values[j] ? 1 : -1) : i - j;
}

static void plain_softmax(const double *logits, int n, double *p) {
	double largest = -INFINITY, sum = 0;
	for (int i = 0; i < n; i++)
		largest = fmax(largest, logits[i]);
	for (int i = 0; i < n; i++)
		sum += p[i] = exp(logits[i] - largest);
	for (int i = 0; i < n; i++)
		p[i] /= sum;
}

// Keeps the first `k` of the order, or fewer when their sum reaches `enough`.
static void plain_cut(double *x, int n, int k, double enough, double gone) {
	int order[MOST];
	for (int i = 0; i < n; i++) {
		order[i] = i;
		values[i] = x[i];
	}
	qsort(order, (size_t)n, sizeof *order, by_value_then_id);
	double sum = 0;
	int kept = 0;
	while (kept < k && kept < n && (kept == 0 || sum < enough))
		sum += x[order[kept++]];
	for (int i = kept; i < n; i++)
		x[order[i]] = gone;
}

static void plain_probs(const struct tdm_sampling *s, const float *logits, int n, const int32_t *recent, int n_recent,
                        double *p) {
	double x[MOST];
	bool seen[MOST] = {false};
	for (int i = 0; i < n; i++)
		x[i] = logits[i];
	for (int i = n_recent > s->repeat_window ? n_recent - s->repeat_window : 0; i < n_recent; i++)
		seen[recent[i]] = true;
	for (int i = 0; i < n; i++)
		if (seen[i])
			x[i] = x[i] > 0 ? x[i] / s->repeat_penalty : x[i] * s->repeat_penalty;
	if (s->top_k)
		plain_cut(x, n, s->top_k, INFINITY, -INFINITY);
	for (int i = 0; i < n; i++)
		x[i] /= s->temperature;
	plain_softmax(x, n, p);
	if (s->top_p < 1)
		plain_cut(p, n, n, s->top_p, 0);
	double largest = 0, sum = 0;
	for (int i = 0; i < n; i++)
		largest = fmax(largest, p[i]);
	for (int i = 0; i < n; i++)
		sum += p[i] = p[i] >= s->min_p * largest ? p[i] : 0;
	for (int i = 0; i < n; i++)
		p[i] /= sum;
}

static void agrees_with_plain(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 11);
	for (int round = 0; round < 2000; round++) {
		int n = 2 + (int)tdm_rng_below(&rng, MOST - 2);
		float logits[MOST], probs[MOST];
		double expected[MOST], sum = 0;
		int32_t recent[20];
		for (int i = 0; i < n; i++) // every third vocabulary has many ties
			logits[i] = round % 3 ? (float)(4 * tdm_rng_normal(&rng)) : (float)((int)tdm_rng_below(&rng, 9) - 4);
		for (int i = 0; i < 20; i++)
			recent[i] = (int32_t)tdm_rng_below(&rng, (uint64_t)n);
		struct tdm_sampling s = {.temperature = (float)(0.2 + 2 * tdm_rng_double(&rng)),
		                         .top_k = round % 2 ? 1 + (int)tdm_rng_below(&rng, (uint64_t)n) : 0,
		                         .top_p = round % 5 && round % 3 ? (float)(0.02 + 0.97 * tdm_rng_double(&rng)) : 1,
		                         .min_p = round % 7 == 0 ? 0.05f : 0,
		                         .repeat_penalty = round % 4 ? 1.3f : 1,
		                         .repeat_window = 12};
		tdm_sampling_probs(&s, logits, n, recent, 20, probs);
		plain_probs(&s, logits, n, recent, 20, expected);
		for (int i = 0; i < n; i++) {
			sum += probs[i];
			if (fabs(probs[i] - expected[i]) > 2e-5)
				fail_msg("round %d token %d: %g, expected %g", round, i, probs[i], expected[i]);
		}
		assert_true(fabs(sum - 1) < 1e-5);
	}
}

static void ties_go_to_the_lowest_id(void **state) {
	const float logits[] = {0.0f, 1.0f, -0.0f, 1.0f, 1.0f, 0.0f};
	float probs[6];
	struct tdm_sampling s = {.temperature = 1, .top_k = 2, .top_p = 1, .repeat_penalty = 1};
	tdm_sampling_probs(&s, logits, 6, NULL, 0, probs);
	assert_true(probs[1] == 0.5f && probs[3] == 0.5f && probs[4] == 0);
	s.top_k = 5; // of the three zeros, the one with the minus sign among them, the first two
	tdm_sampling_probs(&s, logits, 6, NULL, 0, probs);
	assert_true(probs[0] > 0 && probs[2] > 0 && probs[5] == 0);
	s.top_k = 0;
	s.top_p = 0.3f;
	tdm_sampling_probs(&s, logits, 6, NULL, 0, probs);
	assert_true(probs[1] > 0.49f && probs[3] > 0.49f && probs[4] == 0);
	s.top_p = 0;
	tdm_sampling_probs(&s, logits, 6, NULL, 0, probs);
	assert_true(probs[1] == 1);
	assert_int_equal(tdm_argmax(logits, 6), 1);
}

static void greedy_is_a_point_mass(void **state) {
	const float logits[] = {1.0f, 3.0f, 2.0f, 3.0f};
	const int32_t recent[] = {1};
	float probs[4];
	struct tdm_sampling s = TDM_GREEDY;
	tdm_sampling_probs(&s, logits, 4, NULL, 0, probs);
	assert_true(probs[1] == 1 && probs[0] == 0 && probs[2] == 0 && probs[3] == 0);
	s.repeat_penalty = 2;
	s.repeat_window = 4;
	tdm_sampling_probs(&s, logits, 4, recent, 1, probs);
	assert_true(probs[3] == 1);
}

static void odd_logits_do_no_harm(void **state) {
	const float impossible[] = {-INFINITY, -INFINITY, -INFINITY}, one[] = {NAN, -INFINITY, 2.0f},
	            certain[] = {0.0f, INFINITY, 1.0f};
	float probs[3];
	struct tdm_sampling s = {.temperature = 1, .top_k = 2, .top_p = 0.9f, .min_p = 0.1f, .repeat_penalty = 1};
	tdm_sampling_probs(&s, impossible, 3, NULL, 0, probs);
	assert_true(probs[0] == 1 && probs[1] == 0);
	tdm_sampling_probs(&s, one, 3, NULL, 0, probs);
	assert_true(probs[2] == 1 && probs[0] == 0);
	tdm_sampling_probs(&s, certain, 3, NULL, 0, probs);
	assert_true(probs[1] == 1);
}

// Chi-square of 200,000 draws over 24 values: 23 degrees of freedom, 49.7 is passed once in 1,000 seeds.
static void draws_follow_the_distribution(void **state) {
	enum { N = 24, DRAWS = 200000 };
	float logits[N], probs[N];
	int counts[N] = {0};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 20260101);
	for (int i = 0; i < N; i++)
		logits[i] = (float)tdm_rng_normal(&rng);
	struct tdm_sampling s = {.temperature = 0.8f, .top_p = 1, .repeat_penalty = 1};
	tdm_sampling_probs(&s, logits, N, NULL, 0, probs);
	for (int i = 0; i < DRAWS; i++)
		counts[tdm_sample(probs, N, tdm_rng_double(&rng))]++;
	double chi = 0;
	for (int i = 0; i < N; i++)
		chi += (counts[i] - DRAWS * (double)probs[i]) * (counts[i] - DRAWS * (double)probs[i]) /
		       (DRAWS * (double)probs[i]);
	assert_true(chi < 49.7);
	assert_true(chi > 4); // and they are random
}

static void a_draw_never_takes_what_cannot_be(void **state) {
	const float probs[] = {0, 0.5f, 0, 0.49999f, 0, 0};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 3);
	for (int i = 0; i < 200000; i++) {
		int32_t t = tdm_sample(probs, 6, tdm_rng_double(&rng));
		assert_true(t == 1 || t == 3);
	}
}

static void log_softmax_is_exact(void **state) {
	const float logits[] = {1000.0f, 1001.0f, 998.0f, -INFINITY};
	double sum = exp(-1) + 1 + exp(-3);
	assert_true(fabs(tdm_log_softmax_at(logits, 4, 0) - (-1 - log(sum))) < 1e-6);
	assert_true(fabs(tdm_log_softmax_at(logits, 4, 1) - -log(sum)) < 1e-6);
	assert_true(isinf(tdm_log_softmax_at(logits, 4, 3)));
}

static int32_t plain_argmax(const float *x, int n) {
	int32_t best = 0;
	for (int32_t i = 1; i < n; i++)
		if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i])))
			best = i;
	return best;
}

static void test_argmax(void **state) {
	enum { MOST_VALUES = 3000 };
	static const float odd[] = {NAN, -INFINITY, INFINITY, 0, -0.0f};
	float x[MOST_VALUES];
	struct tdm_rng rng;
	tdm_rng_init(&rng, 11);
	for (int round = 0; round < 400; round++) {
		int n = 1 + (int)tdm_rng_below(&rng, MOST_VALUES),
		    kinds = round % 5 + 1; // few values: ties; of some rounds all are odd
		for (int i = 0; i < n; i++)
			x[i] = tdm_rng_below(&rng, 4) < (uint64_t)(round % 7) ? odd[tdm_rng_below(&rng, (uint64_t)kinds)]
			                                                      : (float)tdm_rng_below(&rng, 20) - 30;
		assert_int_equal(tdm_argmax(x, n), plain_argmax(x, n));
	}
}

int tdm_test_sampler(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agrees_with_plain),
	    cmocka_unit_test(ties_go_to_the_lowest_id),
	    cmocka_unit_test(greedy_is_a_point_mass),
	    cmocka_unit_test(odd_logits_do_no_harm),
	    cmocka_unit_test(draws_follow_the_distribution),
	    cmocka_unit_test(a_draw_never_takes_what_cannot_be),
	    cmocka_unit_test(log_softmax_is_exact),
	    cmocka_unit_test(test_argmax),
	};
	return cmocka_run_group_tests_name("engine: sampler", tests, NULL, NULL);
}
