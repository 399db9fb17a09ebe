// Fit of a probe (models/predict/probe.h): where would the large model choose another token than the small one? From
// the pair's own tokens: the large model writes an answer at temperature 0, the small one reads it in one pass, and
// each token that it would have chosen otherwise is a one. Logistic regression with an L2 penalty (the bias is free),
// by Newton's method on the dense features; convex, started at zero, no randomness.
#pragma once
#include "models/predict/probe.h"

struct tdm_probe_data { // grows; release gives it back
	int width;          // of the hidden state
	size_t n, cap;
	double *rows; // n rows of TDM_N_ROW_SIGNS + width
	uint8_t *label, *fold;
};

// One request's tokens, all of one fold. max_tokens: of the large model's answer. Error: of the models.
int tdm_probe_data_add(struct tdm_probe_data *d, struct tdm_run *run, struct tdm_model *small, struct tdm_model *large,
                       const struct tdm_request *request, int max_tokens, int fold);
void tdm_probe_data_release(struct tdm_probe_data *d);

struct tdm_probe_report {
	size_t n, n_differ;                     // of the tokens that it is shown on
	double area, area_entropy, area_margin; // under the ROC curve on these: the probe's, and without one
};

// On the tokens of other folds than `left_out` (-1: on all), with or without the hidden state; the report and the
// quantiles are of the tokens left out (-1: of all). out->hidden lives in the arena.
int tdm_fit_probe(const struct tdm_probe_data *d, int left_out, bool with_hidden, double l2, struct tdm_arena *arena,
                  struct tdm_probe *out, struct tdm_probe_report *report, struct tdm_error *err);
