// Gazetteer: which lists a word stands on (first names, surnames, places ...), as hashes only: a Bloom filter in
// blocks of one cache line, where a word has its line and every list its bits in it. About one word of a hundred is
// said to stand on a list by mistake; none that stands there is missed.
#pragma once
#include "privacy/detect/terms.h"

enum tdm_list {
	TDM_LIST_FIRST, // first names
	TDM_LIST_SURNAME,
	TDM_LIST_CITY,
	TDM_LIST_COUNTRY, // and regions
	TDM_LIST_FIRM,    // words of organisations and their suffixes
	TDM_LIST_WORD,    // common words
	TDM_LIST_GROUP,   // nationalities, religions
	TDM_LIST_ALLOW,   // words with a capital that are nobody's: months, products
	TDM_N_LISTS
};
#define TDM_GAZETTEER_BLOCK 64

struct tdm_gazetteer { // zero-initialised: no list knows anything
	const uint8_t *blocks;
	uint32_t n_blocks;
};

// The lists (bits) that know this hash of small letters; of two words: tdm_gazetteer_pair of both hashes.
unsigned tdm_gazetteer_find(const struct tdm_gazetteer *g, uint64_t lower);
uint64_t tdm_gazetteer_pair(uint64_t lower, uint64_t next);
void tdm_gazetteer_add(uint8_t *blocks, uint32_t n_blocks, enum tdm_list list, uint64_t lower);
// Fills lists of terms[0..n): of words, of two words that stand together, and of common words in their other forms.
void tdm_gazetteer_mark(const struct tdm_gazetteer *g, const char *text, struct tdm_term *terms, size_t n);
