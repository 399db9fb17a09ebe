// The front, its order, and how often what it promises is broken.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "base/random.h"
#include "choose/front_file.h"
#include "tests.h"
#include "synthetic.h"

static void no_policy_of_the_front_is_beaten(void **state) {
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct synthetic s;
		struct tdm_error err = {0};
		synthetic_init(&s, 400, 200);
		synthetic_draw(&s, seed);
		assert_int_equal(tdm_front_make(&s.front, &s.tuning, &s.arena, &err), TDM_OK);
		assert_true(s.front.n_policies >= 3);
		for (int i = 0; i < s.front.n_policies; i++)
			for (int k = 0; k < s.front.n_policies; k++) {
				const struct tdm_front_policy *a = &s.front.policies[i], *b = &s.front.policies[k];
				bool better = a->error < b->error || a->cost < b->cost || a->ms < b->ms;
				assert_false(i != k && better && a->error <= b->error && a->cost <= b->cost && a->ms <= b->ms);
				assert_true(i >= k || a->error <= b->error); // the safest first
			}
		synthetic_release(&s);
	}
}

static void one_arm_is_that_arm(void **state) {
	const double loss[] = {1, 0, 1}, cost[] = {2, 2, 2};
	struct tdm_front_view views[3] = {{.quality = {0.5}}, {.quality = {0.5}}, {.quality = {0.5}}};
	struct tdm_front f = {.n_arms = 1, .arms = {{"only", 0.5, 2, (double)NAN, (double)NAN}}};
	struct tdm_front_items items = {.n = 3, .loss = loss, .cost = cost, .views = views};
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(tdm_front_make(&f, &items, &arena, NULL), TDM_OK);
	assert_int_equal(f.n_policies, 1);
	assert_int_equal(f.policies[0].arm, 0);
	assert_string_equal(tdm_front_text(&arena, &f, &f.policies[0]), "arm only");
	assert_true(fabs(f.policies[0].error - 2.0 / 3) < 1e-12 && f.policies[0].cost == 2 && isnan(f.policies[0].ms));
	tdm_arena_release(&arena);
}

static void policies_rank_arms(void **state) {
	struct tdm_front f = {.n_arms = 3, .arms = {{.name = "a"}, {.name = "b"}, {.name = "c"}}};
	const struct tdm_front_view v = {{0.6, 0.8, 0.9}, {1, 2, 10}, {1, 50, 5}};
	static const struct {
		struct tdm_front_policy policy;
		int order[3];
	} rows[] = {
	    {{.arm = -1}, {2, 1, 0}},
	    {{.arm = -1, .price = 0.05}, {1, 0, 2}}, // .55 .70 .40
	    {{.arm = -1, .wait = 0.01}, {2, 0, 1}},  // .59 .30 .85
	    {{.arm = -1, .price = 1}, {0, 1, 2}},    // -.4 -1.2 -9.1
	    {{.arm = 1}, {1, 2, 0}},                 // that one, then the best
	};
	int order[3];
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		tdm_front_rank(&f, &rows[i].policy, &v, order);
		assert_memory_equal(order, rows[i].order, sizeof order);
	}
	const struct tdm_front_view tie = {{0.5, 0.5, 0.5}, {3, 1, 1}, {0}};
	tdm_front_rank(&f, &rows[0].policy, &tie, order);
	assert_memory_equal(order, ((int[]){1, 2, 0}), sizeof order); // the cheaper, then the first
}

static void always_the_best_arm_needs_no_test(void **state) {
	struct synthetic s;
	struct tdm_front_verdict v[TDM_FRONT_POLICIES];
	struct tdm_front_claim claim = {.levels = {0.001}, .n_levels = 1, .delta = 0.05, .is_free = true};
	synthetic_init(&s, 400, 20); // too few items for anything else
	synthetic_draw(&s, 7);
	s.front.n_policies = SYNTHETIC_ARMS;
	for (int i = 0; i < SYNTHETIC_ARMS; i++)
		s.front.policies[i] = (struct tdm_front_policy){.arm = SYNTHETIC_ARMS - 1 - i};
	assert_int_equal(tdm_front_certify(&s.front, &s.calibration, &claim, 10, &s.arena, v, NULL), TDM_OK);
	assert_int_equal(v[0].level, 0);
	assert_true(v[0].p_value == 0 && v[0].upper == 0 && v[0].n_others == 0);
	assert_true(v[1].level < 0 && v[1].n_others == 20 && v[2].level < 0);
	claim.is_free = false;
	assert_int_equal(tdm_front_certify(&s.front, &s.calibration, &claim, 10, &s.arena, v, NULL), TDM_OK);
	assert_int_equal(v[0].level, -1);
	synthetic_release(&s);
}

