// Which tokens may come next: a mask of bits for a state, kept. Three ways to one, from cheap to dear: what was kept;
// runs and rests, where all characters of a set lead the same way; a walk over all tokens.
#include "engine/constraint_parts.h"
#include <stdlib.h>
#include <string.h>

struct span { // a part of a trie: nodes [from, to), tokens of these runs
	const struct tdm_token_trie *trie;
	int32_t from, to;
	uint16_t run_min, run_max;
};

// --- walks

static bool note_open(struct tdm_constraint *c, struct tdm_mask *mask, struct tdm_open_end end) {
	if (mask->n_open == mask->cap_open) {
		int32_t cap = mask->cap_open ? mask->cap_open * 2 : 64;
		struct tdm_open_end *open = realloc(mask->open, (size_t)cap * sizeof *open);
		if (!open) {
			c->r.status = tdm_fail(&c->r.error, TDM_ENOMEM, "no memory for a mask");
			return false;
		}
		mask->open = open;
		mask->cap_open = cap;
	}
	mask->open[mask->n_open++] = end;
	return true;
}

static void put_leaves(uint64_t *bits, const struct tdm_token_node *node, const struct span *s) {
	for (int32_t i = node->first; i < node[1].first; i++) {
		struct tdm_token_leaf leaf = s->trie->leaves[i];
		if (leaf.run >= s->run_min && leaf.run <= s->run_max)
			bits[leaf.token / 64] |= (uint64_t)1 << (leaf.token % 64);
	}
}

// Sets the bits of the tokens of a span that can be read from path[depth of their parent].
static void walk(struct tdm_constraint *c, struct tdm_mask *mask, const struct span *s) {
	const struct tdm_token_node *nodes = s->trie->nodes;
	for (int32_t i = s->from; i < s->to && !c->r.status;) {
		const struct tdm_token_node *node = &nodes[i];
		bool is_in = node->run_min <= s->run_max && node->run_max >= s->run_min;
		int32_t state = is_in ? tdm_recogniser_step(&c->r, c->path[node->depth - 1], node->byte) : 0;
		if (!state) {
			i = node->end;
			continue;
		}
		c->path[node->depth] = state;
		put_leaves(mask->bits, node, s);
		const struct tdm_set *set = &c->r.states.items[state];
		if (set->flags >> 1 && node->end > i + 1 &&
		    !note_open(c, mask, (struct tdm_open_end){s->trie, i, set->flags >> 1, s->run_min, s->run_max}))
			return;
		i = set->n ? i + 1 : node->end;
	}
}

// --- runs: the states after 0, 1, 2, ... characters of a set

struct chain {
	int n;
	bool is_endless; // the last state is also the one after any more characters that a token has
	int32_t states[TDM_LONGEST_CHAIN];
};

static int reading(const struct tdm_constraint *c, int32_t state, int set) {
	const struct tdm_set *places = &c->r.states.items[state];
	int all = TDM_READS_NOTHING;
	for (int32_t i = 0; i < places->n; i++) {
		int one = c->r.g->readings[c->r.states.places[places->first + i].state] >> (2 * set) & 3;
		all = one > all ? one : all;
	}
	return all;
}

static uint8_t first_of(const struct tdm_run_set *set) {
	return (uint8_t)(set->ascii[0] ? __builtin_ctzll(set->ascii[0]) : 64 + __builtin_ctzll(set->ascii[1]));
}

// Goes on from the last state. False where not every character of the set leads the same way, or a rule may end between
// two of them.
static bool follow(struct tdm_constraint *c, const struct tdm_runs *runs, int set, struct chain *chain) {
	int32_t state = chain->states[chain->n - 1];
	for (chain->is_endless = false; chain->n < TDM_LONGEST_CHAIN; chain->n++) {
		int how = reading(c, state, set);
		chain->is_endless = chain->n > runs->longest;
		if (how == TDM_READS_NOTHING || chain->is_endless)
			return true;
		int32_t next = how == TDM_READS_ALIKE ? tdm_recogniser_step(&c->r, state, first_of(&runs->set)) : 0;
		if (!next || tdm_recogniser_escapes(&c->r, next))
			return false;
		chain->is_endless = next == state;
		if (chain->is_endless)
			return true;
		chain->states[chain->n] = state = next;
	}
	return false;
}

