// Bounds: exact bounds on a probability from k events in n independent trials (Clopper and Pearson 1934).
//
// The rule it protects: a bound never promises more than the binomial law allows, whatever n, k and p: sums run away
// from the mode or are taken as complements, never towards it (a tail summed the wrong way underflows to 0 and
// certifies the worst policy). Pure and deterministic; no global state.
#pragma once
#include "base/status.h"
#include <stdint.h>

// P(Bin(n, p) <= k). 0 for k < 0, 1 for k >= n; else above 0 unless the event is impossible. n >= 0, p in [0, 1].
double tdm_binomial_cdf(int64_t k, int64_t n, double p);
// The largest q with P(Bin(n, q) <= k) >= delta: with confidence 1 - delta the true probability is not above it. 1 for
// k = n. Error: TDM_EVALUE (n < 1, k outside 0..n, delta outside (0, 1)); *upper is then untouched.
int tdm_binomial_upper(int64_t k, int64_t n, double delta, double *upper, struct tdm_error *err);
// The smallest q with P(Bin(n, q) >= k) >= delta. 0 for k = 0.
int tdm_binomial_lower(int64_t k, int64_t n, double delta, double *lower, struct tdm_error *err);
// Trials without any event that are needed to show, with confidence 1 - delta, that the probability is at most epsilon.
int64_t tdm_binomial_needed(double epsilon, double delta);
