// Detect: every private span of a conversation. Recognisers and context words first, then every value found is searched
// for in all texts, and both again over what is left, until nothing new appears: what the egress monitor looks for is
// gone from the remaining text by construction.
#pragma once
#include "privacy/dictionary.h"
#include "privacy/scan.h"
#include "base/option.h"
#include "base/view.h"

struct tdm_text {
	const char *text;
	size_t n;
};
struct tdm_find {
	size_t start, end; // in the original text
	const struct tdm_entity *entity;
	float score;
	const char *folded; // normal form of the value
	size_t n_folded;
};
struct tdm_finds { // of one text, in order, never overlapping
	struct tdm_find *items;
	size_t n, cap;
};

struct tdm_detector {
	struct tdm_scanner *scanner;
	struct tdm_dictionary deny; // folded, built
	struct tdm_strings allow;   // values that recognisers leave alone
};
// Whether text[0..n) is on the list of what recognisers leave alone, in any letter case of ASCII.
bool tdm_detector_allows(const struct tdm_detector *detector, const char *text, size_t n);

// protect: gets every value that is searched for elsewhere (not the deny list). finds: n_texts of them, zeroed.
// Error: nothing may be sent.
int tdm_detect(const struct tdm_detector *detector, struct tdm_arena *arena, const struct tdm_text *texts,
               size_t n_texts, int level, struct tdm_finds *finds, struct tdm_dictionary *protect,
               struct tdm_error *err);
