// Published vectors of the bounds, their traps, and how often each is wrong on laws that are known.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "assure/bounds.h"
#include "assure/pvalue.h"
#include "base/random.h"
#include "tests.h"

enum { N_MAX = 1000000 };
static double loss[N_MAX];

static void near(double got, double want, double relative) {
	if (!(fabs(got - want) <= relative * fabs(want)))
		fail_msg("%.12g, expected %.12g", got, want);
}

static double p_of(enum tdm_bound bound, size_t n, double epsilon) {
	double p = -1;
	assert_int_equal(tdm_pvalue(bound, loss, n, epsilon, .05, &p, NULL), TDM_OK);
	return p;
}

static double upper_of(enum tdm_bound bound, size_t n) {
	double upper = -1;
	assert_int_equal(tdm_upper(bound, loss, n, .05, &upper, NULL), TDM_OK);
	return upper;
}

static void fill(size_t n, size_t k, double value) {
	for (size_t i = 0; i < n; i++)
		loss[i] = i < k ? value : 0;
}

static void vectors_hoeffding_bentkus(void **state) {
	near(tdm_hb(30, 1000, .05), .003471430514, 1e-8);
	near(tdm_hb(3, 300, .02), .392266908, 1e-8);
	near(tdm_hb(12, 500, .05), .007095581051, 1e-8);
	near(tdm_hb(0, 59, .05), .04849452525, 1e-8);
	assert_true(tdm_hb(50, 1000, .05) == 1);
	fill(1000, 30, 1);
	near(p_of(TDM_BOUND_HB, 1000, .05), .003471430514, 1e-8);
	near(p_of(TDM_BOUND_BINOMIAL, 1000, .05), .001277067917, 1e-8);
}

static void every_at(size_t n, size_t step, double value) { // positions from 1: step, 2 step ...
	for (size_t i = 0; i < n; i++)
		loss[i] = (i + 1) % step ? 0 : value;
}

static void vectors_betting(void **state) {
	every_at(400, 25, .5);
	near(p_of(TDM_BOUND_BETTING, 400, .05), 9.007448887e-5, 1e-8);
	every_at(1000, 10, .25);
	near(p_of(TDM_BOUND_BETTING, 1000, .05), 1.523195087e-9, 1e-8);
	near(upper_of(TDM_BOUND_BETTING, 1000), .03124532, 1e-6);
}

// The bounds of comparison from their formulas, worked by hand.
static void vectors_of_the_others(void **state) {
	fill(100, 2, 1);
	near(p_of(TDM_BOUND_HOEFFDING, 100, .1), exp(-2 * 100 * .08 * .08), 1e-12);
	double v = 2 * .98 / 99, t = log(2 / .05);
	near(upper_of(TDM_BOUND_BERNSTEIN, 100), .02 + sqrt(2 * v * t / 100) + 7 * t / (3 * 99), 1e-9);
	near(p_of(TDM_BOUND_NORMAL, 100, .1), .5 * erfc(.08 / .03 / sqrt(2)), 1e-12);
}

static void n07_hb_at_and_above_epsilon(void **state) {
	fill(200, 20, 1);
	assert_true(p_of(TDM_BOUND_HB, 200, .1) == 1);
	assert_true(p_of(TDM_BOUND_HB, 200, .05) == 1);
	assert_true(tdm_hb(.1 + .2, 100, .05) == tdm_hb(.3, 100, .05)); // .30000000000000004
	for (int i = 0; i < 30; i++)                                    // a sum of 3 that is one bit above it is 3
		loss[i] = .1;
	fill(100, 30, .1);
	double sum = 0;
	for (int i = 0; i < 100; i++)
		sum += loss[i];
	near(tdm_hb(sum, 100, .1), tdm_hb(3, 100, .1), 1e-9);
}

static void n04_never_zero(void **state) {
	fill(N_MAX, 0, 0);
	for (int b = 0; b < TDM_N_BOUNDS; b++)
		assert_true(p_of((enum tdm_bound)b, N_MAX, .5) > 0);
}

