// Shared: chooses the store, and passes every call on to it. `lock` guards the list of those that trees share.
#include "ledger/shared.h"
#include "ledger/shared_parts.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tdm_shared *shared_ones;

void tdm_shared_options_init(struct tdm_shared_options *o) {
	*o = (struct tdm_shared_options){
	    .url = "memory:", .prefix = "tandem:", .timeout_ms = 200, .max_bytes = INT64_C(64) << 20};
}

static const struct store {
	const char *scheme;
	bool shared;
	int (*make)(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err);
} stores[] = {
    {"memory:", false, tdm_shared_memory_new},
    {"sqlite:", false, tdm_shared_sqlite_new},
    {"redis://", true, tdm_shared_redis_new},
    {"unix:", true, tdm_shared_redis_new},
};

int tdm_shared_open(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err) {
	*out = NULL;
	for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
		if (strncmp(o->url, stores[i].scheme, strlen(stores[i].scheme)))
			continue;
		int status = stores[i].make(o, out, err);
		if (status)
			return status;
		(*out)->shared = stores[i].shared;
		if (!(*out)->local)
			status = tdm_shared_memory_new(o, &(*out)->local, err);
		if (status) {
			tdm_shared_close(*out);
			*out = NULL;
		}
		return status;
	}
	if (!strncmp(o->url, "rediss://", 9))
		return tdm_fail(err, TDM_ECONFIG,
		                "state.url: TLS to a store is not in this program's library (hiredis 0.14); expected redis:// "
		                "in a network of your own, or unix:PATH of a tunnel");
	return tdm_fail(err, TDM_ECONFIG,
	                "state.url: expected \"memory:\", \"sqlite:PATH\", \"redis://HOST\" or \"unix:PATH\"");
}

int tdm_shared_join(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err) {
	size_t n = strlen(o->url) + strlen(o->prefix) + 2;
	char *name = malloc(n);
	if (!name)
		return tdm_fail(err, TDM_ENOMEM, "state: no memory");
	snprintf(name, n, "%s %s", o->url, o->prefix);
	pthread_mutex_lock(&lock);
	struct tdm_shared *s = shared_ones;
	while (s && strcmp(s->name, name))
		s = s->next;
	int status = s ? TDM_OK : tdm_shared_open(o, &s, err);
	if (!status && !s->n_users++) {
		s->name = name;
		name = NULL;
		s->next = shared_ones;
		shared_ones = s;
	}
	pthread_mutex_unlock(&lock);
	free(name);
	*out = status ? NULL : s;
	return status;
}

static bool was_last(struct tdm_shared *s) {
	pthread_mutex_lock(&lock);
	bool last = --s->n_users == 0;
	struct tdm_shared **at = &shared_ones;
	while (last && *at != s)
		at = &(*at)->next;
	if (last)
		*at = s->next;
	pthread_mutex_unlock(&lock);
	return last;
}

void tdm_shared_close(struct tdm_shared *s) {
	if (!s || (s->name && !was_last(s)))
		return;
	free(s->name);
	if (s->local && s->local != s)
		s->local->ops->close(s->local);
	s->ops->close(s);
}

bool tdm_shared_by_replicas(const struct tdm_shared *s) {
	return s->shared;
}

int tdm_shared_claim(struct tdm_shared *s, struct tdm_claim *claims, size_t n, struct tdm_denial *denial,
                     struct tdm_error *err) {
	*denial = (struct tdm_denial){0};
	for (size_t i = 0; i < n; i++)
		claims[i].local = false;
	return n ? s->ops->claim(s, claims, n, denial, err) : TDM_OK;
}

int tdm_shared_claim_local(struct tdm_shared *s, struct tdm_claim *claims, size_t n, struct tdm_denial *denial) {
	*denial = (struct tdm_denial){0};
	int status = n ? s->local->ops->claim(s->local, claims, n, denial, NULL) : TDM_OK;
	for (size_t i = 0; i < n; i++)
		claims[i].local = true;
	return status;
}

// Claims of one call were taken in one place.
int tdm_shared_settle(struct tdm_shared *s, const struct tdm_claim *claims, size_t n, const int64_t *used,
                      struct tdm_error *err) {
	struct tdm_shared *where = n && claims[0].local ? s->local : s;
	return n ? where->ops->settle(where, claims, n, used, err) : TDM_OK;
}

int tdm_shared_left(struct tdm_shared *s, const struct tdm_claim *claim, int64_t *left, struct tdm_error *err) {
	return s->ops->left(s, claim, left, err);
}

int tdm_shared_get(struct tdm_shared *s, const char *key, struct tdm_bytes *out, bool *found, struct tdm_error *err) {
	*found = false;
	return s->ops->get(s, key, out, found, err);
}

int tdm_shared_set(struct tdm_shared *s, const char *key, const void *data, size_t n, int64_t life_us,
                   struct tdm_error *err) {
	return s->ops->set(s, key, data, n, life_us, err);
}

int tdm_shared_drop(struct tdm_shared *s, const char *key, struct tdm_error *err) {
	return s->ops->drop(s, key, err);
}

struct tdm_shared_stats tdm_shared_stats(struct tdm_shared *s) {
	struct tdm_shared_stats stats = {0};
	s->ops->stats(s, &stats);
	return stats;
}
