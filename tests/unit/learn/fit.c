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
static struct tdm_fit_item items[2 * N];

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
		items[i].label = is_hard == turned;
		items[i].seen = (struct tdm_seen){.question = store[i], .n_question = (size_t)n, .answer = "12", .n_answer = 2};
	}
}

static void gradient_is_zero(enum tdm_reads reads) {
	static struct tdm_linear w;
	static double gradient[TDM_N_FEATURES + 1];
	static float x[TDM_N_FEATURES];
	int n = tdm_n_features(reads);
	make_texts(1);
	assert_int_equal(tdm_fit_logistic(reads, items, N, 0.01, &w, NULL, NULL), TDM_OK);
	gradient[n] = 0;
	for (int k = 0; k < n; k++)
		gradient[k] = 0.01 * (double)w.weights[k];
	for (int i = 0; i < N; i++) {
		tdm_features(reads, &items[i].seen, x);
		double off = (tdm_linear_score(&w, &items[i].seen) - items[i].label) / N;
		gradient[n] += off;
		for (int k = 0; k < n; k++)
			gradient[k] += off * (double)x[k];
	}
	for (int k = 0; k <= n; k++)
		assert_true(fabs(gradient[k]) < 1e-6);
}

static void gradient_is_zero_at_the_end(void **state) {
	gradient_is_zero(TDM_READS_QUESTION);
	gradient_is_zero(TDM_READS_ANSWER);
}

// What an answer looks like decides where questions are all alike.
static void answers_are_told_apart(void **state) {
	static struct tdm_linear w;
	struct tdm_fit_report report;
	make_texts(6);
	for (int i = 0; i < N; i++) {
		items[i].label = i % 2 == 0;
		tdm_logprobs_add(&items[i].seen.logprobs, items[i].label ? -0.1 : -1);
	}
	assert_int_equal(tdm_fit_logistic(TDM_READS_ANSWER, items, N, 0.001, &w, &report, NULL), TDM_OK);
	assert_true(report.area > 0.999);
	struct tdm_seen seen = items[0].seen;
	assert_true(tdm_linear_score(&w, &seen) > 0.5);
	seen.logprobs = items[1].seen.logprobs;
	assert_true(tdm_linear_score(&w, &seen) < 0.5);
}

static void unseen_texts_are_told_apart(void **state) {
	static struct tdm_linear w;
	struct tdm_fit_report report;
	int right = 0;
	make_texts(2);
	assert_int_equal(tdm_fit_logistic(TDM_READS_QUESTION, items, N, 0.01, &w, &report, NULL), TDM_OK);
	for (int i = N; i < 2 * N; i++) {
		right += (tdm_linear_score(&w, &items[i].seen) >= 0.5) == items[i].label;
	}
	assert_true(right > 0.85 * N);
	assert_true(report.accuracy > 0.85 && report.area > 0.8 && report.loss < 0.5);
}

static void quantiles_reproduce_a_rate(void **state) {
	static struct tdm_linear w;
	make_texts(3);
	for (int i = 0; i < N; i++) { // no two alike, so that no scores tie
		int n = snprintf(store[i], SPACE, "%c%c%c about %c%c", 'a' + i % 26, 'a' + i / 26, 'a' + i % 7, 'a' + i % 5,
		                 'a' + i % 11);
		items[i].seen.n_question = (size_t)n;
	}
	assert_int_equal(tdm_fit_logistic(TDM_READS_QUESTION, items, N, 0.1, &w, NULL, NULL), TDM_OK);
	for (double rate = 0.1; rate < 0.95; rate += 0.2) {
		double threshold = tdm_linear_threshold(w.by_score, rate);
		int kept = 0;
		for (int i = 0; i < N; i++) {
			kept += tdm_linear_score(&w, &items[i].seen) >= threshold;
		}
		assert_true(fabs(kept - rate * N) <= 4); // 101 quantiles of 300 texts
	}
}

static void same_pairs_same_bytes(void **state) {
	static struct tdm_linear a, b;
	make_texts(4);
	assert_int_equal(tdm_fit_logistic(TDM_READS_QUESTION, items, N, 0.01, &a, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_fit_logistic(TDM_READS_QUESTION, items, N, 0.01, &b, NULL, NULL), TDM_OK);
	assert_memory_equal(&a, &b, sizeof a);
}

static void one_class_and_bad_input(void **state) {
	static struct tdm_linear w;
	struct tdm_fit_report report;
	make_texts(5);
	for (int i = 0; i < N; i++)
		items[i].label = true;
	assert_int_equal(tdm_fit_logistic(TDM_READS_QUESTION, items, N, 0.01, &w, &report, NULL), TDM_OK);
	assert_true(tdm_linear_score(&w, &items[0].seen) > 0.99);
	assert_true(isnan(report.area));
	assert_int_equal(tdm_fit_logistic(TDM_READS_QUESTION, items, 0, 0.01, &w, NULL, NULL), TDM_EVALUE);
	assert_int_equal(tdm_fit_logistic(TDM_READS_QUESTION, items, N, 0, &w, NULL, NULL), TDM_EVALUE);
	assert_int_equal(tdm_fit_logistic(TDM_READS_QUESTION, items, N, (double)NAN, &w, NULL, NULL), TDM_EVALUE);
}

int tdm_test_fit(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gradient_is_zero_at_the_end), cmocka_unit_test(answers_are_told_apart),
	    cmocka_unit_test(unseen_texts_are_told_apart), cmocka_unit_test(quantiles_reproduce_a_rate),
	    cmocka_unit_test(same_pairs_same_bytes),       cmocka_unit_test(one_class_and_bad_input),
	};
	return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
