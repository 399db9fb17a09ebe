#include "engine/prefix.h"
#include "base/crypto.h"
#include "engine/pages.h"
#include <stdlib.h>
#include <string.h>

enum { ROOT_BIT = 1, FIRST_BUCKETS = 256, ENTRIES_OF_PAGE = 16 };
enum { WHOLE, WINDOWED, N_USES }; // of an entry: itself, and its pages of groups with a window

struct tdm_prefix_use {
	struct tdm_prefix_entry *entry;
	struct tdm_prefix_use *older, *newer;
};

struct tdm_prefix_entry {
	uint64_t parent, id;
	int32_t tokens[TDM_PAGE_TOKENS];
	uint8_t *pages[TDM_MOST_GROUPS];    // those of groups with a window may be gone: NULL
	struct tdm_prefix_entry *next;      // in its bucket
	struct tdm_prefix_use uses[N_USES]; // in the list of all by last use; WINDOWED as long as there are such pages
};

void tdm_prefix_init(struct tdm_prefix *p, struct tdm_cache *cache) {
	*p = (struct tdm_prefix){.cache = cache, .next_id = 2};
	p->most = cache->limit_pages ? ENTRIES_OF_PAGE * (cache->limit_pages + ENTRIES_OF_PAGE) : 0;
	pthread_mutex_init(&p->lock, NULL);
}

static uint64_t mixed(uint64_t h, uint64_t x) {
	h = (h ^ x) * 0x9E3779B97F4A7C15u;
	return h ^ h >> 29;
}

// Roots are odd, pages' ids even: no page is the root of a tenant.
uint64_t tdm_prefix_root(const char *tenant, uint64_t variant) {
	uint8_t digest[TDM_SHA256_BYTES];
	uint64_t root;
	tdm_sha256(tenant ? tenant : "", tenant ? strlen(tenant) + 1 : 0, digest);
	memcpy(&root, digest, sizeof root);
	return mixed(root, variant) | ROOT_BIT;
}

static struct tdm_prefix_entry **bucket_of(const struct tdm_prefix *p, uint64_t parent, const int32_t *tokens) {
	uint64_t h = mixed(0, parent);
	for (int i = 0; i < TDM_PAGE_TOKENS; i++)
		h = mixed(h, (uint32_t)tokens[i]);
	return &p->buckets[h & (p->n_buckets - 1)];
}

static struct tdm_prefix_entry *lookup(const struct tdm_prefix *p, uint64_t parent, const int32_t *tokens) {
	struct tdm_prefix_entry *e = p->n_buckets ? *bucket_of(p, parent, tokens) : NULL;
	while (e && (e->parent != parent || memcmp(e->tokens, tokens, sizeof e->tokens) != 0))
		e = e->next;
	return e;
}

// --- order of use

static void unlink_use(struct tdm_prefix *p, struct tdm_prefix_use *u) {
	*(u->older ? &u->older->newer : &p->oldest) = u->newer;
	*(u->newer ? &u->newer->older : &p->newest) = u->older;
}

static void link_newest(struct tdm_prefix *p, struct tdm_prefix_use *u) {
	u->older = p->newest;
	u->newer = NULL;
	*(p->newest ? &p->newest->newer : &p->oldest) = u;
	p->newest = u;
}

static void touch(struct tdm_prefix *p, struct tdm_prefix_use *u) {
	unlink_use(p, u);
	link_newest(p, u);
}

// --- the pages of an entry

static bool has_windowed(const struct tdm_prefix *p, const struct tdm_prefix_entry *e) {
	return p->cache->n_whole < p->cache->n_groups && e->pages[p->cache->n_whole];
}

static void drop_windowed(struct tdm_prefix *p, struct tdm_prefix_entry *e) {
	if (!has_windowed(p, e))
		return;
	unlink_use(p, &e->uses[WINDOWED]);
	for (int g = p->cache->n_whole; g < p->cache->n_groups; g++) {
		tdm_page_drop(p->cache, e->pages[g]);
		e->pages[g] = NULL;
	}
}

// Those of groups from..to of page `at`.
static void share(struct tdm_prefix_entry *e, const struct tdm_pages *pages, int at, int from, int to) {
	for (int g = from; g < to; g++) {
		e->pages[g] = pages->of[g][at];
		tdm_page_share(e->pages[g]);
	}
}

static void put_windowed(struct tdm_prefix *p, struct tdm_prefix_entry *e, const struct tdm_pages *pages, int at) {
	if (p->cache->n_whole == p->cache->n_groups || has_windowed(p, e))
		return;
	share(e, pages, at, p->cache->n_whole, p->cache->n_groups);
	link_newest(p, &e->uses[WINDOWED]);
}

// --- the table

static bool grow(struct tdm_prefix *p) {
	if (p->n < p->n_buckets)
		return true;
	size_t n = p->n_buckets ? 2 * p->n_buckets : FIRST_BUCKETS;
	struct tdm_prefix_entry **buckets = calloc(n, sizeof(struct tdm_prefix_entry *));
	if (!buckets)
		return p->n_buckets > 0; // longer chains will do
	free(p->buckets);
	p->buckets = buckets;
	p->n_buckets = n;
	for (struct tdm_prefix_use *u = p->oldest; u; u = u->newer) {
		struct tdm_prefix_entry *e = u->entry, **at = bucket_of(p, e->parent, e->tokens);
		if (u != &e->uses[WHOLE])
			continue;
		e->next = *at;
		*at = e;
	}
	return true;
}

