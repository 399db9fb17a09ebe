// Pages of the cache: counted owners, the list of unused pages, and the layout that attention reads.
//
// Pages are cut from slabs of whole large pages of the system, and stay until the cache ends: a stream of short
// requests finds pages that are in memory already, and a long sequence needs few entries of the address cache.
#include "engine/cache.h"
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

enum { HEADER_BYTES = 64, LARGE_PAGE = 1 << 21, PAGES_OF_SLAB = 4 };

struct header {
	atomic_int owners;
	struct header *next;
};
_Static_assert(sizeof(struct header) <= HEADER_BYTES, "the page after the header is aligned");

static struct header *header_of(uint8_t *page) {
	return (struct header *)(void *)(page - HEADER_BYTES);
}

static void set_bytes(struct tdm_cache *c) {
	size_t width = c->type == TDM_F16 ? 2 : 4, padded = (size_t)c->head_padded, dim = (size_t)c->head_dim;
	size_t codes = tdm_codes_bytes(c->head_padded) + padded / TDM_BLOCK * TDM_PAGE_TOKENS * 2;
	c->values_at = c->type == TDM_Q8_0 ? codes : dim * TDM_PAGE_TOKENS * width;
	c->head_bytes = c->values_at + (c->type == TDM_Q8_0 ? codes : padded * TDM_PAGE_TOKENS * width);
}

static int groups_of(int n_layers, int places) {
	return (n_layers + places - 1) / places;
}

// Places of a group: those that leave the fewest unused, and of these the most.
static int choose_places(int n_whole, int n_windowed) {
	int n = n_whole + n_windowed, best = n, least = 2 * n;
	for (int places = 1; places <= n && n_whole && n_windowed; places++) {
		int n_groups = groups_of(n_whole, places) + groups_of(n_windowed, places);
		if (n_groups > TDM_MOST_GROUPS || n_groups * places > least)
			continue;
		least = n_groups * places;
		best = places;
	}
	return best;
}

// A window that no sequence can outgrow is none. Returns the places of a group.
static int set_groups(struct tdm_cache *c, const struct tdm_shape *s, int context) {
	int n[2] = {0}, seen[2] = {0};
	bool has_window = s->window && s->window < context;
	for (int i = 0; i < s->n_layers; i++)
		n[has_window && tdm_has_window(s, i)]++;
	int places = choose_places(n[0], n[1]);
	c->n_whole = groups_of(n[0], places);
	c->n_groups = c->n_whole + groups_of(n[1], places);
	c->window = n[1] ? s->window : 0;
	c->behind = TDM_BEHIND;
	for (int i = 0; i < s->n_layers; i++) {
		bool is_windowed = c->window && tdm_has_window(s, i);
		int at = seen[is_windowed]++;
		c->places[i].group = (uint8_t)((is_windowed ? c->n_whole : 0) + at / places);
		c->places[i].index = (uint16_t)(at % places);
	}
	return places;
}

int tdm_cache_first(const struct tdm_cache *c, int length) {
	int first_key = c->window && length >= c->window ? length + 1 - c->window : 0;
	return first_key / TDM_KEY_BLOCK * (TDM_KEY_BLOCK / TDM_PAGE_TOKENS);
}

void tdm_cache_init(struct tdm_cache *c, const struct tdm_weights *w, int context, size_t limit_bytes) {
	const struct tdm_shape *s = &w->shape;
	*c = (struct tdm_cache){.n_kv_heads = s->n_kv_heads, .head_dim = s->head_dim, .type = w->cache_type};
	pthread_mutex_init(&c->lock, NULL);
	c->head_padded = tdm_pad(s->head_dim, c->type == TDM_Q8_0 ? TDM_BLOCK : TDM_LANES);
	set_bytes(c);
	size_t n_places = (size_t)set_groups(c, s, context), least = (size_t)c->n_groups;
	c->page_bytes = (c->head_bytes * (size_t)s->n_kv_heads * n_places + 63) / 64 * 64;
	c->limit_pages = limit_bytes && limit_bytes / c->page_bytes < least ? least : limit_bytes / c->page_bytes;
	tdm_prefix_init(&c->prefix, c);
}

void tdm_cache_release(struct tdm_cache *c) {
	tdm_prefix_release(&c->prefix);
	for (struct tdm_slab *slab = c->slabs, *next; slab; slab = next) {
		next = slab->next;
		munmap(slab->memory, slab->n_bytes);
	}
	c->slabs = NULL;
	c->unused = NULL;
	pthread_mutex_destroy(&c->lock);
}

