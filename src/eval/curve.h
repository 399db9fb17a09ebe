// Curve: what a threshold on a score costs and gains. An item whose score reaches the threshold is answered by the
// small model, any other by the large one; the curve has one point for every set of items that a threshold can keep.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include <stdbool.h>

struct tdm_curve_item {
	double score; // larger = rather the small model; NAN = never
	bool small_right, large_right;
};

struct tdm_curve_point {
	double threshold; // half-way between the scores it parts; INFINITY keeps nothing
	double kept;      // share of the items that stay with the small model
	double accuracy;  // of the mixture
};

struct tdm_curve {
	struct tdm_curve_point *points; // kept ascending; points[0] keeps nothing: the large model alone
	size_t n;
};

// Items are not changed; points live in arena. Errors: TDM_EVALUE for no items, TDM_ENOMEM.
int tdm_curve_make(const struct tdm_curve_item *items, size_t n, struct tdm_arena *arena, struct tdm_curve *out,
                   struct tdm_error *err);
// The point that keeps most among those whose accuracy is at least that of the large model less `slack` (0.005 = half
// a point of a hundred).
const struct tdm_curve_point *tdm_curve_choose(const struct tdm_curve *curve, double slack);
// The last point that keeps no more than this share.
const struct tdm_curve_point *tdm_curve_at(const struct tdm_curve *curve, double kept);
