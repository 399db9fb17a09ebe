// Cues: persons in scripts of which the tagger knows no names (Cyrillic, Greek, Arabic, Han and Kana, Hangul), told by
// titles, by the words that introduce a name, by patronymics and initials.
#pragma once
#include "privacy/detect/terms.h"

// The name is text[start..end), inside of first..last. Negative: stops, and tdm_cues_find returns it.
typedef int tdm_cues_fn(void *arg, const struct tdm_term *first, const struct tdm_term *last, size_t start, size_t end);
bool tdm_cues_know(const struct tdm_term *term); // it is of a script that does not part words as the tagger's texts do
int tdm_cues_find(const char *text, const struct tdm_terms *terms, tdm_cues_fn *found, void *arg);
