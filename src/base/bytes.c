// Bytes: the growable buffer that every writer in the program fills.
//
// The rule kept here: no write passes the limit, and a buffer that failed once stays failed until it is
// cleared, so that half an answer is never taken for a whole one.
#include "base/bytes.h"
#include "base/format.h"
#include "base/text.h"
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tdm_bytes_init(struct tdm_bytes *b, size_t limit) {
	*b = (struct tdm_bytes){.limit = limit};
}

void tdm_bytes_release(struct tdm_bytes *b) {
	free(b->data);
	*b = (struct tdm_bytes){.limit = b->limit};
}

void tdm_bytes_clear(struct tdm_bytes *b) {
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = 0;
}

// Room for n more bytes and the final NUL; the limit counts the bytes without the NUL.
static bool reserve(struct tdm_bytes *b, size_t n) {
	if (b->failed || n > b->limit - b->len) {
		b->failed = true;
		return false;
	}
	if (b->cap > b->len + n)
		return true;
	size_t cap = b->cap ? b->cap * 2 : 256;
	if (cap <= b->len + n)
		cap = b->len + n + 1;
	if (cap > b->limit && b->limit + 1 > b->len + n)
		cap = b->limit + 1;
	char *data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

void tdm_bytes_add(struct tdm_bytes *b, const void *data, size_t n) {
	if (!reserve(b, n))
		return;
	if (n)
		memcpy(b->data + b->len, data, n);
	b->len += n;
	b->data[b->len] = 0;
}

void tdm_bytes_puts(struct tdm_bytes *b, const char *text) {
	tdm_bytes_add(b, text, strlen(text));
}

void tdm_bytes_putc(struct tdm_bytes *b, char c) {
	tdm_bytes_add(b, &c, 1);
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

void tdm_bytes_integer(struct tdm_bytes *b, int64_t value) {
	char text[24], *at = text + sizeof text;
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	do
		*--at = (char)('0' + rest % 10);
	while (rest /= 10);
	if (value < 0)
		*--at = '-';
	tdm_bytes_add(b, at, (size_t)(text + sizeof text - at));
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
	static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt"; // the character, then what follows its backslash
	for (const char *p = letters; *p; p += 2) {
		if ((unsigned char)*p == c) {
			tdm_bytes_putc(b, '\\');
			tdm_bytes_putc(b, p[1]);
			return;
		}
	}
	tdm_bytes_printf(b, "\\u%04x", c);
}

void tdm_bytes_json(struct tdm_bytes *b, const char *text, size_t n) {
	size_t start = 0; // bytes before i that need no change are added in one piece
	tdm_bytes_putc(b, '"');
	for (size_t i = 0; i < n && !b->failed;) {
		unsigned char c = (unsigned char)text[i];
		uint32_t rune;
		size_t step = c < 0x80 ? 1 : tdm_utf8_next(text + i, n - i, &rune);
		bool is_bad = c >= 0x80 && step == 1;
		if (is_bad || c < 0x20 || c == '"' || c == '\\') {
			tdm_bytes_add(b, text + start, i - start);
			if (is_bad)
				tdm_bytes_puts(b, "\xEF\xBF\xBD");
			else
				put_escape(b, c);
			start = i + 1;
		}
		i += step;
	}
	if (!b->failed && n > start)
		tdm_bytes_add(b, text + start, n - start);
	tdm_bytes_putc(b, '"');
}

void tdm_bytes_number(struct tdm_bytes *b, double value) {
	char text[40];
	if (!isfinite(value)) {
		tdm_bytes_puts(b, "null");
		return;
	}
	if (fabs(value) < 0x1p63 && trunc(value) == value) {
		if (value == 0 && signbit(value))
			tdm_bytes_putc(b, '-');
		tdm_bytes_integer(b, (int64_t)value);
		return;
	}
	// 15 digits always survive, except for subnormal numbers, which have fewer.
	for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	tdm_bytes_puts(b, text);
}
