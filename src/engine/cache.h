// Cache: keys and values of a sequence in pages of 16 tokens that sequences share until one of them writes.
//
// A page is 64-byte aligned memory for a group of layers: [layer][kv head]{keys, values}, each as kernels.h says, in
// float, half precision or Q8_0. Its count of owners stands before it. Content beyond a sequence's length means
// nothing. The lock guards unused pages and slabs; a page with one owner belongs to that owner's thread.
// Groups: a model whose layers all see the same has one. Where only some have a window, those that see everything and
// those that do not are in groups apart, so that pages can be given up when they are behind the window; groups have
// equally many places for layers, so that all pages are alike and any of them can take any other's memory.
#pragma once
#include "engine/prefix.h"
#include "engine/weights.h"
#include <pthread.h>

// Memory that pages are cut from; this stands at its end.
struct tdm_slab {
	struct tdm_slab *next;
	void *memory;
	size_t n_bytes;
	uint8_t *free; // where the next page begins
};

enum {
	TDM_MOST_GROUPS = 8,
	TDM_BEHIND = 128, // tokens behind a window that stay: rewinds up to there cost nothing
};

struct tdm_cache_place { // of a layer
	uint8_t group;
	uint16_t index; // in its group
};

struct tdm_cache {
	pthread_mutex_t lock;
	void *unused; // a list through the pages' headers
	struct tdm_slab *slabs;
	size_t n_pages, limit_pages; // that exist, used or not; how many may
	size_t n_unused;
	struct tdm_prefix prefix;
	int n_kv_heads, head_dim, head_padded;
	uint32_t type; // TDM_F32, TDM_F16 or TDM_Q8_0
	size_t head_bytes, values_at, page_bytes;
	int n_groups, n_whole; // n_whole: the first of them, without a window
	int window, behind;    // of the others, tokens; 0: there are none. behind: TDM_BEHIND
	struct tdm_cache_place places[TDM_MAX_LAYERS];
};

// context: longest sequence. limit_bytes: of all pages; 0 = none.
void tdm_cache_init(struct tdm_cache *c, const struct tdm_weights *w, int context, size_t limit_bytes);
void tdm_cache_release(struct tdm_cache *c); // every page must be dropped before
// One owner. Where the limit is reached, a remembered page that nobody uses makes room; NULL when there is none.
uint8_t *tdm_page_new(struct tdm_cache *c);
int tdm_page_owners(uint8_t *page);
void tdm_page_share(uint8_t *page); // one owner more
void tdm_page_drop(struct tdm_cache *c, uint8_t *page);
// The page itself when the caller is its only owner; else a copy, and the caller's share of the original is given up.
uint8_t *tdm_page_own(struct tdm_cache *c, uint8_t *page); // NULL when out of memory; then nothing changed
// The first page that a group with a window must have for the token after `length` others, and all behind it.
int tdm_cache_first(const struct tdm_cache *c, int length);
// In a page of the layer's group.
static inline size_t tdm_cache_head_at(const struct tdm_cache *c, int layer, int head) {
	return ((size_t)c->places[layer].index * (size_t)c->n_kv_heads + (size_t)head) * c->head_bytes;
}
// k, v: [n_kv_heads][head_dim] of the token at `slot` of the page, which is one of the layer's group.
void tdm_cache_store(const struct tdm_cache *c, const struct tdm_kernels *kernels, uint8_t *page, int slot, int layer,
                     const float *k, const float *v);
