// Addresses of people and machines: e-mail, IPv4, IPv6, and the password in a URL.
#include "privacy/detect/checks.h"
#include <arpa/inet.h>
#include <string.h>

static bool digit(char c) {
	return c >= '0' && c <= '9';
}
static bool alnum(char c) {
	return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool hex(char c) {
	return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
static bool host_character(char c) {
	return alnum(c) || c == '-' || (unsigned char)c >= 0x80;
}
// RFC 5322 atoms without the characters that separate an address from what surrounds it in URLs, code and markup.
static bool local_character(char c) {
	return host_character(c) || (c && strchr(".!$%'+^_~", c));
}

#define LOCAL_BYTES 254 // a longer local part is no address; its end is masked all the same

// "quoted local part": the offset of the opening quote before the closing one at text[close]; `close` + 1 when none.
static size_t quoted_start(const struct tdm_candidate *c, size_t close) {
	size_t i = close;
	while (i > 0 && close - i < 65 && c->text[i - 1] != '"' && c->text[i - 1] != '\n')
		i--;
	return i > 0 && i < close && c->text[i - 1] == '"' ? i - 1 : close + 1;
}

static size_t local_start(const struct tdm_candidate *c, size_t at) {
	size_t i = at;
	if (i > 1 && c->text[i - 1] == '"')
		return quoted_start(c, i - 1);
	while (i > 0 && at - i < LOCAL_BYTES && local_character(c->text[i - 1]))
		i--;
	while (i < at && (c->text[i] == '.' || c->text[i] == '\''))
		i++;
	return i;
}

static bool top_label(const char *s, size_t n) {
	if (n >= 5 && strncasecmp(s, "xn--", 4) == 0)
		return true;
	for (size_t i = 0; i < n; i++)
		if (digit(s[i]) || s[i] == '-')
			return false;
	return n >= 2 && n <= 63;
}

// The longest domain at text[start]: labels of 1-63 without '-' at the edges, the last one of letters. Returns where it
// ends; start when there is none.
static size_t domain_end(const struct tdm_candidate *c, size_t start) {
	size_t i = start, label = start, good = start;
	int labels = 0;
	while (i <= c->n && i - start <= 255) {
		if (i < c->n && host_character(c->text[i])) {
			i++;
			continue;
		}
		size_t end = i;
		while (end > label && c->text[end - 1] == '-')
			end--;
		if (end == label || end - label > 63 || c->text[label] == '-')
			break;
		if (labels++ && top_label(c->text + label, end - label))
			good = end;
		if (i == c->n || c->text[i] != '.' || end != i)
			break;
		label = ++i;
	}
	return good;
}

enum tdm_check tdm_check_email(struct tdm_candidate *c) {
	size_t at = c->anchor - 2; // the anchor ends one character after the first dot of the domain
	while (at > 0 && c->text[at] != '@')
		at--;
	c->start = local_start(c, at);
	c->end = domain_end(c, at + 1);
	if (c->start == at || c->end == at + 1)
		return TDM_CHECK_NONE;
	return at - c->start > 64 ? TDM_CHECK_ABSTAIN : TDM_CHECK_PASS;
}

// Passes " [dot] " or "." after a label; 0 when neither stands there.
static size_t spelled_dot(const struct tdm_candidate *c, size_t i) {
	if (c->text[i] == '.' && alnum(c->text[i + 1]))
		return i + 1;
	if (c->text[i] == ' ')
		i++;
	if (!c->text[i] || !strchr("[({", c->text[i]))
		return 0;
	i += c->text[i + 1] == ' ' ? 2 : 1;
	if (i + 3 > c->n || strncasecmp(c->text + i, "dot", 3) != 0)
		return 0;
	i += c->text[i + 3] == ' ' ? 4 : 3;
	if (!c->text[i] || !strchr("])}", c->text[i]))
		return 0;
	i += c->text[i + 1] == ' ' ? 2 : 1;
	return alnum(c->text[i]) ? i : 0;
}

enum tdm_check tdm_check_email_words(struct tdm_candidate *c) {
	size_t i = c->anchor - 1, open = i, dots = 0;
	while (open > 0 && i - open < 9 && !strchr("[({", c->text[open]))
		open--;
	if (open > 0 && c->text[open - 1] == ' ')
		open--;
	c->start = local_start(c, open);
	while (alnum(c->text[i]) || c->text[i] == '-') {
		while (alnum(c->text[i]) || c->text[i] == '-')
			i++;
		c->end = i;
		size_t next = spelled_dot(c, i);
		if (next == 0)
			break;
		dots++;
		i = next;
	}
	return c->start < open && dots ? TDM_CHECK_PASS : TDM_CHECK_NONE;
}

// "/24" behind an address belongs to it.
static size_t prefix_length(const struct tdm_candidate *c, size_t end) {
	size_t i = end + 1;
	if (c->text[end] != '/')
		return end;
	while (digit(c->text[i]))
		i++;
	return i > end + 1 && i <= end + 4 ? i : end;
}

enum tdm_check tdm_check_ip4(struct tdm_candidate *c) {
	size_t i = c->anchor - 1;
	int octet = 0, scale = 1, n = 0, digits = 0;
	c->end = i;
	for (;; i--) {
		if (i > 0 && digit(c->text[i - 1])) {
			octet += (c->text[i - 1] - '0') * scale;
			scale *= 10;
			if (++digits > 3)
				return TDM_CHECK_NONE;
			continue;
		}
		if (digits == 0 || octet > 255)
			return TDM_CHECK_NONE;
		octet = digits = 0;
		scale = 1;
		if (++n == 4)
			break;
		if (i == 0 || c->text[i - 1] != '.')
			return TDM_CHECK_NONE;
	}
	bool before = i > 1 && c->text[i - 1] == '.' && digit(c->text[i - 2]);
	if (before || (c->text[c->end] == '.' && digit(c->text[c->end + 1]))) // five numbers are a version, not an address
		return TDM_CHECK_NONE;
	c->start = i;
	c->end = prefix_length(c, c->end);
	return TDM_CHECK_PASS;
}

#define IP6_BYTES 45

static bool ip6_character(char c) {
	return hex(c) || c == ':' || c == '.';
}

// inet_pton decides; "a::b" without a digit is a name in code.
static bool ip6_valid(const char *s, size_t n) {
	char copy[IP6_BYTES + 1];
	unsigned char out[16];
	int digits = 0, colons = 0;
	memcpy(copy, s, n);
	copy[n] = 0;
	for (size_t i = 0; i < n; i++) {
		digits += digit(s[i]);
		colons += s[i] == ':';
	}
	return (digits || colons >= 4) && inet_pton(AF_INET6, copy, out) == 1;
}

// Takes the punctuation of the sentence off a run of address characters.
static void ip6_trim(struct tdm_candidate *c) {
	const char *t = c->text;
	while (c->start < c->end && t[c->start] == '.')
		c->start++;
	if (c->end - c->start > 2 && t[c->start] == ':' && t[c->start + 1] != ':')
		c->start++;
	while (c->end - c->start > 1 && (t[c->end - 1] == '.' || (t[c->end - 1] == ':' && t[c->end - 2] != ':')))
		c->end--;
}

// The run of address characters around the anchor. False when it is too long.
static bool ip6_run(struct tdm_candidate *c) {
	size_t start = c->anchor - 1, end = start;
	while (start > 0 && c->anchor - start <= IP6_BYTES && ip6_character(c->text[start - 1]))
		start--;
	while (end - start <= IP6_BYTES && end < c->n && ip6_character(c->text[end]))
		end++;
	if (end - start > IP6_BYTES || (start > 0 && alnum(c->text[start - 1])))
		return false;
	c->start = start;
	c->end = end;
	ip6_trim(c);
	return true;
}

// "list[::2]": a part of a list in a program.
static bool is_slice(const struct tdm_candidate *c) {
	const char *t = c->text;
	return c->start > 1 && t[c->start - 1] == '[' && (alnum(t[c->start - 2]) || strchr("_)]\"'", t[c->start - 2]));
}

enum tdm_check tdm_check_ip6(struct tdm_candidate *c) {
	if (!ip6_run(c) || is_slice(c) || c->end - c->start < 3 || alnum(c->text[c->end]))
		return TDM_CHECK_NONE;
	if (!ip6_valid(c->text + c->start, c->end - c->start))
		return TDM_CHECK_NONE;
	if (c->text[c->end] == '%' && alnum(c->text[c->end + 1])) // zone
		for (c->end++; alnum(c->text[c->end]);)
			c->end++;
	c->end = prefix_length(c, c->end);
	return TDM_CHECK_PASS;
}

enum tdm_check tdm_check_password_in_url(struct tdm_candidate *c) {
	size_t at = c->anchor - 1, i = at;
	for (size_t k = at; k < c->n && k - at < 200 && (unsigned char)c->text[k] > ' ' && c->text[k] != '/'; k++)
		at = c->text[k] == '@' ? k : at; // a password may hold one
	while (i > 0 && at - i < 404 && c->text[i - 1] != '/')
		i--;
	const char *colon = memchr(c->text + i, ':', at - i);
	if (!colon || colon + 1 == c->text + at)
		return TDM_CHECK_NONE;
	c->start = i;
	c->end = at;
	return TDM_CHECK_ABSTAIN;
}

// The value behind "?token=", up to the next key.
enum tdm_check tdm_check_query_secret(struct tdm_candidate *c) {
	c->start = c->end = c->anchor;
	while (c->end < c->n && (unsigned char)c->text[c->end] > ' ' && !strchr("&#\"'<>`)]}\\,;", c->text[c->end]))
		c->end++;
	bool template = strchr("${[<", c->text[c->start]) != NULL;
	return c->end - c->start >= 4 && !template ? TDM_CHECK_ABSTAIN : TDM_CHECK_NONE;
}
