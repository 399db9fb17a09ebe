// Load of streams: CONNECTIONS clients, each asking for one stream after the other on a kept connection, for SECONDS.
// Prints one line: streams per second; time to the first piece, p50 and p99, and how late pieces came (against the time
// that stream_upstream wrote into them), p50, p99 and most, in microseconds; streams that failed.
// usage: stream_load PORT BODY_FILE CONNECTIONS SECONDS RAMP_MS [HEADER...]   (the first request of each client is sent
// within RAMP_MS)
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 16384, MOST_VALUES = 4 << 20 };

struct client {
	int fd;
	int64_t asked_us;
	bool first_seen, asking;
	size_t got;
	char buffer[BUFFER_BYTES];
};

struct values {
	uint32_t *items;
	size_t n;
};

static struct values firsts, lates;
static char *request;
static size_t n_request;
static long n_streams, n_failed;
static int port, poll_fd;
static bool ending;

static int64_t now_us(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void add(struct values *v, int64_t value) {
	if (v->n < MOST_VALUES)
		v->items[v->n++] = value < 0 ? 0 : (uint32_t)value;
}

static int by_size(const void *a, const void *b) {
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static uint32_t share(struct values *v, double part) {
	if (!v->n)
		return 0;
	size_t at = (size_t)(part * (double)v->n);
	return v->items[at < v->n ? at : v->n - 1];
}

static void dial(struct client *c) {
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) {
		fprintf(stderr, "stream_load: cannot connect to port %d: %s\n", port, strerror(errno));
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event);
}

static void ask(struct client *c) {
	c->got = 0;
	c->first_seen = false;
	c->asking = true;
	c->asked_us = now_us();
	if (send(c->fd, request, n_request, MSG_NOSIGNAL) != (ssize_t)n_request)
		n_failed++;
}

static void read_piece(struct client *c, const char *event, size_t n) {
	static const char mark[] = "\"content\":\"";
	const char *at = memmem(event, n, mark, sizeof mark - 1);
	int64_t due = at ? strtoll(at + sizeof mark - 1, NULL, 10) : 0, now = now_us();
	if (due <= 0)
		return;
	if (!c->first_seen)
		add(&firsts, now - c->asked_us);
	c->first_seen = true;
	add(&lates, now - due);
}

static void finish(struct client *c, bool well) {
	n_streams += well;
	n_failed += !well;
	c->asking = false;
	if (!well) {
		close(c->fd);
		if (!ending)
			dial(c);
	}
	if (!ending)
		ask(c);
}

static void readable(struct client *c) {
	ssize_t n = recv(c->fd, c->buffer + c->got, BUFFER_BYTES - c->got, MSG_DONTWAIT);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			finish(c, false);
		return;
	}
	c->got += (size_t)n;
	bool whole = c->got >= 5 && !memcmp(c->buffer + c->got - 5, "0\r\n\r\n", 5);
	char *from = c->buffer, *end = c->buffer + c->got, *next;
	while ((next = memmem(from, (size_t)(end - from), "\n\n", 2))) {
		read_piece(c, from, (size_t)(next - from));
		from = next + 2;
	}
	c->got = (size_t)(end - from);
	memmove(c->buffer, from, c->got);
	if (whole)
		finish(c, c->first_seen);
	else if (c->got == BUFFER_BYTES)
		finish(c, false);
}

static void read_request(const char *file, char **headers, int n_headers) {
	FILE *f = fopen(file, "rb");
	char *body = malloc(1 << 20);
	size_t n = f ? fread(body, 1, 1 << 20, f) : 0;
	if (!n) {
		fprintf(stderr, "stream_load: cannot read %s\n", file);
		exit(1);
	}
	fclose(f);
	size_t cap = n + 16384;
	request = malloc(cap);
	n_request = (size_t)snprintf(request, cap,
	                             "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: "
	                             "application/json\r\nContent-Length: %zu\r\n",
	                             port, n);
	for (int i = 0; i < n_headers; i++)
		n_request += (size_t)snprintf(request + n_request, cap - n_request, "%.1000s\r\n", headers[i]);
	n_request += (size_t)snprintf(request + n_request, cap - n_request, "\r\n");
	memcpy(request + n_request, body, n);
	n_request += n;
	free(body);
}

int main(int argc, char **argv) {
	if (argc < 6) {
		fprintf(stderr, "usage: stream_load PORT BODY_FILE CONNECTIONS SECONDS RAMP_MS [HEADER...]\n");
		return 2;
	}
	port = (int)strtol(argv[1], NULL, 10);
	long n = strtol(argv[3], NULL, 10), started = 0;
	double seconds = strtod(argv[4], NULL), ramp_us = strtod(argv[5], NULL) * 1000;
	read_request(argv[2], argv + 6, argc - 6 < 8 ? argc - 6 : 8);
	struct client *clients = calloc((size_t)n, sizeof *clients);
	firsts.items = malloc(MOST_VALUES * sizeof *firsts.items);
	lates.items = malloc(MOST_VALUES * sizeof *lates.items);
	poll_fd = epoll_create1(0);
	for (long i = 0; i < n; i++)
		dial(&clients[i]);
	int64_t began = now_us(), until = began + (int64_t)(seconds * 1e6);
	while (!ending) {
		struct epoll_event events[64];
		while (started < n && (double)(now_us() - began) >= ramp_us * (double)started / (double)n)
			ask(&clients[started++]);
		int k = epoll_wait(poll_fd, events, 64, started < n ? 1 : 100);
		ending = now_us() >= until;
		for (int i = 0; i < k; i++)
			readable(events[i].data.ptr);
	}
	double took = (double)(now_us() - began) / 1e6;
	qsort(firsts.items, firsts.n, sizeof *firsts.items, by_size);
	qsort(lates.items, lates.n, sizeof *lates.items, by_size);
	printf("streams_s %.1f first_p50 %u first_p99 %u late_p50 %u late_p99 %u late_most %u pieces %zu failed %ld\n",
	       (double)n_streams / took, share(&firsts, 0.5), share(&firsts, 0.99), share(&lates, 0.5), share(&lates, 0.99),
	       share(&lates, 1), lates.n, n_failed);
	return 0;
}
