// Constraint, inside: what constraint.c (one answer) and constraint_mask.c (which tokens may come next) share.
#pragma once
#include "engine/constraint.h"
#include "engine/recogniser.h"

enum { TDM_MASKS = 256, TDM_LONGEST_CHAIN = 512 };

struct tdm_open_end { // a node of a trie where holes were left through, with tokens below it
	const struct tdm_token_trie *trie;
	int32_t node;
	uint32_t escapes;
	uint16_t run_min, run_max; // of the tokens below it, those of these runs
};

struct tdm_mask { // kept: of a pattern (with open ends), or of a state (without)
	int32_t owner;
	uint64_t *bits;
	struct tdm_open_end *open;
	int32_t n_open, cap_open;
};

struct tdm_constraint {
	struct tdm_recogniser r;
	const struct tdm_token_tree *tree;
	const struct tdm_runs *runs[TDM_RUN_SETS];   // of the grammar's sets; NULL = none
	const struct tdm_runs *spaced[TDM_RUN_SETS]; // the same behind a space; taken when first needed
	int n_words;
	struct tdm_mask masks[TDM_MASKS];
	int32_t *mask_of, cap_mask_of; // per state, -1 = none
	int next_mask;
	int32_t *path; // states at the depths of the walk in work
	int32_t *log;  // log[i] = the state after i tokens; 0 = the answer has ended
	int32_t n_log, cap_log;
	struct tdm_constraint_stats stats;
};

// The mask of a state that is not dead, without end tokens. NULL: a budget (the recogniser's status) or the memory.
const struct tdm_mask *tdm_constraint_state_mask(struct tdm_constraint *c, int32_t state);
