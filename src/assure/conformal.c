#include "assure/conformal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int tdm_fraction_read(const char *text, struct tdm_fraction *out, struct tdm_error *err) {
	struct tdm_fraction f = {0, 1};
	const char *at = text + (text[0] == '0');
	size_t digits = at[0] == '.' ? strspn(at + 1, "0123456789") : 0;
	if (digits >= 1 && digits <= 9 && !at[1 + digits])
		for (size_t i = 1; i <= digits; i++, f.under *= 10)
			f.over = f.over * 10 + (uint64_t)(at[i] - '0');
	if (f.over == 0)
		return tdm_fail(err, TDM_EVALUE, "\"%.40s\" is no decimal between 0 and 1 such as 0.05", text);
	*out = f;
	return TDM_OK;
}

size_t tdm_conformal_rank(size_t n, struct tdm_fraction alpha) {
	__extension__ unsigned __int128 wide = n; // n + 1 times a denominator of ten digits passes 64 bits
	wide = (wide + 1) * (alpha.under - alpha.over);
	return (size_t)((wide + alpha.under - 1) / alpha.under);
}

static int ascending(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int tdm_conformal_quantile(const double *scores, size_t n, struct tdm_fraction alpha, double *out,
                           struct tdm_error *err) {
	size_t rank = tdm_conformal_rank(n, alpha);
	for (size_t i = 0; i < n; i++)
		if (isnan(scores[i]))
			return tdm_fail(err, TDM_EVALUE, "conformal: score %zu is not a number", i);
	if (rank > n) {
		*out = INFINITY;
		return TDM_OK;
	}
	double *sorted = calloc(n, sizeof *sorted);
	if (!sorted)
		return tdm_fail(err, TDM_ENOMEM, "conformal: no memory for %zu scores", n);
	memcpy(sorted, scores, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, ascending);
	*out = sorted[rank - 1];
	free(sorted);
	return TDM_OK;
}

int tdm_conformal_class(const struct tdm_losses *items, struct tdm_fraction alpha, double *threshold,
                        struct tdm_error *err) {
	double *bad = calloc(items->n + 1, sizeof *bad), at;
	size_t n = 0;
	if (!bad)
		return tdm_fail(err, TDM_ENOMEM, "conformal: no memory for %zu items", items->n);
	for (size_t i = 0; i < items->n; i++)
		if (items->loss[i] > 0)
			bad[n++] = items->gate[i];
	int status = tdm_conformal_quantile(bad, n, alpha, &at, err);
	free(bad);
	if (!status)
		*threshold = nextafter(at, INFINITY); // a tie is kept, so the quantile itself would be
	return status;
}

int tdm_conformal_expected(const struct tdm_losses *items, const double *grid, size_t n_grid, double epsilon,
                           double most, double *threshold, struct tdm_error *err) {
	const struct tdm_risk_claim claim = {.epsilon = epsilon, .delta = 0.5, .bound = TDM_BOUND_HB};
	int status = tdm_control_check(&claim, items, grid, n_grid, err);
	if (status)
		return status;
	*threshold = INFINITY;
	for (size_t j = 0; j < n_grid; j++) {
		double sum = 0;
		for (size_t i = 0; i < items->n; i++)
			sum += items->gate[i] >= grid[j] ? items->loss[i] : 0;
		if ((sum + most) / ((double)items->n + 1) > epsilon)
			return TDM_OK;
		*threshold = grid[j];
	}
	return TDM_OK;
}
