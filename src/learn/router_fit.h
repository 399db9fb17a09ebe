// Router fit: makes a router (models/predict/router.h) from items whose answers by every model were judged.
//
// The rule it protects: no item is judged by what was fitted on it. The quantiles of the file, by which a wanted share
// or price becomes a threshold, and every figure of a report come from looks of tdm_router_cross: the items fall into
// parts by the hash of their text (equal texts into the same), each is judged by a router of the other parts.
// Everything is a function of the items, their order, the options and the seed.
#pragma once
#include "models/predict/router.h"

struct tdm_router_item {
	const char *text;
	size_t n;
	const float *vector;   // as tdm_router_vector makes it; NULL where texts are read
	const double *quality; // n_models numbers 0..1
	const double *cost;    // n_models numbers
};

struct tdm_router_options {
	enum tdm_router_scorer scorer;
	enum tdm_router_reads reads;
	int n_models, width; // width: of the vectors; 0 = texts
	const char *const *models;
	double l2;   // quality, gap, cost: penalty l2 / 2 |w|^2 beside the sum of losses over the items; 0 = found on them
	bool square; // quality: the square loss, not the log-loss
	int neighbours;   // knn
	int rank, epochs; // mf
	double rate;      // mf: of Adam
	int folds;        // of the cross-validation, at least 2
	uint64_t seed;    // of the parts and of mf
};

// Fits on the items with fold[i] != without (fold NULL: all). What the router holds lives in the arena; its quantiles
// are left empty. Errors: TDM_EVALUE, TDM_ENOMEM.
int tdm_router_fit(const struct tdm_router_item *items, size_t n, const int *fold, int without,
                   const struct tdm_router_options *o, struct tdm_arena *arena, struct tdm_router *out,
                   struct tdm_error *err);
// The part of each item, 0..folds-1.
void tdm_router_folds(const struct tdm_router_item *items, size_t n, const struct tdm_router_options *o, int *fold);
// looks[i]: item i judged without its part. n >= folds.
int tdm_router_cross(const struct tdm_router_item *items, size_t n, const int *fold, const struct tdm_router_options *o,
                     struct tdm_router_look *looks, struct tdm_error *err);
// Fills the quantiles of the router from such looks.
int tdm_router_calibrate(struct tdm_router *r, const struct tdm_router_item *items, const struct tdm_router_look *looks,
                         size_t n, struct tdm_error *err);
