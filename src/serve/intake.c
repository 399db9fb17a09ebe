// Intake: a connection's bytes to a request; see http_parts.h. What will not be used is not read.
#include "base/clock.h"
#include "serve/http_parts.h"
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define BODY_STEP_BYTES 65536 // of a body in body_s seconds

enum tdm_turn tdm_intake_reject(struct tdm_exchange *x, int status, const char *code, const char *why) {
	x->unread = true;
	tdm_exchange_reject(x, status, code, why);
	return TDM_TURN_REJECT;
}

static const char *code_of(int status) {
	return status == 431 ? "headers_too_large" : status == 405 ? "method_not_allowed" : "bad_request";
}

static bool has_other_coding(const struct tdm_head *h) {
	const char *coding = tdm_head_value(h, "content-encoding");
	return coding && *coding && strcasecmp(coding, "identity") != 0;
}

static void say_continue(struct tdm_exchange *x) {
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
	(void)!send(x->fd, line, sizeof line - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static enum tdm_turn no_memory(struct tdm_exchange *x) {
	return tdm_intake_reject(x, 503, "out_of_memory", "there is no memory for this request");
}

// The head is whole. What will not be used is not read: a body that is too large, or in a coding that nobody decodes.
static enum tdm_turn begin_body(struct tdm_exchange *x, size_t head_bytes) {
	struct tdm_head *h = &x->head;
	const char *upgrade;
	x->too_large = x->unread = false;
	tdm_bytes_clear(&x->head_text);
	tdm_bytes_add(&x->head_text, x->in.data, head_bytes);
	tdm_bytes_drop(&x->in, head_bytes);
	x->looked = 0;
	if (x->head_text.failed)
		return no_memory(x);
	if (!tdm_head_read(h, x->head_text.data, head_bytes))
		return tdm_intake_reject(x, h->refused, code_of(h->refused), h->why);
	if (!strcmp(h->method, "CONNECT"))
		return tdm_intake_reject(x, 405, "method_not_allowed", "this server is no proxy");
	if ((upgrade = tdm_head_value(h, "upgrade")) && !strcasecmp(upgrade, "websocket"))
		return tdm_intake_reject(x, 426, "upgrade_required",
		                         "this server has no WebSocket; streams are server-sent events");
	x->has_head = true;
	x->chunks = (struct tdm_chunks){0};
	tdm_bytes_init(&x->body, x->http->options.max_body_bytes);
	x->too_large = h->has_length && h->length > x->http->options.max_body_bytes;
	x->unread = x->too_large || ((h->chunked || h->length) && has_other_coding(h));
	if (h->wants_continue && !x->unread && (h->chunked || h->length))
		say_continue(x);
	return TDM_TURN_READY;
}

// What has come of the body is taken; *whole: nothing of the request is missing.
static enum tdm_turn take_body(struct tdm_exchange *x, bool *whole) {
	size_t used = 0;
	*whole = x->unread;
	if (x->unread)
		return TDM_TURN_READY;
	if (x->head.chunked) {
		used = tdm_chunks_read(&x->chunks, x->in.data, x->in.len, &x->body);
		if (used == SIZE_MAX)
			return tdm_intake_reject(x, 400, "bad_request", "the body is not in chunks");
		*whole = x->chunks.state == TDM_CHUNK_DONE;
		x->too_large = x->unread = x->body.failed && used > x->http->options.max_body_bytes - x->body.len;
		*whole |= x->unread;
	} else {
		size_t left = (size_t)x->head.length - x->body.len;
		used = left < x->in.len ? left : x->in.len;
		tdm_bytes_add(&x->body, x->in.data, used);
		*whole = x->body.len == x->head.length;
	}
	if (x->body.failed && !x->too_large)
		return no_memory(x);
	if (used)
		tdm_bytes_drop(&x->in, used);
	return TDM_TURN_READY;
}

// Looks at what has come: TDM_TURN_WAIT = more is needed.
static enum tdm_turn look(struct tdm_exchange *x) {
	bool whole = false;
	if (!x->has_head) {
		size_t n = tdm_head_find(&x->head, x->in.data, x->in.len, &x->looked);
		if (x->head.refused)
			return tdm_intake_reject(x, x->head.refused, code_of(x->head.refused), x->head.why);
		if (!n)
			return TDM_TURN_WAIT;
		enum tdm_turn turn = begin_body(x, n);
		if (turn != TDM_TURN_READY)
			return turn;
	}
	enum tdm_turn turn = take_body(x, &whole);
	return turn == TDM_TURN_READY && !whole ? TDM_TURN_WAIT : turn;
}

// Receives once. TDM_TURN_WAIT: nothing is there. TDM_TURN_READY: look again.
static enum tdm_turn receive(struct tdm_exchange *x, bool *drained) {
	char bytes[TDM_READ_BYTES];
	if (*drained)
		return TDM_TURN_WAIT;
	ssize_t n = recv(x->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		return TDM_TURN_CLOSE;
	if (n < 0)
		return errno == EINTR ? TDM_TURN_READY : TDM_TURN_WAIT;
	tdm_bytes_add(&x->in, bytes, (size_t)n);
	if (x->in.failed)
		return no_memory(x);
	*drained = (size_t)n < sizeof bytes && !x->hung_up; // the next byte comes with an event of its own
	return TDM_TURN_READY;
}

// A new time limit: of the head from its first byte on, of the body at each of its steps, of the next request.
static void set_limit(struct tdm_exchange *x) {
	const struct tdm_http_options *o = &x->http->options;
	size_t step = x->body.len / BODY_STEP_BYTES;
	enum tdm_wait wait = x->has_head ? TDM_WAIT_BODY : x->in.len ? TDM_WAIT_HEAD : TDM_WAIT_REQUEST;
	if (wait == x->wait && (wait != TDM_WAIT_BODY || step == x->step))
		return;
	pthread_mutex_lock(&x->mutex);
	tdm_exchange_deadline(x, (int64_t)(wait == TDM_WAIT_BODY   ? o->body_s
	                                   : wait == TDM_WAIT_HEAD ? o->header_s
	                                                           : o->idle_s) *
	                             1000000);
	x->wait = wait;
	x->step = step;
	pthread_mutex_unlock(&x->mutex);
}

enum tdm_turn tdm_intake_read(struct tdm_exchange *x) {
	bool drained = false;
	enum tdm_turn turn = TDM_TURN_READY;
	while (turn == TDM_TURN_READY) {
		turn = x->in.len || x->has_head ? look(x) : TDM_TURN_WAIT;
		if (turn != TDM_TURN_WAIT)
			return turn;
		turn = receive(x, &drained);
	}
	if (turn == TDM_TURN_WAIT)
		set_limit(x);
	if (turn == TDM_TURN_WAIT && !x->in.len)
		tdm_bytes_release(&x->in);
	return turn;
}
