// Batch: the private inside of an engine and its sequences, and the queue of evaluations that run together.
//
// lock guards `first`, `is_running` and the requests in the queue; whoever sets is_running owns the buffers of the
// forward pass until it clears it. A sequence belongs to the thread that calls with it; while its request is queued,
// to the thread that runs the batch.
#pragma once
#include "engine/engine.h"
#include "engine/decoder.h"

struct tdm_request {
	const struct tdm_seq *seq; // its pages and buffers of rows are large enough
	const int32_t *tokens;
	const uint8_t *wanted; // one for each token, or NULL: the last
	const atomic_bool *cancelled;
	int n, n_done, n_rows; // tokens; those whose pass is over; rows written
	int status;            // when is_done
	bool is_done;
	int n_now;           // tokens in the pass that runs
	pthread_cond_t turn; // done, or nobody runs the batch
	struct tdm_request *next;
};

struct tdm_engine {
	struct tdm_gguf *file; // while it is opened
	struct tdm_weights weights;
	struct tdm_vocab *vocab;
	const struct tdm_chat_format *chat;
	struct tdm_engine_info info;
	char *name;
	struct tdm_cache cache;
	struct tdm_decoder *decoder;
	pthread_mutex_t lock;
	struct tdm_request *first; // in order of arrival
	bool is_running;
};

struct tdm_seq {
	struct tdm_engine *engine;
	int length, rows;
	int n_pages, cap_pages;
	uint8_t **pages;
	uint64_t *ids;   // of the first n_known pages, as prefixes of the tenant
	int32_t *tokens; // [cap_pages * TDM_PAGE_TOKENS]
	uint64_t root;   // 0: the sequence is not remembered
	int n_known;
	int cap_rows;
	float *logits, *hidden; // [cap_rows][padded n_vocab], [cap_rows][padded width]
};

// Runs the request, with whatever else is queued; returns when it is done, its status: TDM_OK or TDM_EGONE.
int tdm_batch_run(struct tdm_engine *e, struct tdm_request *request);
static inline size_t tdm_row_floats(int n) {
	return (size_t)tdm_pad(n, 2 * TDM_LANES);
}
