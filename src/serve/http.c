// HTTP: listening and connections; see http.h for the shape and http_parts.h for the locks.
//
// Sockets are watched edge by edge in one epoll set, where each stays from its first byte to its last: an event that
// comes while a connection has an owner leaves a mark, which the owner looks at before it lets go. So a request costs
// one epoll_wait, one recv and one send.
#include "base/clock.h"
#include "serve/http_parts.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 4096
#define LISTENER ((uint64_t)INT64_MAX)
#define KEEPER_TICK_MS 100
#define LINGER_US 2000000 // for a client to read its last answer before its connection is closed
#define EVICT_TRIES 16
#define ARENAS 4 // of malloc: what a thousand threads have freed is found again by the next

// --- connections

static uint64_t name_of(const struct tdm_exchange *x) {
	return (uint64_t)(x->generation & INT32_MAX) << 32 | x->slot;
}

static void free_memory(struct tdm_exchange *x) {
	tdm_bytes_release(&x->in);
	tdm_bytes_release(&x->head_text);
	tdm_bytes_release(&x->body);
	tdm_bytes_release(&x->out);
	tdm_bytes_release(&x->early);
	tdm_bytes_release(&x->headers);
	x->sent = x->looked = 0;
}

// By the owner. A stream that was cut and is not framed needs a reset, or its end would look like the end.
static void close_connection(struct tdm_exchange *x) {
	struct tdm_http *h = x->http;
	struct linger now = {.l_onoff = 1};
	pthread_mutex_lock(&x->mutex);
	if (x->stage >= TDM_STREAMING && !x->clean && !x->framed)
		setsockopt(x->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(x->fd);
	x->fd = -1;
	x->generation++;
	x->stage = TDM_READING;
	free_memory(x);
	pthread_mutex_unlock(&x->mutex);
	pthread_mutex_lock(&h->mutex);
	h->open--;
	x->next = h->free;
	h->free = x;
	pthread_mutex_unlock(&h->mutex);
}

// By the owner: from here on events may find a new one.
static void let_go(struct tdm_exchange *x, bool again) {
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = name_of(x)};
	pthread_mutex_lock(&x->mutex);
	x->again = again || x->readable || x->hung_up;
	x->owned = x->readable = false;
	if (x->again) // there is more to do: an event of its own brings it back
		epoll_ctl(tdm_loop_epoll(x->http->loop), EPOLL_CTL_MOD, x->fd, &event);
	pthread_mutex_unlock(&x->mutex);
}

// By the owner: the last answer was sent; what the client still sends is read and dropped until it closes, for closing
// at once could take the answer away from it.
static void linger(struct tdm_exchange *x) {
	pthread_mutex_lock(&x->mutex);
	bool cut = x->broken || (!x->clean && !x->framed);
	if (!cut) {
		shutdown(x->fd, SHUT_WR);
		x->stage = TDM_LINGERING;
		tdm_exchange_deadline(x, LINGER_US);
	}
	pthread_mutex_unlock(&x->mutex);
	if (cut)
		close_connection(x);
	else
		let_go(x, true);
}

