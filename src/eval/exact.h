// Exact: does a model that promises the target's own distribution (speculation) keep it? Many sampled answers to one
// prompt are compared, token by token, with the target's own probabilities by chi-square tests; with Bonferroni's
// correction a model that keeps its promise is refused at most once in 1/alpha runs.
#pragma once
#include "models/model.h"

#define TDM_EXACT_POSITIONS 3

struct tdm_exact_options {
	struct tdm_model *target; // TDM_CAN_STEP: its logits are the truth
	struct tdm_model *model;  // TDM_CAN_TEXT, events with token ids of the same vocabulary
	const char *prompt;
	uint64_t seed;
	int n_draws;
	float temperature; // above 0
};

struct tdm_exact_position {
	int n_draws;             // answers that begin with the most frequent beginning of this length
	int n_bins;              // tokens expected at least five times, and all others together
	double chi_square, tail; // tail: how likely so large a value is for an exact model
};

// Fills out[0..TDM_EXACT_POSITIONS): the first tokens of the answers, each given the most frequent tokens before it;
// n_draws 0 where too few answers are that long. Error: of the models, with their sentence.
int tdm_exact_test(const struct tdm_exact_options *o, struct tdm_exact_position *out, struct tdm_error *err);
