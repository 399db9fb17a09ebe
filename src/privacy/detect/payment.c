// Payment: what stands beside a card: its security code, the end of its validity, its PIN; and the codes of banks. A
// few digits say nothing by themselves: a word names them, or a card stands within reach.
#include "privacy/detect/payment.h"
#include "privacy/detect/checks.h"
#include <string.h>

#define AFTER_WORD 40  // bytes behind the word of context in which the value is looked for
#define BEFORE_WORD 28 // and in front of it
#define BESIDE_CARD 60

static bool digit(char c) {
	return c >= '0' && c <= '9';
}
static bool letter(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool joint(char c) {
	return c == '.' || c == ',' || c == '/' || c == ':' || c == '-';
}

// Whether the digits of text[start..end) are a number of their own: no part of a decimal, a date, a code.
static bool on_its_own(const char *t, size_t start, size_t end) {
	char before = start > 0 ? t[start - 1] : 0;
	if (letter(before) || before == '_' || letter(t[end]) || t[end] == '_' || t[end] == '%')
		return false;
	bool joined = joint(before) && start > 1 && digit(t[start - 2]);
	if (joined && !(start > 2 && letter(t[start - 3]))) // but "cvv2:123"
		return false;
	return !(joint(t[end]) && digit(t[end + 1]));
}

struct group {
	size_t start, end;
};

// The first digits at or after `at` and before `limit`.
static bool next_group(const char *t, size_t at, size_t limit, struct group *g) {
	g->start = g->end = tdm_next_digit(t, at, limit);
	while (digit(t[g->end]))
		g->end++;
	return g->start < limit;
}

// Where what is within `reach` of text[at] ends: with the text at the latest.
static size_t reach_end(const char *t, size_t at, size_t reach) {
	return at + strnlen(t + at, reach);
}

static enum tdm_check digits_before(struct tdm_candidate *c, size_t least, size_t most) {
	size_t i = c->anchor, first = i > BEFORE_WORD ? i - BEFORE_WORD : 0;
	while (i > first && !digit(c->text[i - 1]) && c->text[i - 1] != '\n')
		i--;
	c->end = i;
	while (i > 0 && digit(c->text[i - 1]) && c->end - i <= most)
		i--;
	c->start = i;
	size_t n = c->end - c->start;
	return n >= least && n <= most && on_its_own(c->text, c->start, c->end) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// Digits of this length behind the word, within reach; in front of it when there are none.
static enum tdm_check digits_beside(struct tdm_candidate *c, size_t least, size_t most) {
	struct group g;
	size_t at = c->anchor, limit = reach_end(c->text, at, AFTER_WORD);
	while (next_group(c->text, at, limit, &g)) {
		at = g.end;
		c->start = g.start;
		c->end = g.end;
		if (g.end - g.start >= least && g.end - g.start <= most && on_its_own(c->text, g.start, g.end))
			return TDM_CHECK_ABSTAIN;
	}
	return digits_before(c, least, most);
}

enum tdm_check tdm_check_security_code(struct tdm_candidate *c) {
	return digits_beside(c, 3, 4);
}

enum tdm_check tdm_check_pin(struct tdm_candidate *c) {
	return digits_beside(c, 4, 6);
}

// MM/YY, MM/YYYY, MM-YY with blanks around the separator, at text[start]. Returns where it ends, 0 when it is none.
static size_t expiry_at(const char *t, size_t start) {
	size_t i = start;
	if (!digit(t[i]) || !digit(t[i + 1]) || (t[i] - '0') * 10 + t[i + 1] - '0' > 12 || (t[i] == '0' && t[i + 1] == '0'))
		return 0;
	i += 2;
	i += t[i] == ' ';
	if (t[i] != '/' && t[i] != '-')
		return 0;
	i++;
	i += t[i] == ' ';
	size_t year = i;
	while (digit(t[i]) && i - year < 5)
		i++;
	bool whole = i - year == 2 || (i - year == 4 && t[year] == '2' && t[year + 1] == '0');
	return whole && on_its_own(t, start, i) ? i : 0;
}

static bool of_expiry(char c) {
	return digit(c) || c == ' ' || c == '/' || c == '-';
}

// The anchor ends behind the year.
enum tdm_check tdm_check_expiry(struct tdm_candidate *c) {
	size_t end = c->anchor - 1, start = end;
	while (start > 0 && end - start < 9 && of_expiry(c->text[start - 1]))
		start--;
	for (; start < end; start++) {
		bool first = digit(c->text[start]) && (start == 0 || !digit(c->text[start - 1]));
		if (!first || expiry_at(c->text, start) != end)
			continue;
		c->start = start;
		c->end = end;
		return TDM_CHECK_ABSTAIN;
	}
	return TDM_CHECK_NONE;
}

// Whether these digits may belong to a card: three to six, no part of another code and nothing that is counted ("$300",
// "300 dollars").
static bool may_belong(const char *t, const struct group *g) {
	char before = g->start > 0 ? t[g->start - 1] : 0;
	bool of_a_code =
	    (before == '-' || before == '/' || before == '.' || before == '_') && g->start > 1 && letter(t[g->start - 2]);
	bool counted = before == '$' || before == '#' || (t[g->end] == ' ' && letter(t[g->end + 1]));
	return !of_a_code && !counted && !((unsigned char)before >= 0x80) && g->end - g->start >= 3 &&
	       g->end - g->start <= 6 && on_its_own(t, g->start, g->end);
}

int tdm_beside_card(const struct tdm_candidate *card, tdm_beside_fn *found, void *arg) {
	size_t at = card->start > BESIDE_CARD ? card->start - BESIDE_CARD : 0;
	size_t last = reach_end(card->text, at, card->end + BESIDE_CARD - at);
	struct group g;
	int status = 0;
	while (at > 0 && digit(card->text[at])) // not in the middle of a number
		at++;
	while (status == 0 && next_group(card->text, at, last, &g)) {
		size_t end = g.end - g.start == 2 ? expiry_at(card->text, g.start) : 0;
		at = end ? end : g.end;
		if (g.end > card->start && g.start < card->end)
			continue;
		if (end)
			status = found(arg, TDM_BESIDE_EXPIRY, g.start, end);
		else if (may_belong(card->text, &g))
			status = found(arg, g.end - g.start <= 4 ? TDM_BESIDE_CODE : TDM_BESIDE_PIN, g.start, g.end);
	}
	return status;
}

// --- codes of banks

// ISO 3166 codes of countries, and XK, which banks use.
static const char countries[] =
    "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDE"
    "DJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJP"
    "KEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZ"
    "OMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTW"
    "TZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW";

static bool country(const char *two) {
	for (const char *p = countries; *p; p += 2)
		if (p[0] == two[0] && p[1] == two[1])
			return true;
	return false;
}

// Eight or eleven capitals and digits; the anchor holds the character behind.
enum tdm_check tdm_check_bic(struct tdm_candidate *c) {
	size_t end = c->anchor - 1, i = end;
	while (i > 0 && end - i < 12 && ((c->text[i - 1] >= 'A' && c->text[i - 1] <= 'Z') || digit(c->text[i - 1])))
		i--;
	size_t n = end - i;
	if ((n != 8 && n != 11) || (i > 0 && (letter(c->text[i - 1]) || c->text[i - 1] == '_')))
		return TDM_CHECK_NONE;
	for (size_t k = i; k < i + 6; k++)
		if (digit(c->text[k]))
			return TDM_CHECK_NONE;
	c->start = i;
	c->end = end;
	return country(c->text + i + 4) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}
