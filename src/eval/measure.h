// Measures of routing between a weak and a strong model, and of scores that should tell right from wrong.
//
// Every function takes how often each item counts (NULL = once), so that a resample of the items needs no copy and no
// new sorting. Where a measure is not defined (no difference to recover, one class only) it is NAN, never 0.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define TDM_CURVE_POINTS 11

struct tdm_ranking { // items by score
	size_t n;
	const double *score;         // rising; finite
	const double *weak, *strong; // quality of either model's answer, in the same order
	const uint32_t *place;       // number of the item, of which `counts` speaks
};
// Copies and sorts into arena; equal scores stay in the order of the items. Errors: TDM_EVALUE (no items, a score that
// is not finite), TDM_ENOMEM.
int tdm_ranking_make(const double *score, const double *weak, const double *strong, size_t n, struct tdm_arena *arena,
                     struct tdm_ranking *out, struct tdm_error *err);

// The routing curve of RouteLLM (2406.18665) in its public evaluation: thresholds at the quantiles 0, 0.1 .. 1 of the
// scores, linear between order statistics; the strong model answers from the threshold on, and for the last above it.
struct tdm_routing {
	double share[TDM_CURVE_POINTS], quality[TDM_CURVE_POINTS]; // of the strong model, rising; mean quality there
	double weak, strong;                                       // mean quality of either model alone
};
void tdm_routing_curve(const struct tdm_ranking *r, const uint32_t *counts, struct tdm_routing *out);
double tdm_pgr(const struct tdm_routing *c, double quality); // share of the gap recovered
// Area between curve and weak model by trapezoids over the shares that the curve covers, over that of the strong one:
// random routing has 0.5 in the mean; above 1 where weak answers save what the strong model loses.
double tdm_apgr(const struct tdm_routing *c);
double tdm_cpt(const struct tdm_routing *c, double pgr); // the least share whose PGR reaches `pgr`; NAN = none
// Incremental benefit per cost (AutoMix 2310.12963), and its lift in percent over always taking the strong model.
double tdm_ibc(double quality, double cost, double weak_quality, double weak_cost);
double tdm_ibc_lift(double ibc, double base);

// positive: weak quality below 0.5; the score should be high there. For AURC the score is doubt: low = confident.
double tdm_auroc(const struct tdm_ranking *r, const uint32_t *counts); // ties count half
double tdm_auprc(const struct tdm_ranking *r, const uint32_t *counts, double *base_rate);
struct tdm_risk_coverage {
	double aurc, excess; // mean risk over all coverages; above that of the best order
};
void tdm_risk_coverage(const struct tdm_ranking *r, const uint32_t *counts, struct tdm_risk_coverage *out);
