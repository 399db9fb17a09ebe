// Breaker: counts failures in a ring. The one place that decides whether an upstream is asked at all.
#include "models/breaker.h"
#include <string.h>

#define WINDOW_US INT64_C(10000000)
#define FIRST_PROBE_US INT64_C(1000000)
#define FIRST_CALLS 2 // at once, after it was open
#define MANY_CALLS 32
#define LAST_PROBE_US INT64_C(30000000)

void tdm_breaker_init(struct tdm_breaker *b) {
	memset(b, 0, sizeof *b);
	pthread_mutex_init(&b->lock, NULL);
	for (int i = 0; i < TDM_BREAKER_FAILURES; i++)
		b->failures_us[i] = INT64_MIN / 2;
}

void tdm_breaker_release(struct tdm_breaker *b) {
	pthread_mutex_destroy(&b->lock);
}

enum tdm_breaker_pass tdm_breaker_admit(struct tdm_breaker *b, int64_t now_us) {
	enum tdm_breaker_pass pass = TDM_BREAKER_CLOSED;
	pthread_mutex_lock(&b->lock);
	if (b->n_opened > 0)
		pass = b->probing || now_us < b->probe_us ? TDM_BREAKER_OPEN : TDM_BREAKER_PROBE;
	else if (b->most && b->busy >= b->most)
		pass = TDM_BREAKER_OPEN;
	b->probing = b->probing || pass == TDM_BREAKER_PROBE;
	b->busy += pass != TDM_BREAKER_OPEN;
	pthread_mutex_unlock(&b->lock);
	return pass;
}

static void open_again(struct tdm_breaker *b, int64_t now_us) {
	int64_t wait_us = FIRST_PROBE_US << (b->n_opened < 5 ? b->n_opened : 5);
	b->n_opened++;
	b->probe_us = now_us + (wait_us < LAST_PROBE_US ? wait_us : LAST_PROBE_US);
}

static void count_failure(struct tdm_breaker *b, int64_t now_us) {
	b->failures_us[b->at] = now_us;
	b->at = (b->at + 1) % TDM_BREAKER_FAILURES; // now the oldest one
	if (now_us - b->failures_us[b->at] <= WINDOW_US)
		open_again(b, now_us);
}

// A call that began before the breaker opened tells nothing about the upstream now, unless it went well.
void tdm_breaker_end(struct tdm_breaker *b, int64_t now_us, enum tdm_breaker_pass pass, enum tdm_breaker_end end) {
	pthread_mutex_lock(&b->lock);
	if (pass == TDM_BREAKER_PROBE)
		b->probing = false;
	b->busy--;
	if (end == TDM_BREAKER_WELL) {
		if (b->n_opened)
			b->most = FIRST_CALLS;
		else if (b->most)
			b->most = b->most == MANY_CALLS ? 0 : b->most + 1;
		b->n_opened = 0;
		for (int i = 0; i < TDM_BREAKER_FAILURES; i++)
			b->failures_us[i] = INT64_MIN / 2;
	} else if (end == TDM_BREAKER_FAILED && b->n_opened == 0) {
		count_failure(b, now_us);
	} else if (end == TDM_BREAKER_FAILED && pass == TDM_BREAKER_PROBE) {
		open_again(b, now_us);
	}
	pthread_mutex_unlock(&b->lock);
}

int64_t tdm_breaker_wait_us(struct tdm_breaker *b, int64_t now_us) {
	pthread_mutex_lock(&b->lock);
	int64_t wait_us = b->n_opened && b->probe_us > now_us ? b->probe_us - now_us : 0;
	pthread_mutex_unlock(&b->lock);
	return wait_us;
}

bool tdm_breaker_is_open(struct tdm_breaker *b) {
	pthread_mutex_lock(&b->lock);
	bool is_open = b->n_opened > 0;
	pthread_mutex_unlock(&b->lock);
	return is_open;
}
