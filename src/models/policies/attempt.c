// Attempt: the shared budget of repetitions counts seconds in a ring of a minute, guarded by `lock`.
#include "models/policies/attempt.h"
#include "base/clock.h"
#include "base/loop.h"
#include "models/policies/breaker.h"
#include "models/collect.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETRIES_OF_A_RUN 2
#define CALLS_PER_RETRY 10
#define RETRIES_IN_ANY_CASE TDM_BREAKER_FAILURES // a minute; then the breaker knows
#define STEP_NS 2000000
#define HELD_LIMIT_BYTES ((size_t)4 << 20)

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

bool tdm_attempt_beside(struct tdm_run *run, const struct tdm_model *next) {
	if (next->leaves && (run->n_retries >= RETRIES_OF_A_RUN || !take()))
		return false;
	run->n_retries += next->leaves;
	return true;
}

static bool names(const char *word, int http, const char *code) {
	if (!strcmp(word, code))
		return true;
	return http && (word[1] == 'x' ? word[0] - '0' == http / 100 : strtol(word, NULL, 10) == http);
}

bool tdm_on_names(const struct tdm_strings *on, const struct tdm_error *error, int status) {
	for (size_t i = 0; i < on->n; i++)
		if (names(on->items[i], error->upstream_http, tdm_status_info(status)->code))
			return true;
	return false;
}

static bool names_something(const char *word) {
	if (strlen(word) == 3 && word[0] >= '3' && word[0] <= '5' &&
	    (!strcmp(word + 1, "xx") || strspn(word, "0123456789") == 3))
		return true;
	for (int k = 0; k < TDM_N_STATUS; k++)
		if (!strcmp(tdm_status_info(-1 - k)->code, word))
			return true;
	return false;
}

int tdm_on_read(const struct tdm_build *b, const struct tdm_value *option, struct tdm_strings *on) {
	size_t n = !option ? 0 : option->type == TDM_LIST ? option->n : 1;
	const struct tdm_value *items = n && option->type == TDM_LIST ? option->items : option;
	on->items = tdm_arena_array(b->arena, n + 1, sizeof *on->items);
	if (!on->items)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for on", b->where);
	for (on->n = 0; on->n < n; on->n++) {
		const struct tdm_value *v = &items[on->n];
		const char *word = v->type == TDM_STRING   ? v->text
		                   : v->type == TDM_NUMBER ? tdm_arena_printf(b->arena, "%.0f", v->number)
		                                           : NULL;
		if (!word || !names_something(word))
			return tdm_fail(b->error, TDM_ECONFIG,
			                "%s: on: \"%.40s\" is no HTTP status (429, 5xx) and no code (upstream_timeout)", b->where,
			                word ? word : tdm_type_name(v->type));
		on->items[on->n] = word;
	}
	return TDM_OK;
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
		tdm_loop_blocks();
		nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
		status = tdm_run_check(run);
	}
	return status;
}

// --- one call, its beginning kept back

struct watch {
	struct tdm_sink sink;
	bool shown;
	const struct tdm_hold *hold; // NULL: nothing is kept back, or no more
	struct tdm_collect kept;
	size_t n_bytes;
	int64_t until_us;
	int status; // of what was let go from outside of put()
	bool busy;
	struct tdm_run_hook hook;
};

static int let_go(struct watch *w) {
	w->hold = NULL;
	if (!w->kept.n)
		return TDM_OK;
	w->shown = w->busy = true;
	int status = tdm_collect_put(&w->kept, w->sink.next);
	w->busy = false;
	return status;
}

// By tdm_run_check, which sources ask while they wait: the second bound holds also in silence.
static void look(struct tdm_run_hook *hook) {
	struct watch *w = (struct watch *)((char *)hook - offsetof(struct watch, hook));
	if (w->hold && !w->busy && w->kept.n && tdm_now_us() >= w->until_us)
		w->status = let_go(w);
}

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct watch *w = (struct watch *)sink;
	if (w->status)
		return w->status;
	if (!w->hold) {
		w->shown = true;
		return sink->next->put(sink->next, event);
	}
	w->until_us = w->kept.n ? w->until_us : tdm_now_us() + w->hold->ms * 1000;
	w->n_bytes += event->len;
	int status = w->kept.sink.put(&w->kept.sink, event);
	bool full = (int64_t)w->n_bytes >= w->hold->bytes || tdm_now_us() >= w->until_us;
	return status || !full ? status : let_go(w);
}

int tdm_attempt(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                const struct tdm_hold *hold, struct tdm_sink *sink, struct tdm_result *result, bool *shown) {
	struct watch w = {.sink = {put, sink}, .hold = hold && hold->bytes ? hold : NULL, .hook = {look, run->hook}};
	tdm_collect_init(&w.kept, HELD_LIMIT_BYTES, NULL, run->arena);
	run->hook = w.hold ? &w.hook : run->hook;
	int status = tdm_generate(m, run, request, &w.sink, result);
	run->hook = w.hook.next;
	if (!status && w.hold)
		w.status = let_go(&w);
	tdm_collect_release(&w.kept);
	*shown = w.shown;
	return status ? status : w.status < 0 ? w.status : TDM_OK;
}
