// What a store behind shared.h is made of; nothing outside shared*.c includes this.
#pragma once
#include "ledger/shared.h"

struct tdm_shared_ops {
	int (*claim)(struct tdm_shared *s, struct tdm_claim *claims, size_t n, struct tdm_denial *denial,
	             struct tdm_error *err);
	int (*settle)(struct tdm_shared *s, const struct tdm_claim *claims, size_t n, const int64_t *used,
	              struct tdm_error *err);
	int (*left)(struct tdm_shared *s, const struct tdm_claim *claim, int64_t *left, struct tdm_error *err);
	int (*get)(struct tdm_shared *s, const char *key, struct tdm_bytes *out, bool *found, struct tdm_error *err);
	int (*set)(struct tdm_shared *s, const char *key, const void *data, size_t n, int64_t life_us,
	           struct tdm_error *err);
	int (*drop)(struct tdm_shared *s, const char *key, struct tdm_error *err);
	void (*stats)(struct tdm_shared *s, struct tdm_shared_stats *out);
	void (*close)(struct tdm_shared *s); // frees s
};

struct tdm_shared { // first member of every implementation
	const struct tdm_shared_ops *ops;
	struct tdm_shared *local; // in memory; of a memory store: itself
	bool shared;
	char *name;              // url and prefix of one that trees share; NULL = nobody else's
	int n_users;             // of that; the lock of the list guards it
	struct tdm_shared *next; // in the list of those
};

int tdm_shared_sqlite_new(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err);
int tdm_shared_redis_new(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err);
int tdm_shared_memory_new(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err);
