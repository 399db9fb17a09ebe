// Guess: tokens that may come next, from whoever costs nothing to ask: text that is there, statistics of text that was.
//
// A guess is a tree in the order of how good its tokens are, so that what is left of it when it is cut after any of
// them is a tree too. Nobody draws a guess: each of its tokens is certain in its place (q = 1).
#pragma once
#include <stdint.h>

enum { TDM_GUESS_MOST = 32, TDM_GUESS_SORTS = 8 };

struct tdm_guess {
	int n;    // 0 = nothing to say
	int sort; // 0..TDM_GUESS_SORTS: guesses that are about as good as each other
	int32_t tokens[TDM_GUESS_MOST];
	int parents[TDM_GUESS_MOST]; // of each token, before it; -1: it follows the text
};

// The child of that node (-1: of the text) that is this token; -1: none. Children differ.
static inline int tdm_guess_child(const struct tdm_guess *g, int n, int node, int32_t token) {
	for (int i = node + 1; i < n; i++)
		if (g->parents[i] == node && g->tokens[i] == token)
			return i;
	return -1;
}
