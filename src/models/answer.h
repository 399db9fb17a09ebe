// Answer: what a reply says, without how it says it, so that replies can be compared and counted.
//
// extract takes the first of: the field "answer" of a JSON reply, the last \boxed{...}, what follows the last "answer:"
// or "A:" at the beginning of a line, the last number or date for those types, else the trimmed reply. normal writes
// the form that is compared: numbers as decimals of 9 significant digits (currency signs, thousands commas and units
// dropped, fractions evaluated), dates as yyyy-mm-dd, the letter of a choice, JSON with sorted keys, numbers written in
// one way and no white space, text normalised (NFKC), case-folded, white space joined, final full stop dropped. "No
// answer" equals nothing, not even another one. A choice is a letter from A to J that stands alone in the answer, in
// brackets, or after "answer", "option" or "choice" ("is"); the last one counts. A JSON reply may stand in a fence.
#pragma once
#include "base/bytes.h"

enum tdm_answer_type {
	TDM_ANSWER_EXACT,
	TDM_ANSWER_TEXT,
	TDM_ANSWER_NUMBER,
	TDM_ANSWER_DATE,
	TDM_ANSWER_CHOICE,
	TDM_ANSWER_JSON
};
#define TDM_ANSWER_TYPES "exact|text|number|date|choice|json" // for TDM_OPT_CHOICE

// Appends the answer inside reply[0..n) to out. False: there is none.
bool tdm_answer_extract(struct tdm_bytes *out, const char *reply, size_t n, enum tdm_answer_type type);
// Appends the normal form of an extracted answer. False: it has none (no number, no date, empty).
bool tdm_answer_normal(struct tdm_bytes *out, const char *answer, size_t n, enum tdm_answer_type type);
// Both at once, the way votes use it.
bool tdm_answer_read(struct tdm_bytes *out, const char *reply, size_t n, enum tdm_answer_type type);
// JSON in its one form: the text of a value, or of a reply that is one, perhaps in a fence. False: it is none.
bool tdm_answer_json(struct tdm_bytes *out, const char *text, size_t n);
bool tdm_answer_same(const char *a, size_t n_a, const char *b, size_t n_b, enum tdm_answer_type type); // two replies