static void a_mean_cost_is_promised_too(void **state) {
	struct synthetic s;
	struct tdm_front_verdict with[TDM_FRONT_POLICIES], without[TDM_FRONT_POLICIES];
	struct tdm_front_claim claim = {.levels = {0.3}, .n_levels = 1, .delta = 0.05, .is_free = true, .margin = 0.5};
	synthetic_init(&s, 800, 400);
	synthetic_draw(&s, 3);
	assert_int_equal(tdm_front_make(&s.front, &s.tuning, &s.arena, NULL), TDM_OK);
	assert_int_equal(tdm_front_certify(&s.front, &s.calibration, &claim, 20, &s.arena, with, NULL), TDM_OK);
	assert_true(with[0].level == 0 && fabs(with[0].most_cost - 1.5 * s.front.policies[0].cost) < 1e-3);
	claim.margin = 0.0001; // closer than so few items can show: the first one fails, and ends it
	assert_int_equal(tdm_front_certify(&s.front, &s.calibration, &claim, 20, &s.arena, with, NULL), TDM_OK);
	claim.margin = 0;
	assert_int_equal(tdm_front_certify(&s.front, &s.calibration, &claim, 20, &s.arena, without, NULL), TDM_OK);
	int n_with = 0, n_without = 0;
	for (int i = 0; i < s.front.n_policies; i++) {
		n_with += with[i].level >= 0;
		n_without += without[i].level >= 0;
	}
	assert_int_equal(n_with, 0);
	assert_true(n_without > 2 && isnan(without[1].most_cost));
	synthetic_release(&s);
}

// Answers of the best arm leak now and then; those of the others do not.
static double *leaks_of(struct synthetic *s, struct tdm_front_items *of, struct tdm_rng *rng) {
	double *leaks = tdm_arena_array(&s->arena, of->n * SYNTHETIC_ARMS, sizeof *leaks);
	for (size_t i = 0; i < of->n; i++)
		leaks[i * SYNTHETIC_ARMS + SYNTHETIC_ARMS - 1] = tdm_rng_double(rng) < 0.2;
	of->risks[TDM_FRONT_LEAK] = leaks;
	return leaks;
}

static double true_leak(const struct synthetic *s, const struct tdm_front_policy *p) {
	int order[TDM_FRONT_ARMS];
	double sum = 0;
	for (size_t i = 0; i < s->truth.n; i++) {
		tdm_front_rank(&s->front, p, &s->truth.views[i], order);
		sum += s->truth.risks[TDM_FRONT_LEAK][i * SYNTHETIC_ARMS + (size_t)order[0]];
	}
	return sum / (double)s->truth.n;
}

static void what_leaks_is_promised_too(void **state) {
	enum { RUNS = TDM_SANITIZED ? 40 : 200 };
	struct tdm_front_verdict v[TDM_FRONT_POLICIES];
	struct tdm_front_claim claim = {.levels = {0.3}, .n_levels = 1, .delta = 0.1, .is_free = true};
	struct synthetic s;
	struct tdm_rng rng;
	int broken = 0, accepted = 0;
	synthetic_init(&s, 600, 600);
	tdm_rng_stream(&rng, 5, "leaks", 0);
	synthetic_fill(&s, 2, &rng);
	leaks_of(&s, &s.truth, &rng);
	s.front.most[TDM_FRONT_LEAK] = 0.08;
	for (int r = 0; r < RUNS; r++) {
		bool is_broken = false;
		synthetic_draw(&s, 100 + (uint64_t)r);
		leaks_of(&s, &s.tuning, &rng);
		leaks_of(&s, &s.calibration, &rng);
		assert_int_equal(tdm_front_make(&s.front, &s.tuning, &s.arena, NULL), TDM_OK);
		assert_int_equal(tdm_front_certify(&s.front, &s.calibration, &claim, 20, &s.arena, v, NULL), TDM_OK);
		for (int i = 0; i < s.front.n_policies; i++) {
			assert_true(s.front.policies[i].arm != SYNTHETIC_ARMS - 1); // leaks more than it may
			if (v[i].level < 0)
				continue;
			assert_true(v[i].risks[TDM_FRONT_LEAK] < 0.08 && v[i].p_value <= 0.1);
			is_broken |= true_leak(&s, &s.front.policies[i]) > 0.08;
		}
		accepted += v[0].level >= 0;
		broken += is_broken;
	}
	assert_true(broken <= 0.1 * RUNS + 3 * sqrt(0.09 * RUNS));
	assert_true(accepted > RUNS / 2);
	for (int a = 0; a < SYNTHETIC_ARMS; a++)
		for (size_t i = 0; i < s.tuning.n; i++)
			((double *)s.tuning.risks[TDM_FRONT_LEAK])[i * SYNTHETIC_ARMS + (size_t)a] = 1;
	assert_int_equal(tdm_front_make(&s.front, &s.tuning, &s.arena, NULL), TDM_EVALUE);
	synthetic_release(&s);
}

