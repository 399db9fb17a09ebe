// Leaks: see leaks.h. A conversation that nobody went on with for a day is forgotten, and the one that has waited the
// longest when there are too many.
#include "privacy/leaks.h"
#include "base/clock.h"
#include "base/crypto.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MOST_CONVERSATIONS 4096
#define DAY_US (INT64_C(86400) * 1000000)

// --- one request

static uint64_t first_bytes(const uint8_t mac[TDM_SHA256_BYTES]) {
	uint64_t out = 0;
	for (int i = 0; i < 8; i++)
		out = out << 8 | mac[i];
	return out ? out : 1; // 0 is an empty place of a table
}

void tdm_showing_init(struct tdm_showing *s, struct tdm_arena *arena, const uint8_t key[TDM_SESSION_KEY_BYTES],
                      const char *mask) {
	static const char leaks[] = "leaks", conversation[] = "conversation";
	uint8_t own[TDM_SHA256_BYTES], mac[TDM_SHA256_BYTES];
	*s = (struct tdm_showing){.arena = arena};
	tdm_hmac_sha256(key, TDM_SESSION_KEY_BYTES, leaks, sizeof leaks, s->key);
	tdm_hmac_sha256(key, TDM_SESSION_KEY_BYTES, conversation, sizeof conversation, own);
	tdm_hmac_sha256(own, sizeof own, mask, strlen(mask), mac);
	tdm_hex(mac, 8, s->conversation);
}

// Of the label and the value; separators do not count in numbers.
static uint64_t hash_of(struct tdm_showing *s, const struct tdm_find *find) {
	uint8_t mac[TDM_SHA256_BYTES];
	bool grouped = find->entity->flags & TDM_ENTITY_GROUPED;
	size_t n = strlen(find->entity->label) + 1;
	char *text = tdm_arena_alloc(s->arena, n + find->n_folded);
	if (!text) {
		s->failed = true;
		return 1;
	}
	memcpy(text, find->entity->label, n);
	for (size_t i = 0; i < find->n_folded; i++)
		if (!grouped || !tdm_separator(find->folded[i]))
			text[n++] = find->folded[i];
	tdm_hmac_sha256(s->key, sizeof s->key, text, n, mac);
	return first_bytes(mac);
}

void tdm_showing_add(struct tdm_showing *s, const struct tdm_find *find, const char *as) {
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct tdm_shown *items = tdm_arena_array(s->arena, cap, sizeof *items);
		if (!items) {
			s->failed = true;
			return;
		}
		if (s->n)
			memcpy(items, s->items, s->n * sizeof *items);
		s->items = items;
		s->cap = cap;
	}
	s->items[s->n++] = (struct tdm_shown){find->entity, as, hash_of(s, find)};
}

// Whether what was found is a number that stands for another one.
static bool stands_in(const struct tdm_restorer *own, const struct tdm_text *text, const struct tdm_find *find) {
	size_t n = find->end - find->start;
	for (size_t i = 0; i < own->n; i++) {
		const struct tdm_spelling *s = own->spellings[i];
		const char *found = text->text + find->start;
		if (s->surrogate && (memmem(s->token, s->n_token, found, n) || memmem(found, n, s->token, s->n_token)))
			return true;
	}
	return false;
}

int tdm_showing_look(struct tdm_showing *s, const struct tdm_detector *detector, const struct tdm_text *masked,
                     size_t n, const struct tdm_restorer *own, struct tdm_error *err) {
	struct tdm_finds *finds = tdm_arena_array(s->arena, n + 1, sizeof *finds);
	struct tdm_dictionary protect = {0};
	if (!finds)
		return tdm_fail(err, TDM_ENOMEM, "mask: no memory left in this request; nothing was sent");
	int status = tdm_detect(detector, s->arena, masked, n, 3, finds, &protect, err);
	for (size_t i = 0; i < n && status == TDM_OK; i++)
		for (size_t k = 0; k < finds[i].n; k++)
			if (finds[i].items[k].entity != tdm_entity_literal && !stands_in(own, &masked[i], &finds[i].items[k]))
				tdm_showing_add(s, &finds[i].items[k], "clear");
	return status;
}

void tdm_showing_record(const struct tdm_showing *s, struct tdm_record *record) {
	record->left.conversation = tdm_arena_string(record->arena, s->conversation);
	for (size_t i = 0; i < s->n; i++) {
		char hash[17];
		uint8_t bytes[8];
		for (int k = 0; k < 8; k++)
			bytes[k] = (uint8_t)(s->items[i].hash >> (56 - 8 * k));
		tdm_hex(bytes, 8, hash);
		tdm_record_leak(record, s->items[i].entity->label, s->items[i].as, hash, 1);
	}
}

// --- conversations

struct set { // of hashes; open addressing, 0 = empty
	uint64_t *items;
	size_t n, cap;
};

struct conversation {
	char id[17];
	int64_t used_us;
	struct set all, clear;
	struct conversation *next; // the one used before it
};

struct tdm_leaks {
	pthread_mutex_t lock;
	struct conversation *latest;
	size_t n;
};

static bool set_has(const struct set *s, uint64_t hash) {
	for (size_t i = hash; s->cap; i++) {
		uint64_t item = s->items[i & (s->cap - 1)];
		if (!item || item == hash)
			return item == hash;
	}
	return false;
}

static void set_put(struct set *s, uint64_t hash) {
	size_t i = hash;
	while (s->items[i & (s->cap - 1)])
		i++;
	s->items[i & (s->cap - 1)] = hash;
	s->n++;
}

