// Breaker, shared: what breakers of one upstream tell each other by way of a store.
//
// One value per upstream: open or closed, since when, and the last failures. Whoever has news takes in what is there
// and writes all of it; should two write at the same moment, each of them still knows its own failures and writes them
// again with the next. Of two states the later one counts. Times in the store are of the wall clock; how far one that
// jumps can lead astray is bounded by the life of the value and by the longest wait for a probe.
#include "base/clock.h"
#include "models/policies/breaker.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AGAIN_US 100000
#define LIFE_US INT64_C(120000000) // longer than any wait
#define PROBE_LIFE_US INT64_C(60000000)
#define VALUE_LIMIT_BYTES ((size_t)1024)
#define ITEM "%" PRId64 ":%" PRIu32

int tdm_breaker_share(struct tdm_breaker *b, struct tdm_arena *arena, struct tdm_shared *store, const char *key,
                      int64_t (*wall_us)(void)) {
	b->key = tdm_arena_printf(arena, "breaker:%s", key);
	b->probe_key = tdm_arena_printf(arena, "probe:%s", key);
	b->wall_us = wall_us ? wall_us : tdm_wall_us;
	b->store = b->key && b->probe_key ? store : NULL;
	return b->key && b->probe_key ? TDM_OK : TDM_ENOMEM;
}

// --- the value

// to_wall is added to every time.
static void write_state(struct tdm_bytes *out, const struct tdm_breaker_state *s, int64_t to_wall_us) {
	tdm_bytes_printf(out, "1 %d %" PRId64 " %" PRId64, s->n_opened, s->probe_us + to_wall_us,
	                 s->changed_us + to_wall_us);
	for (int i = 0; i < TDM_BREAKER_FAILURES; i++)
		if (s->failures[i].at_us > INT64_MIN / 2)
			tdm_bytes_printf(out, " " ITEM, s->failures[i].at_us + to_wall_us, s->failures[i].id);
}

static bool read_number(const char **at, int64_t *out) {
	char *end;
	*out = strtoll(*at, &end, 10);
	bool is = end != *at;
	*at = end;
	return is;
}

// What is later than now_us was written by a clock that is ahead: it is now, and a probe's time in reach.
static bool read_state(const char *at, int64_t now_us, int64_t to_wall_us, struct tdm_breaker_state *s) {
	int64_t version, n_opened, probe_us, changed_us, id;
	if (!read_number(&at, &version) || version != 1 || !read_number(&at, &n_opened) || !read_number(&at, &probe_us) ||
	    !read_number(&at, &changed_us))
		return false;
	int64_t latest_us = now_us + TDM_BREAKER_LAST_PROBE_US;
	s->n_opened = n_opened < 0 ? 0 : n_opened > 64 ? 64 : (int)n_opened;
	s->probe_us = probe_us - to_wall_us < latest_us ? probe_us - to_wall_us : latest_us;
	s->changed_us = changed_us - to_wall_us < now_us ? changed_us - to_wall_us : now_us;
	for (int i = 0; i < TDM_BREAKER_FAILURES; i++) {
		struct tdm_breaker_failure *f = &s->failures[i];
		*f = (struct tdm_breaker_failure){.at_us = INT64_MIN / 2};
		if (!read_number(&at, &f->at_us) || *at++ != ':' || !read_number(&at, &id)) {
			f->at_us = INT64_MIN / 2;
			at = "";
			continue;
		}
		f->at_us = f->at_us - to_wall_us < now_us ? f->at_us - to_wall_us : now_us;
		f->id = (uint32_t)id;
	}
	return true;
}

// --- taking over

static int by_time(const void *a, const void *b) {
	const struct tdm_breaker_failure *x = a, *y = b;
	return x->at_us < y->at_us ? -1 : x->at_us > y->at_us;
}

static bool has(const struct tdm_breaker_state *s, const struct tdm_breaker_failure *f) {
	for (int i = 0; i < TDM_BREAKER_FAILURES; i++)
		if (s->failures[i].at_us > INT64_MIN / 2 && s->failures[i].id == f->id)
			return true;
	return false;
}

