// Telephone numbers: E.164 with '+' or a prefix of dialling abroad, the North American form, national forms with trunk
// 0, a code in parentheses, and mobile numbers whose groups no other number has; an extension behind any of them. Bare
// runs of digits count only beside a context word, because their form says nothing.
#include "privacy/detect/checks.h"
#include <string.h>
#include <strings.h>

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

static bool digit(char c) {
	return c >= '0' && c <= '9';
}
static bool letter(char c) {
	return (c | 32) >= 'a' && (c | 32) <= 'z';
}

// Where the extension behind text[end) ends: "x123", "ext. 12", " #4", "extension 12"; end when there is none.
static size_t extension_end(const char *t, size_t end) {
	static const char *const words[] = {"extension", "ext",     "extn", "poste", "durchwahl",
	                                    "interno",   "toestel", "x",    "#"};
	if (!letter(t[end]) && t[end] != ',' && t[end] != ' ' && t[end] != '#')
		return end;
	size_t at = end + (t[end] == ',');
	at += t[at] == ' ';
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if ((t[at] | 32) != words[i][0])
			continue;
		size_t n = strlen(words[i]), k = at + n;
		if (strncasecmp(t + at, words[i], n) != 0)
			continue;
		k += t[k] == '.' || t[k] == ':';
		k += t[k] == ' ';
		size_t first = k;
		while (digit(t[k]))
			k++;
		if (k > first && k - first <= 6 && !letter(t[k]))
			return k;
	}
	return end;
}

static enum tdm_check span(struct tdm_candidate *c, int n, enum tdm_check verdict) {
	c->start = c->number.at[n - 1];
	c->end = extension_end(c->text, c->number.at[0] + 1u);
	size_t most = c->start > 2 ? c->start - 2 : 0;
	for (size_t i = c->start; i > most && (c->text[i - 1] == '+' || c->text[i - 1] == '('); i--)
		if (c->text[i - 1] == '+' || memchr(c->text + c->start, ')', c->end - c->start)) // a '(' that is closed inside
			c->start = i - 1;
	return verdict;
}

// Digits of the prefix for dialling abroad that begins at the n-th digit: "00" or "011" before a country code.
static int abroad(const struct tdm_number *d, int n) {
	if (n < 10)
		return 0;
	if (d->digit[n - 2] == 0)
		return 2;
	return d->digit[n - 2] == 1 && d->digit[n - 3] == 1 && tdm_number_starts(d, n - 4) ? 3 : 0;
}

static int highest(uint32_t bits) {
	return bits ? 32 - __builtin_clz(bits) : 0;
}

// With a plus the form alone is enough; without one the groups, or a word beside it, must speak for it.
static enum tdm_check e164(struct tdm_candidate *c) {
	const struct tdm_number *d = &c->number;
	uint32_t left = (d->pluses | d->zeros) & ((1u << 17) - 1);
	for (int n; (n = highest(left)) >= 5; left &= ~(1u << (n - 1))) {
		bool plus = d->pluses >> (n - 1) & 1;
		int prefix = plus ? 0 : abroad(d, n);
		if (!plus && (!prefix || n - prefix < 8 || (d->starts & ((1u << (n - 1)) - 1)) == 0))
			continue;
		if (international(d, n - prefix, optional_trunk(c, n)))
			return span(c, n, TDM_CHECK_PASS);
		if (plus && n >= 8 && n <= 15)
			return span(c, n, TDM_CHECK_ABSTAIN);
	}
	return TDM_CHECK_NONE;
}

static bool nanp_digits(const struct tdm_number *d) {
	bool area = d->digit[9] >= 2 && !(d->digit[8] == 1 && d->digit[7] == 1);
	bool exchange = d->digit[6] >= 2 && !(d->digit[5] == 1 && d->digit[4] == 1);
	return area && exchange;
}

static bool closed(const struct tdm_candidate *c, int n) { // a ')' behind the n-th digit
	return c->text[c->number.at[n - 1] + 1] == ')';
}

static bool nanp_form(const struct tdm_number *d) { // three, three and four digits
	if (d->n < 10 || (d->starts & 0x3ff) != (1 << 9 | 1 << 6 | 1 << 3))
		return false;
	char last = d->separator[3];
	return last != '?' && last != '(' && last != ')';
}

