// Expressions, the budgets, and the table of languages.
#include "engine/grammar_parts.h"
#include "base/clock.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_STATES = 500000, DEFAULT_MS = 1000, DEFAULT_MIB = 128, MAX_WORD_DEPTH = 400 };

// --- budgets

int tdm_budget_bytes(struct tdm_builder *b) {
	return tdm_fail(b->err, TDM_EVALUE, "the grammar needs more than the budget of %zu bytes", b->budget.max_bytes);
}

int tdm_budget_time(struct tdm_builder *b) {
	if (tdm_work_us() <= b->end_us)
		return TDM_OK;
	return tdm_fail(b->err, TDM_EVALUE, "the grammar needs more than the budget of %d ms", b->budget.max_ms);
}

// --- expressions

static struct tdm_expr *make(struct tdm_builder *b, enum tdm_expr_kind kind, int n_kids) {
	struct tdm_expr *e = tdm_arena_alloc(&b->arena, sizeof *e);
	if (!e)
		return NULL;
	e->kind = kind;
	e->n = n_kids;
	if (n_kids)
		e->kids = tdm_arena_array(&b->arena, (size_t)n_kids, sizeof *e->kids);
	return n_kids && !e->kids ? NULL : e;
}

bool tdm_expr_list_add(struct tdm_builder *b, struct tdm_expr_list *list, const struct tdm_expr *e) {
	if (list->n == list->cap) {
		int cap = list->cap ? list->cap * 2 : 8;
		const struct tdm_expr **items = tdm_arena_array(&b->arena, (size_t)cap, sizeof *items);
		if (!items)
			return false;
		if (list->n)
			memcpy(items, list->items, (size_t)list->n * sizeof *items);
		list->items = items;
		list->cap = cap;
	}
	if (e)
		list->items[list->n++] = e;
	return e != NULL;
}

const struct tdm_expr *tdm_expr_bytes(struct tdm_builder *b, uint8_t lo, uint8_t hi) {
	struct tdm_expr *e = make(b, TDM_EXPR_BYTE, 0);
	if (e) {
		e->lo = lo;
		e->hi = hi;
	}
	return e;
}

const struct tdm_expr *tdm_expr_text(struct tdm_builder *b, const char *text, size_t n) {
	if (n > 1u << 30)
		return NULL;
	struct tdm_expr *e = make(b, TDM_EXPR_SEQ, (int)n);
	for (size_t i = 0; e && i < n; i++)
		if (!(e->kids[i] = tdm_expr_bytes(b, (uint8_t)text[i], (uint8_t)text[i])))
			return NULL;
	return e;
}

static const struct tdm_expr *with_kids(struct tdm_builder *b, enum tdm_expr_kind kind, int n,
                                        const struct tdm_expr *const *kids) {
	struct tdm_expr *e = make(b, kind, n);
	for (int i = 0; e && i < n; i++)
		if (!(e->kids[i] = kids[i]))
			return NULL;
	return e;
}

const struct tdm_expr *tdm_expr_seq(struct tdm_builder *b, int n, const struct tdm_expr *const *kids) {
	return n == 1 ? kids[0] : with_kids(b, TDM_EXPR_SEQ, n, kids);
}

const struct tdm_expr *tdm_expr_alt(struct tdm_builder *b, int n, const struct tdm_expr *const *kids) {
	return n == 1 ? kids[0] : with_kids(b, TDM_EXPR_ALT, n, kids);
}

const struct tdm_expr *tdm_expr_pair(struct tdm_builder *b, const struct tdm_expr *x, const struct tdm_expr *y) {
	return tdm_expr_seq(b, 2, (const struct tdm_expr *[]){x, y});
}

const struct tdm_expr *tdm_expr_either(struct tdm_builder *b, const struct tdm_expr *x, const struct tdm_expr *y) {
	return tdm_expr_alt(b, 2, (const struct tdm_expr *[]){x, y});
}

