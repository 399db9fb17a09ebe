// Regular expressions: ECMAScript's language without look-around, back-references, word boundaries and properties.
//
// Two uses: of a whole answer (^ and $ at its ends change nothing), and inside a JSON string, where the expression is
// found anywhere unless anchored and each character is written as JSON may write it.
#include "engine/grammar_parts.h"
#include "base/text.h"
#include <string.h>

enum { MAX_NESTED = 100, MAX_TIMES = 1000000 };

struct reader {
	struct tdm_builder *b;
	const char *where, *begin, *at, *end;
	int nested;
	bool in_string;
};

static int wrong(struct reader *r, const char *what) {
	return tdm_fail(r->b->err, TDM_EVALUE, "%s, byte %d: %s", r->where, (int)(r->at - r->begin) + 1, what);
}

static int done(struct reader *r, const struct tdm_expr *e) {
	return e ? TDM_OK : tdm_budget_bytes(r->b);
}

static char peek(const struct reader *r) {
	return r->at < r->end ? *r->at : '\0';
}

static bool take(struct reader *r, const char *text) {
	size_t n = strlen(text);
	if ((size_t)(r->end - r->at) < n || memcmp(r->at, text, n))
		return false;
	r->at += n;
	return true;
}

// --- characters

// One of lo..hi as a JSON string writes it: short escapes and \u00XX for what must be escaped.
static bool add_json_chars(struct reader *r, struct tdm_expr_list *list, uint32_t lo, uint32_t hi) {
	static const char escaped[] = "\b\t\n\f\r\"\\", names[] = "btnfr\"\\";
	char text[8];
	for (uint32_t c = lo; c <= hi && c < 0x20; c++) {
		const char *digits = "0123456789abcdef";
		memcpy(text, "\\u00", 4);
		text[4] = digits[c >> 4];
		text[5] = digits[c & 15];
		if (!tdm_expr_list_add(r->b, list, tdm_expr_text(r->b, text, 6)))
			return false;
	}
	for (int i = 0; i < 7; i++) {
		text[0] = '\\';
		text[1] = names[i];
		uint32_t c = (uint8_t)escaped[i];
		if (lo <= c && c <= hi && !tdm_expr_list_add(r->b, list, tdm_expr_text(r->b, text, 2)))
			return false;
	}
	static const struct tdm_range plain[] = {{0x20, '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, 0x10FFFF}};
	for (int i = 0; i < 3; i++) {
		uint32_t from = lo > plain[i].lo ? lo : plain[i].lo, to = hi < plain[i].hi ? hi : plain[i].hi;
		if (from <= to && !tdm_expr_list_add(r->b, list, tdm_expr_chars(r->b, from, to)))
			return false;
	}
	return true;
}

static int from_set(struct reader *r, struct tdm_ranges *set, bool negate, const struct tdm_expr **out) {
	struct tdm_expr_list list = {0};
	bool ok = tdm_ranges_finish(r->b, set, negate);
	for (int i = 0; i < set->n && ok; i++) {
		uint32_t lo = set->items[i].lo, hi = set->items[i].hi;
		ok = r->in_string ? add_json_chars(r, &list, lo, hi)
		                  : tdm_expr_list_add(r->b, &list, tdm_expr_chars(r->b, lo, hi));
	}
	*out = ok ? tdm_expr_alt(r->b, list.n, list.items) : NULL;
	return done(r, *out);
}

static bool add_pairs(struct reader *r, struct tdm_ranges *set, const struct tdm_range *pairs, int n, bool negate) {
	struct tdm_ranges own = {0};
	bool ok = true;
	for (int i = 0; i < n && ok; i++)
		ok = tdm_ranges_add(r->b, &own, pairs[i].lo, pairs[i].hi);
	ok = ok && tdm_ranges_finish(r->b, &own, negate);
	for (int i = 0; i < own.n && ok; i++)
		ok = tdm_ranges_add(r->b, set, own.items[i].lo, own.items[i].hi);
	return ok;
}

// \d \w \s and their opposites; false when c is none of them.
static bool add_named(struct reader *r, char c, struct tdm_ranges *set, int *status) {
	static const struct tdm_range digits[] = {{'0', '9'}};
	static const struct tdm_range words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
	static const struct tdm_range spaces[] = {{9, 13},          {32, 32},         {0xA0, 0xA0},     {0x1680, 0x1680},
	                                          {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
	                                          {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
	bool ok, negate = c >= 'A' && c <= 'Z';
	if ((c | 32) == 'd')
		ok = add_pairs(r, set, digits, 1, negate);
	else if ((c | 32) == 'w')
		ok = add_pairs(r, set, words, 4, negate);
	else if ((c | 32) == 's')
		ok = add_pairs(r, set, spaces, 10, negate);
	else
		return false;
	*status = ok ? TDM_OK : tdm_budget_bytes(r->b);
	return true;
}

static int read_hex(struct reader *r, int min, int max, uint32_t *out) {
	int n = 0;
	for (*out = 0; n < max; n++, r->at++) {
		char c = peek(r);
		int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
		if (digit < 0)
			break;
		*out = *out * 16 + (uint32_t)digit;
	}
	return n < min || *out > 0x10FFFF ? wrong(r, "expected hexadecimal digits of a character") : TDM_OK;
}

static const char *refused_escape(char c) {
	if (c >= '1' && c <= '9')
		return "back-references are not supported";
	if (c && strchr("bBkpP", c))
		return "\\b, \\B, \\k, \\p and \\P are not supported";
	return !c || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? "an unknown escape" : NULL;
}

// What stands behind a backslash, as one character.
static int read_escape(struct reader *r, uint32_t *out) {
	static const char names[] = "tnrvf0", values[] = "\t\n\r\v\f\0";
	char c = peek(r);
	const char *known = c ? strchr(names, c) : NULL;
	if (known) {
		r->at++;
		*out = (uint8_t)values[known - names];
		return c == '0' && peek(r) >= '0' && peek(r) <= '9' ? wrong(r, "octal escapes are not supported") : TDM_OK;
	}
	if (take(r, "x"))
		return read_hex(r, 2, 2, out);
	if (take(r, "u{")) {
		int status = read_hex(r, 1, 6, out);
		return !status && !take(r, "}") ? wrong(r, "expected } after \\u{") : status;
	}
	if (take(r, "u"))
		return read_hex(r, 4, 4, out);
	const char *refused = refused_escape(c);
	if (refused)
		return wrong(r, refused);
	r->at += tdm_utf8_next(r->at, (size_t)(r->end - r->at), out);
	return TDM_OK;
}

// One member of a class; *is_set when it was \d or the like and is in the set already.
static int read_member(struct reader *r, struct tdm_ranges *set, uint32_t *c, bool *is_set) {
	int status = TDM_OK;
	*is_set = false;
	if (r->at == r->end)
		return wrong(r, "a class without ]");
	if (!take(r, "\\")) {
		r->at += tdm_utf8_next(r->at, (size_t)(r->end - r->at), c);
		return TDM_OK;
	}
	if (add_named(r, peek(r), set, &status)) {
		r->at++;
		*is_set = true;
		return status;
	}
	if (take(r, "b")) {
		*c = '\b';
		return TDM_OK;
	}
	return read_escape(r, c);
}

static int read_class(struct reader *r, const struct tdm_expr **out) {
	struct tdm_ranges set = {0};
	bool negate = take(r, "^"), is_set;
	while (!take(r, "]")) {
		uint32_t lo = 0, hi;
		int status = read_member(r, &set, &lo, &is_set);
		if (status)
			return status;
		if (is_set)
			continue;
		hi = lo;
		if (peek(r) == '-' && r->end - r->at > 1 && r->at[1] != ']') {
			r->at++;
			status = read_member(r, &set, &hi, &is_set);
			if (!status && (is_set || hi < lo))
				status = wrong(r, "a range of characters that is not in order");
		}
		if (status)
			return status;
		if (!tdm_ranges_add(r->b, &set, lo, hi))
			return tdm_budget_bytes(r->b);
	}
	return from_set(r, &set, negate, out);
}

static int one_char(struct reader *r, uint32_t c, const struct tdm_expr **out) {
	struct tdm_ranges set = {0};
	return tdm_ranges_add(r->b, &set, c, c) ? from_set(r, &set, false, out) : tdm_budget_bytes(r->b);
}

static int any_char(struct reader *r, bool lines, const struct tdm_expr **out) {
	static const struct tdm_range ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
	struct tdm_ranges set = {0};
	bool ok = lines || add_pairs(r, &set, ends, 3, false);
	return ok ? from_set(r, &set, true, out) : tdm_budget_bytes(r->b);
}

// --- structure

static int read_alternatives(struct reader *r, const struct tdm_expr **out);

static int read_group(struct reader *r, const struct tdm_expr **out) {
	if (r->nested >= MAX_NESTED)
		return wrong(r, "more than 100 groups inside of each other");
	if (take(r, "?") && !take(r, ":")) {
		const char *close = peek(r) == '<' ? memchr(r->at, '>', (size_t)(r->end - r->at)) : NULL;
		if (!close || r->end - r->at < 2 || r->at[1] == '=' || r->at[1] == '!')
			return wrong(r, "look-ahead, look-behind and flags are not supported");
		r->at = close + 1;
	}
	r->nested++;
	int status = read_alternatives(r, out);
	r->nested--;
	return !status && !take(r, ")") ? wrong(r, "expected )") : status;
}

static int read_item(struct reader *r, const struct tdm_expr **out) {
	struct tdm_ranges set = {0};
	uint32_t c = 0;
	int status = TDM_OK;
	if (take(r, "("))
		return read_group(r, out);
	if (take(r, "["))
		return read_class(r, out);
	if (take(r, "."))
		return any_char(r, false, out);
	if (peek(r) && strchr("*+?{", peek(r)))
		return wrong(r, "nothing to repeat");
	if (peek(r) == '^' || peek(r) == '$')
		return wrong(r, "^ is supported at the beginning only, and $ at the end");
	if (!take(r, "\\")) {
		r->at += tdm_utf8_next(r->at, (size_t)(r->end - r->at), &c);
		return one_char(r, c, out);
	}
	if (add_named(r, peek(r), &set, &status)) {
		r->at++;
		return status ? status : from_set(r, &set, false, out);
	}
	status = read_escape(r, &c);
	return status ? status : one_char(r, c, out);
}

static bool read_count(struct reader *r, int *out) {
	const char *from = r->at;
	for (*out = 0; peek(r) >= '0' && peek(r) <= '9'; r->at++)
		*out = *out > MAX_TIMES ? *out : *out * 10 + (*r->at - '0');
	return r->at > from;
}

static int read_times(struct reader *r, int *min, int *max) {
	if (!read_count(r, min))
		return wrong(r, "expected {m}, {m,} or {m,n}");
	*max = *min;
	if (take(r, ",") && !read_count(r, max))
		*max = -1;
	if (!take(r, "}") || (*max >= 0 && *max < *min))
		return wrong(r, "expected {m}, {m,} or {m,n} with m <= n");
	return *min > MAX_TIMES || *max > MAX_TIMES ? wrong(r, "more than 1000000 repetitions") : TDM_OK;
}

static int read_repeat(struct reader *r, const struct tdm_expr **e) {
	int min = 0, max = -1, status = TDM_OK;
	char c = peek(r);
	if (!c || !strchr("*+?{", c))
		return TDM_OK;
	r->at++;
	if (c == '{')
		status = read_times(r, &min, &max);
	else if (c == '+')
		min = 1;
	else if (c == '?')
		max = 1;
	if (status)
		return status;
	take(r, "?"); // lazy or not, the language is the same
	*e = tdm_expr_repeat(r->b, *e, min, max);
	return done(r, *e);
}

static bool at_end(const struct reader *r) {
	char c = peek(r);
	return r->at == r->end || c == '|' || c == ')';
}

// Is a $ here the last thing of an alternative?
static bool is_last(const struct reader *r) {
	struct reader ahead = *r;
	return take(&ahead, "$") && at_end(&ahead);
}

static int read_items(struct reader *r, struct tdm_expr_list *list) {
	while (!at_end(r) && (r->nested || !is_last(r))) {
		const struct tdm_expr *e = NULL;
		int status = read_item(r, &e);
		if (!status)
			status = read_repeat(r, &e);
		if (!status && !tdm_expr_list_add(r->b, list, e))
			status = tdm_budget_bytes(r->b);
		if (status)
			return status;
	}
	return TDM_OK;
}

// What may stand around a pattern inside a string, on a side where it is not anchored.
static int add_anything(struct reader *r, struct tdm_expr_list *list) {
	const struct tdm_expr *any = NULL;
	int status = any_char(r, true, &any);
	if (!status && !tdm_expr_list_add(r->b, list, tdm_expr_repeat(r->b, any, 0, -1)))
		status = tdm_budget_bytes(r->b);
	return status;
}

static int read_sequence(struct reader *r, const struct tdm_expr **out) {
	struct tdm_expr_list list = {0};
	bool is_top = !r->nested, begins = is_top && take(r, "^");
	int status = r->in_string && is_top && !begins ? add_anything(r, &list) : TDM_OK;
	if (!status)
		status = read_items(r, &list);
	bool ends = is_top && take(r, "$");
	if (!status && r->in_string && is_top && !ends)
		status = add_anything(r, &list);
	*out = status ? NULL : tdm_expr_seq(r->b, list.n, list.items);
	return status ? status : done(r, *out);
}

static int read_alternatives(struct reader *r, const struct tdm_expr **out) {
	struct tdm_expr_list list = {0};
	do {
		const struct tdm_expr *e = NULL;
		int status = read_sequence(r, &e);
		if (status)
			return status;
		if (!tdm_expr_list_add(r->b, &list, e))
			return tdm_budget_bytes(r->b);
	} while (take(r, "|"));
	*out = tdm_expr_alt(r->b, list.n, list.items);
	return done(r, *out);
}

static int read_all(struct reader *r, const struct tdm_expr **out) {
	int status = read_alternatives(r, out);
	return !status && r->at < r->end ? wrong(r, "a ) without (") : status;
}

int tdm_regex_build(struct tdm_builder *b, const char *text, size_t n) {
	struct reader r = {.b = b, .where = "the regular expression", .begin = text, .at = text, .end = text + n};
	return read_all(&r, &b->root);
}

int tdm_regex_string(struct tdm_builder *b, const char *where, const char *text, size_t n,
                     const struct tdm_expr **out) {
	struct reader r = {.b = b, .where = where, .begin = text, .at = text, .end = text + n, .in_string = true};
	return read_all(&r, out);
}
