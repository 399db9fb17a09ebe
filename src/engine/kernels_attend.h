// Attention of every kernel set, a part of kernels_body.h: softmax over blocks of KEY_BLOCK keys with a running
// maximum, for up to QUERIES queries that share the loads of keys and values.
// The loops that count are functions of their own for each number of queries and each format, so that the compiler
// finds registers for their sums.
#pragma once
#include "engine/kernels_values.h"

// scores -> weights relative to the running maximum; returns what earlier sums must be multiplied with.
static float weigh(struct softmax *s, int i, int n) {
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

typedef void attend_fn(const struct tdm_attention *a, struct softmax *s, int first_key, int n_keys);

#define ATTEND_TYPE(N, T)                                                                                      \
	static void score_##N##_##T(const struct tdm_attention *a, struct softmax *s, int first_key, int n_keys) { \
		score_keys(a, s, first_key, n_keys, N, T);                                                             \
	}                                                                                                          \
	static void mix_##N##_##T(const struct tdm_attention *a, struct softmax *s, int first_key, int n_keys) {   \
		mix_values(a, s, first_key, n_keys, N, T);                                                             \
	}
#define ATTEND(N)           \
	ATTEND_TYPE(N, TDM_F32) \
	ATTEND_TYPE(N, TDM_F16) \
	ATTEND_TYPE(N, TDM_Q8_0)
ATTEND(1)
ATTEND(2)
ATTEND(3)
ATTEND(4)
QUERIES_ABOVE_4(ATTEND)

#define SCORE_ROW(N) {score_##N##_TDM_F32, score_##N##_TDM_F16, score_##N##_TDM_Q8_0},
#define MIX_ROW(N) {mix_##N##_TDM_F32, mix_##N##_TDM_F16, mix_##N##_TDM_Q8_0},
static attend_fn *const scorers[QUERIES][3] = {SCORE_ROW(1) SCORE_ROW(2) SCORE_ROW(3) SCORE_ROW(4)
                                                   QUERIES_ABOVE_4(SCORE_ROW)};
static attend_fn *const mixers[QUERIES][3] = {MIX_ROW(1) MIX_ROW(2) MIX_ROW(3) MIX_ROW(4) QUERIES_ABOVE_4(MIX_ROW)};

static void quantize(const struct tdm_columns *columns, int c);

// Fills the queries' side.
static void begin(const struct tdm_attention *a, struct softmax *s) {
	bool is_codes = a->type == TDM_Q8_0;
	size_t stride = is_codes ? (size_t)a->head_padded : Q_STRIDE;
	for (int i = 0; i < a->n; i++) {
		float *q = s->q + (size_t)i * stride;
		s->maximum[i] = -INFINITY;
		s->total[i] = 0;
		memset(s->out[i], 0, (size_t)a->head_padded * sizeof(float));
		memcpy(q, a->q[i], (size_t)a->head_dim * sizeof *q);
		for (int d = a->head_dim; d < a->head_padded; d++)
			q[d] = 0;
	}
	s->columns = (struct tdm_columns){a->n, stride, s->q, s->codes, s->blocks};
	for (int i = 0; i < a->n && is_codes; i++)
		quantize(&s->columns, i);
}

static void attend(const struct tdm_attention *a) {
	struct softmax s;
	const int kind = a->type == TDM_Q8_0 ? 2 : a->type == TDM_F16;
	int n_keys = 0, start = a->first_key[0];
	begin(a, &s);
	for (int i = 0; i < a->n; i++) {
		n_keys = a->n_keys[i] > n_keys ? a->n_keys[i] : n_keys;
		start = a->first_key[i] < start ? a->first_key[i] : start;
	}
	for (int first = start / KEY_BLOCK * KEY_BLOCK; first < n_keys; first += KEY_BLOCK) {
		int here = n_keys - first < KEY_BLOCK ? n_keys - first : KEY_BLOCK;
		scorers[a->n - 1][kind](a, &s, first, n_keys);
		for (int i = 0; i < a->n; i++)
			s.factor[i] = weigh(&s, i, tdm_pad(here, TDM_PAGE_TOKENS));
		mixers[a->n - 1][kind](a, &s, first, n_keys);
	}
	for (int i = 0; i < a->n; i++)
		for (int d = 0; d < a->head_dim; d++)
			a->out[i][d] = s.out[i][d] / s.total[i];
}
