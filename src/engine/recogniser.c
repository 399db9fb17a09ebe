#include "engine/recogniser.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_PLACES = 1 << 16 /* of one state */, RESERVED_BYTES = 1 << 17 };

// --- memory

static int fail_budget(struct tdm_recogniser *r, const char *what) {
	if (!r->status)
		r->status = tdm_fail(&r->error, TDM_EVALUE, "the constraint needs more than the budget of %s", what);
	return r->status;
}

// Room for item n of a growing array of int32 counts; false when a budget or the memory ends.
static bool room(struct tdm_recogniser *r, void *items, int32_t n, int32_t *cap, size_t item_bytes) {
	void **array = items, *grown;
	if (n < *cap)
		return true;
	size_t more = *cap ? (size_t)*cap * 2 : 64;
	while (more <= (size_t)n)
		more *= 2;
	size_t extra = (more - (size_t)*cap) * item_bytes;
	if (r->status || more > INT32_MAX || r->bytes + extra > r->max_bytes) {
		fail_budget(r, "bytes for its states");
		return false;
	}
	memcpy(&grown, array, sizeof grown);
	grown = realloc(grown, more * item_bytes);
	if (!grown) {
		r->status = tdm_fail(&r->error, TDM_ENOMEM, "no memory for the states of a constraint");
		return false;
	}
	memcpy(array, &grown, sizeof grown);
	r->bytes += extra;
	*cap = (int32_t)more;
	return true;
}

// --- interned sets

static uint32_t hash_places(const struct tdm_place *p, int32_t n, uint32_t flags) {
	uint64_t h = 0x9E3779B97F4A7C15u ^ flags;
	for (int32_t i = 0; i < n; i++) {
		h = (h ^ (uint32_t)p[i].state) * 0xD6E8FEB86659FD93u;
		h = (h ^ (h >> 29) ^ (uint32_t)p[i].frame) * 0xA0761D6478BD642Fu;
	}
	return (uint32_t)(h ^ (h >> 32));
}

static bool rehash(struct tdm_recogniser *r, struct tdm_sets *s) {
	int32_t size = s->table_size ? s->table_size * 2 : 256;
	int32_t *table = calloc((size_t)size, sizeof *table);
	if (!table) {
		r->status = tdm_fail(&r->error, TDM_ENOMEM, "no memory for the states of a constraint");
		return false;
	}
	for (int32_t i = 0; i < s->n; i++) {
		uint32_t at = s->items[i].hash & (uint32_t)(size - 1);
		while (table[at])
			at = (at + 1) & (uint32_t)(size - 1);
		table[at] = i + 1;
	}
	free(s->table);
	r->bytes += (size_t)(size - s->table_size) * sizeof *table;
	s->table = table;
	s->table_size = size;
	return true;
}

static bool same(const struct tdm_sets *s, const struct tdm_set *a, const struct tdm_set *b,
                 const struct tdm_place *places) {
	return a->hash == b->hash && a->n == b->n && a->flags == b->flags &&
	       (!a->n || !memcmp(s->places + a->first, places, (size_t)a->n * sizeof *places));
}

// The number of the set with these places, made when there is none; -1 when a budget is exceeded.
static int32_t intern(struct tdm_recogniser *r, struct tdm_sets *s, const struct tdm_place *places, int32_t n,
                      uint32_t flags) {
	struct tdm_set set = {s->n_places, n, hash_places(places, n, flags), flags};
	if (2 * s->n >= s->table_size && !rehash(r, s))
		return -1;
	uint32_t at = set.hash & (uint32_t)(s->table_size - 1);
	for (; s->table[at]; at = (at + 1) & (uint32_t)(s->table_size - 1))
		if (same(s, &s->items[s->table[at] - 1], &set, places))
			return s->table[at] - 1;
	if (!room(r, &s->items, s->n, &s->cap, sizeof *s->items) ||
	    !room(r, &s->places, s->n_places + n, &s->cap_places, sizeof *s->places))
		return -1;
	if (n)
		memcpy(s->places + s->n_places, places, (size_t)n * sizeof *places);
	s->n_places += n;
	s->items[s->n] = set;
	s->table[at] = ++s->n;
	return s->n - 1;
}

static int by_place(const void *x, const void *y) {
	const struct tdm_place *a = x, *b = y;
	if (a->state != b->state)
		return a->state < b->state ? -1 : 1;
	return (a->frame > b->frame) - (a->frame < b->frame);
}

