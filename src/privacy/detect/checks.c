// Checks of numbers: cards, accounts, social security numbers. See checks.h; telephone numbers are in phone.c, network
// addresses in address.c, keys and passwords in secret.c.
#include "privacy/detect/checks.h"
#include <math.h>
#include <string.h>

static bool digit(char c) {
	return c >= '0' && c <= '9';
}
static bool letter(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// H = log2 n - (1/n) sum c log2 c, the sum kept while counting.
double tdm_entropy(const char *text, size_t n) {
	unsigned counts[256] = {0};
	double sum = 0;
	for (size_t i = 0; i < n; i++) {
		double c = counts[(unsigned char)text[i]]++;
		sum += (c + 1) * log2(c + 1) - (c > 0 ? c * log2(c) : 0);
	}
	return n ? log2((double)n) - sum / (double)n : 0;
}

static bool group_separator(char c) {
	return c == ' ' || c == '.' || c == '(' || c == ')' || c == '/' || c == '-';
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lowest bit of a word belongs to its first byte");

size_t tdm_next_digit(const char *text, size_t at, size_t n) {
	if (at < n && digit(text[at]))
		return at;
	for (uint64_t x; at + 8 <= n; at += 8) { // eight bytes at a time
		memcpy(&x, text + at, 8);
		x ^= UINT64_C(0x3030303030303030);
		uint64_t others = ((x & UINT64_C(0x7f7f7f7f7f7f7f7f)) + UINT64_C(0x7676767676767676)) | x,
		         digits = ~others & UINT64_C(0x8080808080808080);
		if (digits)
			return at + (size_t)__builtin_ctzll(digits) / 8;
	}
	while (at < n && !digit(text[at]))
		at++;
	return at;
}

// The separator between the number so far and the digit at text[start]; -1 when it does not go on.
static int joins(const struct tdm_number *n, const char *text, size_t start) {
	if (n->n == 0)
		return -1;
	size_t end = n->at[0] + 1u, gap = start - end;
	if (gap < 1 || gap > 2 || !group_separator(text[end]) || (gap == 2 && !group_separator(text[end + 1])))
		return -1;
	return gap == 1 ? text[end] : '?';
}

static void make_room(struct tdm_number *n) {
	int to = TDM_NUMBER_ROOM - n->n;
	memmove(n->digits + to, n->digits + n->first, (size_t)n->n);
	memmove(n->offsets + to, n->offsets + n->first, (size_t)n->n * sizeof *n->offsets);
	memmove(n->separators + to, n->separators + n->first, (size_t)n->n);
	n->first = to;
}

static bool plus_before(const char *text, size_t start) { // "+49", "+(49"
	return start > 0 && (text[start - 1] == '+' || (text[start - 1] == '(' && start > 1 && text[start - 2] == '+'));
}

static uint32_t push(uint32_t bits, int digits, uint32_t first) {
	return (bits << digits | first) & ((1u << TDM_NUMBER_DIGITS) - 1);
}

void tdm_number_append(struct tdm_number *n, const char *text, size_t start, size_t end) {
	bool whole = end - start <= TDM_NUMBER_DIGITS;
	int separator = whole ? joins(n, text, start) : -1;
	size_t from = whole ? start : end - TDM_NUMBER_DIGITS;
	if (separator < 0) {
		n->n = 0;
		n->starts = n->zeros = n->open = n->pluses = 0;
		n->first = TDM_NUMBER_ROOM;
	} else if (n->first < TDM_NUMBER_DIGITS)
		make_room(n);
	int first = n->first, digits = (int)(end - from);
	n->separators[first - 1] = separator > 0 ? (char)separator : 0;
	for (size_t i = from; i < end; i++) {
		n->digits[--first] = (uint8_t)(text[i] - '0');
		n->offsets[first] = (uint32_t)i;
	}
	uint32_t bit = whole ? 1u << (digits - 1) : 0; // of the digit that begins the group
	char before = start > 0 ? text[start - 1] : 0;
	n->starts = push(n->starts, digits, bit);
	n->zeros = push(n->zeros, digits, text[start] == '0' ? bit : 0);
	n->open = push(n->open, digits, before == '(' ? bit : 0);
	n->pluses = push(n->pluses, digits, plus_before(text, start) ? bit : 0);
	n->first = first;
	n->n = n->n + digits < TDM_NUMBER_DIGITS ? n->n + digits : TDM_NUMBER_DIGITS;
	n->digit = n->digits + first;
	n->at = n->offsets + first;
	n->separator = n->separators + first;
}

const uint8_t tdm_luhn_twice[10] = {0, 2, 4, 6, 8, 1, 3, 5, 7, 9};

bool tdm_luhn(const uint8_t *last_first, int n) {
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum += i % 2 ? tdm_luhn_twice[last_first[i]] : last_first[i];
	return sum % 10 == 0;
}

// Issuer ranges over the first six digits, with the lengths they issue. Public tables of the card schemes.
static const struct {
	uint32_t low, high;
	uint8_t shortest, longest;
} issuers[] = {
    {400000, 499999, 13, 19}, {510000, 559999, 16, 16}, {222100, 272099, 16, 16}, {340000, 349999, 15, 15},
    {370000, 379999, 15, 15}, {601100, 601199, 16, 19}, {644000, 659999, 16, 19}, {622126, 622925, 16, 19},
    {300000, 305999, 14, 19}, {360000, 369999, 14, 19}, {380000, 399999, 14, 19}, {352800, 358999, 16, 19},
    {620000, 629999, 16, 19}, {220000, 220499, 16, 19}, {500000, 509999, 12, 19}, {560000, 589999, 12, 19},
    {600000, 699999, 12, 19},
};

static bool issued(const struct tdm_number *d, int n) {
	uint32_t prefix = 0;
	for (int i = 1; i <= 6; i++)
		prefix = prefix * 10 + d->digit[n - i];
	for (size_t i = 0; i < sizeof issuers / sizeof *issuers; i++)
		if (prefix >= issuers[i].low && prefix <= issuers[i].high && n >= issuers[i].shortest &&
		    n <= issuers[i].longest)
			return d->digit[n - 1] != 4 || n == 13 || n == 16 || n == 19;
	return false;
}

// How many digits from the end are written as one number can be: in one piece, or in groups of three or more with one
// kind of separator (the last group of two or more).
static int most_of_one_number(const struct tdm_number *d) {
	int most = 0;
	char kind = 0;
	for (uint32_t left = d->starts; left; left &= left - 1) {
		int i = __builtin_ctz(left), group = i + 1 - most;
		if (most && group < 3)
			return most;
		char s = d->separator[i];
		bool last_too_short = most == 0 && group < 2;
		most = i + 1;
		if (last_too_short || (s != ' ' && s != '-' && s != '.') || (kind && kind != s))
			return most;
		kind = s;
	}
	return most;
}

static enum tdm_check span(struct tdm_candidate *c, int n, enum tdm_check verdict) {
	c->start = c->number.at[n - 1];
	c->end = c->number.at[0] + 1;
	return verdict;
}

// The digits of the longest that may be a card, from where a group begins; 0 when there are too few.
static int card_digits(const struct tdm_number *d) {
	int most = d->n < 12 ? 0 : most_of_one_number(d);
	return tdm_number_groups(d, most < 19 ? most : 19);
}

enum tdm_check tdm_check_card(struct tdm_candidate *c) {
	for (int n = card_digits(&c->number); n >= 12; n = tdm_number_groups(&c->number, n - 1))
		if (tdm_luhn(c->number.digit, n) && issued(&c->number, n))
			return span(c, n, TDM_CHECK_PASS);
	return TDM_CHECK_NONE;
}

enum tdm_check tdm_check_long_number(struct tdm_candidate *c) {
	int n = card_digits(&c->number);
	return n >= 12 ? span(c, n, TDM_CHECK_ABSTAIN) : TDM_CHECK_NONE;
}

static bool ssn_valid(const struct tdm_number *d) {
	int area = d->digit[8] * 100 + d->digit[7] * 10 + d->digit[6], group = d->digit[5] * 10 + d->digit[4];
	int serial = d->digit[3] * 1000 + d->digit[2] * 100 + d->digit[1] * 10 + d->digit[0], same = 1;
	for (int i = 1; i < 9; i++)
		same += d->digit[i] == d->digit[0];
	if (area == 0 || area == 666 || area >= 900 || group == 0 || serial == 0 || same == 9)
		return false;
	bool famous = (area == 78 && group == 5 && serial == 1120) || (area == 219 && group == 9 && serial == 9999);
	return !famous;
}

enum tdm_check tdm_check_ssn(struct tdm_candidate *c) {
	const struct tdm_number *d = &c->number;
	if (d->n < 9 || (d->starts & 0x1ff) != (1 << 8 | 1 << 5 | 1 << 3))
		return TDM_CHECK_NONE;
	if (d->separator[3] == 0 || !strchr("- .", d->separator[3]) || d->separator[3] != d->separator[5])
		return TDM_CHECK_NONE;
	return span(c, 9, ssn_valid(d) ? TDM_CHECK_PASS : TDM_CHECK_ABSTAIN);
}

enum tdm_check tdm_check_bare_ssn(struct tdm_candidate *c) {
	if (c->number.n < 9 || (c->number.starts & 0x1ff) != 1 << 8 || !ssn_valid(&c->number))
		return TDM_CHECK_NONE;
	return span(c, 9, TDM_CHECK_ABSTAIN);
}

// Country and length of its IBAN, from the public registry, in order.
static const char iban_lengths[] =
    "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22"
    "GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20"
    "MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26"
    "UA29VA22VG24XK20YE30";

static int iban_length(char a, char b) {
	const int wanted = (a & ~0x20) << 8 | (b & ~0x20);
	size_t low = 0, high = sizeof iban_lengths / 4;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *p = iban_lengths + 4 * middle;
		int country = p[0] << 8 | p[1];
		if (country == wanted)
			return (p[2] - '0') * 10 + p[3] - '0';
		if (country < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

#define IBAN_MOST 34
// Reads up to `most` characters of an account number at text[i], single spaces or dashes between; ends[k] is where the
// k-th one ends. Returns how many.
static int iban_read(const struct tdm_candidate *c, size_t i, int most, char *out, size_t *ends) {
	int n = 0;
	while (n < most && i < c->n) {
		if ((c->text[i] == ' ' || c->text[i] == '-') && n)
			i++;
		if (!digit(c->text[i]) && !letter(c->text[i]))
			break;
		out[n] = letter(c->text[i]) ? (char)(c->text[i] & ~0x20) : c->text[i];
		ends[n++] = ++i;
	}
	return n;
}

static bool word_ends(const struct tdm_candidate *c, size_t i) {
	return !digit(c->text[i]) && !letter(c->text[i]);
}

static int mod97_append(int r, char ch) {
	return digit(ch) ? (10 * r + ch - '0') % 97 : (100 * r + ch - 'A' + 10) % 97;
}

// r: remainder of everything behind the head; the head (country, check digits) moves to the end.
static bool iban_remainder(int r, const char *head) {
	for (int i = 0; i < 4; i++)
		r = mod97_append(r, head[i]);
	return r == 1;
}

static bool iban_mod97(const char *s, int n) {
	int r = 0;
	for (int i = 4; i < n; i++)
		r = mod97_append(r, s[i]);
	return iban_remainder(r, s);
}

// A country that is not in the table: capitals only, and the number must end where a word ends; the longest one counts.
static enum tdm_check iban_unknown(struct tdm_candidate *c) {
	char s[IBAN_MOST];
	size_t ends[IBAN_MOST];
	int r = 0;
	enum tdm_check verdict = TDM_CHECK_NONE;
	if (c->text[c->start] & 0x20)
		return TDM_CHECK_NONE;
	int n = iban_read(c, c->start, IBAN_MOST, s, ends);
	for (int i = 4; i < n; i++) {
		r = mod97_append(r, s[i]);
		if (i + 1 >= 15 && word_ends(c, ends[i]) && iban_remainder(r, s)) {
			c->end = ends[i];
			verdict = TDM_CHECK_PASS;
		}
	}
	return verdict;
}

enum tdm_check tdm_check_iban(struct tdm_candidate *c) {
	size_t head = c->anchor - 4; // four characters of the account, before them perhaps a separator, before it the head
	if (c->text[head - 1] == ' ' || c->text[head - 1] == '-')
		head--;
	c->start = head - 4;
	const char *t = c->text + c->start;
	if (!letter(t[0]) || !letter(t[1]) || !digit(t[2]) || !digit(t[3]))
		return TDM_CHECK_NONE;
	int length = iban_length(t[0], t[1]);
	if (length == 0)
		return iban_unknown(c);
	char s[IBAN_MOST];
	size_t ends[IBAN_MOST];
	if (iban_read(c, c->start, length, s, ends) < length || !word_ends(c, ends[length - 1]))
		return TDM_CHECK_NONE;
	c->end = ends[length - 1];
	return iban_mod97(s, length) ? TDM_CHECK_PASS : TDM_CHECK_FAIL;
}
