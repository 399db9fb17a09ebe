// Shared in memory: one table of meters and values under one lock. Values are in the order of their last use; when they
// take more than their limit, the one unused longest goes. Meters stay: there are as many as limits and tenants.
#include "base/clock.h"
#include "base/random.h"
#include "ledger/shared_parts.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 64

struct item {
	struct item *next;          // in its slot of the table
	struct item *newer, *older; // values only
	uint64_t hash;
	bool is_value;
	double level;                // RATE: units at at_us
	int64_t at_us, used, window; // used: WINDOW units, SLOTS places
	int64_t expires_us;          // of a value; 0 = never
	size_t n;                    // bytes of the value
	char *data;
	char key[];
};

struct memory {
	struct tdm_shared state;
	int64_t (*now_us)(void);
	int64_t max_bytes;
	pthread_mutex_t lock; // guards the rest
	struct item **slots;
	size_t n_slots, n_items;
	struct item *newest, *oldest;
	int64_t n_values, bytes, evicted;
};

// --- the table

static uint64_t hash_of(const char *key) {
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (; *key; key++)
		hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 29;
}

// A meter and a value may have the same key.
static struct item **place_of(struct memory *m, const char *key, uint64_t hash, bool is_value) {
	struct item **at = &m->slots[hash & (m->n_slots - 1)];
	while (*at && ((*at)->hash != hash || (*at)->is_value != is_value || strcmp((*at)->key, key)))
		at = &(*at)->next;
	return at;
}

static struct item *find_meter(struct memory *m, const char *key) {
	return *place_of(m, key, hash_of(key), false);
}

static struct item *find_value(struct memory *m, const char *key) {
	return *place_of(m, key, hash_of(key), true);
}

static void grow(struct memory *m) {
	size_t n = m->n_slots * 2;
	struct item **slots = calloc(n, sizeof(struct item *));
	if (!slots)
		return; // longer chains, nothing else
	for (size_t i = 0; i < m->n_slots; i++)
		for (struct item *item = m->slots[i], *next; item; item = next) {
			next = item->next;
			item->next = slots[item->hash & (n - 1)];
			slots[item->hash & (n - 1)] = item;
		}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n;
}

static struct item *add(struct memory *m, const char *key, bool is_value) {
	if (m->n_items >= m->n_slots)
		grow(m);
	size_t n = strlen(key) + 1;
	struct item *item = calloc(1, sizeof *item + n);
	if (!item)
		return NULL;
	memcpy(item->key, key, n);
	item->hash = hash_of(key);
	item->is_value = is_value;
	struct item **at = &m->slots[item->hash & (m->n_slots - 1)];
	item->next = *at;
	*at = item;
	m->n_items++;
	return item;
}

static int64_t size_of(const struct item *item) {
	return (int64_t)(sizeof *item + strlen(item->key) + 1 + item->n);
}

static void unlink_value(struct memory *m, struct item *item) {
	*(item->newer ? &item->newer->older : &m->newest) = item->older;
	*(item->older ? &item->older->newer : &m->oldest) = item->newer;
	item->newer = item->older = NULL;
}

static void link_newest(struct memory *m, struct item *item) {
	item->older = m->newest;
	*(m->newest ? &m->newest->newer : &m->oldest) = item;
	m->newest = item;
}

static void remove_value(struct memory *m, struct item *item) {
	unlink_value(m, item);
	m->bytes -= size_of(item);
	m->n_values--;
	m->n_items--;
	*place_of(m, item->key, item->hash, true) = item->next;
	free(item->data);
	free(item);
}

// --- meters

static struct item *meter_of(struct memory *m, const struct tdm_claim *c, int64_t now_us) {
	struct item *item = find_meter(m, c->key);
	if (!item && (item = add(m, c->key, false))) {
		item->level = (double)c->limit;
		item->at_us = now_us;
		item->window = c->window;
	}
	return item;
}

