// Text: UTF-8, normalisation (utf8proc) and regular expressions (PCRE2 with JIT).
#pragma once
#include "base/bytes.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

// Eight bytes looked at as one: the same byte in each.
#define TDM_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

bool tdm_utf8_valid(const char *text, size_t n);
bool tdm_utf8_is_ascii(const char *text, size_t n);
void tdm_lower_ascii(char *text, size_t n); // in place; other bytes stay
// Decodes one character at text[0..n); returns its length in bytes, 0 when n is 0, and for an invalid byte 1 with *out
// = 0xFFFD.
size_t tdm_utf8_next(const char *text, size_t n, uint32_t *out);
size_t tdm_utf8_put(char out[4], uint32_t c); // returns the number of bytes written
// Bytes at the end of text[0..n) that begin a character but do not finish it (0..3): a stream holds them back.
size_t tdm_utf8_partial(const char *text, size_t n);
// Appends NFKC (fold: also case-folded) of text to out. Error: TDM_ENOMEM.
int tdm_nfkc(struct tdm_bytes *out, const char *text, size_t n, bool fold);
int tdm_nfd(struct tdm_bytes *out, const char *text, size_t n); // appends; TDM_ENOMEM
enum tdm_char_kind {
	TDM_CHAR_OTHER,
	TDM_CHAR_SPACE,
	TDM_CHAR_CONTROL,
	TDM_CHAR_MARK,
	TDM_CHAR_PUNCTUATION,
	TDM_CHAR_SYMBOL
};
enum tdm_char_kind tdm_char_kind(uint32_t c); // by Unicode's category
uint32_t tdm_char_lower(uint32_t c);
size_t tdm_edit_distance(const char *a, const char *b);

struct tdm_regex;
// UTF-8 and Unicode properties on, JIT compiled, match and heap limits set. Error: TDM_EVALUE with the offset.
int tdm_regex_new(const char *pattern, struct tdm_regex **out, struct tdm_error *err);
void tdm_regex_free(struct tdm_regex *regex);
// Finds the first match at or after `from` in text[0..n): true and its span. Thread-safe on one regex.
// False when there is none or a limit was reached.
bool tdm_regex_find(const struct tdm_regex *regex, const char *text, size_t n, size_t from, size_t *start, size_t *end);
