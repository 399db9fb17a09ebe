// Scores of queries with the keys of the cache, a part of kernels_body.h; where keys are in blocks of codes, queries
// are quantised as columns of a product are.
#pragma once
#include "engine/kernels_vector.h"

enum { PAGES = 2, PAGES_AHEAD = 6 };  // whose keys are read together; from those that are fetched meanwhile
enum { Q_STRIDE = 1024 + TDM_LANES }; // queries do not fall on each other in the first cache
_Static_assert(KEY_BLOCK % (PAGES * TDM_PAGE_TOKENS) == 0, "a block is whole groups of pages");

struct softmax {
	float maximum[QUERIES], total[QUERIES], factor[QUERIES];
	float weights[QUERIES][KEY_BLOCK];
	float q[QUERIES * Q_STRIDE], out[QUERIES][1024];
	struct tdm_columns columns; // q quantised, in codes and blocks
	int8_t codes[QUERIES * 1024];
	struct tdm_column_block blocks[QUERIES * 1024 / TDM_BLOCK];
};

// Two pages of keys whose scores are computed together, and what will be needed soon: the keys of the pages after them
// and the values of their own. A page is small and the next one lies elsewhere: no machine foresees that by itself.
struct key_pages {
	const uint8_t *keys[PAGES], *ahead[PAGES], *values[PAGES];
};

ALWAYS struct key_pages key_pages_at(const struct tdm_attention *a, int first_key, int n_keys) {
	struct key_pages p;
	int page = first_key / TDM_PAGE_TOKENS, last = (n_keys - 1) / TDM_PAGE_TOKENS;
	for (int i = 0; i < PAGES; i++) {
		int here = page + i < last ? page + i : last,
		    ahead = page + PAGES_AHEAD + i < last ? page + PAGES_AHEAD + i : last;
		p.keys[i] = a->pages[here] + a->keys_at;
		p.values[i] = a->pages[here] + a->values_at;
		p.ahead[i] = a->pages[ahead] + a->keys_at;
	}
	return p;
}

ALWAYS void fetch(const struct key_pages *p, size_t at) {
	UNROLL for (int i = 0; i < PAGES; i++) {
		__builtin_prefetch(p->ahead[i] + at, 0, 2);
		__builtin_prefetch(p->values[i] + at, 0, 2);
	}
}

// A key that a query does not see counts as -infinity.
ALWAYS void put_scores(const struct tdm_attention *a, int i, int first_key, vf score, float *out) {
	int32_t lanes[LANES];
	vi index;
	for (int l = 0; l < LANES; l++)
		lanes[l] = first_key + l;
	memcpy(&index, lanes, sizeof index);
	vi is_seen = (index < a->n_keys[i]) & (index >= a->first_key[i]);
	score *= a->scale;
	if (a->soft_cap > 0)
		score = hyperbolic_tangent(score / a->soft_cap) * a->soft_cap;
	store(out, pick(is_seen, score, splat(-INFINITY)));
}

// q x keys of LANES keys from lane `part` on of each of two pages.
ALWAYS void sum_numbers(const struct tdm_attention *a, const struct key_pages *p, const struct softmax *s, int part,
                        const int n, const uint32_t type, vf sum[QUERIES][PAGES]) {
	const size_t width = type == TDM_F16 ? 2 : 4, step = TDM_LANES * width;
	const uint8_t *k0 = p->keys[0] + (size_t)part * width, *k1 = p->keys[1] + (size_t)part * width;
	for (int d = 0; d < a->head_dim; d++, k0 += step, k1 += step) {
		vf key0 = load_weights(k0, type), key1 = load_weights(k1, type);
		if (part == 0 && (type == TDM_F32 || d % 2 == 0))
			fetch(p, (size_t)d * step);
		UNROLL for (int i = 0; i < n; i++) {
			sum[i][0] = madd(splat(s->q[i * Q_STRIDE + d]), key0, sum[i][0]);
			sum[i][1] = madd(splat(s->q[i * Q_STRIDE + d]), key1, sum[i][1]);
		}
	}
}

ALWAYS vi load_ints(const uint8_t *p) {
	vi v;
	memcpy(&v, p, sizeof v);
	return v;
}

ALWAYS void sum_codes(const struct tdm_attention *a, const struct key_pages *p, const struct softmax *s, int part,
                      const int n, vf sum[QUERIES][PAGES]) {
	const size_t scales_at = tdm_codes_bytes(a->head_padded) + (size_t)part * 2;
	for (int b = 0; b < a->head_padded / TDM_BLOCK; b++) {
		const struct tdm_column_block *q = s->blocks + b * n;
		size_t at = (size_t)b * TDM_BLOCK * TDM_PAGE_TOKENS;
		vi whole[QUERIES][PAGES];
		UNROLL for (int i = 0; i < n; i++) whole[i][0] = whole[i][1] = splat_int(FLIP ? 128 * q[i].minus_sum : 0);
		for (int j = 0; j < TDM_BLOCK; j += 4, at += 4 * TDM_PAGE_TOKENS) {
			vi key0 = load_ints(p->keys[0] + at + part * 4), key1 = load_ints(p->keys[1] + at + part * 4);
			if (part == 0)
				fetch(p, at);
			UNROLL for (int i = 0; i < n; i++) {
				whole[i][0] = dot4(whole[i][0], key0, s->codes + (b * n + i) * TDM_BLOCK + j);
				whole[i][1] = dot4(whole[i][1], key1, s->codes + (b * n + i) * TDM_BLOCK + j);
			}
		}
		if (part == 0)
			fetch(p, scales_at + (size_t)b * 2 * TDM_PAGE_TOKENS);
		vf scale0 = load_weights(p->keys[0] + scales_at + (size_t)b * 2 * TDM_PAGE_TOKENS, TDM_F16);
		vf scale1 = load_weights(p->keys[1] + scales_at + (size_t)b * 2 * TDM_PAGE_TOKENS, TDM_F16);
		UNROLL for (int i = 0; i < n; i++) {
			sum[i][0] = madd(__builtin_convertvector(whole[i][0], vf), scale0 * q[i].scale, sum[i][0]);
			sum[i][1] = madd(__builtin_convertvector(whole[i][1], vf), scale1 * q[i].scale, sum[i][1]);
		}
	}
}

// Scores of the keys from first_key on, a block at most, for each query.
ALWAYS void score_keys(const struct tdm_attention *a, struct softmax *s, int first_key, int n_keys, const int n,
                       const uint32_t type) {
	for (int k = 0; k < KEY_BLOCK && first_key + k < n_keys; k += PAGES * TDM_PAGE_TOKENS) {
		struct key_pages p = key_pages_at(a, first_key + k, n_keys);
		for (int part = 0; part < TDM_LANES; part += LANES) {
			vf sum[QUERIES][PAGES];
			UNROLL for (int i = 0; i < n; i++) sum[i][0] = sum[i][1] = splat(0);
			if (type == TDM_Q8_0)
				sum_codes(a, &p, s, part, n, sum);
			else
				sum_numbers(a, &p, s, part, n, type, sum);
			UNROLL for (int i = 0; i < n; i++) {
				float *out = s->weights[i] + k + part;
				put_scores(a, i, first_key + k + part, sum[i][0], out);
				put_scores(a, i, first_key + k + part + TDM_PAGE_TOKENS, sum[i][1], out + TDM_PAGE_TOKENS);
			}
		}
	}
}
