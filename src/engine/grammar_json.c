#include "engine/grammar_json.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

// An answer should end: numbers have so many digits at most, and a line's end is followed by so many spaces.
enum { MAX_DIGITS = 18, MAX_EXPONENT = 3, MAX_INDENT = 24, MAX_KEY = 1000 };

typedef const struct tdm_expr *maker(struct tdm_json *j);

// The rule behind *number, made by `make` when it is new. Its number is known before, so that it may refer to itself.
static const struct tdm_expr *rule(struct tdm_json *j, int *number, const char *name, maker *make) {
	if (!*number) {
		int at = tdm_rule_add(j->b, name, true);
		if (at < 0)
			return NULL;
		*number = at + 1;
		const struct tdm_expr *e = make(j);
		if (!e)
			return NULL;
		j->b->rules[at].expr = e;
	}
	return tdm_expr_rule(j->b, *number - 1);
}

static const struct tdm_expr *byte(struct tdm_json *j, char c) {
	return tdm_expr_bytes(j->b, (uint8_t)c, (uint8_t)c);
}

const struct tdm_expr *tdm_json_word(struct tdm_json *j, const char *text) {
	return tdm_expr_text(j->b, text, strlen(text));
}

static const struct tdm_expr *maybe(struct tdm_json *j, const struct tdm_expr *e) {
	return tdm_expr_repeat(j->b, e, 0, 1);
}

static const struct tdm_expr *digits(struct tdm_json *j, int min, int max) {
	return tdm_expr_repeat(j->b, tdm_expr_bytes(j->b, '0', '9'), min, max);
}

// --- white space and strings

static const struct tdm_expr *make_space(struct tdm_json *j) {
	const struct tdm_expr *blank = tdm_expr_either(j->b, byte(j, ' '), byte(j, '\t'));
	const struct tdm_expr *line = tdm_expr_pair(j->b, byte(j, '\n'), tdm_expr_repeat(j->b, blank, 0, MAX_INDENT));
	return maybe(j, tdm_expr_either(j->b, byte(j, ' '), line));
}

const struct tdm_expr *tdm_json_space(struct tdm_json *j) {
	return rule(j, &j->space, "space", make_space);
}

static const struct tdm_expr *hex(struct tdm_json *j, int n) {
	const struct tdm_expr *kids[] = {tdm_expr_bytes(j->b, '0', '9'), tdm_expr_bytes(j->b, 'a', 'f'),
	                                 tdm_expr_bytes(j->b, 'A', 'F')};
	return tdm_expr_repeat(j->b, tdm_expr_alt(j->b, 3, kids), n, n);
}

// Four digits of a character; no surrogates, since a character beyond them is written as itself.
static const struct tdm_expr *hex_char(struct tdm_json *j) {
	const struct tdm_expr *first[] = {tdm_expr_bytes(j->b, '0', '9'), tdm_expr_bytes(j->b, 'a', 'c'),
	                                  tdm_expr_bytes(j->b, 'A', 'C'), tdm_expr_bytes(j->b, 'e', 'f'),
	                                  tdm_expr_bytes(j->b, 'E', 'F')};
	const struct tdm_expr *below[] = {tdm_expr_either(j->b, byte(j, 'd'), byte(j, 'D')), tdm_expr_bytes(j->b, '0', '7'),
	                                  hex(j, 2)};
	const struct tdm_expr *most = tdm_expr_pair(j->b, tdm_expr_alt(j->b, 5, first), hex(j, 3));
	return tdm_expr_either(j->b, most, tdm_expr_seq(j->b, 3, below));
}

