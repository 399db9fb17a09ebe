// The body of every kernel set; included once by each kernels_NAME.c after it has defined
//   LANES (4, 8 or 16), vf, vi and vb (vectors of LANES float, int32_t and int8_t), SET, SET_NAME, FLIP, GROUPS,
//   FLOAT_TILE, QUERIES (groups of rows, columns and queries of one tile) and QUERIES_ABOVE_4 (its cases beyond 4),
//   vi dot4(vi sum, vi w, const int8_t *x): sum[l] += byte 4 l + j of w * x[j] for j < 4, w without sign where FLIP,
//   vf madd(vf a, vf b, vf c): a * b + c, vf load_half(const uint16_t *p), void store_half(uint16_t *p, vf x),
//   largest_of, sum_of (over the lanes), float through_half(float)
//
// The rule it protects: 16 lanes in every set, whatever the vector's width, so that sets with the same madd agree bit
// for bit, and a fixed order inside each lane, whatever the number of columns or queries.
// Loops over a tile have constant bounds after inlining: the sums live in registers.
#pragma once
#include "engine/kernels_multiply.h"

// --- rows

// As llama.cpp quantises activations: largest value to 127, round to nearest even, scale kept in half precision.
static void quantize(const struct tdm_columns *columns, int c) {
	const float *x = columns->x + (size_t)c * columns->stride;
	for (size_t b = 0; b < columns->stride / TDM_BLOCK; b++, x += TDM_BLOCK) {
		size_t at = b * (size_t)columns->n + (size_t)c;
		int8_t *q = columns->q + at * TDM_BLOCK;
		vf peak = splat(0);
		vi sums[2] = {splat_int(0), splat_int(0)};
		for (int i = 0; i < TDM_BLOCK; i += LANES)
			peak = larger((vf)((vi)load(x + i) & 0x7FFFFFFF), peak);
		float largest = largest_of(peak), inverse = largest > 1e-36f && largest <= 3e38f ? 127.0f / largest : 0;
		for (int i = 0; i < TDM_BLOCK; i += LANES) {
			vi rounded = within((vi)(load(x + i) * inverse + splat(12582912.0f)) - 0x4B400000, 127);
			vb narrow = __builtin_convertvector(rounded, vb);
			memcpy(q + i, &narrow, sizeof narrow);
			sums[i / (TDM_BLOCK / 2)] += rounded;
		}
		int32_t first = sum_of(sums[0]), sum = first + sum_of(sums[1]);
		float scale = through_half(largest / 127.0f);
		columns->blocks[at] = (struct tdm_column_block){scale, scale * (float)sum, -sum, -first};
	}
}

static void normalize(const float *x, const float *weight, int n, float epsilon, float *out) {
	float squares[TDM_LANES];
	for (int part = 0; part < TDM_LANES; part += LANES) {
		vf sum = splat(0);
		for (int i = part; i < n; i += TDM_LANES)
			sum = madd(load(x + i), load(x + i), sum);
		store(squares + part, sum);
	}
	vf factor = splat(1.0f / sqrtf(sum16(squares) / (float)n + epsilon));
	for (int i = 0; i < n; i += LANES)
		store(out + i, load(x + i) * factor * load(weight + i));
}

static void add(float *x, const float *y, int n) {
	for (int i = 0; i < n; i += LANES)
		store(x + i, load(x + i) + load(y + i));
}

static void gate(float *g, const float *up, int n) {
	for (int i = 0; i < n; i += LANES) {
		vf x = load(g + i);
		store(g + i, x / (splat(1) + exponential(-x)) * load(up + i));
	}
}

static void halve(const float *x, int n, uint16_t *out) {
	for (int i = 0; i < n; i += LANES)
		store_half(out + i, load(x + i));
}

// In 16 lanes, which are added up in double every EXP_BLOCK numbers: a vocabulary of 128k loses no digit.
static double exp_sum(const float *x, int n, float top) {
	enum { EXP_BLOCK = 1024 };
	float lanes[TDM_LANES], last[TDM_LANES];
	double total = 0;
	for (int first = 0; first < n; first += EXP_BLOCK) {
		int here = n - first < EXP_BLOCK ? n - first : EXP_BLOCK, whole = here / TDM_LANES * TDM_LANES;
		for (int i = 0; i < TDM_LANES; i++)
			last[i] = whole + i < here ? x[first + whole + i] : -INFINITY;
		for (int part = 0; part < TDM_LANES; part += LANES) {
			vf sum = splat(0);
			for (int i = part; i < whole; i += TDM_LANES)
				sum += exponential(load(x + first + i) - splat(top));
			store(lanes + part, sum + exponential(load(last + part) - splat(top)));
		}
		total += (double)sum16(lanes);
	}
	return total;
}

// --- attention: softmax over blocks of KEY_BLOCK keys with a running maximum

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

const struct tdm_kernels SET = {SET_NAME, FLIP, QUERIES, multiply, quantize, normalize,
                                add,      gate, halve,   attend,   exp_sum};
