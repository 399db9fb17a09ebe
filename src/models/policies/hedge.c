// Hedge: the caller's thread asks the first model, another one waits and asks the second. All that both touch is
// guarded by `lock`: who has won, who has ended, and the scans of the bytes that leave, which are made for one thread.
#include "models/policies/hedge.h"
#include "base/clock.h"
#include "base/loop.h"
#include "models/policies/attempt.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

#define STEP_NS 5000000 // how often a caller who gives up is noticed

struct race;
struct entrant {
	struct tdm_sink sink;
	struct race *race;
	int i;
};

struct race {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int winner; // -1 = none yet
	bool first_ended;
	atomic_bool given_up[2];
	struct entrant entrants[2];
	struct tdm_hedge *hedge;
	const struct tdm_request *request;
	struct tdm_sink *sink; // of the winner
	// of the second:
	struct tdm_run run;
	struct tdm_arena arena;
	struct tdm_result result;
	int status;
	const atomic_bool *outer; // the caller's own flag
	pthread_mutex_t egress_lock;
	struct tdm_egress egress, *scans;
};

static bool claim(struct race *r, int i) {
	pthread_mutex_lock(&r->lock);
	if (r->winner < 0) {
		r->winner = i;
		atomic_store(&r->given_up[1 - i], true);
		pthread_cond_signal(&r->changed);
	}
	bool is = r->winner == i;
	pthread_mutex_unlock(&r->lock);
	return is;
}

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct entrant *e = (struct entrant *)sink;
	if (!claim(e->race, e->i))
		return TDM_EGONE;
	e->race->hedge->shown = true;
	return e->race->sink->put(e->race->sink, event);
}

static int scan(struct tdm_egress *self, const char *bytes, size_t n, struct tdm_error *err) {
	struct race *r = (struct race *)((char *)self - offsetof(struct race, egress));
	int status = TDM_OK;
	pthread_mutex_lock(&r->egress_lock);
	for (struct tdm_egress *e = r->scans; e && !status; e = e->next)
		status = e->scan(e, bytes, n, err);
	pthread_mutex_unlock(&r->egress_lock);
	return status;
}

// --- the second

// Under the lock; a step at most, and what the caller says is passed on.
static void wait_a_step(struct race *r) {
	struct timespec until;
	tdm_loop_blocks();
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += STEP_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&r->changed, &r->lock, &until);
	if (r->outer && atomic_load(r->outer)) {
		atomic_store(&r->given_up[0], true);
		atomic_store(&r->given_up[1], true);
	}
}

static bool is_silent_until(struct race *r, int64_t until_us) {
	pthread_mutex_lock(&r->lock);
	while (r->winner < 0 && !r->first_ended && tdm_now_us() < until_us)
		wait_a_step(r);
	bool silent = r->winner < 0 && !r->first_ended;
	pthread_mutex_unlock(&r->lock);
	return silent;
}

static void *wait_and_ask(void *arg) {
	struct race *r = arg;
	struct tdm_hedge *h = r->hedge;
	if (is_silent_until(r, tdm_now_us() + h->after_ms * 1000) && tdm_attempt_beside(&r->run, h->second)) {
		h->asked = true;
		r->status = tdm_generate(h->second, &r->run, r->request, &r->entrants[1].sink, &r->result);
		if (r->status == TDM_OK)
			claim(r, 1);
	}
	pthread_mutex_lock(&r->lock);
	while (!r->first_ended)
		wait_a_step(r);
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static int begin(struct race *r, struct tdm_run *run, pthread_t *thread) {
	tdm_arena_init(&r->arena, run->arena->limit_bytes);
	r->run = *run;
	r->run.arena = &r->arena;
	r->run.given_up = &r->given_up[1];
	r->run.hook = NULL;
	r->run.spans = NULL; // what it would hold is in the arena that goes at the end
	r->run.record = tdm_arena_alloc(&r->arena, sizeof *r->run.record);
	if (!r->run.record)
		return TDM_ENOMEM;
	tdm_record_init(r->run.record, &r->arena);
	return pthread_create(thread, NULL, wait_and_ask, r) == 0 ? TDM_OK : TDM_ENOMEM;
}

// What the second did goes into the caller's record, with its own copies of texts.
static void absorb(struct tdm_run *run, const struct race *r) {
	const struct tdm_record *part = r->run.record;
	for (const struct tdm_call *c = part->calls; c; c = c->next) {
		struct tdm_call *copy = tdm_record_call(run->record, c);
		if (copy)
			copy->upstream_model = tdm_arena_string(run->record->arena, c->upstream_model);
	}
	for (const struct tdm_warning *w = part->warnings; w; w = w->next)
		tdm_record_warn(run->record, w->code, w->param, w->message);
	for (const struct tdm_count *c = part->left.to; c; c = c->next)
		tdm_record_count(run->record, &run->record->left.to, c->name, c->n);
	run->record->left.requests += part->left.requests;
	run->record->left.bytes += part->left.bytes;
	run->n_retries = r->run.n_retries > run->n_retries ? r->run.n_retries : run->n_retries;
}

static int judge(struct race *r, struct tdm_run *run, int status, struct tdm_result *result) {
	struct tdm_hedge *h = r->hedge;
	absorb(run, r);
	h->second_answered = r->winner == 1;
	if (!h->second_answered)
		return status;
	tdm_error_clear(&run->error); // of the first, which was given up
	if (r->status != TDM_OK)
		run->error = r->run.error;
	*result = r->result;
	for (size_t i = 0; result->stop && i < r->request->n_stop; i++) // not the copy in the arena that goes now
		if (!strcmp(r->request->stop[i], result->stop))
			result->stop = r->request->stop[i];
	return r->status;
}

int tdm_hedge(struct tdm_hedge *h, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
              struct tdm_result *result) {
	struct race r = {.winner = -1, .hedge = h, .request = request, .sink = sink, .outer = run->given_up};
	struct tdm_egress *scans = run->egress;
	pthread_t thread;
	for (int i = 0; i < 2; i++)
		r.entrants[i] = (struct entrant){{put, sink}, &r, i};
	pthread_mutex_init(&r.lock, NULL);
	pthread_mutex_init(&r.egress_lock, NULL);
	pthread_cond_init(&r.changed, NULL);
	r.scans = scans;
	r.egress.scan = scan;
	run->egress = scans ? &r.egress : NULL;
	struct tdm_run_hook *hook = run->hook;
	run->hook = NULL; // of who keeps back what either of them puts: not from two threads
	bool is_alone = begin(&r, run, &thread) != TDM_OK; // no memory for a second: the first will do
	run->given_up = &r.given_up[0];
	int status = tdm_generate(h->first, run, request, &r.entrants[0].sink, result);
	if (status == TDM_OK)
		claim(&r, 0);
	pthread_mutex_lock(&r.lock);
	r.first_ended = true;
	pthread_cond_signal(&r.changed);
	pthread_mutex_unlock(&r.lock);
	if (!is_alone)
		pthread_join(thread, NULL);
	run->given_up = r.outer;
	run->hook = hook;
	run->egress = scans;
	if (!is_alone)
		status = judge(&r, run, status, result);
	tdm_arena_release(&r.arena);
	pthread_cond_destroy(&r.changed);
	pthread_mutex_destroy(&r.egress_lock);
	pthread_mutex_destroy(&r.lock);
	return status;
}