static void drop_input(struct tdm_exchange *x) {
	char bytes[TDM_READ_BYTES];
	ssize_t n = 1;
	for (int i = 0; n > 0 && i < 64; i++)
		n = recv(x->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		close_connection(x);
	else
		let_go(x, n > 0);
}

static struct tdm_exchange *new_slot(struct tdm_http *h) {
	struct tdm_exchange *x = calloc(1, sizeof *x);
	pthread_condattr_t monotonic;
	if (!x)
		return NULL;
	x->http = h;
	x->fd = -1;
	pthread_mutex_init(&x->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&x->room, &monotonic);
	pthread_condattr_destroy(&monotonic);
	x->slot = (uint32_t)h->n_slots;
	h->slots[h->n_slots++] = x;
	return x;
}

static struct tdm_exchange *free_slot(struct tdm_http *h) {
	pthread_mutex_lock(&h->mutex);
	struct tdm_exchange *x = h->free;
	if (x)
		h->free = x->next;
	else if (h->n_slots < h->options.connections)
		x = new_slot(h);
	h->open += x != NULL;
	pthread_mutex_unlock(&h->mutex);
	return x;
}

static size_t n_slots(struct tdm_http *h) {
	pthread_mutex_lock(&h->mutex);
	size_t n = h->n_slots;
	pthread_mutex_unlock(&h->mutex);
	return n;
}

// Becomes the owner of a connection that nobody owns, if its time is over before `now_us`.
static bool take_late(struct tdm_exchange *x, int64_t now_us) {
	pthread_mutex_lock(&x->mutex);
	bool take = x->fd >= 0 && !x->owned && now_us > x->deadline_us;
	x->owned |= take;
	pthread_mutex_unlock(&x->mutex);
	return take;
}

static struct tdm_exchange *find_oldest(struct tdm_http *h) {
	struct tdm_exchange *oldest = NULL;
	int64_t since = INT64_MAX;
	for (size_t i = 0, n = n_slots(h); i < n; i++) {
		struct tdm_exchange *x = h->slots[i];
		pthread_mutex_lock(&x->mutex);
		if (x->fd >= 0 && !x->owned && x->deadline_us < since) {
			oldest = x;
			since = x->deadline_us;
		}
		pthread_mutex_unlock(&x->mutex);
	}
	return oldest;
}

// The connection that has waited longest for a request makes place for a new one. What was found may get an owner
// before it is taken; then another one is the oldest.
static bool evict_oldest(struct tdm_http *h) {
	for (int i = 0; i < EVICT_TRIES; i++) {
		struct tdm_exchange *oldest = find_oldest(h);
		if (oldest && take_late(oldest, INT64_MAX)) {
			close_connection(oldest);
			return true;
		}
	}
	return false;
}

// --- accepting

static void turn_away(int fd) {
	static const char full[] =
	    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 112"
	    "\r\nRetry-After: 1\r\nConnection: close\r\n\r\n{\"error\":{\"message\":\"the server has no "
	    "room for another connection\",\"type\":\"overloaded_error\",\"code\":\"loading\"}}";
	char bytes[TDM_READ_BYTES];
	(void)!recv(fd, bytes, sizeof bytes, MSG_DONTWAIT); // unread bytes would turn the answer into a reset
	(void)!send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	close(fd);
}

static bool is_local(const struct sockaddr_storage *from) {
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)from)->sin6_addr;
	if (from->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)from)->sin_addr.s_addr) >> 24 == 127;
	return from->ss_family == AF_INET6 &&
	       (IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127));
}