static void n08_order_and_length(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 3);
	for (int i = 0; i < N_MAX; i++)
		loss[i] = tdm_rng_double(&rng) < .02 ? tdm_rng_double(&rng) : 0;
	double before = p_of(TDM_BOUND_BETTING, N_MAX, .0105), risk = upper_of(TDM_BOUND_BETTING, 1000);
	assert_true(before > 0 && before < 1e-3);
	for (size_t i = 999; i > 0; i--) {
		size_t j = tdm_rng_below(&rng, i + 1);
		double t = loss[i];
		loss[i] = loss[j];
		loss[j] = t;
	}
	double again = upper_of(TDM_BOUND_BETTING, 1000);
	assert_true(again != risk && fabs(again - risk) < .01); // another order, another bound, both valid
}

static void bounds_fall_with_epsilon(void **state) {
	every_at(300, 7, .3);
	for (int b = 0; b < TDM_N_BOUNDS; b++) {
		double before = 1;
		if (b == TDM_BOUND_BINOMIAL)
			continue;
		for (double e = .01; e < 1; e += .01) {
			double p = p_of((enum tdm_bound)b, 300, e);
			assert_true(p <= before * (1 + 1e-12));
			before = p;
		}
		double upper = upper_of((enum tdm_bound)b, 300);
		near(p_of((enum tdm_bound)b, 300, upper), .05, 1e-6);
	}
}

static void n09_bad_input_is_refused(void **state) {
	const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY, -1e-9, 1 + 1e-9};
	double out = 7;
	for (int b = 0; b < TDM_N_BOUNDS; b++) {
		enum tdm_bound bound = (enum tdm_bound)b;
		fill(10, 0, 0);
		assert_int_equal(tdm_pvalue(bound, loss, 0, .1, .1, &out, NULL), TDM_EVALUE);
		assert_int_equal(tdm_pvalue(bound, loss, 10, 0, .1, &out, NULL), TDM_EVALUE);
		assert_int_equal(tdm_pvalue(bound, loss, 10, 1, .1, &out, NULL), TDM_EVALUE);
		assert_int_equal(tdm_pvalue(bound, loss, 10, NAN, .1, &out, NULL), TDM_EVALUE);
		assert_int_equal(tdm_upper(bound, loss, 10, NAN, &out, NULL), TDM_EVALUE);
		for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
			loss[4] = bad[i];
			assert_int_equal(tdm_pvalue(bound, loss, 10, .1, .1, &out, NULL), TDM_EVALUE);
			assert_int_equal(tdm_upper(bound, loss, 10, .1, &out, NULL), TDM_EVALUE);
		}
	}
	loss[4] = .5;
	assert_int_equal(tdm_pvalue(TDM_BOUND_BINOMIAL, loss, 10, .1, .1, &out, NULL), TDM_EVALUE);
	assert_true(out == 7);
}

// One loss of a law whose mean is epsilon: 0-1, graded, or a heavy tie of few large values.
static double draw(struct tdm_rng *rng, int law, double epsilon) {
	static const double grades[] = {.25, .25, .5, .6};
	double u = tdm_rng_double(rng);
	if (law == 0)
		return u < epsilon;
	if (law == 1)
		return u < epsilon / .4 ? grades[tdm_rng_below(rng, 4)] : 0;
	return u < epsilon / .9 ? .9 : 0;
}

// How often a risk of exactly epsilon is taken for less, of 10^4 runs: at most delta and three standard errors. The
// naive rule "the mean is not above epsilon" must fail the same test.
static double violations(enum tdm_bound bound, int law, size_t n, int n_runs, double *naive) {
	struct tdm_rng rng;
	int wrong = 0, looks_fine = 0;
	tdm_rng_init(&rng, (uint64_t)(law * 10 + (int)bound));
	for (int r = 0; r < n_runs; r++) {
		double sum = 0;
		for (size_t i = 0; i < n; i++)
			sum += loss[i] = draw(&rng, law, .05);
		looks_fine += sum <= .05 * (double)n;
		wrong += p_of(bound, n, .05) <= .05;
	}
	*naive = (double)looks_fine / n_runs;
	return (double)wrong / n_runs;
}

