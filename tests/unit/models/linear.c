// Features and the scorer's file: the same text the same numbers, and a file that reads back.
#include "tests.h"
#include "models/linear.h"
#include <math.h>

static float x[TDM_N_FEATURES], y[TDM_N_FEATURES];

static double grams_dot(const float *a, const float *b) {
	double sum = 0;
	for (int i = 0; i < TDM_N_GRAMS; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

static void features_of_a_text(void **state) {
	tdm_features("What is 12 + 7?", 15, x);
	assert_true(fabs(grams_dot(x, x) - 1) < 1e-6);
	assert_true(fabs((double)x[TDM_FEATURE_LENGTH] - log(16) / 8) < 1e-6);
	assert_true(fabs((double)x[TDM_FEATURE_DIGITS] - 0.2) < 1e-6);
	tdm_features("what IS 98 + 3?", 15, y); // case and which digits do not count
	assert_memory_equal(x, y, sizeof x);
	tdm_features("What is 123 + 7?", 16, y); // how many digits does
	assert_true(grams_dot(x, y) < 0.99 && grams_dot(x, y) > 0.4);
	tdm_features("Name the capital of France", 26, y);
	assert_true(grams_dot(x, y) < 0.1);
	tdm_features("is what", 7, x); // pairs of words have an order
	tdm_features("what is", 7, y);
	assert_true(memcmp(x, y, sizeof x) != 0);
}

static void features_of_nothing_are_zero(void **state) {
	tdm_features("", 0, x);
	for (int i = 0; i < TDM_N_FEATURES; i++)
		assert_true(x[i] == 0);
}

static void file_reads_back(void **state) {
	static struct tdm_linear w;
	struct tdm_linear *read = NULL;
	struct tdm_arena arena;
	struct tdm_bytes out;
	struct tdm_error err = {0};
	w.bias = -0.125;
	for (int i = 0; i < TDM_N_FEATURES; i++)
		w.weights[i] = (float)(i % 17 - 8) / 64;
	for (int q = 0; q < TDM_N_QUANTILES; q++) {
		w.by_score[q] = q / 101.0;
		w.by_length[q] = q - 500;
	}
	tdm_arena_init(&arena, (size_t)8 << 20);
	tdm_bytes_init(&out, (size_t)1 << 20);
	tdm_linear_write(&w, &out);
	assert_int_equal(tdm_linear_read(&arena, "w.json", out.data, out.len, &read, &err), TDM_OK);
	assert_memory_equal(read, &w, sizeof w);
	assert_int_equal(tdm_linear_read(&arena, "w.json", out.data, out.len / 2, &read, &err), TDM_EFORMAT);
	tdm_bytes_release(&out);
	tdm_arena_release(&arena);
}

static void thresholds_from_quantiles(void **state) {
	double q[TDM_N_QUANTILES];
	for (int i = 0; i < TDM_N_QUANTILES; i++)
		q[i] = i;
	assert_true(tdm_linear_threshold(q, 0) == (double)INFINITY);
	assert_true(tdm_linear_threshold(q, 1) == -(double)INFINITY);
	assert_true(fabs(tdm_linear_threshold(q, 0.25) - 75) < 1e-9);
	assert_true(fabs(tdm_linear_threshold(q, 0.005) - 99.5) < 1e-9);
}

int tdm_test_linear(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(features_of_a_text),
	    cmocka_unit_test(features_of_nothing_are_zero),
	    cmocka_unit_test(file_reads_back),
	    cmocka_unit_test(thresholds_from_quantiles),
	};
	return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
