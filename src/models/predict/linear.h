// Linear: a logistic scorer over features.h, and the file that holds it. score() is the probability that the small
// model's answer will do, as far as a linear function of the features can tell.
//
//   {"version": 1, "bias": b, "features": {"length": w, "digits": w}, "grams": [4096 numbers],
//    "answer": {"signs": {"least": w, ...}, "pairs": [528 numbers], "asked": [4096 numbers], "grams": [4096 numbers]},
//              absent: question only
//    "quantiles": {"linear": [101 scores], "length": [101 numbers]}}     quantile q/100 over the items of the fit
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "models/predict/features.h"
#include "models/kind.h"

#define TDM_N_QUANTILES 101

struct tdm_linear {
	enum tdm_reads reads;
	double bias;
	float weights[TDM_N_FEATURES];     // tdm_n_features(reads) of them
	double by_score[TDM_N_QUANTILES];  // of the scores on the items of the fit, ascending
	double by_length[TDM_N_QUANTILES]; // of minus the bytes of their questions, ascending
};

double tdm_linear_score(const struct tdm_linear *w, const struct tdm_seen *seen);
// The threshold that a share `rate` of the items of the fit reaches. quantiles: one of the two rows above.
double tdm_linear_threshold(const double quantiles[TDM_N_QUANTILES], double rate);
// name: of the file, for the sentence. Error: TDM_EFORMAT. The result lives in the arena.
int tdm_linear_read(struct tdm_arena *arena, const char *name, const char *data, size_t n, struct tdm_linear **out,
                    struct tdm_error *err);
// For create() of a kind: the weights that an option names, a path or embedded:NAME, which must read what the kind
// shows them. Error: TDM_ECONFIG with b->error set.
int tdm_linear_open(const struct tdm_build *b, const char *name, enum tdm_reads reads, struct tdm_linear **out);
// For create() of a kind: the bytes of the weights that an option names, a path or embedded:NAME. Inits *out.
int tdm_linear_file(const struct tdm_build *b, const char *name, size_t limit, struct tdm_bytes *out,
                    struct tdm_error *why);
void tdm_linear_write(const struct tdm_linear *w, struct tdm_bytes *out);

// What files of weights are made of. Quantiles: 101 ascending numbers; false: the list is none. Lists: "name":[...].
bool tdm_weights_quantiles(const struct tdm_value *list, double out[TDM_N_QUANTILES]);
void tdm_weights_put(struct tdm_bytes *out, const char *name, const double *x, size_t n);
void tdm_weights_put_floats(struct tdm_bytes *out, const char *name, const float *x, size_t n);
