// Sums of the values of the cache with the weights of queries, a part of kernels_body.h.
#pragma once
#include "engine/kernels_scores.h"

ALWAYS vf load_signed(const uint8_t *p) {
	return __builtin_convertvector(widen(p, true), vf);
}

// Of one page: values x weights to sum, for `wide` vectors of the head; even and odd keys apart.
ALWAYS void add_numbers(const uint8_t *v, size_t step, const float *const weights[QUERIES], int n_keys, const int n,
                        const int wide, const uint32_t type, vf sum[QUERIES][2][2]) {
	const size_t width = type == TDM_Q8_0 ? 1 : type == TDM_F16 ? 2 : 4;
	for (int j = 0; j < n_keys; j += 2, v += 2 * step)
		UNROLL for (int odd = 0; odd < 2; odd++) {
			if (odd && j + 1 == n_keys)
				break;
			const uint8_t *at = odd ? v + step : v, *next = at + LANES * width;
			vf value0 = type == TDM_Q8_0 ? load_signed(at) : load_weights(at, type), value1 = value0;
			if (wide == 2)
				value1 = type == TDM_Q8_0 ? load_signed(next) : load_weights(next, type);
			UNROLL for (int i = 0; i < n; i++) {
				sum[i][0][odd] = madd(splat(weights[i][j + odd]), value0, sum[i][0][odd]);
				if (wide == 2)
					sum[i][1][odd] = madd(splat(weights[i][j + odd]), value1, sum[i][1][odd]);
			}
		}
}

// out = out * factor + weights x values for the `wide` vectors from element `at` on. Codes: their scales go to the
// weights.
ALWAYS void mix(const struct tdm_attention *a, struct softmax *s, int first_key, int n_keys, const int n,
                const uint32_t type, int at, const int wide) {
	const size_t width = type == TDM_F16 ? 2 : 4;
	const bool is_codes = type == TDM_Q8_0;
	const int block = at / TDM_BLOCK, within = at % TDM_BLOCK;
	float scaled[QUERIES][TDM_PAGE_TOKENS];
	vf sum[QUERIES][2][2];
	UNROLL for (int i = 0; i < n; i++) UNROLL for (int l = 0; l < wide; l++) sum[i][l][0] = sum[i][l][1] = splat(0);
	for (int first = 0; first < n_keys; first += TDM_PAGE_TOKENS) {
		const uint8_t *v = a->pages[(first_key + first) / TDM_PAGE_TOKENS] + a->values_at;
		const uint8_t *scales = v + tdm_codes_bytes(a->head_padded) + block * 2 * TDM_PAGE_TOKENS;
		const float *weights[QUERIES];
		int last = n_keys - first < TDM_PAGE_TOKENS ? n_keys - first : TDM_PAGE_TOKENS;
		UNROLL for (int i = 0; i < n; i++) {
			weights[i] = is_codes ? scaled[i] : s->weights[i] + first;
			for (int j = 0; j < TDM_PAGE_TOKENS && is_codes; j += LANES)
				store(scaled[i] + j, load(s->weights[i] + first + j) * load_weights(scales + j * 2, TDM_F16));
		}
		v += is_codes ? (size_t)(block * TDM_PAGE_TOKENS * TDM_BLOCK + within) : (size_t)at * width;
		add_numbers(v, is_codes ? TDM_BLOCK : (size_t)a->head_padded * width, weights, last, n, wide, type, sum);
	}
	UNROLL for (int i = 0; i < n; i++) UNROLL for (int l = 0; l < wide; l++) {
		float *to = s->out[i] + at + l * LANES;
		store(to, load(to) * s->factor[i] + (sum[i][l][0] + sum[i][l][1]));
	}
}

ALWAYS void mix_values(const struct tdm_attention *a, struct softmax *s, int first_key, int n_keys, const int n,
                       const uint32_t type) {
	const int wide = n <= QUERIES / 2 ? 2 : 1; // as many sums as there are registers
	int here = n_keys - first_key < KEY_BLOCK ? n_keys - first_key : KEY_BLOCK, at = 0;
	for (; wide > 1 && at + wide * LANES <= a->head_padded; at += wide * LANES)
		mix(a, s, first_key, here, n, type, at, wide);
	for (; at < a->head_padded; at += LANES)
		mix(a, s, first_key, here, n, type, at, 1);
}
