#include "engine/constraint.h"
#include "base/clock.h"
#include "engine/recogniser.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_SLOTS = 256 };

struct open_end { // a node of the tree where holes were left through, with tokens below it
	int32_t node;
	uint32_t escapes;
};

struct slot { // a kept mask: of a pattern (with open ends), or of a state (without)
	int32_t owner;
	uint64_t *bits;
	struct open_end *open;
	int32_t n_open, cap_open;
};

struct tdm_constraint {
	struct tdm_recogniser r;
	const struct tdm_token_tree *tree;
	int n_words;
	struct slot slots[N_SLOTS];
	int32_t *slot_of, cap_slot_of; // per state, -1 = none
	int next_slot;
	int32_t *path; // states at the depths of the walk in work
	int32_t *log;  // log[i] = the state after i tokens; 0 = the answer has ended
	int32_t n_log, cap_log;
	struct tdm_constraint_stats stats;
};

int tdm_constraint_new(const struct tdm_grammar *g, const struct tdm_token_tree *t, struct tdm_constraint **out,
                       struct tdm_error *err) {
	struct tdm_constraint *c = calloc(1, sizeof *c);
	if (!c)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a constraint");
	c->tree = t;
	c->n_words = (t->n_vocab + 63) / 64;
	c->cap_log = 64;
	c->log = calloc((size_t)c->cap_log, sizeof *c->log);
	c->path = calloc((size_t)t->max_depth + 1, sizeof *c->path);
	for (int i = 0; i < N_SLOTS; i++)
		c->slots[i].owner = -1;
	int status = c->log && c->path ? tdm_recogniser_init(&c->r, g, t->max_depth) : TDM_ENOMEM;
	if (!status) {
		c->r.deadline_us = tdm_now_us() + (int64_t)g->budget.max_ms * 1000;
		c->log[0] = tdm_recogniser_start(&c->r);
		c->n_log = 1;
		status = c->r.status;
	}
	if (!status) {
		*out = c;
		return TDM_OK;
	}
	tdm_fail(err, status, "%s", c->r.status ? c->r.error.text : "no memory for a constraint");
	tdm_constraint_free(c);
	return status;
}

void tdm_constraint_free(struct tdm_constraint *c) {
	if (!c)
		return;
	tdm_recogniser_release(&c->r);
	for (int i = 0; i < N_SLOTS; i++) {
		free(c->slots[i].bits);
		free(c->slots[i].open);
	}
	free(c->slot_of);
	free(c->path);
	free(c->log);
	free(c);
}

// --- walks

static bool note_open(struct tdm_constraint *c, struct slot *slot, int32_t node, uint32_t escapes) {
	if (slot->n_open == slot->cap_open) {
		int32_t cap = slot->cap_open ? slot->cap_open * 2 : 64;
		struct open_end *open = realloc(slot->open, (size_t)cap * sizeof *open);
		if (!open) {
			c->r.status = tdm_fail(&c->r.error, TDM_ENOMEM, "no memory for a mask");
			return false;
		}
		slot->open = open;
		slot->cap_open = cap;
	}
	slot->open[slot->n_open++] = (struct open_end){node, escapes};
	return true;
}

// Sets the bits of the tokens in nodes [from, to) that can be read from path[depth of their parent].
static void walk(struct tdm_constraint *c, struct slot *slot, int32_t from, int32_t to) {
	const struct tdm_token_node *nodes = c->tree->nodes;
	for (int32_t i = from; i < to && !c->r.status;) {
		const struct tdm_token_node *node = &nodes[i];
		int32_t state = tdm_recogniser_step(&c->r, c->path[node->depth - 1], node->byte);
		if (!state) {
			i = node->end;
			continue;
		}
		c->path[node->depth] = state;
		for (int32_t t = node->first; t < node[1].first; t++)
			slot->bits[c->tree->order[t] / 64] |= (uint64_t)1 << (c->tree->order[t] % 64);
		const struct tdm_set *set = &c->r.states.items[state];
		if (set->flags >> 1 && node->end > i + 1 && !note_open(c, slot, i, set->flags >> 1))
			return;
		i = set->n ? i + 1 : node->end;
	}
}

// --- kept masks

static struct slot *kept(struct tdm_constraint *c, int32_t state) {
	return state < c->cap_slot_of && c->slot_of[state] >= 0 ? &c->slots[c->slot_of[state]] : NULL;
}

// The oldest slot, but not `busy`, for a state.
static struct slot *take_slot(struct tdm_constraint *c, int32_t state, const struct slot *busy) {
	if (&c->slots[c->next_slot] == busy)
		c->next_slot = (c->next_slot + 1) % N_SLOTS;
	struct slot *slot = &c->slots[c->next_slot];
	if (state >= c->cap_slot_of) {
		int32_t cap = state < 128 ? 256 : state * 2;
		int32_t *grown = realloc(c->slot_of, (size_t)cap * sizeof *grown);
		if (!grown)
			return NULL;
		memset(grown + c->cap_slot_of, 0xFF, (size_t)(cap - c->cap_slot_of) * sizeof *grown);
		c->slot_of = grown;
		c->cap_slot_of = cap;
	}
	if (!slot->bits && !(slot->bits = malloc((size_t)c->n_words * sizeof *slot->bits)))
		return NULL;
	if (slot->owner >= 0)
		c->slot_of[slot->owner] = -1;
	slot->owner = state;
	slot->n_open = 0;
	c->slot_of[state] = c->next_slot;
	c->next_slot = (c->next_slot + 1) % N_SLOTS;
	return slot;
}

static void give_up(struct tdm_constraint *c, struct slot *slot) { // a mask that is not whole is not kept
	c->slot_of[slot->owner] = -1;
	slot->owner = -1;
}