static void a_tighter_error_is_promised_for_fewer(void **state) {
	struct synthetic s;
	struct tdm_front_verdict v[TDM_FRONT_POLICIES];
	struct tdm_front_claim claim = {.levels = {0.2, 0.05, 0.1}, .n_levels = 3, .delta = 0.05, .is_free = true};
	synthetic_init(&s, 800, 800);
	synthetic_draw(&s, 5);
	assert_int_equal(tdm_front_make(&s.front, &s.tuning, &s.arena, NULL), TDM_OK);
	assert_int_equal(tdm_front_certify(&s.front, &s.calibration, &claim, 10, &s.arena, v, NULL), TDM_OK);
	double last = 0;
	for (int i = 0; i < s.front.n_policies && v[i].level >= 0; i++) {
		assert_true(claim.levels[v[i].level] >= last); // the tightest of each is noted
		last = claim.levels[v[i].level];
		assert_true(v[i].p_value <= 0.05);
	}
	assert_true(last == 0.2);
	synthetic_release(&s);
}

// Redraws of tuning and calibration: the share of them in which any accepted policy is worse than promised. To take
// what looks good enough on the same items breaks it far more often, which shows that the draws are hard enough.
static void promises_are_broken_at_most_as_often_as_said(void **state) {
	enum { RUNS = TDM_SANITIZED ? 60 : 500 };
	struct synthetic_count count = {0};
	synthetic_validity(RUNS, 300, 0.1, 0.05, &count);
	assert_true(count.accepted > 0.9 * RUNS);
	assert_true(count.broken <= RUNS * 0.05 + 3 * sqrt(RUNS * 0.05 * 0.95));
	assert_true(count.broken_naive > 0.2 * RUNS);
}

static void a_front_is_written_and_read(void **state) {
	struct synthetic s;
	struct tdm_front again;
	struct tdm_bytes text, twice;
	struct tdm_error err = {0};
	synthetic_init(&s, 200, 100);
	synthetic_draw(&s, 1);
	s.front.loss = "regret";
	s.front.predictor_hash = "sha256:00";
	assert_int_equal(tdm_front_make(&s.front, &s.tuning, &s.arena, &err), TDM_OK);
	tdm_bytes_init(&text, 1 << 20);
	tdm_bytes_init(&twice, 1 << 20);
	tdm_front_write(&s.front, &text);
	if (tdm_front_read(&s.arena, "front", text.data, text.len, &again, &err))
		fail_msg("%s", err.text);
	tdm_front_write(&again, &twice);
	assert_string_equal(text.data, twice.data);
	static const char *const broken[][2] = {
	    {"{}", "front: a front is expected to have front 1, loss, estimator and predictor"},
	    {"{\"front\":1,\"loss\":\"x\",\"estimator\":\"table\",\"predictor\":\"\"}", "arms, 1 to 16"},
	    {"{\"front\":1,\"loss\":\"x\",\"estimator\":\"table\",\"predictor\":\"\",\"arms\":[{\"name\":\"a\",\"quality\":"
	     "1,"
	     "\"cost\":1}],\"policies\":[{\"arm\":-1,\"price\":0,\"wait\":0,\"error\":0,\"cost\":0}]}",
	     "arm, price, wait, error and cost of every policy"}, // no predictor for it
	    {"[", "front: "},
	};
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		tdm_error_clear(&err);
		assert_int_equal(tdm_front_read(&s.arena, "front", broken[i][0], strlen(broken[i][0]), &again, &err),
		                 TDM_EFORMAT);
		assert_non_null(strstr(err.text, broken[i][1]));
	}
	tdm_bytes_release(&text);
	tdm_bytes_release(&twice);
	synthetic_release(&s);
}

int tdm_test_front(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_policy_of_the_front_is_beaten),
	    cmocka_unit_test(one_arm_is_that_arm),
	    cmocka_unit_test(policies_rank_arms),
	    cmocka_unit_test(always_the_best_arm_needs_no_test),
	    cmocka_unit_test(a_mean_cost_is_promised_too),
	    cmocka_unit_test(what_leaks_is_promised_too),
	    cmocka_unit_test(a_tighter_error_is_promised_for_fewer),
	    cmocka_unit_test(promises_are_broken_at_most_as_often_as_said),
	    cmocka_unit_test(a_front_is_written_and_read),
	};
	return cmocka_run_group_tests_name("front", tests, NULL, NULL);
}
