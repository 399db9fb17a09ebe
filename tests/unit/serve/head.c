// The reader of requests: what a head says, what is refused, bodies in chunks, and that the way bytes are cut changes
// nothing.
#include "tests.h"
#include "base/chunks.h"
#include "serve/head.h"
#include <stdio.h>
#include <string.h>

#define HOST "Host: x\r\n"

static char text[1 << 17];

// Reads a head that arrives byte by byte or at once; the status of refusal, 0 = read, -1 = more is needed.
static int read_head(struct tdm_head *h, const char *request, size_t n, size_t step) {
	size_t looked = 0, end = 0, have = 0;
	memcpy(text, request, n);
	while (!end && have < n) {
		have = have + step < n ? have + step : n;
		end = tdm_head_find(h, text, have, &looked);
		if (h->refused)
			return h->refused;
	}
	if (!end)
		return -1;
	return tdm_head_read(h, text, end) ? 0 : h->refused;
}

static int refusal(const char *request) {
	struct tdm_head h;
	int at_once = read_head(&h, request, strlen(request), SIZE_MAX / 2);
	assert_int_equal(read_head(&h, request, strlen(request), 1), at_once);
	return at_once;
}

static void test_reads(void **state) {
	struct tdm_head h;
	static const char request[] =
	    "\r\nPOST /v1/models/a%2Fb?x=1 HTTP/1.1\r\nhOST: Example:80 \r\ncontent-length:  12\r\n"
	    "Connection: Foo , close\r\nX-Empty:\r\nExpect: 100-continue\r\n\r\nbody";
	assert_int_equal(read_head(&h, request, sizeof request - 1, 1), 0);
	assert_string_equal(h.method, "POST");
	assert_string_equal(h.path, "/v1/models/a/b");
	assert_string_equal(h.host, "Example:80");
	assert_true(h.is_11 && h.has_length && h.wants_continue && !h.keep_alive && !h.chunked);
	assert_int_equal(h.length, 12);
	assert_string_equal(tdm_head_value(&h, "x-empty"), "");
	assert_null(tdm_head_value(&h, "x-absent"));
	assert_int_equal(read_head(&h, "GET http://a:1/p?q HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 55, 7), 0);
	assert_string_equal(h.host, "a:1");
	assert_string_equal(h.path, "/p");
	assert_true(h.keep_alive && !h.is_11);
	assert_int_equal(read_head(&h, "GET / HTTP/1.1\r\nHost", 20, 3), -1);
}

static void test_query(void **state) {
	static const struct {
		const char *query, *value; // NULL = none
	} cases[] = {{"?model=a%2Fb&x", "a/b"},
	             {"?x=1&model=m", "m"},
	             {"?xmodel=1", NULL},
	             {"", NULL},
	             {"?", NULL},
	             {"?model=", ""},
	             {"?model=%0a", NULL},
	             {"?model=%ff", NULL},
	             {"?model", NULL},
	             {"?a=?model=b", NULL},
	             {"?model=123456789", NULL},
	             {"?a#model=b", NULL},
	             {"?model=a#b", "a"}};
	struct tdm_head h;
	char request[256], value[9];
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int n = snprintf(request, sizeof request, "GET /p%s HTTP/1.1\r\n" HOST "\r\n", cases[i].query);
		assert_int_equal(read_head(&h, request, (size_t)n, 1000), 0);
		assert_int_equal(tdm_head_query(&h, "model", value, sizeof value), cases[i].value != NULL);
		if (cases[i].value)
			assert_string_equal(value, cases[i].value);
	}
}

static void test_paths(void **state) {
	static const char *const same[] = {"/v1/models%00", "/%C0%AF", "/%ff", "/a%0d%0ab", "/%7f"}; // decode to no path
	struct tdm_head h;
	char request[256];
	for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
		int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HOST "\r\n", same[i]);
		assert_int_equal(read_head(&h, request, (size_t)n, 1000), 0);
		assert_string_equal(h.path, same[i]);
	}
}