// In order and each once; the number left.
static int32_t sort_places(struct tdm_place *p, int32_t n) {
	int32_t kept = 0;
	if (n > 1)
		qsort(p, (size_t)n, sizeof *p, by_place);
	for (int32_t i = 0; i < n; i++)
		if (!kept || by_place(&p[kept - 1], &p[i]))
			p[kept++] = p[i];
	return kept;
}

// --- closure: everything that is reached without reading

static bool grow_seen(struct tdm_recogniser *r) {
	int32_t size = r->seen_size ? r->seen_size * 2 : 128;
	struct tdm_place *seen = malloc((size_t)size * sizeof *seen);
	if (!seen) {
		r->status = tdm_fail(&r->error, TDM_ENOMEM, "no memory for the states of a constraint");
		return false;
	}
	memset(seen, 0xFF, (size_t)size * sizeof *seen);
	free(r->seen);
	r->seen = seen;
	r->seen_size = size;
	for (int32_t i = 0; i < r->n_work; i++) {
		uint32_t at = hash_places(&r->work[i], 1, 0) & (uint32_t)(size - 1);
		while (seen[at].state >= 0)
			at = (at + 1) & (uint32_t)(size - 1);
		seen[at] = r->work[i];
	}
	return true;
}

static void add(struct tdm_recogniser *r, int32_t state, int32_t frame) {
	struct tdm_place p = {state, frame};
	if (2 * r->n_work >= r->seen_size && !grow_seen(r))
		return;
	uint32_t at = hash_places(&p, 1, 0) & (uint32_t)(r->seen_size - 1);
	for (; r->seen[at].state >= 0; at = (at + 1) & (uint32_t)(r->seen_size - 1))
		if (r->seen[at].state == state && r->seen[at].frame == frame)
			return;
	if (r->n_work >= MAX_PLACES)
		fail_budget(r, "places in one state: the grammar is too ambiguous");
	if (r->status || !room(r, &r->work, r->n_work, &r->cap_work, sizeof *r->work))
		return;
	r->seen[at] = p;
	r->work[r->n_work++] = p;
}

static void begin(struct tdm_recogniser *r) {
	if (r->seen_size > 1024 && r->n_work < r->seen_size / 16) { // it was large once and is cleared every time
		r->n_work = 0;
		r->seen_size = 64;
		grow_seen(r);
	}
	if (r->seen)
		memset(r->seen, 0xFF, (size_t)r->seen_size * sizeof *r->seen);
	r->n_work = r->n_calls = 0;
	r->flags = 0;
}

static void leave(struct tdm_recogniser *r, int32_t frame) {
	if (frame == 0) {
		r->flags |= TDM_SET_ACCEPTS;
	} else if (frame <= TDM_HOLES) {
		r->flags |= 1u << frame;
	} else {
		const struct tdm_set *f = &r->frames.items[frame];
		for (int32_t i = 0; i < f->n && !r->status; i++)
			add(r, r->frames.places[f->first + i].state, r->frames.places[f->first + i].frame);
	}
}

static void call(struct tdm_recogniser *r, const struct tdm_edge *e, int32_t frame) {
	if (e->is_tail) {
		add(r, r->g->starts[e->rule], frame);
		return;
	}
	int32_t cap = r->cap_calls;
	if (!room(r, &r->calls, r->n_calls, &cap, sizeof *r->calls) ||
	    !room(r, &r->call_rules, r->n_calls, &r->cap_calls, sizeof *r->call_rules))
		return;
	r->calls[r->n_calls] = (struct tdm_place){e->to, frame};
	r->call_rules[r->n_calls++] = e->rule;
}

static void expand(struct tdm_recogniser *r, struct tdm_place p) {
	const struct tdm_grammar *g = r->g;
	if (g->is_final[p.state])
		leave(r, p.frame);
	for (int32_t i = g->heads[p.state]; i >= 0; i = g->edges[i].next) {
		if (g->edges[i].kind == TDM_EDGE_EMPTY)
			add(r, g->edges[i].to, p.frame);
		else if (g->edges[i].kind == TDM_EDGE_CALL)
			call(r, &g->edges[i], p.frame);
	}
}

// Enters the rule that cannot be called by another one that waits, from all places that call it, with one frame.
static void enter_rule(struct tdm_recogniser *r) {
	int32_t rule = r->call_rules[0], n = 0, kept = 0;
	for (int32_t i = 1; i < r->n_calls; i++)
		if (r->g->ranks[r->call_rules[i]] < r->g->ranks[rule])
			rule = r->call_rules[i];
	for (int32_t i = 0; i < r->n_calls; i++) // its callers to the front
		if (r->call_rules[i] == rule) {
			struct tdm_place p = r->calls[i];
			r->calls[i] = r->calls[n];
			r->call_rules[i] = r->call_rules[n];
			r->calls[n] = p;
			r->call_rules[n++] = rule;
		}
	kept = sort_places(r->calls, n);
	int32_t frame = intern(r, &r->frames, r->calls, kept, 0);
	memmove(r->calls, r->calls + n, (size_t)(r->n_calls - n) * sizeof *r->calls);
	memmove(r->call_rules, r->call_rules + n, (size_t)(r->n_calls - n) * sizeof *r->call_rules);
	r->n_calls -= n;
	if (frame >= 0)
		add(r, r->g->starts[rule], frame);
}

