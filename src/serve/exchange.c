// Exchange: one request and its answer on the wire. Connections, threads and time limits: http.c.
#include "base/clock.h"
#include "base/format.h"
#include "serve/http_parts.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#define STREAM_BUFFER_BYTES (256 * 1024)
#define HEADERS_LIMIT_BYTES (64 * 1024)

// --- what was asked

const char *tdm_exchange_method(const struct tdm_exchange *x) {
	return x->head.method;
}

const char *tdm_exchange_path(const struct tdm_exchange *x) {
	return x->head.path;
}

const char *tdm_exchange_host(const struct tdm_exchange *x) {
	return x->head.host;
}

const char *tdm_exchange_header(const struct tdm_exchange *x, const char *name) {
	return tdm_head_value(&x->head, name);
}

bool tdm_exchange_header_twice(const struct tdm_exchange *x, const char *name) {
	int n = 0;
	for (size_t i = 0; i < x->head.n_fields; i++)
		n += !strcasecmp(x->head.fields[i].name, name);
	return n > 1;
}

bool tdm_exchange_query(const struct tdm_exchange *x, const char *name, char *out, size_t cap) {
	return tdm_head_query(&x->head, name, out, cap);
}

bool tdm_exchange_is_local(const struct tdm_exchange *x) {
	return x->is_local;
}

const struct tdm_bytes *tdm_exchange_body(const struct tdm_exchange *x) {
	return &x->body;
}

bool tdm_exchange_too_large(const struct tdm_exchange *x) {
	return x->too_large;
}

const atomic_bool *tdm_exchange_cancelled(const struct tdm_exchange *x) {
	return &x->cancelled;
}

int64_t tdm_exchange_arrived_us(const struct tdm_exchange *x) {
	return x->arrived_us;
}

// --- sending

void tdm_exchange_deadline(struct tdm_exchange *x, int64_t wait_us) {
	x->deadline_us = tdm_now_us() + wait_us;
}

void tdm_exchange_cancel(struct tdm_exchange *x) {
	atomic_store(&x->cancelled, true);
	pthread_cond_broadcast(&x->room);
}

static size_t unsent(const struct tdm_exchange *x) {
	return x->out.len - x->sent;
}

// Part of an answer found no memory: what is there of it would be read as something else.
static bool is_torn(const struct tdm_exchange *x) {
	return x->out.failed || x->headers.failed || x->early.failed;
}

void tdm_exchange_push(struct tdm_exchange *x) {
	if (is_torn(x)) {
		x->broken = true;
		tdm_exchange_cancel(x);
	}
	while (unsent(x) && !x->broken) {
		ssize_t n = send(x->fd, x->out.data + x->sent, unsent(x), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			x->broken = true;
			tdm_exchange_cancel(x);
			return;
		}
		x->sent += (size_t)n;
		x->progress_us = tdm_now_us();
	}
	if (!unsent(x) && !is_torn(x)) {
		tdm_bytes_clear(&x->out);
		x->sent = 0;
	}
	pthread_cond_broadcast(&x->room);
}

// Waits until no more than `most` bytes are unsent; a client that reads nothing for write_s seconds has left.
static void wait_for_room(struct tdm_exchange *x, size_t most) {
	int64_t patience_us = (int64_t)x->http->options.write_s * 1000000;
	if (unsent(x) > most)
		x->progress_us = tdm_now_us();
	x->waits++; // a writer who waits for room lets go of what is held
	while (unsent(x) > most && !x->broken && !atomic_load(&x->cancelled)) {
		int64_t until = x->progress_us + patience_us;
		struct timespec at = {.tv_sec = until / 1000000, .tv_nsec = until % 1000000 * 1000};
		if (tdm_now_us() >= until) {
			x->broken = true;
			tdm_exchange_cancel(x);
		} else {
			tdm_loop_blocks();
			pthread_cond_timedwait(&x->room, &x->mutex, &at);
		}
	}
	x->waits--;
}

// What has been sent of a long buffer gives its place to what comes.
static void make_place(struct tdm_exchange *x) {
	if (x->sent > STREAM_BUFFER_BYTES / 4) {
		tdm_bytes_drop(&x->out, x->sent);
		x->sent = 0;
	}
}

// A chunk's size and its end of line.
static void add_size(struct tdm_bytes *b, size_t n) {
	char text[2 * sizeof n + 2], *at = text + sizeof text;
	*--at = '\n';
	*--at = '\r';
	do
		*--at = "0123456789abcdef"[n % 16];
	while (n /= 16);
	tdm_bytes_add(b, at, (size_t)(text + sizeof text - at));
}

static void add_piece(struct tdm_exchange *x, const void *data, size_t n) {
	make_place(x);
	if (x->framed && n)
		add_size(&x->out, n);
	tdm_bytes_add(&x->out, data, n);
	if (x->framed && n)
		tdm_bytes_add(&x->out, "\r\n", 2);
}

