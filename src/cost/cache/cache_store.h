// Store of a cache, in memory: answers by key, the one unused longest goes when there is no room, and no tenant takes
// more than its share, so that one that floods the cache pushes out only what is its own. Thread-safe.
#pragma once
#include "base/bytes.h"
#include "base/crypto.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_cache_store;

struct tdm_cache_limits {
	int64_t max_bytes, max_entries; // of all; an entry counts with its vector and what keeps it
	double tenant_share;            // of both, for one tenant
	int64_t ttl_us;
};

struct tdm_cache_vector { // what an answer's question means: width numbers, length 1; data NULL = not known
	const float *data;
	int width;
	const uint8_t *near; // only answers of equal ones are compared: TDM_SHA256_BYTES
};

struct tdm_cache_stats {
	int64_t n_entries, bytes, evicted; // evicted: by limits, not by age
};

struct tdm_cache_store *tdm_cache_store_new(const struct tdm_cache_limits *limits); // NULL: out of memory
void tdm_cache_store_free(struct tdm_cache_store *s);
// Appended to out. tenant NULL = "".
bool tdm_cache_store_get(struct tdm_cache_store *s, const char *tenant, const uint8_t *key, struct tdm_bytes *out);
// The answer of the tenant whose question is nearest, if its cosine is at least the threshold. *score: of the nearest,
// NAN when there is none.
bool tdm_cache_store_near(struct tdm_cache_store *s, const char *tenant, const struct tdm_cache_vector *v,
                          double threshold, double *score, struct tdm_bytes *out);
// Returns how many others made room; -1: it was not taken, being larger than a share or without memory.
int tdm_cache_store_put(struct tdm_cache_store *s, const char *tenant, const uint8_t *key,
                        const struct tdm_cache_vector *v, const void *data, size_t n);
void tdm_cache_store_stats(struct tdm_cache_store *s, struct tdm_cache_stats *out);
