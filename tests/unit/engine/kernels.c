// Kernels of every instruction set that this machine has: against plain sums, against the portable set, and with any
// number of columns bit for bit as with one.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/gguf.h"
#include "engine/kernels.h"
#include "tests.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 75, COLS = 512, COLUMNS = 21, PADDED = 80 };

struct columns {
	float *x;
	int8_t *q;
	struct tdm_column_block *blocks;
	struct tdm_columns c;
};

static void columns_make(struct columns *s, const struct tdm_kernels *kernels, int n) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 3);
	s->x = aligned_alloc(64, sizeof(float) * COLUMNS * COLS);
	s->q = aligned_alloc(64, COLUMNS * COLS);
	s->blocks = aligned_alloc(64, sizeof *s->blocks * COLUMNS * COLS / 32);
	for (int i = 0; i < COLUMNS * COLS; i++)
		s->x[i] = (float)tdm_rng_normal(&rng);
	memset(s->x + COLS, 0, 32 * sizeof(float)); // a block of zeros
	s->x[5] = -3e4f;
	s->c = (struct tdm_columns){n, COLS, s->x, s->q, s->blocks};
	for (int i = 0; i < n; i++)
		kernels->quantize(&s->c, i);
}

static void columns_free(struct columns *s) {
	free(s->x);
	free(s->q);
	free(s->blocks);
}

static uint8_t *random_matrix(uint32_t type) {
	struct tdm_rng rng;
	float w[ROWS * COLS];
	uint8_t *data = malloc(sizeof w);
	tdm_rng_init(&rng, type);
	for (int i = 0; i < ROWS * COLS; i++)
		w[i] = (float)tdm_rng_normal(&rng);
	tdm_quantize(type, w, ROWS * COLS, data);
	if (type == TDM_Q8_0) // the files of others may hold -128
		for (int i = 0; i < 32; i++)
			data[2 + i] = 0x80;
	return data;
}

static int8_t quantized(const struct columns *s, int c, int i) {
	return s->q[(i / 32 * s->c.n + c) * 32 + i % 32];
}

static float scale_of(const struct columns *s, int c, int i) {
	return s->blocks[i / 32 * s->c.n + c].scale;
}

static double plain_product(const float *w, const struct columns *s, uint32_t type, int row, int c, double *size) {
	double sum = 0;
	*size = 0;
	for (int i = 0; i < COLS; i++) {
		double x =
		    tdm_format_of(type)->per_block > 1 ? (double)quantized(s, c, i) * scale_of(s, c, i) : s->x[c * COLS + i];
		sum += w[row * COLS + i] * x;
		*size += fabs(w[row * COLS + i] * x);
	}
	return sum;
}

static float *product(const struct tdm_kernels *kernels, const struct tdm_matrix *m, const struct tdm_columns *c) {
	float *all = aligned_alloc(64, sizeof(float) * COLUMNS * PADDED), *out[COLUMNS];
	for (int i = 0; i < COLUMNS; i++)
		out[i] = all + i * PADDED;
	kernels->multiply(m, 0, 2, c, out); // in two parts, as threads do
	kernels->multiply(m, 2, m->n_groups, c, out);
	return all;
}

static void check_products(const struct tdm_kernels *kernels, uint32_t type) {
	struct columns s;
	struct tdm_matrix m;
	struct tdm_store store;
	uint8_t *data = random_matrix(type);
	float w[ROWS * COLS], back[COLS];
	tdm_dequantize(type, data, ROWS * COLS, w);
	assert_int_equal(tdm_store_init(&store, tdm_tensor_bytes(type, ROWS * COLS), 1, NULL), TDM_OK);
	assert_int_equal(tdm_matrix_pack(&m, &store, kernels, type, data, ROWS, COLS, NULL), TDM_OK);
	for (int row = 0; row < ROWS; row++) {
		tdm_matrix_row(&m, row, back);
		assert_memory_equal(back, w + row * COLS, sizeof back);
	}
	columns_make(&s, kernels, COLUMNS);
	float *all = product(kernels, &m, &s.c);
	for (int c = 0; c < COLUMNS; c++)
		for (int row = 0; row < PADDED; row++) {
			double size = 0, expected = row < ROWS ? plain_product(w, &s, type, row, c, &size) : 0;
			if (fabs(all[c * PADDED + row] - expected) > size * 4e-5) // minima and scales cancel in part
				fail_msg("%s, %s: row %d column %d is %g, not %g", kernels->name, tdm_format_name(type), row, c,
				         (double)all[c * PADDED + row], expected);
		}
	for (int n = 1; n < COLUMNS; n++) {
		struct columns fewer;
		columns_make(&fewer, kernels, n);
		float *some = product(kernels, &m, &fewer.c);
		assert_memory_equal(some, all, sizeof(float) * (size_t)(n * PADDED));
		free(some);
		columns_free(&fewer);
	}
	free(all);
	columns_free(&s);
	tdm_store_release(&store);
	free(data);
}

static void products(void **state) {
	const struct tdm_kernels *kernels;
	bool runs;
	for (size_t i = 0; (kernels = tdm_kernels_at(i, &runs)); i++)
		if (runs) {
			for (uint32_t type = 0; type < tdm_n_formats; type++)
				check_products(kernels, tdm_formats[type].type);
		}
}

