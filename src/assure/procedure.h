// Procedures: which of several hypotheses "the risk of setting j is above epsilon" may be rejected together, so that
// the probability of even one wrong rejection is at most delta (family-wise; Learn-then-Test, arXiv 2110.01052).
//
// Settings are ordered from the strictest to the most permissive, and the order is fixed before losses are seen. A
// p-value that is not a number is never rejected. For several risks at once, the p-value of a setting is the largest
// of its risks' (tdm_joint_pvalue), and a rejection holds for all of them.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum tdm_procedure {
	TDM_FIXED_SEQUENCE, // from the first on, until one fails (Maurer, Hothorn and Lehmacher 1995)
	TDM_MULTI_START,    // n_starts sequences, evenly spread, each with its part of delta
	TDM_BONFERRONI,
	TDM_HOLM, // (Holm 1979)
	TDM_N_PROCEDURES
};
#define TDM_PROCEDURE_CHOICES "fixed_sequence|multi_start|bonferroni|holm"
extern const char *const tdm_procedure_names[TDM_N_PROCEDURES];

// Sets rejected[0..n) and returns the last index that is rejected plus one: 0 = none is. n_starts: of multi_start.
size_t tdm_procedure_reject(enum tdm_procedure procedure, const double *p, size_t n, double delta, size_t n_starts,
                            bool *rejected);
double tdm_joint_pvalue(const double *p, size_t n_risks); // the largest; 1 for none
