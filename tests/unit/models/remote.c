// The remote source against a server of our own: what it sends, what it makes of every way an answer can break off, and
// how fast it lets go.
#include "tests.h"
#include "server.h"
#include "base/clock.h"
#include "base/file.h"
#include "models/kind.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
#define CLOSE "Connection: close\r\n\r\n"
#define FIRST "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"H\xc3\xa4\"}}]}\n\n"
#define SECOND "data: {\"choices\":[{\"delta\":{\"content\":\"llo\"}}]}\r\n\r\n"
#define FINISH "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n"
#define DONE "data: [DONE]\n\n"
static const char good[] = HEAD CLOSE FIRST SECOND FINISH "\n\n" USAGE DONE;

enum { STATUS_LINE = 17 }; // bytes of "HTTP/1.1 200 OK" and its line end

static struct server server;
static struct tdm_tree *tree;
static struct tdm_model *far;

static void load(const char *more) {
	char yaml[400];
	snprintf(yaml, sizeof yaml,
	         "models: {far: {kind: remote, url: 'http://127.0.0.1:%d/v1', model: big, price: {in: 1, out: 2}, breaker: "
	         "no%s}}",
	         server.port, more);
	tdm_tree_close(tree);
	tree = tree_of(yaml);
	far = tdm_tree_model(tree, "far");
}

static int setup(void **state) {
	server_start(&server);
	load("");
	return 0;
}

static int teardown(void **state) {
	tdm_tree_close(tree);
	server_stop(&server);
	return 0;
}

static void test_good(void **state) {
	struct bench b;
	for (size_t piece = 0; piece < 20; piece += 3) {
		server_say(&server, good, sizeof good - 1);
		server.piece = piece;
		bench_open(&b, "say \"h\xc3\xa4llo\"");
		assert_int_equal(bench_ask(&b, far), TDM_OK);
		assert_string_equal(b.collect.text.data, "H\xc3\xa4llo");
		assert_int_equal(b.result.finish, TDM_FINISH_STOP);
		assert_true(b.result.prompt_tokens == 5 && b.result.completion_tokens == 2 && !b.result.estimated);
		const struct tdm_record *r = b.run.record;
		assert_true(r->calls && !r->calls->next && r->calls->attempt == 1 && r->calls->cost == 9e-6);
		assert_true(r->left.requests == 1 && r->left.to->n == 1 && !r->warnings);
		assert_memory_equal(r->left.to->name, "127.0.0.1:", 10);
		bench_close(&b);
	}
	assert_true(far->leaves && far->can == (TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_FORM | TDM_CAN_TOOLS));
}

