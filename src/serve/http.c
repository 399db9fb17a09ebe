// HTTP over libmicrohttpd: one thread for all connections, one that watches the sockets of requests in progress.
//
// Locks: exchange->mutex guards everything of an exchange that changes after the hand-over; http->mutex guards the list
// of exchanges in progress. Order: http->mutex before exchange->mutex before libmicrohttpd's own. References: the
// connection holds one, whoever answers holds one; the last one frees.
#include "serve/http.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONNECTION_MEMORY_BYTES (24 * 1024)
#define CONNECTION_TIMEOUT_S 120
#define STREAM_BUFFER_BYTES (256 * 1024)
#define MAX_HEADERS 24
#define WATCH_EVENTS 64
#define WATCH_TICK_MS 250 // a silent stream gets its comment at most so much late

enum stage { READING, WORKING, REPLIED, STREAMING, ENDED };

struct header {
	char *name, *value;
};

struct tdm_exchange {
	struct tdm_http *http;
	pthread_mutex_t mutex;
	pthread_cond_t room;               // the stream's buffer was read, or the client left
	struct MHD_Connection *connection; // NULL once the connection is done
	enum stage stage;
	bool suspended, clean, too_large, handed, answered, chunked; // chunked: the client speaks HTTP/1.1
	const char *ping;                                            // NULL: it may not stream yet
	int references, http_status, fd;
	char *method, *path;
	const char *content_type;
	struct tdm_bytes body, out; // out: the reply, or what of the stream was not sent yet
	struct header headers[MAX_HEADERS];
	int n_headers;
	atomic_bool cancelled;
	int64_t arrived_us, wrote_us;
	uint64_t id;
	struct tdm_exchange *next, *previous; // in http->working
};

struct tdm_http {
	struct tdm_http_options options;
	struct MHD_Daemon *daemon;
	int epoll, wake; // wake: a pipe's writing end; closing it ends the watcher
	pthread_t watcher;
	pthread_mutex_t mutex;
	struct tdm_exchange *working;
	uint64_t last_id;
};

// --- exchanges

static struct tdm_exchange *exchange_new(struct tdm_http *h, struct MHD_Connection *c, const char *path,
                                         const char *method) {
	struct tdm_exchange *x = calloc(1, sizeof *x);
	if (!x)
		return NULL;
	x->http = h;
	x->connection = c;
	x->references = 1;
	x->path = strdup(path);
	x->method = strdup(method);
	x->arrived_us = tdm_now_us();
	x->fd = -1;
	pthread_mutex_init(&x->mutex, NULL);
	pthread_cond_init(&x->room, NULL);
	tdm_bytes_init(&x->body, h->options.max_body_bytes + 1);
	tdm_bytes_init(&x->out, SIZE_MAX / 2);
	return x;
}

static void exchange_free(struct tdm_exchange *x) {
	for (int i = 0; i < x->n_headers; i++) {
		free(x->headers[i].name);
		free(x->headers[i].value);
	}
	tdm_bytes_release(&x->body);
	tdm_bytes_release(&x->out);
	pthread_cond_destroy(&x->room);
	pthread_mutex_destroy(&x->mutex);
	free(x->path);
	free(x->method);
	free(x);
}

// Called with x->mutex held; unlocks it.
static void drop_reference(struct tdm_exchange *x) {
	bool last = --x->references == 0;
	pthread_mutex_unlock(&x->mutex);
	if (last)
		exchange_free(x);
}

const char *tdm_exchange_method(const struct tdm_exchange *x) {
	return x->method;
}

