// Attempt: the shared budget of repetitions counts seconds in a ring of a minute, guarded by `lock`.
#include "models/attempt.h"
#include "base/clock.h"
#include "models/breaker.h"
#include <pthread.h>
#include <time.h>

#define RETRIES_OF_A_RUN 2
#define CALLS_PER_RETRY 10
#define RETRIES_IN_ANY_CASE TDM_BREAKER_FAILURES // a minute; then the breaker knows
#define STEP_NS 2000000

enum { WINDOW_S = 60 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct second {
	int64_t at; // monotonic second that the counts are of
	int calls, retries;
} seconds[WINDOW_S];

static struct second *this_second(int64_t now_s) {
	struct second *s = &seconds[now_s % WINDOW_S];
	if (s->at != now_s)
		*s = (struct second){.at = now_s};
	return s;
}

void tdm_attempt_count(void) {
	pthread_mutex_lock(&lock);
	this_second(tdm_now_us() / 1000000)->calls++;
	pthread_mutex_unlock(&lock);
}

static bool take(void) {
	int64_t now_s = tdm_now_us() / 1000000;
	int calls = 0, retries = 0;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < WINDOW_S; i++) {
		bool counts = seconds[i].at > now_s - WINDOW_S;
		calls += counts ? seconds[i].calls : 0;
		retries += counts ? seconds[i].retries : 0;
	}
	bool may = retries < RETRIES_IN_ANY_CASE || (retries + 1) * CALLS_PER_RETRY <= calls;
	if (may)
		this_second(now_s)->retries++;
	pthread_mutex_unlock(&lock);
	return may;
}

bool tdm_attempt_again(struct tdm_run *run, const struct tdm_model *next) {
	bool costs = next->leaves && run->error.status != TDM_EEXHAUSTED; // nobody was asked then
	if (costs && (run->is_repeated || run->n_retries >= RETRIES_OF_A_RUN || !take()))
		return false;
	run->n_retries += costs;
	tdm_error_clear(&run->error);
	return true;
}

bool tdm_is_transient(int status) {
	switch (status) {
	case TDM_ERATE:
	case TDM_EUPSTREAM:
	case TDM_ETRUNCATED:
	case TDM_EBADBODY:
	case TDM_EUPTIME:
	case TDM_EEXHAUSTED:
		return true;
	default:
		return false;
	}
}

int tdm_run_wait(struct tdm_run *run, int64_t us) {
	int64_t until_us = tdm_now_us() + us;
	int status = tdm_run_check(run);
	if (!status && run->deadline_us && until_us >= run->deadline_us)
		return tdm_fail(&run->error, TDM_EDEADLINE, "the deadline of the request passes before the next attempt");
	while (status == TDM_OK && tdm_now_us() < until_us) {
		nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
		status = tdm_run_check(run);
	}
	return status;
}

struct watch {
	struct tdm_sink sink;
	bool shown;
};

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct watch *w = (struct watch *)sink;
	w->shown = true;
	return sink->next->put(sink->next, event);
}

int tdm_attempt(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                struct tdm_result *result, bool *shown) {
	struct watch w = {.sink = {put, sink}};
	int status = tdm_generate(m, run, request, &w.sink, result);
	*shown = w.shown;
	return status;
}
