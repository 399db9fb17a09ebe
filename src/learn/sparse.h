// Sparse: rows of numbers most of which are zero, and the linear and logistic regressions on them, by Newton's method
// with conjugate gradients. Labels may lie anywhere in 0..1. The column `width` is the bias, 1 everywhere, without a
// penalty. Convex, started at zero: the same rows give the same weights.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_sparse {
	int width;
	size_t n, n_items, cap, cap_rows;
	size_t *start; // n + 1
	uint16_t *column;
	float *value;
};
int tdm_sparse_add(struct tdm_sparse *s, const float *x); // a row of `width` numbers; TDM_OK or TDM_ENOMEM
void tdm_sparse_release(struct tdm_sparse *s);
// Minimises the sum over rows of loss(w x, y) + l2 / 2 |w|^2, loss: log-loss, or half the square where `linear`.
// Ends where the gradient is 0 but for 1e-7 a row. out: width + 1 weights. TDM_OK or TDM_ENOMEM.
int tdm_sparse_fit(const struct tdm_sparse *s, const double *y, bool linear, double l2, double *out);
// Finds the penalty first, of 1, 2, 4 .. 64: the one whose weights of four rows in five lose least on the fifth.
int tdm_sparse_fit_best(const struct tdm_sparse *s, const double *y, bool linear, double *l2, double *out);
// w x of a row, and the log-loss of that against a label.
double tdm_sparse_dot(const struct tdm_sparse *s, size_t row, const double *w);
double tdm_log_loss(double z, double y);
