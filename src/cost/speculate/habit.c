// lock guards the rooms. Both tables are hashed without chains: a slot that two things want is kept by the one that
// comes up more often (runs) or came up last (successors).
#include "cost/speculate/habit.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MARKS = 512 };

struct run {
	uint32_t tag; // of the run, beside its place; 0: empty
	int32_t next;
	uint32_t count;
};

struct successors {
	int32_t token, next[TDM_HABIT_SUCCESSORS]; // best first; token -1: empty
};

// Where something was put, so that a room which is little used is soon emptied.
struct marks {
	int n; // more than MARKS: everywhere
	uint32_t at[MARKS];
};

struct room {
	char *tenant; // NULL: free
	uint64_t used;
	struct run *runs;
	struct successors *successors;
	struct marks run_marks, successor_marks;
};

struct tdm_habits {
	pthread_mutex_t lock;
	size_t n_runs, n_successors; // of a room
	uint64_t clock;
	int n_rooms;
	struct room rooms[];
};

struct tdm_habits *tdm_habits_new(size_t room_bytes, int n_rooms) {
	struct tdm_habits *h = calloc(1, sizeof *h + (size_t)n_rooms * sizeof *h->rooms);
	if (!h)
		return NULL;
	pthread_mutex_init(&h->lock, NULL);
	h->n_rooms = n_rooms;
	h->n_runs = room_bytes / 2 / sizeof(struct run) + 1;
	h->n_successors = room_bytes / 2 / sizeof(struct successors) + 1;
	return h;
}

static void mark(struct marks *m, size_t at) {
	if (m->n < MARKS)
		m->at[m->n] = (uint32_t)at;
	m->n += m->n <= MARKS;
}

static void wipe(void *table, size_t n, size_t each, int byte, struct marks *m) {
	if (m->n > MARKS)
		memset(table, byte, n * each);
	else
		for (int i = 0; i < m->n; i++)
			memset((char *)table + m->at[i] * each, byte, each);
	m->n = 0;
}

// Nothing of the tenant's is left; the memory is for the next one.
static void empty(const struct tdm_habits *h, struct room *r) {
	free(r->tenant);
	r->tenant = NULL;
	if (r->runs && r->successors) {
		wipe(r->runs, h->n_runs, sizeof *r->runs, 0, &r->run_marks);
		wipe(r->successors, h->n_successors, sizeof *r->successors, -1, &r->successor_marks);
	}
}

