// Sets of characters that states of the network read alike: found once, so that a mask can be taken from runs (runs.h)
// instead of a walk. A state reads a set alike when each character of it leads to one and the same state.
#include "engine/grammar_parts.h"
#include <stdlib.h>
#include <string.h>

enum {
	LEAST = 20,
	MAX_TARGETS = 8,
	MAX_FOUND = 16,
	MAX_EDGES = 400,
	MAX_CHOICES = 16,
	MOST_STATES = 4000,
	MOST_SHARED = 400
}; // a smaller set is walked quickly as it is

static const struct tdm_run_set every = {{UINT64_MAX, UINT64_MAX}, true};

struct target { // where a state leads with these bytes of ASCII
	int32_t to;
	uint64_t ascii[2];
};

static int size_of(const uint64_t ascii[2]) {
	return __builtin_popcountll(ascii[0]) + __builtin_popcountll(ascii[1]);
}

static void add_bytes(uint64_t ascii[2], int lo, int hi) {
	for (int c = lo; c <= hi && c < 128; c++)
		ascii[c / 64] |= (uint64_t)1 << (c % 64);
}

static bool widest_target(const struct tdm_grammar *g, int32_t state, struct target *out) {
	struct target targets[MAX_TARGETS];
	int n = 0, best = 0;
	for (int32_t i = g->heads[state]; i >= 0; i = g->edges[i].next) {
		const struct tdm_edge *e = &g->edges[i];
		int at = 0;
		if (e->kind != TDM_EDGE_BYTE || e->lo > 127)
			continue;
		while (at < n && targets[at].to != e->to)
			at++;
		if (at == MAX_TARGETS) // those that come late are single marks
			continue;
		if (at == n)
			targets[n++] = (struct target){.to = e->to};
		add_bytes(targets[at].ascii, e->lo, e->hi);
	}
	for (int i = 1; i < n; i++)
		best = size_of(targets[i].ascii) > size_of(targets[best].ascii) ? i : best;
	if (n)
		*out = targets[best];
	return n && size_of(out->ascii) >= LEAST;
}

static bool meets(const struct tdm_edge *e, const struct tdm_run_set *set) {
	uint64_t bytes[2] = {0};
	add_bytes(bytes, e->lo, e->hi);
	return bytes[0] & set->ascii[0] || bytes[1] & set->ascii[1] || (set->others && e->hi > 127);
}

// Does a byte of the set lead to one state at most? Of a state with very many edges it is not asked.
static bool is_alone(const struct tdm_grammar *g, int32_t state, const struct tdm_run_set *set) {
	int n = 0;
	for (int32_t i = g->heads[state]; i >= 0; i = g->edges[i].next)
		if (++n > MAX_EDGES)
			return false;
	for (int32_t i = g->heads[state]; i >= 0; i = g->edges[i].next) {
		const struct tdm_edge *e = &g->edges[i];
		if (e->kind != TDM_EDGE_BYTE || !meets(e, set))
			continue;
		for (int32_t other = g->heads[state]; other != i; other = g->edges[other].next) {
			const struct tdm_edge *o = &g->edges[other];
			if (o->kind == TDM_EDGE_BYTE && o->to != e->to && o->lo <= e->hi && e->lo <= o->hi)
				return false;
		}
	}
	return true;
}

static bool reads_only(const struct tdm_grammar *g, int32_t state) {
	for (int32_t i = g->heads[state]; i >= 0; i = g->edges[i].next)
		if (g->edges[i].kind != TDM_EDGE_BYTE)
			return false;
	return !g->is_final[state] && is_alone(g, state, &every);
}

// --- all characters beyond ASCII, as their bytes

struct bytes_range {
	uint8_t lo, hi;
};

// Does every text of the n ranges lead from `state` to `to`, and nowhere else? is_inside: of a character.
static bool leads_to(const struct tdm_grammar *g, int32_t state, const struct bytes_range *ranges, int n, int32_t to,
                     bool is_inside) {
	if (!n)
		return state == to;
	int next = ranges[0].lo;
	if (is_inside && !reads_only(g, state))
		return false;
	while (next <= ranges[0].hi) {
		int32_t i = g->heads[state];
		for (; i >= 0; i = g->edges[i].next) {
			const struct tdm_edge *e = &g->edges[i];
			if (e->kind == TDM_EDGE_BYTE && e->lo <= next && next <= e->hi &&
			    leads_to(g, e->to, ranges + 1, n - 1, to, true))
				break;
		}
		if (i < 0)
			return false;
		next = g->edges[i].hi + 1;
	}
	return true;
}

