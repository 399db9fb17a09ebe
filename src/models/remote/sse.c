// SSE: a line at a time. The rule kept here: how the bytes were cut makes no difference.
#include "models/remote/sse.h"
#include "base/text.h"
#include <string.h>

void tdm_sse_init(struct tdm_sse *s, int (*event)(void *, const char *, size_t), void *arg) {
	*s = (struct tdm_sse){.event = event, .arg = arg};
	tdm_bytes_init(&s->line, TDM_SSE_LINE_BYTES);
	tdm_bytes_init(&s->data, 3 * TDM_SSE_LINE_BYTES); // an invalid byte becomes the three of U+FFFD
}

void tdm_sse_release(struct tdm_sse *s) {
	tdm_bytes_release(&s->line);
	tdm_bytes_release(&s->data);
}

static void add_valid(struct tdm_sse *s, const char *text, size_t n) {
	uint32_t c;
	char bytes[4];
	if (tdm_utf8_valid(text, n)) {
		tdm_bytes_add(&s->data, text, n);
		return;
	}
	s->n_invalid++;
	for (size_t at = 0; at < n;) {
		at += tdm_utf8_next(text + at, n - at, &c);
		tdm_bytes_add(&s->data, bytes, tdm_utf8_put(bytes, c));
	}
}

static int dispatch(struct tdm_sse *s) {
	if (!s->has_data)
		return TDM_OK;
	s->has_data = false;
	if (s->data.failed)
		return TDM_EBADBODY;
	s->n_events++;
	int status = s->event(s->arg, s->data.data ? s->data.data : "", s->data.len);
	tdm_bytes_clear(&s->data);
	return status;
}

static void read_field(struct tdm_sse *s, const char *line, size_t n) {
	// Of the fields only data matters: event, id and retry are for browsers.
	if (n < 4 || memcmp(line, "data", 4) != 0 || (n > 4 && line[4] != ':'))
		return;
	size_t skip = n > 5 && line[5] == ' ' ? 6 : n > 4 ? 5 : 4;
	if (s->has_data)
		tdm_bytes_putc(&s->data, '\n');
	s->has_data = true;
	add_valid(s, line + skip, n - skip);
}

static int end_line(struct tdm_sse *s, const char *line, size_t n) {
	if (!s->started && n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) // a byte order mark
		line += 3, n -= 3;
	s->started = true;
	if (n == 0)
		return dispatch(s);
	read_field(s, line, n);
	return TDM_OK;
}

// A line that came in one piece is read where it is.
static int add_line(struct tdm_sse *s, const char *bytes, size_t n, bool ends) {
	if (ends && !s->line.len)
		return n > s->line.limit ? TDM_EBADBODY : end_line(s, bytes, n);
	tdm_bytes_add(&s->line, bytes, n);
	if (s->line.failed)
		return TDM_EBADBODY;
	int status = ends ? end_line(s, s->line.data, s->line.len) : TDM_OK;
	if (ends)
		tdm_bytes_clear(&s->line);
	return status;
}

int tdm_sse_feed(struct tdm_sse *s, const char *bytes, size_t n) {
	int status = TDM_OK;
	size_t at = 0;
	const char *lf = n ? memchr(bytes, '\n', n) : NULL; // the next one
	while (at < n && status == TDM_OK) {
		if (s->after_cr && bytes[at] == '\n') { // the second half of CRLF
			s->after_cr = false;
			at++;
			continue;
		}
		s->after_cr = false;
		const char *from = bytes + at, *cr;
		if (lf && lf < from)
			lf = memchr(from, '\n', n - at);
		size_t length = lf ? (size_t)(lf - from) : n - at;
		if ((cr = memchr(from, '\r', length)))
			length = (size_t)(cr - from);
		at += length + (cr || lf);
		s->after_cr = cr != NULL;
		status = add_line(s, from, length, cr || lf);
	}
	return status;
}

int tdm_sse_end(struct tdm_sse *s) {
	int status = s->line.len ? end_line(s, s->line.data, s->line.len) : TDM_OK;
	return status ? status : dispatch(s);
}
