#include "cost/speculate/branches.h"
#include "cost/speculate/verify.h"
#include "engine/sampler.h"
#include <math.h>

enum { HALVINGS = 50 };

// The next draw after draw i that gave a child of that node; n_draws: there is none.
static int next_child(const struct tdm_branches *b, int node, int i) {
	do
		i++;
	while (i < b->n_draws && b->parents[b->drawn[i]] != node);
	return i;
}

static double sum(const double *x, int n) {
	double total = 0;
	for (int i = 0; i < n; i++)
		total += x[i];
	return total;
}

// Of what is left of p; of p itself where that is nothing, as is so only by rounding.
static int32_t draw_rest(const double *rest, const float *p, int n, double u) {
	double bar = u * sum(rest, n), reached = 0;
	int32_t last = -1;
	for (int i = 0; i < n; i++) {
		if (rest[i] <= 0)
			continue;
		reached += rest[i];
		last = i;
		if (reached > bar)
			break;
	}
	return last < 0 ? tdm_verify_draw(p, n, u) : last;
}

// --- without replacement

// The child of a node that stays; -1: none, and b->rest is what is left of p.
static int try_distinct(const struct tdm_branches *b, int node, const float *p, const double *accept) {
	const float *q = b->q[1 + node];
	int n = b->n_vocab, i = next_child(b, node, -1);
	for (int v = 0; v < n; v++) {
		b->rest[v] = (double)p[v];
		b->left[v] = i < b->n_draws ? (double)q[v] : 0;
	}
	for (; i < b->n_draws; i = next_child(b, node, i)) {
		int32_t x = b->tokens[b->drawn[i]];
		double of_rest = sum(b->rest, n), of_left = sum(b->left, n);
		if (accept[i] * b->left[x] * of_rest < b->rest[x] * of_left)
			return b->drawn[i];
		for (int v = 0; v < n; v++)
			b->rest[v] = fmax(b->rest[v] / of_rest - b->left[v] / of_left, 0);
		b->left[x] = 0;
		if (sum(b->rest, n) <= 0)
			break;
	}
	return -1;
}

struct tdm_branch tdm_branch_distinct(const struct tdm_branches *b, const double *accept, double last) {
	for (int node = -1;;) {
		const float *p = b->p(b->target, node);
		int child = try_distinct(b, node, p, accept);
		if (child < 0)
			return (struct tdm_branch){node, draw_rest(b->rest, p, b->n_vocab, last)};
		node = child;
	}
}

// --- independent

static double kept_share(const float *p, const float *q, int n, double rho) {
	double beta = 0;
	for (int v = 0; v < n; v++)
		beta += fmin((double)p[v] / rho, (double)q[v]);
	return beta;
}

// Of all that k tests keep, per unit of what one of them keeps.
static double tests(double beta, int k) {
	return beta > 0 ? -expm1(k * log1p(-fmin(beta, 1))) / beta : k;
}

double tdm_branch_rho(const float *p, const float *q, int n_vocab, int k) {
	double low = 1, high = k;
	if (k <= 1 || tests(kept_share(p, q, n_vocab, 1), k) <= 1)
		return 1;
	for (int i = 0; i < HALVINGS; i++) {
		double rho = (low + high) / 2;
		if (tests(kept_share(p, q, n_vocab, rho), k) <= rho)
			high = rho;
		else
			low = rho;
	}
	return high;
}

static int try_independent(const struct tdm_branches *b, int node, const float *p, const double *accept) {
	const float *q = b->q[1 + node];
	int n = b->n_vocab, k = 0;
	for (int i = next_child(b, node, -1); i < b->n_draws; i = next_child(b, node, i))
		k++;
	double rho = k > 0 ? tdm_branch_rho(p, q, n, k) : 1;
	for (int i = next_child(b, node, -1); i < b->n_draws; i = next_child(b, node, i)) {
		int32_t x = b->tokens[b->drawn[i]];
		if (accept[i] * rho * (double)q[x] < (double)p[x])
			return b->drawn[i];
	}
	double all = k > 0 ? tests(kept_share(p, q, n, rho), k) : 0;
	for (int v = 0; v < n; v++)
		b->rest[v] = fmax((double)p[v] - (k > 0 ? all * fmin((double)p[v] / rho, (double)q[v]) : 0), 0);
	return -1;
}

struct tdm_branch tdm_branch_independent(const struct tdm_branches *b, const double *accept, double last) {
	for (int node = -1;;) {
		const float *p = b->p(b->target, node);
		int child = try_independent(b, node, p, accept);
		if (child < 0)
			return (struct tdm_branch){node, draw_rest(b->rest, p, b->n_vocab, last)};
		node = child;
	}
}

// --- at temperature 0

struct tdm_branch tdm_branch_greedy(const struct tdm_branches *b) {
	for (int node = -1;;) {
		int32_t best = tdm_argmax(b->p(b->target, node), b->n_vocab);
		int i = next_child(b, node, -1);
		while (i < b->n_draws && b->tokens[b->drawn[i]] != best)
			i = next_child(b, node, i);
		if (i == b->n_draws)
			return (struct tdm_branch){node, best};
		node = b->drawn[i];
	}
}
