#include "learn/fit.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WEIGHTS = TDM_N_FEATURES + 1, MOST_STEPS = 50, MOST_INNER = 200 };

struct rows { // sparse matrix of features, one row per item; column `width` is the bias, 1 everywhere and not stored
	int width;
	size_t n, n_items;
	size_t *start; // n + 1
	uint16_t *column;
	float *value;
};

struct problem {
	struct rows rows;
	const struct tdm_fit_item *items;
	double l2;
	double *margin, *curve; // of each item: w·x, and p (1 - p)
	double weights[MOST_WEIGHTS], gradient[MOST_WEIGHTS], direction[MOST_WEIGHTS];
	double residual[MOST_WEIGHTS], search[MOST_WEIGHTS], product[MOST_WEIGHTS];
};

static bool add_row(struct rows *r, size_t i, const float *x, size_t *cap) {
	for (int k = 0; k < r->width; k++) {
		if (x[k] == 0)
			continue;
		if (r->n_items == *cap) {
			*cap = *cap ? 2 * *cap : 4096;
			uint16_t *column = realloc(r->column, *cap * sizeof *column);
			r->column = column ? column : r->column;
			float *value = realloc(r->value, *cap * sizeof *value);
			r->value = value ? value : r->value;
			if (!column || !value)
				return false;
		}
		r->column[r->n_items] = (uint16_t)k;
		r->value[r->n_items++] = x[k];
	}
	r->start[i + 1] = r->n_items;
	return true;
}

static bool make_rows(struct rows *r, enum tdm_reads reads, const struct tdm_fit_item *items, size_t n) {
	float x[TDM_N_FEATURES];
	size_t cap = 0;
	r->n = n;
	r->width = tdm_n_features(reads);
	r->start = calloc(n + 1, sizeof *r->start);
	for (size_t i = 0; r->start && i < n; i++) {
		tdm_features(reads, &items[i].seen, x);
		if (!add_row(r, i, x, &cap))
			return false;
	}
	return r->start != NULL;
}

static double row_dot(const struct rows *r, size_t i, const double *w) {
	double sum = w[r->width];
	for (size_t k = r->start[i]; k < r->start[i + 1]; k++)
		sum += (double)r->value[k] * w[r->column[k]];
	return sum;
}

static void row_add(const struct rows *r, size_t i, double scale, double *out) {
	out[r->width] += scale;
	for (size_t k = r->start[i]; k < r->start[i + 1]; k++)
		out[r->column[k]] += scale * (double)r->value[k];
}

static double dot(const struct problem *p, const double *a, const double *b) {
	double sum = 0;
	for (int k = 0; k <= p->rows.width; k++)
		sum += a[k] * b[k];
	return sum;
}

// ln(1 + e^-m), without overflow.
static double log_loss(double m) {
	return m > 0 ? log1p(exp(-m)) : -m + log1p(exp(m));
}

static double objective(const struct problem *p, const double *w) {
	double loss = 0, square = dot(p, w, w) - w[p->rows.width] * w[p->rows.width];
	for (size_t i = 0; i < p->rows.n; i++) {
		double margin = row_dot(&p->rows, i, w);
		loss += log_loss(p->items[i].label ? margin : -margin);
	}
	return loss / (double)p->rows.n + p->l2 / 2 * square;
}

static void find_gradient(struct problem *p) {
	double share = 1 / (double)p->rows.n;
	for (int k = 0; k <= p->rows.width; k++)
		p->gradient[k] = k == p->rows.width ? 0 : p->l2 * p->weights[k];
	for (size_t i = 0; i < p->rows.n; i++) {
		p->margin[i] = row_dot(&p->rows, i, p->weights);
		double probability = 1 / (1 + exp(-p->margin[i]));
		p->curve[i] = probability * (1 - probability);
		row_add(&p->rows, i, (probability - (p->items[i].label ? 1 : 0)) * share, p->gradient);
	}
}

// out = Hessian * v. The tiny constant on the bias keeps it positive when every item is far from the boundary.
static void curvature(const struct problem *p, const double *v, double *out) {
	double share = 1 / (double)p->rows.n;
	for (int k = 0; k <= p->rows.width; k++)
		out[k] = (k == p->rows.width ? 1e-10 : p->l2) * v[k];
	for (size_t i = 0; i < p->rows.n; i++)
		row_add(&p->rows, i, p->curve[i] * share * row_dot(&p->rows, i, v), out);
}

