// The fit of a probe: known weights are found again, what it is shown on was not fitted on, and the pair's own tokens
// have the labels that their tables say.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "../fake_step.h"
#include "base/random.h"
#include "learn/fit_probe.h"
#include "tests.h"

enum { N = 4000, WIDTH = 3, ROW = TDM_N_ROW_SIGNS + WIDTH };

// Labels drawn from a logistic function of two of the numbers.
static void make_data(struct tdm_probe_data *d, uint64_t seed) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, seed);
	*d = (struct tdm_probe_data){.width = WIDTH, .n = N, .cap = N};
	d->rows = calloc((size_t)N * ROW, sizeof *d->rows);
	d->label = calloc(N, 1);
	d->fold = calloc(N, 1);
	for (int i = 0; i < N; i++) {
		double *x = d->rows + (size_t)i * ROW;
		for (int k = 0; k < ROW; k++)
			x[k] = tdm_rng_normal(&rng);
		d->label[i] = tdm_rng_double(&rng) < 1 / (1 + exp(-(-1 + 2 * x[1] - 1.5 * x[TDM_N_ROW_SIGNS + 2])));
		d->fold[i] = (uint8_t)(i % 5);
	}
}

static void known_weights_are_found_again(void **state) {
	struct tdm_probe_data d;
	struct tdm_probe p, again, signs;
	struct tdm_probe_report report, without;
	struct tdm_error err = {0};
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 20);
	make_data(&d, 5);
	assert_int_equal(tdm_fit_probe(&d, 0, true, 1e-6, &arena, &p, &report, &err), TDM_OK);
	assert_true(fabs(p.bias + 1) < 0.2 && fabs(p.signs[1] - 2) < 0.3 && fabs(p.hidden[2] + 1.5) < 0.3);
	assert_true(fabs(p.signs[0]) < 0.2 && fabs(p.signs[5]) < 0.2 && fabs(p.hidden[0]) < 0.2);
	assert_int_equal(report.n, N / 5);
	assert_true(report.n_differ > N / 25 && report.n_differ < N / 10);
	assert_true(report.area > 0.85 && report.area_entropy < 0.6 && report.area_margin > 0.75);
	assert_int_equal(tdm_fit_probe(&d, 0, true, 1e-6, &arena, &again, &report, &err), TDM_OK);
	assert_memory_equal(p.quantiles, again.quantiles, sizeof p.quantiles);
	for (int q = 1; q < TDM_N_QUANTILES; q++)
		assert_true(p.quantiles[q] >= p.quantiles[q - 1]);
	assert_int_equal(tdm_fit_probe(&d, 0, false, 1e-6, &arena, &signs, &without, &err), TDM_OK);
	assert_int_equal(signs.width, 0);
	assert_true(without.area < report.area - 0.05);
	tdm_probe_data_release(&d);
	assert_int_equal(tdm_fit_probe(&d, 0, true, 1e-6, &arena, &p, &report, &err), TDM_EVALUE);
	tdm_arena_release(&arena);
}

// At the minimum the mean error of every feature is the penalty's pull.
static void the_gradient_is_zero_there(void **state) {
	struct tdm_probe_data d;
	struct tdm_probe p;
	struct tdm_probe_report report;
	struct tdm_error err = {0};
	struct tdm_arena arena;
	double gradient[ROW + 1] = {0};
	tdm_arena_init(&arena, 1 << 20);
	make_data(&d, 6);
	assert_int_equal(tdm_fit_probe(&d, -1, true, 0.01, &arena, &p, &report, &err), TDM_OK);
	for (int i = 0; i < N; i++) {
		const double *x = d.rows + (size_t)i * ROW;
		double z = p.bias;
		for (int k = 0; k < ROW; k++)
			z += x[k] * (k < TDM_N_ROW_SIGNS ? p.signs[k] : p.hidden[k - TDM_N_ROW_SIGNS]);
		for (int k = 0; k <= ROW; k++)
			gradient[k] += (1 / (1 + exp(-z)) - d.label[i]) * (k < ROW ? x[k] : 1) / N;
	}
	for (int k = 0; k < ROW; k++)
		gradient[k] += 0.01 * (k < TDM_N_ROW_SIGNS ? p.signs[k] : p.hidden[k - TDM_N_ROW_SIGNS]);
	for (int k = 0; k <= ROW; k++)
		assert_true(fabs(gradient[k]) < 1e-7);
	tdm_probe_data_release(&d);
	tdm_arena_release(&arena);
}

// Both write a, b, c, ...; after c the small one would write another letter. Token 7 ends the answer.
static void labels_are_where_the_two_differ(void **state) {
	enum { V = 12 };
	static float small_table[V * V], large_table[V * V];
	struct tdm_probe_data d = {0};
	struct tdm_request request;
	struct tdm_arena arena;
	struct tdm_run run;
	struct fake small, large;
	for (int t = 0; t < V; t++) {
		large_table[t * V + (t + 1) % V] = 9;
		small_table[t * V + (t == 2 ? 9 : (t + 1) % V)] = 9;
	}
	fake_init(&small, "small", small_table, V, V);
	fake_init(&large, "large", large_table, V, V);
	small.end = large.end = 7;
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(tdm_run_init(&run, &arena, 1), TDM_OK);
	tdm_request_init(&request);
	for (int fold = 0; fold < 2; fold++)
		assert_int_equal(tdm_probe_data_add(&d, &run, &small.model, &large.model, &request, 30, fold), TDM_OK);
	assert_int_equal(d.n, 14); // b c d e f g and the end, twice
	assert_int_equal(d.width, 0);
	for (size_t i = 0; i < d.n; i++) {
		assert_int_equal(d.label[i], i % 7 == 2);
		assert_int_equal(d.fold[i], i / 7);
	}
	assert_int_equal(small.evals, 2); // all of an answer in one pass
	large.vocab_id++;
	assert_int_equal(tdm_probe_data_add(&d, &run, &small.model, &large.model, &request, 30, 0), TDM_ECONFIG);
	assert_int_equal(small.open_sessions + large.open_sessions, 0);
	tdm_probe_data_release(&d);
	tdm_arena_release(&arena);
}

int tdm_test_fit_probe(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(known_weights_are_found_again),
	    cmocka_unit_test(the_gradient_is_zero_there),
	    cmocka_unit_test(labels_are_where_the_two_differ),
	};
	return cmocka_run_group_tests_name("fit_probe", tests, NULL, NULL);
}
