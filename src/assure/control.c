#include "assure/control.h"
#include "assure/bounds.h"
#include <math.h>
#include <stdlib.h>

struct item {
	double gate;
	int is_bad;
};

static int strictest_first(const void *a, const void *b) {
	double x = ((const struct item *)a)->gate, y = ((const struct item *)b)->gate;
	return (x < y) - (x > y);
}

static int check(const struct tdm_claim *claim, const struct tdm_losses *items, const double *grid, size_t n_grid,
                 struct tdm_error *err) {
	if (!(claim->epsilon > 0 && claim->epsilon < 1 && claim->delta > 0 && claim->delta < 1))
		return tdm_fail(err, TDM_EVALUE, "control: epsilon %g and delta %g are expected between 0 and 1",
		                claim->epsilon, claim->delta);
	if (items->n == 0 || n_grid == 0)
		return tdm_fail(err, TDM_EVALUE, "control: expected at least one item and one threshold");
	for (size_t i = 0; i < items->n; i++) {
		if (items->loss[i] != 0 && items->loss[i] != 1)
			return tdm_fail(err, TDM_EVALUE, "control: loss %zu is %g, expected 0 or 1", i, items->loss[i]);
		if (!isfinite(items->gate[i]))
			return tdm_fail(err, TDM_EVALUE, "control: score %zu is not a finite number", i);
	}
	for (size_t j = 0; j < n_grid; j++)
		if (isnan(grid[j]) || (j > 0 && grid[j] >= grid[j - 1]))
			return tdm_fail(err, TDM_EVALUE, "control: threshold %zu is expected to be below the one before it", j);
	return TDM_OK;
}

// Items in the order in which falling thresholds keep them.
static struct item *sorted(const struct tdm_losses *items) {
	struct item *out = calloc(items->n, sizeof *out);
	for (size_t i = 0; out && i < items->n; i++)
		out[i] = (struct item){items->gate[i], items->loss[i] == 1};
	if (out)
		qsort(out, items->n, sizeof *out, strictest_first);
	return out;
}

static void walk(const struct tdm_claim *claim, const struct item *items, size_t n, const double *grid, size_t n_grid,
                 struct tdm_control *best) {
	int64_t needed = tdm_binomial_needed(claim->epsilon, claim->delta);
	size_t kept = 0, bad = 0;
	for (size_t j = 0; j < n_grid; j++) {
		for (; kept < n && items[kept].gate >= grid[j]; kept++)
			bad += (size_t)items[kept].is_bad;
		size_t of = claim->risk == TDM_RISK_JOINT ? n : kept;
		if (claim->risk == TDM_RISK_SELECTIVE && (int64_t)kept < needed)
			continue; // the walk begins where a test can succeed; scores decide that, not losses
		double p = tdm_binomial_cdf((int64_t)bad, (int64_t)of, claim->epsilon);
		if (p > claim->delta)
			return;
		*best = (struct tdm_control){.threshold = grid[j], .n_kept = kept, .n_bad = bad, .p_value = p};
		tdm_binomial_upper((int64_t)bad, (int64_t)of, claim->delta, &best->upper, NULL);
	}
}

int tdm_control_threshold(const struct tdm_claim *claim, const struct tdm_losses *items, const double *grid,
                          size_t n_grid, struct tdm_control *out, struct tdm_error *err) {
	int status = check(claim, items, grid, n_grid, err);
	if (status != TDM_OK)
		return status;
	struct item *order = sorted(items);
	if (!order)
		return tdm_fail(err, TDM_ENOMEM, "control: no memory for %zu items", items->n);
	*out = (struct tdm_control){.threshold = INFINITY};
	walk(claim, order, items->n, grid, n_grid, out);
	free(order);
	return TDM_OK;
}
