// Procedures and plans: by hand, sample sizes that are known, conformal ranks.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include "assure/conformal.h"
#include "assure/plan.h"
#include "assure/procedure.h"
#include "base/random.h"
#include "tests.h"

static void by_hand(void **state) {
	const double p[] = {.001, .03, .02, .2, .004, .01};
	bool r[6];
	assert_int_equal(tdm_procedure_reject(TDM_FIXED_SEQUENCE, p, 6, .05, 0, r), 3);
	assert_true(r[0] && r[1] && r[2] && !r[3] && !r[4]);
	assert_int_equal(tdm_procedure_reject(TDM_BONFERRONI, p, 6, .05, 0, r), 5); // .0083
	assert_true(r[0] && !r[1] && !r[2] && !r[3] && r[4] && !r[5]);
	assert_int_equal(tdm_procedure_reject(TDM_HOLM, p, 6, .05, 0, r), 6); // .01 against .05 / 4; .02 fails .05 / 3
	assert_true(r[0] && !r[1] && !r[2] && r[4] && r[5]);
	assert_int_equal(tdm_procedure_reject(TDM_MULTI_START, p, 6, .05, 2, r), 1); // chains from 0 and 3, at .025
	const double q[] = {.001, .03, .02, .02, .004, .01};
	assert_int_equal(tdm_procedure_reject(TDM_MULTI_START, q, 6, .05, 2, r), 6);
	assert_true(r[0] && !r[1] && !r[2] && r[3] && r[5]);
}

static void n11_nothing_rejected(void **state) {
	const double p[] = {(double)NAN, .2};
	bool r[2];
	for (int i = 0; i < TDM_N_PROCEDURES; i++) {
		assert_int_equal(tdm_procedure_reject((enum tdm_procedure)i, p, 2, .05, 2, r), 0);
		assert_int_equal(tdm_procedure_reject((enum tdm_procedure)i, p, 0, .05, 2, r), 0);
	}
}

static void several_risks_at_once(void **state) {
	const double p[] = {.01, .04, .02}, unknown[] = {.01, (double)NAN, .02};
	assert_true(tdm_joint_pvalue(p, 3) == .04);
	assert_true(tdm_joint_pvalue(unknown, 3) == 1);
	assert_true(tdm_joint_pvalue(p, 0) == 1);
}

// Ten true hypotheses whose p-values are uniform: each procedure is wrong at most delta often; testing each at delta,
// a procedure that is broken, is wrong far more often.
static void n16_family_wise(void **state) {
	const int n_runs = 10000;
	const double most = .05 + 3 * sqrt(.05 * .95 / n_runs);
	int wrong[TDM_N_PROCEDURES] = {0}, broken = 0;
	struct tdm_rng rng;
	tdm_rng_init(&rng, 4);
	for (int run = 0; run < n_runs; run++) {
		double p[10], least = 1;
		bool r[10];
		for (int j = 0; j < 10; j++)
			least = fmin(least, p[j] = tdm_rng_double(&rng));
		broken += least <= .05;
		for (int i = 0; i < TDM_N_PROCEDURES; i++)
			wrong[i] += tdm_procedure_reject((enum tdm_procedure)i, p, 10, .05, 3, r) > 0;
	}
	for (int i = 0; i < TDM_N_PROCEDURES; i++)
		assert_true(wrong[i] <= most * n_runs);
	assert_true(broken > most * n_runs);
}

static void plan_is(enum tdm_bound bound, double epsilon, double delta, double share, int64_t first, int64_t safe) {
	struct tdm_plan plan = {0, 0};
	assert_int_equal(tdm_plan_items(bound, epsilon, delta, share, .9, &plan, NULL), TDM_OK);
	if (llabs(plan.first - first) > 1 || llabs(plan.safe - safe) > 1)
		fail_msg("%lld / %lld, expected %lld / %lld", (long long)plan.first, (long long)plan.safe, (long long)first,
		         (long long)safe);
}

static void items_for_power(void **state) {
	static const struct {
		enum tdm_bound bound;
		double epsilon, delta;
		int64_t n[8]; // first and safe for a true risk of .1, .25, .5, .75 of epsilon
	} rows[] = {
	    {TDM_BOUND_BINOMIAL, .1, .05, {46, 61, 89, 103, 239, 263, 1096, 1161}},
	    {TDM_BOUND_BINOMIAL, .05, .05, {93, 124, 181, 208, 506, 554, 2310, 2439}},
	    {TDM_BOUND_BINOMIAL, .02, .05, {236, 313, 456, 523, 1271, 1390, 5895, 6273}},
	    {TDM_BOUND_BINOMIAL, .01, .05, {473, 628, 913, 1049, 2546, 2784, 11907, 12663}},
	    {TDM_BOUND_BINOMIAL, .005, .05, {947, 1258, 1829, 2100, 5096, 5572, 24040, 25336}},
	    {TDM_BOUND_HB, .1, .05, {74, 74, 118, 132, 323, 347, 1460, 1525}},
	    {TDM_BOUND_HB, .05, .05, {150, 150, 240, 268, 652, 725, 3064, 3195}},
	    {TDM_BOUND_HB, .02, .05, {379, 379, 605, 676, 1699, 1821, 7897, 8223}},
	    {TDM_BOUND_HB, .01, .05, {760, 760, 1213, 1354, 3404, 3647, 15915, 16568}},
	    {TDM_BOUND_HB, .005, .05, {1523, 1523, 2429, 2712, 6814, 7300, 31843, 33367}},
	    {TDM_BOUND_BINOMIAL, .1, .01, {81, 81, 127, 142, 362, 386, 1686, 1741}},
	    {TDM_BOUND_BINOMIAL, .05, .01, {165, 165, 288, 316, 755, 828, 3518, 3649}},
	    {TDM_BOUND_BINOMIAL, .02, .01, {418, 418, 725, 796, 1959, 2081, 9037, 9420}},
	    {TDM_BOUND_BINOMIAL, .01, .01, {838, 838, 1453, 1596, 3924, 4169, 18309, 18964}},
	    {TDM_BOUND_BINOMIAL, .005, .01, {1678, 1678, 2910, 3196, 7855, 8344, 36632, 38162}},
	};
	static const double shares[] = {.1, .25, .5, .75};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int j = 0; j < (TDM_SANITIZED ? 3 : 4); j++)
			plan_is(rows[i].bound, rows[i].epsilon, rows[i].delta, shares[j], rows[i].n[2 * j], rows[i].n[2 * j + 1]);
}

