// Prefixes: finished pages of the cache, found again by the tokens they hold and all tokens before them.
//
// A page is known by its parent, which is the page before it or, for the first one, its tenant, and by its 16 tokens,
// compared one by one: a lookup cannot find what another beginning or another tenant has computed, and nobody can tell
// from the time of an answer what somebody else has asked. An id is never given twice.
// Memory: every page here counts as a page of the cache; when that is full, the page goes that was asked for least
// recently and that no sequence uses.
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_cache;
struct tdm_prefix_entry;

struct tdm_prefix {
	pthread_mutex_t lock;
	struct tdm_prefix_entry **buckets, *oldest, *newest;
	size_t n_buckets, n;
	uint64_t next_id;
	struct tdm_cache *cache; // of its pages
};

void tdm_prefix_init(struct tdm_prefix *p, struct tdm_cache *cache);
void tdm_prefix_release(struct tdm_prefix *p); // drops its pages
// Of a tenant (NULL: everybody without a name) and what else decides about the numbers, an adapter's id or 0.
uint64_t tdm_prefix_root(const char *tenant, uint64_t variant);
// The page that continues `parent` with these 16 tokens, one owner more, and its id; NULL when it is not there.
uint8_t *tdm_prefix_find(struct tdm_prefix *p, uint64_t parent, const int32_t *tokens, uint64_t *id);
// Remembers a page, which gets one owner more, and returns its id; that of an equal page where there is one. 0 when
// there is no memory to remember it: then its successors are not remembered either.
uint64_t tdm_prefix_put(struct tdm_prefix *p, uint64_t parent, const int32_t *tokens, uint8_t *page);
bool tdm_prefix_evict(struct tdm_prefix *p); // forgets one page; false: every page is in use
