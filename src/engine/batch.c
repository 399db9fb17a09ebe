// One batch per engine, without a thread of its own: who finds the engine idle runs a pass with everything that is
// queued, again until its own request is done, and then hands over.
//
// The rule it protects: a request alone pays a few uncontended locks and nothing else; requests together share each
// pass; nobody waits for ever. Every pass takes steps of running answers first, then short prompts; long prompts get
// the rest of a pass, and every second one at least. A short prompt that arrives while a pass reads a long one does not
// wait for its end: the pass is given up between two layers, once, and done again later; nothing of it has been
// counted. Beside running answers a long prompt gets few rows of a pass: a pass of BESIDE_ROWS reads almost as many
// tokens a second as a full one, and the answers run on several times as fast. Callers of the last pass are waited for
// a moment, else who comes back first would run a pass for one.
#include "engine/batch.h"
#include "base/clock.h"
#include "base/loop.h"
#include "engine/cores.h"

enum { SHORT_TOKENS = 8, SHORT_ROWS = 48, PROMPT_TOKENS = 48, BESIDE_ROWS = 16 }; // of the TDM_MAX_ROWS of a pass
enum { MOST_GATHER_US = 3000 };

struct pass {
	struct tdm_row rows[TDM_MAX_ROWS];
	int n;
	struct tdm_request *requests[TDM_MAX_ROWS];
	int n_requests;
	bool may_yield;
	struct tdm_engine *engine;
};

static bool is_cancelled(const struct tdm_request *r) {
	return r->cancelled && atomic_load_explicit(r->cancelled, memory_order_relaxed);
}

// A token of a tree reads the first path through it and writes all of them.
static void place_in_tree(struct tdm_row *row, const struct tdm_tree *t, int n_held, int at) {
	row->position = n_held + t->depths[at];
	row->pages = t->pages[__builtin_ctzll(t->on[at])];
	row->others = t->pages;
	row->also = t->on[at] & (t->on[at] - 1);
}

static void settle_urgent(struct tdm_engine *e, struct tdm_request *r) {
	if (r->is_urgent)
		atomic_fetch_sub(&e->n_urgent, 1);
	r->is_urgent = false;
}

static void take_rows(struct pass *pass, struct tdm_request *r, int limit) {
	int left = r->n - r->n_done, room = limit - pass->n, n = left < room ? left : room;
	const struct tdm_seq *s = r->seq;
	if (n <= 0)
		return;
	r->n_kept = r->n_rows;
	for (int i = 0; i < n; i++) {
		int at = r->n_done + i;
		struct tdm_row *row = &pass->rows[pass->n++];
		*row = (struct tdm_row){.token = r->tokens[at],
		                        .position = s->n_held + at,
		                        .pages = &s->pages,
		                        .adapter = s->adapter,
		                        .n_layers = s->n_layers};
		if (r->tree)
			place_in_tree(row, r->tree, s->n_held, at);
		if (row->position < s->n_added)
			row->added = s->added + (size_t)row->position * (size_t)s->engine->info.width;
		if (r->states) {
			row->hidden = r->states + (size_t)at * (size_t)s->engine->info.width;
		} else if (r->wanted ? r->wanted[at] != 0 : at == r->n - 1) {
			row->logits = s->logits + (size_t)r->n_rows * tdm_row_floats(s->engine->info.n_vocab);
			row->hidden = s->hidden + (size_t)r->n_rows++ * tdm_row_floats(s->engine->info.width);
		}
	}
	r->n_now = n;
	settle_urgent(pass->engine, r);
	pass->requests[pass->n_requests++] = r;
}

static int left_of(const struct tdm_request *r) {
	return r->n - r->n_done;
}

// The long request that is first: the oldest and the shortest in turn.
static struct tdm_request *first_long(struct tdm_engine *e) {
	struct tdm_request *best = NULL;
	for (struct tdm_request *r = e->first; r; r = r->next)
		if (!r->n_now && (!best || (e->n_passes % 2 && left_of(r) < left_of(best))))
			best = r;
	return best;
}

// With the lock: chooses the rows of the next pass.
static void choose(struct tdm_engine *e, struct pass *pass) {
	bool has_prompts = false;
	int limit = TDM_MAX_ROWS;
	pass->n = pass->n_requests = 0;
	e->n_passes++;
	for (struct tdm_request *r = e->first; r; r = r->next)
		r->n_now = 0;
	for (struct tdm_request *r = e->first; r; r = r->next)
		if (left_of(r) <= SHORT_TOKENS && pass->n + left_of(r) <= SHORT_ROWS)
			take_rows(pass, r, SHORT_ROWS);
	if (pass->n)
		limit = pass->n + BESIDE_ROWS < TDM_MAX_ROWS ? pass->n + BESIDE_ROWS : TDM_MAX_ROWS;
	for (struct tdm_request *r = e->first; r; r = r->next)
		if (!r->n_now && left_of(r) <= PROMPT_TOKENS) {
			take_rows(pass, r, TDM_MAX_ROWS);
			has_prompts = true;
		}
	struct tdm_request *next = first_long(e);
	pass->may_yield = false;
	if (has_prompts && next && !e->is_owed) {
		e->is_owed = true;
		return;
	}
	e->is_owed = false;
	for (; next && pass->n < limit; next = first_long(e)) {
		take_rows(pass, next, limit);
		pass->may_yield = !e->has_yielded;
	}
}

