#include "engine/constraint_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RESERVED_MASKS = 8 };

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
	for (int i = 0; i < TDM_MASKS; i++)
		c->masks[i].owner = -1;
	for (int i = 0; i < RESERVED_MASKS; i++) // touched, as recogniser.c says why; without memory they come later
		if ((c->masks[i].bits = malloc((size_t)c->n_words * sizeof *c->masks[i].bits)))
			memset(c->masks[i].bits, 0, (size_t)c->n_words * sizeof *c->masks[i].bits);
	int status = c->log && c->path ? tdm_recogniser_init(&c->r, g, t->max_depth) : TDM_ENOMEM;
	for (int i = 0; i < g->n_run_sets && !status; i++)
		c->runs[i] = tdm_shelf_take(t, &g->run_sets[i], false);
	if (!status) {
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
	for (int i = 0; i < TDM_RUN_SETS; i++) {
		tdm_shelf_give(c->tree, c->runs[i]);
		tdm_shelf_give(c->tree, c->spaced[i]);
	}
	for (int i = 0; i < TDM_MASKS; i++) {
		free(c->masks[i].bits);
		free(c->masks[i].open);
	}
	free(c->mask_of);
	free(c->path);
	free(c->log);
	free(c);
}

// --- the interface

int tdm_constraint_words(const struct tdm_constraint *c) {
	return c->n_words;
}

int tdm_constraint_mask(struct tdm_constraint *c, uint64_t *bits, struct tdm_error *err) {
	int32_t state = c->log[c->n_log - 1];
	tdm_recogniser_begin_token(&c->r);
	c->stats.masks++;
	const struct tdm_mask *slot = state ? tdm_constraint_state_mask(c, state) : NULL;
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

// Touches no more than half of a word's logits one by one.
static void apply_word(uint64_t word, float *x, int n) {
	static const float none[64] = {[0 ... 63] = -INFINITY};
	uint64_t all = n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
	float kept[32];
	int k = 0;
	word &= all;
	if (__builtin_popcountll(word) > 32) {
		for (uint64_t off = all & ~word; off; off &= off - 1)
			x[__builtin_ctzll(off)] = -INFINITY;
		return;
	}
	for (uint64_t on = word; on; on &= on - 1)
		kept[k++] = x[__builtin_ctzll(on)];
	memcpy(x, none, (size_t)n * sizeof *x);
	k = 0;
	for (uint64_t on = word; on; on &= on - 1)
		x[__builtin_ctzll(on)] = kept[k++];
}

void tdm_constraint_apply(const uint64_t *bits, float *logits, int n) {
	for (int at = 0; at < n; at += 64)
		if (bits[at / 64] != UINT64_MAX)
			apply_word(bits[at / 64], logits + at, n - at < 64 ? n - at : 64);
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
	tdm_recogniser_begin_token(&c->r);
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
	s.bytes = sizeof *c + c->r.bytes + (size_t)c->cap_mask_of * sizeof *c->mask_of;
	for (int i = 0; i < TDM_MASKS; i++)
		s.bytes += (c->masks[i].bits ? (size_t)c->n_words * sizeof *c->masks[i].bits : 0) +
		           (size_t)c->masks[i].cap_open * sizeof *c->masks[i].open;
	s.has_failed = c->r.status != TDM_OK;
	return s;
}
