// Runs: the tokens of a vocabulary seen from a place that reads every character of a set alike, as the inside of a
// string does. A token is then a run of such characters and a rest: tokens that are all run are allowed by their
// length alone, as a mask that is kept, and many tokens share one rest. So a mask inside a string, counted or not,
// costs some thousand steps instead of one for every byte of the vocabulary.
//
// Runs of one set are made once per vocabulary and kept on its shelf, which any thread may use; the runs themselves are
// immutable.
#pragma once
#include "engine/tokens.h"

struct tdm_run_set { // of characters: those of ASCII by their bits, and all others or none of them
	uint64_t ascii[2];
	bool others;
};

static inline bool tdm_run_set_has(const struct tdm_run_set *s, uint8_t byte) {
	return byte < 128 ? s->ascii[byte / 64] >> (byte % 64) & 1 : s->others;
}

enum { TDM_RUN_MASKS = 32 }; // longer runs are looked at one by one

struct tdm_runs {
	struct tdm_run_set set;
	bool is_spaced;                     // made of the tokens that begin with a space, without it; otherwise of all
	int n_words, n_masks;               // masks[k]: tokens that are a run of at most k characters
	uint64_t *masks[TDM_RUN_MASKS + 1]; // n_masks + 1 of them
	uint64_t *all;                      // tokens that are a run of any length
	struct tdm_token_leaf *longer;      // than n_masks: in the order of their runs
	int32_t n_longer;
	int32_t n_whole;      // tokens that are a run
	int max_run, longest; // characters of the longest run that is a token; that a token begins with
	struct tdm_token_trie
	    rests; // of the other tokens; where they are all of a vocabulary, those whose first byte is in the set
};

// Error: TDM_ENOMEM.
int tdm_runs_new(const struct tdm_token_tree *t, const struct tdm_run_set *set, bool is_spaced, struct tdm_runs **out);
void tdm_runs_free(struct tdm_runs *r);
// Sets the bits of the tokens that are a run of at most `most` characters; negative = of any length.
void tdm_runs_put(const struct tdm_runs *r, int most, uint64_t *bits);

struct tdm_shelf *tdm_shelf_new(void); // NULL without memory
void tdm_shelf_free(struct tdm_shelf *s);
// Runs to be given back, or NULL when there is no room for them.
const struct tdm_runs *tdm_shelf_take(const struct tdm_token_tree *t, const struct tdm_run_set *set, bool is_spaced);
void tdm_shelf_give(const struct tdm_token_tree *t, const struct tdm_runs *r); // NULL is fine
