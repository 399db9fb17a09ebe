// Shared: small facts that requests share, and replicas when a store is named: what is left of a limit or a budget, who
// holds a place, values that are kept for a while. Behind it: memory, a SQLite file (survives a restart), or a Valkey
// or Redis server (shared by replicas).
//
// The rules it protects: a claim is checked and taken in one step, so that however many ask at once, no more is given
// than there is; all claims of one call are taken or none; a store that does not answer is told within the time-out,
// asked again a second later, and never waited for by every request.
// A new store: a file with one struct tdm_shared_ops (shared_parts.h), one line in shared.c.
#pragma once
#include "base/bytes.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

struct tdm_shared;

struct tdm_shared_options {
	const char *url;         // "memory:", "sqlite:PATH", "redis://[USER@]HOST[:PORT][/NUMBER]", "unix:PATH"
	const char *folder;      // where relative paths start; NULL = the working directory
	const char *password;    // of a Valkey or Redis server; NULL = none
	const char *prefix;      // of every key there
	int64_t timeout_ms;      // longest wait for such a server
	int64_t max_bytes;       // of values kept in memory or in a file; the one unused longest makes room
	int64_t (*now_us)(void); // tests; NULL = tdm_now_us. For rates, waits and lifetimes in memory
};
// Standard values. Error of open: TDM_ECONFIG, TDM_EIO. A server that is not there now may come later: no error.
void tdm_shared_options_init(struct tdm_shared_options *o);
int tdm_shared_open(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err);
// The same, but one that this process has opened with the same url and prefix is used again.
int tdm_shared_join(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err);
void tdm_shared_close(struct tdm_shared *s);             // NULL is fine; a shared one goes with its last user
bool tdm_shared_by_replicas(const struct tdm_shared *s); // with other replicas

// --- what is left

enum tdm_meter {
	TDM_METER_RATE,   // `limit` units grow back in period_us; a claim above the limit needs all of them
	TDM_METER_WINDOW, // `limit` units in each numbered window; unused ones are lost
	TDM_METER_SLOTS,  // `limit` places, given back with settle, or lost by their holder after period_us
};

struct tdm_claim {
	const char *key;
	enum tdm_meter meter;
	int64_t limit, amount; // SLOTS: amount is 1
	int64_t period_us;     // WINDOW: until the window ends, 0 = never
	int64_t left;          // set by the claim: units, after it
	int64_t window;        // WINDOW: its number. After a claim: the one it counts in; a later one is never left again
	char holder[40];       // SLOTS: set by the claim
	bool local;            // set by the claim: taken in this process (tdm_shared_claim_local)
};

struct tdm_denial {
	size_t claim;    // the first that could not be met
	int64_t wait_us; // until it may be; 0 = not known
	int64_t left;    // units
};
// Takes every claim: TDM_OK. Takes none: TDM_ERATE with *denial, or TDM_ESTATE when the store does not answer.
int tdm_shared_claim(struct tdm_shared *s, struct tdm_claim *claims, size_t n, struct tdm_denial *denial,
                     struct tdm_error *err);
// The same in this process alone, whatever the store: what is done while it does not answer.
int tdm_shared_claim_local(struct tdm_shared *s, struct tdm_claim *claims, size_t n, struct tdm_denial *denial);
// What was really used of claims that were taken: a difference goes back or is taken too, also beyond the limit (then
// RATE makes the next ones wait). SLOTS are given back. In a window that has ended nothing changes.
int tdm_shared_settle(struct tdm_shared *s, const struct tdm_claim *claims, size_t n, const int64_t *used,
                      struct tdm_error *err);
// Units left of a meter, for headers and pages; a claim's amount and holder are not looked at.
int tdm_shared_left(struct tdm_shared *s, const struct tdm_claim *claim, int64_t *left, struct tdm_error *err);

// --- values

// *found says whether there is one; it is appended to out.
int tdm_shared_get(struct tdm_shared *s, const char *key, struct tdm_bytes *out, bool *found, struct tdm_error *err);
// life_us: 0 = until it is dropped or makes room.
int tdm_shared_set(struct tdm_shared *s, const char *key, const void *data, size_t n, int64_t life_us,
                   struct tdm_error *err);
int tdm_shared_drop(struct tdm_shared *s, const char *key, struct tdm_error *err); // one that is not there is fine

struct tdm_shared_stats {
	int64_t n_values, bytes, evicted; // of values kept by this process
	int64_t failures;                 // calls of the store that failed
	bool down;                        // it is left alone now
};
struct tdm_shared_stats tdm_shared_stats(struct tdm_shared *s);