static struct slot *pattern_mask(struct tdm_constraint *c, int32_t pattern) {
	struct slot *slot = kept(c, pattern);
	if (slot)
		return slot;
	slot = take_slot(c, pattern, NULL);
	if (!slot)
		return NULL;
	memset(slot->bits, 0, (size_t)c->n_words * sizeof *slot->bits);
	c->path[0] = pattern;
	c->stats.walks++;
	walk(c, slot, 0, c->tree->n_nodes);
	if (c->r.status)
		give_up(c, slot);
	return slot;
}

// Decides the tokens that run past a rule's end, from the frames that the holes stand for.
static void close_open_ends(struct tdm_constraint *c, struct slot *slot, const struct slot *base, const int32_t *frames,
                            int n) {
	int32_t after[TDM_HOLES];
	for (int i = 0; i < n; i++)
		after[i] = tdm_recogniser_leave(&c->r, frames[i]);
	for (int32_t i = 0; i < base->n_open; i++) {
		const struct tdm_token_node *node = &c->tree->nodes[base->open[i].node];
		for (int hole = 0; hole < n; hole++) {
			if (!(base->open[i].escapes >> hole & 1) || !c->r.states.items[after[hole]].n)
				continue;
			c->path[node->depth] = after[hole];
			walk(c, slot, base->open[i].node + 1, node->end);
		}
	}
}

static struct slot *state_mask(struct tdm_constraint *c, int32_t state) {
	int32_t frames[TDM_HOLES];
	int n = 0;
	struct slot *slot = kept(c, state);
	if (slot) {
		c->stats.found++;
		return slot;
	}
	int32_t pattern = tdm_recogniser_pattern(&c->r, state, frames, &n);
	struct slot *base = c->r.status ? NULL : pattern_mask(c, pattern);
	if (!base || c->r.status || pattern == state)
		return base;
	slot = take_slot(c, state, base);
	if (!slot)
		return NULL;
	memcpy(slot->bits, base->bits, (size_t)c->n_words * sizeof *slot->bits);
	close_open_ends(c, slot, base, frames, n);
	if (c->r.status)
		give_up(c, slot);
	return slot;
}

// --- the interface

int tdm_constraint_words(const struct tdm_constraint *c) {
	return c->n_words;
}

static void start_clock(struct tdm_constraint *c) {
	c->r.deadline_us = tdm_now_us() + (int64_t)c->r.g->budget.max_ms * 1000;
}

int tdm_constraint_mask(struct tdm_constraint *c, uint64_t *bits, struct tdm_error *err) {
	int32_t state = c->log[c->n_log - 1];
	start_clock(c);
	c->stats.masks++;
	struct slot *slot = state ? state_mask(c, state) : NULL;
	if (c->r.status)
		return tdm_fail(err, c->r.status, "%s", c->r.error.text);
	if (state && !slot)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a mask of %d tokens", c->tree->n_vocab);
	uint64_t any = 0;
	for (int i = 0; i < c->n_words; i++)
		any |= bits[i] = slot ? slot->bits[i] : 0;
	for (int i = 0; i < c->tree->n_ends && tdm_constraint_may_end(c); i++)
		any |= bits[c->tree->ends[i] / 64] |= (uint64_t)1 << (c->tree->ends[i] % 64);
	return any ? TDM_OK : tdm_fail(err, TDM_EVALUE, "no token of the vocabulary can go on as the grammar wants");
}

void tdm_constraint_apply(const uint64_t *bits, float *logits, int n) {
	for (int at = 0; at < n; at += 64) {
		uint64_t word = bits[at / 64];
		int end = n - at < 64 ? n - at : 64;
		if (word == UINT64_MAX)
			continue;
		for (int i = 0; i < end; i++)
			logits[at + i] = word >> i & 1 ? logits[at + i] : -INFINITY;
	}
}

static bool is_end(const struct tdm_token_tree *t, int32_t token) {
	for (int i = 0; i < t->n_ends; i++)
		if (t->ends[i] == token)
			return true;
	return false;
}

int tdm_constraint_advance(struct tdm_constraint *c, int32_t token) {
	const struct tdm_token_tree *t = c->tree;
	int32_t state = c->log[c->n_log - 1];
	if (token < 0 || token >= t->n_vocab)
		return TDM_EVALUE;
	start_clock(c);
	if (is_end(t, token)) {
		if (!tdm_constraint_may_end(c))
			return TDM_EVALUE;
		state = 0;
	} else {
		for (int32_t i = t->at[token]; i < t->at[token + 1] && state; i++)
			state = tdm_recogniser_step(&c->r, state, (uint8_t)t->text[i]);
		if (!state || t->at[token] == t->at[token + 1])
			return TDM_EVALUE;
	}
	if (c->n_log == c->cap_log) {
		int32_t *log = realloc(c->log, (size_t)c->cap_log * 2 * sizeof *log);
		if (!log)
			return TDM_ENOMEM;
		c->log = log;
		c->cap_log *= 2;
	}
	c->log[c->n_log++] = state;
	return TDM_OK;
}

bool tdm_constraint_may_end(const struct tdm_constraint *c) {
	int32_t state = c->log[c->n_log - 1];
	return !state || tdm_recogniser_accepts(&c->r, state);
}

int tdm_constraint_length(const struct tdm_constraint *c) {
	return c->n_log - 1;
}

void tdm_constraint_rewind(struct tdm_constraint *c, int length) {
	if (length >= 0 && length < c->n_log)
		c->n_log = length + 1;
}

struct tdm_constraint_stats tdm_constraint_stats(const struct tdm_constraint *c) {
	struct tdm_constraint_stats s = c->stats;
	s.n_states = c->r.states.n;
	s.n_frames = c->r.frames.n;
	s.bytes = c->r.bytes;
	return s;
}
