// Features: what the tagger looks at around one word, as hashes. Learning and tagging read the same ones; a change here
// needs new weights, and another number in the file (TDM_TAGGER_VERSION).
#pragma once
#include "privacy/detect/terms.h"

#define TDM_TAGGER_FEATURES 80 // more than one word has
#define TDM_TAGGER_WINDOW 128  // words that are tagged at once; longer sentences are cut

struct tdm_facts { // what is asked about one word more than once
	uint64_t word, lower, shape, brief;
	uint64_t prefix[4], suffix[4];
	uint8_t lists, memory, caps;
	bool first;
};
enum tdm_memory { TDM_MEMORY_CAPITAL = 1, TDM_MEMORY_SMALL = 2 }; // how the document wrote this word in mid-sentence

void tdm_facts_read(const char *text, const struct tdm_term *term, struct tdm_facts *out);
// The features of facts[i] among n of one sentence. Returns how many.
int tdm_features_of(const struct tdm_facts *facts, size_t n, size_t i, uint64_t out[TDM_TAGGER_FEATURES]);
// Sets memory of terms[0..n): one document. seen: 2^14 bytes, zeroed for the first text of a document.
#define TDM_MEMORY_BYTES ((size_t)1 << 14)
void tdm_memory_mark(struct tdm_term *terms, size_t n, uint8_t *seen);