// What has changed by itself since the meter was looked at.
static void refresh(struct item *item, const struct tdm_claim *c, int64_t now_us) {
	if (c->meter == TDM_METER_WINDOW && c->window > item->window) {
		item->window = c->window;
		item->used = 0;
	}
	if (c->meter != TDM_METER_RATE)
		return;
	if (now_us > item->at_us)
		item->level += (double)(now_us - item->at_us) * (double)c->limit / (double)c->period_us;
	if (item->level > (double)c->limit)
		item->level = (double)c->limit;
	item->at_us = now_us;
}

static int64_t left_of(const struct item *item, const struct tdm_claim *c) {
	if (c->meter == TDM_METER_RATE)
		return item->level > 0 ? (int64_t)item->level : 0;
	return item->used < c->limit ? c->limit - item->used : 0;
}

static bool has_room(const struct item *item, const struct tdm_claim *c, struct tdm_denial *denial) {
	denial->left = left_of(item, c);
	if (c->meter == TDM_METER_RATE) {
		double need = (double)(c->amount < c->limit ? c->amount : c->limit);
		denial->wait_us = (int64_t)((need - item->level) * (double)c->period_us / (double)c->limit) + 1;
		return item->level >= need;
	}
	denial->wait_us = c->meter == TDM_METER_WINDOW ? c->period_us : 0;
	return c->amount <= denial->left;
}

static int claim(struct tdm_shared *s, struct tdm_claim *claims, size_t n, struct tdm_denial *denial,
                 struct tdm_error *err) {
	struct memory *m = (struct memory *)s;
	int status = TDM_OK;
	pthread_mutex_lock(&m->lock);
	int64_t now_us = m->now_us();
	for (size_t i = 0; i < n && !status; i++) {
		struct item *item = meter_of(m, &claims[i], now_us);
		denial->claim = i;
		if (item)
			refresh(item, &claims[i], now_us);
		if (!item)
			status = tdm_fail(err, TDM_ESTATE, "no memory for the meter %s", claims[i].key);
		else if (!has_room(item, &claims[i], denial))
			status = TDM_ERATE;
	}
	for (size_t i = 0; i < n && !status; i++) {
		struct item *item = find_meter(m, claims[i].key);
		item->level -= (double)claims[i].amount;
		item->used += claims[i].amount;
		claims[i].window = item->window;
		claims[i].left = left_of(item, &claims[i]);
	}
	pthread_mutex_unlock(&m->lock);
	return status;
}

static void settle_one(struct memory *m, const struct tdm_claim *c, int64_t used, int64_t now_us) {
	struct item *item = meter_of(m, c, now_us);
	if (!item || (c->meter == TDM_METER_WINDOW && item->window != c->window))
		return;
	int64_t more = c->meter == TDM_METER_SLOTS ? -1 : used - c->amount;
	item->used = item->used + more > 0 ? item->used + more : 0;
	item->level -= (double)more;
	if (item->level > (double)c->limit)
		item->level = (double)c->limit;
}

static int settle(struct tdm_shared *s, const struct tdm_claim *claims, size_t n, const int64_t *used,
                  struct tdm_error *err) {
	struct memory *m = (struct memory *)s;
	pthread_mutex_lock(&m->lock);
	int64_t now_us = m->now_us();
	for (size_t i = 0; i < n; i++)
		settle_one(m, &claims[i], used[i], now_us);
	pthread_mutex_unlock(&m->lock);
	return TDM_OK;
}

static int left(struct tdm_shared *s, const struct tdm_claim *c, int64_t *out, struct tdm_error *err) {
	struct memory *m = (struct memory *)s;
	struct tdm_denial denial = {.left = c->limit};
	struct tdm_claim none = *c;
	none.amount = 0;
	pthread_mutex_lock(&m->lock);
	struct item *item = find_meter(m, c->key);
	if (item) {
		refresh(item, c, m->now_us());
		has_room(item, &none, &denial);
	}
	pthread_mutex_unlock(&m->lock);
	*out = denial.left;
	return TDM_OK;
}