const char *tdm_exchange_path(const struct tdm_exchange *x) {
	return x->path;
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

// The connection is suspended while an exchange is worked on, so that its headers stay where they are.
const char *tdm_exchange_header(const struct tdm_exchange *x, const char *name) {
	return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

bool tdm_exchange_is_local(const struct tdm_exchange *x) {
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *address = info ? info->client_addr : NULL;
	if (address && address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
	return address && address->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static char *printable(const char *value) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, 4096);
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		tdm_bytes_printf(&b, *p >= 0x20 && *p < 0x7f ? "%c" : "%%%02X", *p);
	char *copy = strdup(b.data ? b.data : "");
	tdm_bytes_release(&b);
	return copy;
}

void tdm_exchange_set(struct tdm_exchange *x, const char *name, const char *value) {
	pthread_mutex_lock(&x->mutex);
	if (x->stage == WORKING && x->n_headers < MAX_HEADERS)
		x->headers[x->n_headers++] = (struct header){strdup(name), printable(value)};
	pthread_mutex_unlock(&x->mutex);
}

void tdm_exchange_may_stream(struct tdm_exchange *x, const char *ping) {
	pthread_mutex_lock(&x->mutex);
	x->ping = ping;
	x->wrote_us = tdm_now_us();
	pthread_mutex_unlock(&x->mutex);
}

bool tdm_exchange_committed(struct tdm_exchange *x) {
	pthread_mutex_lock(&x->mutex);
	bool committed = x->stage > WORKING;
	pthread_mutex_unlock(&x->mutex);
	return committed;
}

// Called with x->mutex held.
static void resume(struct tdm_exchange *x) {
	if (!x->suspended || !x->connection)
		return;
	x->suspended = false;
	MHD_resume_connection(x->connection);
}

bool tdm_exchange_reply(struct tdm_exchange *x, int http_status, const char *content_type, const void *body, size_t n) {
	pthread_mutex_lock(&x->mutex);
	if (x->stage != WORKING) {
		pthread_mutex_unlock(&x->mutex);
		return false;
	}
	x->stage = REPLIED;
	x->http_status = http_status;
	x->content_type = content_type;
	tdm_bytes_add(&x->out, body, n);
	resume(x);
	drop_reference(x);
	return true;
}

// Called with x->mutex held.
static void commit_stream(struct tdm_exchange *x) {
	if (x->stage != WORKING)
		return;
	x->stage = STREAMING;
	resume(x);
}

int tdm_exchange_stream(struct tdm_exchange *x) {
	pthread_mutex_lock(&x->mutex);
	commit_stream(x);
	pthread_mutex_unlock(&x->mutex);
	return atomic_load(&x->cancelled) ? TDM_EGONE : TDM_OK;
}

int tdm_exchange_write(struct tdm_exchange *x, const void *data, size_t n) {
	pthread_mutex_lock(&x->mutex);
	while (x->out.len > STREAM_BUFFER_BYTES && x->connection && !atomic_load(&x->cancelled))
		pthread_cond_wait(&x->room, &x->mutex);
	bool gone = !x->connection || atomic_load(&x->cancelled);
	if (!gone) {
		tdm_bytes_add(&x->out, data, n);
		x->wrote_us = tdm_now_us();
		if (x->stage == STREAMING)
			resume(x);
	}
	pthread_mutex_unlock(&x->mutex);
	return gone ? TDM_EGONE : TDM_OK;
}

void tdm_exchange_end(struct tdm_exchange *x, bool clean) {
	pthread_mutex_lock(&x->mutex);
	x->stage = ENDED;
	x->clean = clean;
	resume(x);
	drop_reference(x);
}

// --- the connection's side

// A stream without chunks ends with its connection; only a reset tells the client that this one was cut.
static void reset_connection(const struct tdm_exchange *x) {
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};
	if (!x->chunked && x->fd >= 0)
		(void)!connect(x->fd, &nobody, sizeof nobody);
}

static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t max) {
	struct tdm_exchange *x = context;
	ssize_t n = 0;
	(void)position;
	pthread_mutex_lock(&x->mutex);
	if (x->out.len) {
		n = (ssize_t)(x->out.len < max ? x->out.len : max);
		memcpy(buffer, x->out.data, (size_t)n);
		tdm_bytes_drop(&x->out, (size_t)n);
		pthread_cond_broadcast(&x->room);
	} else if (x->stage == ENDED) {
		if (!x->clean)
			reset_connection(x);
		n = x->clean ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
	} else {
		x->suspended = true;
		MHD_suspend_connection(x->connection);
	}
	pthread_mutex_unlock(&x->mutex);
	return n;
}

static void add_headers(struct tdm_exchange *x, struct MHD_Response *response, const char *content_type) {
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	for (int i = 0; i < x->n_headers; i++)
		if (x->headers[i].name && x->headers[i].value)
			MHD_add_response_header(response, x->headers[i].name, x->headers[i].value);
}

