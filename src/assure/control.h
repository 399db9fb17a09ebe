// Control: the most permissive threshold whose risk is promised, by testing thresholds in a fixed order.
//
// Keep iff gate >= threshold. Thresholds are tested from the strictest on, each against "the risk is above epsilon"
// with the exact binomial; the first that cannot be rejected at delta ends the walk, and the one before it is taken
// (Learn-then-Test, 2110.01052, fixed sequence). P(the risk at the result is above epsilon) <= delta, if the items are
// exchangeable with what comes later and the grid was fixed before their losses were seen. Keeping nothing has risk 0
// and needs no test.
//
// The two risks are different promises and are never converted: joint = E[loss * kept], over all requests; selective =
// E[loss given kept], among the kept ones.
#pragma once
#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

enum tdm_risk { TDM_RISK_JOINT, TDM_RISK_SELECTIVE };

struct tdm_losses { // n items; loss: 0 or 1, of keeping the item; gate: its score
	const double *loss, *gate;
	size_t n;
};

struct tdm_claim {
	enum tdm_risk risk;
	double epsilon, delta; // both in (0, 1)
};

struct tdm_control {
	double threshold; // INFINITY: nothing can be promised but keeping nothing
	size_t n_kept, n_bad;
	double p_value, upper; // at that threshold; upper bound of the risk at delta. 0 and 0 when nothing is kept
};

// grid: thresholds from the strictest (largest) to the most permissive, strictly falling. Error: TDM_EVALUE (no items,
// a loss that is not 0 or 1, a gate that is not finite, a bad grid or claim), TDM_ENOMEM; *out is then untouched.
int tdm_control_threshold(const struct tdm_claim *claim, const struct tdm_losses *items, const double *grid,
                          size_t n_grid, struct tdm_control *out, struct tdm_error *err);
