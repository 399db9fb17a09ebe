// Small cases by hand, validity over many calibration sets of a known law, and what is refused.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "law.h"
#include "assure/bounds.h"
#include "assure/control.h"
#include "base/random.h"
#include "tests.h"

enum { N_MAX = 1000 };

static double loss[N_MAX], gate[N_MAX], grid[N_GRID];

// 100 items with scores .995, .985 ...; the loss is in the 10 lowest.
static void by_hand(void **state) {
	struct tdm_risk_claim claim = {.risk = TDM_RISK_JOINT, .epsilon = .1, .delta = .05};
	struct tdm_losses items = {.loss = loss, .gate = gate, .n = 100};
	struct tdm_control c;
	for (int i = 0; i < 100; i++) {
		gate[i] = 1 - (i + .5) / 100;
		loss[i] = i >= 90;
	}
	for (int j = 0; j < N_GRID; j++)
		grid[j] = 1 - j / 100.0;
	assert_int_equal(tdm_control_threshold(&claim, &items, grid, N_GRID, &c, NULL), TDM_OK);
	// 4 losses in 100 reject "above .1" at .05 (p = .024), 5 do not (p = .058)
	assert_true(fabs(c.threshold - .06) < 1e-12);
	assert_int_equal(c.n_kept, 94);
	assert_int_equal(c.n_bad, 4);
	assert_true(fabs(c.p_value - tdm_binomial_cdf(4, 100, .1)) < 1e-15);
	assert_true(c.upper <= .1 && c.upper > .08);
	claim.risk = TDM_RISK_SELECTIVE; // of fewer items: 4 in 94 pass (p = .036), 5 in 95 do not
	assert_int_equal(tdm_control_threshold(&claim, &items, grid, N_GRID, &c, NULL), TDM_OK);
	assert_int_equal(c.n_bad, 4);
	claim.epsilon = .05;
	assert_int_equal(tdm_control_threshold(&claim, &items, grid, N_GRID, &c, NULL), TDM_OK);
	assert_int_equal(c.n_bad, 0);
	assert_int_equal(c.n_kept, 90);
}

static void the_first_failure_ends_the_walk(void **state) {
	struct tdm_risk_claim claim = {.risk = TDM_RISK_SELECTIVE, .epsilon = .2, .delta = .1};
	const double two[] = {.5, 0};
	struct tdm_losses items = {.loss = loss, .gate = gate, .n = 200};
	struct tdm_control c;
	for (int i = 0; i < 200; i++) { // bad at the top, then good: only the end would pass
		gate[i] = 1 - i / 200.0;
		loss[i] = i < 30;
	}
	for (int j = 0; j < N_GRID; j++)
		grid[j] = 1 - j / 100.0;
	assert_int_equal(tdm_control_threshold(&claim, &items, grid, N_GRID, &c, NULL), TDM_OK);
	assert_true(isinf(c.threshold) && c.threshold > 0 && c.n_kept == 0);
	assert_int_equal(tdm_control_threshold(&claim, &items, two + 1, 1, &c, NULL), TDM_OK);
	assert_true(c.threshold == 0);
}

static void n10_ties_are_kept_together(void **state) {
	struct tdm_risk_claim claim = {.risk = TDM_RISK_JOINT, .epsilon = .1, .delta = .05};
	const double half[] = {.5};
	struct tdm_losses items = {.loss = loss, .gate = gate, .n = 60};
	struct tdm_control c;
	for (int i = 0; i < 60; i++) {
		gate[i] = i < 20 ? .5 : .4;
		loss[i] = i >= 20;
	}
	assert_int_equal(tdm_control_threshold(&claim, &items, half, 1, &c, NULL), TDM_OK);
	assert_true(c.threshold == .5 && c.n_kept == 20 && c.n_bad == 0);
}

static void n11_too_few_items_promise_nothing(void **state) {
	struct tdm_risk_claim claim = {.risk = TDM_RISK_JOINT, .epsilon = .05, .delta = .05};
	const double all[] = {0};
	struct tdm_losses items = {.loss = loss, .gate = gate, .n = 58};
	struct tdm_control c;
	for (int i = 0; i < 59; i++)
		loss[i] = 0;
	assert_int_equal(tdm_control_threshold(&claim, &items, all, 1, &c, NULL), TDM_OK);
	assert_true(isinf(c.threshold));
	items.n = 59;
	assert_int_equal(tdm_control_threshold(&claim, &items, all, 1, &c, NULL), TDM_OK);
	assert_true(c.threshold == 0);
}

