// Patterns: phrases of clearly disallowed requests, found in a stream of text whatever its case, spacing, punctuation
// or disguise. The cheapest look of a guard; a judge sees what phrases cannot.
#pragma once
#include "base/arena.h"
#include "base/automaton.h"
#include "base/bytes.h"
#include <stdbool.h>

enum tdm_pattern_side { TDM_PATTERN_INPUT = 1, TDM_PATTERN_OUTPUT = 2 };

struct tdm_pattern { // one row
	const char *category;
	unsigned sides;
	// Words of the normal form; "a/b/-" = one of these or nothing. Small words (the, my, of ...) are left out of both.
	const char *phrase;
};
extern const struct tdm_pattern tdm_patterns[];
extern const size_t tdm_n_patterns;

struct tdm_matcher { // all phrases of one side; read-only after creation
	struct tdm_automaton *automaton;
};
int tdm_matcher_init(struct tdm_matcher *m, struct tdm_arena *arena, unsigned side); // TDM_OK or TDM_ENOMEM

#define TDM_WORD_BYTES 48   // a longer run of letters is no word of a phrase; it counts as ended here
#define TDM_PHRASE_WORDS 16 // no phrase has more
struct tdm_match_stream {
	const struct tdm_matcher *matcher;
	uint32_t state, ahead; // after the words that have ended; after the unfinished one too, if it counts
	char word[TDM_WORD_BYTES];
	size_t n_word;           // an unfinished word: what was read is decided only up to it
	size_t at, word_at;      // bytes read; where the unfinished word begins
	size_t n_normal, n_ends; // bytes of the normal form up to `state`; words in it
	struct {
		size_t at, normal;    // where a word begins, in what was read and in the normal form
	} ends[TDM_PHRASE_WORDS]; // the last ones
};
void tdm_match_init(struct tdm_match_stream *s, const struct tdm_matcher *m);
// Reads whole characters; the row of the first phrase that ends in them, or NULL.
const struct tdm_pattern *tdm_match_put(struct tdm_match_stream *s, const char *text, size_t n);
const struct tdm_pattern *tdm_match_end(struct tdm_match_stream *s); // the text has ended, and with it the last word
// What lies before this byte of what was read belongs to no phrase, whatever comes: a stream holds back the rest.
size_t tdm_match_pending(const struct tdm_match_stream *s);
