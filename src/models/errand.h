// Errand: what a policy asks of one model or another: words, vectors, or judgements. Policies that repeat, replace and
// choose treat them alike.
#pragma once
#include "models/policies/attempt.h"

struct tdm_errand {
	unsigned needs;                    // TDM_CAN_TEXT, TDM_CAN_EMBED or TDM_CAN_SCORE
	const struct tdm_request *request; // of vectors: the first text, as a message
	const struct tdm_hold *hold;       // words
	struct tdm_sink *sink;
	struct tdm_result *result;
	const struct tdm_words *inputs; // vectors
	const float **vectors;
	int *width;
	const char *const *texts; // judgements
	double *logprobs;
	int *n_tokens;
	size_t n; // of inputs or texts
};
// Asks m. *shown as of tdm_attempt: only words can have been.
int tdm_errand_try(const struct tdm_errand *e, struct tdm_model *m, struct tdm_run *run, bool *shown);
// What policies over these models can do of what errands need; TDM_ECONFIG when it is nothing.
#define TDM_ERRANDS (TDM_CAN_TEXT | TDM_CAN_EMBED | TDM_CAN_SCORE)
int tdm_errand_check(const struct tdm_build *b, const struct tdm_model *policy);

// A policy that has one way to do an errand: first member of the kind's own struct, whose operations are these.
struct tdm_runner {
	struct tdm_model model;
	int (*way)(struct tdm_runner *r, struct tdm_run *run, const struct tdm_errand *e);
};
int tdm_runner_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                        struct tdm_sink *sink, struct tdm_result *result);
int tdm_runner_embed(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n,
                     const float **out, int *width);
int tdm_runner_score(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                     const char *const *texts, size_t n, double *logprobs, int *n_tokens);
#define TDM_RUNNER_OPS .generate = tdm_runner_generate, .embed_all = tdm_runner_embed, .score = tdm_runner_score
