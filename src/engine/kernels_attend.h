// Attention of every kernel set, a part of kernels_body.h: softmax over blocks of KEY_BLOCK keys with a running
// maximum, for up to QUERIES queries that share the loads of keys and values.
#pragma once
#include "engine/kernels_vector.h"

struct softmax {
	float maximum[QUERIES], total[QUERIES];
	float weights[QUERIES][KEY_BLOCK];
};

// Scores of up to 16 keys for each query; keys that a query does not see count as -infinity.
ALWAYS void score_page(const struct tdm_attention *a, const uint8_t *keys, int first_key, const int n,
                       const bool is_half, float (*scores)[KEY_BLOCK], int at) {
	const size_t step = TDM_LANES * (is_half ? 2 : 4);
	int32_t lanes[LANES];
	for (int part = 0; part < TDM_LANES; part += LANES) {
		vf sum[QUERIES];
		vi index;
		UNROLL for (int i = 0; i < n; i++) sum[i] = splat(0);
		for (int i = 0; i < LANES; i++)
			lanes[i] = first_key + part + i;
		memcpy(&index, lanes, sizeof index);
		const uint8_t *k = keys + (size_t)part * (is_half ? 2 : 4);
		for (int d = 0; d < a->head_dim; d++, k += step) {
			vf key = load_weights(k, is_half ? TDM_F16 : TDM_F32);
			UNROLL for (int i = 0; i < n; i++) sum[i] = madd(splat(a->q[i][d]), key, sum[i]);
		}
		UNROLL for (int i = 0; i < n; i++) {
			vi is_seen = (index < a->n_keys[i]) & (index >= a->first_key[i]);
			vf score = sum[i] * a->scale;
			if (a->soft_cap > 0)
				score = hyperbolic_tangent(score / a->soft_cap) * a->soft_cap;
			store(scores[i] + at + part, pick(is_seen, score, splat(-INFINITY)));
		}
	}
}

// scores -> weights relative to the running maximum; returns what earlier sums must be multiplied with.
ALWAYS float weigh(struct softmax *s, int i, int n) {
	float lanes[TDM_LANES], maximum = s->maximum[i];
	float *x = s->weights[i];
	vf peak = splat(maximum);
	for (int j = 0; j < n; j += LANES)
		peak = larger(load(x + j), peak);
	store(lanes, peak);
	for (int j = 0; j < LANES; j++)
		maximum = lanes[j] > maximum ? lanes[j] : maximum;
	for (int part = 0; part < TDM_LANES; part += LANES) {
		vf sum = splat(0);
		for (int j = part; j < n; j += TDM_LANES) {
			vf score = load(x + j), weight = exponential(score - maximum);
			weight = pick(score > splat(-INFINITY), weight, splat(0));
			store(x + j, weight);
			sum += weight;
		}
		store(lanes + part, sum);
	}
	vf change = exponential(splat(s->maximum[i] - maximum));
	float factor = s->maximum[i] > -INFINITY ? change[0] : 0;
	s->total[i] = s->total[i] * factor + sum16(lanes);
	s->maximum[i] = maximum;
	return factor;
}

// out = out * factor + weights x values, for one vector of the head at a time; even and odd keys summed apart.
ALWAYS void mix(const struct tdm_attention *a, const struct softmax *s, int first_key, int n_keys, const int n,
                const bool is_half, const float factor[QUERIES], float (*out)[1024], int at) {
	const size_t width = is_half ? 2 : 4, step = (size_t)a->head_padded * width;
	vf sum[QUERIES][2];
	UNROLL for (int i = 0; i < n; i++) sum[i][0] = sum[i][1] = splat(0);
	for (int first = 0; first < n_keys; first += TDM_PAGE_TOKENS) {
		const uint8_t *v = a->pages[(first_key + first) / TDM_PAGE_TOKENS] + a->values_at + (size_t)at * width;
		int last = n_keys - first < TDM_PAGE_TOKENS ? n_keys - first : TDM_PAGE_TOKENS;
		int j = 0;
		for (; j + 1 < last; j += 2, v += 2 * step) {
			vf even = load_weights(v, is_half ? TDM_F16 : TDM_F32),
			   odd = load_weights(v + step, is_half ? TDM_F16 : TDM_F32);
			UNROLL for (int i = 0; i < n; i++) {
				sum[i][0] = madd(splat(s->weights[i][first + j]), even, sum[i][0]);
				sum[i][1] = madd(splat(s->weights[i][first + j + 1]), odd, sum[i][1]);
			}
		}
		if (j < last) {
			vf even = load_weights(v, is_half ? TDM_F16 : TDM_F32);
			UNROLL for (int i = 0; i < n; i++) sum[i][0] = madd(splat(s->weights[i][first + j]), even, sum[i][0]);
		}
	}
	UNROLL for (int i = 0; i < n; i++) store(out[i] + at, load(out[i] + at) * factor[i] + (sum[i][0] + sum[i][1]));
}

ALWAYS void attend_tile(const struct tdm_attention *a, const int n, const bool is_half) {
	struct softmax s;
	float out[QUERIES][1024], factor[QUERIES];
	int n_keys = 0, start = a->first_key[0];
	for (int i = 0; i < n; i++) {
		s.maximum[i] = -INFINITY;
		s.total[i] = 0;
		memset(out[i], 0, (size_t)a->head_padded * sizeof(float));
		n_keys = a->n_keys[i] > n_keys ? a->n_keys[i] : n_keys;
		start = a->first_key[i] < start ? a->first_key[i] : start;
	}
	for (int first = start / KEY_BLOCK * KEY_BLOCK; first < n_keys; first += KEY_BLOCK) {
		int here = n_keys - first < KEY_BLOCK ? n_keys - first : KEY_BLOCK, padded = tdm_pad(here, TDM_PAGE_TOKENS);
		for (int k = 0; k < padded; k += TDM_PAGE_TOKENS)
			score_page(a, a->pages[(first + k) / TDM_PAGE_TOKENS] + a->keys_at, first + k, n, is_half, s.weights, k);
		for (int i = 0; i < n; i++)
			factor[i] = weigh(&s, i, padded);
		for (int at = 0; at < a->head_padded; at += LANES)
			mix(a, &s, first, here, n, is_half, factor, out, at);
	}
	for (int i = 0; i < n; i++)
		for (int d = 0; d < a->head_dim; d++)
			a->out[i][d] = out[i][d] / s.total[i];
}

static void attend(const struct tdm_attention *a) {
	switch (a->n * 2 + a->is_half) {
#define QUERY_TILES(N)            \
	case N * 2:                   \
		attend_tile(a, N, false); \
		break;                    \
	case N * 2 + 1:               \
		attend_tile(a, N, true);  \
		break;
		QUERY_TILES(1)
		QUERY_TILES(2)
		QUERY_TILES(3)
		QUERY_TILES(4)
		QUERIES_ABOVE_4
	}
}
