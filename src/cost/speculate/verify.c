#include "cost/speculate/verify.h"
#include "engine/sampler.h"

static double gain(double scale, const float *p, const float *q, int i) {
	double d = scale * (double)p[i] - (q ? (double)q[i] : 0);
	return d > 0 ? d : 0;
}

static double gains(double scale, const float *p, const float *q, int n) {
	double total = 0;
	for (int i = 0; i < n; i++)
		total += gain(scale, p, q, i);
	return total;
}

// A draw from norm(scale * p - q), or from norm(p) without q. -1 when no mass is left.
static int32_t draw_gain(double scale, const float *p, const float *q, int n, double u) {
	double total = gains(scale, p, q, n), sum = 0;
	int32_t last = -1;
	for (int i = 0; i < n; i++) {
		double g = gain(scale, p, q, i);
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
	int32_t token = draw_gain(1, p, NULL, n, u);
	return token < 0 ? 0 : token;
}

// Without any mass in scale * p - q the two are equal up to rounding: then p itself is right.
static int32_t replace(double scale, const float *p, const float *q, int n, double u) {
	int32_t token = draw_gain(scale, p, q, n, u);
	return token < 0 ? tdm_verify_draw(p, n, u) : token;
}

struct tdm_verified tdm_verify_chain(const struct tdm_chain *chain, const double *accept, double last) {
	int n = chain->n_vocab;
	for (int i = 0; i < chain->n_drafted; i++) {
		const float *p = chain->p(chain->target, i), *q = chain->q + (size_t)i * n;
		int32_t x = chain->drafted[i];
		if (accept[i] * (double)q[x] < (double)p[x])
			continue;
		return (struct tdm_verified){i, replace(1, p, q, n, last)};
	}
	const float *p = chain->p(chain->target, chain->n_drafted);
	return (struct tdm_verified){chain->n_drafted, tdm_verify_draw(p, n, last)};
}

// How likely a beginning stays when all longer ones have not: it makes up for what they leave of its share.
static double share_of(double path, const float *p, const float *q, int n) {
	double more = gains(path, p, q, n), rest = more + 1 - path;
	return rest > 0 ? more / rest : 1;
}

struct tdm_verified tdm_verify_block(const struct tdm_chain *chain, const double *accept, double last) {
	int n = chain->n_vocab, kept = 0;
	double path = 1, kept_path = 1;
	const float *p = chain->p(chain->target, 0);
	for (int i = 1; i <= chain->n_drafted && path > 0; i++) {
		int32_t x = chain->drafted[i - 1];
		const float *q = chain->q + (size_t)i * n;
		path *= (double)p[x] / (double)(q - n)[x];
		path = path < 1 ? path : 1;
		p = chain->p(chain->target, i);
		if (accept[i - 1] < (i < chain->n_drafted ? share_of(path, p, q, n) : path)) {
			kept = i;
			kept_path = path;
		}
	}
	p = chain->p(chain->target, kept);
	if (kept == chain->n_drafted)
		return (struct tdm_verified){kept, tdm_verify_draw(p, n, last)};
	return (struct tdm_verified){kept, replace(kept_path, p, chain->q + (size_t)kept * n, n, last)};
}

struct tdm_verified tdm_verify_greedy(const struct tdm_chain *chain) {
	for (int i = 0;; i++) {
		int32_t best = tdm_argmax(chain->p(chain->target, i), chain->n_vocab);
		if (i == chain->n_drafted || best != chain->drafted[i])
			return (struct tdm_verified){i, best};
	}
}
