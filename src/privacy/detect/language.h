// Language: whether a sentence is in another language than the tagger has learned, told by small words that English has
// not: German, or French, Spanish, Italian, Dutch and Portuguese.
#pragma once
#include "privacy/detect/terms.h"

enum tdm_language { TDM_LANGUAGE_ENGLISH, TDM_LANGUAGE_GERMAN, TDM_LANGUAGE_OTHER }; // ENGLISH: or not known
enum tdm_language tdm_language_of(const struct tdm_term *terms, size_t n);           // of one sentence
bool tdm_language_word(const struct tdm_term *term);                                 // one of the small words