// With the lock: a slab whose pages are not cut yet; false: no memory. Its memory is zero: lanes of keys that do not
// exist yet are computed with and masked.
static bool add_slab(struct tdm_cache *c) {
	size_t least = PAGES_OF_SLAB * (HEADER_BYTES + c->page_bytes) + sizeof(struct tdm_slab);
	size_t n_bytes = (least + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
	uint8_t *memory = mmap(NULL, n_bytes + LARGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return false;
	uint8_t *at = memory + (size_t)(-(uintptr_t)memory % LARGE_PAGE);
	if (c->page_bytes >= LARGE_PAGE / 8)
		madvise(at, n_bytes, MADV_HUGEPAGE); // both are wishes
	else
		madvise(at, n_bytes, MADV_POPULATE_WRITE); // at once instead of page by page
	struct tdm_slab *slab = (struct tdm_slab *)(void *)(at + n_bytes - sizeof *slab);
	*slab = (struct tdm_slab){.next = c->slabs, .memory = memory, .n_bytes = n_bytes + LARGE_PAGE, .free = at};
	c->slabs = slab;
	return true;
}

// With the lock: a page that nobody has used.
static struct header *cut(struct tdm_cache *c) {
	size_t bytes = HEADER_BYTES + c->page_bytes;
	struct tdm_slab *slab = c->slabs;
	if (!slab || (size_t)((uint8_t *)slab - slab->free) < bytes) {
		if (!add_slab(c))
			return NULL;
		slab = c->slabs;
	}
	struct header *h = (struct header *)(void *)slab->free;
	slab->free += bytes;
	c->n_pages++;
	return h;
}

// NULL at the limit, or without memory.
static struct header *take(struct tdm_cache *c) {
	pthread_mutex_lock(&c->lock);
	struct header *h = c->unused;
	if (h) {
		c->unused = h->next;
		c->n_unused--;
	} else if (!c->limit_pages || c->n_pages < c->limit_pages) {
		h = cut(c);
	}
	pthread_mutex_unlock(&c->lock);
	return h;
}

uint8_t *tdm_page_new(struct tdm_cache *c) {
	struct header *h;
	while (!(h = take(c)))
		if (!tdm_prefix_evict(&c->prefix))
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
	h->next = c->unused;
	c->unused = h;
	c->n_unused++;
	pthread_mutex_unlock(&c->lock);
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

// Each row is quantised by itself, so that a token's key does not depend on what else is in its page.
static void store_codes(const struct tdm_cache *c, const struct tdm_kernels *kernels, uint8_t *keys, int slot,
                        const float *k, const float *v) {
	_Alignas(64) float x[2 * 1024];
	int8_t codes[2 * 1024];
	struct tdm_column_block blocks[2 * 1024 / TDM_BLOCK];
	size_t padded = (size_t)c->head_padded, n_blocks = padded / TDM_BLOCK;
	struct tdm_columns columns = {2, padded, x, codes, blocks};
	memset(x, 0, 2 * padded * sizeof *x);
	memcpy(x, k, (size_t)c->head_dim * sizeof *x);
	memcpy(x + padded, v, (size_t)c->head_dim * sizeof *x);
	kernels->quantize(&columns, 0);
	kernels->quantize(&columns, 1);
	uint8_t *values = keys + c->values_at;
	for (size_t b = 0; b < n_blocks; b++) {
		const int8_t *key = codes + b * 2 * TDM_BLOCK;
		size_t at = b * TDM_BLOCK * TDM_PAGE_TOKENS;
		size_t scale_at = tdm_codes_bytes(c->head_padded) + (b * TDM_PAGE_TOKENS + (size_t)slot) * 2;
		uint16_t key_scale = tdm_f32_to_f16(blocks[2 * b].scale), scale = tdm_f32_to_f16(blocks[2 * b + 1].scale);
		for (size_t i = 0; i < TDM_BLOCK; i++)
			keys[at + i / 4 * 4 * TDM_PAGE_TOKENS + (size_t)slot * 4 + i % 4] = (uint8_t)key[i] ^ kernels->flip;
		memcpy(values + at + (size_t)slot * TDM_BLOCK, key + TDM_BLOCK, TDM_BLOCK);
		memcpy(keys + scale_at, &key_scale, sizeof key_scale);
		memcpy(values + scale_at, &scale, sizeof scale);
	}
}

void tdm_cache_store(const struct tdm_cache *c, const struct tdm_kernels *kernels, uint8_t *page, int slot, int layer,
                     const float *k, const float *v) {
	for (int head = 0; head < c->n_kv_heads; head++, k += c->head_dim, v += c->head_dim) {
		uint8_t *at = page + tdm_cache_head_at(c, layer, head);
		if (c->type == TDM_Q8_0)
			store_codes(c, kernels, at, slot, k, v);
		else if (c->type == TDM_F16)
			store_half(c, kernels, at, slot, k, v);
		else
			store_floats(c, at, slot, k, v);
	}
}
