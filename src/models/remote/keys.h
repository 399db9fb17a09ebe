// Keys: the keys of one upstream and what became of each. Three classes of failure: a dead key (401, 402, 403) is left
// alone for ten minutes and an alarm goes to the log; a limited one (429) rests as long as the upstream asks; anything
// else is not the key's fault. With one key alone, a wait that the upstream asks for slows it: one call a second may
// still try, the others are told to wait without being sent.
#pragma once
#include "models/remote/http.h"
#include <pthread.h>

enum { TDM_KEYS_MAX = 16 };

struct tdm_keys {
	const char *model;    // for the log
	pthread_mutex_t lock; // guards what follows but n and headers
	struct tdm_key {
		struct tdm_http_headers *headers;
		int64_t rest_us, tried_us; // until when it rests; when it was last tried while it rested
		bool dead;
	} items[TDM_KEYS_MAX];
	size_t n, next; // n >= 1; next: where the turn goes on
};

// The key whose turn it is, or -1 when all of them rest: then *wait_us is the shortest rest. Monotonic microseconds.
int tdm_keys_take(struct tdm_keys *k, int64_t now_us, int64_t *wait_us);
// How the call with key i ended: a status, and the wait that the upstream asked for (0 = none).
void tdm_keys_end(struct tdm_keys *k, int i, int64_t now_us, int status, int64_t retry_after_ms);
