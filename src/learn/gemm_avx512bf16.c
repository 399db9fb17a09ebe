// Gemm in bfloat16: products of values rounded to 8 bits of mantissa, summed in float (VDPBF16PS), at twice the rate of
// float products. Both operands are packed whole: A in strips of 8 rows, B in panels of 32 columns, each as pairs of
// neighbours along k, which is what the instruction multiplies and adds.
#include "learn/gemm_bf16.h"
#include <immintrin.h>
#include <string.h>

enum { STRIP = 8, PANEL = 32, GROUP = 16 };

static size_t up(int n, int step) {
	return ((size_t)n + (size_t)step - 1) / (size_t)step;
}

size_t tdm_gemm_bf16_floats(int m, int n, int k) {
	return up(k, 2) * (up(m, GROUP) * GROUP + up(n, PANEL) * PANEL);
}

static __mmask16 first_lanes(int n) {
	return n >= 16 ? 0xFFFF : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

// Where 16 neighbouring rows of A or columns of B go: pair p of the first eight to low[p * width], of the others to
// high[p * width].
struct group {
	uint32_t *low, *high;
	int width;
};

static void store_pair(const struct group *g, int p, __m512i pairs) {
	_mm256_storeu_si256((__m256i *)(g->low + (size_t)p * g->width), _mm512_castsi512_si256(pairs));
	_mm256_storeu_si256((__m256i *)(g->high + (size_t)p * g->width), _mm512_extracti64x4_epi64(pairs, 1));
}

// r[i] lane j becomes r[j] lane i, in four rounds of swaps at distance 8, 4, 2 and 1.
static void transpose(__m512i r[16]) {
	__m512i t[16];
	for (int i = 0; i < 16; i += 2) {
		t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
		t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
	}
	for (int i = 0; i < 16; i += 4)
		for (int h = 0; h < 2; h++) {
			r[i + 2 * h] = _mm512_unpacklo_epi64(t[i + h], t[i + h + 2]);
			r[i + 2 * h + 1] = _mm512_unpackhi_epi64(t[i + h], t[i + h + 2]);
		}
	for (int i = 0; i < 16; i += 8) // r[i + c] holds column c of each 4 x 4 block of rows i .. i+3
		for (int c = 0; c < 4; c++) {
			t[i + c] = _mm512_shuffle_i32x4(r[i + c], r[i + 4 + c], 0x88);
			t[i + 4 + c] = _mm512_shuffle_i32x4(r[i + c], r[i + 4 + c], 0xdd);
		}
	for (int c = 0; c < 8; c++) {
		r[c] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0x88);
		r[c + 8] = _mm512_shuffle_i32x4(t[c], t[8 + c], 0xdd);
	}
}

// The group's 16 rows lie along k. Missing rows and the odd last k are zero.
static void pack_rows(const struct group *g, const float *x, int x_row, int count, int k) {
	for (int p = 0; p < (k + 1) / 2; p += 16) {
		__m512i rows[16];
		for (int r = 0; r < 16; r++) {
			rows[r] = _mm512_setzero_si512();
			if (r < count) {
				const float *from = x + (size_t)r * x_row + 2 * p;
				__m512 low = _mm512_maskz_loadu_ps(first_lanes(k - 2 * p), from);
				__m512 high = _mm512_maskz_loadu_ps(first_lanes(k - 2 * p - 16), from + 16);
				rows[r] = (__m512i)_mm512_cvtne2ps_pbh(high, low);
			}
		}
		transpose(rows);
		for (int i = 0; i < 16 && p + i < (k + 1) / 2; i++)
			store_pair(g, p + i, rows[i]);
	}
}

static __m512i rounded(const float *x, __mmask16 lanes) {
	return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, x)));
}

// The group's 16 columns lie across k; pairs first .. last-1 of them.
static void pack_columns(const struct group *g, const float *x, int x_row, int count, int k, int first, int last) {
	__mmask16 lanes = first_lanes(count);
	for (int p = first; p < last; p++) {
		const float *even = x + (size_t)(2 * p) * x_row;
		__m512i pair = rounded(even, lanes);
		if (2 * p + 1 < k)
			pair = _mm512_or_si512(pair, _mm512_slli_epi32(rounded(even + x_row, lanes), 16));
		store_pair(g, p, pair);
	}
}

static struct group group_of(uint32_t *out, bool is_a, int first, size_t n_pairs) {
	if (is_a) {
		uint32_t *strip = out + (size_t)first * n_pairs;
		return (struct group){strip, strip + STRIP * n_pairs, STRIP};
	}
	uint32_t *panel = out + (size_t)(first / PANEL * PANEL) * n_pairs + first % PANEL;
	return (struct group){panel, panel + 8, PANEL};
}

// n: rows of A or columns of B. along: they lie along k in memory.
static void pack(uint32_t *out, bool is_a, bool along, const float *x, int x_row, int n, int k) {
	int n_pairs = (k + 1) / 2, n_all = is_a ? n : (n + PANEL - 1) / PANEL * PANEL;
	// Rows across k are read in blocks of 32, so that reading and writing both stay in few pages.
	int step = along ? n_pairs : 16;
	for (int p = 0; p < n_pairs; p += step)
		for (int i = 0; i < n_all; i += GROUP) {
			struct group g = group_of(out, is_a, i, (size_t)n_pairs);
			if (along)
				pack_rows(&g, x + (size_t)i * x_row, x_row, n - i, k);
			else
				pack_columns(&g, x + i, x_row, n - i, k, p, p + step < n_pairs ? p + step : n_pairs);
		}
}

struct tile {
	float *c;
	int c_row, n_rows;
	__mmask16 left, right; // of the panel's two vectors
	float scale, keep;
};

static inline __attribute__((always_inline)) void put(const struct tile *t, int row, __m512 left, __m512 right) {
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
	if (t->right == 0xFFFF) { // whole stores are far cheaper than masked ones
		_mm512_storeu_ps(c, left);
		_mm512_storeu_ps(c + 16, right);
	} else {
		_mm512_mask_storeu_ps(c, t->left, left);
		_mm512_mask_storeu_ps(c + 16, t->right, right);
	}
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

void tdm_gemm_bf16(enum tdm_gemm_form form, int m, int n, int k, float scale, const float *a, int a_row, const float *b,
                   int b_row, float keep, float *c, int c_row, float *space) {
	size_t n_pairs = up(k, 2);
	uint32_t *strips = (uint32_t *)space, *panels = strips + n_pairs * up(m, GROUP) * GROUP;
	pack(strips, true, form != TDM_GEMM_TN, a, a_row, m, k);
	pack(panels, false, form == TDM_GEMM_NT, b, b_row, n, k);
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
