// Ordinary: see ordinary.h.
#include "privacy/detect/ordinary.h"
#include <string.h>

bool tdm_only_digits(const struct tdm_candidate *c) {
	uint64_t all = (UINT64_C(1) << c->compact.taken) - 1;
	return (c->compact.digits & all) == all;
}

// "2310.12963", "1.5 2.5 3.5", "1680 - 1.0 / 1188": one decimal, several, a sum.
static bool has_decimals(const struct tdm_candidate *c) {
	const struct tdm_compact *k = &c->compact;
	uint64_t between = k->starts & ((UINT64_C(1) << (k->taken - 1)) - 1); // groups with another one before them
	int points = 0, others = 0, blanks = 0;
	if (c->end - c->start > (size_t)(k->taken + __builtin_popcountll(between)))
		return true; // two signs side by side
	for (int group = 1; between; between &= between - 1) {
		char at = c->text[tdm_compact_begin(k, group++) - 1];
		points += at == '.';
		blanks += at == ' ';
		others += at != '.' && at != ' ';
	}
	return points && (blanks || (points == 1 && !others));
}

// Numbers one after the other, such as "47 50 70 38 85 15": identifiers are not written in groups that are mostly of
// one or two digits and never of more than three; of those that few numbers pass by chance, not in these alone.
static bool is_list(const struct tdm_candidate *c) {
	const struct tdm_compact *k = &c->compact;
	int longest = 0, small = 0, groups = 0, from = 0;
	if (k->separator != ' ')
		return false;
	for (uint64_t left = k->starts & ((UINT64_C(1) << k->taken) - 1); left; left &= left - 1) {
		int end = __builtin_ctzll(left) + 1, length = end - from;
		longest = length > longest ? length : longest;
		small += length <= 2;
		groups++;
		from = end;
	}
	return groups > 2 && longest <= (c->entity->bare ? 2 : 3) && 2 * small > groups;
}

static int two_digits(const char *s) {
	return (s[0] - '0') * 10 + s[1] - '0';
}

static bool is_year(const char *s) {
	return *s == '1' || two_digits(s) == 20;
}

// "1958-1968", "2017-01-29", "29.1.2017" with its zeros, and such behind the letters of the number: the starts of the
// groups, from the end.
static bool is_date(const struct tdm_candidate *c) {
	const char *s = c->compact.text + TDM_COMPACT_BYTES - 8;
	unsigned starts = (unsigned)c->compact.starts & 0xff;
	int n = c->compact.taken;
	uint64_t before = n > 8 ? c->compact.digits >> 8 & ((UINT64_C(1) << (n - 8)) - 1) : 0;
	if (n < 8 || (c->compact.digits & 0xff) != 0xff || before)
		return false;
	if (starts == 0x88)
		return is_year(s) && is_year(s + 4);
	if (starts == 0x8a)
		return is_year(s) && two_digits(s + 4) <= 12 && two_digits(s + 6) <= 31;
	int first = two_digits(s), second = two_digits(s + 2); // of day and month, either may come first
	return starts == 0xa8 && is_year(s + 4) && first <= 31 && second <= 31 && (first <= 12 || second <= 12);
}

// "ISBN 0-306-40615-2", "978-3-16-148410-0"
static bool is_book(const struct tdm_candidate *c) {
	const char *t = c->text + c->start;
	bool named = false;
	for (size_t k = 4; k <= 8 && k <= c->start && !named; k++)
		named = memcmp(t - k, "ISBN", 4) == 0;
	return named || (c->compact.taken == 13 && (!strncmp(t, "978-", 4) || !strncmp(t, "979-", 4)));
}

bool tdm_is_ordinary(const struct tdm_candidate *c) {
	if (!c->compact.separator)
		return false;
	return has_decimals(c) || is_date(c) || is_book(c) || (tdm_only_digits(c) && is_list(c));
}
