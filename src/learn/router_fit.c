#include "learn/router_fit.h"
#include "learn/factors.h"
#include "learn/fit.h"
#include "learn/sparse.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_SLACKS = 21 };
#define FOLD_BYTES ((size_t)1 << 30) // at most, of what one fit holds

struct chosen { // the items of one fit
	const struct tdm_router_item **items;
	size_t n;
	const struct tdm_router_options *o;
	struct tdm_arena *arena;
	struct tdm_router *r;
};

static struct tdm_router_sight sight(const struct tdm_router_item *item) {
	return (struct tdm_router_sight){item->text, item->n, item->vector};
}

// --- quality, gap, cost

static int make_rows(const struct chosen *c, struct tdm_sparse *rows) {
	float *x = calloc((size_t)tdm_router_inputs(c->r), sizeof *x);
	int status = x ? TDM_OK : TDM_ENOMEM;
	*rows = (struct tdm_sparse){.width = tdm_router_inputs(c->r)};
	for (size_t i = 0; i < c->n && !status; i++) {
		struct tdm_router_sight s = sight(c->items[i]);
		tdm_router_features(c->r, &s, x);
		status = tdm_sparse_add(rows, x);
	}
	free(x);
	return status;
}

// Labels q_m >= q_last - t. Of 21 slacks t the one under which most pairs of items have different labels: where nearly
// all are equal there is nothing to learn (HybridLLM, equation 3).
static void label_gaps(const struct chosen *c, int m, double *y) {
	double best = -1, slack = 0;
	int last = c->o->n_models - 1;
	for (int k = 0; k < N_SLACKS; k++) {
		double share = 0, t = (double)k / (N_SLACKS - 1);
		for (size_t i = 0; i < c->n; i++)
			share += c->items[i]->quality[m] >= c->items[i]->quality[last] - t;
		share /= (double)c->n;
		if (share * (1 - share) > best) {
			best = share * (1 - share);
			slack = t;
		}
	}
	for (size_t i = 0; i < c->n; i++)
		y[i] = c->items[i]->quality[m] >= c->items[i]->quality[last] - slack;
}

static int fit_row(const struct chosen *c, const struct tdm_sparse *rows, const double *y, bool linear, float *out) {
	double *w = calloc((size_t)rows->width + 1, sizeof *w);
	double l2;
	int status = !w             ? TDM_ENOMEM
	             : c->o->l2 > 0 ? tdm_sparse_fit(rows, y, linear, c->o->l2, w)
	                            : tdm_sparse_fit_best(rows, y, linear, &l2, w);
	for (int k = 0; k <= rows->width && !status; k++)
		out[k] = (float)w[k];
	free(w);
	return status;
}

// A price that is the same for all items needs no regression.
static bool is_constant(const double *y, size_t n) {
	for (size_t i = 1; i < n; i++)
		if (y[i] != y[0])
			return false;
	return true;
}

static int fit_model(const struct chosen *c, const struct tdm_sparse *rows, int m, double *y) {
	size_t at = (size_t)m * (size_t)(rows->width + 1);
	for (size_t i = 0; i < c->n; i++)
		y[i] = c->items[i]->quality[m];
	if (c->r->scorer == TDM_ROUTER_GAP)
		label_gaps(c, m, y);
	int status = fit_row(c, rows, y, c->r->is_linear, c->r->quality + at);
	for (size_t i = 0; i < c->n; i++)
		y[i] = c->items[i]->cost[m];
	if (!status && !is_constant(y, c->n))
		return fit_row(c, rows, y, true, c->r->cost + at);
	c->r->cost[at + (size_t)rows->width] = (float)y[0];
	return status;
}

static int fit_rows(const struct chosen *c) {
	struct tdm_sparse rows;
	size_t n = (size_t)(tdm_router_inputs(c->r) + 1) * (size_t)c->o->n_models;
	double *y = calloc(c->n, sizeof *y);
	c->r->quality = tdm_arena_array(c->arena, n, sizeof *c->r->quality);
	c->r->cost = tdm_arena_array(c->arena, n, sizeof *c->r->cost);
	int status = make_rows(c, &rows);
	if (!status && (!y || !c->r->quality || !c->r->cost))
		status = TDM_ENOMEM;
	for (int m = 0; m < c->o->n_models && !status; m++)
		status = fit_model(c, &rows, m, y);
	tdm_sparse_release(&rows);
	free(y);
	return status;
}

// --- knn, similarity