const struct tdm_expr *tdm_expr_repeat(struct tdm_builder *b, const struct tdm_expr *x, int min, int max) {
	struct tdm_expr *e = x ? make(b, TDM_EXPR_REPEAT, 1) : NULL;
	if (e) {
		e->kids[0] = x;
		e->min = min;
		e->max = max;
	}
	return e;
}

const struct tdm_expr *tdm_expr_rule(struct tdm_builder *b, int rule) {
	struct tdm_expr *e = rule < 0 ? NULL : make(b, TDM_EXPR_RULE, 0);
	if (e)
		e->rule = rule;
	return e;
}

const struct tdm_expr *tdm_expr_series(struct tdm_builder *b, int n, const struct tdm_expr *const *kids,
                                       const uint8_t *flags) {
	struct tdm_expr *e = make(b, TDM_EXPR_SERIES, n);
	if (!e || !(e->flags = tdm_arena_alloc(&b->arena, (size_t)n)))
		return NULL;
	memcpy(e->flags, flags, (size_t)n);
	for (int i = 0; i < n; i++)
		if (!(e->kids[i] = kids[i]))
			return NULL;
	return e;
}

// --- code points as UTF-8: ranges that share all bytes but the last, or whose last bytes are free

static const struct tdm_expr *byte_seq(struct tdm_builder *b, const char *lo, const char *hi, size_t n) {
	const struct tdm_expr *kids[4];
	for (size_t i = 0; i < n; i++)
		kids[i] = tdm_expr_bytes(b, (uint8_t)lo[i], (uint8_t)hi[i]);
	return tdm_expr_seq(b, (int)n, kids);
}

// The end of the largest block at lo that is one sequence of byte ranges: the last k bytes run over everything and the
// byte before them over a range.
static uint32_t block_end(uint32_t lo, uint32_t hi, size_t n) {
	uint32_t end = lo;
	for (size_t k = 1; k < n; k++) {
		uint32_t size = 1u << (6 * k);
		if (lo % size || lo + (size - 1) > hi)
			return k == 1 ? ((lo | 63) < hi ? (lo | 63) : hi) : end;
		uint32_t next = k + 1 < n ? lo | ((1u << (6 * k + 6)) - 1) : UINT32_MAX;
		uint32_t whole = lo + (hi - lo + 1) / size * size - 1;
		end = whole < next ? whole : next;
	}
	return end;
}

static bool add_chars(struct tdm_builder *b, struct tdm_expr_list *list, uint32_t lo, uint32_t hi) {
	static const uint32_t limits[] = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
	for (size_t n = 1; n <= 4; n++) {
		while (lo <= hi && lo <= limits[n - 1]) {
			char first[4], last[4];
			uint32_t top = hi < limits[n - 1] ? hi : limits[n - 1];
			uint32_t end = n == 1 ? top : block_end(lo, top, n);
			tdm_utf8_put(first, lo);
			tdm_utf8_put(last, end);
			if (!tdm_expr_list_add(b, list, byte_seq(b, first, last, n)))
				return false;
			lo = end + 1;
		}
	}
	return true;
}

const struct tdm_expr *tdm_expr_chars(struct tdm_builder *b, uint32_t lo, uint32_t hi) {
	struct tdm_expr_list list = {0};
	if (hi > 0x10FFFF)
		hi = 0x10FFFF;
	uint32_t below = hi < 0xD7FF ? hi : 0xD7FF, above = lo > 0xE000 ? lo : 0xE000; // surrogates are no characters
	if (lo <= below && !add_chars(b, &list, lo, below))
		return NULL;
	if (above <= hi && !add_chars(b, &list, above, hi))
		return NULL;
	return tdm_expr_alt(b, list.n, list.items);
}

// --- sets of code points

