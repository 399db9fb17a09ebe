// Plain: HTTP/1.1 to a numeric address; see plain.h.
//
// The rule it protects: an answer counts as read to its end (TDM_HTTP_WELL) only where its framing says so; whatever is
// odd about a frame is a broken answer, and its connection is closed. A connection is kept only when nothing is left on
// it.
#include "models/remote/plain.h"
#include "base/bytes.h"
#include "base/chunks.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/format.h"
#include "base/loop.h"
#include "base/status.h"
#include "models/remote/gone.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_BYTES 16384
#define FRESH_US 100000
#define BURST_US 200 // between two arrivals
#define HEAD_LIMIT_BYTES ((size_t)64 << 10)

struct wire { // a connection
	int fd;
	struct tdm_line *line; // NULL: who waits for it blocks
};

struct tdm_plain {
	struct sockaddr_storage address;
	socklen_t address_bytes;
	char host[96];        // with its port, as the URL has it
	pthread_mutex_t lock; // guards the rest
	struct {
		struct wire wire;
		int64_t since_us;
	} idle[TDM_PLAIN_IDLE]; // the last one is taken first
	int n_idle;
};

// --- the answer

enum part { HEAD, SIZED, CHUNKED, UNTIL_END, WHOLE };

struct tdm_plain_answer {
	const struct tdm_plain_call *call;
	enum part part;
	struct tdm_bytes head, piece; // piece: of a body in chunks, without its frame
	struct tdm_chunks chunks;
	uint64_t left;
	bool keep, stopped;
};

static bool broken(struct tdm_plain_answer *a, const char *why) {
	a->call->post->end = TDM_HTTP_BROKEN;
	a->call->post->why = why;
	return false;
}

static bool whole(struct tdm_plain_answer *a, size_t beyond) {
	a->part = WHOLE;
	a->keep &= beyond == 0;
	a->call->post->end = TDM_HTTP_WELL;
	return false;
}

static bool is_named(const char *line, size_t n, const char *name, const char **value, size_t *length) {
	size_t k = strlen(name);
	if (n <= k || line[k] != ':' || strncasecmp(line, name, k) != 0)
		return false;
	for (*value = line + k + 1; *value < line + n && (**value == ' ' || **value == '\t'); (*value)++)
		;
	*length = (size_t)(line + n - *value);
	return true;
}

static bool read_length(struct tdm_plain_answer *a, const char *value, size_t n, bool *sized) {
	uint64_t length = 0;
	for (size_t i = 0; i < n; i++) {
		if (value[i] < '0' || value[i] > '9' || n > 18)
			return broken(a, "the answer's length is no number");
		length = length * 10 + (uint64_t)(value[i] - '0');
	}
	if (!n || (*sized && length != a->left))
		return broken(a, "the answer has no length, or two");
	*sized = true;
	a->left = length;
	return true;
}

static bool read_line(struct tdm_plain_answer *a, const char *line, size_t n, bool *sized, bool *chunked) {
	const char *value;
	size_t length;
	if (is_named(line, n, "content-length", &value, &length))
		return read_length(a, value, length, sized);
	if (is_named(line, n, "transfer-encoding", &value, &length)) {
		*chunked = length == 7 && !strncasecmp(value, "chunked", 7);
		return *chunked || broken(a, "the answer is in a coding that is not known");
	}
	if (is_named(line, n, "connection", &value, &length) && length == 5 && !strncasecmp(value, "close", 5))
		a->keep = false;
	a->call->header(a->call->post, line, n);
	return true;
}

// "HTTP/1.1 200 words"
static bool read_status(struct tdm_plain_answer *a, const char *line, size_t n, int *http) {
	if (n < 12 || strncmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || (n > 12 && line[12] != ' '))
		return broken(a, "the answer is no HTTP/1.1");
	*http = 0;
	for (int i = 9; i < 12; i++) {
		if (line[i] < '0' || line[i] > '9')
			return broken(a, "the answer has no status");
		*http = *http * 10 + line[i] - '0';
	}
	a->keep = line[7] == '1';
	return true;
}

// The end of the line, which is there.
static const char *line_end(const char *line, const char *end) {
	const char *at = memchr(line, '\r', (size_t)(end - line));
	while (at[1] != '\n')
		at = memchr(at + 1, '\r', (size_t)(end - at - 1));
	return at;
}