// The set that a state reads alike, the one with most tokens; or -1.
static int set_of(const struct tdm_constraint *c, int32_t state) {
	int best = -1;
	for (int set = 0; set < c->r.g->n_run_sets; set++)
		if (c->runs[set] && (best < 0 || c->runs[set]->n_whole > c->runs[best]->n_whole) &&
		    reading(c, state, set) == TDM_READS_ALIKE)
			best = set;
	return best;
}

static int32_t state_after(const struct chain *chain, int run) {
	return chain->states[run < chain->n ? run : chain->n - 1];
}

// The rests that begin with one byte, from the state after each run; runs after which it leads to one state together.
static void put_rests(struct tdm_constraint *c, struct tdm_mask *mask, const struct tdm_token_trie *rests, int32_t root,
                      const struct chain *chain) {
	const struct tdm_token_node *node = &rests->nodes[root];
	int last = chain->is_endless || node->run_max < chain->n ? node->run_max : chain->n - 1, end;
	for (int run = node->run_min; run <= last && !c->r.status; run = end + 1) {
		int32_t from = state_after(chain, run), to = tdm_recogniser_step(&c->r, from, node->byte);
		for (end = run; end < last; end++) {
			int32_t other = state_after(chain, end + 1);
			if (other != from && tdm_recogniser_step(&c->r, other, node->byte) != to)
				break;
		}
		if (!to)
			continue;
		c->path[0] = from;
		walk(c, mask, &(struct span){rests, root, node->end, (uint16_t)run, (uint16_t)end});
	}
}

static void put_chain(struct tdm_constraint *c, struct tdm_mask *mask, const struct tdm_runs *runs,
                      const struct chain *chain) {
	tdm_runs_put(runs, chain->is_endless ? -1 : chain->n - 1, mask->bits);
	for (int32_t root = 0; root < runs->rests.n_nodes; root = runs->rests.nodes[root].end)
		put_rests(c, mask, &runs->rests, root, chain);
}

// The tokens that begin with a space, where what follows it is read alike; they are many.
static bool put_spaced(struct tdm_constraint *c, struct tdm_mask *mask, int32_t state) {
	struct chain chain = {.n = 1, .states = {tdm_recogniser_step(&c->r, state, ' ')}};
	int set = tdm_recogniser_escapes(&c->r, chain.states[0]) ? -1 : set_of(c, chain.states[0]);
	if (set >= 0 && !c->spaced[set])
		c->spaced[set] = tdm_shelf_take(c->tree, &c->runs[set]->set, true);
	if (set < 0 || !c->spaced[set] || !follow(c, c->spaced[set], set, &chain))
		return false;
	put_chain(c, mask, c->spaced[set], &chain);
	return true;
}

static void put_root(struct tdm_constraint *c, struct tdm_mask *mask, int32_t state, int32_t root) {
	const struct tdm_token_trie *all = &c->tree->all;
	const struct tdm_token_node *node = &all->nodes[root];
	if (node->byte == ' ' && put_spaced(c, mask, state))
		return;
	c->path[0] = state;
	walk(c, mask, &(struct span){all, root, node->end, 0, UINT16_MAX});
}

static void put_all(struct tdm_constraint *c, struct tdm_mask *mask, int32_t state) {
	const struct tdm_token_trie *all = &c->tree->all;
	struct chain chain = {.n = 1, .states = {state}};
	int set = set_of(c, state);
	const struct tdm_runs *runs = set >= 0 && follow(c, c->runs[set], set, &chain) ? c->runs[set] : NULL;
	if (runs)
		put_chain(c, mask, runs, &chain);
	for (int32_t root = 0; root < all->n_nodes; root = all->nodes[root].end)
		if (!runs || !tdm_run_set_has(&runs->set, all->nodes[root].byte))
			put_root(c, mask, state, root);
	c->stats.runs += runs != NULL;
	c->stats.walks += !runs;
}

// --- kept masks

static struct tdm_mask *kept(struct tdm_constraint *c, int32_t state) {
	return state < c->cap_mask_of && c->mask_of[state] >= 0 ? &c->masks[c->mask_of[state]] : NULL;
}

