// P-values and upper bounds of a mean loss, from losses in [0, 1] of exchangeable items.
//
// p is a valid p-value of "the risk is above epsilon": P(p <= u) <= u for every u, whenever the risk is above epsilon.
// Upper bounds invert it. The rule it protects: input that is not a loss is refused, nothing is ever promised from it,
// and a p-value is 0 for no event that is possible.
//
//   binomial   losses 0 or 1, exact (Clopper and Pearson 1934)
//   hb         Hoeffding-Bentkus (Bates et al., arXiv 2101.02703, section 3.1)
//   betting    adapts to the variance (Waudby-Smith and Ramdas, arXiv 2010.09686); the order of the losses counts: it
//              is fixed before they are seen
//   hoeffding, bernstein   (Hoeffding 1963; Maurer and Pontil, arXiv 0907.3740): for comparison
//   normal     the central limit theorem's approximation: for displays, never in a certificate
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tdm_bound {
	TDM_BOUND_BINOMIAL,
	TDM_BOUND_HB,
	TDM_BOUND_BETTING,
	TDM_BOUND_HOEFFDING,
	TDM_BOUND_BERNSTEIN,
	TDM_BOUND_NORMAL,
	TDM_N_BOUNDS
};
#define TDM_BOUND_CHOICES "binomial|hb|betting|hoeffding|bernstein|normal"
extern const char *const tdm_bound_names[TDM_N_BOUNDS];

// delta steers how the betting bound bets; the others do not read it. Error: TDM_EVALUE (no losses, a loss that is not
// in [0, 1] or for binomial not 0 or 1, epsilon or delta not in (0, 1)); *p is then untouched.
int tdm_pvalue(enum tdm_bound bound, const double *loss, size_t n, double epsilon, double delta, double *p,
               struct tdm_error *err);
// The risk that is not passed, with confidence 1 - delta. 1 where the losses show nothing.
int tdm_upper(enum tdm_bound bound, const double *loss, size_t n, double delta, double *upper, struct tdm_error *err);
// The p-value of Hoeffding-Bentkus from the sum of n losses alone.
double tdm_hb(double sum, size_t n, double epsilon);
// Losses of a judge that may be wrong: judged on n items, and on m of them a person's loss beside the judge's. The
// upper bound of the persons' loss on all: the judge's, and what it is off by, each at delta / 2. judge_also[i] and
// human[i] are of one item; bound is used for the judged losses, betting for the differences.
int tdm_upper_judged(enum tdm_bound bound, const double *judged, size_t n, const double *judge_also,
                     const double *human, size_t m, double delta, double *upper, struct tdm_error *err);