static void remove_entry(struct tdm_prefix *p, struct tdm_prefix_entry *e) {
	struct tdm_prefix_entry **at = bucket_of(p, e->parent, e->tokens);
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	drop_windowed(p, e);
	unlink_use(p, &e->uses[WHOLE]);
	for (int g = 0; g < p->cache->n_whole; g++)
		tdm_page_drop(p->cache, e->pages[g]);
	p->n--;
	free(e);
}

void tdm_prefix_release(struct tdm_prefix *p) {
	while (p->oldest)
		remove_entry(p, p->oldest->entry);
	free(p->buckets);
	pthread_mutex_destroy(&p->lock);
}

// --- taking and putting

// Pages from which a sequence can go on: all of them are known, and those of the last window are there.
static int longest(const struct tdm_prefix *p, uint64_t root, const int32_t *tokens, int n) {
	int best = 0, held_from = 0;
	bool is_windowed = p->cache->n_whole < p->cache->n_groups;
	for (int at = 0; (at + 1) * TDM_PAGE_TOKENS <= n; at++) {
		const struct tdm_prefix_entry *e = lookup(p, root, tokens + at * TDM_PAGE_TOKENS);
		if (!e)
			break;
		root = e->id;
		if (is_windowed && !has_windowed(p, e))
			held_from = at + 1;
		if (tdm_cache_first(p->cache, (at + 1) * TDM_PAGE_TOKENS) >= held_from)
			best = at + 1;
	}
	return best;
}

static void take_entry(struct tdm_prefix *p, struct tdm_prefix_entry *e, struct tdm_pages *out, int at) {
	int n_groups = at < out->first ? p->cache->n_whole : p->cache->n_groups;
	touch(p, &e->uses[WHOLE]);
	if (at >= out->first && has_windowed(p, e))
		touch(p, &e->uses[WINDOWED]);
	for (int g = 0; g < p->cache->n_groups; g++)
		out->of[g][at] = NULL;
	for (int g = 0; g < n_groups; g++) {
		out->of[g][at] = e->pages[g];
		tdm_page_share(e->pages[g]);
	}
}

void tdm_prefix_take(struct tdm_prefix *p, uint64_t root, const int32_t *tokens, int n, struct tdm_pages *out,
                     uint64_t *ids) {
	pthread_mutex_lock(&p->lock);
	int n_pages = longest(p, root, tokens, n);
	out->first = tdm_cache_first(p->cache, n_pages * TDM_PAGE_TOKENS);
	for (; out->n < n_pages; out->n++) {
		struct tdm_prefix_entry *e = lookup(p, root, tokens + out->n * TDM_PAGE_TOKENS);
		root = ids[out->n] = e->id;
		take_entry(p, e, out, out->n);
	}
	pthread_mutex_unlock(&p->lock);
}

static struct tdm_prefix_entry *insert(struct tdm_prefix *p, uint64_t parent, const int32_t *tokens,
                                       const struct tdm_pages *pages, int at) {
	if (p->most && p->n >= p->most)
		remove_entry(p, p->oldest->entry);
	struct tdm_prefix_entry *e = grow(p) ? malloc(sizeof *e) : NULL;
	if (!e)
		return NULL;
	*e = (struct tdm_prefix_entry){.parent = parent, .id = p->next_id};
	p->next_id += 2;
	memcpy(e->tokens, tokens, sizeof e->tokens);
	for (int i = 0; i < N_USES; i++)
		e->uses[i].entry = e;
	share(e, pages, at, 0, p->cache->n_whole);
	struct tdm_prefix_entry **bucket = bucket_of(p, parent, tokens);
	e->next = *bucket;
	*bucket = e;
	link_newest(p, &e->uses[WHOLE]);
	p->n++;
	return e;
}

uint64_t tdm_prefix_put(struct tdm_prefix *p, uint64_t parent, const int32_t *tokens, const struct tdm_pages *pages,
                        int at) {
	pthread_mutex_lock(&p->lock);
	struct tdm_prefix_entry *e = lookup(p, parent, tokens);
	if (!e)
		e = insert(p, parent, tokens, pages, at);
	if (e)
		put_windowed(p, e, pages, at);
	uint64_t id = e ? e->id : 0;
	pthread_mutex_unlock(&p->lock);
	return id;
}

// Would forgetting it set memory free?
static bool is_unused(const struct tdm_prefix *p, const struct tdm_prefix_use *u) {
	int group = u == &u->entry->uses[WHOLE] ? 0 : p->cache->n_whole;
	if (u == &u->entry->uses[WHOLE] && p->cache->n_whole == 0)
		return false;
	return tdm_page_owners(u->entry->pages[group]) == 1;
}

bool tdm_prefix_evict(struct tdm_prefix *p) {
	pthread_mutex_lock(&p->lock);
	struct tdm_prefix_use *u = p->oldest;
	while (u && !is_unused(p, u))
		u = u->newer;
	bool is_found = u;
	if (u && u == &u->entry->uses[WHOLE])
		remove_entry(p, u->entry);
	else if (u)
		drop_windowed(p, u->entry);
	pthread_mutex_unlock(&p->lock);
	return is_found;
}
