// Features and the scorer's file: the same text the same numbers, and a file that reads back.
#include "tests.h"
#include "models/predict/linear.h"
#include <math.h>

static float x[TDM_N_FEATURES], y[TDM_N_FEATURES];

static double grams_dot(const float *a, const float *b) {
	double sum = 0;
	for (int i = 0; i < TDM_N_GRAMS; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

static void look(const char *text, float *out) {
	struct tdm_seen seen = {.question = text, .n_question = strlen(text)};
	tdm_features(TDM_READS_QUESTION, &seen, out);
}

static void features_of_a_text(void **state) {
	look("What is 12 + 7?", x);
	assert_true(fabs(grams_dot(x, x) - 1) < 1e-6);
	assert_true(fabs((double)x[TDM_FEATURE_LENGTH] - log(16) / 8) < 1e-6);
	assert_true(fabs((double)x[TDM_FEATURE_DIGITS] - 0.2) < 1e-6);
	look("what IS 98 + 3?", y); // case and which digits do not count
	assert_memory_equal(x, y, sizeof x);
	look("What is 123 + 7?", y); // how many digits does
	assert_true(grams_dot(x, y) < 0.99 && grams_dot(x, y) > 0.4);
	look("Name the capital of France", y);
	assert_true(grams_dot(x, y) < 0.1);
	look("is what", x); // pairs of words have an order
	look("what is", y);
	assert_true(memcmp(x, y, sizeof x) != 0);
}

static void features_of_nothing_are_zero(void **state) {
	look("", x);
	for (int i = 0; i < TDM_N_QUESTION_FEATURES; i++)
		assert_true(x[i] == 0);
}

static struct tdm_seen seen_answer(const char *question, const char *answer, const double *logprobs, int n) {
	struct tdm_seen seen = {question, strlen(question), answer, strlen(answer), {0}};
	for (int i = 0; i < n; i++)
		tdm_logprobs_add(&seen.logprobs, logprobs[i]);
	return seen;
}

static void features_of_an_answer(void **state) {
	static const char question[] = "Ann lives at 12 Elm Road. Where does Ann live?";
	struct tdm_seen seen = seen_answer(question, "12 Elm Road", (double[]){-0.5, -2, -1, -0.25}, 4);
	const float *signs = x + TDM_FEATURE_SIGNS, *others = y + TDM_FEATURE_SIGNS;
	tdm_features(TDM_READS_ANSWER, &seen, x);
	look(question, y); // the question's own numbers come first
	assert_memory_equal(x, y, TDM_N_QUESTION_FEATURES * sizeof *x);
	look("12 Elm Road", y);
	assert_memory_equal(x + TDM_FEATURE_ANSWER, y, TDM_N_GRAMS * sizeof *x);
	for (int i = 0, at = TDM_FEATURE_PAIRS; i < TDM_N_SIGNS; i++)
		for (int k = 0; k <= i; k++, at++)
			assert_true(fabs((double)(x[at] - signs[i] * signs[k])) < 1e-6);
	seen = seen_answer(question, "14 elm Street", (double[]){-0.5, -3, -1, -0.25}, 4);
	tdm_features(TDM_READS_ANSWER, &seen, y);
	assert_true(others[TDM_SIGN_LEAST] < signs[TDM_SIGN_LEAST]); // a doubt: the surer the larger
	assert_true(others[TDM_SIGN_SECOND] == signs[TDM_SIGN_SECOND] && others[TDM_SIGN_LAST] == signs[TDM_SIGN_LAST]);
	assert_true(others[TDM_SIGN_COPIED] < signs[TDM_SIGN_COPIED] && others[TDM_SIGN_NEW] > signs[TDM_SIGN_NEW]);
	assert_true(others[TDM_SIGN_COPIED_NUMBERS] < signs[TDM_SIGN_COPIED_NUMBERS]);
	assert_true(others[TDM_SIGN_NUMBERS] == signs[TDM_SIGN_NUMBERS]);
	assert_true(others[TDM_SIGN_COPIED_PAIRS] < signs[TDM_SIGN_COPIED_PAIRS]);
}

static void the_least_of_the_logprobs(void **state) {
	struct tdm_logprobs p = seen_answer("", "", (double[]){-1, -3, -2, -3.5, -0.5}, 5).logprobs;
	assert_true(p.n == 5 && p.sum == -10 && p.least == -3.5 && p.second == -3 && p.first == -1 && p.last == -0.5);
	p = seen_answer("", "", (double[]){-2}, 1).logprobs;
	assert_true(p.least == -2 && p.second == 0);
	p = seen_answer("", "", (double[]){-2, -1}, 2).logprobs;
	assert_true(p.least == -2 && p.second == -1);
}

static void file_reads_back(enum tdm_reads reads) {
	static struct tdm_linear w;
	struct tdm_linear *read = NULL;
	struct tdm_arena arena;
	struct tdm_bytes out;
	struct tdm_error err = {0};
	w = (struct tdm_linear){.reads = reads, .bias = -0.125};
	for (int i = 0; i < tdm_n_features(reads); i++)
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

static void files_read_back(void **state) {
	file_reads_back(TDM_READS_QUESTION);
	file_reads_back(TDM_READS_ANSWER);
}

static void a_sign_that_is_missing_is_named(void **state) {
	static struct tdm_linear w = {.reads = TDM_READS_ANSWER};
	struct tdm_linear *read = NULL;
	struct tdm_arena arena;
	struct tdm_bytes out;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, (size_t)8 << 20);
	tdm_bytes_init(&out, (size_t)1 << 20);
	tdm_linear_write(&w, &out);
	char *name = strstr(out.data, "\"sum_p\"");
	assert_non_null(name);
	name[1] = 'x';
	assert_int_equal(tdm_linear_read(&arena, "w.json", out.data, out.len, &read, &err), TDM_EFORMAT);
	assert_string_equal(err.text, "w.json: weights of a scorer are expected to have a number in answer.signs for every "
	                              "sign of trust");
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
	    cmocka_unit_test(features_of_a_text),        cmocka_unit_test(features_of_nothing_are_zero),
	    cmocka_unit_test(features_of_an_answer),     cmocka_unit_test(the_least_of_the_logprobs),
	    cmocka_unit_test(files_read_back),           cmocka_unit_test(a_sign_that_is_missing_is_named),
	    cmocka_unit_test(thresholds_from_quantiles),
	};
	return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
