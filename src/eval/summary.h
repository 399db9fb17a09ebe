// Summary: the outcomes of one model, added up.
#pragma once
#include "eval/run.h"

struct tdm_eval_share { // k of n
	size_t k, n;
};

struct tdm_eval_summary {
	const char *model, *kind;
	struct tdm_eval_share right;     // of all items
	struct tdm_eval_share *families; // right, in the order of tdm_eval.families
	struct tdm_eval_share levels[TDM_GYM_LEVELS];
	size_t failed; // items on which the model failed, refusals of guards apart
	double mean_us, median_us;
	double cost, cost_ratio;        // cost_ratio: over the baseline's; NAN without one
	struct tdm_eval_share served;   // items whose answer the baseline wrote
	struct tdm_eval_share called;   // items on which the baseline was called at all
	int64_t baseline_calls;         // some items need several
	bool has_covered;               // a source that only masks lead to
	struct tdm_eval_share leaked;   // of the items with protected values: one reached a covered source
	struct tdm_eval_share exposed;  // of the same: one reached another source
	struct tdm_eval_share restored; // of the items that need protected values: the answer has them
	int64_t values_restored, values_missed, values_damaged;
	struct tdm_eval_share refused_right;         // of the items to be declined
	struct tdm_eval_share refused_wrong;         // of the others
	struct tdm_eval_share equal;                 // answers equal to the baseline's, byte for byte
	int64_t drafted, accepted, passes, verified; // verified: tokens the baseline wrote in those passes
	double speed_median, speed_sum; // time of the baseline over the model's: median of the items', of the sums
	struct tdm_eval_use *uses;      // per source of tdm_eval.sources
};

// Arrays live in arena. Error: TDM_ENOMEM.
int tdm_eval_summarise(const struct tdm_eval *e, size_t model, struct tdm_arena *arena, struct tdm_eval_summary *out,
                       struct tdm_error *err);
// One per model.
int tdm_eval_summaries(const struct tdm_eval *e, struct tdm_arena *arena, struct tdm_eval_summary **out,
                       struct tdm_error *err);
double tdm_eval_percent(struct tdm_eval_share s); // NAN for 0 of 0
// Exact 95 % interval of the probability behind k of n, in percent; NAN for 0 of 0.
void tdm_eval_interval(struct tdm_eval_share s, double *low, double *high);
// The median of values[0..n), which it sorts; the mean of the middle two for even n; NAN for none.
double tdm_eval_median(double *values, size_t n);
size_t tdm_eval_distinct(const struct tdm_eval *e); // items with different keys
