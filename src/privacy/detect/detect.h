// Detect: every private span of a conversation. Recognisers and context words first, then every value found is searched
// for in all texts, and both again over what is left, until nothing new appears: what the egress monitor looks for is
// gone from the remaining text by construction.
#pragma once
#include "privacy/detect/dictionary.h"
#include "privacy/detect/scan.h"
#include "privacy/detect/tagger.h"
#include "base/option.h"
#include "base/view.h"

struct tdm_text {
	const char *text;
	size_t n;
	const char *field; // the name of what holds the text, which speaks for its types; NULL = none
	int strand;        // a value may go on in the next text of the same strand; 0 = in no other one
	bool identifier;   // the name of a field or of a function, a word of a schema: nobody is called that
};
struct tdm_find {
	size_t start, end; // in the original text
	const struct tdm_entity *entity;
	float score;
	unsigned why;       // bits of enum tdm_why
	const char *folded; // normal form of the value
	size_t n_folded;
	bool stay; // not searched for elsewhere
};
struct tdm_finds { // of one text, in order, never overlapping
	struct tdm_find *items;
	size_t n, cap;
};

struct tdm_detector {
	struct tdm_scanner *scanner;
	struct tdm_dictionary deny; // folded, built
	struct tdm_strings allow;   // values that recognisers leave alone
	bool some_off;              // not all packs are wanted:
	uint64_t off[TDM_ENTITY_SETS];
	struct tdm_tagger tagger; // finds names; without weights they are left alone
	float bias;               // see names.h
	float lack;               // see scan.h; 0 but for estimates
};
// Whether text[0..n) is on the list of what recognisers leave alone, in any letter case of ASCII.
bool tdm_detector_allows(const struct tdm_detector *detector, const char *text, size_t n);

// What the operator says is private, or is not. Items of deny have at least 3 characters; patterns are Vectorscan's.
struct tdm_detector_lists {
	struct tdm_strings deny, patterns, allow;
	struct tdm_strings packs;                             // numbers of which countries; none = all
	struct tdm_strings detect;                            // "rules" and "tagger"; none = rules
	const char *weights;                                  // of the tagger: a file below `folder`, or embedded:NAME
	double bias;                                          // of the tagger, see names.h
	const char *folder;                                   // NULL = the working folder
	const void *(*embedded)(const char *name, size_t *n); // NULL = the program holds nothing
};
// where: the beginning of an error's sentence. The lists' strings must outlive the detector. Error: TDM_ECONFIG,
// TDM_ENOMEM; then there is nothing to close.
int tdm_detector_open(struct tdm_detector *detector, struct tdm_arena *arena, const char *where,
                      const struct tdm_detector_lists *lists, struct tdm_error *err);
void tdm_detector_close(struct tdm_detector *detector);

// protect: gets every value that is searched for elsewhere (not the deny list). finds: n_texts of them, zeroed.
// Error: nothing may be sent.
int tdm_detect(const struct tdm_detector *detector, struct tdm_arena *arena, const struct tdm_text *texts,
               size_t n_texts, int level, struct tdm_finds *finds, struct tdm_dictionary *protect,
               struct tdm_error *err);