// direction = -Hessian^-1 gradient, to a hundredth of the gradient.
static void find_direction(struct problem *p) {
	double *d = p->direction, *r = p->residual, *s = p->search;
	for (int k = 0; k <= p->rows.width; k++) {
		d[k] = 0;
		r[k] = s[k] = -p->gradient[k];
	}
	double square = dot(p, r, r), enough = square * 1e-4;
	for (int i = 0; i < MOST_INNER && square > enough; i++) {
		curvature(p, s, p->product);
		double step = square / dot(p, s, p->product), before = square;
		for (int k = 0; k <= p->rows.width; k++) {
			d[k] += step * s[k];
			r[k] -= step * p->product[k];
		}
		square = dot(p, r, r);
		for (int k = 0; k <= p->rows.width; k++)
			s[k] = r[k] + square / before * s[k];
	}
}

// Halves the step until the objective falls enough. False when it no longer does: that is the minimum.
static bool take_step(struct problem *p, double *value) {
	double slope = dot(p, p->gradient, p->direction);
	for (double step = 1; step > 1e-9; step /= 2) {
		for (int k = 0; k <= p->rows.width; k++)
			p->search[k] = p->weights[k] + step * p->direction[k];
		double now = objective(p, p->search);
		if (now <= *value + 1e-4 * step * slope) {
			memcpy(p->weights, p->search, sizeof p->weights);
			*value = now;
			return true;
		}
	}
	return false;
}

static int minimise(struct problem *p) {
	double value = objective(p, p->weights);
	for (int i = 0; i < MOST_STEPS; i++) {
		find_gradient(p);
		if (dot(p, p->gradient, p->gradient) < 1e-16)
			return i;
		find_direction(p);
		if (!take_step(p, &value))
			return i;
	}
	return MOST_STEPS;
}

static int compare(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void quantiles(double *sorted, size_t n, double *out) {
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

static bool finish(const struct problem *p, struct tdm_linear *out, struct tdm_fit_report *report) {
	size_t n = p->rows.n;
	struct ranked *ranked = calloc(n, sizeof *ranked);
	double *scores = calloc(n, sizeof *scores), *lengths = calloc(n, sizeof *lengths);
	bool ok = ranked && scores && lengths;
	out->bias = p->weights[p->rows.width];
	for (int k = 0; k < p->rows.width; k++)
		out->weights[k] = (float)p->weights[k];
	for (size_t i = 0; ok && i < n; i++) {
		const struct tdm_fit_item *t = &p->items[i];
		scores[i] = tdm_linear_score(out, &t->seen);
		lengths[i] = -(double)t->seen.n_question;
		ranked[i] = (struct ranked){scores[i], t->label};
		report->loss += log_loss(t->label ? p->margin[i] : -p->margin[i]) / (double)n;
		report->accuracy += ((scores[i] >= 0.5) == t->label) / (double)n;
	}
	if (ok) {
		quantiles(scores, n, out->by_score);
		quantiles(lengths, n, out->by_length);
		report->area = area(ranked, n);
	}
	free(ranked);
	free(scores);
	free(lengths);
	return ok;
}

int tdm_fit_logistic(enum tdm_reads reads, const struct tdm_fit_item *items, size_t n, double l2,
                     struct tdm_linear *out, struct tdm_fit_report *report, struct tdm_error *err) {
	struct tdm_fit_report own;
	if (n == 0 || !(l2 > 0) || isinf(l2))
		return tdm_fail(err, TDM_EVALUE, "fit: expected at least one item and a positive penalty, not %zu and %g", n,
		                l2);
	int status = TDM_ENOMEM;
	report = report ? report : &own;
	*report = (struct tdm_fit_report){0};
	*out = (struct tdm_linear){.reads = reads};
	struct problem *p = calloc(1, sizeof *p);
	if (!p)
		goto done;
	p->items = items;
	p->l2 = l2;
	p->margin = calloc(n, sizeof *p->margin);
	p->curve = calloc(n, sizeof *p->curve);
	if (!p->margin || !p->curve || !make_rows(&p->rows, reads, items, n))
		goto done;
	report->steps = minimise(p);
	find_gradient(p);
	if (finish(p, out, report))
		status = TDM_OK;
done:
	if (p) {
		free(p->margin);
		free(p->curve);
		free(p->rows.start);
		free(p->rows.column);
		free(p->rows.value);
	}
	free(p);
	return status == TDM_OK ? TDM_OK : tdm_fail(err, status, "fit: no memory for %zu items", n);
}
