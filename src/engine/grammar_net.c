// The network: expressions become states and edges, from the end to the beginning; then what can never end is dropped,
// left recursion refused, and bytes that no edge tells apart are put into classes.
#include "engine/grammar_parts.h"
#include <stdlib.h>
#include <string.h>

enum { SMALL_RULE = 12 }; // expressions of a rule that is copied where it is used, instead of called

// States that read one byte and go on to the same place are made once within an alternative: the ends of characters.
struct memo {
	int n;
	struct {
		int32_t next, state;
		uint8_t lo, hi;
	} items[16];
};

struct net {
	struct tdm_builder *b;
	struct tdm_grammar *g;
	struct memo memo;
	int32_t final; // of the rule in work
	unsigned ticks;
	int status;
};

// --- growing

static int32_t failed(struct net *n, int status) {
	n->status = status;
	return -1;
}

static int32_t too_big(struct net *n) {
	return failed(n, tdm_fail(n->b->err, TDM_EVALUE, "the grammar needs more than the budget of %d states",
	                          n->b->budget.max_states));
}

static void *grow(struct net *n, void *items, int32_t *cap, size_t item_bytes) {
	size_t more = *cap ? (size_t)*cap * 2 : 256;
	void *grown = more * item_bytes > n->b->budget.max_bytes ? NULL : realloc(items, more * item_bytes);
	if (grown)
		*cap = (int32_t)more;
	else
		failed(n, tdm_budget_bytes(n->b));
	return grown;
}

static int32_t new_state(struct net *n) {
	struct tdm_grammar *g = n->g;
	if (n->status)
		return -1;
	if (g->n_states >= n->b->budget.max_states)
		return too_big(n);
	if (g->n_states == g->cap_states) {
		int32_t *heads = grow(n, g->heads, &g->cap_states, sizeof *heads);
		if (!heads)
			return -1;
		g->heads = heads;
	}
	g->heads[g->n_states] = -1;
	return g->n_states++;
}

static struct tdm_edge *new_edge(struct net *n, int32_t from, int32_t to, uint8_t kind) {
	struct tdm_grammar *g = n->g;
	if (n->status || from < 0 || to < 0)
		return NULL;
	if (g->n_edges == g->cap_edges) {
		struct tdm_edge *edges = grow(n, g->edges, &g->cap_edges, sizeof *edges);
		if (!edges)
			return NULL;
		g->edges = edges;
	}
	struct tdm_edge *e = &g->edges[g->n_edges];
	*e = (struct tdm_edge){.to = to, .next = g->heads[from], .kind = kind};
	g->heads[from] = g->n_edges++;
	return e;
}

static void byte_edge(struct net *n, int32_t from, const struct tdm_expr *x, int32_t to) {
	struct tdm_edge *e = new_edge(n, from, to, TDM_EDGE_BYTE);
	if (e) {
		e->lo = x->lo;
		e->hi = x->hi;
	}
}

static void empty_edge(struct net *n, int32_t from, int32_t to) {
	if (from != to)
		new_edge(n, from, to, TDM_EDGE_EMPTY);
}

// --- expressions: each returns the state in front of x, when `next` is the one behind it

static int32_t before(struct net *n, const struct tdm_expr *x, int32_t next);

static int32_t before_seq(struct net *n, const struct tdm_expr *x, int from, int32_t next) {
	for (int i = x->n - 1; i >= from; i--)
		next = before(n, x->kids[i], next);
	return next;
}

static int32_t before_byte(struct net *n, const struct tdm_expr *x, int32_t next) {
	for (int i = 0; i < n->memo.n; i++)
		if (n->memo.items[i].next == next && n->memo.items[i].lo == x->lo && n->memo.items[i].hi == x->hi)
			return n->memo.items[i].state;
	int32_t s = new_state(n);
	byte_edge(n, s, x, next);
	if (n->memo.n < 16) {
		n->memo.items[n->memo.n].next = next;
		n->memo.items[n->memo.n].state = s;
		n->memo.items[n->memo.n].lo = x->lo;
		n->memo.items[n->memo.n++].hi = x->hi;
	}
	return s;
}

// Alternatives within alternatives are alternatives of the same state, so that all it can read stands there.
static void add_ways(struct net *n, const struct tdm_expr *x, int32_t s, int32_t next) {
	for (int i = 0; i < x->n && !n->status; i++) {
		const struct tdm_expr *kid = x->kids[i];
		if (kid->kind == TDM_EXPR_BYTE)
			byte_edge(n, s, kid, next);
		else if (kid->kind == TDM_EXPR_SEQ && kid->n && kid->kids[0]->kind == TDM_EXPR_BYTE)
			byte_edge(n, s, kid->kids[0], before_seq(n, kid, 1, next));
		else if (kid->kind == TDM_EXPR_ALT)
			add_ways(n, kid, s, next);
		else
			empty_edge(n, s, before(n, kid, next));
	}
}