static void test_request(void **state) {
	struct bench b;
	const char *stop[] = {"a", "b\n"};
	setenv("TDM_TEST_KEY", "secret-123", 1);
	load(", key: 'env:TDM_TEST_KEY', max_tokens: 7");
	server_say(&server, good, sizeof good - 1);
	bench_open(&b, "say \"hi\"");
	b.request.temperature = 0.7f;
	b.request.top_p = 0.9f;
	b.request.top_k = 40;
	b.request.stop = stop;
	b.request.n_stop = 2;
	b.request.logprobs = true;
	b.request.top_logprobs = 2;
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	const char *body = strstr(server.request, "\r\n\r\n") + 4;
	assert_memory_equal(server.request, "POST /v1/chat/completions HTTP/1.1\r\n", 36);
	assert_non_null(strstr(server.request, "\r\nAuthorization: Bearer secret-123\r\n"));
	assert_null(strstr(server.request, "\r\nExpect:"));
	assert_string_equal(
	    body, "{\"model\":\"big\",\"messages\":[{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\"}],"
	          "\"max_tokens\":7,\"temperature\":0.7,\"top_p\":0.9,\"stop\":[\"a\",\"b\\n\"],\"logprobs\":true,"
	          "\"top_logprobs\":2,\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
	assert_int_equal(b.run.record->left.bytes, strlen(body));
	assert_string_equal(b.run.record->warnings->param, "top_k");
	bench_close(&b);
	load("");
}

static const char *sent_body(void) {
	return strstr(server.request, "\r\n\r\n") + 4;
}

static void test_form(void **state) {
	static const struct tdm_form object = {.kind = TDM_GRAMMAR_JSON};
	static const char text[] = "{\"type\":\"integer\"}";
	static const struct tdm_form schemas[] = {
	    {TDM_GRAMMAR_SCHEMA, text, sizeof text - 1, NULL, false},
	    {TDM_GRAMMAR_SCHEMA, text, sizeof text - 1, "age", true},
	};
	static const struct tdm_form regex = {.kind = TDM_GRAMMAR_REGEX, .text = "a", .len = 1};
	struct bench b;
	server_say(&server, good, sizeof good - 1);
	bench_open(&b, "q");
	b.request.form = &object;
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_non_null(strstr(sent_body(), ",\"response_format\":{\"type\":\"json_object\"},\"stream\":true"));
	b.request.form = &schemas[0];
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_non_null(strstr(sent_body(), "\"json_schema\":{\"name\":\"answer\",\"schema\":{\"type\":\"integer\"}}}"));
	b.request.form = &schemas[1];
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_non_null(strstr(sent_body(), "{\"name\":\"age\",\"strict\":true,\"schema\":{\"type\":\"integer\"}}}"));
	b.request.form = &regex; // the wire has no field for it
	assert_int_equal(bench_ask(&b, far), TDM_ECAPABILITY);
	bench_close(&b);
}

static void test_tools(void **state) {
	static const char schema[] = "{\"type\":\"object\"}", arguments[] = "{\"city\":\"K\xc3\xb6ln\"}";
	static const struct tdm_tool tools[] = {
	    {"weather", "of a city", schema, sizeof schema - 1, true},
	    {"now", NULL, NULL, 0, false},
	};
	static const struct tdm_tool_call call = {"call_1", "weather", arguments, sizeof arguments - 1};
	const struct tdm_message messages[] = {
	    {.from = TDM_FROM_USER, .text = "hi", .len = 2},
	    {.from = TDM_FROM_ASSISTANT, .text = "", .calls = &call, .n_calls = 1},
	    {.from = TDM_FROM_TOOL, .text = "rain", .len = 4, .call_id = "call_1"},
	    {.from = TDM_FROM_TOOL, .text = "loose", .len = 5},
	};
	struct bench b;
	server_say(&server, good, sizeof good - 1);
	bench_open(&b, "q");
	b.request.messages = messages;
	b.request.n_messages = 4;
	b.request.tools = (struct tdm_toolbox){tools, 2, TDM_TOOLS_ONE, "weather", true};
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_non_null(
	    strstr(sent_body(),
	           "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\","
	           "\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"K\xc3\xb6ln\\\"}\"}}]},"
	           "{\"role\":\"tool\",\"content\":\"rain\",\"tool_call_id\":\"call_1\"},"
	           "{\"role\":\"user\",\"content\":\"loose\"}],"
	           "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"description\":\"of a city\","
	           "\"parameters\":{\"type\":\"object\"},\"strict\":true}},"
	           "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}],"
	           "\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"weather\"}},"
	           "\"parallel_tool_calls\":false"));
	b.request.tools = (struct tdm_toolbox){tools, 2, TDM_TOOLS_REQUIRED, NULL, false};
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_non_null(strstr(sent_body(), "\"tool_choice\":\"required\",\"stream\""));
	far->can &= ~(unsigned)TDM_CAN_TOOLS;
	assert_int_equal(bench_ask(&b, far), TDM_ECAPABILITY);
	assert_string_equal(b.run.error.param, "tools");
	b.request.tools.choice = TDM_TOOLS_NONE;
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	far->can |= TDM_CAN_TOOLS;
	bench_close(&b);
}

static void test_seed_and_extensions(void **state) {
	struct bench b;
	char text[512];
	server_say(&server, good, sizeof good - 1);
	bench_open(&b, "q");
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_null(strstr(sent_body(), "seed")); // nobody asked for one
	b.run.seed = 77;
	b.request.wants_seed = true;
	b.request.top_k = 40;
	b.request.min_p = 0.1f;
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_non_null(strstr(sent_body(), ",\"seed\":77,"));
	assert_null(strstr(sent_body(), "top_k"));
	b.request.draw = 1; // another draw, another seed
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_true(strstr(sent_body(), ",\"seed\":") && !strstr(sent_body(), ",\"seed\":77,"));
	bench_close(&b);
	load(", forward: [top_k, min_p]");
	bench_open(&b, "q");
	b.request.top_k = 40;
	b.request.min_p = 0.1f;
	b.request.repeat_penalty = 1.5f;
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_non_null(strstr(sent_body(), ",\"top_k\":40,\"min_p\":0.1,\"stream\""));
	assert_string_equal(b.run.record->warnings->param, "repeat_penalty");
	bench_close(&b);
	assert_int_not_equal(
	    tree_fails("models: {far: {kind: remote, url: 'http://x/v1', model: m, forward: [user]}}", text), TDM_OK);
	assert_non_null(strstr(text, "user is none of top_k"));
	load("");
}

// One stream cut after every byte: before the end is told, never a success; after it, the whole answer.
static void cut_everywhere(const char *stream, size_t n, size_t enough) {
	for (size_t cut = 0; cut < n; cut++) {
		struct bench b;
		server_say(&server, stream, cut);
		bench_open(&b, "q");
		int status = bench_ask(&b, far);
		if ((status == TDM_OK) != (cut >= enough))
			fail_msg("cut after %zu of %zu bytes: status %d (%s)", cut, n, status, b.run.error.text);
		if (status == TDM_OK)
			assert_string_equal(b.collect.text.data, "H\xc3\xa4llo");
		else
			assert_true(b.collect.text.len == 0 || !strncmp("H\xc3\xa4llo", b.collect.text.data, b.collect.text.len));
		// A second try only while not even a status line has come.
		assert_int_equal(b.run.record->calls->next != NULL, cut < STATUS_LINE);
		assert_int_equal(b.run.record->left.requests, cut < STATUS_LINE ? 2 : 1);
		bench_close(&b);
	}
}

static void test_cuts(void **state) {
	cut_everywhere(good, sizeof good - 1, sizeof(HEAD CLOSE FIRST SECOND FINISH) - 1);
}

static void test_chunked_cuts(void **state) {
	char stream[2000];
	size_t n = (size_t)snprintf(stream, sizeof stream, HEAD "Transfer-Encoding: chunked\r\n\r\n"), enough;
	n += (size_t)snprintf(stream + n, sizeof stream - n, "%zx\r\n%s\r\n", sizeof FIRST - 1, FIRST);
	n += (size_t)snprintf(stream + n, sizeof stream - n, "%zx\r\n%s\r\n", sizeof SECOND - 1, SECOND);
	n += (size_t)snprintf(stream + n, sizeof stream - n, "%zx\r\n%s", sizeof FINISH + 1, FINISH);
	enough = n + 2; // a chunk that was cut: the event counts when its blank line has come
	n += (size_t)snprintf(stream + n, sizeof stream - n, "\n\n\r\n0\r\n\r\n");
	cut_everywhere(stream, n, enough);
}

static void test_errors(void **state) {
	static const struct {
		const char *answer;
		int status;
	} cases[] = {
	    {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}", TDM_EUPAUTH},
	    {"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", TDM_ERATE},
	    {"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\n<html>", TDM_EUPSTREAM},
	    {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", TDM_EUPSTREAM},
	    {HEAD CLOSE "<html>", TDM_EBADBODY},
	    {HEAD CLOSE "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\"}}", TDM_EREJECTED},
	    {HEAD CLOSE FIRST "data: {\"error\":\"broken\"}\n\n" FINISH "\n\n", TDM_EUPSTREAM},
	    {HEAD CLOSE FIRST "data: {]\n\n" FINISH "\n\n", TDM_EBADBODY},
	    {"what is this\r\n\r\n", TDM_EUPSTREAM},
	};
	for (size_t i = 0; i < TDM_COUNT(cases); i++) {
		struct bench b;
		server_say(&server, cases[i].answer, strlen(cases[i].answer));
		bench_open(&b, "q");
		int status = bench_ask(&b, far);
		if (status != cases[i].status)
			fail_msg("case %zu: status %d (%s)", i, status, b.run.error.text);
		assert_string_equal(b.run.record->calls->status, "failed");
		bench_close(&b);
	}
}

static void test_retry(void **state) {
	struct bench b;
	server_say(&server, good, sizeof good - 1);
	server.n_refuse = 1;
	bench_open(&b, "q");
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_string_equal(b.collect.text.data, "H\xc3\xa4llo");
	assert_string_equal(b.run.record->calls->status, "failed");
	assert_string_equal(b.run.record->calls->next->status, "ok");
	assert_int_equal(b.run.record->calls->next->attempt, 2);
	assert_int_equal(b.run.record->left.requests, 2);
	bench_close(&b);
	server_say(&server, good, sizeof good - 1);
	server.n_refuse = 2;
	bench_open(&b, "q");
	assert_int_equal(bench_ask(&b, far), TDM_EUPSTREAM);
	bench_close(&b);
}

static void test_nobody_there(void **state) {
	struct bench b;
	struct tdm_tree *t = tree_of("models: {a: {kind: remote, url: 'http://127.0.0.1:1', model: m}}");
	bench_open(&b, "q");
	assert_int_equal(bench_ask(&b, tdm_tree_model(t, "a")), TDM_EUPSTREAM);
	assert_non_null(strstr(b.run.error.text, "model a: nothing answers at 127.0.0.1:1"));
	assert_int_equal(b.run.record->calls->next->attempt, 2);
	assert_true(b.run.record->left.requests == 0 && b.run.record->left.bytes == 0 && b.run.record->left.to->n == 0);
	bench_close(&b);
	tdm_tree_close(t);
}

static void test_connection_is_kept(void **state) {
	static char answer[1000]; // the server's thread reads it until the connection ends
	struct bench b;
	int n = snprintf(answer, sizeof answer, HEAD "Content-Length: %zu\r\n\r\n" FIRST SECOND FINISH "\n\n" DONE,
	                 sizeof(FIRST SECOND FINISH "\n\n" DONE) - 1);
	load("");
	server_say(&server, answer, (size_t)n);
	server.keep = true;
	bench_open(&b, "q");
	for (int i = 0; i < 3; i++)
		assert_int_equal(bench_ask(&b, far), TDM_OK);
	pthread_mutex_lock(&server.lock);
	assert_int_equal(server.n_connections, 1);
	assert_int_equal(server.n_requests, 3);
	pthread_mutex_unlock(&server.lock);
	assert_true(b.result.estimated);
	bench_close(&b);
	load(""); // closes the connection
}

struct canceller {
	pthread_t thread;
	atomic_bool flag;
	int64_t after_us, at_us;
};

static void *cancel(void *arg) {
	struct canceller *c = arg;
	nanosleep(&(struct timespec){.tv_nsec = 1000 * c->after_us}, NULL);
	c->at_us = tdm_now_us();
	atomic_store(&c->flag, true);
	return NULL;
}

// On a busy machine one try may be late: of five, one that takes no longer than that will do. The least time.
static int64_t best_us(int64_t (*once)(size_t), size_t n, int64_t enough_us) {
	int64_t best = INT64_MAX;
	for (int i = 0; i < 5 && best > enough_us; i++) {
		int64_t took_us = once(n);
		best = took_us < best ? took_us : best;
	}
	return best;
}

// The client leaves, before the first byte (n = 0) or in the middle of an answer. Until everybody has let go.
static int64_t leave(size_t n) {
	struct bench b;
	struct canceller c = {.after_us = 60000};
	server_say(&server, good, n);
	server.hold = true;
	bench_open(&b, "q");
	b.run.cancelled = &c.flag;
	assert_int_equal(pthread_create(&c.thread, NULL, cancel, &c), 0);
	assert_int_equal(bench_ask(&b, far), TDM_EGONE);
	int64_t returned_us = tdm_now_us(), closed_us = server_closed_us(&server);
	pthread_join(c.thread, NULL);
	assert_string_equal(b.run.record->calls->status, "cancelled");
	bench_close(&b);
	if (!closed_us)
		return INT64_MAX;
	return (closed_us > returned_us ? closed_us : returned_us) - c.at_us;
}

static void test_cancel(void **state) {
	assert_in_range(best_us(leave, 0, 50000), 0, 50000);
	assert_in_range(best_us(leave, sizeof(HEAD CLOSE FIRST) - 1, 50000), 0, 50000);
}

static int put_enough(struct tdm_sink *sink, const struct tdm_event *event) {
	return TDM_SINK_ENOUGH;
}

static int put_gone(struct tdm_sink *sink, const struct tdm_event *event) {
	return TDM_EGONE;
}

static void test_sink_answers(void **state) {
	struct bench b;
	struct tdm_sink enough = {put_enough, NULL}, gone = {put_gone, NULL};
	server_say(&server, good, sizeof(HEAD CLOSE FIRST) - 1);
	server.hold = true;
	bench_open(&b, "q");
	assert_int_equal(tdm_generate(far, &b.run, &b.request, &enough, &b.result), TDM_OK);
	assert_true(server_closed_us(&server) > 0);
	server_say(&server, good, sizeof(HEAD CLOSE FIRST) - 1);
	server.hold = true;
	assert_int_equal(tdm_generate(far, &b.run, &b.request, &gone, &b.result), TDM_EGONE);
	assert_true(server_closed_us(&server) > 0);
	bench_close(&b);
}

// A server that falls silent after n bytes. How long the answer took.
static int64_t wait_for_more(size_t n) {
	struct bench b;
	server_say(&server, good, n);
	server.hold = true;
	bench_open(&b, "q");
	int64_t started_us = tdm_now_us();
	int status = bench_ask(&b, far);
	int64_t took_us = tdm_now_us() - started_us;
	assert_int_equal(status, n < sizeof good - 1 ? TDM_EUPTIME : TDM_OK);
	assert_null(b.run.record->calls->next);
	bench_close(&b);
	server_closed_us(&server);
	return took_us;
}

static void test_times(void **state) {
	struct bench b;
	load(", timeout_ms: 80");
	assert_in_range(best_us(wait_for_more, 0, 200000), 80000, 400000);
	assert_in_range(best_us(wait_for_more, sizeof(HEAD CLOSE FIRST) - 1, 200000), 80000, 400000);
	load("");
	server_say(&server, good, 0);
	server.hold = true;
	bench_open(&b, "q");
	b.run.deadline_us = tdm_now_us() + 80000;
	assert_int_equal(bench_ask(&b, far), TDM_EDEADLINE);
	bench_close(&b);
	server_closed_us(&server);
	// An answer that is whole does not wait for a server that forgets to end it.
	assert_in_range(best_us(wait_for_more, sizeof good - 1, 300000), 0, 600000);
}

struct guard {
	struct tdm_egress egress;
	int answer, n;
	char seen[1000];
};

static int scan(struct tdm_egress *self, const char *bytes, size_t n, struct tdm_error *err) {
	struct guard *g = (struct guard *)self;
	g->n++;
	snprintf(g->seen, sizeof g->seen, "%.*s", (int)n, bytes);
	return g->answer;
}

static void test_egress(void **state) {
	struct bench b;
	struct guard second = {.egress = {scan, NULL}, .answer = TDM_OK}, first = {.egress = {scan, &second.egress}};
	server_say(&server, good, sizeof good - 1);
	bench_open(&b, "my secret");
	b.run.egress = &first.egress;
	assert_int_equal(bench_ask(&b, far), TDM_OK);
	assert_string_equal(first.seen, strstr(server.request, "\r\n\r\n") + 4); // the final bytes, all of them
	assert_int_equal(second.n, 1);
	static const int answers[][2] = {{TDM_EEGRESS, TDM_EEGRESS}, {1, TDM_EEGRESS}, {TDM_EGUARD, TDM_EGUARD}};
	for (int i = 0; i < 3; i++) {
		server_say(&server, good, sizeof good - 1);
		second.answer = answers[i][0];
		int64_t bytes = b.run.record->left.bytes;
		assert_int_equal(bench_ask(&b, far), answers[i][1]);
		assert_int_equal(b.collect.n, 0);
		assert_int_equal(b.run.record->left.bytes, bytes);
		assert_int_equal(b.run.record->left.requests, 1);
		pthread_mutex_lock(&server.lock);
		assert_int_equal(server.n_connections, 0); // not even a connection
		pthread_mutex_unlock(&server.lock);
	}
	assert_null(b.run.record->calls->next);
	bench_close(&b);
}

static void test_urls_and_keys(void **state) {
	static const char *const bad[][2] = {
	    {"model: m", "expected url"},
	    {"url: 'http://h'", "expected model"},
	    {"url: 'ftp://h', model: m", "expected url: \"https://HOST/v1\""},
	    {"url: 'http://u:p@h', model: m", "a key goes into key"},
	    {"url: 'http:///x', model: m", "scheme, host and path"},
	    {"url: 'http://h?x=1', model: m", "scheme, host and path"},
	    {"url: 'http://h', model: m, key: sk-12345", "not the secret itself"},
	    {"url: 'http://h', model: m, key: 'env:TDM_ABSENT'", "no variable TDM_ABSENT"},
	    {"url: 'http://h', model: m, key: 'file:absent.key'", "tests/absent.key"},
	    {"url: 'http://h', model: m, key: 'env:TDM_EMPTY'", "empty"},
	};
	setenv("TDM_EMPTY", "", 1);
	for (size_t i = 0; i < TDM_COUNT(bad); i++) {
		char yaml[200], text[512];
		snprintf(yaml, sizeof yaml, "models: {a: {kind: remote, %s}}", bad[i][0]);
		assert_int_equal(tree_fails(yaml, text), TDM_ECONFIG);
		if (!strstr(text, bad[i][1]) || strstr(text, "sk-12345"))
			fail_msg("\"%s\" does not say \"%s\"", text, bad[i][1]);
	}
	static const char *const paths[][2] = {{"", "/v1/chat/completions"},
	                                       {"/", "/v1/chat/completions"},
	                                       {"/v1/", "/v1/chat/completions"},
	                                       {"/api/v3", "/api/v3/chat/completions"},
	                                       {"/openai", "/openai/v1/chat/completions"},
	                                       {"/x/chat/completions", "/x/chat/completions"}};
	struct tdm_error err = {0};
	assert_int_equal(tdm_file_write("build/test.key", "filekey\n", 8, &err), TDM_OK);
	for (size_t i = 0; i < TDM_COUNT(paths); i++) {
		char yaml[300], line[100];
		struct bench b;
		snprintf(yaml, sizeof yaml,
		         "models: {a: {kind: remote, url: 'http://127.0.0.1:%d%s', model: m, key: 'file:../build/test.key'}}",
		         server.port, paths[i][0]);
		snprintf(line, sizeof line, "POST %s HTTP/1.1\r\n", paths[i][1]);
		struct tdm_tree *t = tree_of(yaml);
		server_say(&server, good, sizeof good - 1);
		bench_open(&b, "q");
		assert_int_equal(bench_ask(&b, tdm_tree_model(t, "a")), TDM_OK);
		assert_memory_equal(server.request, line, strlen(line));
		assert_non_null(strstr(server.request, "\r\nAuthorization: Bearer filekey\r\n"));
		bench_close(&b);
		tdm_tree_close(t);
	}
	unlink("build/test.key");
}

int tdm_test_remote(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_request),
	    cmocka_unit_test(test_form),
	    cmocka_unit_test(test_tools),
	    cmocka_unit_test(test_seed_and_extensions),
	    cmocka_unit_test(test_cuts),
	    cmocka_unit_test(test_chunked_cuts),
	    cmocka_unit_test(test_errors),
	    cmocka_unit_test(test_retry),
	    cmocka_unit_test(test_nobody_there),
	    cmocka_unit_test(test_connection_is_kept),
	    cmocka_unit_test(test_cancel),
	    cmocka_unit_test(test_sink_answers),
	    cmocka_unit_test(test_times),
	    cmocka_unit_test(test_egress),
	    cmocka_unit_test(test_urls_and_keys),
	};
	return cmocka_run_group_tests_name("remote", tests, setup, teardown);
}
