// Answer: small readers over one text. Each reader takes a span and a place and says where its item ends; the rule kept
// here is that what cannot be read is "no answer", never a guess.
#include "models/answer.h"
#include "base/text.h"
#include "base/value.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ANSWER_LIMIT_BYTES ((size_t)1 << 20)

struct span {
	const char *at;
	size_t n;
};

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

static struct span trimmed(struct span s) {
	while (s.n && isspace((unsigned char)s.at[0]))
		s.at++, s.n--;
	while (s.n && isspace((unsigned char)s.at[s.n - 1]))
		s.n--;
	return s;
}

// --- numbers

static size_t count_digits(struct span s, size_t at) {
	size_t n = 0;
	while (at + n < s.n && is_digit(s.at[at + n]))
		n++;
	return n;
}

// Digits with thousands commas and a fraction from `at`; returns the end, at itself when there are none.
static size_t read_digits(struct span s, size_t at, double *value) {
	char digits[64];
	size_t n = 0, i = at;
	bool point = false;
	while (i < s.n && n + 1 < sizeof digits) {
		char c = s.at[i];
		if (c == ',' && n > 0 && !point && count_digits(s, i + 1) == 3) {
			i++;
			continue;
		}
		bool begins_fraction = c == '.' && !point && count_digits(s, i + 1) > 0;
		if (!is_digit(c) && !begins_fraction)
			break;
		point |= begins_fraction;
		digits[n++] = c;
		i++;
	}
	digits[n] = 0;
	if (n == 0)
		return at;
	*value = strtod(digits, NULL);
	return i;
}

static bool has(struct span s, size_t at, const char *text) {
	size_t n = strlen(text);
	return at <= s.n && n <= s.n - at && !memcmp(s.at + at, text, n);
}

// A minus sign belongs to the number unless it joins it to a word or number before ("2024-05").
static bool is_negative(struct span s, size_t at) {
	static const char *const signs[] = {"-", "\xe2\x88\x92"}, *const currencies[] = {"$", "\xe2\x82\xac", "\xc2\xa3"};
	for (size_t i = 0; i < 3; i++) // "-$5"
		if (at >= strlen(currencies[i]) && has(s, at - strlen(currencies[i]), currencies[i]))
			at -= strlen(currencies[i]);
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(signs[i]);
		if (at >= n && has(s, at - n, signs[i]))
			return at == n || !isalnum((unsigned char)s.at[at - n - 1]);
	}
	return false;
}

// The first number at or after `from`; returns its end, 0 when there is none.
static size_t find_number(struct span s, size_t from, double *value) {
	for (size_t at = from; at < s.n; at++) {
		bool inside_word = at > 0 && isalpha((unsigned char)s.at[at - 1]);
		size_t end = inside_word ? at : read_digits(s, at, value), start = at;
		if (end == at) {
			while (inside_word && at + 1 < s.n && isalnum((unsigned char)s.at[at]))
				at++;
			continue;
		}
		double below;
		size_t after = end < s.n && s.at[end] == '/' ? read_digits(s, end + 1, &below) : end;
		if (after > end + 1 && below != 0) {
			*value /= below;
			end = after;
		}
		if (is_negative(s, start))
			*value = -*value;
		return end;
	}
	return 0;
}

static bool last_number(struct span s, double *value) {
	double next;
	size_t end = 0, at = 0;
	while ((at = find_number(s, at, &next))) {
		*value = next;
		end = at;
	}
	return end > 0;
}

static void write_number(struct tdm_bytes *out, double value) {
	tdm_bytes_printf(out, "%.9g", value == 0 ? 0.0 : value);
}

// --- dates

struct date {
	int year, month, day;
};

static const char *const months[] = {"january", "february", "march",     "april",   "may",      "june",
                                     "july",    "august",   "september", "october", "november", "december"};

struct word { // a run of digits or letters
	struct span text;
	int number; // -1: letters
	int month;  // 0: not a month
	char after; // the character behind
};

static int month_of(struct span s) {
	for (int i = 0; i < 12; i++)
		if (s.n >= 3 && s.n <= strlen(months[i]) && !strncasecmp(s.at, months[i], s.n))
			return i + 1;
	return 0;
}

