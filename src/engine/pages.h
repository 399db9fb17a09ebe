// Pages: those of one sequence, a list for each group of layers (cache.h).
//
// The rule it protects: a page of a group without a window is there as long as its tokens are; a page of a group with a
// window only as long as a token to come can see it. What is gone is NULL and never asked for: attention begins to read
// where tdm_cache_first says.
#pragma once
#include "engine/cache.h"

struct tdm_pages {
	uint8_t **of[TDM_MOST_GROUPS]; // [cap]
	int n, cap;                    // n: of every list, in steps of 16 tokens
	int first;                     // lists of groups with a window begin here; 0 without one
};

void tdm_pages_release(struct tdm_pages *p, struct tdm_cache *c); // drops them all
bool tdm_pages_room(struct tdm_pages *p, const struct tdm_cache *c, int cap);
bool tdm_pages_extend(struct tdm_pages *p, struct tdm_cache *c, int n); // by new pages, up to n; there is room
void tdm_pages_cut(struct tdm_pages *p, struct tdm_cache *c, int n);    // drops those from n on
// Of groups with a window: drops those before `first`.
void tdm_pages_leave(struct tdm_pages *p, struct tdm_cache *c, int first);
// Page i of every list may be written: copies where others own it too. False: no memory.
bool tdm_pages_own(struct tdm_pages *p, struct tdm_cache *c, int i);
void tdm_pages_share(struct tdm_pages *out, const struct tdm_cache *c, const struct tdm_pages *p); // out: empty, room
