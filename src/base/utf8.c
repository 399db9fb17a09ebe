// UTF-8 and its normal form. This is the only file that knows utf8proc.
//
// The rule kept here: a sequence is valid only as RFC 3629 says (no overlong forms, no surrogates, nothing above
// U+10FFFF), so that two readers of one text can never see different characters.
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

// Bytes of the character that this byte begins, 0 when it cannot begin one.
static size_t length_of(unsigned char lead) {
	if (lead < 0x80)
		return 1;
	if (lead < 0xC2 || lead > 0xF4)
		return 0;
	return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

// The second byte decides overlong forms, surrogates and the upper end.
static bool second_fits(unsigned char lead, unsigned char second) {
	unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
	unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
	return second >= low && second <= high;
}

// How many of the first n bytes are a valid beginning of one character.
static size_t valid_bytes(const unsigned char *text, size_t n, size_t length) {
	size_t i = 1;
	if (n > length)
		n = length;
	if (n > 1 && !second_fits(text[0], text[1]))
		return 1;
	while (i < n && (text[i] & 0xC0) == 0x80)
		i++;
	return i;
}

size_t tdm_utf8_next(const char *text, size_t n, uint32_t *out) {
	static const unsigned char lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
	const unsigned char *s = (const unsigned char *)text;
	if (n == 0)
		return 0;
	size_t length = length_of(s[0]);
	if (length == 0 || valid_bytes(s, n, length) != length) {
		*out = 0xFFFD;
		return 1;
	}
	uint32_t c = s[0] & lead_bits[length];
	for (size_t i = 1; i < length; i++)
		c = c << 6 | (s[i] & 0x3F);
	*out = c;
	return length;
}

bool tdm_utf8_is_ascii(const char *text, size_t n) {
	uint64_t any = 0, eight;
	size_t i = 0;
	for (; n - i >= sizeof eight; i += sizeof eight) {
		memcpy(&eight, text + i, sizeof eight);
		any |= eight;
	}
	for (; i < n; i++)
		any |= (unsigned char)text[i];
	return !(any & TDM_EACH(0x80));
}

// Eight at a time: a byte without its highest bit that is at least 'A', and no more than 'Z', takes 0x20.
void tdm_lower_ascii(char *text, size_t n) {
	size_t i = 0;
	for (uint64_t eight; n - i >= sizeof eight; i += sizeof eight) {
		memcpy(&eight, text + i, sizeof eight);
		uint64_t low = eight & TDM_EACH(0x7f), capital = (low + TDM_EACH(0x80 - 'A')) & ~(low + TDM_EACH(0x7f - 'Z'));
		eight |= (capital & ~eight & TDM_EACH(0x80)) >> 2;
		memcpy(text + i, &eight, sizeof eight);
	}
	for (; i < n; i++)
		text[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
}

bool tdm_utf8_valid(const char *text, size_t n) {
	const unsigned char *s = (const unsigned char *)text;
	if (tdm_utf8_is_ascii(text, n))
		return true;
	for (size_t i = 0; i < n;) {
		uint64_t eight;
		if (n - i >= sizeof eight && (memcpy(&eight, s + i, sizeof eight), !(eight & 0x8080808080808080))) {
			i += sizeof eight; // ASCII
			continue;
		}
		size_t length = length_of(s[i]);
		if (length == 0 || valid_bytes(s + i, n - i, length) != length)
			return false;
		i += length;
	}
	return true;
}

size_t tdm_utf8_put(char out[4], uint32_t c) {
	if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
		c = 0xFFFD;
	return (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)out);
}

size_t tdm_utf8_partial(const char *text, size_t n) {
	for (size_t k = 1; k <= 3 && k <= n; k++) {
		const unsigned char *at = (const unsigned char *)text + (n - k);
		size_t length = length_of(*at);
		if (length > k)
			return valid_bytes(at, k, length) == k ? k : 0;
		if (length > 0)
			return 0;
	}
	return 0;
}

static void add_valid(struct tdm_bytes *out, const char *text, size_t n) {
	uint32_t c;
	char bytes[4];
	for (size_t i = 0; i < n && !out->failed;) {
		i += tdm_utf8_next(text + i, n - i, &c);
		tdm_bytes_add(out, bytes, tdm_utf8_put(bytes, c));
	}
}

static int map(struct tdm_bytes *out, const char *text, size_t n, utf8proc_option_t options) {
	utf8proc_uint8_t *mapped = NULL;
	utf8proc_ssize_t length = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &mapped, options);
	if (length >= 0)
		tdm_bytes_add(out, mapped, (size_t)length);
	free(mapped);
	return length < 0 || out->failed ? TDM_ENOMEM : TDM_OK;
}

static int map_valid(struct tdm_bytes *out, const char *text, size_t n, utf8proc_option_t options) {
	if (n == 0)
		return TDM_OK;
	if (tdm_utf8_valid(text, n))
		return map(out, text, n, options);
	struct tdm_bytes valid;
	tdm_bytes_init(&valid, 3 * n); // an invalid byte becomes the three of U+FFFD
	add_valid(&valid, text, n);
	int status = valid.failed ? TDM_ENOMEM : map(out, valid.data, valid.len, options);
	tdm_bytes_release(&valid);
	return status;
}

int tdm_nfkc(struct tdm_bytes *out, const char *text, size_t n, bool fold) {
	utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
	return map_valid(out, text, n, fold ? options | UTF8PROC_CASEFOLD : options);
}

int tdm_nfd(struct tdm_bytes *out, const char *text, size_t n) {
	return map_valid(out, text, n, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
}

static bool is_space(uint32_t c) {
	return (c >= 9 && c <= 13) || c == 0x85;
}

enum tdm_char_kind tdm_char_kind(uint32_t c) {
	utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
	if (is_space(c) || (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP))
		return TDM_CHAR_SPACE;
	if (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME)
		return TDM_CHAR_MARK;
	if (category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO)
		return TDM_CHAR_PUNCTUATION;
	if (category >= UTF8PROC_CATEGORY_SM && category <= UTF8PROC_CATEGORY_SO)
		return TDM_CHAR_SYMBOL;
	return category >= UTF8PROC_CATEGORY_CC ? TDM_CHAR_CONTROL : TDM_CHAR_OTHER;
}

uint32_t tdm_char_lower(uint32_t c) {
	return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
}
