// Token tree: the bytes of all tokens of a vocabulary as a tree of prefixes, in the order in which a walk meets them.
// Made once per vocabulary, immutable, shared by every constraint on it.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_token_node {
	int32_t end;    // the node behind this one's subtree
	int32_t first;  // its tokens: order[first .. the next node's first)
	uint16_t depth; // bytes from the root, which is not a node: 1 at least
	uint8_t byte;
};

struct tdm_token_tree {
	int n_vocab, n_nodes, n_order;
	int max_depth;                // bytes of the longest token
	struct tdm_token_node *nodes; // n_nodes, and one more for the last `first`
	int32_t *order;               // tokens that have bytes
	int32_t *ends;                // tokens that end an answer
	int n_ends;
	char *text;  // the bytes of all tokens
	int32_t *at; // n_vocab + 1: where a token's bytes begin
};

// Where the tokens come from. piece: its bytes, none for a special token, which is then never allowed.
struct tdm_token_source {
	const void *self;
	int n_vocab;
	size_t (*piece)(const void *self, int32_t token, const char **text);
	bool (*is_end)(const void *self, int32_t token);
};

int tdm_token_tree_new(const struct tdm_token_source *source, struct tdm_token_tree **out, struct tdm_error *err);
void tdm_token_tree_free(struct tdm_token_tree *t);