// Codes that are not given out are mistyped or made up: then the same separator twice, or parentheses, must say that it
// is meant as a telephone number.
static enum tdm_check nanp(struct tdm_candidate *c) {
	const struct tdm_number *d = &c->number;
	if (!nanp_form(d))
		return TDM_CHECK_NONE;
	char last = d->separator[3];
	bool country = d->n >= 11 && d->digit[10] == 1 && tdm_number_starts(d, 10) && d->separator[9];
	if (nanp_digits(d))
		return span(c, country ? 11 : 10, TDM_CHECK_PASS);
	bool meant = closed(c, 8) || ((last == '-' || last == '.') && d->separator[6] == last);
	return meant && (d->n == 10 || country) ? span(c, country ? 11 : 10, TDM_CHECK_ABSTAIN) : TDM_CHECK_NONE;
}

#define MOST_GROUPS 5
struct groups { // of the last n digits, the first group first
	int n, shortest, size[MOST_GROUPS];
	bool same; // one separator between all of them
};

// False: there are more groups than any telephone number has.
static bool groups_of(const struct tdm_number *d, int n, struct groups *g) {
	char first = 0;
	*g = (struct groups){.shortest = n, .same = true};
	for (int k = n, next; k > 0; k = next) {
		next = tdm_number_groups(d, k - 1);
		if (g->n == MOST_GROUPS)
			return false;
		g->size[g->n++] = k - next;
		g->shortest = k - next < g->shortest ? k - next : g->shortest;
		char between = next ? d->separator[next - 1] : first;
		first = first ? first : between;
		g->same = g->same && between == first;
	}
	return true;
}

// 0AA.. followed by groups of two or more, or five pairs; after two digits groups of three or more.
static bool national_groups(const struct groups *g, int n) {
	if (n == 10 && g->n == 5 && g->shortest == 2 && g->size[0] == 2)
		return true;
	if (g->n == 3 && g->size[0] == 2 && g->same)
		return g->size[1] >= 3 && g->size[2] >= 3;
	return g->n >= 2 && g->size[0] >= 3 && g->size[0] <= 5 && g->shortest >= 2;
}

// "(11) 91234-5678": two to five digits in parentheses, then five to nine.
static bool code_in_parentheses(const struct tdm_candidate *c, const struct groups *g, int n) {
	return g->n >= 2 && g->n <= 4 && g->size[0] >= 2 && g->size[0] <= 5 && closed(c, n - g->size[0] + 1) &&
	       n - g->size[0] >= 5 && n - g->size[0] <= 9 && g->shortest >= 2;
}

// Mobile numbers without a trunk, written as their country does: China, India, Spain, Turkey.
static bool mobile_groups(const struct groups *g, int first) {
	static const struct {
		char low, high;
		uint8_t n, size[4];
	} forms[] = {{1, 1, 3, {3, 4, 4}}, {6, 9, 2, {5, 5}}, {6, 7, 4, {3, 2, 2, 2}}, {5, 5, 4, {3, 3, 2, 2}}};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		bool fits = g->same && g->n == forms[i].n && first >= forms[i].low && first <= forms[i].high;
		for (int k = 0; fits && k < g->n; k++)
			fits = g->size[k] == forms[i].size[k];
		if (fits)
			return true;
	}
	return false;
}

// What stands beside a number that counts something: a sign of money, or a word right behind it.
static bool amount(const struct tdm_candidate *c, int n) {
	const char *t = c->text;
	size_t start = c->number.at[n - 1], end = c->number.at[0] + 1u;
	start -= start > 0 && t[start - 1] == ' ';
	end += t[end] == ' ';
	bool money = start > 0 && (t[start - 1] == '$' || (unsigned char)t[start - 1] >= 0x80);
	return money || letter(t[end]) || (unsigned char)t[end] >= 0x80 || t[end] == '%' || t[end] == '$';
}

// A local number, a blank inside: "555 1234", "22 345678", but "section 101 2024".
static bool local_groups(const struct tdm_number *d, const struct groups *g) {
	bool year = d->digit[3] * 10 + d->digit[2] == 19 || d->digit[3] * 10 + d->digit[2] == 20;
	return g->n == 2 && d->digit[g->size[0] + g->size[1] - 1] > 1 &&
	       ((g->size[0] == 3 && g->size[1] == 4 && !year) || (g->size[0] == 2 && g->size[1] == 6));
}

