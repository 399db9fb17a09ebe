// JSON (RFC 8259), read in one pass from the text into the arena.
//
// The rules kept here: only what the RFC allows is read, text that is not UTF-8 is refused, nesting is limited, no text
// makes the time grow faster than its length, what is read is charged to the arena, and an error tells the place and
// what was expected but never the text, because the text may be a prompt.
//
// Items of lists and maps that are still open lie on one stack (struct item); the end of a list or map moves its items
// from there into arrays of the arena.
#include "base/decimal.h"
#include "base/json_text.h"
#include "base/random.h"
#include "base/value.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_LIMIT 64
#define FIRST_ITEMS 32 // room on the stack of the thread: most texts need no more
#define FEW_KEYS 16    // up to here duplicate keys are found by comparing each with each

struct item {
	struct tdm_value value;
	const char *key; // in a map; in the arena
	size_t key_len;
};

struct reader {
	const char *text, *at, *end;
	struct tdm_arena *arena;
	struct tdm_error *err;
	struct item *items, *heap; // items is heap, or what the caller gave while heap is NULL
	size_t n, cap;
	int depth;
};

static int read_value(struct reader *r, size_t slot);

static int no_memory(struct reader *r) {
	return tdm_fail(r->err, TDM_ENOMEM, "The JSON text needs more memory than the request may use.");
}

// --- where something is wrong: lines and characters count from 1

static int fail_at(struct reader *r, const char *at, const char *before, const char *after) {
	int line = 1, column = 1;
	bool is_end = at == r->end;
	if (is_end && at > r->text)
		at--;
	for (const char *p = r->text; p < at; p++) {
		line += *p == '\n';
		column = *p == '\n' ? 1 : column + ((*p & 0xC0) != 0x80);
	}
	return tdm_fail(r->err, TDM_EJSON, "The JSON text is not valid at line %d column %d: %s%s%s.", line, column,
	                is_end ? "it ends, " : "", before, after);
}

static int expected(struct reader *r, const char *what) {
	return fail_at(r, r->at, "expected ", what);
}

static char peek(const struct reader *r) {
	return r->at < r->end ? *r->at : 0; // no value and no mark begins with NUL
}

static char skip_space(struct reader *r) {
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
	return peek(r);
}

// --- strings

static int fail_escape(struct reader *r, const char *at) {
	if (r->end - at > 1 && at[1] == 'u')
		return fail_at(r, at, "expected ", "four hexadecimal digits after \\u, and both halves of a pair");
	return fail_at(r, at, "expected ", "one of \" \\ / b f n r t u after a backslash");
}

static int fail_string(struct reader *r, const char *at) {
	if (at == r->end)
		return fail_at(r, at, "expected ", "the quote that ends a string");
	if (*at == '\\')
		return fail_escape(r, at);
	if (*at & 0x80)
		return fail_at(r, at, "expected ", "UTF-8");
	return fail_at(r, at, "expected ", "an escape for a control character");
}

// The string is measured before it is copied, so that the arena is asked once and for no more than needed.
static int read_string(struct reader *r, const char **text, size_t *len) {
	const char *start = r->at + 1, *end = tdm_json_measure(start, r->end, len);
	if (end == r->end || *end != '"')
		return fail_string(r, end);
	char *copy = tdm_arena_alloc(r->arena, *len + 1);
	if (!copy)
		return no_memory(r);
	if (*len == (size_t)(end - start))
		memcpy(copy, start, *len);
	else
		tdm_json_unescape(copy, start, end);
	r->at = end + 1;
	*text = copy;
	return TDM_OK;
}

// --- numbers

#define N_DIGITS 19                   // these fit 64 bits whatever they are
#define EXPONENT_LIMIT 10000000000000 // more than a text has digits

struct number {
	uint64_t digits;  // the first N_DIGITS that count
	int n_digits;     // leading zeros do not count
	bool is_long;     // there are more
	bool is_integer;  // written without fraction or exponent
	int64_t exponent; // of ten, for the value of digits
};

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

