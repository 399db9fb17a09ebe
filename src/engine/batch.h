// Batch: the private inside of an engine and its sequences, and the queue of evaluations that run together.
//
// lock guards `first`, `is_running` and the requests in the queue; whoever sets is_running owns the buffers of the
// forward pass until it clears it. A sequence belongs to the thread that calls with it; while its request is queued,
// to the thread that runs the batch.
#pragma once
#include "engine/engine.h"
#include "engine/decoder.h"

// Paths of a tree of tokens that was evaluated and of which nothing is kept yet; see branch.c.
struct tdm_tree {
	int n, n_paths;
	int parents[TDM_MAX_ROWS], depths[TDM_MAX_ROWS]; // depth 0 follows the sequence's last token
	int32_t tokens[TDM_MAX_ROWS];
	uint64_t on[TDM_MAX_ROWS];                   // paths through the token
	int leaves[TDM_MAX_ROWS];                    // of each path
	struct tdm_seq *paths[TDM_MAX_ROWS];         // the sequence itself, then forks of it
	const struct tdm_pages *pages[TDM_MAX_ROWS]; // theirs
};

struct tdm_request {
	const struct tdm_seq *seq;   // its pages and buffers of rows are large enough
	const struct tdm_tree *tree; // NULL: the tokens follow each other
	const int32_t *tokens;
	const uint8_t *wanted; // one for each token, or NULL: the last
	float *states; // [n][width]: the hidden state of each token goes here, and no row is written; NULL: it does not
	const atomic_bool *cancelled;
	bool is_prompt;        // of a new answer, whose first token somebody waits for
	int n, n_done, n_rows; // tokens; those whose pass is over; rows written
	int status;            // when is_done
	bool is_done;
	int n_now, n_kept;   // tokens in the pass that runs; n_rows before it
	bool is_urgent;      // counted in n_urgent
	pthread_cond_t turn; // done, or nobody runs the batch
	struct tdm_request *next;
};

struct tdm_engine {
	struct tdm_gguf *file; // while it is opened
	struct tdm_weights weights;
	struct tdm_vocab *vocab;
	const struct tdm_chat_format *chat;
	char *template; // the file's own text of it; NULL: none
	struct tdm_engine_info info;
	char *name, *labels_text; // the names of classes, one after the other
	const char **labels;      // NULL: none
	struct tdm_classes classes;
	struct tdm_cache cache;
	struct tdm_decoder *decoder;
	pthread_mutex_t tokens_lock; // guards tokens
	struct tdm_token_tree *tokens;
	pthread_mutex_t lock;
	struct tdm_request *first; // in order of arrival
	bool is_running, is_gathering;
	pthread_cond_t arrived; // by the monotonic clock; while somebody gathers
	int n_expected;         // requests of the last pass: those in the queue, and those whose callers will soon be back
	int64_t ended_us, pass_us;
	atomic_int n_urgent;       // short prompts that no pass has taken yet
	bool is_owed, has_yielded; // of long requests: left out of the last pass; their last pass was given up
	uint64_t n_passes;
	int rows_now; // of the pass that runs
};

struct tdm_seq {
	struct tdm_engine *engine;
	int length, rows;
	int n_held; // tokens whose keys and values are in the pages: fewer than length after a rewind behind the windows
	struct tdm_pages pages;
	uint64_t *ids;   // of the first n_known pages, as prefixes of the tenant
	int32_t *tokens; // [pages.cap * TDM_PAGE_TOKENS]
	uint64_t root;   // 0: the sequence is not remembered
	int n_known;
	int n_layers;                      // it computes only so many of the first; 0: all
	bool is_new;                       // no answer has begun: its next evaluation is a prompt
	struct tdm_tree *tree;             // NULL: none is open
	const struct tdm_adapter *adapter; // NULL: none
	const float *added;                // to the embeddings of the first n_added tokens; NULL: nothing
	int n_added;
	int cap_rows;
	float *logits, *hidden; // [cap_rows][padded n_vocab], [cap_rows][padded width]
};

int tdm_seq_check(const struct tdm_seq *s, const int32_t *tokens, int n, struct tdm_error *err); // could they follow?
// Computes again what a rewind has lost.
int tdm_seq_restore(struct tdm_seq *s, const atomic_bool *cancelled, struct tdm_error *err);
// Pages of its own for tokens after those it holds, and buffers; false: no memory.
bool tdm_seq_reserve(struct tdm_seq *s, int n_tokens, int n_rows);
void tdm_seq_grow(struct tdm_seq *s, int n); // by n tokens that are in `tokens` and computed
void tdm_seq_swap_pages(struct tdm_seq *a, struct tdm_seq *b);
void tdm_tree_drop(struct tdm_seq *s);

// Runs the request, with whatever else is queued; returns when it is done, its status: TDM_OK or TDM_EGONE.
int tdm_batch_run(struct tdm_engine *e, struct tdm_request *request);
static inline size_t tdm_row_floats(int n) {
	return (size_t)tdm_pad(n, 2 * TDM_LANES);
}
