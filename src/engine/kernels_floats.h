// Products of matrices of floats, a part of kernels_body.h: tiles of columns whose sums live in registers.
#pragma once
#include "engine/kernels_vector.h"

// n columns from `first`. Four sums for the four remainders of the column number, added at the end: enough of them to
// hide the latency.
ALWAYS void tile_floats(const struct tdm_matrix *m, int group, int part, const struct tdm_columns *x, int first,
                        const int n, float *const *out, const uint32_t type) {
	vf sum[FLOAT_TILE][4];
	const size_t bytes = type == TDM_F32 ? 4 : 2, step = TDM_LANES * bytes;
	const uint8_t *w = m->packed + (size_t)group * m->group_bytes + (size_t)part * bytes;
	const float *v = x->x + (size_t)first * x->stride;
	UNROLL for (int c = 0; c < n; c++) sum[c][0] = sum[c][1] = sum[c][2] = sum[c][3] = splat(0);
	for (int k = 0; k < m->n_cols; k += 4, v += 4) {
		if (n > 1) { // one column waits for nothing but memory, and there the machine's own prefetching is best
			UNROLL for (size_t i = 0; i < 4 * step; i += 64) __builtin_prefetch(w + AHEAD + i, 0, 2);
		}
		UNROLL for (int j = 0; j < 4; j++, w += step) {
			vf weights = load_weights(w, type);
			UNROLL for (int c = 0; c < n; c++) sum[c][j] = madd(weights, splat(v[c * x->stride + j]), sum[c][j]);
		}
	}
	UNROLL for (int c = 0; c < n; c++)
	    store(out[first + c] + group * TDM_LANES + part, (sum[c][0] + sum[c][1]) + (sum[c][2] + sum[c][3]));
}

ALWAYS void tiles_floats(const struct tdm_matrix *m, int from, int to, const struct tdm_columns *x, float *const *out,
                         const uint32_t type) {
	for (int group = from; group < to; group++)
		for (int part = 0; part < TDM_LANES; part += LANES) {
			int first = 0;
			for (; first + FLOAT_TILE <= x->n; first += FLOAT_TILE)
				tile_floats(m, group, part, x, first, FLOAT_TILE, out, type);
			switch (x->n - first) {
#define TILE(N)                                              \
	case N:                                                  \
		tile_floats(m, group, part, x, first, N, out, type); \
		break;
				SMALLER_FLOAT_TILES
			}
		}
}