// Nearest of 255 steps, scale as the format keeps it; equal in every set.
static void quantized_columns(void **state) {
	const struct tdm_kernels *kernels;
	bool runs;
	struct columns portable, s;
	columns_make(&portable, &tdm_kernels_portable, COLUMNS);
	for (size_t i = 0; (kernels = tdm_kernels_at(i, &runs)); i++) {
		if (!runs)
			continue;
		columns_make(&s, kernels, COLUMNS);
		for (int c = 0; c < COLUMNS; c++)
			for (int j = 0; j < COLS; j++) {
				float largest = 0;
				for (int k = j / 32 * 32; k < j / 32 * 32 + 32; k++)
					largest = fmaxf(largest, fabsf(s.x[c * COLS + k]));
				float inverse = largest > 0 ? 127 / largest : 0;
				assert_int_equal(quantized(&s, c, j), nearbyintf(s.x[c * COLS + j] * inverse));
				assert_int_equal(quantized(&s, c, j), quantized(&portable, c, j));
				assert_true(scale_of(&s, c, j) == tdm_f16_to_f32(tdm_f32_to_f16(largest / 127)));
			}
		columns_free(&s);
	}
	columns_free(&portable);
}

// What is not a number stays inside the range, so that integer sums cannot overflow.
static void unusual_columns(void **state) {
	const struct tdm_kernels *kernels;
	bool runs;
	for (size_t i = 0; (kernels = tdm_kernels_at(i, &runs)); i++) {
		struct columns s;
		if (!runs)
			continue;
		columns_make(&s, kernels, 1);
		for (int j = 0; j < COLS; j++)
			s.x[j] = j % 3 == 0 ? NAN : j % 3 == 1 ? -INFINITY : 1e-40f;
		for (int j = 64; j < COLS; j++)
			s.x[j] = j % 2 ? NAN : 1e-40f;
		kernels->quantize(&s.c, 0);
		for (int j = 0; j < COLS; j++)
			assert_in_range(quantized(&s, 0, j) + 127, 0, 254);
		columns_free(&s);
	}
}

static void near(const char *what, const char *name, const float *x, const double *expected, int n, double limit) {
	for (int i = 0; i < n; i++)
		if (!(fabs(x[i] - expected[i]) <= limit * (fabs(expected[i]) + 1e-30)))
			fail_msg("%s of %s: element %d is %.9g, not %.9g", what, name, i, (double)x[i], expected[i]);
}

static void check_rows(const struct tdm_kernels *kernels) {
	enum { N = 70, WIDE = 80 };
	_Alignas(64) float x[WIDE] = {0}, y[WIDE] = {0}, z[WIDE], weight[WIDE] = {0};
	uint16_t halves[WIDE];
	double expected[WIDE] = {0}, squares = 0;
	for (int i = 0; i < N; i++) {
		x[i] = (float)(i - 33) * 2.7f;
		y[i] = 1 / (float)(i + 1);
		weight[i] = 1 + (float)i / 100;
		squares += (double)x[i] * x[i];
	}
	kernels->normalize(x, weight, N, 1e-5f, z);
	for (int i = 0; i < WIDE; i++)
		expected[i] = x[i] / sqrt(squares / N + 1e-5) * weight[i];
	near("norm", kernels->name, z, expected, WIDE, 5e-7);
	memcpy(z, x, sizeof z);
	kernels->gate(z, y, WIDE); // from -89 to 97: both ends of the exponential
	for (int i = 0; i < WIDE; i++)
		expected[i] = x[i] / (1 + exp(-(double)x[i])) * y[i];
	near("gate", kernels->name, z + 1, expected + 1, WIDE - 1, 1e-6);
	memcpy(z, x, sizeof z);
	kernels->add(z, y, WIDE);
	kernels->halve(x, WIDE, halves);
	for (int i = 0; i < WIDE; i++) {
		assert_true(z[i] == x[i] + y[i]);
		assert_int_equal(halves[i], tdm_f32_to_f16(x[i]));
	}
}

static void rows(void **state) {
	const struct tdm_kernels *kernels;
	bool runs;
	for (size_t i = 0; (kernels = tdm_kernels_at(i, &runs)); i++)
		if (runs)
			check_rows(kernels);
}

static void exp_sums(void **state) {
	static const int lengths[] = {1, 15, 16, 17, 1024, 1040, 5003};
	static float x[5003];
	const struct tdm_kernels *kernels;
	bool runs;
	for (int i = 0; i < 5003; i++)
		x[i] = i % 7 == 3 ? -INFINITY : (float)(i * 37 % 1001) / -50;
	for (size_t i = 0; (kernels = tdm_kernels_at(i, &runs)); i++)
		for (size_t k = 0; runs && k < sizeof lengths / sizeof *lengths; k++) {
			double expected = 0, sum = kernels->exp_sum(x, lengths[k], 1.5f);
			for (int j = 0; j < lengths[k]; j++)
				expected += exp((double)x[j] - 1.5);
			if (!(fabs(sum - expected) <= 1e-6 * expected))
				fail_msg("sum of %d of %s: %.9g, not %.9g", lengths[k], kernels->name, sum, expected);
		}
}

static void names(void **state) {
	const struct tdm_kernels *kernels = NULL;
	struct tdm_error err = {0};
	assert_int_equal(tdm_kernels_find(NULL, &kernels, &err), TDM_OK);
	assert_int_equal(tdm_kernels_find("portable", &kernels, &err), TDM_OK);
	assert_ptr_equal(kernels, &tdm_kernels_portable);
	assert_int_equal(tdm_kernels_find("sse9", &kernels, &err), TDM_ECONFIG);
	assert_non_null(strstr(err.text, "expected portable, avx2 or avx512"));
}

int tdm_test_kernels(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(products), cmocka_unit_test(quantized_columns), cmocka_unit_test(unusual_columns),
	    cmocka_unit_test(rows),     cmocka_unit_test(exp_sums),          cmocka_unit_test(names),
	};
	return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
