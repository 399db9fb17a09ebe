// Bound of a semantic cache: from labelled pairs of questions, the lowest similarity from which on a hit is wrong in at
// most a share epsilon of the hits, with confidence 1 - delta (assure/control.h, selective risk).
//
// What is promised: if the pairs that live traffic meets are exchangeable with the labelled ones, then with probability
// 1 - delta over these, P(not the same question | similarity >= threshold) <= epsilon.
#pragma once
#include "models/model.h"

struct tdm_cache_pairs { // n pairs; same: one answer serves both
	const char **a, **b;
	double *loss; // 0 = same
	size_t n;
};

struct tdm_cache_bound {
	double threshold; // INFINITY: nothing can be promised
	double upper;     // of the share of wrong hits, at delta
};

// path: lines of JSON, {"a": text, "b": text, "same": true or false}. Lives in the arena.
int tdm_cache_pairs_read(struct tdm_arena *arena, const char *path, const char *where, struct tdm_cache_pairs *out,
                         struct tdm_error *err);
// Embeds every text and finds the threshold.
int tdm_cache_bound_find(struct tdm_run *run, struct tdm_model *embedder, const struct tdm_cache_pairs *pairs,
                         double epsilon, double delta, struct tdm_cache_bound *out);
// Words as a vector of length 1 in run->arena. TDM_OK or the embedder's error, in run->error.
int tdm_cache_embed(struct tdm_run *run, struct tdm_model *embedder, const char *text, size_t n, const float **out,
                    int *width);
