// Telephone numbers: E.164 with '+', the North American form, and national forms with trunk 0. Bare runs of digits
// count only beside a context word, because their form says nothing.
#include "privacy/detect/checks.h"
#include <string.h>

// Country codes of E.164 and the digits that follow: fewest, most. Where nothing narrower is known: 4 to 15 - code.
static const struct {
	uint16_t code;
	uint8_t fewest, most;
} countries[] = {
    {1, 10, 10},  {7, 10, 10}, {20, 8, 10},  {27, 9, 9},   {30, 10, 10}, {31, 5, 11},  {32, 8, 9},   {33, 9, 9},
    {34, 9, 9},   {36, 8, 9},  {39, 6, 12},  {40, 9, 9},   {41, 9, 12},  {43, 4, 13},  {44, 7, 10},  {45, 8, 8},
    {46, 6, 13},  {47, 5, 8},  {48, 9, 9},   {49, 5, 13},  {51, 8, 11},  {52, 10, 11}, {53, 6, 10},  {54, 10, 11},
    {55, 8, 11},  {56, 8, 11}, {57, 8, 11},  {58, 10, 10}, {60, 7, 10},  {61, 5, 13},  {62, 5, 12},  {63, 8, 12},
    {64, 8, 10},  {65, 8, 12}, {66, 8, 10},  {81, 5, 13},  {82, 8, 11},  {84, 7, 10},  {86, 5, 12},  {90, 7, 10},
    {91, 7, 13},  {92, 8, 11}, {93, 9, 9},   {94, 9, 9},   {95, 7, 10},  {98, 4, 10},  {351, 9, 11}, {352, 4, 11},
    {353, 7, 11}, {354, 7, 9}, {358, 5, 12}, {359, 7, 9},  {370, 8, 8},  {371, 7, 8},  {372, 7, 10}, {380, 9, 9},
    {385, 7, 12}, {386, 8, 8}, {420, 4, 12}, {421, 4, 9},  {852, 4, 11}, {853, 7, 8},  {886, 8, 10}, {961, 7, 8},
    {962, 5, 9},  {965, 7, 8}, {966, 8, 10}, {968, 7, 8},  {971, 8, 9},  {972, 8, 11}, {973, 8, 8},  {974, 7, 8},
};

// The zones whose three-digit codes are all given out or reserved for countries.
static bool three_digit_code(int code) {
	int zone = code / 10;
	static const uint8_t zones[] = {21, 22, 23, 24, 25, 26, 29, 35, 37, 38, 42, 50,
	                                59, 67, 68, 69, 80, 85, 87, 88, 96, 97, 99};
	return zone && memchr(zones, zone, sizeof zones) && code != 259 && code != 384 && code != 999;
}

static bool lookup(int code, int *fewest, int *most) {
	for (size_t i = 0; i < sizeof countries / sizeof *countries; i++)
		if (countries[i].code == code) {
			*fewest = countries[i].fewest;
			*most = countries[i].most;
			return true;
		}
	*fewest = 4;
	*most = 12;
	return code >= 100 && three_digit_code(code);
}

// n digits with a country code first; trunk: a "(0)" among them that is not dialled.
static bool international(const struct tdm_number *d, int n, int trunk) {
	int code = 0, fewest, most;
	for (int digits = 1; digits <= 3 && digits < n; digits++) {
		code = code * 10 + d->digit[n - digits];
		if (code && lookup(code, &fewest, &most))
			return n - digits - trunk >= fewest && n - digits - trunk <= most && n - trunk >= 5;
	}
	return false;
}

static int optional_trunk(const struct tdm_candidate *c, int n) {
	for (int i = 1; i < n; i++)
		if (c->number.digit[i] == 0 && c->number.at[i] > 0 && c->text[c->number.at[i] - 1] == '(' &&
		    c->text[c->number.at[i] + 1] == ')')
			return 1;
	return 0;
}

static enum tdm_check span(struct tdm_candidate *c, int n, enum tdm_check verdict) {
	c->start = c->number.at[n - 1];
	c->end = c->number.at[0] + 1;
	while (c->start > 0 && (c->text[c->start - 1] == '+' || c->text[c->start - 1] == '('))
		c->start--;
	return verdict;
}

static enum tdm_check e164(struct tdm_candidate *c) {
	const struct tdm_number *d = &c->number;
	for (int n = d->n < 17 ? d->n : 17; n >= 5; n--) {
		size_t at = d->at[n - 1];
		if (!d->starts[n - 1] || at == 0 || c->text[at - 1] != '+')
			continue;
		if (international(d, n, optional_trunk(c, n)))
			return span(c, n, TDM_CHECK_PASS);
	}
	return TDM_CHECK_NONE;
}

static bool nanp_digits(const struct tdm_number *d) {
	bool area = d->digit[9] >= 2 && !(d->digit[8] == 1 && d->digit[7] == 1);
	bool exchange = d->digit[6] >= 2 && !(d->digit[5] == 1 && d->digit[4] == 1);
	return area && exchange;
}

static enum tdm_check nanp(struct tdm_candidate *c) {
	const struct tdm_number *d = &c->number;
	static const bool form[10] = {0, 0, 0, 1, 0, 0, 1, 0, 0, 1};
	if (d->n < 10 || memcmp(d->starts, form, sizeof form) != 0 || !nanp_digits(d))
		return TDM_CHECK_NONE;
	if (d->separator[3] == '?' || d->separator[3] == '(' || d->separator[3] == ')')
		return TDM_CHECK_NONE;
	bool country = d->n >= 11 && d->digit[10] == 1 && d->starts[10] && d->separator[9];
	return span(c, country ? 11 : 10, TDM_CHECK_PASS);
}

// 0AA.. followed by groups of two or more, or five pairs.
static bool national_groups(const struct tdm_number *d, int n) {
	int size = 0, groups = 0, first = 0, shortest = 9;
	for (int i = 0; i < n; i++) {
		size++;
		if (!d->starts[i])
			continue;
		groups++;
		first = size;
		if (i < n - 1 && size < shortest)
			shortest = size;
		size = 0;
	}
	bool pairs = n == 10 && groups == 5 && shortest == 2 && first == 2;
	return pairs || (groups >= 2 && groups <= 5 && first >= 3 && first <= 5 && shortest >= 2);
}

static enum tdm_check national(struct tdm_candidate *c) {
	const struct tdm_number *d = &c->number;
	for (int n = d->n < 12 ? d->n : 12; n >= 9; n--)
		if (d->starts[n - 1] && d->digit[n - 1] == 0 && d->digit[n - 2] != 0 && national_groups(d, n))
			return span(c, n, TDM_CHECK_ABSTAIN);
	return TDM_CHECK_NONE;
}

enum tdm_check tdm_check_phone(struct tdm_candidate *c) {
	enum tdm_check verdict = e164(c);
	if (verdict == TDM_CHECK_NONE)
		verdict = nanp(c);
	return verdict == TDM_CHECK_NONE ? national(c) : verdict;
}

enum tdm_check tdm_check_bare_phone(struct tdm_candidate *c) {
	const struct tdm_number *d = &c->number;
	for (int n = d->n < 11 ? d->n : 11; n >= 7; n--)
		if (d->starts[n - 1])
			return span(c, n, TDM_CHECK_ABSTAIN);
	return TDM_CHECK_NONE;
}
