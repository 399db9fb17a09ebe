// Fit: logistic regression with an L2 penalty on (features, 0 or 1) pairs (sparse.h), as a file of weights.
//
// Minimises mean log-loss + l2/2 |w|² (the bias is free). Convex, started at zero, no randomness: the same pairs in the
// same order give the same weights, byte for byte on one machine.
#pragma once
#include "models/predict/linear.h"
#include <stdbool.h>

struct tdm_fit_item {
	struct tdm_seen seen;
	bool label; // the small model's answer will do
};

struct tdm_fit_report {
	double loss, accuracy; // mean log-loss without the penalty; share on the right side of 0.5
	double area;           // under the ROC curve: how often a good one scores above a bad one; NaN with one class
};

// Fills *out with weights and the quantiles over these items. report: may be NULL. Error: TDM_EVALUE (no items, or a
// penalty that is not positive), TDM_ENOMEM.
int tdm_fit_logistic(enum tdm_reads reads, const struct tdm_fit_item *items, size_t n, double l2,
                     struct tdm_linear *out, struct tdm_fit_report *report, struct tdm_error *err);
// The quantiles of a file of weights, linear between order statistics. Sorts the values. n > 0.
void tdm_fit_quantiles(double *values, size_t n, double out[TDM_N_QUANTILES]);
