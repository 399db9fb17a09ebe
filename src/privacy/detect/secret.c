// Keys and passwords: shapes that need more than a prefix and a length. Never verify a secret by using it.
#include "privacy/detect/checks.h"
#include "base/view.h"
#include <string.h>

static bool digit(char c) {
	return c >= '0' && c <= '9';
}
static bool letter(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool base64url(char c) {
	return digit(c) || letter(c) || c == '-' || c == '_';
}

enum tdm_check tdm_check_prefix(struct tdm_candidate *c) {
	const char *tail = c->entity->tail ? c->entity->tail : "";
	bool alnum = *tail == 'a';
	c->start = c->anchor - c->entity->width;
	c->end = c->anchor;
	tail += alnum;
	while (c->end < c->n) {
		char ch = c->text[c->end];
		if (!(alnum && (digit(ch) || letter(ch))) && !(ch && strchr(tail, ch)))
			break;
		c->end++;
	}
	while (c->end > c->anchor && c->text[c->end - 1] == '.') // of the sentence
		c->end--;
	return c->end - c->anchor >= c->entity->least ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

static enum tdm_check with_entropy(struct tdm_candidate *c, double least) {
	enum tdm_check verdict = tdm_check_prefix(c);
	bool random = verdict == TDM_CHECK_NONE || tdm_entropy(c->text + c->start, c->end - c->start) >= least;
	return random ? verdict : TDM_CHECK_NONE;
}

// Capitals and 2-7 behind the prefix.
enum tdm_check tdm_check_aws(struct tdm_candidate *c) {
	for (size_t i = c->anchor; i < c->anchor + c->entity->least; i++) // text ends with a NUL, which is none of them
		if (!(c->text[i] >= 'A' && c->text[i] <= 'Z') && !(c->text[i] >= '2' && c->text[i] <= '7'))
			return TDM_CHECK_NONE;
	return with_entropy(c, 2.5); // of 300,000 random ones none has less; with 3.0 one of 5,000 would leave
}

enum tdm_check tdm_check_google(struct tdm_candidate *c) {
	return with_entropy(c, 4.0);
}

static int base64url_value(char c) {
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (digit(c))
		return c - '0' + 52;
	return c == '-' ? 62 : 63;
}

// Whether the header of a token, decoded, names its algorithm.
static bool names_algorithm(const char *s, size_t n) {
	char out[1024];
	size_t m = 0;
	uint32_t bits = 0;
	for (size_t i = 0; i < n && m + 3 < sizeof out; i++) {
		bits = bits << 6 | (uint32_t)base64url_value(s[i]);
		if (i % 4)
			out[m++] = (char)(bits >> (6 - 2 * (i % 4)));
	}
	return memmem(out, m, "\"alg\"", 5) != NULL;
}

enum tdm_check tdm_check_jwt(struct tdm_candidate *c) {
	c->start = c->anchor - c->entity->width;
	size_t i = c->start, parts = 0, header = 0;
	for (;;) {
		size_t part = i;
		while (i < c->n && base64url(c->text[i]))
			i++;
		if (i == part)
			break;
		c->end = i;
		if (++parts == 1)
			header = i - part;
		if (parts == 5 || c->text[i] != '.') // five parts: an encrypted token
			break;
		i++;
	}
	if (parts < 2)
		return TDM_CHECK_NONE;
	if (names_algorithm(c->text + c->start, header))
		return TDM_CHECK_PASS;
	return parts >= 3 ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

enum tdm_check tdm_check_private_key(struct tdm_candidate *c) {
	size_t i = c->anchor - 10;
	while (i > 0 && c->anchor - i < 100 && strncmp(c->text + i, "-----BEGIN", 10) != 0)
		i--;
	c->start = i;
	c->end = c->n; // a block that does not end is a key to the end of the text
	const char *end = memmem(c->text + c->anchor, c->n - c->anchor, "-----END", 8);
	if (!end)
		return TDM_CHECK_ABSTAIN;
	size_t after = (size_t)(end - c->text) + 8;
	const char *close = memmem(c->text + after, c->n - after < 80 ? c->n - after : 80, "-----", 5);
	c->end = close ? (size_t)(close - c->text) + 5 : after;
	return TDM_CHECK_ABSTAIN;
}

static bool uuid(const char *s, size_t n) {
	if (n != 36)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? s[i] != '-' : !digit(s[i]) && !letter(s[i]))
			return false;
	}
	return true;
}

// What stands behind "key =" without being one: templates, variables, calls, words, counting sequences.
static bool no_secret(const char *s, size_t n) {
	size_t plain = 0, steps = 0;
	if (strchr("$<{%", s[0]) || memchr(s, '(', n) || memchr(s, TDM_VIEW_BLANK, n) || uuid(s, n))
		return true;
	if (n > 8 && (strncmp(s, "[SECRET:", 8) == 0 || strncmp(s, "http", 4) == 0 || strncmp(s, "sha", 3) == 0))
		return true; // done already, a link, the sum of a file
	for (size_t i = 0; i < n; i++) {
		plain += letter(s[i]) || s[i] == '_' || s[i] == '.' || s[i] == '-';
		steps += i && s[i] == s[i - 1] + 1;
	}
	return plain == n || steps > n / 2;
}

// "win32api.RegOpenKeyEx": words with points between them, and next to no digits.
static bool is_member(const char *s, size_t n) {
	size_t points = 0, digits = 0;
	for (size_t i = 0; i < n; i++) {
		bool begins = i == 0 || s[i - 1] == '.';
		if (begins ? !letter(s[i]) && s[i] != '_' : !letter(s[i]) && !digit(s[i]) && s[i] != '_' && s[i] != '.')
			return false;
		points += s[i] == '.';
		digits += digit(s[i]);
	}
	return points && digits <= 4;
}

// "token = next->tokens[i]": without quotation marks it is a part of a program.
static bool is_code(const char *t, size_t start, size_t n) {
	if (start > 0 && t[start - 1] && strchr("\"'`", t[start - 1]))
		return false;
	for (size_t i = start; i + 1 < start + n; i++) {
		bool arrow = !strncmp(t + i, "->", 2) || !strncmp(t + i, "::", 2);
		if (arrow || (t[i + 1] == '[' && (letter(t[i]) || digit(t[i]) || t[i] == '_')))
			return true;
	}
	return is_member(t + start, n) || (n > 0 && t[start] == '&');
}

#define JUDGED_BYTES 64 // the beginning of a value decides; what follows belongs to it

static bool value_character(char c) {
	return (unsigned char)c > ' ' && !strchr("\"'`,;", c);
}

// The rest of the name (20 characters at most), a closing quote, blanks, then ':' or '='. Returns the offset after it.
static size_t separator_after(const struct tdm_candidate *c) {
	size_t i = c->anchor, most = i + 20;
	while (i < most && (digit(c->text[i]) || letter(c->text[i]) || (c->text[i] && strchr("_ .-", c->text[i]))))
		i++;
	if (c->text[i] == '"' || c->text[i] == '\'')
		i++;
	while (c->text[i] == ' ' && i < most + 4)
		i++;
	return c->text[i] == ':' || c->text[i] == '=' ? i + 1 : 0;
}

// Twelve different characters at least: fewer cannot reach 3.5 bits, and counting them is cheap.
static bool varied(const char *s, size_t n) {
	uint64_t seen[4] = {0};
	int different = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		different += !(seen[c / 64] >> c % 64 & 1);
		seen[c / 64] |= UINT64_C(1) << c % 64;
	}
	return different >= 12;
}

