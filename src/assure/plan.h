// Plan: how many labelled items a promise needs.
#pragma once
#include "assure/pvalue.h"

struct tdm_plan {
	int64_t first, safe; // the least n with that power, and the least from which it is never below again
};
// n for which the binomial or the Hoeffding-Bentkus bound shows epsilon at delta with probability `power`, when the
// true risk is `share` times epsilon (0 < share < 1) and losses are 0 or 1. Power is a saw-tooth in n: plan with safe.
// Error: TDM_EVALUE (another bound, a number not between 0 and 1), TDM_ETOOLARGE (more than 10^7 items).
int tdm_plan_items(enum tdm_bound bound, double epsilon, double delta, double share, double power, struct tdm_plan *out,
                   struct tdm_error *err);
// The power with n items: exact.
double tdm_plan_power(enum tdm_bound bound, double epsilon, double delta, double share, int64_t n);