static int32_t new_state(struct tdm_recogniser *r, const struct tdm_place *places, int32_t n, uint32_t flags) {
	int32_t before = r->states.n, cap = r->cap_states;
	int32_t state = r->status ? -1 : intern(r, &r->states, places, n, flags);
	if (state < before)
		return state < 0 ? 0 : state;
	if (!room(r, &r->row_of, state, &cap, sizeof *r->row_of) ||
	    !room(r, &r->pattern_of, state, &r->cap_states, sizeof *r->pattern_of))
		return 0;
	r->row_of[state] = -1;
	r->pattern_of[state] = -1;
	return state;
}

static int32_t close_over(struct tdm_recogniser *r) {
	int32_t n = 0;
	for (int32_t done = 0; !r->status && (done < r->n_work || r->n_calls);) {
		if (done < r->n_work)
			expand(r, r->work[done++]);
		else
			enter_rule(r);
	}
	if (r->status)
		return 0;
	for (int32_t i = 0; i < r->n_work; i++) // the others were on the way only
		if (r->g->has_bytes[r->work[i].state])
			r->work[n++] = r->work[i];
	r->n_work = sort_places(r->work, n);
	return new_state(r, r->work, r->n_work, r->flags);
}

// --- steps

// A new row: dead where no place reads, and otherwise not made yet. Most classes are dead in most states.
static void note_live(const struct tdm_recogniser *r, int32_t state, int32_t *row) {
	const struct tdm_grammar *g = r->g;
	const struct tdm_set *set = &r->states.items[state];
	memset(row, 0, (size_t)g->n_classes * sizeof *row);
	for (int32_t p = 0; p < set->n; p++)
		for (int32_t i = g->heads[r->states.places[set->first + p].state]; i >= 0; i = g->edges[i].next) {
			const struct tdm_edge *e = &g->edges[i];
			int last = e->kind == TDM_EDGE_BYTE && e->lo <= e->hi ? g->class_of[e->hi] : -1;
			for (int class = g->class_of[e->lo]; class <= last; class ++)
				row[class] = -1;
		}
}

static bool row_for(struct tdm_recogniser *r, int32_t state) {
	size_t n = (size_t)r->g->n_classes;
	if (r->row_of[state] >= 0)
		return true;
	if (!room(r, &r->rows, r->n_rows, &r->cap_rows, n * sizeof *r->rows))
		return false;
	note_live(r, state, r->rows + (size_t)r->n_rows * n);
	r->row_of[state] = r->n_rows++;
	return true;
}

// Reading the clock costs as much as some steps, so where there is little work it is not read.
static bool is_late(struct tdm_recogniser *r) {
	int64_t now_us = tdm_work_us();
	if (r->until_us < 0)
		r->until_us = now_us + r->budget_us;
	return now_us > r->until_us;
}

void tdm_recogniser_begin_token(struct tdm_recogniser *r) {
	r->ticks = 0;
	r->until_us = -1;
}

int32_t tdm_recogniser_make_step(struct tdm_recogniser *r, int32_t state, int class) {
	const struct tdm_grammar *g = r->g;
	struct tdm_set from = r->states.items[state];
	uint8_t byte = g->class_byte[class];
	if (++r->ticks % 128 == 0 && is_late(r))
		fail_budget(r, "milliseconds for one token");
	if (r->status || !from.n || !row_for(r, state))
		return 0;
	if (!r->rows[(size_t)r->row_of[state] * (size_t)g->n_classes + (size_t) class])
		return 0;
	begin(r);
	for (int32_t p = 0; p < from.n; p++) {
		struct tdm_place at = r->states.places[from.first + p];
		for (int32_t i = g->heads[at.state]; i >= 0; i = g->edges[i].next)
			if (g->edges[i].kind == TDM_EDGE_BYTE && g->edges[i].lo <= byte && byte <= g->edges[i].hi)
				add(r, g->edges[i].to, at.frame);
	}
	int32_t to = close_over(r);
	if (!r->status)
		r->rows[(size_t)r->row_of[state] * (size_t)g->n_classes + (size_t) class] = to;
	return to;
}

