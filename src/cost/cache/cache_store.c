// Store of a cache: a table of entries, each in two lists ordered by last use: all, and those of its tenant. One lock.
#include "cost/cache/cache_store.h"
#include "base/clock.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct ring { // a circle; the head of a list is one too
	struct ring *newer, *older;
};

struct tenant {
	struct tenant *next;
	struct ring entries;
	int64_t n_entries, bytes;
	char name[];
};

struct entry {
	struct ring among_all, of_tenant;
	struct entry *next; // in its slot
	struct tenant *tenant;
	int64_t expires_us, bytes;
	uint8_t key[TDM_SHA256_BYTES], near[TDM_SHA256_BYTES];
	float *vector;
	int width;
	size_t n;
	char data[];
};

struct tdm_cache_store {
	struct tdm_cache_limits limits;
	pthread_mutex_t lock; // guards the rest
	struct entry **slots;
	size_t n_slots;
	struct ring all;
	struct tenant *tenants;
	int64_t n_entries, bytes, evicted;
};

#define ENTRY_OF(ring, list) ((struct entry *)(void *)((char *)(ring)-offsetof(struct entry, list)))

static void ring_init(struct ring *r) {
	r->newer = r->older = r;
}

static void ring_remove(struct ring *r) {
	r->newer->older = r->older;
	r->older->newer = r->newer;
}

static void ring_add(struct ring *head, struct ring *r) { // as the newest: head->older
	r->newer = head;
	r->older = head->older;
	head->older->newer = r;
	head->older = r;
}

static struct entry **slot_of(struct tdm_cache_store *s, const uint8_t *key) {
	uint64_t hash;
	memcpy(&hash, key, sizeof hash);
	return &s->slots[hash & (s->n_slots - 1)];
}

// --- tenants

static struct tenant *find_tenant(struct tdm_cache_store *s, const char *name) {
	struct tenant *t = s->tenants;
	while (t && strcmp(t->name, name ? name : ""))
		t = t->next;
	return t;
}

static struct tenant *need_tenant(struct tdm_cache_store *s, const char *name) {
	struct tenant *t = find_tenant(s, name);
	size_t n = strlen(name ? name : "") + 1;
	if (t || !(t = calloc(1, sizeof *t + n)))
		return t;
	memcpy(t->name, name ? name : "", n);
	ring_init(&t->entries);
	t->next = s->tenants;
	s->tenants = t;
	return t;
}

static void drop_if_empty(struct tdm_cache_store *s, struct tenant *t) {
	struct tenant **at = &s->tenants;
	if (t->n_entries)
		return;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	free(t);
}

// --- entries

static void drop(struct tdm_cache_store *s, struct entry *e) {
	struct entry **at = slot_of(s, e->key);
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	ring_remove(&e->among_all);
	ring_remove(&e->of_tenant);
	s->n_entries--;
	s->bytes -= e->bytes;
	e->tenant->n_entries--;
	e->tenant->bytes -= e->bytes;
	free(e->vector);
	free(e);
}

static void touch(struct tdm_cache_store *s, struct entry *e) {
	ring_remove(&e->among_all);
	ring_remove(&e->of_tenant);
	ring_add(&s->all, &e->among_all);
	ring_add(&e->tenant->entries, &e->of_tenant);
}

// The tenant is in the key's hash, and is looked at all the same.
static struct entry *find(struct tdm_cache_store *s, const struct tenant *t, const uint8_t *key) {
	struct entry *e = t ? *slot_of(s, key) : NULL;
	while (e && (e->tenant != t || memcmp(e->key, key, sizeof e->key)))
		e = e->next;
	return e;
}

static bool give(struct tdm_cache_store *s, struct entry *e, struct tdm_bytes *out) {
	tdm_bytes_add(out, e->data, e->n);
	touch(s, e);
	return !out->failed;
}

bool tdm_cache_store_get(struct tdm_cache_store *s, const char *tenant, const uint8_t *key, struct tdm_bytes *out) {
	bool is_found = false;
	pthread_mutex_lock(&s->lock);
	struct tenant *t = find_tenant(s, tenant);
	struct entry *e = find(s, t, key);
	if (e && e->expires_us <= tdm_now_us()) {
		drop(s, e);
		drop_if_empty(s, t);
	} else if (e) {
		is_found = give(s, e, out);
	}
	pthread_mutex_unlock(&s->lock);
	return is_found;
}

