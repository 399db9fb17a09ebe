// Pass: one run of a batch through the whole net, forward and back, in memory of its own.
//
// The rule it protects: short documents cost nothing extra. A batch is a flat list of documents without padding; all
// products run over its tokens at once, attention runs inside each document. In the last layer, after keys and values,
// only the rows whose prediction counts go on. A pass belongs to one thread; many passes may read one net.
#pragma once
#include "learn/layers.h"

struct tdm_batch {
	int n, n_docs, n_rows;        // tokens, documents, rows that are predicted from
	int n_cap, n_docs_cap;        // room
	int32_t *tokens, *positions;  // [n]
	int32_t *starts, *row_starts; // [n_docs + 1]: of the documents in tokens and in rows
	int32_t *rows;                // [n_rows]: the tokens that are predicted from
	int32_t *row_positions;       // [n_rows]: their places in their documents
	int32_t *targets;             // [n_rows]: the token that follows
	float *weights;               // [n_rows]: what its loss counts, > 0
};

int tdm_batch_init(struct tdm_batch *b, int n_tokens, struct tdm_error *err); // room for n_tokens in any documents
void tdm_batch_release(struct tdm_batch *b);
void tdm_batch_clear(struct tdm_batch *b);
// Appends one document of n tokens: n - 1 inputs. weights[i] is the weight of predicting tokens[i] (weights[0] is not
// read). False, and nothing is added, when it does not fit.
bool tdm_batch_add(struct tdm_batch *b, const int32_t *tokens, const float *weights, int n);

struct tdm_pass {
	const struct tdm_net *net;
	struct tdm_rotation rotation;
	struct tdm_gemm_space space; // its bf16 may be set after init
	float *memory;
	size_t n_memory;
	float *logits;               // [n_rows, n_vocab] after forward; backward reads the gradient of the loss from here
	float *final;                // [n_rows, width]: before the head, after the final norm
	const float *added;          // [n, width]: to the embeddings; NULL: nothing
	const float *input_gradient; // [n, width] after backward: of the embeddings and what is added to them
	struct tdm_pass_layer *layers;
	struct tdm_pass_work *work;
};

int tdm_pass_init(struct tdm_pass *pass, const struct tdm_net *net, struct tdm_error *err);
void tdm_pass_release(struct tdm_pass *pass);
// Error: TDM_ENOMEM, TDM_ECONTEXT (a document is longer than the context).
int tdm_pass_forward(struct tdm_pass *pass, const struct tdm_batch *batch, struct tdm_error *err);
// Adds the gradient of every parameter to gradient[n_params]. Only after tdm_pass_forward of the same batch, with
// pass->logits replaced by the gradient of the loss with respect to them.
void tdm_pass_backward(struct tdm_pass *pass, const struct tdm_batch *batch, float *gradient);
