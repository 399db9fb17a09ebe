// The forward pass against the reference in double, for every number format, shape and set of kernels.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine/kernels.h"
#include "tests.h"
#include "toy.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 300 };

static double largest_difference(const struct tdm_toy *toy, const char *kernels, const double *expected) {
	struct tdm_engine *e = tdm_toy_open(toy, kernels, 1);
	struct tdm_seq *s;
	struct tdm_error err = {0};
	int32_t tokens[N];
	uint8_t wanted[N];
	double worst = 0;
	for (int i = 0; i < N; i++)
		tokens[i] = (int32_t)((i * 7919 + i * i) % toy->n_vocab);
	memset(wanted, 1, sizeof wanted);
	assert_int_equal(tdm_seq_open(e, &s, &err), TDM_OK);
	assert_int_equal(tdm_seq_eval(s, tokens, N, wanted, NULL, &err), TDM_OK);
	assert_int_equal(tdm_seq_rows(s), N);
	for (int i = 0; i < N; i++)
		for (int v = 0; v < toy->n_vocab; v++) {
			double difference = fabs(tdm_seq_logits(s, i)[v] - expected[i * toy->n_vocab + v]);
			assert_true(isfinite(difference));
			worst = fmax(worst, difference);
		}
	tdm_seq_close(s);
	tdm_engine_close(e);
	return worst;
}

static void compare(struct tdm_toy toy, double limit) {
	double *expected = malloc((size_t)(N * toy.n_vocab) * sizeof *expected);
	const struct tdm_kernels *kernels;
	int32_t tokens[N];
	bool runs;
	for (int i = 0; i < N; i++)
		tokens[i] = (int32_t)((i * 7919 + i * i) % toy.n_vocab);
	tdm_toy_make(&toy);
	tdm_toy_forward(&toy, tokens, N, expected);
	for (size_t i = 0; (kernels = tdm_kernels_at(i, &runs)); i++) {
		if (!runs)
			continue;
		double worst = largest_difference(&toy, kernels->name, expected);
		if (worst > limit)
			fail_msg("%s, type %u: logits differ by %g, more than %g", kernels->name, toy.type, worst, limit);
	}
	tdm_toy_free(&toy);
	free(expected);
}

static void floats(void **state) {
	compare((struct tdm_toy)TDM_TOY, 3e-5);
}

static void halves(void **state) {
	struct tdm_toy toy = TDM_TOY;
	toy.type = TDM_F16;
	compare(toy, 2e-3); // a key that falls on the other side of a half-precision step
}

static void blocks(void **state) {
	struct tdm_toy toy = TDM_TOY;
	toy.type = TDM_Q8_0;
	compare(toy, 5e-2); // an activation that falls on the other side of a step of 1/127
}

static void uneven_shapes(void **state) {
	struct tdm_toy toy = TDM_TOY;
	toy.width = 72, toy.n_heads = 3, toy.n_kv_heads = 1, toy.head_dim = 22, toy.n_ff = 50, toy.n_vocab = 37;
	toy.is_tied = true;
	compare(toy, 2e-4);
	toy.n_heads = 12, toy.n_kv_heads = 1, toy.head_dim = 6, toy.n_layers = 1;
	compare(toy, 2e-4);
}

// Of the tokens after each of the first ones, over all positions.
static double perplexity(const struct tdm_toy *toy, const char *kernels) {
	struct tdm_engine *e = tdm_toy_open(toy, kernels, 1);
	struct tdm_seq *s;
	int32_t tokens[N];
	uint8_t wanted[N];
	double sum = 0;
	for (int i = 0; i < N; i++)
		tokens[i] = (int32_t)((i * 7919 + i * i) % toy->n_vocab);
	memset(wanted, 1, sizeof wanted);
	assert_int_equal(tdm_seq_open(e, &s, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval(s, tokens, N, wanted, NULL, NULL), TDM_OK);
	for (int i = 0; i + 1 < N; i++) {
		const float *logits = tdm_seq_logits(s, i);
		double total = 0;
		for (int v = 0; v < toy->n_vocab; v++)
			total += exp((double)logits[v] - (double)logits[tokens[i + 1]]);
		sum += log(total);
	}
	tdm_seq_close(s);
	tdm_engine_close(e);
	return exp(sum / (N - 1));
}

// A quantised cache changes a logit by a twentieth at most, and the perplexity by less than 0.2 %.
static void caches(void **state) {
	struct tdm_toy toy = TDM_TOY;
	const struct tdm_kernels *kernels;
	bool runs;
	toy.cache_type = TDM_CACHE_F16;
	compare(toy, 2e-3);
	toy.cache_type = TDM_CACHE_Q8_0;
	compare(toy, 5e-2);
	toy.head_dim = 22; // not a whole block
	compare(toy, 5e-2);
	toy.head_dim = 80;
	tdm_toy_make(&toy);
	for (size_t i = 0; (kernels = tdm_kernels_at(i, &runs)); i++) {
		if (!runs)
			continue;
		toy.cache_type = TDM_CACHE_F32;
		double exact = perplexity(&toy, kernels->name);
		toy.cache_type = TDM_CACHE_Q8_0;
		double quantised = perplexity(&toy, kernels->name);
		if (!(fabs(quantised / exact - 1) < 2e-3) || quantised == exact)
			fail_msg("%s: perplexity %g instead of %g", kernels->name, quantised, exact);
	}
	tdm_toy_free(&toy);
}

int tdm_test_forward(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(floats), cmocka_unit_test(halves),        cmocka_unit_test(blocks),
	    cmocka_unit_test(caches), cmocka_unit_test(uneven_shapes),
	};
	return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
