// Trainer: the parts of one training run, shared by train.c (the loop) and trainer.c (the parallel work of a step).
//
// Threads: between two tdm_pool_run calls only the calling thread runs and owns everything; inside one, part i owns
// workers[i] and its slice of the parameters, the rest is read-only.
#pragma once
#include "base/pool.h"
#include "learn/adamw.h"
#include "learn/dataset.h"
#include "learn/lora.h"
#include "learn/loss.h"
#include "learn/pass.h"

struct tdm_tally { // of one family
	uint64_t right, total;
};

struct tdm_worker {
	struct tdm_pass pass, teacher;
	struct tdm_batch batch;
	float *gradient, *weights; // [n_params]; [context + 1] scratch
	uint8_t *right;            // [batch room]
	size_t first, last;        // its share of the step's documents
	double loss, weight, square_sum;
	struct tdm_tally *tally; // [families of the data it validates]
	int status;
	struct tdm_error error;
};

struct tdm_trainer {
	struct tdm_net net;
	const struct tdm_net *teacher; // NULL: none
	struct tdm_lora *lora;         // learns in the net's place; NULL: the net does
	float *m, *v;                  // of what learns
	struct tdm_pool *pool;
	int n_workers;
	struct tdm_worker *workers;
	struct tdm_adamw adamw;
	struct tdm_loss loss;
	struct tdm_weighting weighting;
	bool bf16; // products of training in bfloat16; validation is always in float
	// the step under way
	const struct tdm_dataset *data;
	uint32_t *docs; // the step's documents
	size_t n_docs, docs_cap;
	double norm;
	int64_t step;
};

// micro_tokens: tokens of one pass; small enough for the cache, large enough for the products. Needs net.shape, m, v
// and pool set. On failure the caller releases.
int tdm_trainer_init(struct tdm_trainer *t, int micro_tokens, struct tdm_error *err);
void tdm_trainer_release(struct tdm_trainer *t);
// Takes the step's documents from `order`: at least one, and no more than batch_tokens.
int tdm_trainer_choose(struct tdm_trainer *t, const struct tdm_dataset *data, struct tdm_order *order, int batch_tokens,
                       struct tdm_error *err);
// Gradient of the chosen documents into workers[0].gradient, then one step of the optimiser. *loss, *weight: sums.
int tdm_trainer_gradient(struct tdm_trainer *t, double *loss, double *weight, struct tdm_error *err);
void tdm_trainer_update(struct tdm_trainer *t, int64_t step);
// Next-token loss per answer token over the first `limit` documents, and per family how many answers are right in every
// token under teacher forcing, which is when greedy decoding gives exactly the answer.
int tdm_trainer_validate(struct tdm_trainer *t, const struct tdm_dataset *data, size_t limit, double *loss,
                         struct tdm_tally *tally, struct tdm_error *err);