static size_t next_word(struct span s, size_t at, struct word *w) {
	while (at < s.n && !isalnum((unsigned char)s.at[at]))
		at++;
	if (at == s.n)
		return 0;
	size_t start = at;
	bool digits = is_digit(s.at[at]);
	while (at < s.n && isalnum((unsigned char)s.at[at]) && is_digit(s.at[at]) == digits)
		at++;
	*w = (struct word){.text = {s.at + start, at - start}, .number = -1, .after = at < s.n ? s.at[at] : ' '};
	if (digits && at - start <= 4)
		for (w->number = 0; start < at; start++)
			w->number = 10 * w->number + s.at[start] - '0';
	else if (!digits)
		w->month = month_of(w->text);
	return at;
}

static bool is_date(const struct date *d) {
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (d->year % 4 == 0 && d->year % 100 != 0) || d->year % 400 == 0;
	if (d->year < 1000 || d->year > 9999 || d->month < 1 || d->month > 12 || d->day < 1)
		return false;
	return d->day <= days[d->month - 1] && (d->month != 2 || d->day < 29 || leap);
}

// Three words as a date: 2024-05-03, 3 May 2024, May 3 2024, 3.5.2024, 5/3/2024 (month first with slashes).
static bool date_of(const struct word *w, struct date *d) {
	if (w[0].text.n == 4 && w[0].number > 0)
		*d = (struct date){w[0].number, w[1].month ? w[1].month : w[1].number, w[2].number};
	else if (w[1].month)
		*d = (struct date){w[2].number, w[1].month, w[0].number};
	else if (w[0].month)
		*d = (struct date){w[2].number, w[0].month, w[1].number};
	else if (w[0].after == '/')
		*d = (struct date){w[2].number, w[0].number, w[1].number};
	else
		*d = (struct date){w[2].number, w[1].number, w[0].number};
	return is_date(d);
}

static bool is_ordinal(struct span s) {
	return s.n == 2 && (!strncasecmp(s.at, "st", 2) || !strncasecmp(s.at, "nd", 2) || !strncasecmp(s.at, "rd", 2) ||
	                    !strncasecmp(s.at, "th", 2) || !strncasecmp(s.at, "of", 2));
}

static bool last_date(struct span s, struct date *date) {
	struct word w[3], next;
	size_t at = 0, n = 0;
	bool found = false;
	struct date d;
	while ((at = next_word(s, at, &next))) {
		if (n && is_ordinal(next.text)) // "3rd of May"
			continue;
		if (n == 3) {
			w[0] = w[1];
			w[1] = w[2];
			n = 2;
		}
		w[n++] = next;
		if (n == 3 && date_of(w, &d)) {
			*date = d;
			found = true;
			n = 0;
		}
	}
	return found;
}

// --- letters of choices

static bool is_letter(char c) {
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

// Does what stands before s.at[at], white space aside, end with a word that announces a choice?
static bool is_announced(struct span s, size_t at) {
	static const char *const words[] = {"answer", "option", "choice", "answer is", "option is", "choice is"};
	while (at && (isspace((unsigned char)s.at[at - 1]) || strchr(":*(", s.at[at - 1])))
		at--;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t n = strlen(words[i]);
		if (at >= n && !strncasecmp(s.at + at - n, words[i], n))
			return true;
	}
	return false;
}

// Behind the letter at `at`: nothing, or the point, bracket or colon of a list, on the first line of the answer.
static bool begins_list(struct span s, size_t at) {
	return at == 0 && (s.n == 1 || strchr(".):,\n", s.at[1]));
}

// Small letters count where they cannot be words.
static bool is_choice(char c, bool small) {
	return (c >= 'A' && c <= 'J') || (small && c >= 'a' && c <= 'j');
}

static bool stands_alone(struct span s, size_t at) {
	return (at == 0 || !is_letter(s.at[at - 1])) && (at + 1 == s.n || !is_letter(s.at[at + 1]));
}

static bool last_choice(struct span s, char *letter) {
	bool found = false;
	for (size_t at = 0; at < s.n; at++) {
		bool bracketed = at && at + 1 < s.n && s.at[at - 1] == '(' && s.at[at + 1] == ')';
		if (!is_choice(s.at[at], s.n <= 2 || bracketed) || !stands_alone(s, at))
			continue;
		if (bracketed || begins_list(s, at) || is_announced(s, at)) {
			*letter = (char)toupper((unsigned char)s.at[at]);
			found = true;
		}
	}
	return found;
}

// --- JSON

static int by_key(const void *a, const void *b) {
	return strcmp(**(const char *const *const *)a, **(const char *const *const *)b);
}

static void write_sorted(struct tdm_bytes *out, struct tdm_arena *arena, const struct tdm_value *v);

