#include "engine/prefix.h"
#include "base/crypto.h"
#include "engine/cache.h"
#include <stdlib.h>
#include <string.h>

enum { ROOT_BIT = 1, FIRST_BUCKETS = 256 };

struct tdm_prefix_entry {
	uint64_t parent, id;
	int32_t tokens[TDM_PAGE_TOKENS];
	uint8_t *page;
	struct tdm_prefix_entry *next;          // in its bucket
	struct tdm_prefix_entry *older, *newer; // by last use
};

void tdm_prefix_init(struct tdm_prefix *p, struct tdm_cache *cache) {
	*p = (struct tdm_prefix){.cache = cache, .next_id = 2};
	pthread_mutex_init(&p->lock, NULL);
}

void tdm_prefix_release(struct tdm_prefix *p) {
	for (struct tdm_prefix_entry *e = p->oldest, *newer; e; e = newer) {
		newer = e->newer;
		tdm_page_drop(p->cache, e->page);
		free(e);
	}
	free(p->buckets);
	pthread_mutex_destroy(&p->lock);
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

static void unlink_use(struct tdm_prefix *p, struct tdm_prefix_entry *e) {
	*(e->older ? &e->older->newer : &p->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &p->newest) = e->older;
}

static void link_newest(struct tdm_prefix *p, struct tdm_prefix_entry *e) {
	e->older = p->newest;
	e->newer = NULL;
	*(p->newest ? &p->newest->newer : &p->oldest) = e;
	p->newest = e;
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
	for (struct tdm_prefix_entry *e = p->oldest; e; e = e->newer) {
		struct tdm_prefix_entry **at = bucket_of(p, e->parent, e->tokens);
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
	unlink_use(p, e);
	p->n--;
	tdm_page_drop(p->cache, e->page);
	free(e);
}

uint8_t *tdm_prefix_find(struct tdm_prefix *p, uint64_t parent, const int32_t *tokens, uint64_t *id) {
	uint8_t *page = NULL;
	pthread_mutex_lock(&p->lock);
	struct tdm_prefix_entry *e = lookup(p, parent, tokens);
	if (e) {
		unlink_use(p, e);
		link_newest(p, e);
		page = e->page;
		*id = e->id;
		tdm_page_share(page);
	}
	pthread_mutex_unlock(&p->lock);
	return page;
}

static struct tdm_prefix_entry *insert(struct tdm_prefix *p, uint64_t parent, const int32_t *tokens, uint8_t *page) {
	struct tdm_prefix_entry *e = grow(p) ? malloc(sizeof *e) : NULL;
	if (!e)
		return NULL;
	*e = (struct tdm_prefix_entry){.parent = parent, .id = p->next_id, .page = page};
	p->next_id += 2;
	memcpy(e->tokens, tokens, sizeof e->tokens);
	tdm_page_share(page);
	struct tdm_prefix_entry **at = bucket_of(p, parent, tokens);
	e->next = *at;
	*at = e;
	link_newest(p, e);
	p->n++;
	return e;
}

uint64_t tdm_prefix_put(struct tdm_prefix *p, uint64_t parent, const int32_t *tokens, uint8_t *page) {
	pthread_mutex_lock(&p->lock);
	struct tdm_prefix_entry *e = lookup(p, parent, tokens);
	if (!e)
		e = insert(p, parent, tokens, page);
	uint64_t id = e ? e->id : 0;
	pthread_mutex_unlock(&p->lock);
	return id;
}

bool tdm_prefix_evict(struct tdm_prefix *p) {
	pthread_mutex_lock(&p->lock);
	struct tdm_prefix_entry *e = p->oldest;
	while (e && tdm_page_owners(e->page) > 1)
		e = e->newer;
	if (e)
		remove_entry(p, e);
	pthread_mutex_unlock(&p->lock);
	return e;
}
