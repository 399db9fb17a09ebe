// Bytes: the growable buffer that every writer in the program fills.
//
// The rule kept here: no write passes the limit, and a buffer that failed once stays failed until it is
// cleared, so that half an answer is never taken for a whole one.
#include "base/bytes.h"
#include "base/blocks.h"
#include "base/format.h"
#include "base/decimal.h"
#include "base/json_text.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES TDM_LEAST_BLOCK_BYTES // most heads, events and small answers fit

void tdm_bytes_init(struct tdm_bytes *b, size_t limit) {
	*b = (struct tdm_bytes){.limit = limit};
}

void tdm_bytes_release(struct tdm_bytes *b) {
	tdm_block_give(b->data, b->cap);
	*b = (struct tdm_bytes){.limit = b->limit};
}

void tdm_bytes_clear(struct tdm_bytes *b) {
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = 0;
}

static char *move(struct tdm_bytes *b, size_t cap) {
	if (cap > TDM_MOST_BLOCK_BYTES)
		return realloc(b->data, cap);
	char *data = tdm_block_take(cap);
	if (data && b->data) {
		memcpy(data, b->data, b->len + 1);
		tdm_block_give(b->data, b->cap);
	}
	return data;
}

// Memory for n more bytes and the final NUL; the limit counts the bytes without the NUL.
static bool grow(struct tdm_bytes *b, size_t n) {
	if (b->failed || n > b->limit - b->len) {
		b->failed = true;
		return false;
	}
	size_t cap = b->cap ? b->cap * 2 : FIRST_BYTES;
	if (cap <= b->len + n)
		cap = tdm_block_round(b->len + n + 1);
	if (cap > b->limit && b->limit + 1 > b->len + n)
		cap = b->limit + 1;
	char *data = move(b, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

// What there is room for is within the limit: memory beyond it is never asked for.
static inline bool reserve(struct tdm_bytes *b, size_t n) {
	return (!b->failed && n < b->cap - b->len) || grow(b, n);
}

void tdm_bytes_add(struct tdm_bytes *b, const void *data, size_t n) {
	if (!reserve(b, n))
		return;
	if (n)
		memcpy(b->data + b->len, data, n);
	b->len += n;
	b->data[b->len] = 0;
}

char *tdm_bytes_room(struct tdm_bytes *b, size_t n) {
	return reserve(b, n) ? b->data + b->len : NULL;
}

void tdm_bytes_took(struct tdm_bytes *b, size_t n) {
	if (b->failed || !b->data)
		return;
	b->len += n;
	b->data[b->len] = 0;
}

void tdm_bytes_putc(struct tdm_bytes *b, char c) {
	if (!reserve(b, 1))
		return;
	b->data[b->len++] = c;
	b->data[b->len] = 0;
}

void tdm_bytes_printf(struct tdm_bytes *b, const char *format, ...) {
	va_list args, again;
	size_t room = b->data && !b->failed ? b->cap - b->len : 0; // most texts fit what is there
	va_start(args, format);
	va_copy(again, args);
	int n = tdm_format(room ? b->data + b->len : NULL, room, format, args);
	if (n < 0 || !reserve(b, (size_t)n)) {
		b->failed = true;
		if (room)
			b->data[b->len] = 0;
	} else {
		if ((size_t)n >= room)
			tdm_format(b->data + b->len, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

void tdm_bytes_unsigned(struct tdm_bytes *b, uint64_t value) {
	char text[24], *at = text + sizeof text;
	for (; value >= 100; value /= 100) {
		unsigned pair = (unsigned)(value % 100);
		*--at = (char)('0' + pair % 10);
		*--at = (char)('0' + pair / 10);
	}
	*--at = (char)('0' + value % 10);
	if (value >= 10)
		*--at = (char)('0' + value / 10);
	tdm_bytes_add(b, at, (size_t)(text + sizeof text - at));
}

void tdm_bytes_integer(struct tdm_bytes *b, int64_t value) {
	if (value < 0)
		tdm_bytes_putc(b, '-');
	tdm_bytes_unsigned(b, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void tdm_bytes_drop(struct tdm_bytes *b, size_t n) {
	if (n > b->len)
		n = b->len;
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = 0;
}

static void put_escape(struct tdm_bytes *b, unsigned char c) {
	static const char letters[] = "btn?fr", digits[] = "0123456789abcdef"; // what follows a backslash for 8 to 13
	if (c >= 0x80)
		tdm_bytes_add(b, "\xEF\xBF\xBD", 3);
	else if (c == '"' || c == '\\')
		tdm_bytes_add(b, (char[]){'\\', (char)c}, 2);
	else if (c >= 8 && c <= 13 && c != 11)
		tdm_bytes_add(b, (char[]){'\\', letters[c - 8]}, 2);
	else
		tdm_bytes_add(b, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
}

void tdm_bytes_json(struct tdm_bytes *b, const char *text, size_t n) {
	const char *at = n ? text : "", *end = at + n;
	tdm_bytes_putc(b, '"');
	while (!b->failed) {
		const char *stop = tdm_json_skip(at, end); // bytes before it need no change
		tdm_bytes_add(b, at, (size_t)(stop - at));
		if (stop == end)
			break;
		put_escape(b, (unsigned char)*stop);
		at = stop + 1;
	}
	tdm_bytes_putc(b, '"');
}

void tdm_bytes_number(struct tdm_bytes *b, double value) {
	char text[TDM_DECIMAL_BYTES];
	if (!isfinite(value)) {
		tdm_bytes_puts(b, "null");
	} else if (fabs(value) < 0x1p63 && trunc(value) == value) {
		if (value == 0 && signbit(value))
			tdm_bytes_putc(b, '-');
		tdm_bytes_integer(b, (int64_t)value);
	} else {
		tdm_bytes_add(b, text, tdm_decimal_write(text, value));
	}
}
