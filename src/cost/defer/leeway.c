#include "cost/defer/leeway.h"
#include "engine/sampler.h"
#include <math.h>

static const double least = 0.09, spread = 0.3; // of typical acceptance

const char *tdm_accept_name(enum tdm_accept accept) {
	static const char *const names[] = {"exact", "greedy", "typical", "cascade", "cascade_opt"};
	return names[accept];
}

const char *tdm_guarantee(enum tdm_accept accept, bool is_greedy) {
	if (accept == TDM_ACCEPT_EXACT)
		return "exact";
	return is_greedy && !tdm_accept_mixes(accept) ? "greedy-exact" : "lossy";
}

static bool is_typical(const float *p, int n, int32_t x) {
	double entropy = 0;
	for (int i = 0; i < n; i++)
		if (p[i] > 0)
			entropy -= (double)p[i] * log((double)p[i]);
	return (double)p[x] > fmin(least, spread * exp(-entropy));
}

struct tdm_verified tdm_leeway_chain(enum tdm_accept accept, const struct tdm_chain *chain, double last) {
	int n = chain->n_vocab;
	for (int i = 0;; i++) {
		const float *p = chain->p(chain->target, i);
		bool stays = i < chain->n_drafted && (accept == TDM_ACCEPT_TYPICAL ? is_typical(p, n, chain->drafted[i])
		                                                                   : tdm_argmax(p, n) == chain->drafted[i]);
		if (!stays)
			return (struct tdm_verified){i, tdm_verify_draw(p, n, last)};
	}
}

static double largest(const float *row, int n) {
	return (double)row[tdm_argmax(row, n)];
}

// Whether the target speaks at this place.
static bool is_deferred(double alpha, const float *p, const float *q, int n) {
	double distance = 0;
	for (int i = 0; i < n; i++)
		distance += fabs((double)p[i] - (double)q[i]) / 2;
	return largest(q, n) < largest(p, n) - alpha * distance;
}

void tdm_leeway_mix(enum tdm_accept accept, double alpha, const float *p, const float *q, int n, float *out) {
	double bar = (1 - alpha) * largest(p, n), rest = 0;
	if (accept == TDM_ACCEPT_OPT) {
		const float *chosen = is_deferred(alpha, p, q, n) ? p : q;
		for (int i = 0; i < n; i++)
			out[i] = chosen[i];
		return;
	}
	for (int i = 0; i < n; i++)
		rest += (double)p[i] >= bar ? 0 : (double)q[i];
	for (int i = 0; i < n; i++)
		out[i] = (float)(((double)p[i] >= bar ? (double)q[i] : 0) + (double)p[i] * rest);
}

bool tdm_leeway_keeps(enum tdm_accept accept, double alpha, const float *p, const float *q, int n, int32_t best,
                      int32_t x) {
	if (x == best)
		return true;
	if (accept == TDM_ACCEPT_OPT)
		return !is_deferred(alpha, p, q, n);
	return alpha > 0 &&
	       (double)p[x] >= (1 - alpha) * (double)p[best]; // at 0 not even a tie: the answer is the target's
}
