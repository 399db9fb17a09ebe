// Pages of the cache: counted owners, a short list of unused pages, and the layout that attention reads.
#include "engine/cache.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 64, MAX_UNUSED = 64 };

struct header {
	atomic_int owners;
	struct header *next;
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the page after the header is aligned");

static struct header *header_of(uint8_t *page) {
	return (struct header *)(void *)(page - HEADER_BYTES);
}

void tdm_cache_init(struct tdm_cache *c, const struct tdm_weights *w, size_t limit_bytes) {
	const struct tdm_shape *s = &w->shape;
	size_t width = w->is_half_cache ? 2 : 4;
	*c = (struct tdm_cache){.n_kv_heads = s->n_kv_heads, .head_dim = s->head_dim, .is_half = w->is_half_cache};
	pthread_mutex_init(&c->lock, NULL);
	c->head_padded = tdm_pad(s->head_dim, TDM_LANES);
	c->values_at = (size_t)s->head_dim * TDM_PAGE_TOKENS * width;
	c->head_bytes = c->values_at + (size_t)c->head_padded * TDM_PAGE_TOKENS * width;
	c->page_bytes = c->head_bytes * (size_t)s->n_kv_heads * (size_t)s->n_layers;
	c->limit_pages = limit_bytes && limit_bytes < c->page_bytes ? 1 : limit_bytes / c->page_bytes;
	tdm_prefix_init(&c->prefix, c);
}

void tdm_cache_release(struct tdm_cache *c) {
	tdm_prefix_release(&c->prefix);
	for (struct header *h = c->unused, *next; h; h = next) {
		next = h->next;
		free(h);
	}
	c->unused = NULL;
	pthread_mutex_destroy(&c->lock);
}

// With the lock: an unused page, or leave for a new one (*may_make); NULL and no leave at the limit.
static struct header *take(struct tdm_cache *c, bool *may_make) {
	struct header *h = c->unused;
	*may_make = !h && (!c->limit_pages || c->n_pages < c->limit_pages);
	if (h) {
		c->unused = h->next;
		c->n_unused--;
	}
	c->n_pages += *may_make;
	return h;
}

static struct header *make(struct tdm_cache *c) {
	size_t bytes = (HEADER_BYTES + c->page_bytes + 63) / 64 * 64;
	struct header *h = aligned_alloc(64, bytes);
	if (h)
		memset(h, 0, bytes); // lanes of keys that do not exist yet are computed with and masked
	return h;
}

uint8_t *tdm_page_new(struct tdm_cache *c) {
	struct header *h;
	bool may_make;
	do {
		pthread_mutex_lock(&c->lock);
		h = take(c, &may_make);
		pthread_mutex_unlock(&c->lock);
	} while (!h && !may_make && tdm_prefix_evict(&c->prefix));
	if (may_make && !(h = make(c))) {
		pthread_mutex_lock(&c->lock);
		c->n_pages--;
		pthread_mutex_unlock(&c->lock);
	}
	if (!h)
		return NULL;
	atomic_init(&h->owners, 1);
	return (uint8_t *)h + HEADER_BYTES;
}

int tdm_page_owners(uint8_t *page) {
	return atomic_load_explicit(&header_of(page)->owners, memory_order_acquire);
}

void tdm_page_share(uint8_t *page) {
	atomic_fetch_add_explicit(&header_of(page)->owners, 1, memory_order_relaxed);
}

void tdm_page_drop(struct tdm_cache *c, uint8_t *page) {
	struct header *h = header_of(page);
	if (atomic_fetch_sub_explicit(&h->owners, 1, memory_order_acq_rel) != 1)
		return;
	pthread_mutex_lock(&c->lock);
	bool is_kept = c->n_unused < MAX_UNUSED;
	if (is_kept) {
		h->next = c->unused;
		c->unused = h;
		c->n_unused++;
	}
	c->n_pages -= !is_kept;
	pthread_mutex_unlock(&c->lock);
	if (!is_kept)
		free(h);
}

uint8_t *tdm_page_own(struct tdm_cache *c, uint8_t *page) {
	if (tdm_page_owners(page) == 1)
		return page;
	uint8_t *copy = tdm_page_new(c);
	if (!copy)
		return NULL;
	memcpy(copy, page, c->page_bytes);
	tdm_page_drop(c, page);
	return copy;
}

enum { PIECE = 64 };

// x[0..n) in half precision, a piece at a time: the source ends at n, the kernel reads whole groups of 16.
static void halve(const struct tdm_kernels *kernels, const float *x, int n, uint16_t *out) {
	float piece[PIECE];
	for (int at = 0; at < n; at += PIECE) {
		int here = n - at < PIECE ? n - at : PIECE, padded = tdm_pad(here, TDM_LANES);
		memcpy(piece, x + at, (size_t)here * sizeof *x);
		for (int i = here; i < padded; i++)
			piece[i] = 0;
		kernels->halve(piece, padded, out + at);
	}
}

static void store_half(const struct tdm_cache *c, const struct tdm_kernels *kernels, uint8_t *at, int slot,
                       const float *k, const float *v) {
	uint16_t halves[1024], *keys = (uint16_t *)(void *)at;
	halve(kernels, k, c->head_dim, halves);
	for (int d = 0; d < c->head_dim; d++)
		keys[d * TDM_PAGE_TOKENS + slot] = halves[d];
	halve(kernels, v, c->head_dim, (uint16_t *)(void *)(at + c->values_at) + (size_t)slot * (size_t)c->head_padded);
}

static void store_floats(const struct tdm_cache *c, uint8_t *at, int slot, const float *k, const float *v) {
	float *keys = (float *)(void *)at;
	float *values = (float *)(void *)(at + c->values_at) + (size_t)slot * (size_t)c->head_padded;
	for (int d = 0; d < c->head_dim; d++) {
		keys[d * TDM_PAGE_TOKENS + slot] = k[d];
		values[d] = v[d];
	}
}

void tdm_cache_store(const struct tdm_cache *c, const struct tdm_kernels *kernels, uint8_t *page, int slot, int layer,
                     const float *k, const float *v) {
	for (int head = 0; head < c->n_kv_heads; head++, k += c->head_dim, v += c->head_dim) {
		uint8_t *at = page + tdm_cache_head_at(c, layer, head);
		if (c->is_half)
			store_half(c, kernels, at, slot, k, v);
		else
			store_floats(c, at, slot, k, v);
	}
}