static void add_connection(struct tdm_http *h, int fd, const struct sockaddr_storage *from) {
	struct tdm_exchange *x = free_slot(h);
	int one = 1;
	if (!x && evict_oldest(h))
		x = free_slot(h);
	if (!x) {
		turn_away(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	pthread_mutex_lock(&x->mutex);
	x->fd = fd;
	x->is_local = is_local(from);
	x->stage = TDM_READING;
	x->wait = TDM_WAIT_REQUEST;
	x->owned = x->readable = x->again = x->broken = x->last = x->has_head = false;
	atomic_store(&x->hung_up, false);
	tdm_bytes_init(&x->in, TDM_HEAD_BYTES + TDM_READ_BYTES);
	tdm_bytes_init(&x->head_text, TDM_HEAD_BYTES);
	tdm_bytes_init(&x->out, SIZE_MAX / 2);
	tdm_bytes_init(&x->early, SIZE_MAX / 2);
	tdm_bytes_init(&x->headers, TDM_HEAD_BYTES * 4);
	tdm_exchange_deadline(x, (int64_t)h->options.idle_s * 1000000);
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = name_of(x)};
	bool watched = epoll_ctl(tdm_loop_epoll(h->loop), EPOLL_CTL_ADD, fd, &event) == 0;
	x->owned = !watched;
	pthread_mutex_unlock(&x->mutex);
	if (!watched)
		close_connection(x);
}

// With no file descriptor left, the one in reserve takes the connection and tells it so; otherwise it would wait in the
// kernel, and the listener would be ready again and again.
static bool out_of_files(struct tdm_http *h) {
	bool had = h->reserve >= 0;
	if (had)
		close(h->reserve);
	int fd = accept4(h->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		turn_away(fd);
	h->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	atomic_store(&h->short_of_files, fd < 0); // then the keeper looks again
	return fd >= 0;
}

static void accept_all(struct tdm_http *h) {
	pthread_mutex_lock(&h->accepting);
	for (bool more = true; more && h->listener >= 0;) {
		struct sockaddr_storage from = {0};
		socklen_t n = sizeof from;
		int fd = accept4(h->listener, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			add_connection(h, fd, &from);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			more = out_of_files(h);
		else
			more = errno == EINTR || errno == ECONNABORTED;
	}
	pthread_mutex_unlock(&h->accepting);
}

// --- answering

// A request was answered and sent. false: so was the connection.
static bool go_on(struct tdm_exchange *x, bool patient) {
	tdm_exchange_finish(x, patient);
	if (x->last) {
		linger(x);
		return false;
	}
	tdm_bytes_release(&x->body);
	tdm_bytes_release(&x->head_text);
	x->has_head = false;
	pthread_mutex_lock(&x->mutex);
	x->stage = TDM_READING;
	x->wait = TDM_WAIT_ANSWER;
	tdm_exchange_deadline(x, (int64_t)x->http->options.idle_s * 1000000);
	pthread_mutex_unlock(&x->mutex);
	return true;
}

enum place { NOW, LATER, NEVER, ASIDE };

// Whether a request may begin now, must wait in the queue (and is there), or is one too many.
static enum place admit(struct tdm_http *h, struct tdm_exchange *x) {
	enum place place = NEVER;
	if (h->options.is_quick && h->options.is_quick(x))
		return ASIDE;
	pthread_mutex_lock(&h->mutex);
	if (h->busy < h->options.workers) {
		h->busy++;
		place = NOW;
	} else if (h->waiting < h->options.queue) {
		h->waiting++;
		x->next = NULL;
		*h->last = x;
		h->last = &x->next;
		place = LATER;
	}
	pthread_mutex_unlock(&h->mutex);
	return place;
}

// The next of the queue, in the place of the one that has ended; NULL: there is none.
static struct tdm_exchange *next_waiting(struct tdm_http *h) {
	pthread_mutex_lock(&h->mutex);
	struct tdm_exchange *x = h->first;
	if (x) {
		h->first = x->next;
		h->last = h->first ? h->last : &h->first;
		h->waiting--;
	} else if (!--h->busy) {
		pthread_cond_broadcast(&h->idle);
	}
	pthread_mutex_unlock(&h->mutex);
	return x;
}

// Bytes of a next request may have come with this one.
static void pass_on(struct tdm_exchange *x) {
	bool again = x->in.len > 0;
	if (!again)
		tdm_bytes_release(&x->in);
	let_go(x, again);
}

static void answer(struct tdm_http *h, struct tdm_exchange *x) {
	for (; x; x = next_waiting(h)) {
		h->options.handle(h->options.context, x);
		if (go_on(x, true))
			pass_on(x);
	}
}

static void begin(struct tdm_http *h, struct tdm_exchange *x) {
	tdm_exchange_begin(x);
	enum place place = admit(h, x);
	if (place == NOW)
		answer(h, x);
	else if (place == ASIDE)
		h->options.handle(h->options.context, x);
	else if (place == NEVER)
		h->options.refuse(h->options.context, x);
	if ((place == ASIDE || place == NEVER) && go_on(x, false))
		pass_on(x);
}

// By the owner: reads what is there, and answers the request that it completes.
static void attend(struct tdm_http *h, struct tdm_exchange *x) {
	if (x->stage == TDM_LINGERING) {
		drop_input(x);
		return;
	}
	enum tdm_turn turn = tdm_intake_read(x);
	if (turn == TDM_TURN_READY)
		begin(h, x);
	else if (turn == TDM_TURN_CLOSE)
		close_connection(x);
	else if (turn == TDM_TURN_WAIT)
		let_go(x, false);
	else if (go_on(x, false))
		pass_on(x);
}

// --- events

// With x->mutex held: what the event says of the client, whoever owns the connection.
static void heed(struct tdm_exchange *x, uint32_t events) {
	bool gone = events & (EPOLLHUP | EPOLLERR);
	x->hung_up |= (events & EPOLLRDHUP) || gone;
	if ((gone || (x->hung_up && !x->http->options.half_close)) && x->owned && x->stage != TDM_READING)
		tdm_exchange_cancel(x);
	if ((events & EPOLLOUT) && x->out.len && (!x->held || x->waits))
		tdm_exchange_push(x);
}

// Whether the caller owns the connection from here on.
static bool take_event(struct tdm_exchange *x, uint64_t name, uint32_t events) {
	bool mine = false;
	pthread_mutex_lock(&x->mutex);
	if (x->fd >= 0 && name_of(x) == name) {
		heed(x, events);
		mine = !x->owned && (x->again || (events & ~(uint32_t)EPOLLOUT));
		x->readable |= x->owned && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR));
		x->owned |= mine;
	}
	pthread_mutex_unlock(&x->mutex);
	return mine;
}

static void on_event(void *context, uint64_t name, uint32_t events) {
	struct tdm_http *h = context;
	if (name == LISTENER)
		accept_all(h);
	else if (take_event(h->slots[(uint32_t)name], name, events))
		attend(h, h->slots[(uint32_t)name]);
}

// --- the keeper: time limits, comments on silent streams, memory

static void end_late(struct tdm_exchange *x) {
	bool asking = x->stage == TDM_READING && (x->has_head || x->in.len);
	if (!asking) {
		close_connection(x);
		return;
	}
	tdm_intake_reject(x, 408, "request_timeout", x->has_head ? "the body came too slowly" : "the head came too slowly");
	go_on(x, false);
}

static void keep(struct tdm_exchange *x, int64_t now_us) {
	pthread_mutex_lock(&x->mutex);
	if (x->fd >= 0 && x->owned && (x->stage == TDM_WORKING || x->stage == TDM_STREAMING))
		tdm_exchange_ping(x, now_us);
	pthread_mutex_unlock(&x->mutex);
	if (take_late(x, now_us))
		end_late(x);
}

// Memory of a load that is over goes back to the system.
static void give_back(struct tdm_http *h, size_t *most) {
	size_t busy, waiting;
	tdm_http_load(h, &busy, &waiting);
	if (busy > *most)
		*most = busy;
	if (busy || *most < 8)
		return;
	*most = 0;
	malloc_trim(0);
}

static void *keep_all(void *context) {
	struct tdm_http *h = context;
	struct pollfd stop = {.fd = h->stop, .events = POLLIN};
	size_t most = 0;
	while (poll(&stop, 1, KEEPER_TICK_MS) == 0) {
		int64_t now_us = tdm_now_us();
		for (size_t i = 0, n = n_slots(h); i < n; i++)
			keep(h->slots[i], now_us);
		if (atomic_load(&h->short_of_files))
			accept_all(h);
		give_back(h, &most);
	}
	return NULL;
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

static uint16_t bound_port(int fd) {
	struct sockaddr_storage at;
	socklen_t n = sizeof at;
	if (getsockname(fd, (struct sockaddr *)&at, &n))
		return 0;
	return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
	                                      : ((struct sockaddr_in *)&at)->sin_port);
}

static int start_listening(struct tdm_http *h, struct tdm_error *err) {
	struct sockaddr_storage at;
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = LISTENER};
	int one = 1, status = parse_address(&h->options, &at, err);
	if (status)
		return status;
	h->listener = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (h->listener >= 0)
		setsockopt(h->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	socklen_t n = at.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	if (h->listener < 0 || bind(h->listener, (struct sockaddr *)&at, n) || listen(h->listener, BACKLOG) ||
	    epoll_ctl(tdm_loop_epoll(h->loop), EPOLL_CTL_ADD, h->listener, &event))
		return tdm_fail(err, TDM_EIO, "cannot listen on %s port %d: %s", h->options.address, h->options.port,
		                strerror(errno));
	h->port = bound_port(h->listener);
	return TDM_OK;
}

static int start_threads(struct tdm_http *h, struct tdm_error *err) {
	int status = tdm_loop_start(h->loop, err);
	if (status)
		return status;
	if (pthread_create(&h->keeper, NULL, keep_all, h))
		return tdm_fail(err, TDM_EIO, "the server cannot start its threads");
	return TDM_OK;
}

int tdm_http_open(const struct tdm_http_options *o, struct tdm_http **out, struct tdm_error *err) {
	struct tdm_http *h = calloc(1, sizeof *h);
	if (!h || !(h->slots = calloc(o->connections, sizeof(struct tdm_exchange *)))) {
		free(h);
		return tdm_fail(err, TDM_ENOMEM, "out of memory for %zu connections", o->connections);
	}
	mallopt(M_ARENA_MAX, ARENAS);
	h->options = *o;
	h->last = &h->first;
	pthread_mutex_init(&h->mutex, NULL);
	pthread_mutex_init(&h->accepting, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&h->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
	h->listener = -1;
	h->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct tdm_loop_options events = {.context = h, .event = on_event};
	int status = h->stop < 0 ? tdm_fail(err, TDM_EIO, "the server cannot be stopped: %s", strerror(errno))
	                         : tdm_loop_open(&events, &h->loop, err);
	if (!status)
		status = start_listening(h, err);
	if (!status)
		status = start_threads(h, err);
	if (status)
		tdm_http_close(h);
	else
		*out = h;
	return status;
}

uint16_t tdm_http_port(const struct tdm_http *h) {
	return h->port;
}

void tdm_http_load(struct tdm_http *h, size_t *busy, size_t *waiting) {
	pthread_mutex_lock(&h->mutex);
	*busy = h->busy;
	*waiting = h->waiting;
	pthread_mutex_unlock(&h->mutex);
}

void tdm_http_stop_accepting(struct tdm_http *h) {
	atomic_store(&h->closing, true);
	pthread_mutex_lock(&h->accepting);
	if (h->listener >= 0)
		close(h->listener);
	h->listener = -1;
	pthread_mutex_unlock(&h->accepting);
}

bool tdm_http_wait_idle(struct tdm_http *h, int seconds) {
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&h->mutex);
	while (h->busy && !pthread_cond_timedwait(&h->idle, &h->mutex, &until))
		;
	bool idle = !h->busy;
	pthread_mutex_unlock(&h->mutex);
	return idle;
}

void tdm_http_cancel_all(struct tdm_http *h) {
	for (size_t i = 0, n = n_slots(h); i < n; i++) {
		struct tdm_exchange *x = h->slots[i];
		pthread_mutex_lock(&x->mutex);
		if (x->fd >= 0 && x->owned && x->stage != TDM_READING)
			tdm_exchange_cancel(x);
		pthread_mutex_unlock(&x->mutex);
	}
}

static void free_slots(struct tdm_http *h) {
	for (size_t i = 0; i < h->n_slots; i++) {
		struct tdm_exchange *x = h->slots[i];
		if (x->fd >= 0)
			close(x->fd);
		free_memory(x);
		pthread_cond_destroy(&x->room);
		pthread_mutex_destroy(&x->mutex);
		free(x);
	}
	free(h->slots);
}

void tdm_http_close(struct tdm_http *h) {
	pthread_mutex_lock(&h->mutex);
	while (h->busy)
		pthread_cond_wait(&h->idle, &h->mutex);
	pthread_mutex_unlock(&h->mutex);
	if (h->stop >= 0)
		(void)!eventfd_write(h->stop, 1);
	if (h->keeper)
		pthread_join(h->keeper, NULL);
	if (h->loop)
		tdm_loop_close(h->loop);
	free_slots(h);
	const int files[] = {h->listener, h->stop, h->reserve};
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		if (files[i] >= 0)
			close(files[i]);
	pthread_cond_destroy(&h->idle);
	pthread_mutex_destroy(&h->accepting);
	pthread_mutex_destroy(&h->mutex);
	free(h);
}