static int32_t before_alt(struct net *n, const struct tdm_expr *x, int32_t next) {
	int32_t s = new_state(n);
	struct memo outer = n->memo;
	n->memo.n = 0; // so that every copy of a repetition has the same number of states
	add_ways(n, x, s, next);
	n->memo = outer;
	return s;
}

// Can x match nothing? A rule may.
static bool may_be_empty(const struct tdm_expr *x) {
	bool empty = x->kind == TDM_EXPR_SEQ || x->kind == TDM_EXPR_RULE || x->kind == TDM_EXPR_SERIES;
	if (x->kind == TDM_EXPR_REPEAT)
		return x->min == 0 || may_be_empty(x->kids[0]);
	for (int i = 0; i < x->n && x->kind == TDM_EXPR_SEQ && empty; i++)
		empty = may_be_empty(x->kids[i]);
	for (int i = 0; i < x->n && x->kind == TDM_EXPR_ALT && !empty; i++)
		empty = may_be_empty(x->kids[i]);
	return empty;
}

static void note_copies(struct net *n, int32_t first, int32_t end, int count) {
	struct tdm_grammar *g = n->g;
	if (count < 2 || n->status)
		return;
	if (g->n_copies == g->cap_copies) {
		int32_t cap = g->cap_copies;
		struct tdm_copies *copies = grow(n, g->copies, &cap, sizeof *copies);
		if (!copies)
			return;
		g->copies = copies;
		g->cap_copies = cap;
	}
	g->copies[g->n_copies++] = (struct tdm_copies){first, (end - first) / count, count};
}

static int32_t before_repeat(struct net *n, const struct tdm_expr *x, int32_t next) {
	const struct tdm_expr *kid = x->kids[0];
	int32_t at = next, first = n->g->n_states, loop;
	int optional = x->max < 0 ? 0 : x->max - x->min;
	bool plain = !may_be_empty(kid);
	n->memo.n = 0;
	if (x->max < 0) {
		at = loop = new_state(n);
		int32_t body = before(n, kid, loop);
		empty_edge(n, loop, body);
		empty_edge(n, loop, next);
	}
	first = n->g->n_states;
	for (int i = 0; i < optional && !n->status; i++) {
		int32_t s = new_state(n);
		n->memo.n = 0;
		empty_edge(n, s, before(n, kid, at));
		empty_edge(n, s, next);
		at = s;
	}
	if (plain)
		note_copies(n, first, n->g->n_states, optional);
	first = n->g->n_states;
	for (int i = 0; i < x->min && !n->status; i++) {
		n->memo.n = 0;
		at = before(n, kid, at);
	}
	n->memo.n = 0;
	if (plain)
		note_copies(n, first, n->g->n_states, x->min);
	return at;
}

// From the last member to the first: `written` is the state before member i when another one came before it, `nothing`
// when none did.
static int32_t before_series(struct net *n, const struct tdm_expr *x, int32_t next) {
	int32_t written = next, nothing = next;
	for (int i = x->n - 1; i > 0 && !n->status; i--) {
		bool required = x->flags[i] & TDM_MEMBER_REQUIRED, many = x->flags[i] & TDM_MEMBER_MANY;
		int32_t fork = required && !many ? -1 : new_state(n);
		int32_t member = before(n, x->kids[i], many ? fork : written);
		int32_t follows = before(n, x->kids[0], member);
		if (fork >= 0) {
			empty_edge(n, fork, follows);
			empty_edge(n, fork, written);
		}
		written = required ? follows : fork;
		if (required) {
			nothing = member;
			continue;
		}
		int32_t begin = new_state(n);
		empty_edge(n, begin, member);
		empty_edge(n, begin, nothing);
		nothing = begin;
	}
	return nothing;
}

// Is x without rules, and of at most *left expressions?
static bool is_small(const struct tdm_expr *x, int *left) {
	if (x->kind == TDM_EXPR_RULE || x->kind == TDM_EXPR_SERIES || --*left < 0)
		return false;
	if (x->kind == TDM_EXPR_REPEAT && (*left -= x->max > x->min ? x->max : x->min) < 0)
		return false;
	for (int i = 0; i < x->n; i++)
		if (!is_small(x->kids[i], left))
			return false;
	return true;
}

static int32_t before_rule(struct net *n, const struct tdm_expr *x, int32_t next) {
	const struct tdm_rule *rule = &n->b->rules[x->rule];
	int left = SMALL_RULE;
	if (!rule->is_shared && is_small(rule->expr, &left))
		return before(n, rule->expr, next);
	int32_t s = new_state(n);
	struct tdm_edge *e = new_edge(n, s, next, TDM_EDGE_CALL);
	if (e) {
		e->rule = x->rule;
		e->is_tail = next == n->final;
	}
	return s;
}