static enum MHD_Result queue_whole(struct tdm_exchange *x) {
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(x->out.len, x->out.data ? x->out.data : (char *)"", MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	add_headers(x, response, x->content_type);
	enum MHD_Result result = MHD_queue_response(x->connection, (unsigned)x->http_status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result queue_stream(struct tdm_exchange *x) {
	struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, x, NULL);
	if (!response)
		return MHD_NO;
	add_headers(x, response, "text/event-stream; charset=utf-8");
	MHD_add_response_header(response, "Cache-Control", "no-cache");
	MHD_add_response_header(response, "X-Accel-Buffering", "no");
	enum MHD_Result result = MHD_queue_response(x->connection, MHD_HTTP_OK, response);
	MHD_destroy_response(response);
	return result;
}

// Not under x->mutex: libmicrohttpd holds a lock of the response when it calls read_stream. Nothing that is read here
// changes after the commit.
static enum MHD_Result queue_answer(struct tdm_exchange *x) {
	pthread_mutex_lock(&x->mutex);
	bool ready = !x->answered && x->stage > WORKING; // else resumed without an answer: nothing to do yet
	bool whole = x->stage == REPLIED;
	x->answered |= ready;
	pthread_mutex_unlock(&x->mutex);
	if (!ready)
		return MHD_YES;
	return whole ? queue_whole(x) : queue_stream(x);
}

static void watch(struct tdm_http *h, struct tdm_exchange *x) {
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	pthread_mutex_lock(&h->mutex);
	x->id = ++h->last_id;
	x->next = h->working;
	if (h->working)
		h->working->previous = x;
	h->working = x;
	x->fd = info ? info->connect_fd : -1;
	struct epoll_event event = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.u64 = x->id};
	if (x->fd >= 0)
		epoll_ctl(h->epoll, EPOLL_CTL_ADD, x->fd, &event);
	pthread_mutex_unlock(&h->mutex);
}

static void unwatch(struct tdm_http *h, struct tdm_exchange *x) {
	pthread_mutex_lock(&h->mutex);
	if (x->id) {
		if (x->fd >= 0)
			epoll_ctl(h->epoll, EPOLL_CTL_DEL, x->fd, NULL);
		if (x->next)
			x->next->previous = x->previous;
		if (x->previous)
			x->previous->next = x->next;
		else
			h->working = x->next;
		x->id = 0;
	}
	pthread_mutex_unlock(&h->mutex);
}

static enum MHD_Result hand_over(struct tdm_http *h, struct tdm_exchange *x) {
	x->handed = true;
	x->stage = WORKING;
	x->references = 2;
	x->suspended = true;
	if (x->body.failed)
		x->too_large = true;
	MHD_suspend_connection(x->connection);
	watch(h, x);
	h->options.handle(h->options.context, x);
	return MHD_YES;
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *c, const char *url, const char *method,
                                 const char *version, const char *upload, size_t *upload_bytes, void **state) {
	struct tdm_http *h = context;
	struct tdm_exchange *x = *state;
	if (!x) {
		*state = x = exchange_new(h, c, url, method);
		if (x)
			x->chunked = !strcmp(version, MHD_HTTP_VERSION_1_1);
		return x && x->path && x->method ? MHD_YES : MHD_NO;
	}
	if (x->handed)
		return queue_answer(x);
	if (!*upload_bytes)
		return hand_over(h, x);
	tdm_bytes_add(&x->body, upload, *upload_bytes); // over the limit it fails, and the rest is read and dropped
	*upload_bytes = 0;
	return MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code) {
	struct tdm_exchange *x = *state;
	(void)c;
	if (!x)
		return;
	*state = NULL;
	unwatch(context, x);
	pthread_mutex_lock(&x->mutex);
	x->connection = NULL;
	if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK)
		atomic_store(&x->cancelled, true);
	pthread_cond_broadcast(&x->room);
	drop_reference(x);
}

// --- the watcher: clients that left, streams that are silent

static void cancel(struct tdm_exchange *x) {
	pthread_mutex_lock(&x->mutex);
	atomic_store(&x->cancelled, true);
	pthread_cond_broadcast(&x->room);
	pthread_mutex_unlock(&x->mutex);
}

static void client_left(struct tdm_http *h, uint64_t id) {
	pthread_mutex_lock(&h->mutex);
	for (struct tdm_exchange *x = h->working; x; x = x->next)
		if (x->id == id)
			cancel(x);
	pthread_mutex_unlock(&h->mutex);
}

