// Session: one growing token sequence with full logits and rewind: what a model with TDM_CAN_STEP opens. A strategy
// over sessions can itself offer one.
#pragma once
#include "engine/sampler.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_model;
struct tdm_request;
struct tdm_run;
struct tdm_session;
struct tdm_tail;
struct tdm_token_tree;

// Every function that can fail returns TDM_OK or a negative status with run->error set; the session is then as before.
struct tdm_session_ops {
	// Renders the conversation and computes it; row 0 = the logits of its last token. tail (engine.h; may be NULL):
	// what it gives follows in the same pass, rows 1.. are its; a session may leave it unasked. prompt_tokens is
	// without it.
	int (*prompt)(struct tdm_session *s, struct tdm_run *run, const struct tdm_request *request,
	              const struct tdm_tail *tail);
	// Appends n tokens in one pass; logits for all of them (rows 0..n-1). With parents (NULL = a chain): a tree, where
	// token i follows token parents[i] < i, or the last one where that is -1; at most 64; given up but for keep().
	int (*eval)(struct tdm_session *s, struct tdm_run *run, const int32_t *tokens, const int *parents, int n);
	void (*keep)(struct tdm_session *s, int node); // appends the path to that token; the rows stay. -1: none do
	const float *(*logits)(struct tdm_session *s, int row); // n_vocab floats, valid until the session changes
	const float *(*hidden)(struct tdm_session *s, int row); // last layer after the final norm; NULL when not available
	int (*length)(struct tdm_session *s);
	int (*rewind)(struct tdm_session *s, int length);
	int (*fork)(struct tdm_session *s, struct tdm_run *run, struct tdm_session **out);
	// A fork that computes only the model's first n_layers of what follows. NULL: not to be had.
	int (*first)(struct tdm_session *s, struct tdm_run *run, int n_layers, struct tdm_session **out);
	size_t (*piece)(struct tdm_session *s, int32_t token, const char **text); // part of a character; empty: special
	bool (*is_end)(struct tdm_session *s, int32_t token);
	int (*tokenize)(struct tdm_session *s, const char *text, size_t len, int32_t *out, int cap); // plain text
	int (*ids)(struct tdm_session *s, int32_t *out, int cap); // the tokens it holds: their number; NULL: not told
	void (*close)(struct tdm_session *s);
	// The vocabulary as a tree, kept by the model. NULL here, or as the answer: no form can be kept (form.h).
	const struct tdm_token_tree *(*tokens)(struct tdm_session *s, struct tdm_run *run);
};

struct tdm_session {
	const struct tdm_session_ops *ops;
	struct tdm_model *model;
	int n_vocab, width, context; // context: longest length
	int prompt_tokens;           // length after prompt()
	int cached_tokens;           // of these, what prompt() did not have to compute
	uint64_t vocab_id;           // equal ids: token ids are interchangeable
	struct tdm_sampling own;     // the model's own settings, for what a request leaves open; see joint.h
	int max_tokens;              // the model's own limit of an answer, likewise; 0 = none
};