static int32_t before(struct net *n, const struct tdm_expr *x, int32_t next) {
	if (++n->ticks % 1024 == 0 && !n->status)
		n->status = tdm_budget_time(n->b);
	if (n->status)
		return -1;
	switch (x->kind) {
	case TDM_EXPR_BYTE:
		return before_byte(n, x, next);
	case TDM_EXPR_SEQ:
		return before_seq(n, x, 0, next);
	case TDM_EXPR_ALT:
		return before_alt(n, x, next);
	case TDM_EXPR_REPEAT:
		return before_repeat(n, x, next);
	case TDM_EXPR_RULE:
		return before_rule(n, x, next);
	default:
		return before_series(n, x, next);
	}
}

int tdm_network_build(struct tdm_builder *b, struct tdm_grammar *g) {
	struct net n = {.b = b, .g = g};
	int root = tdm_rule_add(b, "the whole grammar", true);
	if (root < 0)
		return tdm_budget_bytes(b);
	b->rules[root].expr = b->root;
	for (int i = 0; i < b->n_rules; i++)
		if (!b->rules[i].expr) // its making found no memory
			return tdm_budget_bytes(b);
	g->n_rules = b->n_rules;
	g->starts = calloc((size_t)b->n_rules, sizeof *g->starts);
	g->finals = calloc((size_t)b->n_rules, sizeof *g->finals);
	g->ranks = calloc((size_t)b->n_rules, sizeof *g->ranks);
	if (!g->starts || !g->finals || !g->ranks)
		return tdm_fail(b->err, TDM_ENOMEM, "no memory for a grammar of %d rules", b->n_rules);
	for (int i = 0; i < b->n_rules && !n.status; i++) {
		g->finals[i] = n.final = new_state(&n);
		g->starts[i] = before(&n, b->rules[i].expr, n.final);
	}
	if (n.status)
		return n.status;
	g->root = g->starts[root];
	g->is_final = calloc((size_t)g->n_states, 1);
	g->has_bytes = calloc((size_t)g->n_states, 1);
	if (!g->is_final || !g->has_bytes)
		return tdm_fail(b->err, TDM_ENOMEM, "no memory for a grammar of %d states", g->n_states);
	for (int i = 0; i < g->n_rules; i++)
		g->is_final[g->finals[i]] = 1;
	return TDM_OK;
}

// --- what can end

enum { CAN_END = 1, CAN_END_EMPTY = 2 }; // a state reaches the end of its rule; without reading

static uint8_t marks_through(const struct tdm_grammar *g, const struct tdm_edge *e, const uint8_t *marks) {
	uint8_t m = marks[e->to];
	if (e->kind == TDM_EDGE_BYTE)
		return e->lo <= e->hi ? m & CAN_END : 0;
	if (e->kind == TDM_EDGE_CALL) // both are needed: through the rule, and on from there
		m &= marks[g->starts[e->rule]];
	return m;
}

// Passes over all states until nothing changes; states were made from the end, so most is found in the first pass.
static int mark_ends(struct tdm_builder *b, const struct tdm_grammar *g, uint8_t *marks) {
	for (bool changed = true; changed;) {
		int status = tdm_budget_time(b);
		if (status)
			return status;
		changed = false;
		for (int32_t s = 0; s < g->n_states; s++) {
			uint8_t m = g->is_final[s] ? CAN_END | CAN_END_EMPTY : marks[s];
			for (int32_t i = g->heads[s]; i >= 0; i = g->edges[i].next)
				m |= marks_through(g, &g->edges[i], marks);
			changed |= m != marks[s];
			marks[s] = m;
		}
	}
	return TDM_OK;
}

static void drop_dead_edges(struct tdm_grammar *g, const uint8_t *marks) {
	for (int32_t s = 0; s < g->n_states; s++) {
		for (int32_t *at = &g->heads[s]; *at >= 0;) {
			const struct tdm_edge *e = &g->edges[*at];
			if (!(marks_through(g, e, marks) & CAN_END)) {
				*at = e->next;
				continue;
			}
			g->has_bytes[s] |= e->kind == TDM_EDGE_BYTE;
			at = &g->edges[*at].next;
		}
	}
}

// --- left recursion: which rules may a rule begin with? Depth first, so the order of leaving gives the ranks.

struct search {
	struct tdm_builder *b;
	struct tdm_grammar *g;
	const uint8_t *marks;
	uint8_t *seen;         // per state
	int32_t *todo, n_todo; // states of all open rules; each state is put there once
	int32_t *open, n_open; // rules on the path
	int32_t *base;         // per open rule: where its states begin in todo
	uint8_t *colour;       // per rule: 0 new, 1 on the path, 2 done
	int32_t n_left;        // ranks to give
};