bool tdm_ranges_add(struct tdm_builder *b, struct tdm_ranges *r, uint32_t lo, uint32_t hi) {
	if (r->n == r->cap) {
		int cap = r->cap ? r->cap * 2 : 8;
		struct tdm_range *items = tdm_arena_array(&b->arena, (size_t)cap, sizeof *items);
		if (!items)
			return false;
		if (r->n)
			memcpy(items, r->items, (size_t)r->n * sizeof *items);
		r->items = items;
		r->cap = cap;
	}
	r->items[r->n++] = (struct tdm_range){lo, hi};
	return true;
}

static int by_low(const void *x, const void *y) {
	const struct tdm_range *a = x, *b = y;
	return (a->lo > b->lo) - (a->lo < b->lo);
}

bool tdm_ranges_finish(struct tdm_builder *b, struct tdm_ranges *r, bool negate) {
	struct tdm_ranges out = {0};
	uint32_t at = 0; // for a negated set: the first one not yet decided
	if (r->n)
		qsort(r->items, (size_t)r->n, sizeof *r->items, by_low);
	for (int i = 0; i < r->n;) {
		uint32_t lo = r->items[i].lo, hi = r->items[i].hi;
		for (i++; i < r->n && r->items[i].lo <= hi + 1; i++)
			hi = r->items[i].hi > hi ? r->items[i].hi : hi;
		if (!negate && !tdm_ranges_add(b, &out, lo, hi))
			return false;
		if (negate && at < lo && !tdm_ranges_add(b, &out, at, lo - 1))
			return false;
		at = hi + 1;
	}
	if (negate && at <= 0x10FFFF && !tdm_ranges_add(b, &out, at, 0x10FFFF))
		return false;
	*r = out;
	return true;
}

// --- words

static int by_text(const void *x, const void *y) {
	const struct tdm_word *a = x, *b = y;
	int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
	return order ? order : (a->len > b->len) - (a->len < b->len);
}

static size_t common(const struct tdm_word *a, const struct tdm_word *b, size_t from) {
	size_t n = a->len < b->len ? a->len : b->len, i = from;
	while (i < n && a->text[i] == b->text[i])
		i++;
	return i;
}

// words[0..n) are in order; how many begin like the first up to and with byte `at`? Without `share` only equal ones.
static size_t alike(const struct tdm_word *words, size_t n, size_t at, bool share) {
	size_t end = 1, len = words[0].len;
	while (end < n && words[end].len == len && !memcmp(words[end].text, words[0].text, len))
		end++;
	while (share && len > at && end < n && words[end].text[at] == words[0].text[at])
		end++;
	return end;
}

// words in order, equal up to `from`. At a great depth beginnings are shared no more.
static const struct tdm_expr *share(struct tdm_builder *b, const struct tdm_word *words, size_t n, size_t from,
                                    int depth) {
	struct tdm_expr_list list = {0};
	if (alike(words, n, 0, false) == n)
		return tdm_expr_text(b, words[0].text + from, words[0].len - from);
	size_t same = depth > MAX_WORD_DEPTH ? from : common(&words[0], &words[n - 1], from), end;
	const struct tdm_expr *begin = tdm_expr_text(b, words[0].text + from, same - from);
	for (size_t i = 0; i < n; i += end) {
		end = alike(words + i, n - i, same, depth <= MAX_WORD_DEPTH);
		if (!tdm_expr_list_add(b, &list, share(b, words + i, end, same, depth + 1)))
			return NULL;
	}
	return tdm_expr_pair(b, begin, tdm_expr_alt(b, list.n, list.items));
}

const struct tdm_expr *tdm_expr_words(struct tdm_builder *b, struct tdm_word *words, size_t n) {
	if (!n)
		return tdm_expr_alt(b, 0, NULL);
	qsort(words, n, sizeof *words, by_text);
	return share(b, words, n, 0, 0);
}

// --- rules

