// Linear: a logistic scorer over features.h, and the file that holds it. score() is the probability that the small
// model is right, as far as a linear function of the text can tell.
//
//   {"version": 1, "bias": b, "features": {"length": w, "digits": w}, "grams": [4096 numbers],
//    "quantiles": {"linear": [101 scores], "length": [101 numbers]}}     quantile q/100 over the texts of the fit
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "models/features.h"

#define TDM_N_QUANTILES 101

struct tdm_linear {
	double bias;
	float weights[TDM_N_FEATURES];
	double by_score[TDM_N_QUANTILES];  // of the scores on the texts of the fit, ascending
	double by_length[TDM_N_QUANTILES]; // of minus the bytes of these texts, ascending
};

double tdm_linear_score(const struct tdm_linear *w, const float features[TDM_N_FEATURES]);
// The threshold that a share `rate` of the texts of the fit reaches. quantiles: one of the two rows above.
double tdm_linear_threshold(const double quantiles[TDM_N_QUANTILES], double rate);
// name: of the file, for the sentence. Error: TDM_EFORMAT. The result lives in the arena.
int tdm_linear_read(struct tdm_arena *arena, const char *name, const char *data, size_t n, struct tdm_linear **out,
                    struct tdm_error *err);
void tdm_linear_write(const struct tdm_linear *w, struct tdm_bytes *out);
