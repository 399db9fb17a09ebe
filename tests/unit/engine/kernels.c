// Kernels of every instruction set that this machine has: against plain sums, against the portable set, and with any
// number of columns bit for bit as with one.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/gguf.h"
#include "engine/cache.h"
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
	for (int i = 0; i < WIDE; i++)
		z[i] = NAN; // what is left over is written too
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

// --- attention: one head, keys and values stored as the cache stores them

enum { KEYS = 300, MOST_DIM = 96 };

struct head {
	struct tdm_weights w;
	struct tdm_cache c;
	uint8_t *pages[(KEYS + TDM_PAGE_TOKENS - 1) / TDM_PAGE_TOKENS];
	float k[KEYS][MOST_DIM], v[KEYS][MOST_DIM], q[TDM_MAX_QUERIES][MOST_DIM], out[TDM_MAX_QUERIES][MOST_DIM];
};

static void head_make(struct head *h, const struct tdm_kernels *kernels, uint32_t type, int dim) {
	memset(h, 0, sizeof *h);
	h->w.shape = (struct tdm_shape){.n_layers = 1, .n_kv_heads = 1, .head_dim = dim};
	h->w.cache_type = type;
	tdm_cache_init(&h->c, &h->w, KEYS, 0);
	for (int i = 0; i < KEYS; i++) {
		uint8_t **page = &h->pages[i / TDM_PAGE_TOKENS];
		*page = *page ? *page : tdm_page_new(&h->c);
		for (int d = 0; d < dim; d++) {
			h->k[i][d] = (float)((i * 37 + d * 101) % 199 - 99) / 40;
			h->v[i][d] = (float)((i * 53 + d * 17) % 211 - 105) / 30;
		}
		tdm_cache_store(&h->c, kernels, *page, i % TDM_PAGE_TOKENS, 0, h->k[i], h->v[i]);
	}
	for (int i = 0; i < TDM_MAX_QUERIES; i++)
		for (int d = 0; d < dim; d++)
			h->q[i][d] = (float)((i * 29 + d * 7) % 31 - 15) / 20;
}

static void head_free(struct head *h) {
	for (size_t i = 0; i < sizeof h->pages / sizeof *h->pages; i++)
		tdm_page_drop(&h->c, h->pages[i]);
	tdm_cache_release(&h->c);
}

static int first_of(int query) {
	return query % 3 == 2 ? 8 * query + 1 : 0;
}

static int keys_of(int query) {
	return KEYS - 37 * query;
}

// Queries from..from + n together.
static void head_attend(struct head *h, const struct tdm_kernels *kernels, int from, int n) {
	struct tdm_attention a = {.n = n,
	                          .pages = (const uint8_t *const *)h->pages,
	                          .values_at = h->c.values_at,
	                          .head_dim = h->c.head_dim,
	                          .head_padded = h->c.head_padded,
	                          .type = h->c.type,
	                          .scale = 0.125f};
	for (int i = 0; i < n; i++) {
		a.q[i] = h->q[from + i];
		a.out[i] = h->out[from + i];
		a.n_keys[i] = keys_of(from + i);
		a.first_key[i] = first_of(from + i);
	}
	kernels->attend(&a);
}

static void plain_attention(const struct head *h, int query, double *out) {
	double total = 0;
	memset(out, 0, MOST_DIM * sizeof *out);
	for (int i = first_of(query); i < keys_of(query); i++) {
		double score = 0;
		for (int d = 0; d < h->c.head_dim; d++)
			score += (double)h->q[query][d] * (double)h->k[i][d];
		double weight = exp(score * 0.125);
		total += weight;
		for (int d = 0; d < h->c.head_dim; d++)
			out[d] += weight * (double)h->v[i][d];
	}
	for (int d = 0; d < h->c.head_dim; d++)
		out[d] /= total;
}

static void check_attention(const struct tdm_kernels *kernels, uint32_t type, int dim, double limit) {
	static struct head h, portable;
	float alone[TDM_MAX_QUERIES][MOST_DIM];
	double expected[MOST_DIM];
	head_make(&h, kernels, type, dim);
	head_make(&portable, &tdm_kernels_portable, type, dim);
	for (int i = 0; i < kernels->n_queries; i++) {
		head_attend(&h, kernels, i, 1);
		memcpy(alone[i], h.out[i], sizeof alone[i]);
		head_attend(&portable, &tdm_kernels_portable, i, 1);
		plain_attention(&h, i, expected);
		for (int d = 0; d < dim; d++) {
			if (!(fabs((double)h.out[i][d] - expected[d]) < limit))
				fail_msg("%s, type %u, %d elements: element %d of query %d is %g, not %g", kernels->name, type, dim, d,
				         i, (double)h.out[i][d], expected[d]);
			assert_true(fabsf(h.out[i][d] - portable.out[i][d]) < 1e-5f);
		}
	}
	for (int n = 2; n <= kernels->n_queries; n++) { // together as alone
		memset(h.out, 0, sizeof h.out);
		head_attend(&h, kernels, kernels->n_queries - n, n);
		for (int i = kernels->n_queries - n; i < kernels->n_queries; i++)
			assert_memory_equal(h.out[i], alone[i], sizeof alone[i]);
	}
	head_free(&h);
	head_free(&portable);
}

static void attention(void **state) {
	static const int dims[] = {64, 22, 80, 96};
	const struct tdm_kernels *kernels;
	bool runs;
	for (size_t i = 0; (kernels = tdm_kernels_at(i, &runs)); i++)
		for (size_t j = 0; runs && j < sizeof dims / sizeof *dims; j++) {
			check_attention(kernels, TDM_F32, dims[j], 1e-5);
			check_attention(kernels, TDM_F16, dims[j], 2e-3);
			check_attention(kernels, TDM_Q8_0, dims[j], 4e-2);
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
	    cmocka_unit_test(products),  cmocka_unit_test(quantized_columns), cmocka_unit_test(unusual_columns),
	    cmocka_unit_test(rows),      cmocka_unit_test(exp_sums),          cmocka_unit_test(names),
	    cmocka_unit_test(attention),
	};
	return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
