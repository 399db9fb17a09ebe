#include "learn/sparse.h"
#include "base/status.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLAT 1e-7 // of the gradient, for each row
enum { MOST_STEPS = 50, MOST_INNER = 200 };

int tdm_sparse_add(struct tdm_sparse *s, const float *x) {
	if (s->n + 2 > s->cap_rows) {
		size_t cap = s->cap_rows ? 2 * s->cap_rows : 1024;
		size_t *start = realloc(s->start, cap * sizeof *start);
		if (!start)
			return TDM_ENOMEM;
		s->start = start;
		s->cap_rows = cap;
		s->start[s->n] = s->n_items;
	}
	if (s->n_items + (size_t)s->width > s->cap) {
		size_t cap = 2 * s->cap + (size_t)s->width;
		uint16_t *column = realloc(s->column, cap * sizeof *column);
		s->column = column ? column : s->column;
		float *value = realloc(s->value, cap * sizeof *value);
		s->value = value ? value : s->value;
		if (!column || !value)
			return TDM_ENOMEM;
		s->cap = cap;
	}
	for (int k = 0; k < s->width; k++)
		if (x[k] != 0) {
			s->column[s->n_items] = (uint16_t)k;
			s->value[s->n_items++] = x[k];
		}
	s->start[++s->n] = s->n_items;
	return TDM_OK;
}

void tdm_sparse_release(struct tdm_sparse *s) {
	free(s->start);
	free(s->column);
	free(s->value);
	*s = (struct tdm_sparse){0};
}

double tdm_sparse_dot(const struct tdm_sparse *s, size_t i, const double *w) {
	double sum = w[s->width];
	for (size_t k = s->start[i]; k < s->start[i + 1]; k++)
		sum += (double)s->value[k] * w[s->column[k]];
	return sum;
}

static void row_add(const struct tdm_sparse *s, size_t i, double scale, double *out) {
	out[s->width] += scale;
	for (size_t k = s->start[i]; k < s->start[i + 1]; k++)
		out[s->column[k]] += scale * (double)s->value[k];
}

struct problem {
	const struct tdm_sparse *rows;
	const double *y;
	bool linear;
	double l2;
	double *w, *gradient, *direction, *residual, *search, *product; // width + 1 each
	double *curve;                                                  // of each row
	bool parted;                                                    // every fifth row is kept for a test
};

enum { PARTS = 5 };
static bool is_left_out(const struct problem *p, size_t i) {
	return p->parted && i % PARTS == PARTS - 1;
}

static double dot(const struct problem *p, const double *a, const double *b) {
	double sum = 0;
	for (int k = 0; k <= p->rows->width; k++)
		sum += a[k] * b[k];
	return sum;
}

// -y ln p - (1 - y) ln(1 - p) at p = 1 / (1 + e^-z), without overflow.
double tdm_log_loss(double z, double y) {
	return (z > 0 ? z + log1p(exp(-z)) : log1p(exp(z))) - y * z;
}

static double objective(const struct problem *p, const double *w) {
	double bias = w[p->rows->width], loss = p->l2 / 2 * (dot(p, w, w) - bias * bias);
	for (size_t i = 0; i < p->rows->n; i++) {
		if (is_left_out(p, i))
			continue;
		double z = tdm_sparse_dot(p->rows, i, w);
		loss += p->linear ? (z - p->y[i]) * (z - p->y[i]) / 2 : tdm_log_loss(z, p->y[i]);
	}
	return loss;
}

static void find_gradient(struct problem *p) {
	int bias = p->rows->width;
	for (int k = 0; k <= bias; k++)
		p->gradient[k] = k == bias ? 0 : p->l2 * p->w[k];
	for (size_t i = 0; i < p->rows->n; i++) {
		if (is_left_out(p, i))
			continue;
		double z = tdm_sparse_dot(p->rows, i, p->w), at = p->linear ? z : 1 / (1 + exp(-z));
		p->curve[i] = p->linear ? 1 : at * (1 - at);
		row_add(p->rows, i, at - p->y[i], p->gradient);
	}
}