void tdm_http_cancel_all(struct tdm_http *h) {
	pthread_mutex_lock(&h->mutex);
	for (struct tdm_exchange *x = h->working; x; x = x->next)
		cancel(x);
	pthread_mutex_unlock(&h->mutex);
}

static void ping_silent(struct tdm_http *h) {
	int64_t latest = tdm_now_us() - (int64_t)h->options.ping_s * 1000000;
	pthread_mutex_lock(&h->mutex);
	for (struct tdm_exchange *x = h->working; x; x = x->next) {
		pthread_mutex_lock(&x->mutex);
		if (x->ping && x->wrote_us < latest && (x->stage == WORKING || x->stage == STREAMING) && !x->out.len) {
			tdm_bytes_puts(&x->out, x->ping);
			x->wrote_us = tdm_now_us();
			commit_stream(x);
			resume(x);
		}
		pthread_mutex_unlock(&x->mutex);
	}
	pthread_mutex_unlock(&h->mutex);
}

static void *watch_loop(void *context) {
	struct tdm_http *h = context;
	struct epoll_event events[WATCH_EVENTS];
	for (;;) {
		int n = epoll_wait(h->epoll, events, WATCH_EVENTS, WATCH_TICK_MS);
		for (int i = 0; i < n; i++) {
			if (!events[i].data.u64) // the wake pipe was closed
				return NULL;
			client_left(h, events[i].data.u64);
		}
		ping_silent(h);
	}
}

static int start_watcher(struct tdm_http *h, struct tdm_error *err) {
	int ends[2];
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll < 0 || pipe2(ends, O_CLOEXEC))
		return tdm_fail(err, TDM_EIO, "the server cannot watch its sockets: %s", strerror(errno));
	struct epoll_event event = {.events = EPOLLIN | EPOLLHUP, .data.u64 = 0};
	epoll_ctl(h->epoll, EPOLL_CTL_ADD, ends[0], &event);
	h->wake = ends[1];
	if (pthread_create(&h->watcher, NULL, watch_loop, h))
		return tdm_fail(err, TDM_EIO, "the server cannot start a thread");
	return TDM_OK;
}

// --- opening and closing

static int parse_address(const struct tdm_http_options *o, struct sockaddr_storage *out, struct tdm_error *err) {
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof *out);
	if (inet_pton(AF_INET, o->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(o->port);
		return TDM_OK;
	}
	if (inet_pton(AF_INET6, o->address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(o->port);
		return TDM_OK;
	}
	return tdm_fail(err, TDM_ECONFIG, "serve.listen: expected a numeric address, got \"%s\"", o->address);
}

static int start_daemon(struct tdm_http *h, struct tdm_error *err) {
	struct sockaddr_storage address;
	int status = parse_address(&h->options, &address, err);
	if (status)
		return status;
	unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
	if (address.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	h->daemon = MHD_start_daemon(
	    flags, 0, NULL, NULL, on_access, h, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
	    h, MHD_OPTION_CONNECTION_LIMIT, TDM_HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_END);
	if (!h->daemon)
		return tdm_fail(err, TDM_EIO, "cannot listen on %s port %d: %s", h->options.address, h->options.port,
		                strerror(errno));
	return TDM_OK;
}

int tdm_http_open(const struct tdm_http_options *o, struct tdm_http **out, struct tdm_error *err) {
	struct tdm_http *h = calloc(1, sizeof *h);
	if (!h)
		return tdm_fail(err, TDM_ENOMEM, "out of memory");
	h->options = *o;
	pthread_mutex_init(&h->mutex, NULL);
	int status = start_watcher(h, err);
	if (!status)
		status = start_daemon(h, err);
	if (status) {
		if (h->watcher) {
			close(h->wake);
			pthread_join(h->watcher, NULL);
		}
		free(h);
		return status;
	}
	*out = h;
	return TDM_OK;
}

uint16_t tdm_http_port(const struct tdm_http *h) {
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
	return info ? info->port : h->options.port;
}

void tdm_http_stop_accepting(struct tdm_http *h) {
	MHD_socket listening = MHD_quiesce_daemon(h->daemon);
	if (listening != MHD_INVALID_SOCKET)
		close(listening);
}

void tdm_http_close(struct tdm_http *h) {
	MHD_stop_daemon(h->daemon);
	close(h->wake);
	pthread_join(h->watcher, NULL);
	close(h->epoll);
	pthread_mutex_destroy(&h->mutex);
	free(h);
}
