// Format: what printf writes, for the formats of which a request's texts are made, several times as fast.
#pragma once
#include <stdarg.h>
#include <stddef.h>

// As vsnprintf: at most cap bytes with the NUL, returns the length of the whole text, negative on failure. Literal
// text,
// %%, %c, %s, %.*s, and %d, %u with ll, l or z, without flags and widths, are written here; a format that has anything
// else goes to vsnprintf.
int tdm_format(char *out, size_t cap, const char *format, va_list args) __attribute__((format(printf, 3, 0)));
// As snprintf, likewise.
int tdm_print(char *out, size_t cap, const char *format, ...) __attribute__((format(printf, 3, 4)));