static double cosine(const float *a, const float *b, int n) {
	double sum = 0;
	for (int i = 0; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

static struct entry *nearest(const struct tenant *t, const struct tdm_cache_vector *v, double *score) {
	struct entry *best = NULL;
	int64_t now_us = tdm_now_us();
	*score = (double)NAN;
	for (const struct ring *r = t->entries.older; r != &t->entries; r = r->older) {
		struct entry *e = ENTRY_OF(r, of_tenant);
		if (!e->vector || e->width != v->width || e->expires_us <= now_us || memcmp(e->near, v->near, sizeof e->near))
			continue;
		double near = cosine(e->vector, v->data, v->width);
		if (!best || near > *score) {
			best = e;
			*score = near;
		}
	}
	return best;
}

bool tdm_cache_store_near(struct tdm_cache_store *s, const char *tenant, const struct tdm_cache_vector *v,
                          double threshold, double *score, struct tdm_bytes *out) {
	*score = (double)NAN;
	pthread_mutex_lock(&s->lock);
	struct tenant *t = find_tenant(s, tenant);
	struct entry *e = t ? nearest(t, v, score) : NULL;
	bool is_near = e && *score >= threshold && give(s, e, out);
	pthread_mutex_unlock(&s->lock);
	return is_near;
}

// --- putting

static struct entry *make(const uint8_t *key, const struct tdm_cache_vector *v, const void *data, size_t n) {
	struct entry *e = calloc(1, sizeof *e + n);
	if (!e)
		return NULL;
	memcpy(e->key, key, sizeof e->key);
	memcpy(e->data, data, n);
	e->n = n;
	e->bytes = (int64_t)(sizeof *e + n);
	if (!v->data)
		return e;
	size_t size = (size_t)v->width * sizeof(float);
	memcpy(e->near, v->near, sizeof e->near);
	e->vector = malloc(size);
	if (!e->vector) {
		free(e);
		return NULL;
	}
	memcpy(e->vector, v->data, size);
	e->width = v->width;
	e->bytes += (int64_t)size;
	return e;
}

static int make_room(struct tdm_cache_store *s, struct tenant *t, int64_t bytes) {
	const struct tdm_cache_limits *l = &s->limits;
	int64_t most_bytes = (int64_t)((double)l->max_bytes * l->tenant_share);
	int64_t most_entries = (int64_t)ceil((double)l->max_entries * l->tenant_share);
	int n = 0;
	for (; t->n_entries && (t->bytes + bytes > most_bytes || t->n_entries + 1 > most_entries); n++)
		drop(s, ENTRY_OF(t->entries.newer, of_tenant));
	for (; s->n_entries && (s->bytes + bytes > l->max_bytes || s->n_entries + 1 > l->max_entries); n++) {
		struct entry *oldest = ENTRY_OF(s->all.newer, among_all);
		struct tenant *its = oldest->tenant;
		drop(s, oldest);
		if (its != t)
			drop_if_empty(s, its);
	}
	s->evicted += n;
	return n;
}

static void enter(struct tdm_cache_store *s, struct tenant *t, struct entry *e) {
	struct entry **slot = slot_of(s, e->key);
	e->tenant = t;
	e->expires_us = tdm_now_us() + s->limits.ttl_us;
	e->next = *slot;
	*slot = e;
	ring_add(&s->all, &e->among_all);
	ring_add(&t->entries, &e->of_tenant);
	s->n_entries++;
	s->bytes += e->bytes;
	t->n_entries++;
	t->bytes += e->bytes;
}

int tdm_cache_store_put(struct tdm_cache_store *s, const char *tenant, const uint8_t *key,
                        const struct tdm_cache_vector *v, const void *data, size_t n) {
	struct entry *e = make(key, v, data, n);
	int made_room = -1;
	if (!e)
		return -1;
	pthread_mutex_lock(&s->lock);
	struct tenant *t = need_tenant(s, tenant);
	if (t && e->bytes <= (int64_t)((double)s->limits.max_bytes * s->limits.tenant_share)) {
		struct entry *before = find(s, t, key);
		if (before)
			drop(s, before);
		made_room = make_room(s, t, e->bytes);
		enter(s, t, e);
		e = NULL;
	}
	if (t)
		drop_if_empty(s, t);
	pthread_mutex_unlock(&s->lock);
	if (e)
		free(e->vector);
	free(e);
	return made_room;
}

void tdm_cache_store_stats(struct tdm_cache_store *s, struct tdm_cache_stats *out) {
	pthread_mutex_lock(&s->lock);
	*out = (struct tdm_cache_stats){s->n_entries, s->bytes, s->evicted};
	pthread_mutex_unlock(&s->lock);
}

struct tdm_cache_store *tdm_cache_store_new(const struct tdm_cache_limits *limits) {
	struct tdm_cache_store *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->limits = *limits;
	s->n_slots = 64;
	while ((int64_t)s->n_slots < limits->max_entries && s->n_slots < (size_t)1 << 20)
		s->n_slots *= 2;
	s->slots = calloc(s->n_slots, sizeof *s->slots);
	if (!s->slots) {
		free(s);
		return NULL;
	}
	ring_init(&s->all);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void tdm_cache_store_free(struct tdm_cache_store *s) {
	while (s->all.newer != &s->all) {
		struct entry *e = ENTRY_OF(s->all.newer, among_all);
		struct tenant *t = e->tenant;
		drop(s, e);
		drop_if_empty(s, t);
	}
	pthread_mutex_destroy(&s->lock);
	free(s->slots);
	free(s);
}