// --- the head of an answer

static const char *reason(int status) {
	static const struct {
		int status;
		const char *text;
	} reasons[] = {{200, "OK"},
	               {204, "No Content"},
	               {400, "Bad Request"},
	               {401, "Unauthorized"},
	               {402, "Payment Required"},
	               {403, "Forbidden"},
	               {404, "Not Found"},
	               {405, "Method Not Allowed"},
	               {408, "Request Timeout"},
	               {413, "Content Too Large"},
	               {426, "Upgrade Required"},
	               {429, "Too Many Requests"},
	               {431, "Request Header Fields Too Large"},
	               {500, "Internal Server Error"},
	               {502, "Bad Gateway"},
	               {503, "Service Unavailable"},
	               {504, "Gateway Timeout"},
	               {505, "HTTP Version Not Supported"}};
	for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Answer";
}

static const char *date(void) {
	static _Thread_local char text[40];
	static _Thread_local time_t of;
	struct tm tm;
	time_t now = (time_t)(tdm_wall_us() / 1000000);
	if (now != of)
		strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
	of = now;
	return text;
}

static void puts_line(struct tdm_bytes *b, const char *name, const char *value) {
	tdm_bytes_puts(b, name);
	tdm_bytes_puts(b, ": ");
	tdm_bytes_puts(b, value);
	tdm_bytes_add(b, "\r\n", 2);
}

static void add_head(struct tdm_exchange *x, int status, const char *content_type) {
	x->last |= !x->head.keep_alive || x->unread || atomic_load(&x->http->closing);
	char line[64];
	tdm_bytes_add(&x->out, line, (size_t)tdm_print(line, sizeof line, "HTTP/1.1 %d %s\r\n", status, reason(status)));
	puts_line(&x->out, "Date", date());
	if (content_type)
		puts_line(&x->out, "Content-Type", content_type);
	if (x->headers.len)
		tdm_bytes_add(&x->out, x->headers.data, x->headers.len);
	if (x->last)
		puts_line(&x->out, "Connection", "close");
	else if (!x->head.is_11)
		puts_line(&x->out, "Connection", "keep-alive");
}

void tdm_exchange_set(struct tdm_exchange *x, const char *name, const char *value) {
	pthread_mutex_lock(&x->mutex);
	if (x->stage == TDM_WORKING) {
		tdm_bytes_puts(&x->headers, name);
		tdm_bytes_puts(&x->headers, ": ");
		for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
			if (*p >= 0x20 && *p < 0x7f)
				tdm_bytes_putc(&x->headers, (char)*p);
			else
				tdm_bytes_printf(&x->headers, "%%%02X", *p);
		}
		tdm_bytes_puts(&x->headers, "\r\n");
	}
	pthread_mutex_unlock(&x->mutex);
}

// --- whole answers

bool tdm_exchange_reply(struct tdm_exchange *x, int http_status, const char *content_type, const void *body, size_t n) {
	pthread_mutex_lock(&x->mutex);
	bool first = x->stage == TDM_WORKING;
	if (first) {
		add_head(x, http_status, n ? content_type : NULL);
		if (http_status != 204)
			tdm_bytes_printf(&x->out, "Content-Length: %zu\r\n", n);
		tdm_bytes_add(&x->out, "\r\n", 2);
		if (!x->head.method || strcmp(x->head.method, "HEAD") != 0)
			tdm_bytes_add(&x->out, body, n);
		x->stage = TDM_ANSWERED;
		x->clean = true;
		tdm_exchange_push(x);
	}
	pthread_mutex_unlock(&x->mutex);
	return first;
}

void tdm_exchange_reject(struct tdm_exchange *x, int status, const char *code, const char *why) {
	char body[512];
	int n =
	    snprintf(body, sizeof body, "{\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}",
	             why, status == 503 ? "overloaded_error" : "invalid_request_error", code);
	pthread_mutex_lock(&x->mutex);
	x->stage = TDM_WORKING;
	x->last = true;
	pthread_mutex_unlock(&x->mutex);
	tdm_exchange_set(x, "x-should-retry", status == 408 || status == 503 ? "true" : "false");
	tdm_exchange_reply(x, status, "application/json", body, (size_t)n);
}

// --- streams

void tdm_exchange_may_stream(struct tdm_exchange *x, const char *ping) {
	pthread_mutex_lock(&x->mutex);
	x->ping = ping;
	x->wrote_us = tdm_now_us();
	pthread_mutex_unlock(&x->mutex);
}

bool tdm_exchange_committed(struct tdm_exchange *x) {
	pthread_mutex_lock(&x->mutex);
	bool committed = x->stage > TDM_WORKING;
	pthread_mutex_unlock(&x->mutex);
	return committed;
}

