#include "assure/control.h"
#include <math.h>
#include <stdlib.h>

static int check_loss(const struct tdm_risk_claim *claim, double loss, size_t i, struct tdm_error *err) {
	double least = claim->risk == TDM_RISK_NET ? -1 : 0;
	if (claim->bound == TDM_BOUND_BINOMIAL && loss != 0 && loss != 1)
		return tdm_fail(err, TDM_EVALUE, "control: loss %zu is %g, expected 0 or 1", i, loss);
	if (!(loss >= least && loss <= 1))
		return tdm_fail(err, TDM_EVALUE, "control: loss %zu is %g, expected %g to 1", i, loss, least);
	return TDM_OK;
}

static int check_items(const struct tdm_risk_claim *claim, const struct tdm_losses *items, struct tdm_error *err) {
	int status = TDM_OK;
	for (size_t i = 0; i < items->n && !status; i++) {
		status = check_loss(claim, items->loss[i], i, err);
		if (!status && items->passed)
			status = check_loss(claim, items->passed[i], i, err);
		if (!status && !isfinite(items->gate[i]))
			status = tdm_fail(err, TDM_EVALUE, "control: score %zu is not a finite number", i);
		if (!status && items->group && items->group[i] >= items->n_groups)
			status = tdm_fail(err, TDM_EVALUE, "control: item %zu is of group %u of %zu", i, (unsigned)items->group[i],
			                  items->n_groups);
	}
	return status;
}

int tdm_control_check(const struct tdm_risk_claim *claim, const struct tdm_losses *items, const double *grid,
                      size_t n_grid, struct tdm_error *err) {
	if (!(claim->epsilon > 0 && claim->epsilon < 1 && claim->delta > 0 && claim->delta < 1))
		return tdm_fail(err, TDM_EVALUE, "control: epsilon %g and delta %g are expected between 0 and 1",
		                claim->epsilon, claim->delta);
	if (claim->risk == TDM_RISK_NET && claim->bound == TDM_BOUND_BINOMIAL)
		return tdm_fail(err, TDM_EVALUE,
		                "control: gains and losses are no events: expected another bound than binomial");
	if (items->n == 0 || n_grid == 0)
		return tdm_fail(err, TDM_EVALUE, "control: expected at least one item and one threshold");
	int status = check_items(claim, items, err);
	if (status)
		return status;
	for (size_t j = 0; j < n_grid; j++)
		if (isnan(grid[j]) || (j > 0 && grid[j] >= grid[j - 1]))
			return tdm_fail(err, TDM_EVALUE, "control: threshold %zu is expected to be below the one before it", j);
	return TDM_OK;
}

// A mean of -1 to 1 is tested as one of 0 to 1.
static double to_unit(const struct tdm_risk_claim *claim, double x) {
	return claim->risk == TDM_RISK_NET ? (x + 1) / 2 : x;
}

static double from_unit(const struct tdm_risk_claim *claim, double x) {
	return claim->risk == TDM_RISK_NET ? 2 * x - 1 : x;
}

// What the risk is the mean of, in the order of the items; returns how many.
static size_t sample(const struct tdm_risk_claim *claim, const struct tdm_losses *items, double threshold, double *z) {
	size_t n = 0;
	for (size_t i = 0; i < items->n; i++) {
		bool kept = items->gate[i] >= threshold;
		if (claim->risk == TDM_RISK_JOINT || claim->risk == TDM_RISK_NET)
			z[n++] = to_unit(claim, kept ? items->loss[i] : items->passed ? items->passed[i] : 0);
		else if (claim->risk == TDM_RISK_SELECTIVE && kept)
			z[n++] = items->loss[i];
		else if (claim->risk == TDM_RISK_CLASS && items->loss[i] > 0)
			z[n++] = kept;
	}
	return n;
}

// Whether n items without any loss would be rejected.
static bool can_succeed(const struct tdm_risk_claim *claim, size_t n, double *zeros, double delta) {
	double p = 1;
	for (size_t i = 0; i < n; i++)
		zeros[i] = 0; // the least that there can be, of net too
	return n > 0 && tdm_pvalue(claim->bound, zeros, n, to_unit(claim, claim->epsilon), delta, &p, NULL) == TDM_OK &&
	       p <= delta;
}

static double part_of_delta(const struct tdm_risk_claim *claim) {
	return claim->procedure == TDM_MULTI_START && claim->n_starts ? claim->delta / (double)claim->n_starts
	                                                              : claim->delta;
}

static void fill_pvalues(const struct tdm_risk_claim *claim, const struct tdm_losses *items, const double *grid,
                         size_t n_grid, double *z, double *p) {
	double delta = part_of_delta(claim);
	size_t enough = claim->risk == TDM_RISK_SELECTIVE ? SIZE_MAX : 0; // kept items from which on a test may succeed
	for (size_t j = 0; j < n_grid; j++) {
		size_t n = sample(claim, items, grid[j], z);
		p[j] = (double)NAN;
		if (n == 0 && claim->risk == TDM_RISK_SELECTIVE)
			continue;
		if (n < enough && !can_succeed(claim, n, z, delta))
			continue;
		enough = n < enough ? n : enough;
		n = sample(claim, items, grid[j], z);
		if (tdm_pvalue(claim->bound, z, n, to_unit(claim, claim->epsilon), delta, &p[j], NULL) != TDM_OK)
			p[j] = 1; // of the class of bad items, and there is none: nothing is shown
	}
}