static double draw_score(struct tdm_rng *rng) {
	for (;;) {
		double s = tdm_rng_double(rng);
		if (tdm_rng_double(rng) * density(1 / 1.3) < density(s))
			return s;
	}
}

static void promise_is_kept_over_many_calibrations(void **state) {
	const int n_runs = 1000;
	const struct tdm_risk_claim claim = {.risk = TDM_RISK_JOINT, .epsilon = .05, .delta = .05};
	struct tdm_losses items = {.loss = loss, .gate = gate, .n = N_MAX};
	struct tdm_rng rng;
	double risk[N_GRID], share[N_GRID], kept = 0;
	int broken = 0;
	true_values(1000, risk, share);
	tdm_rng_init(&rng, 5);
	for (int j = 0; j < N_GRID; j++)
		grid[j] = 1 - j / 100.0;
	for (int run = 0; run < n_runs; run++) {
		struct tdm_control c;
		for (int i = 0; i < N_MAX; i++) {
			gate[i] = draw_score(&rng);
			loss[i] = tdm_rng_double(&rng) < loss_at(gate[i]);
		}
		assert_int_equal(tdm_control_threshold(&claim, &items, grid, N_GRID, &c, NULL), TDM_OK);
		int j = isinf(c.threshold) ? 0 : (int)lrint((1 - c.threshold) * 100);
		kept += share[j] / n_runs;
		broken += risk[j] > claim.epsilon;
	}
	assert_true(fabs(kept - .571) < .01);     // the measured share of this procedure
	assert_true(fabs(broken - 18.0) <= 12.7); // 1.8 %, within three standard errors; 5 % are allowed
}

static void bad_input_is_refused(void **state) {
	const double good[] = {.9, .1}, rising[] = {.1, .9}, nan_grid[] = {(double)NAN};
	struct tdm_risk_claim claim = {.risk = TDM_RISK_JOINT, .epsilon = .05, .delta = .05},
	                      bad = {.risk = TDM_RISK_JOINT, .epsilon = 0, .delta = .05};
	struct tdm_losses items = {.loss = loss, .gate = gate, .n = 10}, none = {.loss = loss, .gate = gate, .n = 0};
	struct tdm_control c = {.n_kept = 77};
	struct tdm_error err = {0};
	for (int i = 0; i < 10; i++)
		loss[i] = gate[i] = 0;
	assert_int_equal(tdm_control_threshold(&bad, &items, good, 2, &c, NULL), TDM_EVALUE);
	assert_int_equal(tdm_control_threshold(&claim, &none, good, 2, &c, NULL), TDM_EVALUE);
	assert_int_equal(tdm_control_threshold(&claim, &items, good, 0, &c, NULL), TDM_EVALUE);
	assert_int_equal(tdm_control_threshold(&claim, &items, rising, 2, &c, NULL), TDM_EVALUE);
	assert_int_equal(tdm_control_threshold(&claim, &items, nan_grid, 1, &c, NULL), TDM_EVALUE);
	loss[3] = .5;
	assert_int_equal(tdm_control_threshold(&claim, &items, good, 2, &c, &err), TDM_EVALUE);
	assert_string_equal(err.text, "control: loss 3 is 0.5, expected 0 or 1");
	loss[3] = 0;
	gate[4] = (double)NAN;
	assert_int_equal(tdm_control_threshold(&claim, &items, good, 2, &c, NULL), TDM_EVALUE);
	assert_int_equal(c.n_kept, 77);
}

int tdm_test_control(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_hand),
	    cmocka_unit_test(the_first_failure_ends_the_walk),
	    cmocka_unit_test(n10_ties_are_kept_together),
	    cmocka_unit_test(n11_too_few_items_promise_nothing),
	    cmocka_unit_test(promise_is_kept_over_many_calibrations),
	    cmocka_unit_test(bad_input_is_refused),
	};
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
