// Sampler: logits to a token. One transform, one order (raw logits, repetition penalty, temperature, top-k, top-p,
// min-p, renormalise); temperature 0 is a point mass on the largest logit, ties go to the lowest token id.
#pragma once
#include "base/random.h"
#include <stddef.h>

struct tdm_sampling {
	float temperature;    // 0 = greedy
	int top_k;            // 0 = off
	float top_p;          // 1 = off
	float min_p;          // 0 = off
	float repeat_penalty; // 1 = off; divides positive and multiplies negative logits of seen tokens
	int repeat_window;    // last tokens looked at; 0 = off
};
#define TDM_GREEDY ((struct tdm_sampling){.temperature = 0, .top_p = 1, .repeat_penalty = 1})

// probs[0..n_vocab) = the distribution that is sampled from; sums to 1. recent: the last n_recent tokens (for the
// penalty).
void tdm_sampling_probs(const struct tdm_sampling *s, const float *logits, int n_vocab, const int32_t *recent,
                        int n_recent, float *probs);
int32_t tdm_sample(const float *probs, int n, struct tdm_rng *rng);  // inverse transform on one uniform draw
int32_t tdm_argmax(const float *x, int n);                           // lowest index on ties
double tdm_exp_sum(const float *logits, int n, float top);           // sum of e^(logit - top); top: the largest
float tdm_log_softmax_at(const float *logits, int n, int32_t token); // natural logarithm