static bool reads_others(const struct tdm_grammar *g, int32_t state, int32_t to) {
	static const struct bytes_range rows[][4] = {
	    {{0xC2, 0xDF}, {0x80, 0xBF}},
	    {{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}},
	    {{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}},
	    {{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}},
	    {{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}},
	    {{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
	    {{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
	    {{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}},
	};
	static const int lengths[] = {2, 3, 3, 3, 3, 4, 4, 4};
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
		if (!leads_to(g, state, rows[i], lengths[i], to, false))
			return false;
	return true;
}

// --- the sets of a grammar

static bool same_set(const struct tdm_run_set *a, const struct tdm_run_set *b) {
	return a->ascii[0] == b->ascii[0] && a->ascii[1] == b->ascii[1] && a->others == b->others;
}

static bool is_within(const struct tdm_run_set *a, const struct tdm_run_set *b) {
	return !(a->ascii[0] & ~b->ascii[0]) && !(a->ascii[1] & ~b->ascii[1]) && a->others <= b->others;
}

static bool set_of(const struct tdm_grammar *g, int32_t state, struct tdm_run_set *out) {
	struct target t;
	if (!g->has_bytes[state] || !widest_target(g, state, &t))
		return false;
	*out = (struct tdm_run_set){{t.ascii[0], t.ascii[1]}, reads_others(g, state, t.to)};
	return is_alone(g, state, out);
}

// Tokens have few control characters, and those are where sets differ for no use.
static struct tdm_run_set usual(struct tdm_run_set set) {
	set.ascii[0] &= 0xFFFFFFFF00000000u;
	return set;
}

static int by_size(const void *x, const void *y) { // larger ones first: they save most
	const struct tdm_run_set *a = x, *b = y;
	int n = size_of(a->ascii) + 128 * a->others, m = size_of(b->ascii) + 128 * b->others;
	if (n != m)
		return n > m ? -1 : 1;
	return memcmp(a->ascii, b->ascii, sizeof a->ascii);
}

// Does every character of the set lead from the state to one and the same?
static bool reads_alike(const struct tdm_grammar *g, int32_t state, const struct tdm_run_set *set) {
	int first = set->ascii[0] ? __builtin_ctzll(set->ascii[0]) : 64 + __builtin_ctzll(set->ascii[1]);
	struct tdm_run_set all = {{0}, set->others};
	int32_t to = -1;
	for (int32_t i = g->heads[state]; i >= 0 && to < 0; i = g->edges[i].next)
		if (g->edges[i].kind == TDM_EDGE_BYTE && g->edges[i].lo <= first && first <= g->edges[i].hi)
			to = g->edges[i].to;
	for (int32_t i = g->heads[state]; i >= 0; i = g->edges[i].next)
		if (g->edges[i].kind == TDM_EDGE_BYTE && g->edges[i].to == to)
			add_bytes(all.ascii, g->edges[i].lo, g->edges[i].hi);
	return to >= 0 && is_within(set, &all) && is_alone(g, state, set) && (!set->others || reads_others(g, state, to));
}

static uint16_t reading(const struct tdm_grammar *g, int32_t state, const struct tdm_run_set *set) {
	for (int32_t i = g->heads[state]; i >= 0; i = g->edges[i].next)
		if (g->edges[i].kind == TDM_EDGE_BYTE && meets(&g->edges[i], set))
			return reads_alike(g, state, set) ? TDM_READS_ALIKE : TDM_READS_APART;
	return TDM_READS_NOTHING;
}

static void add_set(struct tdm_run_set *found, int *n, struct tdm_run_set set) {
	if (*n == MAX_FOUND || size_of(set.ascii) < LEAST)
		return;
	for (int i = 0; i < *n; i++)
		if (same_set(&found[i], &set))
			return;
	found[(*n)++] = set;
}

// --- where several places read at once, as alternatives that begin alike do

// The states with bytes that are reached from one without reading; 0 when there are too many.
static int choices_of(const struct tdm_grammar *g, int32_t state, int32_t *out) {
	int32_t reached[MAX_CHOICES] = {state};
	int n = 1, kept = 0;
	for (int done = 0; done < n; done++)
		for (int32_t i = g->heads[reached[done]]; i >= 0; i = g->edges[i].next) {
			int at = 0;
			if (g->edges[i].kind != TDM_EDGE_EMPTY)
				continue;
			while (at < n && reached[at] != g->edges[i].to)
				at++;
			if (at == MAX_CHOICES)
				return 0;
			reached[at] = g->edges[i].to;
			n = at == n ? n + 1 : n;
		}
	for (int i = 0; i < n; i++)
		if (g->has_bytes[reached[i]])
			out[kept++] = reached[i];
	return kept;
}

// The widest set of characters of ASCII that lead from all of these states to the same ones.
static struct tdm_run_set widest_of(const struct tdm_grammar *g, const int32_t *states, int n) {
	uint64_t leads[128] = {0};
	struct tdm_run_set best = {{0}, false};
	for (int k = 0; k < n; k++)
		for (int32_t i = g->heads[states[k]]; i >= 0; i = g->edges[i].next)
			for (int c = g->edges[i].lo; g->edges[i].kind == TDM_EDGE_BYTE && c <= g->edges[i].hi && c < 128; c++)
				leads[c] += ((uint64_t)g->edges[i].to + 1) * 0x9E3779B97F4A7C15u;
	for (int c = ' '; c < 128; c++) {
		struct tdm_run_set set = {{0}, false};
		for (int other = leads[c] ? c : 128; other < 128; other++)
			if (leads[other] == leads[c])
				add_bytes(set.ascii, other, other);
		if (size_of(set.ascii) > size_of(best.ascii))
			best = set;
	}
	return best;
}

// A set without the other characters is of little use beside the same with them.
static void add_ascii_set(struct tdm_run_set *found, int *n, struct tdm_run_set set) {
	struct tdm_run_set with_others = {{set.ascii[0], set.ascii[1]}, true};
	for (int i = 0; i < *n; i++)
		if (same_set(&found[i], &with_others))
			return;
	add_set(found, n, set);
}

// Sets that no state reads by itself but several together, and what two sets have in common, which is what they read
// together later on.
static void add_shared(const struct tdm_grammar *g, struct tdm_run_set *found, int *n) {
	int n_own = *n, n_seen = 0;
	int32_t states[MAX_CHOICES];
	for (int32_t s = 0; s < g->n_states && s < MOST_STATES && n_seen < MOST_SHARED && *n < n_own + 2; s++) {
		int n_states = choices_of(g, s, states);
		bool is_shared = n_states > 1 || (n_states == 1 && !is_alone(g, states[0], &every));
		n_seen += is_shared;
		if (is_shared)
			add_ascii_set(found, n, usual(widest_of(g, states, n_states)));
	}
	for (int i = 0; *n > n_own && i < n_own; i++)
		for (int k = 0; k < i; k++) {
			const struct tdm_run_set *a = &found[i], *b = &found[k];
			add_set(
			    found, n,
			    (struct tdm_run_set){{a->ascii[0] & b->ascii[0], a->ascii[1] & b->ascii[1]}, a->others && b->others});
		}
}

static int find_sets(struct tdm_builder *b, struct tdm_grammar *g) {
	struct tdm_run_set found[MAX_FOUND], own;
	int n = 0, status = TDM_OK;
	for (int32_t s = 0; s < g->n_states; s++) {
		if (s % 4096 == 0 && (status = tdm_budget_time(b)) != TDM_OK)
			return status;
		if (set_of(g, s, &own))
			add_set(found, &n, usual(own));
	}
	qsort(found, (size_t)n, sizeof *found, by_size);
	if (n < TDM_RUN_SETS)
		add_shared(g, found, &n);
	g->n_run_sets = n < TDM_RUN_SETS ? n : TDM_RUN_SETS;
	memcpy(g->run_sets, found, (size_t)g->n_run_sets * sizeof *found);
	return TDM_OK;
}

int tdm_network_runs(struct tdm_builder *b, struct tdm_grammar *g) {
	int status = find_sets(b, g);
	if (status || !g->n_run_sets)
		return status;
	g->readings = calloc((size_t)g->n_states, sizeof *g->readings);
	if (!g->readings)
		return tdm_fail(b->err, TDM_ENOMEM, "no memory for a grammar of %d states", g->n_states);
	for (int32_t s = 0; s < g->n_states; s++) {
		if (s % 4096 == 0 && (status = tdm_budget_time(b)) != TDM_OK)
			return status;
		for (int i = 0; i < g->n_run_sets && g->has_bytes[s]; i++)
			g->readings[s] |= (uint16_t)(reading(g, s, &g->run_sets[i]) << (2 * i));
	}
	return TDM_OK;
}