// The last failures of both, without those that a success after them made void.
static void merge_failures(struct tdm_breaker_state *ours, const struct tdm_breaker_state *theirs, int64_t void_us) {
	struct tdm_breaker_failure all[2 * TDM_BREAKER_FAILURES];
	int n = TDM_BREAKER_FAILURES;
	memcpy(all, ours->failures, sizeof ours->failures);
	for (int i = 0; i < TDM_BREAKER_FAILURES; i++)
		if (!has(ours, &theirs->failures[i]))
			all[n++] = theirs->failures[i];
	for (int i = 0; i < n; i++)
		if (all[i].at_us < void_us)
			all[i].at_us = INT64_MIN / 2;
	qsort(all, (size_t)n, sizeof *all, by_time);
	memcpy(ours->failures, all + n - TDM_BREAKER_FAILURES, sizeof ours->failures);
}

// Under the lock. A probe of our own that is under way knows better soon.
static void take_over(struct tdm_breaker *b, const struct tdm_breaker_state *theirs) {
	bool is_later = theirs->changed_us > b->state.changed_us && !b->probing;
	if (is_later) {
		if (b->state.n_opened && !theirs->n_opened)
			tdm_breaker_close_now(b);
		b->state.n_opened = theirs->n_opened;
		b->state.probe_us = theirs->probe_us;
		b->state.changed_us = theirs->changed_us;
	}
	merge_failures(&b->state, theirs, b->state.n_opened ? INT64_MIN / 2 : b->state.changed_us);
}

void tdm_breaker_look(struct tdm_breaker *b, int64_t now_us, bool at_once) {
	if (!b->store)
		return;
	pthread_mutex_lock(&b->lock);
	bool is_due = at_once || now_us - b->looked_us >= LOOK_AGAIN_US;
	b->looked_us = is_due ? now_us : b->looked_us;
	pthread_mutex_unlock(&b->lock);
	if (!is_due)
		return;
	struct tdm_bytes value;
	struct tdm_breaker_state theirs;
	struct tdm_error err = {0};
	bool found;
	tdm_bytes_init(&value, VALUE_LIMIT_BYTES);
	int status = tdm_shared_get(b->store, b->key, &value, &found, &err);
	tdm_bytes_putc(&value, 0);
	if (!status && found && !value.failed && read_state(value.data, now_us, b->wall_us() - now_us, &theirs)) {
		pthread_mutex_lock(&b->lock);
		take_over(b, &theirs);
		pthread_mutex_unlock(&b->lock);
	}
	tdm_bytes_release(&value);
}

void tdm_breaker_tell(struct tdm_breaker *b, int64_t now_us, const struct tdm_breaker_state *state) {
	struct tdm_bytes value;
	struct tdm_error err = {0};
	if (!b->store)
		return;
	tdm_bytes_init(&value, VALUE_LIMIT_BYTES);
	write_state(&value, state, b->wall_us() - now_us);
	if (!value.failed)
		(void)tdm_shared_set(b->store, b->key, value.data, value.len, LIFE_US, &err); // else each knows its own
	tdm_bytes_release(&value);
}

bool tdm_breaker_claim_probe(struct tdm_breaker *b) {
	struct tdm_claim claim = {.key = b->probe_key, .meter = TDM_METER_SLOTS, .limit = 1, .amount = 1};
	struct tdm_denial denial;
	struct tdm_error err = {0};
	claim.period_us = PROBE_LIFE_US;
	int status = b->store ? tdm_shared_claim(b->store, &claim, 1, &denial, &err) : TDM_ESTATE;
	pthread_mutex_lock(&b->lock);
	b->claimed = status == TDM_OK;
	b->probe = claim;
	pthread_mutex_unlock(&b->lock);
	return status != TDM_ERATE;
}

void tdm_breaker_give_probe(struct tdm_breaker *b) {
	struct tdm_error err = {0};
	int64_t used = 0;
	pthread_mutex_lock(&b->lock);
	struct tdm_claim claim = b->probe;
	bool claimed = b->claimed;
	b->claimed = false;
	pthread_mutex_unlock(&b->lock);
	if (claimed)
		(void)tdm_shared_settle(b->store, &claim, 1, &used, &err);
}