// Takes digits; each lowers the exponent by step. False when there is none.
static bool take_digits(struct reader *r, struct number *number, int step) {
	const char *start = r->at;
	for (; is_digit(peek(r)); r->at++) {
		if (number->n_digits < N_DIGITS) {
			number->digits = number->digits * 10 + (uint64_t)(*r->at - '0');
			number->n_digits += number->digits != 0;
			number->exponent -= step;
		} else {
			number->is_long = true;
		}
	}
	return r->at > start;
}

static bool take_exponent(struct reader *r, int64_t *exponent) {
	r->at++;
	bool is_negative = peek(r) == '-';
	if (is_negative || peek(r) == '+')
		r->at++;
	if (!is_digit(peek(r)))
		return false;
	for (; is_digit(peek(r)); r->at++)
		if (*exponent < EXPONENT_LIMIT)
			*exponent = *exponent * 10 + (*r->at - '0');
	if (is_negative)
		*exponent = -*exponent;
	return true;
}

static int set_double(struct reader *r, struct tdm_value *out, double number, const char *start) {
	if (isinf(number))
		return fail_at(r, start, "expected ", "a number that a double can hold");
	out->number = number;
	out->is_integer = trunc(number) == number && number >= -0x1p63 && number < 0x1p63;
	out->integer = out->is_integer ? (int64_t)number : 0;
	return TDM_OK;
}

static bool set_integer(struct tdm_value *out, const struct number *number, bool is_negative) {
	if (!number->is_integer || number->is_long || number->digits > (uint64_t)INT64_MAX + is_negative)
		return false;
	out->is_integer = true;
	out->integer = is_negative ? (int64_t)(0 - number->digits) : (int64_t)number->digits;
	out->number = (double)out->integer;
	return true;
}

static int read_number(struct reader *r, struct tdm_value *out) {
	struct number number = {.is_integer = true};
	int64_t exponent = 0;
	double value;
	const char *start = r->at;
	bool is_negative = *r->at == '-';
	r->at += is_negative;
	const char *digits = r->at;
	if (!take_digits(r, &number, 0))
		return expected(r, "a digit");
	if (*digits == '0' && r->at - digits > 1)
		return fail_at(r, digits, "expected ", "a number without leading zeros");
	if (peek(r) == '.') {
		number.is_integer = false;
		r->at++;
		if (!take_digits(r, &number, 1))
			return expected(r, "a digit after the point");
	}
	size_t n = (size_t)(r->at - digits);
	if (peek(r) == 'e' || peek(r) == 'E') {
		number.is_integer = false;
		if (!take_exponent(r, &exponent))
			return expected(r, "a digit of the exponent");
	}
	*out = (struct tdm_value){.type = TDM_NUMBER};
	if (set_integer(out, &number, is_negative))
		return TDM_OK;
	if (number.is_long || !tdm_decimal_short(number.digits, number.exponent + exponent, &value))
		value = tdm_decimal_long(digits, n, exponent);
	return set_double(r, out, is_negative ? -value : value, start);
}

// --- lists and maps

// Room for one more item. The stack is never larger than what the arena has left: its items would not fit there either.
static int push(struct reader *r) {
	if (r->n == r->cap) {
		size_t most = (r->arena->limit_bytes - r->arena->used_bytes) / sizeof *r->items;
		size_t cap = r->cap * 2 < most ? r->cap * 2 : most;
		struct item *items = cap > r->n ? realloc(r->heap, cap * sizeof *items) : NULL;
		if (!items)
			return no_memory(r);
		if (!r->heap)
			memcpy(items, r->items, r->n * sizeof *items);
		r->items = r->heap = items;
		r->cap = cap;
	}
	r->n++;
	return TDM_OK;
}

static int open_level(struct reader *r) {
	if (r->depth >= DEPTH_LIMIT)
		return fail_at(r, r->at, "", "it is nested deeper than 64 levels");
	r->depth++;
	r->at++;
	return TDM_OK;
}

