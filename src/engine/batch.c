// One batch per engine, without a thread of its own: who finds the engine idle runs a pass with everything that is
// queued, again until its own request is done, and then hands over.
//
// The rule it protects: a request alone pays two uncontended locks and nothing else; requests together share each
// pass. Every pass takes the short requests first and leaves room for the oldest long one, so neither waits for ever.
#include "engine/batch.h"

enum { SHORT_TOKENS = 8, SHORT_ROWS = 48 }; // of the TDM_MAX_ROWS of a pass

struct pass {
	struct tdm_row rows[TDM_MAX_ROWS];
	int n;
	struct tdm_request *requests[TDM_MAX_ROWS];
	int n_requests;
};

static bool is_cancelled(const struct tdm_request *r) {
	return r->cancelled && atomic_load_explicit(r->cancelled, memory_order_relaxed);
}

// A token of a tree reads the first path through it and writes all of them.
static void place_in_tree(struct tdm_row *row, const struct tdm_tree *t, int length, int at) {
	row->position = length + t->depths[at];
	row->pages = t->lists[__builtin_ctzll(t->on[at])];
	row->lists = t->lists;
	row->also = t->on[at] & (t->on[at] - 1);
}

static void take_rows(struct pass *pass, struct tdm_request *r, int limit) {
	int left = r->n - r->n_done, room = limit - pass->n, n = left < room ? left : room;
	const struct tdm_seq *s = r->seq;
	if (n <= 0)
		return;
	for (int i = 0; i < n; i++) {
		int at = r->n_done + i;
		struct tdm_row *row = &pass->rows[pass->n++];
		*row = (struct tdm_row){
		    .token = r->tokens[at], .position = s->length + at, .pages = s->pages, .adapter = s->adapter};
		if (r->tree)
			place_in_tree(row, r->tree, s->length, at);
		if (r->wanted ? r->wanted[at] != 0 : at == r->n - 1) {
			row->logits = s->logits + (size_t)r->n_rows * tdm_row_floats(s->engine->info.n_vocab);
			row->hidden = s->hidden + (size_t)r->n_rows++ * tdm_row_floats(s->engine->info.width);
		}
	}
	r->n_now = n;
	pass->requests[pass->n_requests++] = r;
}

// With the lock: chooses the rows of the next pass.
static void choose(struct tdm_engine *e, struct pass *pass) {
	pass->n = pass->n_requests = 0;
	for (struct tdm_request *r = e->first; r; r = r->next)
		r->n_now = 0;
	for (struct tdm_request *r = e->first; r; r = r->next)
		if (r->n - r->n_done <= SHORT_TOKENS && pass->n + r->n - r->n_done <= SHORT_ROWS)
			take_rows(pass, r, SHORT_ROWS);
	for (struct tdm_request *r = e->first; r; r = r->next)
		if (!r->n_now)
			take_rows(pass, r, TDM_MAX_ROWS);
}

static bool all_cancelled(void *arg) {
	const struct pass *pass = arg;
	for (int i = 0; i < pass->n_requests; i++)
		if (!is_cancelled(pass->requests[i]))
			return false;
	return true;
}

// With the lock: unlinks what is over and wakes its caller.
static void settle(struct tdm_engine *e, const struct tdm_request *own) {
	for (struct tdm_request **at = &e->first, *r; (r = *at);) {
		r->n_done += r->n_now;
		r->n_now = 0;
		if (is_cancelled(r))
			r->status = TDM_EGONE;
		r->is_done = r->status != TDM_OK || r->n_done == r->n;
		if (!r->is_done) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		if (r != own)
			pthread_cond_signal(&r->turn); // after the lock is free, r may be gone
	}
}

static void run_until_done(struct tdm_engine *e, struct tdm_request *own) {
	struct pass pass;
	e->is_running = true;
	settle(e, own); // what was cancelled while it waited
	while (!own->is_done) {
		choose(e, &pass);
		pthread_mutex_unlock(&e->lock);
		tdm_decoder_run(e->decoder, pass.rows, pass.n, all_cancelled, &pass);
		pthread_mutex_lock(&e->lock);
		settle(e, own);
	}
	e->is_running = false;
	if (e->first)
		pthread_cond_signal(&e->first->turn);
}

int tdm_batch_run(struct tdm_engine *e, struct tdm_request *request) {
	struct tdm_request **last = &e->first;
	pthread_cond_init(&request->turn, NULL);
	pthread_mutex_lock(&e->lock);
	while (*last)
		last = &(*last)->next;
	*last = request;
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
