// Gemm in bfloat16: products of values rounded to 8 bits of mantissa, summed in float (VDPBF16PS), at twice the rate of
// float products. Both operands are packed whole: A in strips of 8 rows, B in panels of 32 columns, each as pairs of
// neighbours along k, which is what the instruction multiplies and adds.
#include "learn/gemm_bf16.h"
#include <immintrin.h>
#include <string.h>

enum { STRIP = 8, PANEL = 32 };

static size_t up(int n, int step) {
	return ((size_t)n + (size_t)step - 1) / (size_t)step;
}

size_t tdm_gemm_bf16_floats(int m, int n, int k) {
	return up(k, 2) * (up(m, STRIP) * STRIP + up(n, PANEL) * PANEL);
}

static __mmask16 first_lanes(int n) {
	return n >= 16 ? 0xFFFF : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

// rows[count] lie along k: pair p of row r goes to out[p * width + r]. Missing rows and the odd last k are zero.
static void pack_rows(uint32_t *out, int width, const float *x, int x_row, int count, int k) {
	int n_pairs = (k + 1) / 2;
	for (int r = 0; r < width; r++) {
		const float *row = x + (size_t)r * x_row;
		for (int p = 0; p < n_pairs; p += 16) {
			uint32_t pairs[16] = {0};
			int left = n_pairs - p < 16 ? n_pairs - p : 16;
			if (r < count) {
				__m512 low = _mm512_maskz_loadu_ps(first_lanes(k - 2 * p), row + 2 * p);
				__m512 high = _mm512_maskz_loadu_ps(first_lanes(k - 2 * p - 16), row + 2 * p + 16);
				_mm512_storeu_si512(pairs, (__m512i)_mm512_cvtne2ps_pbh(high, low));
			}
			for (int i = 0; i < left; i++)
				out[(size_t)(p + i) * width + r] = pairs[i];
		}
	}
}

static __m512i rounded(const float *x, __mmask16 lanes) {
	return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, x)));
}

// columns[count] lie across k: pair p of column c goes to out[p * width + c].
static void pack_columns(uint32_t *out, int width, const float *x, int x_row, int count, int k) {
	for (int p = 0; p < (k + 1) / 2; p++) {
		const float *even = x + (size_t)(2 * p) * x_row, *odd = even + x_row;
		for (int c = 0; c < width; c += 16) {
			__mmask16 lanes = first_lanes(count - c);
			__m512i pair = rounded(even + c, lanes);
			if (2 * p + 1 < k)
				pair = _mm512_or_si512(pair, _mm512_slli_epi32(rounded(odd + c, lanes), 16));
			_mm512_mask_storeu_epi32(out + (size_t)p * width + c, first_lanes(width - c), pair);
		}
	}
}

struct tile {
	float *c;
	int c_row, n_rows;
	__mmask16 left, right; // of the panel's two vectors
	float scale, keep;
};

static void put(const struct tile *t, int row, __m512 left, __m512 right) {
	float *c = t->c + (size_t)row * t->c_row;
	if (row >= t->n_rows)
		return;
	left = _mm512_mul_ps(left, _mm512_set1_ps(t->scale));
	right = _mm512_mul_ps(right, _mm512_set1_ps(t->scale));
	if (t->keep != 0) {
		__m512 keep = _mm512_set1_ps(t->keep);
		left = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(t->left, c), keep, left);
		right = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(t->right, c + 16), keep, right);
	}
	_mm512_mask_storeu_ps(c, t->left, left);
	_mm512_mask_storeu_ps(c + 16, t->right, right);
}

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define BEGIN(i) __m512 left##i = _mm512_setzero_ps(), right##i = _mm512_setzero_ps();
#define STEP(i)                                              \
	{                                                        \
		__m512bh x = (__m512bh)_mm512_set1_epi32((int)a[i]); \
		left##i = _mm512_dpbf16_ps(left##i, x, left);        \
		right##i = _mm512_dpbf16_ps(right##i, x, right);     \
	}
#define END(i) put(t, i, left##i, right##i);

// One strip times one panel: 16 sums in registers.
static void multiply(const struct tile *t, const uint32_t *a, const uint32_t *b, size_t n_pairs) {
	EACH_ROW(BEGIN)
	for (size_t p = 0; p < n_pairs; p++, a += STRIP, b += PANEL) {
		__m512bh left = (__m512bh)_mm512_loadu_si512(b), right = (__m512bh)_mm512_loadu_si512(b + 16);
		EACH_ROW(STEP)
	}
	EACH_ROW(END)
}

static void pack_a(uint32_t *out, enum tdm_gemm_form form, const float *a, int a_row, int m, int k) {
	for (int i = 0; i < m; i += STRIP, out += up(k, 2) * STRIP)
		if (form == TDM_GEMM_TN)
			pack_columns(out, STRIP, a + i, a_row, m - i, k);
		else
			pack_rows(out, STRIP, a + (size_t)i * a_row, a_row, m - i, k);
}

static void pack_b(uint32_t *out, enum tdm_gemm_form form, const float *b, int b_row, int n, int k) {
	for (int j = 0; j < n; j += PANEL, out += up(k, 2) * PANEL)
		if (form == TDM_GEMM_NT)
			pack_rows(out, PANEL, b + (size_t)j * b_row, b_row, n - j, k);
		else
			pack_columns(out, PANEL, b + j, b_row, n - j, k);
}

void tdm_gemm_bf16(enum tdm_gemm_form form, int m, int n, int k, float scale, const float *a, int a_row, const float *b,
                   int b_row, float keep, float *c, int c_row, float *space) {
	size_t n_pairs = up(k, 2);
	uint32_t *strips = (uint32_t *)space, *panels = strips + n_pairs * up(m, STRIP) * STRIP;
	pack_a(strips, form, a, a_row, m, k);
	pack_b(panels, form, b, b_row, n, k);
	for (int j = 0; j < n; j += PANEL) // a panel stays in the first cache while all strips pass by
		for (int i = 0; i < m; i += STRIP) {
			struct tile t = {.c = c + (size_t)i * c_row + j,
			                 .c_row = c_row,
			                 .n_rows = m - i < STRIP ? m - i : STRIP,
			                 .left = first_lanes(n - j),
			                 .right = first_lanes(n - j - 16),
			                 .scale = scale,
			                 .keep = keep};
			multiply(&t, strips + (size_t)i * n_pairs, panels + (size_t)j * n_pairs, n_pairs);
		}
}
