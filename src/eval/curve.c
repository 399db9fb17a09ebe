// Curve: thresholds and what comes of them. See curve.h. Equal scores cannot be parted, so they join the curve
// together.
#include "eval/curve.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_score(const void *a, const void *b) { // descending, unknown last
	double x = ((const struct tdm_curve_item *)a)->score, y = ((const struct tdm_curve_item *)b)->score;
	if (isnan(x) || isnan(y))
		return isnan(x) - isnan(y);
	return (x < y) - (x > y);
}

static size_t count_large(const struct tdm_curve_item *items, size_t n) {
	size_t right = 0;
	for (size_t i = 0; i < n; i++)
		right += items[i].large_right;
	return right;
}

static bool ends_group(const struct tdm_curve_item *items, size_t n, size_t i) {
	return i + 1 == n || isnan(items[i + 1].score) || items[i + 1].score < items[i].score;
}

// Between the last kept score and the next one; just below the last when there is no next one.
static double part(const struct tdm_curve_item *items, size_t n, size_t i) {
	if (i + 1 == n || isnan(items[i + 1].score))
		return items[i].score - 1e-6 * (1 + fabs(items[i].score));
	return items[i].score + (items[i + 1].score - items[i].score) / 2;
}

int tdm_curve_make(const struct tdm_curve_item *items, size_t n, struct tdm_arena *arena, struct tdm_curve *out,
                   struct tdm_error *err) {
	if (n == 0)
		return tdm_fail(err, TDM_EVALUE, "curve: expected at least one item");
	struct tdm_curve_item *sorted = tdm_arena_array(arena, n, sizeof *sorted);
	out->points = tdm_arena_array(arena, n + 1, sizeof *out->points);
	if (!sorted || !out->points)
		return tdm_fail(err, TDM_ENOMEM, "curve: no memory for %zu items", n);
	memcpy(sorted, items, n * sizeof *items);
	qsort(sorted, n, sizeof *sorted, by_score);
	size_t right = count_large(items, n);
	out->points[0] = (struct tdm_curve_point){(double)INFINITY, 0, (double)right / (double)n};
	out->n = 1;
	for (size_t i = 0; i < n && !isnan(sorted[i].score); i++) {
		right = right + sorted[i].small_right - sorted[i].large_right;
		if (ends_group(sorted, n, i))
			out->points[out->n++] =
			    (struct tdm_curve_point){part(sorted, n, i), (double)(i + 1) / (double)n, (double)right / (double)n};
	}
	return TDM_OK;
}

const struct tdm_curve_point *tdm_curve_choose(const struct tdm_curve *curve, double slack) {
	size_t best = 0;
	for (size_t i = 1; i < curve->n; i++)
		if (curve->points[i].accuracy >= curve->points[0].accuracy - slack - 1e-12)
			best = i;
	return &curve->points[best];
}

const struct tdm_curve_point *tdm_curve_at(const struct tdm_curve *curve, double kept) {
	size_t at = 0;
	while (at + 1 < curve->n && curve->points[at + 1].kept <= kept + 1e-12)
		at++;
	return &curve->points[at];
}