// After an item: takes a comma and what may stand before the next item, or the closing mark, which is told by *is_last.
static int next_item(struct reader *r, char closing, bool *is_last) {
	char c = skip_space(r);
	*is_last = c == closing;
	if (c != ',' && c != closing)
		return expected(r, closing == ']' ? "a comma or ]" : "a comma or }");
	r->at++;
	if (c == ',')
		skip_space(r);
	return TDM_OK;
}

// Moves items first.. into the list or map of slot.
static int close_level(struct reader *r, size_t slot, size_t first, enum tdm_type type) {
	size_t n = r->n - first;
	struct tdm_value *items = tdm_arena_array(r->arena, n, sizeof *items);
	const char **keys = type == TDM_MAP ? tdm_arena_array(r->arena, n, sizeof *keys) : NULL;
	if (!items || (type == TDM_MAP && !keys))
		return no_memory(r);
	for (size_t i = 0; i < n; i++) {
		items[i] = r->items[first + i].value;
		if (keys)
			keys[i] = r->items[first + i].key;
	}
	r->items[slot].value = (struct tdm_value){.type = type, .n = n, .items = items, .keys = keys};
	r->n = first;
	r->depth--;
	return TDM_OK;
}

static int read_list(struct reader *r, size_t slot) {
	size_t first = r->n;
	int status = open_level(r);
	bool is_last = !status && skip_space(r) == ']';
	r->at += is_last;
	while (!status && !is_last) {
		if ((status = push(r)) || (status = read_value(r, r->n - 1)))
			break;
		status = next_item(r, ']', &is_last);
	}
	return status ? status : close_level(r, slot, first, TDM_LIST);
}

