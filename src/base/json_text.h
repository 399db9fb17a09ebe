// Text in JSON strings: what stands for itself, and what an escape stands for. json.c reads and bytes.c writes with it.
#pragma once
#include <stdint.h>

// After the characters at text[at..end) that stand for themselves in a string: returns end, or the first byte that is a
// quote, a backslash, a control character (below 0x20), or no valid UTF-8.
const char *tdm_json_skip(const char *at, const char *end);
// What the escape whose backslash is at at[-1] stands for; returns where it ends, NULL when it is none.
const char *tdm_json_escape(const char *at, const char *end, uint32_t *out);
// Writes what at[0..end) stands for, which has been found valid; out has room for it.
void tdm_json_unescape(char *out, const char *at, const char *end);
