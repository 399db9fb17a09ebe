// The fit ends where the gradient of its objective is zero, finds what separates two kinds of text, and repeats itself.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/random.h"
#include "learn/fit.h"
#include "tests.h"

enum { N = 300, SPACE = 48 };

static char store[2 * N][SPACE];
static struct tdm_fit_text texts[2 * N];

// Sums of many digits are what the small model gets wrong; one in ten labels is turned around.
static void make_texts(uint64_t seed) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, seed);
	for (int i = 0; i < 2 * N; i++) {
		bool is_hard = tdm_rng_below(&rng, 2);
		unsigned long long range = is_hard ? 100000 : 10;
		int n =
		    snprintf(store[i], SPACE, "What is %llu + %llu?", range + (unsigned long long)tdm_rng_below(&rng, range),
		             range + (unsigned long long)tdm_rng_below(&rng, range));
		bool turned = tdm_rng_below(&rng, 10) == 0;
		texts[i] = (struct tdm_fit_text){store[i], (size_t)n, is_hard == turned};
	}
}

static void gradient_is_zero_at_the_end(void **state) {
	static struct tdm_linear w;
	static double gradient[TDM_N_FEATURES + 1];
	float x[TDM_N_FEATURES];
	make_texts(1);
	assert_int_equal(tdm_fit_logistic(texts, N, 0.01, &w, NULL, NULL), TDM_OK);
	for (int k = 0; k < TDM_N_FEATURES; k++)
		gradient[k] = 0.01 * (double)w.weights[k];
	for (int i = 0; i < N; i++) {
		tdm_features(texts[i].text, texts[i].n, x);
		double off = (tdm_linear_score(&w, x) - texts[i].label) / N;
		gradient[TDM_N_FEATURES] += off;
		for (int k = 0; k < TDM_N_FEATURES; k++)
			gradient[k] += off * (double)x[k];
	}
	for (int k = 0; k <= TDM_N_FEATURES; k++)
		assert_true(fabs(gradient[k]) < 1e-6);
}

static void unseen_texts_are_told_apart(void **state) {
	static struct tdm_linear w;
	struct tdm_fit_report report;
	float x[TDM_N_FEATURES];
	int right = 0;
	make_texts(2);
	assert_int_equal(tdm_fit_logistic(texts, N, 0.01, &w, &report, NULL), TDM_OK);
	for (int i = N; i < 2 * N; i++) {
		tdm_features(texts[i].text, texts[i].n, x);
		right += (tdm_linear_score(&w, x) >= 0.5) == texts[i].label;
	}
	assert_true(right > 0.85 * N);
	assert_true(report.accuracy > 0.85 && report.area > 0.8 && report.loss < 0.5 && report.steps > 1);
}

static void quantiles_reproduce_a_rate(void **state) {
	static struct tdm_linear w;
	float x[TDM_N_FEATURES];
	make_texts(3);
	for (int i = 0; i < N; i++) { // no two alike, so that no scores tie
		int n = snprintf(store[i], SPACE, "%c%c%c about %c%c", 'a' + i % 26, 'a' + i / 26, 'a' + i % 7, 'a' + i % 5,
		                 'a' + i % 11);
		texts[i].n = (size_t)n;
	}
	assert_int_equal(tdm_fit_logistic(texts, N, 0.1, &w, NULL, NULL), TDM_OK);
	for (double rate = 0.1; rate < 0.95; rate += 0.2) {
		double threshold = tdm_linear_threshold(w.by_score, rate);
		int kept = 0;
		for (int i = 0; i < N; i++) {
			tdm_features(texts[i].text, texts[i].n, x);
			kept += tdm_linear_score(&w, x) >= threshold;
		}
		assert_true(fabs(kept - rate * N) <= 4); // 101 quantiles of 300 texts
	}
}

static void same_pairs_same_bytes(void **state) {
	static struct tdm_linear a, b;
	make_texts(4);
	assert_int_equal(tdm_fit_logistic(texts, N, 0.01, &a, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_fit_logistic(texts, N, 0.01, &b, NULL, NULL), TDM_OK);
	assert_memory_equal(&a, &b, sizeof a);
}

static void one_class_and_bad_input(void **state) {
	static struct tdm_linear w;
	struct tdm_fit_report report;
	float x[TDM_N_FEATURES];
	make_texts(5);
	for (int i = 0; i < N; i++)
		texts[i].label = true;
	assert_int_equal(tdm_fit_logistic(texts, N, 0.01, &w, &report, NULL), TDM_OK);
	tdm_features(texts[0].text, texts[0].n, x);
	assert_true(tdm_linear_score(&w, x) > 0.99);
	assert_true(isnan(report.area));
	assert_int_equal(tdm_fit_logistic(texts, 0, 0.01, &w, NULL, NULL), TDM_EVALUE);
	assert_int_equal(tdm_fit_logistic(texts, N, 0, &w, NULL, NULL), TDM_EVALUE);
	assert_int_equal(tdm_fit_logistic(texts, N, (double)NAN, &w, NULL, NULL), TDM_EVALUE);
}

int tdm_test_fit(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gradient_is_zero_at_the_end), cmocka_unit_test(unseen_texts_are_told_apart),
	    cmocka_unit_test(quantiles_reproduce_a_rate),  cmocka_unit_test(same_pairs_same_bytes),
	    cmocka_unit_test(one_class_and_bad_input),
	};
	return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
