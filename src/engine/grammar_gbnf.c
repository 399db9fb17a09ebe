// GBNF: rules NAME ::= ALTERNATIVES with "text", [classes], ., groups, * + ? {m,n} and # comments; the answer is
// `root`.
//
// An alternative may go on in the next line after `|`, before `|`, and inside of brackets.
#include "engine/grammar_parts.h"
#include "base/text.h"
#include <string.h>

enum { MAX_NESTED = 100, MAX_TIMES = 1000000 };

struct reader {
	struct tdm_builder *b;
	const char *at, *end;
	int line, nested;
	unsigned ticks;
};

static int wrong(struct reader *r, const char *what) {
	return tdm_fail(r->b->err, TDM_EVALUE, "the grammar, line %d: %s", r->line, what);
}

static char peek(const struct reader *r) {
	return r->at < r->end ? *r->at : '\0';
}

static bool is_name(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static void skip(struct reader *r, bool lines) {
	for (; r->at < r->end; r->at++) {
		if (*r->at == '#') {
			while (r->at < r->end && *r->at != '\n')
				r->at++;
			r->at--;
		} else if (*r->at == '\n' && lines) {
			r->line++;
		} else if (*r->at != ' ' && *r->at != '\t' && *r->at != '\r') {
			return;
		}
	}
}

// The number of a rule by its name at r->at; made where it is new.
static int read_name(struct reader *r, int *rule) {
	const char *from = r->at;
	while (r->at < r->end && is_name(*r->at))
		r->at++;
	size_t n = (size_t)(r->at - from);
	if (!n)
		return wrong(r, "expected the name of a rule");
	if (++r->ticks % 256 == 0 && tdm_budget_time(r->b))
		return TDM_EVALUE;
	*rule = tdm_rule_find(r->b, from, n);
	if (*rule < 0) {
		const char *name = tdm_arena_copy(&r->b->arena, from, n);
		*rule = name ? tdm_rule_add(r->b, name, false) : -1;
	}
	return *rule < 0 ? tdm_budget_bytes(r->b) : TDM_OK;
}

static int read_hex(struct reader *r, int digits, uint32_t *out) {
	*out = 0;
	for (int i = 0; i < digits; i++, r->at++) {
		char c = peek(r);
		int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
		if (digit < 0)
			return wrong(r, "expected 2, 4 or 8 hexadecimal digits after \\x, \\u or \\U");
		*out = *out * 16 + (uint32_t)digit;
	}
	return *out > 0x10FFFF ? wrong(r, "a character above U+10FFFF") : TDM_OK;
}

// One character of a text or a class.
static int read_char(struct reader *r, uint32_t *out) {
	static const char names[] = "trn\\\"[]-^", values[] = "\t\r\n\\\"[]-^";
	if (r->at == r->end)
		return wrong(r, "a text or class has no end");
	if (*r->at == '\n')
		r->line++;
	if (*r->at != '\\') {
		r->at += tdm_utf8_next(r->at, (size_t)(r->end - r->at), out);
		return TDM_OK;
	}
	r->at++;
	char c = peek(r);
	const char *known = c ? strchr(names, c) : NULL;
	r->at += c != '\0';
	if (known) {
		*out = (unsigned char)values[known - names];
		return TDM_OK;
	}
	if (c != 'x' && c != 'u' && c != 'U')
		return wrong(r, "an unknown escape; known are \\t \\r \\n \\\\ \\\" \\[ \\] \\xFF \\uFFFF \\UFFFFFFFF");
	return read_hex(r, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
}

static int checked(struct reader *r, const struct tdm_expr *e) {
	return e ? TDM_OK : tdm_budget_bytes(r->b);
}

static int read_text(struct reader *r, const struct tdm_expr **out) {
	struct tdm_expr_list list = {0};
	uint32_t c;
	r->at++;
	while (peek(r) != '"' || r->at == r->end) {
		int status = read_char(r, &c);
		if (status)
			return status;
		if (!tdm_expr_list_add(r->b, &list, tdm_expr_chars(r->b, c, c)))
			return tdm_budget_bytes(r->b);
	}
	r->at++;
	*out = tdm_expr_seq(r->b, list.n, list.items);
	return checked(r, *out);
}

static int read_class(struct reader *r, const struct tdm_expr **out) {
	struct tdm_ranges set = {0};
	struct tdm_expr_list list = {0};
	r->at++;
	bool negate = peek(r) == '^';
	r->at += negate;
	while (peek(r) != ']' || r->at == r->end) {
		uint32_t lo, hi;
		int status = read_char(r, &lo);
		hi = lo;
		if (!status && peek(r) == '-' && r->end - r->at > 1 && r->at[1] != ']') {
			r->at++;
			status = read_char(r, &hi);
		}
		if (status)
			return status;
		if (hi < lo)
			return wrong(r, "a range of characters whose end comes before its beginning");
		if (!tdm_ranges_add(r->b, &set, lo, hi))
			return tdm_budget_bytes(r->b);
	}
	r->at++;
	if (!tdm_ranges_finish(r->b, &set, negate))
		return tdm_budget_bytes(r->b);
	for (int i = 0; i < set.n; i++)
		if (!tdm_expr_list_add(r->b, &list, tdm_expr_chars(r->b, set.items[i].lo, set.items[i].hi)))
			return tdm_budget_bytes(r->b);
	*out = tdm_expr_alt(r->b, list.n, list.items);
	return checked(r, *out);
}

static int read_alternatives(struct reader *r, const struct tdm_expr **out);

static int read_group(struct reader *r, const struct tdm_expr **out) {
	if (r->nested >= MAX_NESTED)
		return wrong(r, "more than 100 brackets inside of each other");
	r->at++;
	r->nested++;
	int status = read_alternatives(r, out);
	r->nested--;
	if (!status && peek(r) != ')')
		return wrong(r, "expected )");
	r->at += !status;
	return status;
}

static int read_item(struct reader *r, const struct tdm_expr **out) {
	int rule, status;
	switch (peek(r)) {
	case '"':
		return read_text(r, out);
	case '[':
		return read_class(r, out);
	case '(':
		return read_group(r, out);
	case '.':
		r->at++;
		*out = tdm_expr_chars(r->b, 0, 0x10FFFF);
		return checked(r, *out);
	default:
		status = read_name(r, &rule);
		if (status)
			return status;
		*out = tdm_expr_rule(r->b, rule);
		return checked(r, *out);
	}
}

static int read_count(struct reader *r, int *out) {
	const char *from = r->at;
	for (*out = 0; peek(r) >= '0' && peek(r) <= '9'; r->at++)
		*out = *out > MAX_TIMES ? *out : *out * 10 + (*r->at - '0');
	return r->at == from || *out > MAX_TIMES ? wrong(r, "expected a number up to 1000000 in {}") : TDM_OK;
}

static int read_times(struct reader *r, int *min, int *max) {
	r->at++;
	skip(r, false);
	*min = 0;
	int status = peek(r) == ',' ? TDM_OK : read_count(r, min);
	*max = *min;
	skip(r, false);
	if (!status && peek(r) == ',') {
		r->at++;
		skip(r, false);
		*max = -1;
		if (peek(r) != '}')
			status = read_count(r, max);
		skip(r, false);
	}
	if (status)
		return status;
	if (peek(r) != '}' || (*max >= 0 && *max < *min))
		return wrong(r, "expected {m}, {m,}, {,n} or {m,n} with m <= n");
	r->at++;
	return TDM_OK;
}

static int read_repeats(struct reader *r, const struct tdm_expr **e) {
	for (int n = 0;; n++) {
		int min = 0, max = -1, status = TDM_OK;
		char c = peek(r);
		if (!c || !strchr("*+?{", c))
			return TDM_OK;
		if (n == MAX_NESTED)
			return wrong(r, "more than 100 repetitions of each other");
		if (c == '{')
			status = read_times(r, &min, &max);
		else
			r->at++;
		if (c == '+')
			min = 1;
		if (c == '?')
			max = 1;
		*e = status ? NULL : tdm_expr_repeat(r->b, *e, min, max);
		if (!*e)
			return status ? status : tdm_budget_bytes(r->b);
		skip(r, r->nested > 0);
	}
}

// Is there another item? A line's end is none, unless `|` follows or it is inside of brackets.
static bool goes_on(struct reader *r) {
	skip(r, r->nested > 0);
	char c = peek(r);
	return c && (strchr("\"[(.", c) || is_name(c));
}

static bool is_bar(struct reader *r) {
	struct reader ahead = *r;
	skip(&ahead, true);
	if (peek(&ahead) != '|')
		return false;
	*r = ahead;
	r->at++;
	skip(r, true);
	return true;
}

static int read_sequence(struct reader *r, const struct tdm_expr **out) {
	struct tdm_expr_list list = {0};
	while (goes_on(r)) {
		const struct tdm_expr *e = NULL;
		int status = read_item(r, &e);
		skip(r, r->nested > 0);
		if (!status)
			status = read_repeats(r, &e);
		if (status)
			return status;
		if (!tdm_expr_list_add(r->b, &list, e))
			return tdm_budget_bytes(r->b);
	}
	*out = tdm_expr_seq(r->b, list.n, list.items);
	return checked(r, *out);
}

static int read_alternatives(struct reader *r, const struct tdm_expr **out) {
	struct tdm_expr_list list = {0};
	skip(r, true);
	do {
		const struct tdm_expr *e = NULL;
		int status = read_sequence(r, &e);
		if (status)
			return status;
		if (!tdm_expr_list_add(r->b, &list, e))
			return tdm_budget_bytes(r->b);
	} while (is_bar(r));
	*out = tdm_expr_alt(r->b, list.n, list.items);
	return checked(r, *out);
}

static int read_rule(struct reader *r) {
	const struct tdm_expr *e = NULL;
	int rule, status = read_name(r, &rule);
	if (status)
		return status;
	skip(r, false);
	if (r->end - r->at < 3 || memcmp(r->at, "::=", 3))
		return wrong(r, "expected ::= after the name of a rule");
	r->at += 3;
	if (r->b->rules[rule].expr)
		return tdm_fail(r->b->err, TDM_EVALUE, "the grammar, line %d: rule %s is defined twice", r->line,
		                r->b->rules[rule].name);
	status = read_alternatives(r, &e);
	if (status)
		return status;
	if (r->at < r->end && *r->at != '\n')
		return wrong(r, "expected an item of a rule or the end of the line");
	r->b->rules[rule].expr = e;
	skip(r, true);
	return TDM_OK;
}

int tdm_gbnf_build(struct tdm_builder *b, const char *text, size_t n) {
	struct reader r = {.b = b, .at = text, .end = text + n, .line = 1};
	int status = TDM_OK;
	skip(&r, true);
	while (r.at < r.end && !status)
		status = read_rule(&r);
	if (status)
		return status;
	for (int i = 0; i < b->n_rules; i++)
		if (!b->rules[i].expr)
			return tdm_fail(b->err, TDM_EVALUE, "the grammar: rule %s is used but not defined", b->rules[i].name);
	int root = tdm_rule_find(b, "root", 4);
	if (root < 0)
		return tdm_fail(b->err, TDM_EVALUE, "the grammar has no rule named root");
	b->root = tdm_expr_rule(b, root);
	return TDM_OK;
}
