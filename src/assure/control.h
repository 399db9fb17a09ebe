// Control: the most permissive threshold whose risk is promised, by testing thresholds in a fixed order.
//
// Keep iff gate >= threshold. Thresholds are tested from the strictest on, each against "the risk is above epsilon"
// (pvalue.h); which of them may be rejected together is the procedure's (procedure.h; by default the fixed sequence:
// the first that cannot be rejected at delta ends the walk). P(the risk at the result is above epsilon) <= delta, if
// the items are exchangeable with what comes later and the grid was fixed before their losses were seen. Keeping
// nothing has risk 0 and needs no test.
//
// The risks are different promises and are never converted: joint = E[loss * kept], over all requests; selective =
// E[loss given kept], among the kept ones; class = P(kept given a loss), among the bad ones; net = the same mean as
// joint of losses from -1 to 1, where a gain is a negative loss. Where what is not kept may lose too (the next model is
// not the large one itself), joint and net count that, and keeping nothing is tested like everything else.
#pragma once
#include "assure/procedure.h"
#include "assure/pvalue.h"
#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

enum tdm_risk { TDM_RISK_JOINT, TDM_RISK_SELECTIVE, TDM_RISK_CLASS, TDM_RISK_NET, TDM_N_RISKS };

struct tdm_losses { // n items; loss: 0 to 1, of keeping the item (0 or 1 for the binomial bound); gate: its score
	const double *loss, *gate;
	size_t n;
	const double *passed;  // loss of not keeping it; NULL = 0
	const uint32_t *group; // of each item, below n_groups: the claim is made of every group; NULL = of all together
	size_t n_groups;
};

struct tdm_risk_claim {
	enum tdm_risk risk;
	double epsilon, delta; // both in (0, 1)
	enum tdm_bound bound;
	enum tdm_procedure procedure;
	size_t n_starts; // of multi_start
};

struct tdm_control {
	double threshold;      // INFINITY: nothing can be promised but keeping nothing
	size_t n_kept, n_bad;  // bad: kept with a loss
	double p_value, upper, // at that threshold; upper bound of the risk at delta. 0 and 0 when nothing is kept
	    risk;              // that was measured there
	size_t at;             // place in the grid; n_grid when nothing is kept
};

// grid: thresholds from the strictest (largest) to the most permissive, strictly falling. Error: TDM_EVALUE (no items,
// a loss outside 0 to 1, a gate that is not finite, a bad grid or claim), TDM_ENOMEM; *out is then untouched.
int tdm_control_threshold(const struct tdm_risk_claim *claim, const struct tdm_losses *items, const double *grid,
                          size_t n_grid, struct tdm_control *out, struct tdm_error *err);
// The checks alone.
int tdm_control_check(const struct tdm_risk_claim *claim, const struct tdm_losses *items, const double *grid,
                      size_t n_grid, struct tdm_error *err);
// The p-values of all thresholds, p[0..n_grid). A threshold at which no test can succeed, whatever the losses, has NaN:
// scores decide that, and sequences begin behind it.
int tdm_control_pvalues(const struct tdm_risk_claim *claim, const struct tdm_losses *items, const double *grid,
                        size_t n_grid, double *p, struct tdm_error *err);