// Asked between the layers of a pass.
static bool should_stop(void *arg) {
	const struct pass *pass = arg;
	if (pass->may_yield && atomic_load_explicit(&pass->engine->n_urgent, memory_order_relaxed) > 0)
		return true;
	for (int i = 0; i < pass->n_requests; i++)
		if (!is_cancelled(pass->requests[i]))
			return false;
	return true;
}

// With the lock: nothing of the pass counts.
static void give_up(struct tdm_engine *e, struct pass *pass) {
	for (int i = 0; i < pass->n_requests; i++) {
		pass->requests[i]->n_now = 0;
		pass->requests[i]->n_rows = pass->requests[i]->n_kept;
	}
	e->has_yielded = true;
}

// With the lock: unlinks what is over and wakes its caller; the number of requests that may be in the queue soon, those
// that are not done among them.
static int settle(struct tdm_engine *e, const struct tdm_request *own) {
	int n_expected = 0;
	for (struct tdm_request **at = &e->first, *r; (r = *at);) {
		r->n_done += r->n_now;
		r->n_now = 0;
		if (is_cancelled(r))
			r->status = TDM_EGONE;
		r->is_done = r->status != TDM_OK || r->n_done == r->n;
		n_expected += r->status == TDM_OK;
		if (!r->is_done) {
			at = &r->next;
			continue;
		}
		settle_urgent(e, r);
		*at = r->next;
		if (r != own)
			pthread_cond_signal(&r->turn); // after the lock is free, r may be gone
	}
	return n_expected;
}

static int n_queued(const struct tdm_engine *e) {
	int n = 0;
	for (const struct tdm_request *r = e->first; r; r = r->next)
		n++;
	return n;
}

// With the lock: waits a moment for the callers of the last pass.
static void gather(struct tdm_engine *e) {
	int64_t patience_us = e->pass_us / 4 < MOST_GATHER_US ? e->pass_us / 4 : MOST_GATHER_US;
	int64_t until_us = e->ended_us + patience_us;
	struct timespec until = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
	e->is_gathering = true;
	while (n_queued(e) < e->n_expected && tdm_now_us() < until_us)
		pthread_cond_timedwait(&e->arrived, &e->lock, &until);
	e->is_gathering = false;
}

// With the lock, which it gives up meanwhile.
static void run_pass(struct tdm_engine *e, struct pass *pass) {
	gather(e);
	pthread_mutex_unlock(&e->lock);
	int cores = tdm_cores_take(tdm_decoder_threads(e->decoder));
	pthread_mutex_lock(&e->lock);
	choose(e, pass);
	e->rows_now = pass->n;
	pthread_mutex_unlock(&e->lock);
	int64_t started_us = tdm_now_us();
	bool is_whole = tdm_decoder_run(e->decoder, pass->rows, pass->n, should_stop, pass);
	int64_t now_us = tdm_now_us();
	tdm_cores_give(cores);
	pthread_mutex_lock(&e->lock);
	e->rows_now = 0;
	e->ended_us = now_us;
	e->pass_us = now_us - started_us;
	if (!is_whole)
		give_up(e, pass);
	else if (pass->may_yield || !e->is_owed)
		e->has_yielded = false;
}

static void run_until_done(struct tdm_engine *e, struct tdm_request *own) {
	struct pass pass = {.engine = e};
	e->is_running = true;
	settle(e, own); // what was cancelled while it waited
	while (!own->is_done) {
		run_pass(e, &pass);
		e->n_expected = settle(e, own);
	}
	e->is_running = false;
	if (e->first)
		pthread_cond_signal(&e->first->turn);
}

int tdm_batch_run(struct tdm_engine *e, struct tdm_request *request) {
	struct tdm_request **last = &e->first;
	tdm_loop_blocks();
	pthread_cond_init(&request->turn, NULL);
	pthread_mutex_lock(&e->lock);
	while (*last)
		last = &(*last)->next;
	*last = request;
	request->is_urgent = request->is_prompt && request->n <= PROMPT_TOKENS;
	if (request->is_urgent)
		atomic_fetch_add(&e->n_urgent, 1);
	if (e->is_gathering)
		pthread_cond_signal(&e->arrived);
	while (!request->is_done) {
		if (e->is_running)
			pthread_cond_wait(&request->turn, &e->lock);
		else
			run_until_done(e, request);
	}
	pthread_mutex_unlock(&e->lock);
	pthread_cond_destroy(&request->turn);
	return request->status;
}