int32_t tdm_recogniser_start(struct tdm_recogniser *r) {
	begin(r);
	add(r, r->g->root, 0);
	return close_over(r);
}

int32_t tdm_recogniser_leave(struct tdm_recogniser *r, int32_t frame) {
	begin(r);
	leave(r, frame);
	return close_over(r);
}

int32_t tdm_recogniser_pattern(struct tdm_recogniser *r, int32_t state, int32_t frames[TDM_HOLES], int *n) {
	struct tdm_set from = r->states.items[state];
	*n = 0;
	begin(r);
	for (int32_t p = 0; p < from.n && !r->status; p++) {
		struct tdm_place at = r->states.places[from.first + p];
		int hole = 0;
		while (hole < *n && frames[hole] != at.frame)
			hole++;
		if (hole == TDM_HOLES) {
			*n = 0;
			return state;
		}
		if (hole == *n)
			frames[(*n)++] = at.frame;
		add(r, r->alike[at.state], hole + 1);
	}
	if (r->pattern_of[state] < 0 && !r->status) {
		r->n_work = sort_places(r->work, r->n_work);
		int32_t pattern = new_state(r, r->work, r->n_work, 0);
		r->pattern_of[state] = pattern;
	}
	return r->status ? 0 : r->pattern_of[state];
}

// --- life

// Copies of a repetition that are further from its end than a token is long are alike. Outer repetitions come after
// their inner ones, so what they refer to is settled.
static void find_alike(struct tdm_recogniser *r, int max_depth) {
	for (int32_t i = 0; i < r->g->n_states; i++)
		r->alike[i] = i;
	for (int32_t i = 0; i < r->g->n_copies; i++) {
		const struct tdm_copies *c = &r->g->copies[i];
		int32_t from = max_depth + 1;
		for (int32_t s = from < c->n ? (from + 1) * c->stride : INT32_MAX; s < c->n * c->stride; s++)
			r->alike[c->first + s] = r->alike[c->first + from * c->stride + s % c->stride];
	}
}

// Room for the first states of an answer, touched: where the system has to find memory while a mask is made, that takes
// longer than the mask.
static void reserve(struct tdm_recogniser *r) {
	size_t row_bytes = (size_t)r->g->n_classes * sizeof *r->rows;
	int32_t n_rows = (int32_t)(RESERVED_BYTES / row_bytes), cap = 0;
	if (r->max_bytes < 16 * RESERVED_BYTES)
		return;
	room(r, &r->rows, n_rows - 1, &r->cap_rows, row_bytes);
	room(r, &r->states.items, n_rows - 1, &r->states.cap, sizeof *r->states.items);
	room(r, &r->states.places, n_rows - 1, &r->states.cap_places, sizeof *r->states.places);
	room(r, &r->row_of, n_rows - 1, &cap, sizeof *r->row_of);
	room(r, &r->pattern_of, n_rows - 1, &r->cap_states, sizeof *r->pattern_of);
	if (r->status)
		return;
	memset(r->rows, 0, (size_t)r->cap_rows * row_bytes);
	memset(r->states.items, 0, (size_t)r->states.cap * sizeof *r->states.items);
	memset(r->states.places, 0, (size_t)r->states.cap_places * sizeof *r->states.places);
}

int tdm_recogniser_init(struct tdm_recogniser *r, const struct tdm_grammar *g, int max_depth) {
	memset(r, 0, sizeof *r);
	r->g = g;
	r->max_bytes = g->budget.max_bytes;
	r->budget_us = (int64_t)g->budget.max_ms * 1000;
	tdm_recogniser_begin_token(r);
	r->alike = malloc((size_t)g->n_states * sizeof *r->alike);
	if (!r->alike)
		return TDM_ENOMEM;
	find_alike(r, max_depth);
	reserve(r);
	new_state(r, NULL, 0, 0);                           // the dead one
	for (int32_t hole = 0; hole <= TDM_HOLES; hole++) { // numbers of the end and the holes, with a name each
		struct tdm_place name = {-1, hole};
		intern(r, &r->frames, &name, 1, 0);
	}
	return r->status;
}

void tdm_recogniser_release(struct tdm_recogniser *r) {
	struct tdm_sets *sets[] = {&r->states, &r->frames};
	for (int i = 0; i < 2; i++) {
		free(sets[i]->places);
		free(sets[i]->items);
		free(sets[i]->table);
	}
	free(r->rows);
	free(r->row_of);
	free(r->pattern_of);
	free(r->alike);
	free(r->work);
	free(r->calls);
	free(r->call_rules);
	free(r->seen);
}