// --- values

static int get(struct tdm_shared *s, const char *key, struct tdm_bytes *out, bool *found, struct tdm_error *err) {
	struct memory *m = (struct memory *)s;
	pthread_mutex_lock(&m->lock);
	struct item *item = find_value(m, key);
	if (item && item->expires_us && item->expires_us <= m->now_us()) {
		remove_value(m, item);
		item = NULL;
	}
	if (item) {
		unlink_value(m, item);
		link_newest(m, item);
		tdm_bytes_add(out, item->data, item->n);
		*found = true;
	}
	pthread_mutex_unlock(&m->lock);
	return out->failed ? tdm_fail(err, TDM_ENOMEM, "the value of %s is larger than expected", key) : TDM_OK;
}

static int put(struct memory *m, const char *key, char *data, size_t n, int64_t life_us) {
	struct item *item = find_value(m, key);
	if (item)
		remove_value(m, item);
	item = add(m, key, true);
	if (!item)
		return TDM_ENOMEM;
	item->data = data;
	item->n = n;
	item->expires_us = life_us ? m->now_us() + life_us : 0;
	link_newest(m, item);
	m->n_values++;
	m->bytes += size_of(item);
	for (; m->bytes > m->max_bytes && m->oldest; m->evicted++)
		remove_value(m, m->oldest);
	return TDM_OK;
}

static int set(struct tdm_shared *s, const char *key, const void *data, size_t n, int64_t life_us,
               struct tdm_error *err) {
	struct memory *m = (struct memory *)s;
	char *copy = malloc(n + 1);
	if (!copy)
		return tdm_fail(err, TDM_ENOMEM, "no memory for the value of %s", key);
	memcpy(copy, data, n);
	pthread_mutex_lock(&m->lock);
	int status = put(m, key, copy, n, life_us);
	pthread_mutex_unlock(&m->lock);
	if (!status)
		return TDM_OK;
	free(copy);
	return tdm_fail(err, status, "no memory for the value of %s", key);
}

static int drop(struct tdm_shared *s, const char *key, struct tdm_error *err) {
	struct memory *m = (struct memory *)s;
	pthread_mutex_lock(&m->lock);
	struct item *item = find_value(m, key);
	if (item)
		remove_value(m, item);
	pthread_mutex_unlock(&m->lock);
	return TDM_OK;
}

// --- opening and closing

static void stats(struct tdm_shared *s, struct tdm_shared_stats *out) {
	struct memory *m = (struct memory *)s;
	pthread_mutex_lock(&m->lock);
	out->n_values = m->n_values;
	out->bytes = m->bytes;
	out->evicted = m->evicted;
	pthread_mutex_unlock(&m->lock);
}

static void close_memory(struct tdm_shared *s) {
	struct memory *m = (struct memory *)s;
	for (size_t i = 0; i < m->n_slots; i++)
		for (struct item *item = m->slots[i], *next; item; item = next) {
			next = item->next;
			free(item->data);
			free(item);
		}
	pthread_mutex_destroy(&m->lock);
	free(m->slots);
	free(m);
}

int tdm_shared_memory_new(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err) {
	static const struct tdm_shared_ops ops = {claim, settle, left, get, set, drop, stats, close_memory};
	struct memory *m = calloc(1, sizeof *m);
	struct item **slots = calloc(FIRST_SLOTS, sizeof(struct item *));
	if (!m || !slots) {
		free(m);
		free(slots);
		return tdm_fail(err, TDM_ENOMEM, "state: no memory");
	}
	m->state = (struct tdm_shared){.ops = &ops, .local = &m->state};
	m->now_us = o->now_us ? o->now_us : tdm_now_us;
	m->max_bytes = o->max_bytes;
	m->slots = slots;
	m->n_slots = FIRST_SLOTS;
	pthread_mutex_init(&m->lock, NULL);
	*out = &m->state;
	return TDM_OK;
}