// The tiny constant on the bias keeps the curvature positive when every row is far from the boundary.
static void curvature(const struct problem *p, const double *v, double *out) {
	for (int k = 0; k <= p->rows->width; k++)
		out[k] = (k == p->rows->width ? 1e-9 : p->l2) * v[k];
	for (size_t i = 0; i < p->rows->n; i++)
		if (!is_left_out(p, i))
			row_add(p->rows, i, p->curve[i] * tdm_sparse_dot(p->rows, i, v), out);
}

static void find_direction(struct problem *p) {
	double *d = p->direction, *r = p->residual, *s = p->search;
	for (int k = 0; k <= p->rows->width; k++) {
		d[k] = 0;
		r[k] = s[k] = -p->gradient[k];
	}
	double square = dot(p, r, r), enough = square * 1e-4;
	for (int i = 0; i < MOST_INNER && square > enough; i++) {
		curvature(p, s, p->product);
		double step = square / dot(p, s, p->product), before = square;
		for (int k = 0; k <= p->rows->width; k++) {
			d[k] += step * s[k];
			r[k] -= step * p->product[k];
		}
		square = dot(p, r, r);
		for (int k = 0; k <= p->rows->width; k++)
			s[k] = r[k] + square / before * s[k];
	}
}

// Halves the step until the objective falls enough. False when it no longer does: that is the minimum.
static bool take_step(struct problem *p, double *value) {
	double slope = dot(p, p->gradient, p->direction);
	for (double step = 1; step > 1e-9; step /= 2) {
		for (int k = 0; k <= p->rows->width; k++)
			p->search[k] = p->w[k] + step * p->direction[k];
		double now = objective(p, p->search);
		if (now <= *value + 1e-4 * step * slope) {
			memcpy(p->w, p->search, (size_t)(p->rows->width + 1) * sizeof *p->w);
			*value = now;
			return true;
		}
	}
	return false;
}

// From the weights in p->w on.
static void minimise(struct problem *p) {
	double value = objective(p, p->w), flat = FLAT * (double)p->rows->n;
	for (int i = 0; i < MOST_STEPS; i++) {
		find_gradient(p);
		if (dot(p, p->gradient, p->gradient) < flat * flat)
			break;
		find_direction(p);
		if (!take_step(p, &value))
			break;
	}
}

static double *open_problem(struct problem *p, const struct tdm_sparse *s) {
	size_t n = (size_t)s->width + 1;
	double *room = calloc(5 * n + s->n, sizeof *room);
	p->rows = s;
	p->gradient = room;
	if (room) {
		p->direction = room + n;
		p->residual = room + 2 * n;
		p->search = room + 3 * n;
		p->product = room + 4 * n;
		p->curve = room + 5 * n;
		memset(p->w, 0, n * sizeof *p->w);
	}
	return room;
}

int tdm_sparse_fit(const struct tdm_sparse *s, const double *y, bool linear, double l2, double *out) {
	struct problem p = {.y = y, .linear = linear, .l2 = l2, .w = out};
	double *room = open_problem(&p, s);
	if (!room)
		return TDM_ENOMEM;
	minimise(&p);
	free(room);
	return TDM_OK;
}

static double test_loss(const struct problem *p) {
	double loss = 0;
	for (size_t i = PARTS - 1; i < p->rows->n; i += PARTS) {
		double z = tdm_sparse_dot(p->rows, i, p->w);
		loss += p->linear ? (z - p->y[i]) * (z - p->y[i]) / 2 : tdm_log_loss(z, p->y[i]);
	}
	return loss;
}

int tdm_sparse_fit_best(const struct tdm_sparse *s, const double *y, bool linear, double *l2, double *out) {
	struct problem p = {.y = y, .linear = linear, .w = out, .parted = true};
	double *room = open_problem(&p, s), least = INFINITY;
	if (!room)
		return TDM_ENOMEM;
	*l2 = 64;
	for (double at = 64; at >= 1; at /= 2) { // the weights of a larger penalty are a good start for the next
		p.l2 = at;
		minimise(&p);
		double loss = test_loss(&p);
		if (loss < least) {
			least = loss;
			*l2 = at;
		} else if (loss > least * 1.002)
			break;
	}
	free(room);
	return tdm_sparse_fit(s, y, linear, *l2, out);
}
