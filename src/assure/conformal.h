// Conformal: promises by ranks of scores, and by mean losses in expectation.
//
// Levels are fractions, so that a rank is exact: (n + 1)(1 - alpha) in doubles may fall just above an integer. What
// they promise differs, and the sentences are not interchangeable:
//   quantile  P(the next score is not above it) >= 1 - alpha, over calibration sets and the next item (split conformal)
//   class     P(kept given the item is bad) <= alpha, likewise (split conformal on the bad items alone)
//   expected  E[risk] <= epsilon, over calibration sets only (conformal risk control, arXiv 2208.02814): a single
//             calibration may well be above it, so never "with confidence"
#pragma once
#include "assure/control.h"

struct tdm_fraction {
	uint64_t over, under; // over / under
};
// "0.05" as 5/100. Error: TDM_EVALUE unless it is a decimal between 0 and 1, both excluded, of 1 to 9 decimals.
int tdm_fraction_read(const char *text, struct tdm_fraction *out, struct tdm_error *err);

// ceil((n + 1)(1 - alpha)) in integers; n + 1 or more: no score of the n is high enough.
size_t tdm_conformal_rank(size_t n, struct tdm_fraction alpha);
// The rank-th smallest of n scores; INFINITY where the rank exceeds n. Error: TDM_EVALUE (a score that is no number).
int tdm_conformal_quantile(const double *scores, size_t n, struct tdm_fraction alpha, double *out,
                           struct tdm_error *err);
// The smallest threshold (keep iff gate >= threshold) that keeps a bad item with probability alpha at most.
int tdm_conformal_class(const struct tdm_losses *items, struct tdm_fraction alpha, double *threshold,
                        struct tdm_error *err);
// The most permissive threshold of the grid whose (n mean + most) / (n + 1) is at most epsilon, with all stricter ones;
// most: the largest possible loss. INFINITY where none is.
int tdm_conformal_expected(const struct tdm_losses *items, const double *grid, size_t n_grid, double epsilon,
                           double most, double *threshold, struct tdm_error *err);
