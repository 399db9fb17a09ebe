// Engine: tokens in, logits out. What the rest of the program sees of it is public, tandem.h, and the few lines here.
//
// An engine is immutable weights, their vocabulary, and the one batch that runs on them; a sequence (tdm_seq) is one
// growing list of tokens with its cache. eval() of concurrent sequences is computed together: whoever finds the engine
// idle runs the batch with everything that is queued, the others wait for their rows.
//
// The rule it protects: a row of logits does not depend on what else is in the batch, nor on how its tokens were split
// over calls (fixed reduction order), bit for bit. Exact speculation rests on it.
#pragma once
#include "engine/chat.h"
#include "engine/tokens.h"

#define TDM_CACHE_CHOICES "auto|f32|f16|q8_0" // names of enum tdm_cache_type, for options

int tdm_engine_memory(const char *name, const void *data, size_t n, const struct tdm_engine_options *o,
                      struct tdm_engine **out, struct tdm_error *err);
int tdm_adapter_memory(struct tdm_engine *e, const char *name, const void *data, size_t n, float scale,
                       struct tdm_adapter **out, struct tdm_error *err); // a file's bytes, not needed afterwards
const struct tdm_chat_format *
tdm_engine_chat(const struct tdm_engine *e);                 // NULL when the file has none and none was set
const char *tdm_engine_template(const struct tdm_engine *e); // of the file, as it stands there; NULL when it has none
// The vocabulary as a tree of bytes, made when it is first asked for. NULL: an error.
const struct tdm_token_tree *tdm_engine_tokens(struct tdm_engine *e, struct tdm_error *err);
const struct tdm_token_tree *tdm_engine_tokens_made(struct tdm_engine *e); // NULL until they are first asked for

struct tdm_load {
	int rows;       // of the pass that runs now
	double kv_used; // pages in use of those there may be; without a limit, of those there are
};
struct tdm_load tdm_engine_load(struct tdm_engine *e);

// Encoders read a text as a whole: out[width] is its vector, pooled as the file says and not normalised. One text at a
// time; callers wait for each other. Error: TDM_ECONFIG for a decoder, TDM_ECONTEXT, TDM_EVALUE, TDM_EGONE, TDM_ENOMEM.
int tdm_engine_encode(struct tdm_engine *e, const int32_t *tokens, int n, const tdm_flag *cancelled, float *out,
                      struct tdm_error *err);
// Classes of a text, of encoders with a head for them. n 0: none.
enum { TDM_MOST_CLASSES = 1024 };
struct tdm_classes {
	int n;
	bool are_all;              // what the file is for: its vectors mean nothing
	const char *const *labels; // n names; NULL when the file has none
};
const struct tdm_classes *tdm_engine_classes(const struct tdm_engine *e);
// out[n]: their logits. Errors as tdm_engine_encode; TDM_ECONFIG also where there are none.
int tdm_engine_classify(struct tdm_engine *e, const int32_t *tokens, int n, const tdm_flag *cancelled, float *out,
                        struct tdm_error *err);
// A fork that computes only the first n_layers of what follows, and then the head: cheaper, and another's words. What
// the sequence holds is shared: its keys and values of those layers are the same. TDM_EVALUE: not fewer than there are.
int tdm_seq_fork_first(const struct tdm_seq *s, int n_layers, struct tdm_seq **out, struct tdm_error *err);
int tdm_seq_rows(const struct tdm_seq *s);                       // of the last call
int tdm_seq_ids(const struct tdm_seq *s, int32_t *out, int cap); // the first cap of its tokens; how many there are

// tdm_seq_prompt with a tail, which is asked once, before the last pass: what it gives follows the n tokens in that
// pass, with a row of logits for each of them after the row of the last of the n. It costs less than a pass of its own.
struct tdm_tail {
	int (*more)(void *context, int32_t *tokens, int cap); // writes at most cap tokens; their number
	void *context;
};
int tdm_seq_prompt_and(struct tdm_seq *s, const char *tenant, const int32_t *tokens, int n, const struct tdm_tail *tail,
                       const tdm_flag *cancelled, int *reused, struct tdm_error *err);
