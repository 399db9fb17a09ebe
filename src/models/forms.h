// Forms kept between requests: compiled grammars, and constraints that have run before and know their masks. What a
// schema costs is paid once, not by every request that has the same one.
//
// Keyed by the form's text, as it was written anew from what was parsed, and by the vocabulary; texts are compared
// whole. Nothing is on disk. Bounded in number and bytes: the one unused longest makes room. Any thread may ask; what
// is taken is its own until it gives it back. Nothing of an answer stays: a kept constraint is a function of grammar
// and vocabulary.
#pragma once
#include "engine/constraint.h"
#include "models/form.h"

struct tdm_kept_form { // taken
	struct tdm_form_entry *entry;
	const struct tdm_grammar *grammar;
	const struct tdm_token_tree *tree;
	struct tdm_constraint *constraint; // at the beginning of an answer
};

// Can the form be kept at all? Error: what is wrong with it.
int tdm_forms_check(const struct tdm_form *form, struct tdm_error *err);
int tdm_forms_take(const struct tdm_form *form, const struct tdm_token_tree *tree, struct tdm_kept_form *out,
                   struct tdm_error *err);
void tdm_forms_give(struct tdm_kept_form *kept); // one that was not taken is fine
// The vocabulary is about to go: nothing of it is kept any longer. Nothing of it may be taken at this time.
void tdm_forms_forget(const struct tdm_token_tree *tree);

struct tdm_forms_stats {
	int64_t asked, compiled, made; // of forms; grammars compiled; constraints made
	int n_grammars, n_constraints; // kept now
	size_t bytes;
};
struct tdm_forms_stats tdm_forms_stats(void);