static bool same_key(const struct item *a, const struct item *b) {
	return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

// A polynomial over a field of 2^61-1 elements at a secret place: whoever does not know it cannot make keys that meet.
static uint64_t hash_key(const struct item *item, uint64_t secret) {
	const uint64_t prime = ((uint64_t)1 << 61) - 1;
	__extension__ unsigned __int128 product;
	uint64_t hash = item->key_len, word;
	for (size_t i = 0; i < item->key_len; i += 7) {
		word = 0;
		memcpy(&word, item->key + i, item->key_len - i < 7 ? item->key_len - i : 7);
		product = (unsigned __int128)hash * secret;
		hash = (uint64_t)(product & prime) + (uint64_t)(product >> 61) + word;
		hash = (hash & prime) + (hash >> 61);
	}
	product = (unsigned __int128)hash * secret;
	return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static uint64_t hash_secret(void) {
	static _Atomic uint64_t secret; // 0 = not drawn yet; of several threads that draw, one value stays
	uint64_t drawn = 0, none = 0;
	if (atomic_load(&secret) == 0 && tdm_system_random(&drawn, sizeof drawn) == TDM_OK)
		atomic_compare_exchange_strong(&secret, &none, drawn >> 4 | 1);
	drawn = atomic_load(&secret);
	return drawn ? drawn : (uint64_t)(uintptr_t)&none >> 4 | 1;
}

// Each key of items[0..n) is looked for in a table of what is kept. Returns how many are kept, SIZE_MAX without memory.
static size_t merge_many(struct item *items, size_t n) {
	size_t size = 64, kept = 0;
	while (size < n * 2)
		size *= 2;
	uint32_t *table = n < UINT32_MAX ? calloc(size, sizeof *table) : NULL; // 1 + place in items; 0 = free
	if (!table)
		return SIZE_MAX;
	uint64_t secret = hash_secret();
	for (size_t i = 0; i < n; i++) {
		size_t at = hash_key(&items[i], secret) & (size - 1);
		while (table[at] && !same_key(&items[table[at] - 1], &items[i]))
			at = (at + 1) & (size - 1);
		if (table[at]) {
			items[table[at] - 1].value = items[i].value;
		} else {
			items[kept] = items[i];
			table[at] = (uint32_t)++kept;
		}
	}
	free(table);
	return kept;
}

static size_t merge_few(struct item *items, size_t n) {
	size_t kept = 0, k;
	for (size_t i = 0; i < n; i++) {
		for (k = 0; k < kept && !same_key(&items[k], &items[i]); k++)
			;
		if (k < kept)
			items[k].value = items[i].value;
		else if (k < i)
			items[kept++] = items[i];
		else
			kept++;
	}
	return kept;
}

// Of equal keys, the first gives the place and the last the value.
static int merge_keys(struct reader *r, size_t first) {
	size_t n = r->n - first;
	struct item *items = r->items + first;
	size_t kept = n <= FEW_KEYS ? merge_few(items, n) : merge_many(items, n);
	if (kept == SIZE_MAX)
		return no_memory(r);
	r->n = first + kept;
	return TDM_OK;
}

static int read_key(struct reader *r, struct item *item) {
	const char *start = r->at;
	if (peek(r) != '"')
		return expected(r, "a key in quotes");
	int status = read_string(r, &item->key, &item->key_len);
	if (status)
		return status;
	bool has_escapes = (size_t)(r->at - start) - 2 != item->key_len; // nothing else can stand for NUL
	if (has_escapes && memchr(item->key, 0, item->key_len))
		return fail_at(r, start, "expected ", "a key without the character NUL");
	if (skip_space(r) != ':')
		return expected(r, "a colon after a key");
	r->at++;
	skip_space(r);
	return TDM_OK;
}

static int read_map(struct reader *r, size_t slot) {
	size_t first = r->n;
	int status = open_level(r);
	bool is_last = !status && skip_space(r) == '}';
	r->at += is_last;
	while (!status && !is_last) {
		if ((status = push(r)) || (status = read_key(r, &r->items[r->n - 1])) || (status = read_value(r, r->n - 1)))
			break;
		status = next_item(r, '}', &is_last);
	}
	if (!status)
		status = merge_keys(r, first);
	return status ? status : close_level(r, slot, first, TDM_MAP);
}

// --- any value

static int read_word(struct reader *r, size_t slot, const char *word, struct tdm_value value) {
	size_t n = strlen(word);
	if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
		return expected(r, "a value");
	r->at += n;
	r->items[slot].value = value;
	return TDM_OK;
}

static int read_value(struct reader *r, size_t slot) {
	struct tdm_value *out = &r->items[slot].value;
	switch (peek(r)) {
	case '{':
		return read_map(r, slot);
	case '[':
		return read_list(r, slot);
	case '"':
		*out = (struct tdm_value){.type = TDM_STRING};
		return read_string(r, &out->text, &out->len);
	case 't':
		return read_word(r, slot, "true", (struct tdm_value){.type = TDM_BOOL, .truth = true});
	case 'f':
		return read_word(r, slot, "false", (struct tdm_value){.type = TDM_BOOL});
	case 'n':
		return read_word(r, slot, "null", (struct tdm_value){.type = TDM_NULL});
	default:
		return peek(r) == '-' || is_digit(peek(r)) ? read_number(r, out) : expected(r, "a value");
	}
}

static int read_text(struct reader *r, struct tdm_value **out) {
	int status = push(r);
	skip_space(r);
	if (!status)
		status = read_value(r, 0);
	if (!status && (skip_space(r), r->at < r->end))
		status = expected(r, "the end of the text");
	struct tdm_value *value = status ? NULL : tdm_arena_alloc(r->arena, sizeof *value);
	if (!value)
		return status ? status : no_memory(r);
	*value = r->items[0].value;
	*out = value;
	return TDM_OK;
}

int tdm_json_parse(struct tdm_arena *arena, const char *data, size_t n, struct tdm_value **out, struct tdm_error *err) {
	struct item first[FIRST_ITEMS];
	const char *text = data ? data : "";
	struct reader r = {.text = text, .at = text, .end = text + (data ? n : 0), .arena = arena, .err = err};
	r.items = first;
	r.cap = FIRST_ITEMS;
	int status = read_text(&r, out);
	free(r.heap);
	return status;
}
