// Constraint: a grammar in force over one answer: which tokens may come next, as a mask of bits.
//
// Masks: what a place in the grammar allows by itself is found by one walk over the tree of all tokens and kept; tokens
// that run past the end of a rule are decided where the rule was called from. So the usual mask is a look-up or a
// short walk. The rule it protects: a token is allowed exactly when the text with it can still become a whole answer;
// end tokens exactly when the text may end; special tokens never. One thread owns a constraint.
#pragma once
#include "engine/grammar.h"
#include "engine/tokens.h"

struct tdm_constraint;

// Borrows both. Error: TDM_ENOMEM, or a budget of the grammar.
int tdm_constraint_new(const struct tdm_grammar *g, const struct tdm_token_tree *t, struct tdm_constraint **out,
                       struct tdm_error *err);
void tdm_constraint_free(struct tdm_constraint *c);

int tdm_constraint_words(const struct tdm_constraint *c); // uint64_t of a mask: bit i % 64 of word i / 64 is token i
// Error: TDM_EVALUE when no token can go on, or a budget is exceeded; bits are then not to be used.
int tdm_constraint_mask(struct tdm_constraint *c, uint64_t *bits, struct tdm_error *err);
void tdm_constraint_apply(const uint64_t *bits, float *logits, int n); // -INFINITY for the others
// Appends a token. Error: TDM_EVALUE when it is not allowed (or a budget is exceeded); nothing has changed then.
int tdm_constraint_advance(struct tdm_constraint *c, int32_t token);
bool tdm_constraint_may_end(const struct tdm_constraint *c);
int tdm_constraint_length(const struct tdm_constraint *c);        // tokens appended
void tdm_constraint_rewind(struct tdm_constraint *c, int length); // forgets all but the first `length` tokens

struct tdm_constraint_stats {
	int64_t masks, walks, found; // asked for; walks over all tokens; found whole
	int32_t n_states, n_frames;
	size_t bytes;
};
struct tdm_constraint_stats tdm_constraint_stats(const struct tdm_constraint *c);
