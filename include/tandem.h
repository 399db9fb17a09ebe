// Tandem as a library: two layers, together or alone. docs/embedding.md is the page about it.
//
//   the tree    settings file -> ask, stream the answer, read the receipt             struct tandem
//   the engine  GGUF file -> tokens in, logits out; everything that decodes needs     struct tdm_engine, struct tdm_seq
//
// Rules for all of it:
// - What can fail returns TDM_OK (0) or a negative status (tandem_status.h) and a sentence in err, which may be NULL;
//   nothing has changed then and nothing was given out, unless it says otherwise. What counts returns the count or a
//   status.
// - What is passed in is borrowed for the call, unless it says longer. What is opened is closed by the caller, users
//   before what they use; closing NULL does nothing.
// - Text is UTF-8. Tokens are 0 to n_vocab - 1. Logits are raw: natural logarithms before any temperature.
// - A tree, an engine, an adapter and a grammar are for any number of threads at once. A sequence, a constraint and a
//   perplexity are for one thread at a time. What several threads evaluate on one engine at the same time is computed
//   in one pass; a row of logits never depends on what else was in it, nor on how tokens were split over calls.
// - cancelled (may be NULL): any thread may set it; the call then ends early with TDM_EGONE.
#pragma once
#include "tandem_message.h"
#include "tandem_status.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
#include <atomic>
typedef std::atomic<bool> tdm_flag;
extern "C" {
#else
#include <stdatomic.h>
#include <stdbool.h>
typedef atomic_bool tdm_flag;
#endif
#pragma GCC visibility push(default)

// --- the tree
struct tandem_wishes {          // zero-initialised: greedy, and no other wish
	int max_tokens, timeout_ms; // 0 = the model's own limit; 0 = none, else TDM_EDEADLINE after that time
	float temperature;          // 0 = greedy; negative = the model's own setting
	uint64_t seed;              // 0 = from the system
	int privacy;                // 0 no wish, 1 secrets, 2 personal, 3 strict, 4 local
	const tdm_flag *cancelled;
};

// A piece of the answer: whole characters, and the model that wrote them. Non-zero ends the answer here: no failure.
typedef int tandem_piece(void *context, const char *text, size_t n, const char *author);

struct tandem;
// settings: a file; NULL = ./tandem.yaml, else the settings inside the library.
int tandem_open(const char *settings, struct tandem **out, struct tdm_error *err);
void tandem_close(struct tandem *t);
const char *tandem_model(const struct tandem *t, size_t i); // names in the order of the file; NULL after the last
// Asks a model (NULL = the default one); a last message of the assistant is continued. wishes, piece and receipt may be
// NULL. *receipt: JSON, to be freed with free(), also after a failure (NULL when there is none).
int tandem_ask(struct tandem *t, const char *model, const struct tdm_message *messages, size_t n,
               const struct tandem_wishes *wishes, tandem_piece *piece, void *context, char **receipt,
               struct tdm_error *err);

// --- the engine: immutable weights and their vocabulary

// Of keys and values. AUTO: F32 or F16, as precise as the matrices. Q8_0: half of F16's memory and bandwidth.
enum tdm_cache_type { TDM_CACHE_AUTO, TDM_CACHE_F32, TDM_CACHE_F16, TDM_CACHE_Q8_0 };
struct tdm_engine_options {
	int threads;         // that compute; 0 = 1
	int context;         // longest sequence; 0 = the file's context_length
	const char *chat;    // chat format; NULL = recognise the file's template
	const char *kernels; // "portable", "avx2", "avx512"; NULL = the best of this machine
	enum tdm_cache_type cache_type;
	size_t cache_bytes; // of keys and values of all sequences and of remembered prefixes; 0 = no limit
};
struct tdm_engine_info {
	const char *name, *architecture, *kernels, *chat; // chat NULL: none
	bool is_encoder;                                  // embeddings alone, no sequences
	int n_vocab, width, n_layers, n_heads, n_kv_heads, n_ff, context;
	uint64_t n_parameters, weight_bytes, token_bytes; // token: read for each, all but a table of embeddings alone
};

struct tdm_engine;
// options may be NULL. Error: TDM_EIO, TDM_EFORMAT (what is wrong in the file), TDM_ECONFIG, TDM_ENOMEM.
int tdm_engine_open(const char *path, const struct tdm_engine_options *options, struct tdm_engine **out,
                    struct tdm_error *err);
void tdm_engine_close(struct tdm_engine *e);
const struct tdm_engine_info *tdm_engine_info(const struct tdm_engine *e);

// A LoRA adapter for sequences of this engine. scale: of its change; 1 = as the file says. Error: as tdm_engine_open.
struct tdm_adapter;
int tdm_adapter_open(struct tdm_engine *e, const char *path, float scale, struct tdm_adapter **out,
                     struct tdm_error *err);
void tdm_adapter_close(struct tdm_adapter *a);

// out: width floats of length 1: an encoder's pooled vector, a decoder's mean hidden state (adapter: NULL = none).
// n_tokens (may be NULL): of the text. Error: TDM_ECONTEXT, TDM_EGONE, TDM_ENOMEM, TDM_ECONFIG (encoder with adapter).
int tdm_engine_embed(struct tdm_engine *e, const struct tdm_adapter *adapter, const char *text, size_t len,
                     const tdm_flag *cancelled, float *out, int *n_tokens, struct tdm_error *err);

// --- tokens
struct tdm_vocab;
const struct tdm_vocab *tdm_engine_vocab(const struct tdm_engine *e); // as long as the engine
// Plain text to tokens: no begin or end token, special tokens never. The count; at most cap are written.
int tdm_tokenize(const struct tdm_vocab *v, const char *text, size_t n, int32_t *out, int cap);
// The token's bytes, which may end inside a character; none for special tokens. *piece lives as long as the engine.
size_t tdm_token_piece(const struct tdm_vocab *v, int32_t token, const char **piece);
bool tdm_token_is_end(const struct tdm_vocab *v, int32_t token);        // ends an answer
int32_t tdm_token_special(const struct tdm_vocab *v, const char *text); // a special token by its text; -1: none
int32_t tdm_token_bos(const struct tdm_vocab *v);                       // what texts begin with; -1: nothing
int32_t tdm_token_eos(const struct tdm_vocab *v);                       // -1: none
uint64_t tdm_vocab_id(const struct tdm_vocab *v);                       // equal: token ids are interchangeable
// The conversation as the model was trained on it, up to where its answer begins; a last message of the assistant is
// left open instead. The count; at most cap are written. Error: TDM_ECONFIG without a chat format, TDM_ENOMEM.
int tdm_engine_render(const struct tdm_engine *e, const struct tdm_message *messages, size_t n, int32_t *out, int cap,
                      struct tdm_error *err);

// --- sequences: tokens that grow, are cut back, fork and branch. Rows: the tokens of the last call whose logits were
// wanted, in order; valid until the next call that changes the sequence.
struct tdm_seq;
int tdm_seq_open(struct tdm_engine *e, struct tdm_seq **out, struct tdm_error *err); // TDM_ECONFIG for an encoder
void tdm_seq_close(struct tdm_seq *s);
// The same tokens, shared until one of the two writes; no rows.
int tdm_seq_fork(const struct tdm_seq *s, struct tdm_seq **out, struct tdm_error *err);
void tdm_seq_use(struct tdm_seq *s, const struct tdm_adapter *a); // NULL: none; a change empties the sequence
// To the embeddings of its first n tokens, vectors [n][width] are added: they outlive it and its forks. Empties the
// sequence, which is not remembered then. NULL: nothing is added any more.
void tdm_seq_add(struct tdm_seq *s, const float *vectors, int n);
int tdm_seq_length(const struct tdm_seq *s);
void tdm_seq_rewind(struct tdm_seq *s, int length); // keeps the first `length` tokens; no rows
// Appends n tokens in one go. wanted: a flag for each token; NULL = logits for the last one. Error: TDM_ECONTEXT,
// TDM_EVALUE, TDM_EGONE, TDM_ENOMEM; then the sequence is as before and has no rows.
int tdm_seq_eval(struct tdm_seq *s, const int32_t *tokens, int n, const uint8_t *wanted, const tdm_flag *cancelled,
                 struct tdm_error *err);
// The same without logits: out [n][width] gets the hidden state of each token, the last layer after the final norm.
int tdm_seq_states(struct tdm_seq *s, const int32_t *tokens, int n, float *out, const tdm_flag *cancelled,
                   struct tdm_error *err);
// Starts again with n tokens, logits for the last. What the engine has computed for an earlier sequence of the tenant
// (NULL: of nobody's) and adapter is taken over in steps of 16 tokens (*reused, may be NULL), and this sequence is
// remembered likewise. Errors as tdm_seq_eval, but the sequence is empty then.
int tdm_seq_prompt(struct tdm_seq *s, const char *tenant, const int32_t *tokens, int n, const tdm_flag *cancelled,
                   int *reused, struct tdm_error *err);
// A tree of n tokens, 1 to 64, in one pass: token i follows token parents[i] < i, or the sequence's last one where that
// is -1. Row i: after token i. Nothing is appended until tdm_seq_keep appends the path that ends with token `node`
// (rows stay; -1: nothing, no rows); any other call gives the tree up. Errors as tdm_seq_eval.
int tdm_seq_eval_tree(struct tdm_seq *s, const int32_t *tokens, const int *parents, int n, const tdm_flag *cancelled,
                      struct tdm_error *err);
void tdm_seq_keep(struct tdm_seq *s, int node);
const float *tdm_seq_logits(const struct tdm_seq *s, int row); // n_vocab floats; NULL: no such row
const float *tdm_seq_hidden(const struct tdm_seq *s, int row); // width floats: the last layer after the final norm

// --- choosing a token
struct tdm_sampling {     // applied in this order: penalty, temperature, top_k, top_p, min_p
	float temperature;    // 0 = greedy
	int top_k;            // 0 = off
	float top_p;          // 1 = off
	float min_p;          // 0 = off; relative to the largest probability
	float repeat_penalty; // 1 = off; divides positive and multiplies negative logits of seen tokens
	int repeat_window;    // last tokens looked at; 0 = off
};
#define TDM_GREEDY ((struct tdm_sampling){.temperature = 0, .top_p = 1, .repeat_penalty = 1})
// probs: n_vocab floats, what is sampled from; sums to 1. recent: the last tokens, for the penalty.
void tdm_sampling_probs(const struct tdm_sampling *s, const float *logits, int n_vocab, const int32_t *recent,
                        int n_recent, float *probs);
int32_t tdm_sample(const float *probs, int n, double at);            // the token at that place of [0, 1)
int32_t tdm_argmax(const float *x, int n);                           // lowest index on ties
float tdm_log_softmax_at(const float *logits, int n, int32_t token); // ln p

// --- constraints: which tokens may come next in an answer of a wanted form
enum tdm_grammar_kind { TDM_GRAMMAR_JSON, TDM_GRAMMAR_SCHEMA, TDM_GRAMMAR_GBNF, TDM_GRAMMAR_REGEX };
struct tdm_grammar_options { // 0 = the default
	int max_states, max_ms;  // of the compiled network (500,000); of compiling, and of one mask later (1,000)
	size_t max_bytes;        // of compiling, and of one running constraint (128 MiB each)
};
struct tdm_grammar;
// text: none for TDM_GRAMMAR_JSON, which is any object. Error: TDM_EVALUE names what is wrong or not understood.
int tdm_grammar_new(enum tdm_grammar_kind kind, const char *text, size_t n, const struct tdm_grammar_options *options,
                    struct tdm_grammar **out, struct tdm_error *err);
void tdm_grammar_free(struct tdm_grammar *g);

struct tdm_constraint; // one answer; the grammar and the engine must outlive it
int tdm_engine_constrain(struct tdm_engine *e, const struct tdm_grammar *g, struct tdm_constraint **out,
                         struct tdm_error *err);
void tdm_constraint_free(struct tdm_constraint *c);
int tdm_constraint_words(const struct tdm_constraint *c); // of a mask; bit i % 64 of word i / 64 is token i
int tdm_constraint_mask(struct tdm_constraint *c, uint64_t *bits, struct tdm_error *err); // TDM_EVALUE: a dead end
void tdm_constraint_apply(const uint64_t *bits, float *logits, int n);                    // -INFINITY for the others
int tdm_constraint_advance(struct tdm_constraint *c, int32_t token); // appends; TDM_EVALUE when it is not allowed
bool tdm_constraint_may_end(const struct tdm_constraint *c);
void tdm_constraint_rewind(struct tdm_constraint *c, int length); // keeps the first `length` tokens

// --- perplexity, in chunks of `context` tokens as llama.cpp's tool counts it
struct tdm_perplexity_figures {
	int n_chunks, n_done;
	uint64_t n_counted;  // tokens
	double value, error; // so far; error: the standard error of value
};
struct tdm_perplexity;
int tdm_perplexity_open(struct tdm_engine *e, const char *text, size_t n, int context, struct tdm_perplexity **out,
                        struct tdm_error *err);                           // TDM_EVALUE for less than two chunks
int tdm_perplexity_next(struct tdm_perplexity *p, struct tdm_error *err); // one chunk; TDM_EVALUE after the last
struct tdm_perplexity_figures tdm_perplexity_figures(const struct tdm_perplexity *p);
void tdm_perplexity_close(struct tdm_perplexity *p);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
