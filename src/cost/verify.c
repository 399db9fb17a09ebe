#include "cost/verify.h"
#include "engine/sampler.h"

static double gain(const float *p, const float *q, int i) {
	double d = (double)p[i] - (q ? (double)q[i] : 0);
	return d > 0 ? d : 0;
}

// A draw from norm(p - q), or from norm(p) without q. -1 when no mass is left.
static int32_t draw_gain(const float *p, const float *q, int n, double u) {
	double total = 0, sum = 0;
	for (int i = 0; i < n; i++)
		total += gain(p, q, i);
	int32_t last = -1;
	for (int i = 0; i < n; i++) {
		double g = gain(p, q, i);
		if (g <= 0)
			continue;
		sum += g;
		last = i;
		if (sum > u * total)
			break;
	}
	return last;
}

int32_t tdm_verify_draw(const float *p, int n, double u) {
	int32_t token = draw_gain(p, NULL, n, u);
	return token < 0 ? 0 : token;
}

struct tdm_verified tdm_verify_chain(const struct tdm_chain *chain, const double *accept, double last) {
	int n = chain->n_vocab;
	for (int i = 0; i < chain->n_drafted; i++) {
		const float *p = chain->p(chain->target, i), *q = chain->q + (size_t)i * n;
		int32_t x = chain->drafted[i];
		if (accept[i] * (double)q[x] < (double)p[x])
			continue;
		int32_t next = draw_gain(p, q, n, last);
		// Without any mass in p - q the two are equal up to rounding: then p itself is right.
		return (struct tdm_verified){i, next < 0 ? tdm_verify_draw(p, n, last) : next};
	}
	const float *p = chain->p(chain->target, chain->n_drafted);
	return (struct tdm_verified){chain->n_drafted, tdm_verify_draw(p, n, last)};
}

struct tdm_verified tdm_verify_greedy(const struct tdm_chain *chain) {
	for (int i = 0;; i++) {
		int32_t best = tdm_argmax(chain->p(chain->target, i), chain->n_vocab);
		if (i == chain->n_drafted || best != chain->drafted[i])
			return (struct tdm_verified){i, best};
	}
}
