// Dataset: conversations from a JSONL file as tokens in one array, and the order in which training reads them.
//
// A line: {"family": "add", "level": 1, "messages": [{"role": "user", "content": "..."}, {"role": "assistant",
// "content": "..."}, ...]}; family and level may be absent. Every assistant turn is an answer: its tokens and the token
// that ends it are marked, the rest is its condition. The rule it protects: tokens come from engine/chat.h alone, so
// that a model is asked in the words it was taught in.
#pragma once
#include "base/pool.h"
#include "engine/chat.h"
#include "learn/pass.h"

struct tdm_document {
	size_t start; // in tokens
	int n;        // tokens
	int n_answer; // of these, marked as answer
	int family;
};

struct tdm_dataset {
	int32_t *tokens;
	uint8_t *answer; // [n_tokens] 1: part of an answer
	size_t n_tokens, n_docs;
	struct tdm_document *docs;
	char **families; // names, in the order of the file
	int n_families;
	size_t n_too_long; // conversations left out because they do not fit the context
};

// Error: TDM_EIO; TDM_EFORMAT with path and line; TDM_ENOMEM. Documents that need more than `context` inputs are left
// out and counted. On failure *out is released.
int tdm_dataset_load(struct tdm_dataset *out, const char *path, const struct tdm_vocab *vocab,
                     const struct tdm_chat_format *chat, int context, struct tdm_pool *pool, struct tdm_error *err);
void tdm_dataset_release(struct tdm_dataset *d);
// What a token counts in the loss. A document with n answer tokens gives each of them n^-length_power: with 0 a long
// answer outweighs a short one by its length, with 1 all documents count the same.
struct tdm_weighting {
	float prompt; // of a token outside answers, relative to one inside
	float length_power;
};

// Adds document i to the batch; false when it does not fit. scratch: room for the longest document.
bool tdm_dataset_add(const struct tdm_dataset *d, size_t i, struct tdm_weighting by, struct tdm_batch *batch,
                     float *scratch);
double tdm_dataset_weight(const struct tdm_dataset *d, size_t i, struct tdm_weighting by); // sum of its weights

// Every epoch is a permutation of its own, drawn from (seed, epoch): a position is two numbers, which a checkpoint
// keeps.
struct tdm_order {
	uint64_t seed, epoch, at;
	size_t n;
	uint32_t *items;
};
int tdm_order_init(struct tdm_order *o, size_t n, uint64_t seed, uint64_t epoch, uint64_t at, struct tdm_error *err);
void tdm_order_release(struct tdm_order *o);
size_t tdm_order_peek(const struct tdm_order *o);
void tdm_order_advance(struct tdm_order *o);
