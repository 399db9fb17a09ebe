// Published vectors, the traps of binomial tails, and sample sizes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "assure/bounds.h"
#include "base/clock.h"
#include "base/random.h"
#include "tests.h"

static void near(double got, double want, double relative) {
	if (fabs(got - want) > relative * fabs(want))
		fail_msg("%.12g, expected %.12g", got, want);
}

static void cdf_vectors(void **state) {
	near(tdm_binomial_cdf(30, 1000, .05), .001277067917, 1e-8);
	near(tdm_binomial_cdf(3, 300, .02), .1485103815, 1e-8);
	near(tdm_binomial_cdf(12, 500, .05), .002610318392, 1e-8);
	near(tdm_binomial_cdf(0, 59, .05), .04849452525, 1e-8);
	near(tdm_binomial_cdf(2, 4, .5), 11.0 / 16, 1e-14);
	near(tdm_binomial_cdf(1, 3, 1.0 / 3), 20.0 / 27, 1e-14);
}

// Against sums of exact products for every small case.
static void cdf_of_small_cases(void **state) {
	for (int n = 1; n <= 30; n++)
		for (double p = 0.01; p < 1; p += 0.07) {
			double mass = pow(1 - p, n), sum = 0;
			for (int k = 0; k < n; k++) {
				sum += mass;
				near(tdm_binomial_cdf(k, n, p), sum, 1e-12);
				mass *= (double)(n - k) / (k + 1) * p / (1 - p);
			}
		}
}

static void n01_n02_cdf_edges(void **state) {
	assert_true(tdm_binomial_cdf(900, 5000, .01) == 1); // a tail summed downwards underflows here
	assert_true(tdm_binomial_cdf(-1, 10, .5) == 0);
	assert_true(tdm_binomial_cdf(10, 10, .5) == 1);
	assert_true(tdm_binomial_cdf(3, 10, 0) == 1);
	assert_true(tdm_binomial_cdf(3, 10, 1) == 0);
	near(tdm_binomial_cdf(0, 1000, 1e-9), 1 - 1e-6, 1e-12);
	assert_true(tdm_binomial_cdf(0, 1000000, .5) > 0); // never 0 for a possible event
	assert_true(tdm_binomial_cdf(10, 100000, .9) > 0);
}

static void n03_cdf_is_monotone(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 1);
	for (int i = 0; i < 100000; i++) {
		int64_t n = 1 + (int64_t)tdm_rng_below(&rng, 3000), k = (int64_t)tdm_rng_below(&rng, (uint64_t)n);
		double p = tdm_rng_double(&rng), q = p + (1 - p) * tdm_rng_double(&rng), at = tdm_binomial_cdf(k, n, p);
		assert_true(tdm_binomial_cdf(k + 1, n, p) >= at);
		assert_true(tdm_binomial_cdf(k, n, q) <= at);
	}
}

static void n06_large_n_is_quick(void **state) {
	int64_t start_us = tdm_work_us();
	near(tdm_binomial_cdf(5000000, 10000000, .5), .5 + .5 * 0.000252313252, 1e-9); // half, and half of the middle mass
	assert_true(tdm_binomial_cdf(100000, 10000000, .0101) < 0.01);
	assert_true(tdm_work_us() - start_us < 10000);
}

static double upper(int64_t k, int64_t n, double delta) {
	double out = -1;
	assert_int_equal(tdm_binomial_upper(k, n, delta, &out, NULL), TDM_OK);
	return out;
}

static void n05_upper_vectors(void **state) {
	near(upper(30, 1000, .05), .04047224, 1e-6);
	near(upper(3, 300, .05), .02564139, 1e-6);
	near(upper(12, 500, .05), .03859558, 1e-6);
	near(upper(20, 1000, .05), .02893012, 1e-6);
	near(upper(0, 300, .05), .009936, 1e-4);
	near(upper(3, 1000, .05), .007735, 1e-4);
	near(upper(1, 300, .05), .015715, 1e-4);
	near(upper(10, 30000, .05), .000565, 2e-3);
	assert_true(upper(7, 7, .05) == 1);
	near(upper(0, 50, .1), 1 - pow(.1, 1.0 / 50), 1e-12);
}

static void lower_mirrors_upper(void **state) {
	double low = -1;
	assert_int_equal(tdm_binomial_lower(970, 1000, .05, &low, NULL), TDM_OK);
	near(low, 1 - .04047224, 1e-6);
	assert_int_equal(tdm_binomial_lower(0, 10, .05, &low, NULL), TDM_OK);
	assert_true(low == 0);
	assert_int_equal(tdm_binomial_lower(10, 10, .05, &low, NULL), TDM_OK);
	near(low, pow(.05, .1), 1e-12);
}

// Of all k that a true probability gives, the bound covers it at least as often as promised.
static void upper_covers(void **state) {
	for (int n = 5; n <= 60; n += 11)
		for (double p = 0.02; p < 1; p += 0.06) {
			double missed = 0;
			for (int k = 0; k <= n; k++)
				if (upper(k, n, .1) < p)
					missed += tdm_binomial_cdf(k, n, p) - tdm_binomial_cdf(k - 1, n, p);
			assert_true(missed <= .1 + 1e-12);
		}
}

static void sample_sizes(void **state) {
	static const double epsilons[] = {.1, .05, .02, .01, .005, .001, .0001};
	static const int64_t want[][4] = {
	    {22, 29, 44, 66},      {45, 59, 90, 135},        {114, 149, 228, 342},        {230, 299, 459, 688},
	    {460, 598, 919, 1379}, {2302, 2995, 4603, 6905}, {23025, 29956, 46050, 69075}};
	static const double deltas[] = {.1, .05, .01, .001};
	for (int i = 0; i < 7; i++)
		for (int j = 0; j < 4; j++)
			assert_int_equal(tdm_binomial_needed(epsilons[i], deltas[j]), want[i][j]);
}

static void bad_input_is_refused(void **state) {
	const struct {
		int64_t k, n;
		double delta;
	} rows[] = {{0, 0, .05}, {-1, 10, .05}, {11, 10, .05}, {1, 10, 0}, {1, 10, 1}, {1, 10, NAN}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		double out = 7;
		assert_int_equal(tdm_binomial_upper(rows[i].k, rows[i].n, rows[i].delta, &out, NULL), TDM_EVALUE);
		assert_int_equal(tdm_binomial_lower(rows[i].k, rows[i].n, rows[i].delta, &out, NULL), TDM_EVALUE);
		assert_true(out == 7);
	}
}

int tdm_test_bounds(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cdf_vectors),          cmocka_unit_test(cdf_of_small_cases),
	    cmocka_unit_test(n01_n02_cdf_edges),    cmocka_unit_test(n03_cdf_is_monotone),
	    cmocka_unit_test(n06_large_n_is_quick), cmocka_unit_test(n05_upper_vectors),
	    cmocka_unit_test(lower_mirrors_upper),  cmocka_unit_test(upper_covers),
	    cmocka_unit_test(sample_sizes),         cmocka_unit_test(bad_input_is_refused),
	};
	return cmocka_run_group_tests_name("bounds", tests, NULL, NULL);
}