static void test_refusals(void **state) {
	static const struct {
		int status;
		const char *request;
	} cases[] = {
	    {400, "GET /\r\n\r\n"},
	    {400, "\x16\x03\x01\x02"},
	    {400, "GET / HTTP/1.1\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\nA: b\nHost: x\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\nA: b\r\n c\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\nA b: c\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\nA : c\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\n: c\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\nnothing\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\nA: \x01\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"},
	    {400, "GET  / HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1 \r\n" HOST "\r\n"},
	    {400, "G(T / HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET x HTTP/1.1\r\n" HOST "\r\n"},
	    {405, "CONNECT x:1 HTTP/1.1\r\n" HOST "\r\n"},
	    {505, "PRI * HTTP/2.0\r\n\r\n"},
	    {505, "GET / HTTP/1.2\r\n" HOST "\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 5 5\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
	    {400, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (refusal(cases[i].request) != cases[i].status)
			fail_msg("case %zu: %s", i, cases[i].request);
}

static void test_limits(void **state) {
	static char request[1 << 17];
	struct tdm_head h;
	size_t n = (size_t)snprintf(request, sizeof request, "GET / HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(request + n, sizeof request - n, "A: b\r\n");
	n += (size_t)snprintf(request + n, sizeof request - n, "\r\n");
	assert_int_equal(read_head(&h, request, n, 1000), 431);
	memset(request + 20, 'a', 65536);
	assert_int_equal(read_head(&h, request, 65536, 1000), 431);
	memset(text, 0, 64); // a NUL
	assert_int_equal(read_head(&h, "GET / HTTP/1.1\r\nA: \0\r\n\r\n", 25, 1000), 400);
}

// What the chunks say, however they are cut; -1 = refused, -2 = not ended.
static int read_chunks(const char *chunks, size_t n, size_t step, char *out) {
	struct tdm_chunks c = {0};
	struct tdm_bytes body;
	int result = -2;
	tdm_bytes_init(&body, 1000);
	for (size_t at = 0; at < n && result == -2; at += step) {
		size_t part = step < n - at ? step : n - at, used = tdm_chunks_read(&c, chunks + at, part, &body);
		if (used == SIZE_MAX)
			result = -1;
		else if (c.state == TDM_CHUNK_DONE)
			result = (int)(at + used);
	}
	snprintf(out, 1000, "%s", body.data ? body.data : "");
	tdm_bytes_release(&body);
	return result;
}

static void test_chunks(void **state) {
	static const char good[] = "5\r\nhello\r\n1;a=b\r\n \r\n0005\r\nworld\r\n0\r\nAuthorization: Bearer k\r\n\r\nGET";
	static const char *const bad[] = {
	    "FFFFFFFFFFFFFFFF\r\n", "-1\r\n",          "\r\n",  "5\nhello", "5\r\nhelloX", "5\r\nhello\n0\r\n",
	    "0x5\r\nhello",         "0\r\nA: b\n\r\n", "g\r\n", "5 \n"};
	char out[1000];
	for (size_t step = 1; step < sizeof good; step++) {
		assert_int_equal(read_chunks(good, sizeof good - 1, step, out), sizeof good - 4);
		assert_string_equal(out, "hello world");
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		for (size_t step = 1; step < 12; step++)
			if (read_chunks(bad[i], strlen(bad[i]), step, out) != -1)
				fail_msg("chunks %zu by %zu", i, step);
	static char extension[1 << 17] = "5;";
	memset(extension + 2, 'a', sizeof extension - 2);
	assert_int_equal(read_chunks(extension, sizeof extension, 1000, out), -1);
	assert_int_equal(read_chunks("5\r\nhel", 6, 2, out), -2);
}

int tdm_test_head(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_reads),  cmocka_unit_test(test_paths),
	                                   cmocka_unit_test(test_query),  cmocka_unit_test(test_refusals),
	                                   cmocka_unit_test(test_limits), cmocka_unit_test(test_chunks)};
	return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}