int tdm_rule_add(struct tdm_builder *b, const char *name, bool is_shared) {
	if (b->n_rules == b->cap_rules) {
		int cap = b->cap_rules ? b->cap_rules * 2 : 16;
		struct tdm_rule *rules = tdm_arena_array(&b->arena, (size_t)cap, sizeof *rules);
		if (!rules)
			return -1;
		if (b->n_rules)
			memcpy(rules, b->rules, (size_t)b->n_rules * sizeof *rules);
		b->rules = rules;
		b->cap_rules = cap;
	}
	b->rules[b->n_rules] = (struct tdm_rule){.name = name, .is_shared = is_shared};
	return b->n_rules++;
}

int tdm_rule_find(const struct tdm_builder *b, const char *name, size_t n) {
	for (int i = 0; i < b->n_rules; i++)
		if (strlen(b->rules[i].name) == n && !memcmp(b->rules[i].name, name, n))
			return i;
	return -1;
}

// --- the languages

static int json_object(struct tdm_builder *b, const char *text, size_t n) {
	return tdm_json_object_build(b);
}

static int (*const languages[])(struct tdm_builder *b, const char *text, size_t n) = {
    [TDM_GRAMMAR_JSON] = json_object,
    [TDM_GRAMMAR_SCHEMA] = tdm_schema_build,
    [TDM_GRAMMAR_GBNF] = tdm_gbnf_build,
    [TDM_GRAMMAR_REGEX] = tdm_regex_build,
};

static struct tdm_grammar_options budget_of(const struct tdm_grammar_options *o) {
	struct tdm_grammar_options b = o ? *o : (struct tdm_grammar_options){0};
	b.max_states = b.max_states > 0 ? b.max_states : DEFAULT_STATES;
	b.max_ms = b.max_ms > 0 ? b.max_ms : DEFAULT_MS;
	b.max_bytes = b.max_bytes ? b.max_bytes : (size_t)DEFAULT_MIB << 20;
	return b;
}

int tdm_grammar_new(enum tdm_grammar_kind kind, const char *text, size_t n, const struct tdm_grammar_options *options,
                    struct tdm_grammar **out, struct tdm_error *err) {
	struct tdm_builder b = {.budget = budget_of(options), .err = err};
	struct tdm_grammar *g = NULL;
	int status = TDM_OK;
	tdm_arena_init(&b.arena, b.budget.max_bytes);
	b.end_us = tdm_work_us() + (int64_t)b.budget.max_ms * 1000;
	if (kind != TDM_GRAMMAR_JSON && !tdm_utf8_valid(text, n))
		status = tdm_fail(err, TDM_EVALUE, "the grammar is not UTF-8");
	if (!status)
		status = languages[kind](&b, text, n);
	if (!status && !b.root)
		status = tdm_budget_bytes(&b);
	if (!status && !(g = calloc(1, sizeof *g)))
		status = tdm_fail(err, TDM_ENOMEM, "no memory for a grammar");
	if (!status) {
		g->budget = b.budget;
		status = tdm_network_build(&b, g);
	}
	if (!status)
		status = tdm_network_check(&b, g);
	if (!status)
		status = tdm_network_runs(&b, g);
	if (status)
		tdm_grammar_free(g);
	else
		*out = g;
	tdm_arena_release(&b.arena);
	return status;
}

void tdm_grammar_free(struct tdm_grammar *g) {
	if (!g)
		return;
	free(g->edges);
	free(g->heads);
	free(g->is_final);
	free(g->has_bytes);
	free(g->starts);
	free(g->finals);
	free(g->ranks);
	free(g->copies);
	free(g->readings);
	free(g);
}

int tdm_grammar_states(const struct tdm_grammar *g) {
	return g->n_states;
}

size_t tdm_grammar_bytes(const struct tdm_grammar *g) {
	size_t states = (size_t)g->cap_states * sizeof *g->heads + (size_t)g->n_states * (2 + sizeof *g->readings);
	return sizeof *g + states + (size_t)g->cap_edges * sizeof *g->edges + (size_t)g->n_rules * 3 * sizeof *g->starts +
	       (size_t)g->cap_copies * sizeof *g->copies;
}
