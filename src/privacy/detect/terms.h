// Terms: a text cut into words and signs, as the tagger and the grammar of addresses read it.
//
// A word is a run of letters and digits of one script with inner ' ’ . @ & - _ between them; everything else is a
// sign of one character. A sentence ends at . ! ? and at the end of a line; not after the abbreviations of titles and
// streets. The same text gives the same terms on every machine.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tdm_caps { TDM_CAPS_NONE, TDM_CAPS_FIRST, TDM_CAPS_ALL, TDM_CAPS_MIXED }; // of its letters

struct tdm_term {
	uint32_t start, end; // bytes of the text
	uint64_t lower;      // hash of the word in small letters
	uint8_t caps;        // enum tdm_caps
	uint8_t letters, digits;
	uint8_t script; // of its letters, enum tdm_script
	bool first;     // of its sentence
	bool line;      // of its line
	bool taken;     // by something that is no name, set by the caller: an e-mail address, a card
	uint8_t lists;  // of the gazetteer, filled by the tagger
	uint8_t memory; // what the document showed of this word before
};

struct tdm_terms {
	struct tdm_term *items; // heap
	size_t n, cap;
};

// Appends the terms of text[0..n). Error: TDM_ENOMEM.
int tdm_terms_cut(const char *text, size_t n, struct tdm_terms *out, struct tdm_error *err);
// Marks what stands in the bytes start..end of the text as taken.
void tdm_terms_take(struct tdm_terms *terms, size_t start, size_t end);
void tdm_terms_release(struct tdm_terms *terms);
static inline bool tdm_terms_break(const struct tdm_terms *terms, size_t i) { // a sentence begins at items[i], i > 0
	return terms->items[i].line || (terms->items[i].first && !terms->items[i - 1].first);
}
// The small letters of a term, at most cap of them: of a longer one its beginning and its end.
#define TDM_TERM_LETTERS 40
int tdm_term_lower(const char *text, const struct tdm_term *term, uint32_t out[TDM_TERM_LETTERS]);
// The hash that tdm_term.lower is, of a whole text in small letters.
uint64_t tdm_term_hash(const char *lower, size_t n);
enum tdm_script {
	TDM_SCRIPT_LATIN, // and what belongs to none
	TDM_SCRIPT_GREEK,
	TDM_SCRIPT_CYRILLIC,
	TDM_SCRIPT_ARMENIAN,
	TDM_SCRIPT_HEBREW,
	TDM_SCRIPT_ARABIC,
	TDM_SCRIPT_INDIC,
	TDM_SCRIPT_THAI,
	TDM_SCRIPT_GEORGIAN,
	TDM_SCRIPT_HANGUL,
	TDM_SCRIPT_HAN, // and Kana
	TDM_SCRIPT_KHMER,
	TDM_SCRIPT_ETHIOPIC
};
uint8_t tdm_script_of(uint32_t c);
// Whether the word is one of a list: words between blanks, with one before the first and behind the last.
bool tdm_among(const char *list, const char *word, size_t n);
#define TDM_TERM_SEED UINT64_C(0xcbf29ce484222325)
static inline uint64_t tdm_term_step(uint64_t hash, uint32_t c) { // FNV-1a over characters
	return (hash ^ c) * UINT64_C(0x100000001b3);
}
static inline uint64_t tdm_term_mix(uint64_t x) { // every bit of x reaches every bit of the result
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}
