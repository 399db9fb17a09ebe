// Constraint: a grammar in force over one answer: which tokens may come next, as a mask of bits.
//
// Masks: what a place in the grammar allows by itself is found once and kept, from runs of characters where it reads
// many alike (runs.h), else by a walk over the tree of all tokens; tokens that run past the end of a rule are decided
// where the rule was called from. So the usual mask is a look-up or a short walk. The rule it protects: a token is
// allowed exactly when the text with it can still become a whole answer; end tokens exactly when the text may end;
// special tokens never. One thread owns a constraint.
#pragma once
#include "engine/grammar.h"
#include "engine/tokens.h"

// Borrows both. Error: TDM_ENOMEM, or a budget of the grammar.
int tdm_constraint_new(const struct tdm_grammar *g, const struct tdm_token_tree *t, struct tdm_constraint **out,
                       struct tdm_error *err);
int tdm_constraint_length(const struct tdm_constraint *c); // tokens appended
struct tdm_constraint_stats {
	int64_t masks, walks, runs, found; // asked for; by walks over all tokens; by runs; found whole
	int32_t n_states, n_frames;
	size_t bytes;    // of what it has learnt and keeps, masks too
	bool has_failed; // a budget was exceeded: it is of no more use
};
struct tdm_constraint_stats tdm_constraint_stats(const struct tdm_constraint *c);
