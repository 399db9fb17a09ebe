// Factors: the matrix factorisation of RouteLLM (arXiv 2406.18665): s_m(x) = join . (table_m * (projection x)), table_m
// of length 1; P(a beats b | x) = sigma(s_a - s_b). Fitted on pairs of which one was better, by Adam over batches
// of 64.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct tdm_factors {
	int n_models, rank, inputs;
	float *params; // projection [rank][inputs], tables [n_models][rank], join [rank]
};
struct tdm_factors_pair {
	const float *x;
	int better, worse;
};
static inline size_t tdm_factors_n(const struct tdm_factors *f) {
	return (size_t)f->rank * (size_t)(f->inputs + f->n_models + 1);
}
// Adds the gradient of -ln P(better beats worse), before tables are brought back to length 1, and returns that loss.
// hidden: room for rank numbers.
double tdm_factors_gradient(const struct tdm_factors *f, const struct tdm_factors_pair *pair, float *hidden,
                            float *gradient);
// Starts at small random numbers of the seed. TDM_OK or TDM_ENOMEM.
int tdm_factors_fit(struct tdm_factors *f, struct tdm_factors_pair *pairs, size_t n, int epochs, double rate,
                    uint64_t seed);