// a->head holds a whole head, which ends with an empty line.
static bool read_head(struct tdm_plain_answer *a) {
	bool sized = false, chunked = false, ok = true;
	int http = 0;
	const char *line = a->head.data, *end = line + a->head.len - 2, *next;
	for (bool first = true; ok && line < end; line = next + 2, first = false) {
		next = line_end(line, end + 2);
		ok = first ? read_status(a, line, (size_t)(next - line), &http)
		           : read_line(a, line, (size_t)(next - line), &sized, &chunked);
	}
	if (!ok)
		return false;
	if (http < 200 && http != 101) { // not the answer yet
		tdm_bytes_clear(&a->head);
		return true;
	}
	if (http == 101 || (sized && chunked))
		return broken(a, "the answer has a length and chunks, or is another protocol's");
	a->call->post->http = http;
	a->part = chunked ? CHUNKED : sized ? SIZED : UNTIL_END;
	if (http == 204 || http == 304) {
		a->part = SIZED;
		a->left = 0;
	}
	return true;
}

static bool give(struct tdm_plain_answer *a, const char *bytes, size_t n) {
	if (n && a->call->post->bytes(a->call->post->arg, bytes, n)) {
		a->stopped = true;
		a->call->post->end = TDM_HTTP_STOPPED;
	}
	return !a->stopped;
}

static bool feed_chunks(struct tdm_plain_answer *a, const char *bytes, size_t n) {
	tdm_bytes_clear(&a->piece);
	size_t used = tdm_chunks_read(&a->chunks, bytes, n, &a->piece);
	if (!give(a, a->piece.data, a->piece.len)) // what came before the fault counts
		return false;
	if (used == SIZE_MAX || a->piece.failed)
		return broken(a, "the answer is not in chunks");
	return a->chunks.state == TDM_CHUNK_DONE ? whole(a, n - used) : true;
}

static bool feed_body(struct tdm_plain_answer *a, const char *bytes, size_t n) {
	if (a->part == CHUNKED)
		return feed_chunks(a, bytes, n);
	size_t part = a->part == SIZED && a->left < n ? (size_t)a->left : n;
	if (!give(a, bytes, part))
		return false;
	a->left -= a->part == SIZED ? part : 0;
	return a->part == SIZED && !a->left ? whole(a, n - part) : true;
}

// The status counts as soon as its line has come, whatever becomes of the rest.
static bool read_early(struct tdm_plain_answer *a) {
	const char *end = a->head.len ? memmem(a->head.data, a->head.len, "\r\n", 2) : NULL;
	int http = 0;
	if (end && !read_status(a, a->head.data, (size_t)(end - a->head.data), &http))
		return false;
	if (http >= 200)
		a->call->post->http = http;
	return true;
}

// Takes one head out of what has come; *used: how much of bytes belongs to it.
static bool feed_head(struct tdm_plain_answer *a, const char *bytes, size_t n, size_t *used) {
	size_t had = a->head.len, from = had > 3 ? had - 3 : 0;
	tdm_bytes_add(&a->head, bytes, n);
	if (a->head.failed)
		return broken(a, "the answer's head is too long");
	const char *end = memmem(a->head.data + from, a->head.len - from, "\r\n\r\n", 4);
	if (!end) {
		*used = n;
		return read_early(a);
	}
	*used = (size_t)(end + 4 - a->head.data) - had;
	a->head.len = had + *used;
	return read_head(a);
}

static bool ended(struct tdm_plain_answer *a) {
	if (a->part != UNTIL_END)
		return broken(a,
		              a->part == HEAD ? "it was closed without an answer" : "it was closed in the middle of an answer");
	a->keep = false;
	return whole(a, 0);
}

bool tdm_plain_answer_feed(struct tdm_plain_answer *a, const char *bytes, size_t n, bool end) {
	bool more = true;
	while (more && a->part == HEAD && n) {
		size_t used = n;
		more = feed_head(a, bytes, n, &used);
		bytes += used;
		n -= used;
	}
	if (more && a->part != HEAD && (n || a->part == SIZED))
		more = feed_body(a, bytes, n);
	return more && end ? ended(a) : more;
}

static void answer_init(struct tdm_plain_answer *a, const struct tdm_plain_call *call) {
	*a = (struct tdm_plain_answer){.call = call};
	tdm_bytes_init(&a->head, HEAD_LIMIT_BYTES);
	tdm_bytes_init(&a->piece, READ_BYTES);
}

static void answer_release(struct tdm_plain_answer *a) {
	tdm_bytes_release(&a->head);
	tdm_bytes_release(&a->piece);
}

struct tdm_plain_answer *tdm_plain_answer_new(const struct tdm_plain_call *call) {
	struct tdm_plain_answer *a = malloc(sizeof *a);
	if (a)
		answer_init(a, call);
	return a;
}

