// Names: what the tagger, the grammar of addresses and the script of a word find in the texts of one conversation.
#pragma once
#include "privacy/detect/table.h"
#include "privacy/detect/tagger.h"

struct tdm_name {
	const struct tdm_entity *entity;
	size_t start, end;
	float score;
	bool common; // made of common words, or too short: hidden where it stands, not searched for elsewhere
	const struct tdm_term *first, *last;
};

#define TDM_N_SCRIPTS 16
struct tdm_names { // zero-initialise, set the first three
	const struct tdm_tagger *tagger;
	float bias; // added to the one of O: a lower one hides more
	int level;
	uint8_t seen[TDM_MEMORY_BYTES];
	uint64_t scripts[TDM_N_SCRIPTS]; // letters of each
	struct tdm_terms terms;          // of the text that was searched last
};

void tdm_names_count(struct tdm_names *names, const char *text, size_t n); // every text of the conversation, before
// Fills the terms of one text, in which the caller may mark what is taken before names are looked for.
int tdm_names_cut(struct tdm_names *names, const char *text, size_t n, struct tdm_error *err);
// Called for every name of the text that was cut last that the level hides, and for what stands in a cell that is said
// to hold one. Negative: stops, and tdm_names_find returns it.
typedef int tdm_names_fn(void *arg, const struct tdm_name *name);
int tdm_names_find(struct tdm_names *names, const char *text, const struct tdm_cells *cells, tdm_names_fn *found,
                   void *arg);
// Whether this word of a person's name is worth finding alone: no title, no common word.
bool tdm_names_part(const struct tdm_term *term);
bool tdm_names_title(const char *word, size_t n); // "Mr", "Frau", in any letter case of ASCII
void tdm_names_release(struct tdm_names *names);