static int keep_items(const struct chosen *c) {
	struct tdm_router *r = c->r;
	size_t inputs = (size_t)tdm_router_inputs(r), models = (size_t)c->o->n_models;
	float x[TDM_ROUTER_WIDTH];
	r->n_items = c->n;
	r->neighbours = c->o->neighbours;
	r->vectors = tdm_arena_array(c->arena, c->n, inputs);
	r->lengths = tdm_arena_array(c->arena, c->n, sizeof *r->lengths);
	r->outcomes = tdm_arena_array(c->arena, c->n * models, sizeof *r->outcomes);
	r->prices = tdm_arena_array(c->arena, c->n * models, sizeof *r->prices);
	if (!r->vectors || !r->lengths || !r->outcomes || !r->prices)
		return TDM_ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		struct tdm_router_sight s = sight(c->items[i]);
		tdm_router_features(r, &s, x);
		r->lengths[i] = tdm_router_shrink(x, (int)inputs, r->vectors + i * inputs);
		for (size_t m = 0; m < models; m++) {
			r->outcomes[i * models + m] = (float)c->items[i]->quality[m];
			r->prices[i * models + m] = (float)c->items[i]->cost[m];
		}
	}
	return TDM_OK;
}

// --- mf

static size_t make_pairs(const struct chosen *c, const float *x, struct tdm_factors_pair *out) {
	size_t n = 0, inputs = (size_t)tdm_router_inputs(c->r);
	for (size_t i = 0; i < c->n; i++)
		for (int a = 0; a < c->o->n_models; a++)
			for (int b = 0; b < c->o->n_models; b++)
				if (c->items[i]->quality[a] > c->items[i]->quality[b])
					out[n++] = (struct tdm_factors_pair){x + i * inputs, a, b};
	return n;
}

static int fit_factors(const struct chosen *c) {
	struct tdm_router *r = c->r;
	struct tdm_factors f = {.n_models = c->o->n_models, .rank = c->o->rank, .inputs = tdm_router_inputs(r)};
	size_t inputs = (size_t)f.inputs, models = (size_t)f.n_models;
	float *x = calloc(c->n, inputs * sizeof *x);
	struct tdm_factors_pair *pairs = calloc(c->n * models * models, sizeof *pairs);
	int status = TDM_ENOMEM;
	f.params = tdm_arena_array(c->arena, tdm_factors_n(&f), sizeof *f.params);
	if (x && pairs && f.params) {
		for (size_t i = 0; i < c->n; i++) {
			struct tdm_router_sight s = sight(c->items[i]);
			tdm_router_features(r, &s, x + i * inputs);
		}
		status = tdm_factors_fit(&f, pairs, make_pairs(c, x, pairs), c->o->epochs, c->o->rate, c->o->seed);
		r->rank = f.rank;
		r->projection = f.params;
		r->tables = f.params + (size_t)f.rank * inputs;
		r->join = r->tables + (size_t)f.rank * models;
	}
	free(x);
	free(pairs);
	return status;
}

// --- the whole

static void count_costs(const struct chosen *c) {
	for (int m = 0; m < c->o->n_models; m++)
		for (size_t i = 0; i < c->n; i++)
			c->r->mean_cost[m] += c->items[i]->cost[m] / (double)c->n;
	for (size_t i = 0; i < c->n; i++)
		tdm_router_learn_words(c->r, c->items[i]->text, c->items[i]->n);
}

static int fit_chosen(struct chosen *c) {
	count_costs(c);
	switch (c->r->scorer) {
	case TDM_ROUTER_KNN:
	case TDM_ROUTER_SIMILARITY:
		return keep_items(c);
	case TDM_ROUTER_MF:
		return fit_factors(c);
	default:
		return fit_rows(c);
	}
}