// The oldest mask, but not `busy`, for a state.
static struct tdm_mask *take_mask(struct tdm_constraint *c, int32_t state, const struct tdm_mask *busy) {
	if (&c->masks[c->next_mask] == busy)
		c->next_mask = (c->next_mask + 1) % TDM_MASKS;
	struct tdm_mask *mask = &c->masks[c->next_mask];
	if (state >= c->cap_mask_of) {
		int32_t cap = state < 128 ? 256 : state * 2;
		int32_t *grown = realloc(c->mask_of, (size_t)cap * sizeof *grown);
		if (!grown)
			return NULL;
		memset(grown + c->cap_mask_of, 0xFF, (size_t)(cap - c->cap_mask_of) * sizeof *grown);
		c->mask_of = grown;
		c->cap_mask_of = cap;
	}
	if (!mask->bits && !(mask->bits = malloc((size_t)c->n_words * sizeof *mask->bits)))
		return NULL;
	if (mask->owner >= 0)
		c->mask_of[mask->owner] = -1;
	mask->owner = state;
	mask->n_open = 0;
	c->mask_of[state] = c->next_mask;
	c->next_mask = (c->next_mask + 1) % TDM_MASKS;
	return mask;
}

static void give_up(struct tdm_constraint *c, struct tdm_mask *mask) { // a mask that is not whole is not kept
	c->mask_of[mask->owner] = -1;
	mask->owner = -1;
}

static struct tdm_mask *make_mask(struct tdm_constraint *c, int32_t state) {
	struct tdm_mask *mask = take_mask(c, state, NULL);
	if (!mask)
		return NULL;
	memset(mask->bits, 0, (size_t)c->n_words * sizeof *mask->bits);
	put_all(c, mask, state);
	if (c->r.status)
		give_up(c, mask);
	return mask;
}

// Where a rule may end after any character, its pattern knows next to nothing: too many tokens would be left open.
static bool is_open(struct tdm_constraint *c, int32_t pattern) {
	int set = set_of(c, pattern);
	int32_t next = set < 0 ? 0 : tdm_recogniser_step(&c->r, pattern, first_of(&c->runs[set]->set));
	return next && tdm_recogniser_escapes(&c->r, next);
}

// Decides the tokens that run past a rule's end, from the frames that the holes stand for.
static void close_open_ends(struct tdm_constraint *c, struct tdm_mask *mask, const struct tdm_mask *base,
                            const int32_t *frames, int n) {
	int32_t after[TDM_HOLES];
	for (int i = 0; i < n; i++)
		after[i] = tdm_recogniser_leave(&c->r, frames[i]);
	for (int32_t i = 0; i < base->n_open; i++) {
		const struct tdm_open_end *open = &base->open[i];
		const struct tdm_token_node *node = &open->trie->nodes[open->node];
		for (int hole = 0; hole < n; hole++) {
			if (!(open->escapes >> hole & 1) || !c->r.states.items[after[hole]].n)
				continue;
			c->path[node->depth] = after[hole];
			walk(c, mask, &(struct span){open->trie, open->node + 1, node->end, open->run_min, open->run_max});
		}
	}
}

const struct tdm_mask *tdm_constraint_state_mask(struct tdm_constraint *c, int32_t state) {
	int32_t frames[TDM_HOLES];
	int n = 0;
	struct tdm_mask *mask = kept(c, state);
	if (mask) {
		c->stats.found++;
		return mask;
	}
	int32_t pattern = tdm_recogniser_pattern(&c->r, state, frames, &n);
	if (c->r.status)
		return NULL;
	if (is_open(c, pattern))
		return make_mask(c, state);
	struct tdm_mask *base = kept(c, pattern);
	if (!base)
		base = make_mask(c, pattern);
	if (!base || c->r.status || pattern == state)
		return base;
	mask = take_mask(c, state, base);
	if (!mask)
		return NULL;
	memcpy(mask->bits, base->bits, (size_t)c->n_words * sizeof *mask->bits);
	close_open_ends(c, mask, base, frames, n);
	if (c->r.status)
		give_up(c, mask);
	return mask;
}
