// Breaker: stops calls to an upstream that keeps failing, and lets one through now and then to see whether it is back.
// Opens after 5 failures within 10 s; then one probe after 1 s, 2 s, 4 s ... at most 30 s, until one succeeds. What
// comes back is not run over: 2 calls at once may follow, and with each that goes well one more, until there are 32.
//
// Breakers of one upstream may share what they know by way of a store (breaker_shared.c): failures count together, an
// open one is open for all, and one of all sends the probe. A store that does not answer leaves each to itself.
#pragma once
#include "base/arena.h"
#include "ledger/shared.h"
#include <pthread.h>

enum { TDM_BREAKER_FAILURES = 5, TDM_BREAKER_WINDOW_US = 10000000, TDM_BREAKER_LAST_PROBE_US = 30000000 };

struct tdm_breaker_failure {
	int64_t at_us;
	uint32_t id; // tells it from others of the same time
};

struct tdm_breaker_state {
	struct tdm_breaker_failure failures[TDM_BREAKER_FAILURES]; // the last ones, oldest first
	int n_opened;                                              // times in a row; 0 = closed
	int64_t probe_us;                                          // when the next probe may go
	int64_t changed_us;                                        // when it was opened, opened again, or closed
};

struct tdm_breaker {
	pthread_mutex_t lock; // guards the rest
	struct tdm_breaker_state state;
	bool probing;             // one is under way
	int busy, most;           // calls under way; how many may be, 0 = any number
	struct tdm_shared *store; // NULL = nobody shares it
	const char *key, *probe_key;
	int64_t (*wall_us)(void);
	int64_t looked_us;      // at the store
	struct tdm_claim probe; // of the one under way
	bool claimed;
};

void tdm_breaker_init(struct tdm_breaker *b);
void tdm_breaker_release(struct tdm_breaker *b);
// Whether a call may go now (microseconds of tdm_now_us). If so, its end must be told, with what was answered here.
enum tdm_breaker_pass { TDM_BREAKER_OPEN, TDM_BREAKER_CLOSED, TDM_BREAKER_PROBE };
enum tdm_breaker_pass tdm_breaker_admit(struct tdm_breaker *b, int64_t now_us);
enum tdm_breaker_end { TDM_BREAKER_WELL, TDM_BREAKER_FAILED, TDM_BREAKER_NEITHER };
void tdm_breaker_end(struct tdm_breaker *b, int64_t now_us, enum tdm_breaker_pass pass, enum tdm_breaker_end end);
bool tdm_breaker_is_open(struct tdm_breaker *b);
int64_t tdm_breaker_wait_us(struct tdm_breaker *b, int64_t now_us); // until the next probe; 0 = closed, or due

// --- shared

// Before the first call. key names the upstream in the store, which outlives the breaker, as does the arena. wall_us:
// tests; NULL = tdm_wall_us, by which replicas understand each other's times.
int tdm_breaker_share(struct tdm_breaker *b, struct tdm_arena *arena, struct tdm_shared *store, const char *key,
                      int64_t (*wall_us)(void));
// Of breaker.c alone. Takes over what the store knows, if that was not looked at within the last 100 ms, or at once.
void tdm_breaker_look(struct tdm_breaker *b, int64_t now_us, bool at_once);
void tdm_breaker_tell(struct tdm_breaker *b, int64_t now_us, const struct tdm_breaker_state *state);
bool tdm_breaker_claim_probe(struct tdm_breaker *b); // false: another replica sends it
void tdm_breaker_give_probe(struct tdm_breaker *b);
void tdm_breaker_close_now(struct tdm_breaker *b); // under the lock
