// Thresholds: every point of a curve worked out by hand, and against a count over the items.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "eval/curve.h"
#include "tests.h"
#include <math.h>

#define LIMIT ((size_t)16 << 20)

static void test_by_hand(void **state) {
	const struct tdm_curve_item items[] = {
	    {0.2, false, true}, {0.9, true, true}, {(double)NAN, true, false}, {0.5, true, false}, {0.5, false, true},
	};
	struct tdm_arena arena;
	struct tdm_curve c;
	tdm_arena_init(&arena, LIMIT);
	assert_int_equal(tdm_curve_make(items, 5, &arena, &c, NULL), TDM_OK);
	assert_int_equal(c.n, 4); // nothing, 0.9, both of 0.5, 0.2; the unknown one never
	assert_true(isinf(c.points[0].threshold));
	assert_float_equal(c.points[0].accuracy, 0.6, 1e-12);
	assert_float_equal(c.points[1].threshold, 0.7, 1e-12);
	assert_float_equal(c.points[1].kept, 0.2, 1e-12);
	assert_float_equal(c.points[1].accuracy, 0.6, 1e-12);
	assert_float_equal(c.points[2].threshold, 0.35, 1e-12);
	assert_float_equal(c.points[2].kept, 0.6, 1e-12);
	assert_float_equal(c.points[2].accuracy, 0.6, 1e-12);
	assert_true(c.points[3].threshold < 0.2 && c.points[3].threshold > 0.199);
	assert_float_equal(c.points[3].accuracy, 0.4, 1e-12);
	assert_ptr_equal(tdm_curve_choose(&c, 0.005), &c.points[2]);
	assert_ptr_equal(tdm_curve_choose(&c, 0.2), &c.points[3]);
	assert_ptr_equal(tdm_curve_at(&c, 0.5), &c.points[1]);
	assert_ptr_equal(tdm_curve_at(&c, 0), &c.points[0]);
	assert_int_equal(tdm_curve_make(items, 0, &arena, &c, NULL), TDM_EVALUE);
	tdm_arena_release(&arena);
}

// Using a point's threshold as a gate does (score >= threshold) gives that point's figures.
static void test_against_counting(void **state) {
	enum { N = 200 };
	struct tdm_curve_item items[N];
	struct tdm_arena arena;
	struct tdm_curve c;
	struct tdm_rng rng;
	tdm_rng_init(&rng, 5);
	for (int i = 0; i < N; i++) {
		items[i].score = (double)tdm_rng_below(&rng, 40) / 8 - 5; // with ties
		items[i].small_right = tdm_rng_below(&rng, 2);
		items[i].large_right = tdm_rng_below(&rng, 4) > 0;
	}
	tdm_arena_init(&arena, LIMIT);
	assert_int_equal(tdm_curve_make(items, N, &arena, &c, NULL), TDM_OK);
	assert_true(c.n > 30 && c.n <= 41);
	for (size_t p = 0; p < c.n; p++) {
		int kept = 0, right = 0;
		for (int i = 0; i < N; i++) {
			bool keeps = items[i].score >= c.points[p].threshold;
			kept += keeps;
			right += keeps ? items[i].small_right : items[i].large_right;
		}
		assert_float_equal(c.points[p].kept, (double)kept / N, 1e-12);
		assert_float_equal(c.points[p].accuracy, (double)right / N, 1e-12);
	}
	tdm_arena_release(&arena);
}

int tdm_test_curve(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_by_hand),
	    cmocka_unit_test(test_against_counting),
	};
	return cmocka_run_group_tests_name("curve", tests, NULL, NULL);
}