static void n16_validity(void **state) {
	static const enum tdm_bound valid[] = {TDM_BOUND_BINOMIAL, TDM_BOUND_HB, TDM_BOUND_BETTING, TDM_BOUND_HOEFFDING,
	                                       TDM_BOUND_BERNSTEIN};
	const int n_runs = TDM_SANITIZED ? 500 : 10000;
	const double most = .05 + 3 * sqrt(.05 * .95 / n_runs);
	double naive;
	for (size_t b = 0; b < sizeof valid / sizeof *valid; b++)
		for (int law = 0; law < (valid[b] == TDM_BOUND_BINOMIAL ? 1 : 3); law++) {
			double wrong = violations(valid[b], law, 100, n_runs, &naive);
			if (wrong > most)
				fail_msg("%s, law %d: %g of the runs", tdm_bound_names[valid[b]], law, wrong);
			assert_true(naive > most);
		}
	assert_true(violations(TDM_BOUND_BETTING, 1, 1000, n_runs / 5, &naive) <= .05 + 3 * sqrt(.05 * .95 * 5 / n_runs));
	assert_true(violations(TDM_BOUND_BINOMIAL, 0, 10000, n_runs / 20, &naive) <=
	            .05 + 3 * sqrt(.05 * .95 * 20 / n_runs));
}

// Power on graded losses: what 5.3 of the design's table measured, within what so few runs can tell.
static double power(enum tdm_bound bound, double risk, double epsilon, size_t n, int n_runs) {
	struct tdm_rng rng;
	int shown = 0;
	tdm_rng_init(&rng, 11);
	for (int r = 0; r < n_runs; r++) {
		for (size_t i = 0; i < n; i++)
			loss[i] = draw(&rng, 1, risk);
		shown += p_of(bound, n, epsilon) <= .05;
	}
	return (double)shown / n_runs;
}

static void betting_needs_fewer_graded_losses(void **state) {
	const int n_runs = TDM_SANITIZED ? 300 : 2000;
	const double most = 4 * sqrt(.25 / n_runs);
	assert_true(fabs(power(TDM_BOUND_HB, .025, .05, 200, n_runs) - .14) < most);
	assert_true(fabs(power(TDM_BOUND_BETTING, .025, .05, 200, n_runs) - .71) < most);
	assert_true(fabs(power(TDM_BOUND_HB, .01, .02, 500, n_runs) - .15) < most);
	assert_true(fabs(power(TDM_BOUND_BETTING, .01, .02, 500, n_runs) - .68) < most);
}

static void judged_losses_are_corrected(void **state) {
	struct tdm_rng rng;
	static double judge[4000], human[4000];
	double upper, plain;
	tdm_rng_init(&rng, 8);
	for (int i = 0; i < 4000; i++) { // the judge misses a third of the losses
		human[i] = tdm_rng_double(&rng) < .06;
		judge[i] = human[i] != 0 && tdm_rng_double(&rng) < 2.0 / 3;
	}
	assert_int_equal(tdm_upper(TDM_BOUND_BINOMIAL, judge, 4000, .05, &plain, NULL), TDM_OK);
	assert_int_equal(tdm_upper_judged(TDM_BOUND_BINOMIAL, judge, 4000, judge, human, 1000, .05, &upper, NULL), TDM_OK);
	assert_true(plain < .06); // as judged, the promise is wrong
	assert_true(upper > .06 && upper < .12);
}

int tdm_test_pvalue(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vectors_hoeffding_bentkus),
	    cmocka_unit_test(vectors_betting),
	    cmocka_unit_test(vectors_of_the_others),
	    cmocka_unit_test(n07_hb_at_and_above_epsilon),
	    cmocka_unit_test(n04_never_zero),
	    cmocka_unit_test(n08_order_and_length),
	    cmocka_unit_test(bounds_fall_with_epsilon),
	    cmocka_unit_test(n09_bad_input_is_refused),
	    cmocka_unit_test(n16_validity),
	    cmocka_unit_test(betting_needs_fewer_graded_losses),
	    cmocka_unit_test(judged_losses_are_corrected),
	};
	return cmocka_run_group_tests_name("pvalue", tests, NULL, NULL);
}