void tdm_habits_free(struct tdm_habits *h) {
	if (!h)
		return;
	for (int i = 0; i < h->n_rooms; i++) {
		free(h->rooms[i].tenant);
		free(h->rooms[i].runs);
		free(h->rooms[i].successors);
	}
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static bool furnish(const struct tdm_habits *h, struct room *r, const char *tenant) {
	empty(h, r);
	if (!r->runs)
		r->runs = calloc(h->n_runs, sizeof *r->runs);
	if (!r->successors) {
		r->successors = malloc(h->n_successors * sizeof *r->successors);
		if (r->successors)
			memset(r->successors, -1, h->n_successors * sizeof *r->successors);
	}
	r->tenant = r->runs && r->successors ? strdup(tenant) : NULL;
	return r->tenant != NULL;
}

// The tenant's room; is_new: made where there is none. NULL: none.
static struct room *room_of(struct tdm_habits *h, const char *tenant, bool is_new) {
	struct room *oldest = &h->rooms[0];
	tenant = tenant ? tenant : "";
	for (int i = 0; i < h->n_rooms; i++) {
		struct room *r = &h->rooms[i];
		if (r->tenant && strcmp(r->tenant, tenant) == 0) {
			r->used = ++h->clock;
			return r;
		}
		oldest = r->used < oldest->used ? r : oldest;
	}
	if (!is_new || !furnish(h, oldest, tenant))
		return NULL;
	oldest->used = ++h->clock;
	return oldest;
}

// --- runs

static struct run *run_of(const struct tdm_habits *h, const struct room *r, const int32_t *last, int length,
                          uint32_t *tag) {
	uint64_t x = (uint64_t)length;
	for (int i = 0; i < length; i++) {
		x = (x ^ (uint64_t)last[-i]) * 0x9e3779b97f4a7c15u;
		x ^= x >> 29;
	}
	*tag = (uint32_t)(x >> 32) | 1;
	return &r->runs[(x & 0xffffffffu) % h->n_runs];
}

static void count_run(struct run *at, uint32_t tag, int32_t next) {
	if (at->tag == tag && at->next == next) {
		at->count += at->count < 1000;
		return;
	}
	if (at->count > 0)
		at->count--;
	if (at->count == 0)
		*at = (struct run){tag, next, 1};
}

void tdm_habits_read(struct tdm_habits *h, const char *tenant, const int32_t *text, int n, int from) {
	pthread_mutex_lock(&h->lock);
	struct room *r = room_of(h, tenant, true);
	for (int i = from; r && i < n; i++)
		for (int length = 2; length <= TDM_HABIT_RUN && length <= i; length++) {
			uint32_t tag;
			struct run *at = run_of(h, r, text + i - 1, length, &tag);
			count_run(at, tag, text[i]);
			mark(&r->run_marks, (size_t)(at - r->runs));
		}
	pthread_mutex_unlock(&h->lock);
}

// What followed the longest run that ends at `last`, of at most n tokens; its length in *length. -1: nothing.
static int32_t after(const struct tdm_habits *h, const struct room *r, const int32_t *last, int n, int *length) {
	for (*length = n < TDM_HABIT_RUN ? n : TDM_HABIT_RUN; *length >= 2; --*length) {
		uint32_t tag;
		const struct run *at = run_of(h, r, last, *length, &tag);
		if (at->tag == tag)
			return at->next;
	}
	return -1;
}

void tdm_habits_follow(struct tdm_habits *h, const char *tenant, const int32_t *text, int n, int most,
                       struct tdm_guess *out) {
	int32_t window[TDM_HABIT_RUN + TDM_GUESS_MOST];
	int have = n < TDM_HABIT_RUN ? n : TDM_HABIT_RUN, length;
	if (have > 0)
		memcpy(window, text + n - have, (size_t)have * sizeof *text);
	out->n = out->sort = 0;
	pthread_mutex_lock(&h->lock);
	const struct room *r = room_of(h, tenant, false);
	while (r && out->n < most && out->n < TDM_GUESS_MOST) {
		int at = have + out->n;
		int32_t next = after(h, r, window + at - 1, at, &length);
		if (next < 0)
			break;
		out->sort = out->n ? out->sort : length - 2;
		window[at] = out->tokens[out->n] = next;
		out->parents[out->n] = out->n - 1;
		out->n++;
	}
	pthread_mutex_unlock(&h->lock);
}

// --- successors

void tdm_habits_rank(struct tdm_habits *h, const char *tenant, int32_t token, const float *logits, int n_vocab) {
	struct successors best = {.token = token};
	float values[TDM_HABIT_SUCCESSORS];
	int n = 0;
	for (int32_t i = 0; i < n_vocab; i++) {
		if (n == TDM_HABIT_SUCCESSORS && !(logits[i] > values[n - 1]))
			continue;
		int at = n < TDM_HABIT_SUCCESSORS ? n++ : n - 1;
		for (; at > 0 && logits[i] > values[at - 1]; at--) {
			values[at] = values[at - 1];
			best.next[at] = best.next[at - 1];
		}
		values[at] = logits[i];
		best.next[at] = i;
	}
	while (n < TDM_HABIT_SUCCESSORS)
		best.next[n++] = -1;
	pthread_mutex_lock(&h->lock);
	struct room *r = room_of(h, tenant, true);
	if (r) {
		r->successors[(size_t)token % h->n_successors] = best;
		mark(&r->successor_marks, (size_t)token % h->n_successors);
	}
	pthread_mutex_unlock(&h->lock);
}

// How likely a successor of each rank is taken: what orders the tree, so only their proportions matter.
static const double share[TDM_HABIT_SUCCESSORS] = {0.6, 0.15, 0.07, 0.05, 0.04, 0.03, 0.03, 0.03};

struct front { // what a node may be followed by next
	const struct successors *of;
	double likely;
	int rank;
};

static void open_front(const struct tdm_habits *h, const struct room *r, int32_t token, double likely,
                       struct front *out) {
	const struct successors *s = &r->successors[(size_t)token % h->n_successors];
	*out = (struct front){s->token == token ? s : NULL, likely, 0};
}

static double value_of(const struct front *f) {
	bool has = f->of && f->rank < TDM_HABIT_SUCCESSORS && f->of->next[f->rank] >= 0;
	return has ? f->likely * share[f->rank] : 0;
}

void tdm_habits_branch(struct tdm_habits *h, const char *tenant, int32_t token, int most, struct tdm_guess *out) {
	struct front fronts[TDM_GUESS_MOST + 1]; // of the text, then of each node
	out->n = out->sort = 0;
	pthread_mutex_lock(&h->lock);
	const struct room *r = room_of(h, tenant, false);
	if (r)
		open_front(h, r, token, 1, &fronts[0]);
	while (r && out->n < most && out->n < TDM_GUESS_MOST) {
		int best = 0;
		for (int i = 1; i <= out->n; i++)
			best = value_of(&fronts[i]) > value_of(&fronts[best]) ? i : best;
		double likely = value_of(&fronts[best]);
		if (likely <= 0)
			break;
		out->tokens[out->n] = fronts[best].of->next[fronts[best].rank++];
		out->parents[out->n] = best - 1;
		out->n++;
		open_front(h, r, out->tokens[out->n - 1], likely, &fronts[out->n]);
	}
	pthread_mutex_unlock(&h->lock);
}
