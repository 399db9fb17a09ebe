// Credentials: keys and passwords that no prefix tells: beside a word, behind an option or the name of a variable, in
// the data of a Secret, in quotation marks. Entropy floors are those in common use. Nothing is ever tried out.
#include "privacy/detect/credentials.h"
#include "privacy/detect/checks.h"
#include <string.h>
#include <strings.h>

#define NEAR 80

static bool digit(char c) {
	return c >= '0' && c <= '9';
}
static bool letter(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool base64(char c) {
	return digit(c) || letter(c) || c == '+' || c == '/';
}

static bool holds(const char *t, size_t start, size_t end, const char *word) {
	size_t n = strlen(word);
	for (size_t i = start; i + n <= end; i++)
		if (strncasecmp(t + i, word, n) == 0)
			return true;
	return false;
}

// Whether one of the words stands within reach of the span, on either side.
static bool near(const struct tdm_candidate *c, const char *const *words) {
	size_t first = c->start > NEAR ? c->start - NEAR : 0, last = c->end + NEAR < c->n ? c->end + NEAR : c->n;
	for (; *words; words++)
		if (holds(c->text, first, c->start, *words) || holds(c->text, c->end, last, *words))
			return true;
	return false;
}

static bool random_part(const struct tdm_candidate *c, double least) {
	return tdm_entropy(c->text + c->start, c->end - c->start) >= least;
}

enum tdm_check tdm_check_putty_key(struct tdm_candidate *c) {
	c->start = c->anchor - c->entity->width;
	c->end = c->n;
	const char *mac = memmem(c->text + c->anchor, c->n - c->anchor, "Private-MAC:", 12);
	if (mac) {
		size_t line = (size_t)(mac - c->text);
		c->end = line + strcspn(c->text + line, "\n");
	}
	return TDM_CHECK_ABSTAIN;
}

// Where the last of text[at..at + 40) that is no character of base 64 stands; at + 40: all are.
static size_t last_other(const struct tdm_candidate *c, size_t at) {
	size_t end = at + 40 < c->n ? at + 40 : c->n + 1, i = end; // text ends with a NUL, which is none
	while (i > at && base64(c->text[i - 1]))
		i--;
	return i > at ? i - 1 : at + 40;
}

// A run of forty characters at or after `at` and before `limit`. A run that begins before another character and ends
// behind it is none, so most of the text is jumped over.
static bool forty_between(struct tdm_candidate *c, size_t at, size_t limit) {
	while (at < limit) {
		size_t start = at, other = last_other(c, at);
		if (other < at + 40) {
			at = other + 1;
			continue;
		}
		while (at < c->n && base64(c->text[at]))
			at++;
		if (at - start == 40 && c->text[at] != '=') {
			c->start = start;
			c->end = at;
			return random_part(c, 4.2);
		}
		at++;
	}
	return false;
}

// Forty characters between others, within reach of "aws" or "secret", where the anchor ends.
enum tdm_check tdm_check_aws_secret(struct tdm_candidate *c) {
	size_t first = c->anchor > 2 * NEAR ? c->anchor - 2 * NEAR : 0,
	       last = c->anchor + NEAR < c->n ? c->anchor + NEAR : c->n;
	while (first > 0 && base64(c->text[first - 1]) && c->anchor - first < 3 * NEAR) // not in the middle of a run
		first--;
	return forty_between(c, c->anchor, last) || forty_between(c, first, c->anchor) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// Fourteen characters, ".atlasv1.", sixty more.
enum tdm_check tdm_check_terraform(struct tdm_candidate *c) {
	enum tdm_check verdict = tdm_check_prefix(c);
	size_t i = c->start;
	while (i > 0 && c->start - i < 14 && (digit(c->text[i - 1]) || letter(c->text[i - 1])))
		i--;
	verdict = c->start - i == 14 ? verdict : TDM_CHECK_NONE;
	c->start = i;
	return verdict;
}

// Three characters, a digit, "Q~", 31 to 34 characters.
enum tdm_check tdm_check_azure_secret(struct tdm_candidate *c) {
	if (c->anchor < 37 || !digit(c->text[c->anchor - 34]))
		return TDM_CHECK_NONE;
	c->start = c->anchor - 37;
	c->end = c->anchor;
	while (c->end - c->start < 40 && (base64(c->text[c->end]) || (c->text[c->end] && strchr("_~.-", c->text[c->end]))))
		c->end++;
	for (size_t i = c->start; i < c->start + 3; i++)
		if (!base64(c->text[i]) && !strchr("_~.-", c->text[i] ? c->text[i] : ' '))
			return TDM_CHECK_NONE;
	return random_part(c, 3.0) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

enum tdm_check tdm_check_azure_storage(struct tdm_candidate *c) {
	static const char *const words[] = {"accountkey", "account_key", "storage", "sharedaccesskey", NULL};
	size_t i = c->anchor - 2;
	while (i > 0 && base64(c->text[i - 1]) && c->anchor - i < 89)
		i--;
	c->start = i;
	c->end = c->anchor;
	return c->end - c->start == 88 && near(c, words) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// The last six characters are the CRC-32 of the thirty before them, in base 62. A wrong one says nothing.
enum tdm_check tdm_check_github(struct tdm_candidate *c) {
	static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	enum tdm_check verdict = tdm_check_prefix(c);
	uint32_t crc = UINT32_MAX;
	if (verdict == TDM_CHECK_NONE || c->end - c->anchor != 36)
		return verdict;
	for (size_t i = c->anchor; i < c->anchor + 30; i++) {
		crc ^= (unsigned char)c->text[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
	}
	crc = ~crc;
	for (size_t i = c->end; i > c->end - 6; i--, crc /= 62)
		if (c->text[i - 1] != alphabet[crc % 62])
			return verdict;
	return TDM_CHECK_PASS;
}

enum tdm_check tdm_check_telegram(struct tdm_candidate *c) {
	static const char *const words[] = {"bot", "telegr", NULL};
	size_t i = c->anchor - 36;
	c->end = c->anchor;
	while (i > 0 && digit(c->text[i - 1]) && c->anchor - i < 54)
		i--;
	c->start = i;
	bool right = c->anchor > 36 && c->anchor - 36 - i >= 5 && !base64(c->text[c->end]);
	return right && near(c, words) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// --- values behind a name

static bool value_character(char c) {
	return (unsigned char)c > ' ' && !strchr("\"'`,;<>()", c);
}

// A template, a variable, a word of a language: nothing that opens anything.
static bool stands_for_another(const char *s, size_t n) {
	static const char *const words[] = {"true", "false", "null", "none", "undefined",
	                                    "yes",  "no",    "xxxx", "****", NULL};
	for (size_t i = 0; words[i]; i++)
		if (strlen(words[i]) == n && strncasecmp(words[i], s, n) == 0)
			return true;
	return memchr("$<{%[(&*", s[0], 8) || memmem(s, n, "${", 2) || memmem(s, n, "{{", 2) || strncmp(s, "http", 4) == 0;
}

// The value at c->start: to the closing quotation mark, or as long as it goes on.
static size_t read_value(struct tdm_candidate *c) {
	char quote = c->text[c->start];
	if (quote == '"' || quote == '\'') {
		c->end = ++c->start;
		while (c->end < c->n && c->text[c->end] != quote && (unsigned char)c->text[c->end] >= ' ')
			c->end++;
		return c->text[c->end] == quote ? c->end - c->start : 0;
	}
	c->end = c->start;
	while (c->end < c->n && value_character(c->text[c->end]))
		c->end++;
	return c->end - c->start;
}

// What an HTTP header carries: "Basic" and a name with its password in base 64, "Bearer" and a token.
enum tdm_check tdm_check_header(struct tdm_candidate *c) {
	static const char *const words[] = {"authorization", "auth", NULL};
	size_t digits = 0, other = 0;
	c->start = c->anchor - 8;
	size_t n = read_value(c);
	for (size_t i = c->start; i < c->end; i++) {
		digits += digit(c->text[i]);
		other += !letter(c->text[i]) || (c->text[i] < 'a' && i > c->start);
	}
	bool named = near(c, words) && (other > 0 || c->text[c->end] == '"');
	bool random = n >= 16 && digits > 0 && other > 2 && random_part(c, 3.0);
	return (named || random) && !stands_for_another(c->text + c->start, n) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// Whether a line of text, up to the option, is of a program that asks over the network.
static bool asks_over_net(const char *text, size_t line, size_t option) {
	static const char *const programs[] = {"curl", "wget", "http", NULL};
	for (size_t k = 0; programs[k]; k++)
		if (holds(text, line, option, programs[k]))
			return true;
	return false;
}

// The anchor ends behind the colon of "-u name:", which is no "-u https://host".
enum tdm_check tdm_check_user_option(struct tdm_candidate *c) {
	size_t i = c->anchor - 1, line;
	while (i > 0 && (unsigned char)c->text[i - 1] > ' ' && !strchr("\"'=", c->text[i - 1]))
		i--;
	for (line = i; line > 0 && i - line < 300 && c->text[line - 1] != '\n';)
		line--;
	c->start = i;
	c->end = c->anchor;
	while (c->end < c->n && (unsigned char)c->text[c->end] > ' ' && !strchr("\"'`", c->text[c->end]))
		c->end++;
	const char *password = c->text + c->anchor;
	bool more =
	    c->end > c->anchor && strncmp(password, "//", 2) != 0 && !stands_for_another(password, c->end - c->anchor);
	return more && asks_over_net(c->text, line, i) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

enum tdm_check tdm_check_environment(struct tdm_candidate *c) {
	size_t digits = 0;
	c->start = c->anchor;
	size_t n = read_value(c);
	for (size_t i = c->start; i < c->end; i++)
		digits += digit(c->text[i]);
	bool count = digits == n && n < 8;
	bool blank = n && (unsigned char)c->text[c->start] < ' ';
	return n >= 4 && !count && !blank && !stands_for_another(c->text + c->start, n) ? TDM_CHECK_ABSTAIN
	                                                                                : TDM_CHECK_NONE;
}

// "Password=x" among other settings of a connection.
enum tdm_check tdm_check_connection(struct tdm_candidate *c) {
	static const char *const words[] = {"server=",   "host=",     "source=", "uid=",     "user id=", "user=",
	                                    "username=", "database=", "dbname=", "catalog=", NULL};
	c->start = c->anchor - 1;
	size_t n = read_value(c);
	return n >= 3 && near(c, words) && !stands_for_another(c->text + c->start, n) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// --- Kubernetes

static size_t behind_block(const char *t, size_t at, size_t n) {
	size_t end = at;
	while (at < n) { // as long as lines are indented
		size_t line = at + strcspn(t + at, "\n");
		if (line > at && t[at] != ' ' && t[at] != '\t')
			break;
		end = line > at ? line : end;
		at = line + 1;
	}
	return end;
}

// "data" and "stringData", not "metadata".
static bool names_data(const char *s) {
	bool whole = !letter(s[-1]) || strncasecmp(s - 6, "string", 6) == 0; // "kind: secret" stands before it
	return whole && strncasecmp(s, "data", 4) == 0 && strspn(s + 4, "\"': ") > 0;
}

// "data:" behind the kind: the block that is indented under it, or what stands between its braces.
enum tdm_check tdm_check_kubernetes(struct tdm_candidate *c) {
	size_t limit = c->anchor + 400 < c->n ? c->anchor + 400 : c->n, at = c->anchor;
	while (at < limit && !names_data(c->text + at))
		at++;
	if (at >= limit)
		return TDM_CHECK_NONE;
	at += 4;
	at += strspn(c->text + at, "\"': \r");
	if (c->text[at] == '{') {
		c->start = at + 1;
		c->end = c->start + strcspn(c->text + c->start, "}");
	} else {
		at += strspn(c->text + at, "\r\n");
		c->start = at + strspn(c->text + at, " \t");
		c->end = c->start > at ? behind_block(c->text, at, c->n) : at;
	}
	bool blank = memchr(c->text + c->start, 1, c->end > c->start ? c->end - c->start : 0) != NULL;
	return c->end > c->start + 4 && !blank ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}

// --- without a name

struct sorts {
	size_t digits, small, capitals, hex, n;
};

static struct sorts count_sorts(const char *s, size_t n) {
	struct sorts k = {.n = n};
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		k.digits += digit(c);
		k.small += c >= 'a' && c <= 'z';
		k.capitals += c >= 'A' && c <= 'Z';
		k.hex += digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
	}
	return k;
}

// Sums and names of versions are random too, and open nothing.
static bool sum_of_a_file(const struct tdm_candidate *c) {
	static const char *const words[] = {
	    "sha", "hash", "commit", "integrity", "checksum", "digest", "etag",  "rev",   "md5",   "crc",     "id",
	    "src", "path", "image",  "font",      "data:",    "href",   "class", "nonce", "model", "version", NULL};
	size_t first = c->start > 24 ? c->start - 24 : 0;
	for (size_t i = 0; words[i]; i++)
		if (holds(c->text, first, c->start, words[i]))
			return true;
	return strncasecmp(c->text + c->start, "sha", 3) == 0;
}

// Hexadecimal digits, or letters of both cases with digits.
static bool looks_random(const struct tdm_candidate *c) {
	size_t n = c->end - c->start;
	struct sorts k = count_sorts(c->text + c->start, n);
	if (k.hex == n)
		return k.digits > 0 && k.digits < n && n >= 32 && random_part(c, 3.0);
	return k.digits > 0 && k.small > 0 && k.capitals > 0 && random_part(c, 4.5);
}

static bool is_alphabet(const struct tdm_candidate *c) {
	size_t steps = 0;
	for (size_t i = c->start + 1; i < c->end; i++)
		steps += c->text[i] == c->text[i - 1] + 1;
	return steps > (c->end - c->start) / 2;
}

enum tdm_check tdm_check_quoted(struct tdm_candidate *c) {
	const char *t = c->text;
	c->start = c->anchor - 20;
	c->end = c->anchor;
	while (c->end - c->start <= 200 && (base64(t[c->end]) || (t[c->end] && strchr("_=-", t[c->end]))))
		c->end++;
	bool quoted = t[c->end] == t[c->start - 1] && c->end - c->start <= 200;
	return quoted && !is_alphabet(c) && looks_random(c) && !sum_of_a_file(c) ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}