// Where the value begins: after the separator, a second sign of it ("=>", "=="), a few blanks and an opening quote.
static size_t value_after(const struct tdm_candidate *c, size_t i) {
	while (c->text[i] == '=' || c->text[i] == '>')
		i++;
	for (size_t most = i + 4; i < most && (c->text[i] == ' ' || c->text[i] == '\t');)
		i++;
	return i + (c->text[i] && strchr("\"'`", c->text[i]));
}

enum tdm_check tdm_check_assignment(struct tdm_candidate *c) {
	size_t i = separator_after(c);
	if (i == 0)
		return TDM_CHECK_NONE;
	c->start = c->end = value_after(c, i);
	while (c->end < c->n && c->end - c->start < JUDGED_BYTES && value_character(c->text[c->end]))
		c->end++;
	size_t n = c->end - c->start;
	while (n > 0 && strchr(")}]:", c->text[c->start + n - 1])) // of what stands around it
		n--;
	if (n < 10 || !varied(c->text + c->start, n) || no_secret(c->text + c->start, n) || is_code(c->text, c->start, n) ||
	    tdm_entropy(c->text + c->start, n) < 3.5)
		return TDM_CHECK_NONE;
	while (c->end < c->n && value_character(c->text[c->end]))
		c->end++;
	return TDM_CHECK_ABSTAIN;
}
