#include "assure/plan.h"
#include "assure/bounds.h"

#define MOST_ITEMS ((int64_t)10000000)

static double pvalue(enum tdm_bound bound, int64_t k, int64_t n, double epsilon) {
	return bound == TDM_BOUND_BINOMIAL ? tdm_binomial_cdf(k, n, epsilon) : tdm_hb((double)k, (size_t)n, epsilon);
}

// The most losses in n items that still show epsilon, at or above `from`; -1: not even none do.
static int64_t most_losses(enum tdm_bound bound, int64_t from, int64_t n, double epsilon, double delta) {
	int64_t k = from;
	while (k < n && pvalue(bound, k + 1, n, epsilon) <= delta)
		k++;
	return k;
}

double tdm_plan_power(enum tdm_bound bound, double epsilon, double delta, double share, int64_t n) {
	return tdm_binomial_cdf(most_losses(bound, -1, n, epsilon, delta), n, epsilon * share);
}

static bool within(double x) {
	return x > 0 && x < 1;
}

int tdm_plan_items(enum tdm_bound bound, double epsilon, double delta, double share, double power, struct tdm_plan *out,
                   struct tdm_error *err) {
	int64_t first = 0, below = 0, k = -1;
	if ((bound != TDM_BOUND_BINOMIAL && bound != TDM_BOUND_HB) || !within(epsilon) || !within(delta) ||
	    !within(share) || !within(power))
		return tdm_fail(err, TDM_EVALUE, "plan: expected binomial or hb, and numbers between 0 and 1");
	// The teeth grow shorter: what stays above for twice as long as all before stays.
	for (int64_t n = 1; first == 0 || n < 2 * below + 100; n++) {
		if (n > MOST_ITEMS)
			return tdm_fail(err, TDM_ETOOLARGE, "plan: epsilon %g needs more than %lld items", epsilon,
			                (long long)MOST_ITEMS);
		k = most_losses(bound, k, n, epsilon, delta);
		bool enough = tdm_binomial_cdf(k, n, epsilon * share) >= power;
		first = first == 0 && enough ? n : first;
		below = enough ? below : n;
	}
	*out = (struct tdm_plan){first, below + 1};
	return TDM_OK;
}
