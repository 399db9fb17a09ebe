// A stand-in for a model's server that costs next to nothing: every POST is answered with a stream of CHUNKS pieces,
// INTERVAL_US apart (0 = as fast as the socket takes them), each a write of its own. A piece's text is the time it was
// due at, in microseconds of the monotonic clock, so that whoever receives it on this machine knows how late it is.
// usage: stream_upstream PORT CHUNKS INTERVAL_US
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

enum { MOST = 65536, REQUEST_BYTES = 65536 };

struct stream {
	int fd, sent; // sent: pieces of the present answer, -1 = none is asked for
	int64_t due_us;
	size_t got;
	char *request;
	bool waiting; // in the queue
	struct stream *next;
};

static struct stream *streams[MOST], *first, **last = &first;
static int n_chunks, poll_fd;
static int64_t interval_us;

static int64_t now_us(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void put(struct stream *s, const char *data, size_t n) {
	while (n) {
		ssize_t k = send(s->fd, data, n, MSG_NOSIGNAL);
		if (k < 0 && errno != EAGAIN && errno != EINTR)
			return; // told by the next read
		if (k > 0) {
			data += k;
			n -= (size_t)k;
		}
	}
}

static void put_chunk(struct stream *s, const char *event, int n) {
	char text[640];
	int all = snprintf(text, sizeof text, "%x\r\n%.*s\r\n", (unsigned)n, n, event);
	put(s, text, (size_t)all);
}

static void begin(struct stream *s) {
	static const char head[] =
	    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
	put(s, head, sizeof head - 1);
	s->sent = 0;
	s->due_us = now_us();
}

static void piece(struct stream *s) {
	char text[512];
	int n = snprintf(text, sizeof text,
	                 "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
	                 "\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%lld \"},"
	                 "\"finish_reason\":null}]}\n\n",
	                 (long long)s->due_us);
	put_chunk(s, text, n);
	s->sent++;
	s->due_us += interval_us;
}

static void end(struct stream *s) {
	char text[512];
	int n = snprintf(text, sizeof text,
	                 "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
	                 "\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
	                 "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n"
	                 "data: [DONE]\n\n",
	                 n_chunks, n_chunks + 7);
	put_chunk(s, text, n);
	put(s, "0\r\n\r\n", 5);
	s->sent = -1;
}

static void go_on(struct stream *s) {
	while (s->sent >= 0 && s->sent < n_chunks && s->due_us <= now_us())
		piece(s);
	if (s->sent >= n_chunks)
		end(s);
	if (s->sent < 0 || s->waiting)
		return;
	s->waiting = true;
	s->next = NULL;
	*last = s;
	last = &s->next;
}

// All streams have one interval, so the queue is in the order of what is due.
static int serve_due(void) {
	while (first) {
		struct stream *s = first;
		int64_t left = s->due_us - now_us();
		if (s->fd >= 0 && s->sent >= 0 && left > 0)
			return (int)((left + 999) / 1000);
		first = s->next;
		if (!first)
			last = &first;
		s->waiting = false;
		if (s->fd >= 0)
			go_on(s);
	}
	return -1;
}

static bool whole_request(struct stream *s) {
	char *head = memmem(s->request, s->got, "\r\n\r\n", 4), *length;
	if (!head)
		return false;
	s->request[s->got] = 0;
	length = strcasestr(s->request, "content-length:");
	size_t n = (size_t)(head + 4 - s->request) + (length && length < head ? strtoul(length + 15, NULL, 10) : 0);
	if (s->got < n)
		return false;
	s->got -= n;
	memmove(s->request, s->request + n, s->got);
	return true;
}

static void drop(struct stream *s) {
	close(s->fd);
	s->fd = -1;
}

static void readable(struct stream *s) {
	for (;;) {
		ssize_t n = recv(s->fd, s->request + s->got, REQUEST_BYTES - 1 - s->got, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			drop(s);
			return;
		}
		if (n < 0)
			return;
		s->got += (size_t)n;
		if (s->sent < 0 && whole_request(s)) {
			begin(s);
			go_on(s);
		}
	}
}

static void take(int listener) {
	int fd, one = 1;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0 && fd < MOST) {
		struct stream *s = streams[fd];
		if (!s)
			s = streams[fd] = calloc(1, sizeof *s);
		if (!s->request)
			s->request = malloc(REQUEST_BYTES);
		s->fd = fd;
		s->sent = -1;
		s->got = 0;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
		epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
	}
}

int main(int argc, char **argv) {
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (argc != 4) {
		fprintf(stderr, "usage: stream_upstream PORT CHUNKS INTERVAL_US\n");
		return 2;
	}
	at.sin_port = htons((uint16_t)strtol(argv[1], NULL, 10));
	n_chunks = (int)strtol(argv[2], NULL, 10);
	interval_us = strtol(argv[3], NULL, 10);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) {
		fprintf(stderr, "stream_upstream: port %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	poll_fd = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
	epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int n = epoll_wait(poll_fd, events, 256, serve_due());
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == listener)
				take(listener);
			else
				readable(streams[events[i].data.fd]);
		}
	}
}
