// Prefixes: finished pages of the cache, found again by the tokens they hold and all tokens before them.
//
// A page is known by its parent, which is the page before it or, for the first one, its tenant, and by its 16 tokens,
// compared one by one: a lookup cannot find what another beginning or another tenant has computed, and nobody can tell
// from the time of an answer what somebody else has asked. An id is never given twice.
// Pages of layers with a window are needed only where a sequence goes on right behind them: they may be missing in the
// middle of a beginning that is known, and then it can be taken over only as far as its last window is there.
// Memory: every page here counts as a page of the cache; when that is full, what goes was asked for least recently and
// is used by no sequence: an entry with its pages, or its pages of layers with a window alone.
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_cache;
struct tdm_prefix_entry;
struct tdm_prefix_use;
struct tdm_pages;

struct tdm_prefix {
	pthread_mutex_t lock;
	struct tdm_prefix_entry **buckets;
	struct tdm_prefix_use *oldest, *newest;
	size_t n_buckets, n, most; // most: entries, also those without pages; 0: any number
	uint64_t next_id;
	struct tdm_cache *cache; // of its pages
};

void tdm_prefix_init(struct tdm_prefix *p, struct tdm_cache *cache);
void tdm_prefix_release(struct tdm_prefix *p); // drops its pages
// Of a tenant (NULL: everybody without a name) and what else decides about the numbers, an adapter's id or 0.
uint64_t tdm_prefix_root(const char *tenant, uint64_t variant);
// The longest beginning of tokens[0..n) that a sequence can go on behind: its pages, one owner more each, to `out`,
// which is empty and has room for n tokens, and their ids.
void tdm_prefix_take(struct tdm_prefix *p, uint64_t root, const int32_t *tokens, int n, struct tdm_pages *out,
                     uint64_t *ids);
// Remembers page `at` of every list, which gets one owner more, as what follows `parent` with these 16 tokens, and
// returns its id; that of an equal page where there is one. 0 when there is no memory to remember it: then its
// successors are not remembered either.
uint64_t tdm_prefix_put(struct tdm_prefix *p, uint64_t parent, const int32_t *tokens, const struct tdm_pages *pages,
                        int at);
bool tdm_prefix_evict(struct tdm_prefix *p); // forgets something; false: every page is in use
