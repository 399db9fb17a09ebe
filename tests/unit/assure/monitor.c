// The monitor: how often it cries wolf, and when it sees a breach; drift; the audit's estimator; confidence sequences.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "assure/monitor.h"
#include "base/random.h"
#include "tests.h"

// The first alarm within n items of a risk, 0 = none.
static uint64_t first_alarm(struct tdm_rng *rng, double risk, uint64_t n) {
	struct tdm_monitor m;
	tdm_monitor_init(&m, .05, .05);
	for (uint64_t i = 1; i <= n; i++)
		if (tdm_monitor_add(&m, tdm_rng_double(rng) < risk))
			return i;
	return 0;
}

static void n18_false_alarms(void **state) {
	const int n_runs = TDM_SANITIZED ? 100 : 1000;
	const uint64_t length = TDM_SANITIZED ? 1000 : 3000;
	struct tdm_rng rng;
	int alarms = 0;
	tdm_rng_init(&rng, 21);
	for (int i = 0; i < n_runs; i++)
		alarms += first_alarm(&rng, .05, length) > 0;
	assert_true(alarms <= n_runs * .05 + 3 * sqrt(n_runs * .05 * .95));
	assert_true(alarms > 0); // and it is no monitor that sleeps
}

static int ascending(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static void n18_a_doubled_risk_is_seen(void **state) {
	uint64_t at[201];
	struct tdm_rng rng;
	tdm_rng_init(&rng, 22);
	for (int i = 0; i < 201; i++)
		at[i] = first_alarm(&rng, .1, 20000);
	qsort(at, 201, sizeof *at, ascending);
	assert_true(at[0] > 0);
	printf("monitor: a risk of 2 epsilon alarms after %llu audited items (median of 201)\n",
	       (unsigned long long)at[100]);
	assert_true(at[100] < 400);
}

static void an_alarm_stays(void **state) {
	struct tdm_monitor m;
	tdm_monitor_init(&m, .3, .05); // stakes of 4 are capped at 1 / .3
	for (int i = 0; i < 20; i++)
		tdm_monitor_add(&m, 1);
	assert_true(m.alarmed && tdm_monitor_pvalue(&m) <= .05);
	for (int i = 0; i < 10000; i++)
		assert_true(tdm_monitor_add(&m, 0));
	assert_true(isfinite(m.evidence));
	tdm_monitor_init(&m, .05, .05);
	for (int i = 0; i < 50; i++) // what cannot be scored counts as a loss
		tdm_monitor_add(&m, (double)NAN);
	assert_true(m.alarmed);
}

static void audit_is_unbiased_under_any_coin(void **state) {
	struct tdm_audit a = {0, 0, 0};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 23);
	assert_true(isnan(tdm_audit_risk(&a)));
	for (int i = 0; i < 400000; i++) { // two tenants with their own risk and their own coin
		bool first = tdm_rng_double(&rng) < .3;
		double coin = first ? .05 : .01, z = tdm_rng_double(&rng) < (first ? .02 : .1);
		tdm_audit_add(&a, tdm_rng_double(&rng) < coin, z, coin);
	}
	assert_true(fabs(tdm_audit_risk(&a) - (.3 * .02 + .7 * .1)) < .012); // four standard errors
	assert_true(a.n_audited > 8000 && a.n_audited < 9600);
}

static void drift_of_scores(void **state) {
	const int n_runs = TDM_SANITIZED ? 100 : 500;
	double calibration[100];
	struct tdm_rng rng;
	struct tdm_drift d;
	int alarms = 0;
	tdm_rng_init(&rng, 24);
	for (int i = 0; i < 100; i++)
		calibration[i] = (i / 10) / 10.0; // heavy ties
	assert_true(tdm_drift_rank(calibration, 100, -1, .5) < .01);
	assert_true(tdm_drift_rank(calibration, 100, 2, .5) > .99);
	assert_true(fabs(tdm_drift_rank(calibration, 100, .5, 0) - 50.0 / 101) < 1e-12);
	assert_true(tdm_drift_rank(calibration, 100, .5, .999) < 61.0 / 101);
	for (int run = 0; run < n_runs; run++) {
		tdm_drift_init(&d, .05);
		for (int i = 0; i < 1000 && !d.alarmed; i++)
			tdm_drift_add(&d, tdm_rng_double(&rng));
		alarms += d.alarmed;
	}
	assert_true(alarms <= n_runs * .05 + 3 * sqrt(n_runs * .05 * .95));
	tdm_drift_init(&d, .05);
	for (int i = 0; i < 100 && !d.alarmed; i++)
		tdm_drift_add(&d, .8 + .2 * tdm_rng_double(&rng));
	assert_true(d.alarmed && d.n < 40);
}

// At every one of 500 times at once the sequence holds the mean, in 95 of 100 runs.
static void sequence_holds_the_mean(void **state) {
	const int n_runs = TDM_SANITIZED ? 10 : 100;
	static struct tdm_sequence s;
	struct tdm_rng rng;
	int missed = 0;
	double width = 0;
	tdm_rng_init(&rng, 25);
	for (int run = 0; run < n_runs; run++) {
		bool out = false;
		tdm_sequence_init(&s, .05);
		assert_true(s.low == 0 && s.high == 1);
		for (int i = 0; i < 500; i++) {
			tdm_sequence_add(&s, tdm_rng_double(&rng) < .1);
			out = out || s.low > .1 || s.high < .1;
		}
		missed += out;
		width += (s.high - s.low) / n_runs;
	}
	assert_true(missed <= n_runs * .05 + 3 * sqrt(n_runs * .05 * .95));
	assert_true(width < .15);
}

int tdm_test_monitor(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(n18_false_alarms), cmocka_unit_test(n18_a_doubled_risk_is_seen),
	    cmocka_unit_test(an_alarm_stays),   cmocka_unit_test(audit_is_unbiased_under_any_coin),
	    cmocka_unit_test(drift_of_scores),  cmocka_unit_test(sequence_holds_the_mean),
	};
	return cmocka_run_group_tests_name("monitor", tests, NULL, NULL);
}
