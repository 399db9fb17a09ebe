// The HTTP layer alone: whole answers, streams that end cleanly or not, clients that leave, bodies that are too large.
#include "tests.h"
#include "base/clock.h"
#include "serve/http.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIMIT_BYTES = 4096, PIECES = 50 };
static atomic_int cancelled_after = -1; // pieces that had been written when the client was seen to have left

static void stream(struct tdm_exchange *x) {
	bool cut = strcmp(tdm_exchange_path(x), "/cut") == 0, slow = strcmp(tdm_exchange_path(x), "/slow") == 0;
	tdm_exchange_set(x, "x-odd", "a\r\nb");
	tdm_exchange_stream(x);
	for (int i = 0; i < PIECES; i++) {
		if (slow)
			usleep(20000);
		if (tdm_exchange_write(x, "data: piece\n\n", 13)) {
			atomic_store(&cancelled_after, i);
			break;
		}
	}
	tdm_exchange_end(x, !cut);
}

static void handle(void *context, struct tdm_exchange *x) {
	char text[64];
	(void)context;
	if (tdm_exchange_too_large(x)) {
		tdm_exchange_reply(x, 413, "text/plain", "too large", 9);
	} else if (!strcmp(tdm_exchange_path(x), "/echo")) {
		int n = snprintf(text, sizeof text, "%s %zu", tdm_exchange_method(x), tdm_exchange_body(x)->len);
		tdm_exchange_reply(x, 200, "text/plain", text, (size_t)n);
	} else {
		stream(x);
	}
}

static void refuse(void *context, struct tdm_exchange *x) {
	(void)context;
	tdm_exchange_reply(x, 429, "text/plain", "full", 4);
}

static int connect_to(const struct tdm_http *h) {
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(tdm_http_port(h))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

// Sends a request and reads until the server closes or `until` has come.
static size_t exchange(const struct tdm_http *h, const char *request, size_t n, const char *until, char *out,
                       size_t cap) {
	int fd = connect_to(h);
	size_t got = 0;
	for (size_t sent = 0; sent < n;) {
		ssize_t k = send(fd, request + sent, n - sent, MSG_NOSIGNAL);
		if (k <= 0)
			break;
		sent += (size_t)k;
	}
	for (ssize_t k; got < cap - 1 && (k = recv(fd, out + got, cap - 1 - got, 0)) > 0;) {
		got += (size_t)k;
		out[got] = 0;
		if (until && strstr(out, until))
			break;
	}
	out[got] = 0;
	close(fd);
	return got;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void test_answers(void **state) {
	struct tdm_http *h = *state;
	static char out[1 << 16], body[LIMIT_BYTES * 4];
	exchange(h, GET("/echo"), sizeof GET("/echo") - 1, NULL, out, sizeof out);
	assert_non_null(strstr(out, "200 OK"));
	assert_non_null(strstr(out, "GET 0"));
	memset(body, 'a', sizeof body);
	int n = snprintf(body, sizeof body,
	                 "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", 5);
	memset(body + n, 'a', 5);
	exchange(h, body, (size_t)n + 5, NULL, out, sizeof out);
	assert_non_null(strstr(out, "POST 5"));
	memset(body, 'a', sizeof body);
	n = snprintf(body, sizeof body, "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
	             LIMIT_BYTES * 3);
	body[n] = 'a';
	exchange(h, body, (size_t)n + LIMIT_BYTES * 3, NULL, out, sizeof out);
	assert_non_null(strstr(out, "413"));
}

static void test_streams(void **state) {
	struct tdm_http *h = *state;
	static char out[1 << 16];
	exchange(h, GET("/whole"), sizeof GET("/whole") - 1, NULL, out, sizeof out);
	assert_non_null(strstr(out, "x-odd: a%0D%0Ab"));
	assert_non_null(strstr(out, "\r\n0\r\n\r\n")); // the final chunk
	exchange(h, GET("/cut"), sizeof GET("/cut") - 1, NULL, out, sizeof out);
	assert_non_null(strstr(out, "data: piece"));
	assert_null(strstr(out, "\r\n0\r\n\r\n")); // a cut stream never looks whole
}

static void test_client_leaves(void **state) {
	struct tdm_http *h = *state;
	static char out[1 << 16];
	atomic_store(&cancelled_after, -1);
	exchange(h, GET("/slow"), sizeof GET("/slow") - 1, "data: piece", out, sizeof out);
	int64_t left = tdm_now_us();
	while (atomic_load(&cancelled_after) < 0 && tdm_now_us() - left < 2000000)
		usleep(1000);
	assert_in_range(atomic_load(&cancelled_after), 0, PIECES - 2);
}

// Requests that follow each other on one connection without waiting are answered in their order.
static void test_pipelined(void **state) {
	struct tdm_http *h = *state;
	static char request[1 << 16], out[1 << 18];
	size_t n = 0;
	for (int i = 0; i < 200; i++)
		n += (size_t)snprintf(request + n, sizeof request - n,
		                      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%.*s", i % 10, i % 10,
		                      "0123456789");
	n += (size_t)snprintf(request + n, sizeof request - n, "%s", GET("/echo"));
	exchange(*state, request, n, NULL, out, sizeof out);
	const char *at = out;
	for (int i = 0; i < 200; i++) {
		char wanted[16];
		snprintf(wanted, sizeof wanted, "POST %d", i % 10);
		at = strstr(at, "POST ");
		assert_non_null(at);
		assert_memory_equal(at, wanted, strlen(wanted));
		at++;
	}
	assert_non_null(strstr(at, "GET 0"));
	assert_true(tdm_http_wait_idle(h, 5));
}

static int open_http(void **state) {
	struct tdm_http_options o = {.address = "127.0.0.1",
	                             .max_body_bytes = LIMIT_BYTES,
	                             .workers = 4,
	                             .queue = 2,
	                             .connections = 64,
	                             .ping_s = 10,
	                             .header_s = 10,
	                             .body_s = 10,
	                             .write_s = 10,
	                             .idle_s = 10,
	                             .handle = handle,
	                             .refuse = refuse};
	struct tdm_error err = {0};
	struct tdm_http *h = NULL;
	assert_int_equal(tdm_http_open(&o, &h, &err), TDM_OK);
	*state = h;
	return 0;
}

static int close_http(void **state) {
	tdm_http_close(*state);
	return 0;
}

int tdm_test_http(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_answers), cmocka_unit_test(test_streams),
	                                   cmocka_unit_test(test_client_leaves), cmocka_unit_test(test_pipelined)};
	return cmocka_run_group_tests_name("http", tests, open_http, close_http);
}