// With x->mutex held. HTTP/1.0 knows no chunks: there the end of the connection is the end of the stream.
static void commit_stream(struct tdm_exchange *x) {
	if (x->stage != TDM_WORKING)
		return;
	x->stage = TDM_STREAMING;
	x->framed = x->head.is_11;
	x->last |= !x->framed;
	add_head(x, 200, "text/event-stream; charset=utf-8");
	tdm_bytes_puts(&x->out, "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n");
	tdm_bytes_puts(&x->out, x->framed ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
	add_piece(x, x->early.data, x->early.len);
	if (!is_torn(x))
		tdm_bytes_clear(&x->early);
	x->wrote_us = tdm_now_us();
	tdm_exchange_push(x); // held or not: the first words are waited for most
}

int tdm_exchange_stream(struct tdm_exchange *x) {
	pthread_mutex_lock(&x->mutex);
	commit_stream(x);
	pthread_mutex_unlock(&x->mutex);
	return atomic_load(&x->cancelled) ? TDM_EGONE : TDM_OK;
}

int tdm_exchange_write(struct tdm_exchange *x, const void *data, size_t n) {
	pthread_mutex_lock(&x->mutex);
	if (unsent(x) > STREAM_BUFFER_BYTES) {
		tdm_exchange_push(x);
		wait_for_room(x, STREAM_BUFFER_BYTES);
	}
	bool gone = x->broken || atomic_load(&x->cancelled);
	if (!gone && x->stage == TDM_WORKING) {
		tdm_bytes_add(&x->early, data, n);
	} else if (!gone && x->stage == TDM_STREAMING) {
		add_piece(x, data, n);
		x->wrote_us = tdm_now_us();
		if (!x->held)
			tdm_exchange_push(x);
	}
	pthread_mutex_unlock(&x->mutex);
	return gone ? TDM_EGONE : TDM_OK;
}

void tdm_exchange_hold(struct tdm_exchange *x, bool held) {
	pthread_mutex_lock(&x->mutex);
	x->held += held ? 1 : -1;
	if (!x->held && x->stage == TDM_STREAMING)
		tdm_exchange_push(x);
	pthread_mutex_unlock(&x->mutex);
}

void tdm_exchange_end(struct tdm_exchange *x, bool clean) {
	pthread_mutex_lock(&x->mutex);
	if (x->stage == TDM_STREAMING) {
		if (clean && x->framed)
			tdm_bytes_puts(&x->out, "0\r\n\r\n");
		x->clean = clean;
		x->last |= !clean;
		x->stage = TDM_ANSWERED;
		tdm_exchange_push(x);
	}
	pthread_mutex_unlock(&x->mutex);
}

void tdm_exchange_ping(struct tdm_exchange *x, int64_t now_us) {
	int64_t latest = now_us - (int64_t)x->http->options.ping_s * 1000000;
	if (!x->ping || x->wrote_us >= latest || x->held || unsent(x))
		return;
	commit_stream(x);
	if (x->stage != TDM_STREAMING)
		return;
	add_piece(x, x->ping, strlen(x->ping));
	x->wrote_us = now_us;
	tdm_exchange_push(x);
}

// --- from one request to the next

void tdm_exchange_begin(struct tdm_exchange *x) {
	pthread_mutex_lock(&x->mutex);
	x->stage = TDM_WORKING;
	atomic_store(&x->cancelled, x->broken || (x->hung_up && !x->http->options.half_close));
	x->framed = x->clean = false;
	x->held = 0;
	x->ping = NULL;
	x->arrived_us = tdm_now_us();
	pthread_mutex_unlock(&x->mutex);
}

void tdm_exchange_finish(struct tdm_exchange *x, bool patient) {
	pthread_mutex_lock(&x->mutex);
	bool answered = x->stage > TDM_WORKING;
	x->ping = NULL;
	pthread_mutex_unlock(&x->mutex);
	if (!answered)
		tdm_exchange_reject(x, 500, "internal_error", "the request was not answered");
	pthread_mutex_lock(&x->mutex);
	if (x->stage == TDM_STREAMING) // and not ended: it is cut
		x->last = true;
	if (patient)
		wait_for_room(x, 0);
	x->last |= x->broken || atomic_load(&x->cancelled) || unsent(x);
	tdm_bytes_release(&x->out);
	tdm_bytes_release(&x->early);
	tdm_bytes_release(&x->headers);
	tdm_bytes_init(&x->out, SIZE_MAX / 2);
	tdm_bytes_init(&x->early, SIZE_MAX / 2);
	tdm_bytes_init(&x->headers, HEADERS_LIMIT_BYTES);
	x->sent = 0;
	pthread_mutex_unlock(&x->mutex);
}