static void visit(struct search *f, int32_t state) {
	if (!f->seen[state]) {
		f->seen[state] = 1;
		f->todo[f->n_todo++] = state;
	}
}

static void enter(struct search *f, int32_t rule) {
	f->colour[rule] = 1;
	f->base[f->n_open] = f->n_todo;
	f->open[f->n_open++] = rule;
	visit(f, f->g->starts[rule]);
}

// One state of the newest rule; a call puts its rule on the path and leaves the state's edges noted as visited later.
static int expand(struct search *f, int32_t state) {
	struct tdm_grammar *g = f->g;
	for (int32_t i = g->heads[state]; i >= 0; i = g->edges[i].next) {
		const struct tdm_edge *e = &g->edges[i];
		if (e->kind == TDM_EDGE_CALL && f->colour[e->rule] == 1)
			return tdm_fail(f->b->err, TDM_EVALUE, "rule %s is left-recursive: it can begin with itself",
			                f->b->rules[e->rule].name);
		if (e->kind == TDM_EDGE_CALL && !f->colour[e->rule]) {
			enter(f, e->rule);
			return 1; // come back to this state
		}
	}
	for (int32_t i = g->heads[state]; i >= 0; i = g->edges[i].next) {
		const struct tdm_edge *e = &g->edges[i];
		bool skips = e->kind == TDM_EDGE_CALL && f->marks[g->starts[e->rule]] & CAN_END_EMPTY;
		if (e->kind == TDM_EDGE_EMPTY || skips)
			visit(f, e->to);
	}
	return 0;
}

static int search_from(struct search *f, int32_t rule) {
	enter(f, rule);
	while (f->n_open) {
		if (f->n_todo == f->base[f->n_open - 1]) { // nothing left of the newest rule
			int32_t done = f->open[--f->n_open];
			f->colour[done] = 2;
			f->g->ranks[done] = --f->n_left;
			continue;
		}
		int32_t state = f->todo[--f->n_todo];
		int32_t n = f->n_todo;
		int status = expand(f, state);
		if (status < 0)
			return status;
		if (status) { // below the states of the rule that was entered
			memmove(f->todo + n + 1, f->todo + n, (size_t)(f->n_todo - n) * sizeof *f->todo);
			f->todo[n] = state;
			f->n_todo++;
			f->base[f->n_open - 1]++;
		}
	}
	return TDM_OK;
}

static int check_left(struct tdm_builder *b, struct tdm_grammar *g, const uint8_t *marks) {
	size_t states = (size_t)g->n_states + 1, rules = (size_t)g->n_rules;
	struct search f = {.b = b, .g = g, .marks = marks, .n_left = g->n_rules};
	int status = TDM_OK;
	f.seen = calloc(states, 1);
	f.todo = calloc(states, sizeof *f.todo);
	f.open = calloc(rules, sizeof *f.open);
	f.base = calloc(rules, sizeof *f.base);
	f.colour = calloc(rules, 1);
	if (!f.seen || !f.todo || !f.open || !f.base || !f.colour)
		status = tdm_fail(b->err, TDM_ENOMEM, "no memory for a grammar of %d states", g->n_states);
	for (int r = 0; r < g->n_rules && !status; r++)
		if (!f.colour[r])
			status = search_from(&f, r);
	free(f.seen);
	free(f.todo);
	free(f.open);
	free(f.base);
	free(f.colour);
	return status;
}

// --- classes of bytes

static void find_classes(struct tdm_grammar *g) {
	bool begins[257] = {[0] = true};
	for (int32_t i = 0; i < g->n_edges; i++)
		if (g->edges[i].kind == TDM_EDGE_BYTE && g->edges[i].lo <= g->edges[i].hi)
			begins[g->edges[i].lo] = begins[g->edges[i].hi + 1] = true;
	for (int c = 0; c < 256; c++) {
		if (begins[c])
			g->class_byte[g->n_classes++] = (uint8_t)c;
		g->class_of[c] = (uint8_t)(g->n_classes - 1);
	}
}

int tdm_network_check(struct tdm_builder *b, struct tdm_grammar *g) {
	uint8_t *marks = calloc((size_t)g->n_states, 1);
	int status = marks ? mark_ends(b, g, marks) : tdm_fail(b->err, TDM_ENOMEM, "no memory for a grammar");
	if (!status)
		status = check_left(b, g, marks);
	if (!status && !(marks[g->root] & CAN_END))
		status = tdm_fail(b->err, TDM_EVALUE, "no text matches the grammar");
	if (!status) {
		drop_dead_edges(g, marks);
		find_classes(g);
	}
	free(marks);
	return status;
}
