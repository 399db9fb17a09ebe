// Bytes: a growable buffer with a limit given at creation.
//
// A write that would pass the limit (or that finds no memory) sets `failed`, and every later write does
// nothing, so a writer checks once at the end. data is always NUL-terminated when not NULL.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct tdm_bytes {
	char *data;
	size_t len, cap, limit;
	bool failed;
};

void tdm_bytes_init(struct tdm_bytes *b, size_t limit);
void tdm_bytes_release(struct tdm_bytes *b);
void tdm_bytes_clear(struct tdm_bytes *b); // length 0 and not failed; keeps the memory
void tdm_bytes_add(struct tdm_bytes *b, const void *data, size_t n);
// Room for n bytes at the end, for who fills it and says how much of it was filled; NULL: it has failed.
char *tdm_bytes_room(struct tdm_bytes *b, size_t n);
void tdm_bytes_took(struct tdm_bytes *b, size_t n);
void tdm_bytes_putc(struct tdm_bytes *b, char c);
void tdm_bytes_printf(struct tdm_bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tdm_bytes_integer(struct tdm_bytes *b, int64_t value);
void tdm_bytes_unsigned(struct tdm_bytes *b, uint64_t value);
void tdm_bytes_drop(struct tdm_bytes *b, size_t n); // removes the first n bytes (n <= len)
// A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD.
void tdm_bytes_json(struct tdm_bytes *b, const char *text, size_t n);
// A JSON number with the fewest digits that read back as the same double; null for a non-finite value.
void tdm_bytes_number(struct tdm_bytes *b, double value);

// Here and not in bytes.c, so that the lengths of literals are constants.
static inline void tdm_bytes_puts(struct tdm_bytes *b, const char *text) {
	tdm_bytes_add(b, text, strlen(text));
}

static inline void tdm_bytes_named(struct tdm_bytes *b, const char *before, int64_t value) {
	tdm_bytes_puts(b, before);
	tdm_bytes_integer(b, value);
}

static inline void tdm_bytes_join(struct tdm_bytes *b, const char *before, const char *text, const char *after) {
	tdm_bytes_puts(b, before);
	tdm_bytes_puts(b, text);
	tdm_bytes_puts(b, after);
}
