// Task: what a policy asks of one model or another: words, vectors, or judgements. Policies that repeat, replace and
// choose treat them alike.
#pragma once
#include "models/attempt.h"

struct tdm_task {
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
int tdm_task_try(const struct tdm_task *t, struct tdm_model *m, struct tdm_run *run, bool *shown);
// What policies over these models can do of what tasks need; TDM_ECONFIG when it is nothing.
#define TDM_TASKS (TDM_CAN_TEXT | TDM_CAN_EMBED | TDM_CAN_SCORE)
int tdm_task_check(const struct tdm_build *b, const struct tdm_model *policy);

// The operations of a policy that has one way to do a task.
typedef int tdm_task_way(struct tdm_model *m, struct tdm_run *run, const struct tdm_task *t);
int tdm_task_generate(tdm_task_way *way, struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                      struct tdm_sink *sink, struct tdm_result *result);
int tdm_task_embed(tdm_task_way *way, struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n,
                   const float **out, int *width);
int tdm_task_score(tdm_task_way *way, struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                   const char *const *texts, size_t n, double *logprobs, int *n_tokens);