// "612 345 678", "22 345 678", "22 345 67 89".
static bool threes(const struct groups *g) {
	bool pairs = g->n == 4 && g->size[0] == 2 && g->size[1] == 3 && g->size[2] == 2 && g->size[3] == 2;
	return pairs || (g->n == 3 && g->size[0] >= 2 && g->size[0] <= 3 && g->size[1] == 3 && g->size[2] == 3);
}

// "12-34-56-78": three groups and more of two to four digits that are no date and no SSN.
static bool dashes(const struct groups *g, int n) {
	bool other = g->n == 3 && g->shortest == 2 && (g->size[0] == 4 || g->size[2] == 4) && n <= 9;
	for (int i = 0; i < g->n; i++)
		if (g->size[i] > 4)
			return false;
	return g->n >= 3 && n >= 8 && !other;
}

// Numbers without a trunk. Where blanks are between, an amount may be meant.
static bool plain_groups(const struct tdm_candidate *c, const struct groups *g, int n) {
	if (!g->same || n < 7 || n > 10 || g->shortest < 2 || g->n < 2)
		return false;
	char between = c->number.separator[n - g->size[0] - 1];
	if (between == ' ')
		return (threes(g) || local_groups(&c->number, g)) && !amount(c, n);
	return between == '-' && dashes(g, n);
}

// The whole number: of one that goes on to the left only a trunk or a parenthesis says where it begins.
static bool without_trunk(const struct tdm_candidate *c, const struct groups *g, int n) {
	return n == c->number.n && ((n >= 9 && mobile_groups(g, c->number.digit[n - 1])) || plain_groups(c, g, n));
}

static enum tdm_check national(struct tdm_candidate *c) {
	const struct tdm_number *d = &c->number;
	uint32_t whole = d->n > 0 && d->n <= 14 ? d->starts & 1u << (d->n - 1) : 0;
	uint32_t left = (d->zeros | d->open | whole) & ((1u << 14) - 1);
	struct groups g;
	for (int n; (n = highest(left)) >= 7; left &= ~(1u << (n - 1))) {
		bool trunk = n >= 9 && n <= 12 && d->zeros >> (n - 1) & 1 && d->digit[n - 2] != 0;
		bool open = d->open >> (n - 1) & 1;
		if (!groups_of(d, n, &g))
			continue;
		if ((trunk && national_groups(&g, n)) || (open && code_in_parentheses(c, &g, n)) || without_trunk(c, &g, n))
			return span(c, n, TDM_CHECK_ABSTAIN);
	}
	return TDM_CHECK_NONE;
}

enum tdm_check tdm_check_phone(struct tdm_candidate *c) {
	enum tdm_check verdict = e164(c);
	if (verdict == TDM_CHECK_NONE)
		verdict = nanp(c);
	return verdict == TDM_CHECK_NONE ? national(c) : verdict;
}

#define MOST_BARE 14

static bool is_century(const uint8_t *second) { // the digits of "19" or "20", the later one first
	return (second[1] == 1 && second[0] == 9) || (second[1] == 2 && second[0] == 0);
}

// "2026-01-28", "1999-2005"
static bool is_date(const struct tdm_number *d) {
	unsigned starts = d->starts & 0xff;
	bool day = starts == 0x8a && d->digit[3] <= 1 && d->digit[1] <= 3,
	     years = starts == 0x88 && is_century(d->digit + 2);
	return d->n >= 8 && is_century(d->digit + 6) && (day || years);
}

// "0.000123456"
static bool is_decimal(const struct tdm_number *d, int n) {
	return d->digit[n - 1] == 0 && n > 1 && tdm_number_starts(d, n - 2) && d->separator[n - 2] == '.';
}

enum tdm_check tdm_check_bare_phone(struct tdm_candidate *c) {
	int n = tdm_number_groups(&c->number, MOST_BARE);
	return n >= 7 && !is_date(&c->number) && !is_decimal(&c->number, n) ? span(c, n, TDM_CHECK_ABSTAIN)
	                                                                    : TDM_CHECK_NONE;
}
