// Server-sent events: every cut of a stream gives the same events.
#include "tests.h"
#include "models/kind.h"
#include "models/remote/sse.h"

struct events {
	struct tdm_bytes text; // events joined with '|'
	int stop_at, n;
};

static int keep(void *arg, const char *data, size_t n) {
	struct events *e = arg;
	tdm_bytes_add(&e->text, data, n);
	tdm_bytes_putc(&e->text, '|');
	return ++e->n == e->stop_at ? TDM_SINK_ENOUGH : TDM_OK;
}

static const struct {
	const char *stream, *events;
} cases[] = {
    {"data: one\n\ndata: two\n\n", "one|two|"},
    {"data: one\r\n\r\ndata: two\r\rdata:three\n\r\n", "one|two|three|"},
    {": comment\ndata: a\n: another\ndata: b\nid: 7\nevent: x\nretry: 3\n\n", "a\nb|"},
    {"\xef\xbb\xbf"
     "data: mark\n\n",
     "mark|"},
    {"data:  two spaces\n\ndata:\n\ndata\n\n", " two spaces|||"},
    {"datax: no\nDATA: no\n\n\n\ndata: last", "last|"},
    {"data: \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n\n", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80|"},
    {"data: a\xff\xc3z\n\n", "a\xef\xbf\xbd\xef\xbf\xbdz|"},
    {"event: ping\n\n: only\n\n", ""},
};

static void read_cut(const char *stream, size_t first, size_t step, const char *expected) {
	struct events e = {.n = 0};
	struct tdm_sse s;
	size_t n = strlen(stream);
	tdm_bytes_init(&e.text, 1000);
	tdm_bytes_puts(&e.text, "");
	tdm_sse_init(&s, keep, &e);
	for (size_t at = 0; at < n;) {
		size_t length = at == 0 && first ? first : step;
		length = length < n - at ? length : n - at;
		assert_int_equal(tdm_sse_feed(&s, stream + at, length), TDM_OK);
		at += length;
	}
	assert_int_equal(tdm_sse_end(&s), TDM_OK);
	assert_string_equal(e.text.len ? e.text.data : "", expected);
	assert_int_equal(s.n_events, e.n);
	tdm_sse_release(&s);
	tdm_bytes_release(&e.text);
}

static void test_cuts(void **state) {
	for (size_t i = 0; i < TDM_COUNT(cases); i++) {
		for (size_t first = 0; first <= strlen(cases[i].stream); first++)
			read_cut(cases[i].stream, first, 1000, cases[i].events);
		for (size_t step = 1; step < 5; step++)
			read_cut(cases[i].stream, 0, step, cases[i].events);
	}
}

static void test_stops(void **state) {
	struct events e = {.stop_at = 2};
	struct tdm_sse s;
	tdm_bytes_init(&e.text, 1000);
	tdm_sse_init(&s, keep, &e);
	assert_int_equal(tdm_sse_feed(&s, "data: 1\n\ndata: 2\n\ndata: 3\n\n", 27), TDM_SINK_ENOUGH);
	assert_string_equal(e.text.data, "1|2|");
	assert_int_equal(s.n_invalid, 0);
	tdm_sse_release(&s);
	tdm_bytes_release(&e.text);
}

static void test_limit(void **state) {
	static char block[4096];
	struct events e = {.n = 0};
	struct tdm_sse s;
	int status = TDM_OK;
	memset(block, 'x', sizeof block);
	tdm_bytes_init(&e.text, 1000);
	tdm_sse_init(&s, keep, &e);
	for (size_t n = 0; n <= TDM_SSE_LINE_BYTES + sizeof block && !status; n += sizeof block)
		status = tdm_sse_feed(&s, block, sizeof block);
	assert_int_equal(status, TDM_EBADBODY);
	tdm_sse_release(&s);
	tdm_bytes_release(&e.text);
}

int tdm_test_sse(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts), cmocka_unit_test(test_stops),
	                                   cmocka_unit_test(test_limit)};
	return cmocka_run_group_tests_name("sse", tests, NULL, NULL);
}
