#include "tests.h"
#include "server.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Reads one request into the server; false when the client closed.
static bool read_request(struct server *s, int fd) {
	char buffer[65536];
	size_t n = 0, need = 0;
	while (n + 1 < sizeof buffer) {
		ssize_t got = recv(fd, buffer + n, sizeof buffer - 1 - n, 0);
		if (got <= 0)
			return false;
		n += (size_t)got;
		buffer[n] = 0;
		const char *end = strstr(buffer, "\r\n\r\n"), *length = strcasestr(buffer, "content-length:");
		if (!end)
			continue;
		need = (size_t)(end + 4 - buffer) + (length && length < end ? strtoul(length + 15, NULL, 10) : 0);
		if (n >= need)
			break;
	}
	pthread_mutex_lock(&s->lock);
	memcpy(s->request, buffer, n + 1);
	s->n_request = n;
	s->n_requests++;
	pthread_mutex_unlock(&s->lock);
	return true;
}

static void answer(struct server *s, int fd, bool *hold, bool *keep) {
	pthread_mutex_lock(&s->lock);
	const char *text = s->answer;
	size_t n = s->n, piece = s->piece ? s->piece : s->n;
	*hold = s->hold;
	*keep = s->keep;
	pthread_mutex_unlock(&s->lock);
	for (size_t at = 0; at < n; at += piece)
		if (send(fd, text + at, piece < n - at ? piece : n - at, MSG_NOSIGNAL) < 0)
			return;
}

static void serve_one(struct server *s, int fd) {
	bool hold = false, keep = true;
	char byte;
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	while (keep && read_request(s, fd))
		answer(s, fd, &hold, &keep);
	if (hold)
		while (recv(fd, &byte, 1, 0) > 0)
			;
	pthread_mutex_lock(&s->lock);
	if (hold)
		s->closed_us = tdm_now_us();
	pthread_mutex_unlock(&s->lock);
}

static void *run(void *arg) {
	struct server *s = arg;
	for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0; close(fd)) {
		pthread_mutex_lock(&s->lock);
		s->n_connections++;
		bool refuse = s->n_refuse > 0;
		s->n_refuse -= refuse;
		pthread_mutex_unlock(&s->lock);
		if (!refuse)
			serve_one(s, fd);
	}
	return NULL;
}

void server_start(struct server *s) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof address;
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&address, &n), 0);
	s->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
}

void server_stop(struct server *s) {
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
}

void server_say(struct server *s, const char *text, size_t n) {
	pthread_mutex_lock(&s->lock);
	s->answer = text;
	s->n = n;
	s->piece = 0;
	s->hold = s->keep = false;
	s->n_refuse = 0;
	s->closed_us = 0;
	s->n_connections = s->n_requests = 0;
	pthread_mutex_unlock(&s->lock);
}

int64_t server_closed_us(struct server *s) {
	int64_t closed_us = 0;
	for (int i = 0; i < 1000 && !closed_us; i++) {
		pthread_mutex_lock(&s->lock);
		closed_us = s->closed_us;
		pthread_mutex_unlock(&s->lock);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return closed_us;
}
