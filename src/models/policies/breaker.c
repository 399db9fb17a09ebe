// Breaker: the one place that decides whether an upstream is asked at all.
#include "models/policies/breaker.h"
#include "base/random.h"
#include <string.h>

#define FIRST_PROBE_US INT64_C(1000000)
#define FIRST_CALLS 2 // at once, after it was open
#define MANY_CALLS 32

static void forget_failures(struct tdm_breaker *b) {
	for (int i = 0; i < TDM_BREAKER_FAILURES; i++)
		b->state.failures[i] = (struct tdm_breaker_failure){.at_us = INT64_MIN / 2};
}

void tdm_breaker_init(struct tdm_breaker *b) {
	memset(b, 0, sizeof *b);
	pthread_mutex_init(&b->lock, NULL);
	b->state.changed_us = INT64_MIN / 2;
	b->looked_us = INT64_MIN / 2;
	forget_failures(b);
}

void tdm_breaker_release(struct tdm_breaker *b) {
	pthread_mutex_destroy(&b->lock);
}

static enum tdm_breaker_pass admit(struct tdm_breaker *b, int64_t now_us) {
	enum tdm_breaker_pass pass = TDM_BREAKER_CLOSED;
	pthread_mutex_lock(&b->lock);
	if (b->state.n_opened > 0)
		pass = b->probing || now_us < b->state.probe_us ? TDM_BREAKER_OPEN : TDM_BREAKER_PROBE;
	else if (b->most && b->busy >= b->most)
		pass = TDM_BREAKER_OPEN;
	b->probing = b->probing || pass == TDM_BREAKER_PROBE;
	b->busy += pass != TDM_BREAKER_OPEN;
	pthread_mutex_unlock(&b->lock);
	return pass;
}

enum tdm_breaker_pass tdm_breaker_admit(struct tdm_breaker *b, int64_t now_us) {
	tdm_breaker_look(b, now_us, false);
	enum tdm_breaker_pass pass = admit(b, now_us);
	if (pass != TDM_BREAKER_PROBE || tdm_breaker_claim_probe(b))
		return pass;
	pthread_mutex_lock(&b->lock);
	b->probing = false;
	b->busy--;
	pthread_mutex_unlock(&b->lock);
	return TDM_BREAKER_OPEN;
}

static void open_again(struct tdm_breaker *b, int64_t now_us) {
	int64_t wait_us = FIRST_PROBE_US << (b->state.n_opened < 5 ? b->state.n_opened : 5);
	b->state.n_opened++;
	b->state.changed_us = now_us;
	b->state.probe_us = now_us + (wait_us < TDM_BREAKER_LAST_PROBE_US ? wait_us : TDM_BREAKER_LAST_PROBE_US);
}

static void count_failure(struct tdm_breaker *b, int64_t now_us) {
	struct tdm_breaker_failure *f = b->state.failures, *last = &f[TDM_BREAKER_FAILURES - 1];
	memmove(f, f + 1, (TDM_BREAKER_FAILURES - 1) * sizeof *f);
	*last = (struct tdm_breaker_failure){.at_us = now_us};
	tdm_system_random(&last->id, sizeof last->id);
	if (now_us - f->at_us <= TDM_BREAKER_WINDOW_US)
		open_again(b, now_us);
}

void tdm_breaker_close_now(struct tdm_breaker *b) {
	if (b->state.n_opened)
		b->most = FIRST_CALLS;
	else if (b->most)
		b->most = b->most == MANY_CALLS ? 0 : b->most + 1;
	b->state.n_opened = 0;
	forget_failures(b);
}

// A call that began before the breaker opened tells nothing about the upstream now, unless it went well. Whether others
// are to be told; under the lock.
static bool take_in(struct tdm_breaker *b, int64_t now_us, enum tdm_breaker_pass pass, enum tdm_breaker_end end) {
	if (end == TDM_BREAKER_WELL) {
		bool is_news = b->state.n_opened || b->state.failures[TDM_BREAKER_FAILURES - 1].at_us > INT64_MIN / 2;
		b->state.changed_us = is_news ? now_us : b->state.changed_us;
		tdm_breaker_close_now(b);
		return is_news;
	}
	if (end == TDM_BREAKER_FAILED && b->state.n_opened == 0)
		count_failure(b, now_us);
	else if (end == TDM_BREAKER_FAILED && pass == TDM_BREAKER_PROBE)
		open_again(b, now_us);
	else
		return false;
	return true;
}

void tdm_breaker_end(struct tdm_breaker *b, int64_t now_us, enum tdm_breaker_pass pass, enum tdm_breaker_end end) {
	if (end == TDM_BREAKER_FAILED)
		tdm_breaker_look(b, now_us, true);
	pthread_mutex_lock(&b->lock);
	bool is_news = take_in(b, now_us, pass, end);
	struct tdm_breaker_state state = b->state;
	b->busy--;
	pthread_mutex_unlock(&b->lock);
	if (is_news)
		tdm_breaker_tell(b, now_us, &state);
	if (pass != TDM_BREAKER_PROBE)
		return;
	tdm_breaker_give_probe(b);
	pthread_mutex_lock(&b->lock);
	b->probing = false;
	pthread_mutex_unlock(&b->lock);
}

int64_t tdm_breaker_wait_us(struct tdm_breaker *b, int64_t now_us) {
	pthread_mutex_lock(&b->lock);
	int64_t wait_us = b->state.n_opened && b->state.probe_us > now_us ? b->state.probe_us - now_us : 0;
	pthread_mutex_unlock(&b->lock);
	return wait_us;
}

bool tdm_breaker_is_open(struct tdm_breaker *b) {
	pthread_mutex_lock(&b->lock);
	bool is_open = b->state.n_opened > 0;
	pthread_mutex_unlock(&b->lock);
	return is_open;
}
