// Bush: the tree of tokens that a draft makes for the target's next pass.
//
// The rule it protects: branches.h: what decides about a draw is known before it. The likeliest place, as the draft
// sees it, gets the next token; each level's tokens are then read by the draft in one pass. Nothing is taken out of a
// tree again, so that its first tokens are a tree too.
#pragma once
#include "cost/speculate/branches.h"
#include "cost/speculate/drafted_parts.h"

enum { TDM_BUSH_WIDTH = 8, TDM_BUSH_READS = TDM_DRAFT_MOST + 1 };

struct tdm_bush {
	int n, n_draws, n_looks;
	int32_t tokens[TDM_GUESS_MOST];
	int parents[TDM_GUESS_MOST], depths[TDM_GUESS_MOST], drawn[TDM_GUESS_MOST]; // a child of the text has the depth 1
	double likely[TDM_GUESS_MOST];                                              // that all up to it comes true
	bool is_read[TDM_GUESS_MOST];
	int base; // the node that the draft's session stands at; -1: the text
	struct tdm_bush_look {
		int node, n, taken; // which is looked behind; tokens there, the likeliest first; of these have a child
		int32_t tokens[TDM_BUSH_WIDTH];
		double each[TDM_BUSH_WIDTH];
		float *q; // of sampled answers: what its children are drawn from
	} looks[TDM_BUSH_READS];
	double *rest, *left; // scratch of verification
};

// One step of an answer with at most a->gamma drafted tokens: grow, one pass, verify, emit.
int tdm_bush_step(struct tdm_drafted *a);
// A tree of at most m tokens after the answer so far, none of them less likely than `floor` unless it was drawn so.
int tdm_bush_grow(struct tdm_drafted *a, int m, double floor);
// Writes the path to a node (-1: none) where tdm_draft_row() looks for drafted tokens; its length.
int tdm_bush_stand(struct tdm_drafted *a, int node);
int tdm_bush_meeting(const struct tdm_bush *b, int one, int other); // the last node that both descend from or are