// The items of one group, in their order; lists: room for three times items->n.
static struct tdm_losses of_group(const struct tdm_losses *items, size_t group, double *lists) {
	double *loss = lists, *gate = loss + items->n, *passed = gate + items->n;
	struct tdm_losses out = {.loss = loss, .gate = gate, .passed = items->passed ? passed : NULL};
	for (size_t i = 0; i < items->n; i++) {
		if (items->group[i] != group)
			continue;
		loss[out.n] = items->loss[i];
		gate[out.n] = items->gate[i];
		passed[out.n++] = items->passed ? items->passed[i] : 0;
	}
	return out;
}

// The largest p-value of all groups; what one of them cannot show is not shown.
static void fill_groups(const struct tdm_risk_claim *claim, const struct tdm_losses *items, const double *grid,
                        size_t n_grid, double *room, double *p) {
	double *z = room, *lists = z + items->n, *own = lists + 3 * items->n;
	for (size_t g = 0; g < items->n_groups; g++) {
		struct tdm_losses group = of_group(items, g, lists);
		fill_pvalues(claim, &group, grid, n_grid, z, own);
		for (size_t j = 0; j < n_grid; j++)
			p[j] = g == 0 || isnan(own[j]) || own[j] > p[j] ? own[j] : p[j];
	}
}

int tdm_control_pvalues(const struct tdm_risk_claim *claim, const struct tdm_losses *items, const double *grid,
                        size_t n_grid, double *p, struct tdm_error *err) {
	int status = tdm_control_check(claim, items, grid, n_grid, err);
	if (status != TDM_OK)
		return status;
	double *z = calloc(4 * items->n + n_grid, sizeof *z);
	if (!z)
		return tdm_fail(err, TDM_ENOMEM, "control: no memory for %zu items", items->n);
	if (items->group)
		fill_groups(claim, items, grid, n_grid, z, p);
	else
		fill_pvalues(claim, items, grid, n_grid, z, p);
	free(z);
	return TDM_OK;
}

// The measured risk of these items, and its upper bound.
static int measure(const struct tdm_risk_claim *claim, const struct tdm_losses *items, double threshold, double *z,
                   double *risk, double *upper, struct tdm_error *err) {
	size_t n = sample(claim, items, threshold, z);
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += z[i];
	*risk = n ? from_unit(claim, sum / (double)n) : 0;
	int status = tdm_upper(claim->bound, z, n, part_of_delta(claim), upper, err);
	*upper = from_unit(claim, *upper);
	return status;
}

// What is known at grid[at], the result; of groups, the worst one.
static int describe(const struct tdm_risk_claim *claim, const struct tdm_losses *items, const double *grid, size_t at,
                    double p, struct tdm_control *out, struct tdm_error *err) {
	double *room = calloc(4 * items->n, sizeof *room);
	struct tdm_control c = {.threshold = grid[at], .p_value = p, .at = at, .upper = -1, .risk = -1};
	int status = room ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "control: no memory for %zu items", items->n);
	for (size_t g = 0; !status && g < (items->group ? items->n_groups : 1); g++) {
		struct tdm_losses part = items->group ? of_group(items, g, room + items->n) : *items;
		double risk, upper = 0;
		status = measure(claim, &part, grid[at], room, &risk, &upper, err);
		c.risk = fmax(c.risk, risk);
		c.upper = fmax(c.upper, upper);
	}
	for (size_t i = 0; i < items->n; i++) {
		c.n_kept += items->gate[i] >= grid[at];
		c.n_bad += items->gate[i] >= grid[at] && items->loss[i] > 0;
	}
	if (!status)
		*out = c;
	free(room);
	return status;
}

int tdm_control_threshold(const struct tdm_risk_claim *claim, const struct tdm_losses *items, const double *grid,
                          size_t n_grid, struct tdm_control *out, struct tdm_error *err) {
	double *p = calloc(n_grid + 1, sizeof *p);
	bool *rejected = calloc(n_grid + 1, sizeof *rejected);
	size_t from = 0, last = 0;
	int status = p && rejected ? tdm_control_pvalues(claim, items, grid, n_grid, p, err)
	                           : tdm_fail(err, TDM_ENOMEM, "control: no memory for %zu thresholds", n_grid);
	if (status)
		goto done;
	while (from < n_grid && isnan(p[from]))
		from++;
	last = tdm_procedure_reject(claim->procedure, p + from, n_grid - from, claim->delta, claim->n_starts, rejected);
	if (last)
		status = describe(claim, items, grid, from + last - 1, p[from + last - 1], out, err);
	else
		*out = (struct tdm_control){.threshold = INFINITY, .at = n_grid};
done:
	free(p);
	free(rejected);
	return status;
}
