// Text in JSON strings, sixteen bytes at a time where it is plain.
//
// The rule kept here: UTF-8 is valid only as RFC 3629 says (no overlong forms, no surrogates, nothing above U+10FFFF),
// and of a character that is written in two halves both must be there.
#include "base/json_text.h"
#include "base/text.h"
#include <stddef.h>
#include <string.h>

typedef int8_t bytes16 __attribute__((vector_size(16))); // as signed numbers: bytes beyond ASCII are below zero
typedef uint64_t words16 __attribute__((vector_size(16)));
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lowest bit of a word belongs to its first byte");

static bool is_plain(char c) {
	return (signed char)c >= ' ' && c != '"' && c != '\\';
}

// The first of text[at..end) that is not ASCII that stands for itself.
static const char *skip_plain(const char *at, const char *end) {
	for (; end - at >= 16; at += 16) {
		bytes16 x;
		memcpy(&x, at, sizeof x);
		words16 found = (words16)((x < ' ') | (x == '"') | (x == '\\'));
		if (found[0])
			return at + __builtin_ctzll(found[0]) / 8;
		if (found[1])
			return at + 8 + __builtin_ctzll(found[1]) / 8;
	}
	while (at < end && is_plain(*at))
		at++;
	return at;
}

// The second byte of a character decides overlong forms, surrogates and the upper end.
static bool second_fits(unsigned char lead, unsigned char second) {
	unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
	return second >= low && second <= high;
}

// Bytes of the character beyond ASCII at text[at..end); 0 when it is no valid one (RFC 3629).
static size_t character(const char *at, const char *end) {
	const unsigned char *s = (const unsigned char *)at;
	size_t length = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
	if (s[0] < 0xC2 || s[0] > 0xF4 || (size_t)(end - at) < length || !second_fits(s[0], s[1]))
		return 0;
	for (size_t i = 2; i < length; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	return length;
}

const char *tdm_json_skip(const char *at, const char *end) {
	for (;;) {
		at = skip_plain(at, end);
		if (at == end || !(*at & 0x80))
			return at;
		for (size_t n; at < end && (*at & 0x80); at += n) {
			n = character(at, end);
			if (!n)
				return at;
		}
	}
}

static const char *read_hex(const char *at, const char *end, uint32_t *out) {
	if (end - at < 4)
		return NULL;
	*out = 0;
	for (int i = 0; i < 4; i++) {
		char c = at[i], letter = (char)(c | 0x20);
		if (c >= '0' && c <= '9')
			*out = *out << 4 | (uint32_t)(c - '0');
		else if (letter >= 'a' && letter <= 'f')
			*out = *out << 4 | (uint32_t)(letter - 'a' + 10);
		else
			return NULL;
	}
	return at + 4;
}

// A character beyond the first plane is written as two halves; a half alone is no character.
static const char *read_unicode(const char *at, const char *end, uint32_t *out) {
	uint32_t low;
	at = read_hex(at, end, out);
	if (!at || *out < 0xD800 || *out > 0xDFFF)
		return at;
	if (*out > 0xDBFF || end - at < 2 || at[0] != '\\' || at[1] != 'u')
		return NULL;
	at = read_hex(at + 2, end, &low);
	if (!at || low < 0xDC00 || low > 0xDFFF)
		return NULL;
	*out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
	return at;
}

// What a letter behind a backslash stands for; u is not among them.
static const char simple[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};

// What the escape whose backslash is at at[-1] stands for; returns where it ends, NULL when it is none.
static inline const char *read_escape(const char *at, const char *end, uint32_t *out) {
	*out = at < end ? (unsigned char)simple[(unsigned char)*at] : 0;
	if (*out)
		return at + 1;
	return at < end && *at == 'u' ? read_unicode(at + 1, end, out) : NULL;
}

const char *tdm_json_measure(const char *at, const char *end, size_t *len) {
	const char *start = at, *next;
	size_t saved = 0; // bytes that escapes take more than their characters
	uint32_t c;
	for (at = tdm_json_skip(at, end); at < end && *at == '\\'; at = tdm_json_skip(next, end)) {
		next = read_escape(at + 1, end, &c);
		if (!next)
			break;
		saved += (size_t)(next - at) - (c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
	}
	*len = (size_t)(at - start) - saved;
	return at;
}

void tdm_json_unescape(char *out, const char *at, const char *end) {
	uint32_t c;
	while (at < end) {
		const char *slash = memchr(at, '\\', (size_t)(end - at));
		size_t n = (size_t)((slash ? slash : end) - at);
		memcpy(out, at, n);
		if (!slash)
			return;
		out += n;
		at = read_escape(slash + 1, end, &c);
		if (c < 0x80)
			*out++ = (char)c;
		else
			out += tdm_utf8_put(out, c);
	}
}
