// SSE: server-sent events read from bytes that arrive in any pieces, by the WHATWG rules: lines end with LF, CR or
// CRLF, a colon begins a comment, the data lines of one event are joined with LF, a blank line ends it. More lenient
// than the rules in one point: a last event without its blank line counts (tdm_sse_end).
#pragma once
#include "base/bytes.h"
#include "base/status.h"

#define TDM_SSE_LINE_BYTES ((size_t)1 << 20) // longest line, and longest data of one event

struct tdm_sse {
	struct tdm_bytes line, data;
	int (*event)(void *arg, const char *data, size_t n); // valid UTF-8; what it returns stops the reading unless TDM_OK
	void *arg;
	size_t n_events, n_invalid; // n_invalid: lines in which bytes were replaced by U+FFFD
	bool has_data, after_cr, started;
};

void tdm_sse_init(struct tdm_sse *s, int (*event)(void *, const char *, size_t), void *arg);
void tdm_sse_release(struct tdm_sse *s);
// TDM_OK, what event() returned, or TDM_EBADBODY for a line or an event beyond the limit.
int tdm_sse_feed(struct tdm_sse *s, const char *bytes, size_t n);
int tdm_sse_end(struct tdm_sse *s); // the stream is over: the last line and event, if any
