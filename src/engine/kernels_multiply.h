// Matrix products of every kernel set, a part of kernels_body.h: tiles of columns and groups of rows whose sums live in
// registers. The rule it protects: a tile shares loads and nothing else, so its size changes no number.
#pragma once
#include "engine/kernels_vector.h"

// n columns from `first`, all in one slab; `groups` neighbouring groups of rows.
ALWAYS void tile_q8(const struct tdm_matrix *m, const uint8_t *w, const struct tdm_columns *x, int first, const int n,
                    const int groups, float *const *out, int at) {
	vf sum[GROUPS][TILE];
	const size_t n_blocks = (size_t)(m->n_cols / TDM_BLOCK), slab = (size_t)(first / TDM_SLAB);
	const int8_t *q = x->q + slab * TDM_SLAB * x->stride + first % TDM_SLAB * 4;
	size_t block = slab * TDM_SLAB * (x->stride / TDM_BLOCK) + (size_t)(first % TDM_SLAB);
	UNROLL for (int i = 0; i < groups; i++) {
		UNROLL for (int c = 0; c < n; c++) sum[i][c] = splat(0);
	}
	for (size_t b = 0; b < n_blocks; b++, block += TDM_SLAB, w += Q8_SCALE_BYTES + TDM_LANES * TDM_BLOCK) {
		vi dot[GROUPS][TILE];
		UNROLL for (int i = 0; i < groups; i++) {
			UNROLL for (int c = 0; c < n; c++) dot[i][c] = splat_int(FLIP ? x->bias[block + (size_t)c] : 0);
		}
		UNROLL_2 for (int k = 0; k < TDM_BLOCK / 4; k++, q += TDM_SLAB * 4) {
			UNROLL for (int i = 0; i < groups; i++) {
				UNROLL for (int c = 0; c < n; c++) dot[i][c] =
				    dot4(dot[i][c], w + (size_t)i * m->group_bytes + Q8_SCALE_BYTES + k * Q8_STEP_BYTES, q + 4 * c);
			}
		}
		UNROLL for (int i = 0; i < groups; i++) {
			vf scale = load((const float *)(const void *)(w + (size_t)i * m->group_bytes));
			UNROLL for (int c = 0; c < n; c++) sum[i][c] =
			    madd(__builtin_convertvector(dot[i][c], vf), scale * x->scales[block + (size_t)c], sum[i][c]);
		}
	}
	UNROLL for (int i = 0; i < groups; i++) {
		UNROLL for (int c = 0; c < n; c++) store(out[first + c] + at + i * TDM_LANES, sum[i][c]);
	}
}

ALWAYS vf load_weights(const uint8_t *w, const bool is_half) {
	return is_half ? load_half((const uint16_t *)(const void *)w) : load((const float *)(const void *)w);
}

// Four sums for the four remainders of the column number, added at the end: enough of them to hide the latency.
ALWAYS void tile_floats(const struct tdm_matrix *m, const uint8_t *w, const struct tdm_columns *x, int first,
                        const int n, float *const *out, int at, const bool is_half) {
	vf sum[FLOAT_TILE][4];
	const size_t step = TDM_LANES * (is_half ? 2 : 4);
	const float *v = x->x + (size_t)first * x->stride;
	UNROLL for (int c = 0; c < n; c++) sum[c][0] = sum[c][1] = sum[c][2] = sum[c][3] = splat(0);
	for (int k = 0; k < m->n_cols; k += 4, v += 4) {
		UNROLL for (int j = 0; j < 4; j++, w += step) {
			vf weights = load_weights(w, is_half);
			UNROLL for (int c = 0; c < n; c++) sum[c][j] = madd(weights, splat(v[c * x->stride + j]), sum[c][j]);
		}
	}
	UNROLL for (int c = 0; c < n; c++) store(out[first + c] + at, (sum[c][0] + sum[c][1]) + (sum[c][2] + sum[c][3]));
}

ALWAYS void tiles(const struct tdm_matrix *m, int group, int groups, int part, const struct tdm_columns *x,
                  float *const *out, int first, const int n) {
	const uint8_t *w = m->packed + (size_t)group * m->group_bytes;
	int at = group * TDM_LANES + part;
	if (m->type == TDM_Q8_0 && groups == GROUPS)
		tile_q8(m, w + part * 4, x, first, n, GROUPS, out, at);
	else if (m->type == TDM_Q8_0)
		tile_q8(m, w + part * 4, x, first, n, 1, out, at);
	else if (m->type == TDM_F16 && n <= FLOAT_TILE)
		tile_floats(m, w + part * 2, x, first, n, out, at, true);
	else if (n <= FLOAT_TILE)
		tile_floats(m, w + part * 4, x, first, n, out, at, false);
}

// Columns of the next tile: as many as the registers hold, halved when that makes even tiles, inside a slab.
static int tile_width(const struct tdm_matrix *m, const struct tdm_columns *x, int first) {
	int left = x->n - first, in_slab = TDM_SLAB - first % TDM_SLAB;
	if (m->type != TDM_Q8_0)
		return left < FLOAT_TILE ? left : FLOAT_TILE;
	left = left < in_slab ? left : in_slab;
	return left <= TILE ? left : left >= 2 * TILE ? TILE : (left + 1) / 2;
}

static void multiply(const struct tdm_matrix *m, int from, int to, const struct tdm_columns *x, float *const *out) {
	int most = m->type == TDM_Q8_0 ? GROUPS : 1;
	for (int group = from, groups; group < to; group += groups) {
		groups = to - group < most ? 1 : most;
		for (int part = 0; part < TDM_LANES; part += LANES)
			for (int first = 0, n; first < x->n; first += n) {
				n = tile_width(m, x, first);
				switch (n) {
#define TILES(N)                                         \
	case N:                                              \
		tiles(m, group, groups, part, x, out, first, N); \
		break;
					TILES(1)
					TILES(2)
					TILES(3)
					TILES(4)
					ABOVE_4
				}
			}
	}
}