void tdm_plain_answer_free(struct tdm_plain_answer *a) {
	answer_release(a);
	free(a);
}

// --- connections

static bool is_loopback(const struct sockaddr_storage *at) {
	if (at->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)at)->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)at)->sin6_addr);
}

static bool has_proxy(void) {
	static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (getenv(names[i]) && *getenv(names[i]))
			return true;
	return false;
}

// "127.0.0.1:80" or "[::1]:80" as address and port, in place.
static bool split(char *host, char **address, long *port) {
	char *close = strrchr(host, ']'), *colon = strrchr(host, ':'), *end = "";
	*port = 80;
	if (colon && (!close || colon > close)) {
		*port = strtol(colon + 1, &end, 10);
		*colon = 0;
	}
	*address = host + (*host == '[');
	if (*host == '[' && close)
		*close = 0;
	return !*end && *port > 0 && *port < 65536;
}

static bool read_address(struct tdm_plain *p) {
	struct sockaddr_in *v4 = (struct sockaddr_in *)&p->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&p->address;
	char host[sizeof p->host], *address;
	long port;
	memcpy(host, p->host, sizeof host);
	bool is_v6 = *host == '[';
	if (!split(host, &address, &port))
		return false;
	p->address.ss_family = is_v6 ? AF_INET6 : AF_INET;
	p->address_bytes = is_v6 ? sizeof *v6 : sizeof *v4;
	v4->sin_port = htons((uint16_t)port); // at the same place in both
	return inet_pton(p->address.ss_family, address, is_v6 ? (void *)&v6->sin6_addr : &v4->sin_addr) == 1;
}

struct tdm_plain *tdm_plain_new(const char *url) {
	if (strncmp(url, "http://", 7) != 0)
		return NULL;
	struct tdm_plain *p = calloc(1, sizeof *p);
	size_t n = strcspn(url + 7, "/?#");
	if (!p || n >= sizeof p->host) {
		free(p);
		return NULL;
	}
	memcpy(p->host, url + 7, n);
	if (read_address(p) && (is_loopback(&p->address) || !has_proxy()) && !pthread_mutex_init(&p->lock, NULL))
		return p;
	free(p);
	return NULL;
}

bool tdm_plain_host(const char *url, char *host, size_t n) {
	struct tdm_plain *p = tdm_plain_new(url);
	bool is_ours = p && strlen(p->host) < n;
	if (is_ours)
		memcpy(host, p->host, strlen(p->host) + 1);
	tdm_plain_free(p);
	return is_ours;
}

bool tdm_plain_fits(const struct tdm_plain *p, const char *url) {
	size_t n = strlen(p->host);
	return !strncmp(url, "http://", 7) && !strncmp(url + 7, p->host, n) && (url[7 + n] == '/' || !url[7 + n]);
}

static void hang_up(struct wire w) {
	tdm_line_close(w.line);
	close(w.fd);
}

// By whom a wire is used from here on: in a loop its line is needed, elsewhere it is in nobody's way.
static struct wire adopt(struct wire w) {
	if (!tdm_line_is_here(w.line)) {
		struct tdm_line *line = tdm_line_open(w.fd);
		if (line) {
			tdm_line_close(w.line);
			w.line = line;
		}
	}
	return w;
}

