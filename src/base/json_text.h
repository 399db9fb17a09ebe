// Text in JSON strings: what stands for itself, and what an escape stands for. json.c reads and bytes.c writes with it.
#pragma once
#include <stddef.h>

// After the characters at text[at..end) that stand for themselves in a string: returns end, or the first byte that is a
// quote, a backslash, a control character (below 0x20), or no valid UTF-8.
const char *tdm_json_skip(const char *at, const char *end);
// The same, and over escapes too: returns end, the quote that ends the string, or what may not stand there (a backslash
// that begins no escape among it). *len is how many bytes all before it stands for.
const char *tdm_json_measure(const char *at, const char *end, size_t *len);
// Writes what at[0..end) stands for, which has been found valid; out has room for it.
void tdm_json_unescape(char *out, const char *at, const char *end);
