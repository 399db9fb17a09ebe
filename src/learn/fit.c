#include "learn/fit.h"
#include "learn/sparse.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

void tdm_fit_quantiles(double *sorted, size_t n, double out[TDM_N_QUANTILES]) {
	qsort(sorted, n, sizeof *sorted, compare);
	for (int q = 0; q < TDM_N_QUANTILES; q++) {
		double at = (double)q / (TDM_N_QUANTILES - 1) * (double)(n - 1);
		size_t below = (size_t)at, above = below + 1 < n ? below + 1 : below;
		out[q] = sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
	}
}

struct ranked {
	double score;
	bool label;
};

static int by_score(const void *a, const void *b) {
	return compare(&((const struct ranked *)a)->score, &((const struct ranked *)b)->score);
}

// Mann-Whitney: equal scores count half.
static double area(struct ranked *r, size_t n) {
	double wins = 0, wrong = 0, right = 0;
	qsort(r, n, sizeof *r, by_score);
	for (size_t i = 0; i < n;) {
		double same[2] = {0, 0};
		size_t first = i;
		for (; i < n && r[i].score == r[first].score; i++)
			same[r[i].label]++;
		wins += same[1] * (wrong + same[0] / 2);
		wrong += same[0];
		right += same[1];
	}
	return wins / (wrong * right);
}

static bool finish(const struct tdm_sparse *rows, const struct tdm_fit_item *items, const double *weights,
                   struct tdm_linear *out, struct tdm_fit_report *report) {
	size_t n = rows->n;
	struct ranked *ranked = calloc(n, sizeof *ranked);
	double *scores = calloc(n, sizeof *scores), *lengths = calloc(n, sizeof *lengths);
	bool ok = ranked && scores && lengths;
	out->bias = weights[rows->width];
	for (int k = 0; k < rows->width; k++)
		out->weights[k] = (float)weights[k];
	for (size_t i = 0; ok && i < n; i++) {
		const struct tdm_fit_item *t = &items[i];
		scores[i] = tdm_linear_score(out, &t->seen);
		lengths[i] = -(double)t->seen.n_question;
		ranked[i] = (struct ranked){scores[i], t->label};
		report->loss += tdm_log_loss(tdm_sparse_dot(rows, i, weights), t->label) / (double)n;
		report->accuracy += ((scores[i] >= 0.5) == t->label) / (double)n;
	}
	if (ok) {
		tdm_fit_quantiles(scores, n, out->by_score);
		tdm_fit_quantiles(lengths, n, out->by_length);
		report->area = area(ranked, n);
	}
	free(ranked);
	free(scores);
	free(lengths);
	return ok;
}

static int make_rows(enum tdm_reads reads, const struct tdm_fit_item *items, size_t n, struct tdm_sparse *rows,
                     double *labels) {
	float x[TDM_N_FEATURES];
	int status = TDM_OK;
	for (size_t i = 0; i < n && !status; i++) {
		labels[i] = items[i].label;
		tdm_features(reads, &items[i].seen, x);
		status = tdm_sparse_add(rows, x);
	}
	return status;
}

int tdm_fit_logistic(enum tdm_reads reads, const struct tdm_fit_item *items, size_t n, double l2,
                     struct tdm_linear *out, struct tdm_fit_report *report, struct tdm_error *err) {
	struct tdm_fit_report own;
	struct tdm_sparse rows = {.width = tdm_n_features(reads)};
	if (n == 0 || !(l2 > 0) || isinf(l2))
		return tdm_fail(err, TDM_EVALUE, "fit: expected at least one item and a positive penalty, not %zu and %g", n,
		                l2);
	report = report ? report : &own;
	*report = (struct tdm_fit_report){0};
	*out = (struct tdm_linear){.reads = reads};
	double *weights = calloc((size_t)rows.width + 1, sizeof *weights), *labels = calloc(n, sizeof *labels);
	int status = weights && labels ? make_rows(reads, items, n, &rows, labels) : TDM_ENOMEM;
	if (!status)
		status = tdm_sparse_fit(&rows, labels, false, l2 * (double)n, weights); // of the sum, not of the mean
	if (!status && !finish(&rows, items, weights, out, report))
		status = TDM_ENOMEM;
	tdm_sparse_release(&rows);
	free(weights);
	free(labels);
	return status == TDM_OK ? TDM_OK : tdm_fail(err, status, "fit: no memory for %zu items", n);
}
