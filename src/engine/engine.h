// Engine: tokens in, logits out. The boundary that the rest of the program sees.
//
// An engine is immutable weights, their vocabulary, and the one batch that runs on them; a sequence (tdm_seq) is one
// growing list of tokens with its cache. eval() of concurrent sequences is computed together: whoever finds the engine
// idle runs the batch with everything that is queued, the others wait for their rows.
//
// The rule it protects: a row of logits does not depend on what else is in the batch, nor on how its tokens were split
// over calls (fixed reduction order), bit for bit. Exact speculation rests on it.
// Shapes: n_vocab, d (width), rows = tokens of one eval whose logits were wanted.
#pragma once
#include "engine/chat.h"
#include "engine/gguf.h"
#include "engine/vocab.h"
#include <stdatomic.h>

struct tdm_engine;
struct tdm_seq;

struct tdm_engine_options {
	int threads;         // worker threads of this engine; 0 = 1
	int context;         // longest sequence; 0 = the file's context_length
	const char *chat;    // chat format name; NULL = "auto"
	const char *kernels; // NULL = best of this machine; "portable", "avx2", "avx512"
	bool full_cache;     // keys and values in full precision; else as precise as the matrices
	size_t cache_bytes;  // of keys and values of all sequences and of remembered prefixes; 0 = no limit
};

struct tdm_engine_info {
	const char *name, *architecture, *kernels, *chat; // chat NULL when the file has no template
	bool is_encoder;                                  // tdm_engine_encode and no sequences
	int n_vocab, width, n_layers, n_heads, n_kv_heads, n_ff, context;
	uint64_t n_parameters, weight_bytes;
};

int tdm_engine_open(const char *path, const struct tdm_engine_options *o, struct tdm_engine **out,
                    struct tdm_error *err);
int tdm_engine_memory(const char *name, const void *data, size_t n, const struct tdm_engine_options *o,
                      struct tdm_engine **out,
                      struct tdm_error *err); // borrows data
void tdm_engine_close(struct tdm_engine *e);  // every sequence must be closed before
const struct tdm_engine_info *tdm_engine_info(const struct tdm_engine *e);
const struct tdm_vocab *tdm_engine_vocab(const struct tdm_engine *e);
const struct tdm_chat_format *
tdm_engine_chat(const struct tdm_engine *e); // NULL when the file has none and none was set

// Encoders read a text as a whole: out[width] is its vector, pooled as the file says and not normalised. One text at a
// time; callers wait for each other. Error: TDM_ECONFIG for a decoder, TDM_ECONTEXT, TDM_EVALUE, TDM_EGONE, TDM_ENOMEM.
int tdm_engine_encode(struct tdm_engine *e, const int32_t *tokens, int n, const atomic_bool *cancelled, float *out,
                      struct tdm_error *err);

// Error: TDM_ECONFIG for an encoder.
// LoRA adapters (adapter.h), any number for one engine; each sequence may use one of them.
struct tdm_adapter;
// scale: of the change; 1 = as the file says.
int tdm_adapter_open(struct tdm_engine *e, const char *path, float scale, struct tdm_adapter **out,
                     struct tdm_error *err);
void tdm_adapter_close(struct tdm_adapter *a); // no sequence uses it any more; NULL is allowed

int tdm_seq_open(struct tdm_engine *e, struct tdm_seq **out, struct tdm_error *err);
void tdm_seq_close(struct tdm_seq *s);
int tdm_seq_fork(const struct tdm_seq *s, struct tdm_seq **out,
                 struct tdm_error *err);                          // same tokens and cache; then independent
void tdm_seq_use(struct tdm_seq *s, const struct tdm_adapter *a); // NULL: none; a change empties the sequence
int tdm_seq_length(const struct tdm_seq *s);
// Forgets all but the first `length` tokens. Rows of logits become invalid. length <= tdm_seq_length.
void tdm_seq_rewind(struct tdm_seq *s, int length);
// Appends n tokens in one pass. wanted: one flag per token, or NULL = logits for the last token only.
// cancelled (may be NULL) is looked at between layers. Error: TDM_ECONTEXT, TDM_EGONE (cancelled), TDM_ENOMEM; then the
// sequence is as before the call and has no rows.
int tdm_seq_eval(struct tdm_seq *s, const int32_t *tokens, int n, const uint8_t *wanted, const atomic_bool *cancelled,
                 struct tdm_error *err);
// Appends a tree of n tokens (at most 64) in one pass: token i follows token parents[i] < i, or the sequence's last one
// where that is -1. Row i = the logits after token i, bit for bit those of the plain sequence that ends with it. The
// length stays: tdm_seq_keep appends a path; any other call on the sequence gives the tree up. Errors as tdm_seq_eval.
int tdm_seq_eval_tree(struct tdm_seq *s, const int32_t *tokens, const int *parents, int n, const atomic_bool *cancelled,
                      struct tdm_error *err);
void tdm_seq_keep(struct tdm_seq *s, int node); // appends the path that ends with token `node`; -1: nothing
// Starts the sequence again with n tokens, of which what an earlier sequence of the same tenant has computed is taken
// over (whole pages of 16 tokens from the beginning); logits for the last token only. The sequence's own pages are
// remembered for others of the tenant from now on. tenant NULL: those without a name, who share as one. reused (may be
// NULL): tokens taken over. Errors as tdm_seq_eval, then the sequence is empty.
int tdm_seq_prompt(struct tdm_seq *s, const char *tenant, const int32_t *tokens, int n, const atomic_bool *cancelled,
                   int *reused, struct tdm_error *err);
int tdm_seq_rows(const struct tdm_seq *s); // rows of the last eval
const float *tdm_seq_logits(const struct tdm_seq *s,
                            int row); // n_vocab floats; valid until the next eval, rewind or close
const float *tdm_seq_hidden(const struct tdm_seq *s, int row); // width floats: last layer after the final norm
