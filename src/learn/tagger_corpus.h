// Tagger corpus: labelled texts from files that are no part of the project, and what is done to the case of letters.
#pragma once
#include "learn/tagger_text.h"

struct tdm_tagger_corpus { // zero-initialise
	struct tdm_labelled *items;
	size_t n, cap;
};
void tdm_tagger_corpus_release(struct tdm_tagger_corpus *c);
int tdm_tagger_corpus_add(struct tdm_tagger_corpus *c, const struct tdm_labelled *text,
                          struct tdm_error *err); // a copy
// CoNLL columns "word TAB label", sentences apart by an empty line. Labels: person, location, corporation and group;
// sentences with other labels (products, works) are left out: whether those are private is nobody's rule.
int tdm_tagger_corpus_conll(struct tdm_tagger_corpus *c, const char *data, size_t n, struct tdm_error *err);
// Lines of plain text whose only names are first names that `lists` knows: those become persons. A line with another
// capital inside of a sentence is left out.
int tdm_tagger_corpus_plain(struct tdm_tagger_corpus *c, const struct tdm_gazetteer *lists, const char *data, size_t n,
                            struct tdm_error *err);

enum tdm_case { TDM_CASE_SAME, TDM_CASE_LOWER, TDM_CASE_UPPER, TDM_CASE_TITLE };
void tdm_labelled_case(struct tdm_labelled *text, enum tdm_case how); // lengths stay the same
