// View: the text as the matchers see it, with a way back to the bytes that stood there.
//
// Matching never runs on the raw text: full-width digits, zero-width characters or a typographic dash would hide a
// value. A view is normalised (NFKC, invisible characters removed, digits of every script to ASCII, dashes to '-') and
// keeps for every byte the offset of the original character it came from.
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

// What stands in a view for bytes that are masked already: no recogniser accepts it, and it separates words.
#define TDM_VIEW_BLANK '\x01'
#define TDM_VIEW_GROWTH 4 // a text whose view is more than this many times its size is refused, not passed

struct tdm_view {
	char *text; // n bytes and a final NUL
	size_t n;
	const uint32_t *at; // n + 1 offsets into the original, never falling; NULL = the same offsets
};

// fold: also case-folded. Error: TDM_ETOOLARGE (growth, or more than 1 GiB), TDM_ENOMEM.
int tdm_view_make(struct tdm_arena *arena, const char *text, size_t n, bool fold, struct tdm_view *out,
                  struct tdm_error *err);
size_t tdm_view_origin(const struct tdm_view *view, size_t at);            // offset in the original
size_t tdm_view_find(const struct tdm_view *view, size_t origin);          // first byte of the view at or after origin
void tdm_view_blank(struct tdm_view *view, size_t start, size_t end);      // start, end: offsets in the original
uint32_t tdm_plain_character(uint32_t c);                                  // one character normalised; 0 = invisible
bool tdm_separator(char c);                                                // what people put between digits: " -./()+"
bool tdm_whole_word(const char *text, size_t n, size_t start, size_t end); // nothing of the same word on either side