static void plans_that_cannot_be(void **state) {
	struct tdm_plan plan;
	assert_int_equal(tdm_plan_items(TDM_BOUND_BETTING, .1, .05, .5, .9, &plan, NULL), TDM_EVALUE);
	assert_int_equal(tdm_plan_items(TDM_BOUND_HB, .1, .05, 1, .9, &plan, NULL), TDM_EVALUE);
	assert_int_equal(tdm_plan_items(TDM_BOUND_HB, 0, .05, .5, .9, &plan, NULL), TDM_EVALUE);
}

static void n14_conformal_ranks(void **state) {
	struct tdm_fraction tenth, alpha;
	const double scores[] = {3, 1, 2, 5, 4, 9, 8, 7, 6};
	double at = 0;
	assert_int_equal(tdm_fraction_read("0.1", &tenth, NULL), TDM_OK);
	assert_int_equal(tdm_conformal_rank(9, tenth), 9);   // 10 * .9 exactly
	assert_int_equal(tdm_conformal_rank(8, tenth), 9);   // of 8: none is high enough
	assert_int_equal(tdm_conformal_rank(99, tenth), 90); // 100 * .9 in doubles may be 90.00000000000001
	for (size_t n = 1; n < 2000; n++)                    // ceil((n + 1) * 95 / 100) by integers
		if (tdm_fraction_read("0.050", &alpha, NULL) || tdm_conformal_rank(n, alpha) != ((n + 1) * 95 + 99) / 100)
			fail_msg("rank of %zu", n);
	assert_int_equal(tdm_conformal_quantile(scores, 9, tenth, &at, NULL), TDM_OK);
	assert_true(at == 9);
	assert_int_equal(tdm_conformal_quantile(scores, 8, tenth, &at, NULL), TDM_OK);
	assert_true(isinf(at));
	assert_int_equal(tdm_conformal_rank((size_t)1 << 62, tenth), 4150517416584649115u); // no overflow
	static const char *const bad[] = {"0", "1", "1.0", "0.", ".", "", "-0.1", "0,1", "0.00", "1e-3", "0.1234567890"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(tdm_fraction_read(bad[i], &alpha, NULL), TDM_EVALUE);
}

static void conformal_class_keeps_ties_out(void **state) {
	const double loss[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0}, gate[] = {.1, .2, .3, .4, .5, .6, .7, .8, .9, .95};
	struct tdm_losses items = {.loss = loss, .gate = gate, .n = 10};
	struct tdm_fraction f = {2, 10}, small = {1, 100};
	double at = 0;
	assert_int_equal(tdm_conformal_class(&items, f, &at, NULL), TDM_OK);
	assert_true(at > .8 && at < .8 + 1e-12); // the 8th of 9; the item with .8 itself is not kept
	assert_int_equal(tdm_conformal_class(&items, small, &at, NULL), TDM_OK);
	assert_true(isinf(at));
}

static void n15_expected_risk_counts_one_more_loss(void **state) {
	const double loss[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, gate[] = {.95, .85, .75, .65, .55, .45, .35, .25, .15, .05};
	const double grid[] = {.9, .8, .7, .6, .5, .4, .3, .2, .1, 0};
	struct tdm_losses items = {.loss = loss, .gate = gate, .n = 10};
	double at = 0;
	assert_int_equal(tdm_conformal_expected(&items, grid, 10, .15, 1, &at, NULL), TDM_OK);
	assert_true(at == .2); // (0 + 1) / 11 = .09; with one loss (1 + 1) / 11 = .18, though 1 / 10 is below .15
	assert_int_equal(tdm_conformal_expected(&items, grid, 10, .19, 1, &at, NULL), TDM_OK);
	assert_true(at == .1);
	assert_int_equal(tdm_conformal_expected(&items, grid, 10, .05, 1, &at, NULL), TDM_OK);
	assert_true(isinf(at));
}

int tdm_test_procedure(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_hand),
	    cmocka_unit_test(n11_nothing_rejected),
	    cmocka_unit_test(several_risks_at_once),
	    cmocka_unit_test(n16_family_wise),
	    cmocka_unit_test(items_for_power),
	    cmocka_unit_test(plans_that_cannot_be),
	    cmocka_unit_test(n14_conformal_ranks),
	    cmocka_unit_test(conformal_class_keeps_ties_out),
	    cmocka_unit_test(n15_expected_risk_counts_one_more_loss),
	};
	return cmocka_run_group_tests_name("procedure", tests, NULL, NULL);
}