void tdm_plain_free(struct tdm_plain *p) {
	if (!p)
		return;
	for (int i = 0; i < p->n_idle; i++)
		hang_up(p->idle[i].wire);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static struct wire take_idle(struct tdm_plain *p, int64_t *since_us) {
	struct wire w = {-1, NULL};
	pthread_mutex_lock(&p->lock);
	if (p->n_idle) {
		w = p->idle[--p->n_idle].wire;
		*since_us = p->idle[p->n_idle].since_us;
	}
	pthread_mutex_unlock(&p->lock);
	return w;
}

static void give_idle(struct tdm_plain *p, struct wire w) {
	int64_t now_us = tdm_now_us();
	pthread_mutex_lock(&p->lock);
	bool room = p->n_idle < TDM_PLAIN_IDLE;
	if (room) {
		p->idle[p->n_idle].wire = w;
		p->idle[p->n_idle++].since_us = now_us;
	}
	pthread_mutex_unlock(&p->lock);
	if (!room)
		hang_up(w);
}

// A kept connection on which nothing has happened: no end, and no bytes that nobody asked for. Nobody ends one that was
// in use a moment ago: that is not looked at.
static struct wire take_quiet(struct tdm_plain *p) {
	char byte;
	int64_t since_us;
	struct wire w;
	while ((w = take_idle(p, &since_us)).fd >= 0) {
		if (tdm_now_us() - since_us < FRESH_US)
			return w;
		if (recv(w.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return w;
		hang_up(w);
	}
	return w;
}

// Until one of `events` is there, or the time is over.
static bool is_ready(struct wire w, short events, int for_ms) {
	struct pollfd ready = {.fd = w.fd, .events = events};
	if (!tdm_line_is_here(w.line))
		return poll(&ready, 1, for_ms) > 0;
	if (poll(&ready, 1, 0) > 0)
		return true;
	tdm_line_wait(w.line, events & POLLOUT, for_ms);
	return poll(&ready, 1, 0) > 0;
}

static int no_connection(struct tdm_http_post *post, enum tdm_http_end end, const char *why) {
	post->end = end;
	post->why = why;
	post->left = false;
	post->may_repeat = end == TDM_HTTP_REFUSED;
	return -1;
}

// *status: what watch() said.
static int wait_connected(struct tdm_http_post *post, struct wire w, int64_t until_us, int *status) {
	int error = 0;
	socklen_t size = sizeof error;
	while (!is_ready(w, POLLOUT, TDM_HTTP_POLL_MS)) {
		if ((*status = post->watch(post->arg)))
			return no_connection(post, TDM_HTTP_STOPPED, "");
		if (tdm_now_us() > until_us)
			return no_connection(post, TDM_HTTP_SLOW, "no connection in time");
	}
	getsockopt(w.fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error == 0 ? w.fd
	                  : no_connection(post, error == ETIMEDOUT ? TDM_HTTP_SLOW : TDM_HTTP_REFUSED, "nobody listens");
}

// Waiting for bytes is cut into pieces, between which watch() is asked.
static struct wire dial(struct tdm_plain *p, const struct tdm_plain_call *call, int *status) {
	struct tdm_http_post *post = call->post;
	struct timeval piece = {.tv_usec = TDM_HTTP_PATIENT_MS * 1000};
	int one = 1, fd = socket(p->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct wire w = {fd, NULL};
	if (fd < 0) {
		no_connection(post, errno == EMFILE || errno == ENFILE ? TDM_HTTP_NO_FILES : TDM_HTTP_BROKEN,
		              strerrordesc_np(errno));
		return w;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &piece, sizeof piece);
	if (connect(fd, (struct sockaddr *)&p->address, p->address_bytes)) {
		bool begun = errno == EINPROGRESS;
		w = begun ? adopt(w) : w;
		fd = begun ? wait_connected(post, w, tdm_now_us() + call->connect_ms * 1000, status)
		           : no_connection(post, TDM_HTTP_REFUSED, "nobody listens");
	}
	if (fd < 0)
		hang_up(w);
	else
		fcntl(fd, F_SETFL, 0); // waits in recv from here on
	w.fd = fd;
	return w;
}

// --- one call

struct request {
	struct iovec parts[2];
	int at; // the first part that is not sent
};

// What the socket takes now. false: it is broken. On its own, as receive_some() is: a wait in the loop may go on on
// another thread, whose errno is elsewhere, and the place of errno is never looked up before one and used after it.
static __attribute__((noinline)) bool push(int fd, struct request *rq) {
	while (rq->at < 2) {
		struct msghdr message = {.msg_iov = rq->parts + rq->at, .msg_iovlen = (size_t)(2 - rq->at)};
		ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		while (rq->at < 2 && (size_t)n >= rq->parts[rq->at].iov_len)
			n -= (ssize_t)rq->parts[rq->at++].iov_len;
		if (rq->at < 2) {
			rq->parts[rq->at].iov_base = (char *)rq->parts[rq->at].iov_base + n;
			rq->parts[rq->at].iov_len -= (size_t)n;
		}
	}
	return true;
}

// -EAGAIN: nothing is there; another -errno: it is broken.
static __attribute__((noinline)) ssize_t receive_some(int fd, char *bytes, int flags) {
	ssize_t n = recv(fd, bytes, READ_BYTES, flags);
	return n >= 0 ? n : errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

// What is left of the request, as far as the socket takes it, and what has come meanwhile. An upstream that answers
// before it has read everything is heard, and one that has closed may still have answered.
static ssize_t receive_pushing(struct wire w, struct request *rq, char *bytes) {
	if (!is_ready(w, POLLIN | POLLOUT, TDM_HTTP_POLL_MS))
		return -EAGAIN;
	if (!push(w.fd, rq))
		rq->at = 2;
	return receive_some(w.fd, bytes, MSG_DONTWAIT);
}

// *more: there may be more bytes, of which no event tells.
static ssize_t receive_in_loop(struct wire w, char *bytes, bool patient, bool *more) {
	if (!*more)
		tdm_line_wait(w.line, false, patient ? TDM_HTTP_PATIENT_MS : TDM_HTTP_POLL_MS);
	ssize_t n = receive_some(w.fd, bytes, MSG_DONTWAIT);
	*more = n == READ_BYTES;
	return n;
}

static ssize_t receive(struct wire w, struct request *rq, char *bytes, bool patient, bool *more) {
	if (rq->at < 2)
		return receive_pushing(w, rq, bytes);
	if (tdm_line_is_here(w.line))
		return receive_in_loop(w, bytes, patient, more);
	if (patient || is_ready(w, POLLIN, TDM_HTTP_POLL_MS))
		return receive_some(w.fd, bytes, patient ? 0 : MSG_DONTWAIT);
	return -EAGAIN;
}

// Pieces that come faster than they are passed on: whoever else waits for this processor goes first, so that more of
// them have come by then and leave together. Where nobody waits, nothing is waited for.
static int read_answer(struct wire w, struct request *rq, struct tdm_plain_answer *a, bool watched) {
	struct tdm_http_post *post = a->call->post;
	char bytes[READ_BYTES];
	bool left = false, more = push(w.fd, rq) || broken(a, "the request could not be sent");
	int status = TDM_OK;
	int64_t came_us = 0;
	while (more && !status) {
		if (came_us && tdm_now_us() - came_us < BURST_US)
			sched_yield();
		ssize_t n = receive(w, rq, bytes, post->patient && watched, &left);
		came_us = tdm_now_us();
		if (n <= 0 && n != -EAGAIN && (status = post->watch(post->arg))) // it ends because nobody waits for it
			break;
		if (n >= 0)
			more = tdm_plain_answer_feed(a, bytes, (size_t)n, n == 0);
		else if (n != -EAGAIN)
			more = broken(a, "it was reset");
		if (more)
			status = post->watch(post->arg);
	}
	if (status)
		post->end = TDM_HTTP_STOPPED;
	return status;
}

static int exchange(struct wire w, struct request *rq, struct tdm_plain_answer *a) {
	const struct tdm_http_post *post = a->call->post;
	struct tdm_gone gone = {.stops = {post->stops[0], post->stops[1]}, .fd = w.fd};
	bool watched = tdm_gone_watch(&gone);
	int status = read_answer(w, rq, a, watched);
	tdm_gone_forget(&gone);
	a->keep &= !gone.cut;
	return status;
}

static bool write_head(struct tdm_bytes *out, const struct tdm_plain *p, const struct tdm_plain_call *call) {
	char length[64];
	const char *path = call->post->url + 7 + strlen(p->host);
	int n = tdm_print(length, sizeof length, "\r\nContent-Length: %zu\r\n", call->post->n);
	tdm_bytes_puts(out, "POST ");
	tdm_bytes_puts(out, *path ? path : "/");
	tdm_bytes_puts(out, " HTTP/1.1\r\nHost: ");
	tdm_bytes_puts(out, p->host);
	tdm_bytes_add(out, length, (size_t)n);
	tdm_bytes_add(out, call->head, call->n_head);
	if (call->post->extra) {
		tdm_bytes_puts(out, call->post->extra);
		tdm_bytes_puts(out, "\r\n");
	}
	tdm_bytes_add(out, "\r\n", 2);
	return !out->failed;
}

int tdm_plain_send(struct tdm_plain *p, const struct tdm_plain_call *call) {
	struct tdm_http_post *post = call->post;
	struct tdm_plain_answer a;
	struct tdm_bytes head;
	int status = TDM_OK;
	post->end = TDM_HTTP_BROKEN;
	post->why = "";
	struct wire w = {-1, NULL};
	if (!post->fresh)
		w = take_quiet(p);
	if (w.fd < 0)
		w = dial(p, call, &status);
	if (w.fd < 0)
		return status;
	w = adopt(w);
	post->left = true;
	tdm_bytes_init(&head, HEAD_LIMIT_BYTES);
	answer_init(&a, call);
	if (write_head(&head, p, call)) {
		struct request rq = {.parts = {{head.data, head.len}, {(void *)(uintptr_t)post->body, post->n}}};
		status = exchange(w, &rq, &a);
	}
	post->may_repeat = post->end == TDM_HTTP_BROKEN && !post->http;
	if (post->end == TDM_HTTP_WELL && a.keep)
		give_idle(p, w);
	else
		hang_up(w);
	answer_release(&a);
	if (head.data)
		tdm_wipe(head.data, head.len); // a key is in it
	tdm_bytes_release(&head);
	return status;
}
