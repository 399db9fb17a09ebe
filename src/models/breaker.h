// Breaker: stops calls to an upstream that keeps failing, and lets one through now and then to see whether it is back.
// Opens after 5 failures within 10 s; then one probe after 1 s, 2 s, 4 s ... at most 30 s, until one succeeds. What
// comes back is not run over: 2 calls at once may follow, and with each that goes well one more, until there are 32.
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { TDM_BREAKER_FAILURES = 5 };

struct tdm_breaker {
	pthread_mutex_t lock;                      // guards the rest
	int64_t failures_us[TDM_BREAKER_FAILURES]; // the last ones, a ring
	int at, n_opened;                          // n_opened: times in a row; 0 = closed
	int64_t probe_us;                          // when the next probe may go
	bool probing;                              // one is under way
	int busy, most;                            // calls under way; how many may be, 0 = any number
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