// Room for `more` further ones, at most half full.
static bool set_grow(struct set *s, size_t more) {
	struct set grown = {.cap = s->cap ? s->cap : 16};
	while (grown.cap < 2 * (s->n + more))
		grown.cap *= 2;
	if (grown.cap == s->cap)
		return true;
	grown.items = calloc(grown.cap, sizeof *grown.items);
	if (!grown.items)
		return false;
	for (size_t i = 0; i < s->cap; i++)
		if (s->items[i])
			set_put(&grown, s->items[i]);
	free(s->items);
	*s = grown;
	return true;
}

static void free_conversation(struct conversation *c) {
	free(c->all.items);
	free(c->clear.items);
	free(c);
}

// Those from *at on.
static void forget(struct tdm_leaks *l, struct conversation **at) {
	while (*at) {
		struct conversation *c = *at;
		*at = c->next;
		free_conversation(c);
		l->n--;
	}
}

static void forget_old(struct tdm_leaks *l, int64_t now_us) {
	struct conversation **at = &l->latest;
	for (size_t i = 0; *at && i + 1 < MOST_CONVERSATIONS && now_us - (*at)->used_us < DAY_US; i++)
		at = &(*at)->next;
	forget(l, at);
}

// The conversation, in front of the others; NULL: no memory.
static struct conversation *find_conversation(struct tdm_leaks *l, const char *id) {
	struct conversation **at = &l->latest, *c;
	while (*at && strcmp((*at)->id, id) != 0)
		at = &(*at)->next;
	c = *at;
	if (c) {
		*at = c->next;
	} else {
		forget_old(l, tdm_now_us());
		c = calloc(1, sizeof *c);
		if (!c)
			return NULL;
		memcpy(c->id, id, sizeof c->id);
		l->n++;
	}
	c->used_us = tdm_now_us();
	c->next = l->latest;
	l->latest = c;
	return c;
}

struct tdm_leaks *tdm_leaks_new(void) {
	struct tdm_leaks *l = calloc(1, sizeof *l);
	if (l)
		pthread_mutex_init(&l->lock, NULL);
	return l;
}

void tdm_leaks_free(struct tdm_leaks *l) {
	if (!l)
		return;
	forget(l, &l->latest);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static bool wanted(const struct tdm_shown *shown, bool only_clear) {
	return !only_clear || strcmp(shown->as, "clear") == 0;
}

// Puts what is new into a set that has room for it; *before: the number that was there.
static void put_all(struct set *set, const struct tdm_showing *s, bool only_clear) {
	for (size_t i = 0; i < s->n; i++)
		if (wanted(&s->items[i], only_clear) && !set_has(set, s->items[i].hash))
			set_put(set, s->items[i].hash);
}

// A copy of the set with what is new, so that nothing counts as shown that was not.
static bool with_new(const struct set *set, const struct tdm_showing *s, bool only_clear, struct set *out) {
	*out = (struct set){0};
	if (!set_grow(out, set->n + s->n))
		return false;
	for (size_t i = 0; i < set->cap; i++)
		if (set->items[i])
			set_put(out, set->items[i]);
	put_all(out, s, only_clear);
	return true;
}

static bool allow(struct conversation *c, const struct tdm_showing *s, struct tdm_leak_limit limit,
                  struct tdm_leak_count *over) {
	struct set all, clear = {0};
	bool ok = with_new(&c->all, s, false, &all) && with_new(&c->clear, s, true, &clear);
	*over = (struct tdm_leak_count){0, -1, "values"};
	if (ok && limit.all >= 0 && all.n > (size_t)limit.all)
		*over = (struct tdm_leak_count){(int64_t)all.n, limit.all, "values"};
	else if (ok && limit.clear >= 0 && clear.n > (size_t)limit.clear)
		*over = (struct tdm_leak_count){(int64_t)clear.n, limit.clear, "clear_values"};
	if (!ok || over->limit >= 0) {
		free(all.items);
		free(clear.items);
		return false;
	}
	free(c->all.items);
	free(c->clear.items);
	c->all = all;
	c->clear = clear;
	return true;
}

bool tdm_leaks_allow(struct tdm_leaks *l, const struct tdm_showing *s, struct tdm_leak_limit limit,
                     struct tdm_leak_count *over) {
	bool ok = false;
	*over = (struct tdm_leak_count){0, -1, "values"};
	if (s->failed)
		return false;
	pthread_mutex_lock(&l->lock);
	struct conversation *c = find_conversation(l, s->conversation);
	ok = c && allow(c, s, limit, over);
	pthread_mutex_unlock(&l->lock);
	return ok;
}

// One value of a receipt; false: it is none.
static bool read_shown(const struct tdm_value *v, struct tdm_shown *out) {
	const char *as = tdm_get_string(v, "as"), *hash = tdm_get_string(v, "hash");
	char *end;
	if (!as || !hash || strlen(hash) != 16)
		return false;
	*out = (struct tdm_shown){.as = as, .hash = strtoull(hash, &end, 16)};
	return !*end && out->hash;
}

void tdm_leaks_recall(struct tdm_leaks *l, const struct tdm_value *left) {
	const char *conversation = tdm_get_string(left, "conversation");
	const struct tdm_value *values = tdm_get(left, "values");
	struct tdm_leak_count over;
	struct tdm_showing s = {0};
	if (!conversation || strlen(conversation) != 16 || !values || values->type != TDM_LIST)
		return;
	memcpy(s.conversation, conversation, sizeof s.conversation);
	s.items = calloc(values->n + 1, sizeof *s.items);
	for (size_t i = 0; s.items && i < values->n; i++)
		s.n += read_shown(&values->items[i], &s.items[s.n]);
	if (s.n)
		tdm_leaks_allow(l, &s, (struct tdm_leak_limit){-1, -1}, &over);
	free(s.items);
}
