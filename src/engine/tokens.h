// Token tree: the bytes of all tokens of a vocabulary as a tree of prefixes, in the order in which a walk meets them.
// Made once per vocabulary, immutable but for its shelf (runs.h), shared by every constraint on it.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_token_node {
	int32_t end;               // the node behind this one's subtree
	int32_t first;             // its leaves: leaves[first .. the next node's first)
	uint16_t depth;            // bytes from the root, which is not a node: 1 at least
	uint16_t run_min, run_max; // of the leaves at and below it
	uint8_t byte;
};

struct tdm_token_leaf {
	int32_t token;
	uint16_t run; // characters of the token before what the trie holds; see runs.h
};

struct tdm_token_trie {
	int32_t n_nodes, n_leaves;
	struct tdm_token_node *nodes; // n_nodes, and one more for the last `first`
	struct tdm_token_leaf *leaves;
};

struct tdm_shelf;

struct tdm_token_tree {
	int n_vocab;
	int max_depth;             // bytes of the longest token
	struct tdm_token_trie all; // tokens that have bytes, run 0
	int32_t *ends;             // tokens that end an answer
	int n_ends;
	char *text;  // the bytes of all tokens
	int32_t *at; // n_vocab + 1: where a token's bytes begin
	struct tdm_shelf *shelf;
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

// A text that the trie of some tokens is made of: what is left of a token behind its first bytes.
struct tdm_token_rest {
	int32_t token, skip; // bytes
	uint16_t run;
};
// Builds the trie of n rests, which are put in order. Error: TDM_ENOMEM; out is then to be released too.
int tdm_token_trie_build(const struct tdm_token_tree *t, struct tdm_token_rest *rests, int32_t n,
                         struct tdm_token_trie *out);
void tdm_token_trie_release(struct tdm_token_trie *trie);