int tdm_router_fit(const struct tdm_router_item *items, size_t n, const int *fold, int without,
                   const struct tdm_router_options *o, struct tdm_arena *arena, struct tdm_router *out,
                   struct tdm_error *err) {
	struct chosen c = {.o = o, .arena = arena, .r = out};
	*out = (struct tdm_router){.scorer = o->scorer, .reads = o->reads, .n_models = o->n_models, .width = o->width};
	out->is_linear = o->square && o->scorer == TDM_ROUTER_QUALITY;
	for (int m = 0; m < o->n_models; m++)
		out->models[m] = o->models[m];
	c.items = calloc(n + 1, sizeof *c.items);
	for (size_t i = 0; c.items && i < n; i++)
		if (!fold || fold[i] != without)
			c.items[c.n++] = &items[i];
	int status = TDM_OK;
	if (!c.items)
		status = tdm_fail(err, TDM_ENOMEM, "fit: no memory for %zu items", n);
	else if (c.n == 0 || (out->scorer != TDM_ROUTER_MF && c.n > TDM_ROUTER_ITEMS && out->scorer > TDM_ROUTER_GAP))
		status = tdm_fail(err, TDM_EVALUE, "fit: %zu items; expected at least one%s", c.n,
		                  c.n ? ", and for scorers that keep them at most 50000" : "");
	else if (fit_chosen(&c))
		status = tdm_fail(err, TDM_ENOMEM, "fit: no memory for a scorer of %zu items", c.n);
	free(c.items);
	return status;
}

void tdm_router_folds(const struct tdm_router_item *items, size_t n, const struct tdm_router_options *o, int *fold) {
	for (size_t i = 0; i < n; i++) {
		uint64_t hash = 14695981039346656037u ^ (o->seed * 0x9E3779B97F4A7C15u);
		for (size_t k = 0; k < items[i].n; k++)
			hash = (hash ^ (unsigned char)items[i].text[k]) * 1099511628211u;
		hash = (hash ^ hash >> 32) * 0x9E3779B97F4A7C15u;
		fold[i] = (int)((hash >> 33) % (uint64_t)o->folds);
	}
}

static int judge_fold(const struct tdm_router *r, const struct tdm_router_item *items, size_t n, const int *fold,
                      int part, struct tdm_router_look *looks, struct tdm_error *err) {
	struct tdm_arena arena;
	int status = TDM_OK;
	tdm_arena_init(&arena, FOLD_BYTES);
	for (size_t i = 0; i < n && !status; i++) {
		struct tdm_router_sight s = sight(&items[i]);
		if (fold[i] != part)
			continue;
		status = tdm_router_judge(r, &s, &arena, &looks[i]);
		tdm_arena_clear(&arena);
	}
	tdm_arena_release(&arena);
	return status ? tdm_fail(err, status, "fit: no memory to judge an item") : TDM_OK;
}

int tdm_router_cross(const struct tdm_router_item *items, size_t n, const int *fold, const struct tdm_router_options *o,
                     struct tdm_router_look *looks, struct tdm_error *err) {
	struct tdm_router *r = calloc(1, sizeof *r);
	int status = r ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "fit: no memory");
	for (int part = 0; part < o->folds && !status; part++) {
		struct tdm_arena arena;
		tdm_arena_init(&arena, FOLD_BYTES);
		status = tdm_router_fit(items, n, fold, part, o, &arena, r, err);
		if (!status)
			status = judge_fold(r, items, n, fold, part, looks, err);
		tdm_arena_release(&arena);
	}
	free(r);
	return status;
}

// --- quantiles

static double spend(const struct tdm_router *r, const struct tdm_router_item *items,
                    const struct tdm_router_look *looks, size_t n, double threshold) {
	struct tdm_router_policy policy = {.threshold = threshold};
	double paid = 0, most = 0;
	bool undecided;
	for (size_t i = 0; i < n; i++) {
		paid += items[i].cost[tdm_router_choose(r, &looks[i], &policy, &undecided)];
		most += items[i].cost[r->n_models - 1];
	}
	return most > 0 ? paid / most : 0;
}

int tdm_router_calibrate(struct tdm_router *r, const struct tdm_router_item *items, const struct tdm_router_look *looks,
                         size_t n, struct tdm_error *err) {
	double *x = calloc(n, sizeof *x);
	if (!x)
		return tdm_fail(err, TDM_ENOMEM, "fit: no memory for %zu scores", n);
	for (size_t i = 0; i < n; i++)
		x[i] = looks[i].good[0];
	tdm_fit_quantiles(x, n, r->by_score);
	for (size_t i = 0; i < n; i++)
		x[i] = looks[i].familiar;
	tdm_fit_quantiles(x, n, r->by_familiar);
	for (int q = 0; q < TDM_N_QUANTILES; q++) {
		r->spend[q] = spend(r, items, looks, n, r->by_score[q]);
		// A model between may cost more than the last: the price of a threshold is that of the dearest below it.
		if (q && r->spend[q] < r->spend[q - 1])
			r->spend[q] = r->spend[q - 1];
	}
	free(x);
	return TDM_OK;
}