static void write_map(struct tdm_bytes *out, struct tdm_arena *arena, const struct tdm_value *v) {
	const char *const **order = tdm_arena_array(arena, v->n + 1, sizeof *order);
	out->failed |= !order;
	for (size_t i = 0; order && i < v->n; i++)
		order[i] = &v->keys[i];
	if (order)
		qsort(order, v->n, sizeof *order, by_key);
	tdm_bytes_putc(out, '{');
	for (size_t i = 0; i < v->n && !out->failed; i++) {
		size_t at = (size_t)(order[i] - (const char *const *)v->keys);
		tdm_bytes_puts(out, i ? "," : "");
		tdm_bytes_json(out, v->keys[at], strlen(v->keys[at]));
		tdm_bytes_putc(out, ':');
		write_sorted(out, arena, &v->items[at]);
	}
	tdm_bytes_putc(out, '}');
}

static void write_list(struct tdm_bytes *out, struct tdm_arena *arena, const struct tdm_value *v) {
	tdm_bytes_putc(out, '[');
	for (size_t i = 0; i < v->n && !out->failed; i++) {
		tdm_bytes_puts(out, i ? "," : "");
		write_sorted(out, arena, &v->items[i]);
	}
	tdm_bytes_putc(out, ']');
}

static void write_sorted(struct tdm_bytes *out, struct tdm_arena *arena, const struct tdm_value *v) {
	if (v->type == TDM_MAP)
		write_map(out, arena, v);
	else if (v->type == TDM_LIST)
		write_list(out, arena, v);
	else if (v->type == TDM_NUMBER)
		tdm_bytes_number(out, v->number);
	else
		tdm_value_write(out, v);
}

// What stands between a first line of three backticks and the last three; the text itself without them.
static struct span unfenced(struct span s) {
	if (!has(s, 0, "```"))
		return s;
	const char *line = memchr(s.at, '\n', s.n);
	size_t begin = line ? (size_t)(line - s.at) + 1 : s.n, end = s.n;
	if (end >= begin + 3 && has(s, end - 3, "```"))
		end -= 3;
	return trimmed((struct span){s.at + begin, end - begin});
}

bool tdm_answer_json(struct tdm_bytes *out, const char *text, size_t n) {
	struct span s = unfenced(trimmed((struct span){text, n}));
	struct tdm_arena arena;
	struct tdm_value *value;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, 16 * ANSWER_LIMIT_BYTES);
	bool found = s.n && tdm_json_parse(&arena, s.at, s.n, &value, &err) == TDM_OK;
	if (found)
		write_sorted(out, &arena, value);
	tdm_arena_release(&arena);
	return found && !out->failed;
}

// --- where the answer is

static bool json_answer(struct tdm_bytes *out, struct span s) {
	struct tdm_arena arena;
	struct tdm_value *value;
	struct tdm_error err = {0};
	bool found = false;
	if (s.n == 0 || s.at[0] != '{')
		return false;
	tdm_arena_init(&arena, 16 * ANSWER_LIMIT_BYTES);
	if (tdm_json_parse(&arena, s.at, s.n, &value, &err) == TDM_OK) {
		const struct tdm_value *answer = tdm_get(value, "answer");
		if (answer && answer->type == TDM_STRING)
			tdm_bytes_add(out, answer->text, answer->len);
		else if (answer)
			tdm_value_write(out, answer);
		found = answer != NULL;
	}
	tdm_arena_release(&arena);
	return found;
}

// What stands in the last \boxed{...}, braces balanced.
static bool boxed(struct span s, struct span *out) {
	bool found = false;
	for (size_t at = 0; at < s.n; at++) {
		if (!has(s, at, "\\boxed{"))
			continue;
		size_t start = at + 7, end = start;
		for (int depth = 1; end < s.n; end++) {
			depth += s.at[end] == '{' ? 1 : s.at[end] == '}' ? -1 : 0;
			if (depth == 0)
				break;
		}
		if (end < s.n) {
			*out = (struct span){s.at + start, end - start};
			found = true;
		}
	}
	return found;
}

// What follows the last "answer:" or "A:" that begins a line, to the end of the text.
static bool after_marker(struct span s, struct span *out) {
	bool found = false, line_start = true;
	for (size_t at = 0; at < s.n; at++) {
		size_t left = s.n - at, skip = 0;
		if (line_start && left >= 7 && !strncasecmp(s.at + at, "answer:", 7))
			skip = 7;
		else if (line_start && left >= 2 && !memcmp(s.at + at, "A:", 2))
			skip = 2;
		if (skip) {
			*out = (struct span){s.at + at + skip, left - skip};
			found = true;
		}
		line_start = s.at[at] == '\n' || (line_start && isspace((unsigned char)s.at[at]));
	}
	return found;
}