static bool add_plain(struct tdm_json *j, struct tdm_expr_list *list) {
	static const struct tdm_range plain[] = {{0x20, '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, 0x7F}, {0x80, 0x10FFFF}};
	for (int i = 0; i < 4; i++) {
		const struct tdm_expr *e = tdm_expr_chars(j->b, plain[i].lo, plain[i].hi);
		int n = e && e->kind == TDM_EXPR_ALT ? e->n : 1;
		for (int k = 0; k < n; k++) // flat, so that ends of characters are shared
			if (!tdm_expr_list_add(j->b, list, e && e->kind == TDM_EXPR_ALT ? e->kids[k] : e))
				return false;
	}
	return true;
}

const struct tdm_expr *tdm_json_char(struct tdm_json *j) {
	static const char names[] = "\"\\/bfnrt";
	struct tdm_expr_list list = {0}, escapes = {0};
	for (int i = 0; names[i]; i++)
		if (!tdm_expr_list_add(j->b, &escapes, byte(j, names[i])))
			return NULL;
	if (!tdm_expr_list_add(j->b, &escapes, tdm_expr_pair(j->b, byte(j, 'u'), hex_char(j))))
		return NULL;
	const struct tdm_expr *escape = tdm_expr_pair(j->b, byte(j, '\\'), tdm_expr_alt(j->b, escapes.n, escapes.items));
	if (!add_plain(j, &list) || !tdm_expr_list_add(j->b, &list, escape))
		return NULL;
	return tdm_expr_alt(j->b, list.n, list.items);
}

static const struct tdm_expr *make_string(struct tdm_json *j) {
	const struct tdm_expr *kids[] = {byte(j, '"'), tdm_expr_repeat(j->b, tdm_json_char(j), 0, -1), byte(j, '"')};
	return tdm_expr_seq(j->b, 3, kids);
}

const struct tdm_expr *tdm_json_string(struct tdm_json *j) {
	return rule(j, &j->string, "string", make_string);
}

// --- numbers

static const struct tdm_expr *make_integer(struct tdm_json *j) {
	const struct tdm_expr *some = tdm_expr_pair(j->b, tdm_expr_bytes(j->b, '1', '9'), digits(j, 0, MAX_DIGITS - 1));
	return tdm_expr_pair(j->b, maybe(j, byte(j, '-')), tdm_expr_either(j->b, byte(j, '0'), some));
}

const struct tdm_expr *tdm_json_integer(struct tdm_json *j) {
	return rule(j, &j->integer, "integer", make_integer);
}

static const struct tdm_expr *make_number(struct tdm_json *j) {
	const struct tdm_expr *exponent[] = {tdm_expr_either(j->b, byte(j, 'e'), byte(j, 'E')),
	                                     maybe(j, tdm_expr_either(j->b, byte(j, '+'), byte(j, '-'))),
	                                     digits(j, 1, MAX_EXPONENT - 1)};
	const struct tdm_expr *kids[] = {make_integer(j),
	                                 maybe(j, tdm_expr_pair(j->b, byte(j, '.'), digits(j, 1, MAX_DIGITS))),
	                                 maybe(j, tdm_expr_seq(j->b, 3, exponent))};
	return tdm_expr_seq(j->b, 3, kids);
}

const struct tdm_expr *tdm_json_number(struct tdm_json *j) {
	return rule(j, &j->number, "number", make_number);
}

// lo..hi as exactly n digits; power: 10^(n - 1).
static const struct tdm_expr *fixed(struct tdm_json *j, uint64_t lo, uint64_t hi, int n, uint64_t power) {
	uint64_t from = lo / power, to = hi / power;
	struct tdm_expr_list list = {0};
	if (n == 1)
		return tdm_expr_bytes(j->b, (uint8_t)('0' + lo), (uint8_t)('0' + hi));
	if (lo == 0 && hi == power * 9 + (power - 1))
		return digits(j, n, n);
	if (from == to)
		return tdm_expr_pair(j->b, byte(j, (char)('0' + from)), fixed(j, lo % power, hi % power, n - 1, power / 10));
	const struct tdm_expr *parts[3] = {NULL};
	int used = 0;
	if (lo % power) {
		parts[used++] =
		    tdm_expr_pair(j->b, byte(j, (char)('0' + from)), fixed(j, lo % power, power - 1, n - 1, power / 10));
		from++;
	}
	if (hi % power != power - 1) {
		parts[used++] = tdm_expr_pair(j->b, byte(j, (char)('0' + to)), fixed(j, 0, hi % power, n - 1, power / 10));
		to--;
	}
	if (from <= to)
		parts[used++] = tdm_expr_pair(j->b, tdm_expr_bytes(j->b, (uint8_t)('0' + from), (uint8_t)('0' + to)),
		                              digits(j, n - 1, n - 1));
	for (int i = 0; i < used; i++)
		if (!tdm_expr_list_add(j->b, &list, parts[i]))
			return NULL;
	return tdm_expr_alt(j->b, list.n, list.items);
}

static bool add_positive(struct tdm_json *j, struct tdm_expr_list *list, const char *sign, uint64_t lo, uint64_t hi) {
	uint64_t power = 1;
	for (int n = 1; n <= 19; n++, power *= 10) {
		uint64_t first = n == 1 ? 0 : power, last = power * 9 + (power - 1);
		uint64_t from = lo > first ? lo : first, to = hi < last ? hi : last;
		if (from <= to &&
		    !tdm_expr_list_add(j->b, list, tdm_expr_pair(j->b, tdm_json_word(j, sign), fixed(j, from, to, n, power))))
			return false;
		if (n == 19)
			break;
	}
	return true;
}

const struct tdm_expr *tdm_json_range(struct tdm_json *j, int64_t lo, int64_t hi) {
	struct tdm_expr_list list = {0};
	bool ok = true;
	if (hi >= 0 && lo <= hi)
		ok = add_positive(j, &list, "", lo > 0 ? (uint64_t)lo : 0, (uint64_t)hi);
	if (ok && lo < 0 && lo <= hi)
		ok = add_positive(j, &list, "-", hi < 0 ? 0 - (uint64_t)hi : 1, 0 - (uint64_t)lo);
	return ok ? tdm_expr_alt(j->b, list.n, list.items) : NULL;
}

// --- objects, arrays, any value

const struct tdm_expr *tdm_json_comma(struct tdm_json *j) {
	return tdm_expr_pair(j->b, byte(j, ','), tdm_json_space(j));
}

const struct tdm_expr *tdm_json_enclosed(struct tdm_json *j, char open, const struct tdm_expr *inside, char close) {
	const struct tdm_expr *kids[] = {byte(j, open), tdm_json_space(j), inside, tdm_json_space(j), byte(j, close)};
	return tdm_expr_seq(j->b, 5, kids);
}

const struct tdm_expr *tdm_json_member(struct tdm_json *j, const struct tdm_expr *key, const struct tdm_expr *value) {
	const struct tdm_expr *kids[] = {key, byte(j, ':'), tdm_json_space(j), value};
	return tdm_expr_seq(j->b, 4, kids);
}

static const struct tdm_expr *many(struct tdm_json *j, char open, const struct tdm_expr *item, char close) {
	const struct tdm_expr *kids[] = {tdm_json_comma(j), item};
	const uint8_t flags[] = {0, TDM_MEMBER_MANY};
	return tdm_json_enclosed(j, open, tdm_expr_series(j->b, 2, kids, flags), close);
}

static const struct tdm_expr *make_object(struct tdm_json *j) {
	return many(j, '{', tdm_json_member(j, tdm_json_string(j), tdm_json_value(j)), '}');
}

const struct tdm_expr *tdm_json_object(struct tdm_json *j) {
	return rule(j, &j->object, "object", make_object);
}

static const struct tdm_expr *make_array(struct tdm_json *j) {
	return many(j, '[', tdm_json_value(j), ']');
}

const struct tdm_expr *tdm_json_array(struct tdm_json *j) {
	return rule(j, &j->array, "array", make_array);
}

static const struct tdm_expr *make_value(struct tdm_json *j) {
	const struct tdm_expr *kids[] = {tdm_json_object(j),      tdm_json_array(j),        tdm_json_string(j),
	                                 tdm_json_number(j),      tdm_json_word(j, "true"), tdm_json_word(j, "false"),
	                                 tdm_json_word(j, "null")};
	return tdm_expr_alt(j->b, 7, kids);
}

const struct tdm_expr *tdm_json_value(struct tdm_json *j) {
	return rule(j, &j->value, "value", make_value);
}

int tdm_json_object_build(struct tdm_builder *b) {
	struct tdm_json j = {.b = b};
	b->root = tdm_json_object(&j);
	return TDM_OK;
}

// --- keys that are none of some names. They are written without escapes, so that no name can be written another way.

static const struct tdm_expr *make_plain(struct tdm_json *j) {
	struct tdm_expr_list list = {0};
	if (!add_plain(j, &list))
		return NULL;
	return tdm_expr_pair(j->b, tdm_expr_repeat(j->b, tdm_expr_alt(j->b, list.n, list.items), 0, -1), byte(j, '"'));
}

static int by_text(const void *x, const void *y) {
	const struct tdm_word *a = x, *b = y;
	int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
	return order ? order : (a->len > b->len) - (a->len < b->len);
}

static uint32_t char_at(const struct tdm_word *w, size_t at, size_t *len) {
	uint32_t c;
	*len = tdm_utf8_next(w->text + at, w->len - at, &c);
	return c;
}

// Characters that begin no name from here on, then anything.
static const struct tdm_expr *strays(struct tdm_json *j, struct tdm_ranges *taken) {
	struct tdm_expr_list list = {0};
	bool ok = tdm_ranges_add(j->b, taken, 0, 0x1F) && tdm_ranges_add(j->b, taken, '"', '"') &&
	          tdm_ranges_add(j->b, taken, '\\', '\\') && tdm_ranges_finish(j->b, taken, true);
	for (int i = 0; i < taken->n && ok; i++)
		ok = tdm_expr_list_add(j->b, &list, tdm_expr_chars(j->b, taken->items[i].lo, taken->items[i].hi));
	if (!ok)
		return NULL;
	return tdm_expr_pair(j->b, tdm_expr_alt(j->b, list.n, list.items), rule(j, &j->plain, "key", make_plain));
}

// words[0..n) are equal up to `from`, and in order.
static const struct tdm_expr *none_of(struct tdm_json *j, const struct tdm_word *words, size_t n, size_t from) {
	struct tdm_expr_list list = {0};
	struct tdm_ranges taken = {0};
	size_t i = 0, len, other;
	while (i < n && words[i].len == from)
		i++;
	if (i == 0 && !tdm_expr_list_add(j->b, &list, byte(j, '"'))) // no name ends here
		return NULL;
	while (i < n) {
		uint32_t c = char_at(&words[i], from, &len);
		size_t end = i + 1;
		while (end < n && char_at(&words[end], from, &other) == c)
			end++;
		const struct tdm_expr *rest = none_of(j, words + i, end - i, from + len);
		if (!tdm_ranges_add(j->b, &taken, c, c) ||
		    !tdm_expr_list_add(j->b, &list, tdm_expr_pair(j->b, tdm_expr_chars(j->b, c, c), rest)))
			return NULL;
		i = end;
	}
	if (!tdm_expr_list_add(j->b, &list, strays(j, &taken)))
		return NULL;
	return tdm_expr_alt(j->b, list.n, list.items);
}

static bool is_plain(const struct tdm_word *w) {
	for (size_t i = 0; i < w->len; i++)
		if ((unsigned char)w->text[i] < 0x20 || w->text[i] == '"' || w->text[i] == '\\')
			return false;
	return w->len <= MAX_KEY;
}

const struct tdm_expr *tdm_json_other_key(struct tdm_json *j, struct tdm_word *names, size_t n) {
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		if (names[i].len > MAX_KEY) {
			tdm_fail(j->b->err, TDM_EVALUE, "a name of a property is longer than %d bytes", MAX_KEY);
			return NULL;
		}
		if (is_plain(&names[i])) // the others cannot be written without escapes
			names[kept++] = names[i];
	}
	if (!n)
		return tdm_json_string(j);
	qsort(names, kept, sizeof *names, by_text);
	return tdm_expr_pair(j->b, byte(j, '"'), none_of(j, names, kept, 0));
}
