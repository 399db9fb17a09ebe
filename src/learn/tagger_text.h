// Tagger text: labelled text that the tagger learns from, made from lists and templates of this project's own
// (weights/tagger/*.txt).
//
// A file has sections. "[name KIND]" begins a list, its items separated by commas; "<name KIND>" begins lines, each one
// an item. KIND (PER, LOC, ORG, MISC) labels what comes of the section; without it nothing is labelled. A line that
// begins with '#' is a comment. In an item: {name} is an item of that section, or of any "name.*"; {a|b} one of its
// parts; {#} a digit; {?} a made-up name; {(} and {)} braces; \n the end of a line. A text is an item of {text}.
#pragma once
#include "base/bytes.h"
#include "base/random.h"
#include "privacy/detect/tagger.h"

struct tdm_tag_span {
	uint32_t start, end; // bytes
	enum tdm_tag_kind kind;
};
#define TDM_TAG_SPANS 64 // of one text; what comes later is not kept
struct tdm_labelled {
	struct tdm_bytes text;
	struct tdm_tag_span spans[TDM_TAG_SPANS]; // in order, apart
	size_t n;
};

struct tdm_tagger_text; // zero or more files that were read
// name: of the file, in errors (TDM_EFORMAT: section, line and what was expected).
int tdm_tagger_text_new(struct tdm_tagger_text **out, struct tdm_error *err);
int tdm_tagger_text_add(struct tdm_tagger_text *t, const char *name, const char *data, size_t n, struct tdm_error *err);
int tdm_tagger_text_check(const struct tdm_tagger_text *t, struct tdm_error *err); // every {name} is there
void tdm_tagger_text_free(struct tdm_tagger_text *t);                              // NULL is allowed
// Replaces *out by a text. The same generator gives the same text on every machine.
int tdm_tagger_text_make(const struct tdm_tagger_text *t, struct tdm_rng *rng, struct tdm_labelled *out,
                         struct tdm_error *err);
typedef int tdm_tagger_item_fn(void *arg, const char *item, size_t n);
// Every item of the sections `name` and "name.*" that holds no braces. Stops at a negative status and returns it.
int tdm_tagger_text_items(const struct tdm_tagger_text *t, const char *name, tdm_tagger_item_fn *found, void *arg);