static bool extract_typed(struct tdm_bytes *out, struct span s, enum tdm_answer_type type) {
	double number;
	struct date d;
	char letter;
	if (type == TDM_ANSWER_CHOICE && last_choice(s, &letter))
		tdm_bytes_putc(out, letter);
	else if (type == TDM_ANSWER_NUMBER && last_number(s, &number))
		write_number(out, number);
	else if (type == TDM_ANSWER_DATE && last_date(s, &d))
		tdm_bytes_printf(out, "%04d-%02d-%02d", d.year, d.month, d.day);
	else if (type == TDM_ANSWER_NUMBER || type == TDM_ANSWER_DATE || type == TDM_ANSWER_CHOICE || s.n == 0)
		return false;
	else
		tdm_bytes_add(out, s.at, s.n);
	return !out->failed;
}

bool tdm_answer_extract(struct tdm_bytes *out, const char *reply, size_t n, enum tdm_answer_type type) {
	struct span s = trimmed((struct span){reply, n}), part;
	if (type == TDM_ANSWER_JSON) // all of it
		return extract_typed(out, s, type);
	if (json_answer(out, s))
		return !out->failed;
	if (boxed(s, &part) || after_marker(s, &part)) {
		part = trimmed(part);
		tdm_bytes_add(out, part.at, part.n);
		return part.n > 0 && !out->failed;
	}
	return extract_typed(out, s, type);
}

// --- what is compared

static bool normal_text(struct tdm_bytes *out, struct span s) {
	struct tdm_bytes folded;
	size_t before = out->len;
	tdm_bytes_init(&folded, 18 * s.n + 16); // the longest compatibility form of a character
	if (tdm_nfkc(&folded, s.at, s.n, true) == TDM_OK) {
		struct span t = trimmed((struct span){folded.data, folded.len});
		while (t.n && (t.at[t.n - 1] == '.' || isspace((unsigned char)t.at[t.n - 1])))
			t.n--;
		for (size_t i = 0; i < t.n; i++)
			if (!isspace((unsigned char)t.at[i]))
				tdm_bytes_putc(out, t.at[i]);
			else if (!isspace((unsigned char)t.at[i - 1]))
				tdm_bytes_putc(out, ' ');
	}
	tdm_bytes_release(&folded);
	return out->len > before && !out->failed;
}

bool tdm_answer_normal(struct tdm_bytes *out, const char *answer, size_t n, enum tdm_answer_type type) {
	struct span s = trimmed((struct span){answer, n});
	double number;
	if (s.n == 0)
		return false;
	switch (type) {
	case TDM_ANSWER_EXACT:
		tdm_bytes_add(out, s.at, s.n);
		return !out->failed;
	case TDM_ANSWER_NUMBER:
		if (!find_number(s, 0, &number) || !isfinite(number))
			return false;
		write_number(out, number);
		return !out->failed;
	case TDM_ANSWER_JSON:
		return tdm_answer_json(out, s.at, s.n);
	case TDM_ANSWER_DATE:
	case TDM_ANSWER_CHOICE:
		return extract_typed(out, s, type);
	default:
		return normal_text(out, s);
	}
}

bool tdm_answer_read(struct tdm_bytes *out, const char *reply, size_t n, enum tdm_answer_type type) {
	struct tdm_bytes answer;
	tdm_bytes_init(&answer, ANSWER_LIMIT_BYTES);
	bool found = tdm_answer_extract(&answer, reply, n, type) && tdm_answer_normal(out, answer.data, answer.len, type);
	tdm_bytes_release(&answer);
	return found;
}

bool tdm_answer_same(const char *a, size_t n_a, const char *b, size_t n_b, enum tdm_answer_type type) {
	struct tdm_bytes x, y;
	tdm_bytes_init(&x, ANSWER_LIMIT_BYTES);
	tdm_bytes_init(&y, ANSWER_LIMIT_BYTES);
	bool same = tdm_answer_read(&x, a, n_a, type) && tdm_answer_read(&y, b, n_b, type) && x.len == y.len &&
	            !memcmp(x.data, y.data, x.len);
	tdm_bytes_release(&x);
	tdm_bytes_release(&y);
	return same;
}
