// Key file: virtual keys at rest, JSON. Of a key itself it holds the SHA-256 alone; a key is 48 characters of the
// system's generator, so nobody finds it from that.
//
//   {"keys": [{"id": "key_...", "name": "demo", "hash": "...", "tenant": "acme", "models": ["small"], ...}]}
//
// Written as a whole beside the old one and renamed, mode 0600; writers wait for each other. A new field: a row in
// TDM_KEY_BOUNDS, and the command knows it too.
#pragma once
#include "base/option.h"

struct tdm_key {
	const char *id, *name, *hash, *tenant;   // hash: hexadecimal
	int64_t created_s, expires_s, revoked_s; // since 1970; 0 = never
	bool admin;
	struct tdm_strings models;                                   // empty = all
	int64_t requests_per_minute, tokens_per_minute, concurrency; // 0 = no bound
	double money, max_cost;                                      // 0 = no bound
	int64_t tokens, answer_tokens, privacy, trust;
	int window; // enum tdm_budget_window
};

extern const struct tdm_option tdm_key_fields[];
extern const size_t tdm_n_key_fields;

// Rows of options for the bounds of a key; AT(field) gives the offset.
#define TDM_KEY_BOUNDS(AT)                                                                                               \
	{                                                                                                                    \
	    "tenant",   TDM_OPT_STRING,                                                                                      \
	    AT(tenant), "default",                                                                                           \
	    0,          0,                                                                                                   \
	    NULL,       "whose key: receipts, caches and masks are its own"},                                                \
	    {"models", TDM_OPT_LIST, AT(models), NULL, 0, 0, NULL, "models that it may ask; none named: all"},               \
	    {"admin", TDM_OPT_BOOL, AT(admin), "no", 0, 0, NULL, "may see what belongs to all tenants"},                     \
	    {"requests_per_minute", TDM_OPT_INT, AT(requests_per_minute), "0", 0, 1000000000, NULL, "0 = no bound"},         \
	    {"tokens_per_minute", TDM_OPT_INT, AT(tokens_per_minute), "0", 0, 1000000000000, NULL, "0 = no bound"},          \
	    {"concurrency", TDM_OPT_INT, AT(concurrency), "0", 0, 1000000, NULL, "requests at the same time; 0 = no bound"}, \
	    {"money",   TDM_OPT_NUMBER,                                                                                      \
	     AT(money), "0",                                                                                                 \
	     0,         9e6,                                                                                                 \
	     NULL,      "budget of a window, in the currency of the prices; 0 = no bound"},                                  \
	    {"tokens", TDM_OPT_INT, AT(tokens), "0", 0, 1000000000000000, NULL, "budget of a window; 0 = no bound"},         \
	    {"window", TDM_OPT_CHOICE, AT(window), "month", 0, 0, "hour|day|week|month|total", "of the budgets, in UTC"},    \
	    {"answer_tokens",                                                                                                \
	     TDM_OPT_INT,                                                                                                    \
	     AT(answer_tokens),                                                                                              \
	     "4096",                                                                                                         \
	     1,                                                                                                              \
	     10000000,                                                                                                       \
	     NULL,                                                                                                           \
	     "reserved for an answer whose request states no longest"},                                                      \
	    {"max_cost", TDM_OPT_NUMBER, AT(max_cost), "0", 0, 9e6, NULL, "of one request; 0 = no bound"},                   \
	    {"privacy", TDM_OPT_INT, AT(privacy), "0", 0, 4, NULL, "least level of its requests"}, {                         \
		"trust", TDM_OPT_INT, AT(trust), "0", 0, 3, NULL, "least level of its requests"                                  \
	}

// All keys of the file, in the arena; a file that is not there has none. Error: TDM_ECONFIG, also for one that others
// may read.
int tdm_key_file_read(struct tdm_arena *arena, const char *path, struct tdm_key **out, size_t *n,
                      struct tdm_error *err);
struct tdm_key_change {
	int (*make)(struct tdm_key_change *self, struct tdm_key *keys, size_t *n,
	            struct tdm_error *err); // room for one more
};
// Reads, changes and writes, alone among those who do. Sets the process's umask meanwhile.
int tdm_key_file_change(struct tdm_arena *arena, const char *path, struct tdm_key_change *change,
                        struct tdm_error *err);
