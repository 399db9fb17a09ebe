// Bodies of upstreams, good, odd and bad, fed whole and byte by byte: what becomes of each.
#include "tests.h"
#include "models/kind.h"
#include "models/remote/dialect.h"
#include <stdio.h>

#define SAY(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define END(reason) "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\n"
#define DONE "data: [DONE]\n\n"

static const struct {
	const char *name;
	int http;
	const char *body;
	int status;
	const char *text; // of the answer; of the sentence when it failed
	enum tdm_finish finish;
} cases[] = {
    {"plain", 200, SAY("Hel") SAY("lo") END("stop") USAGE DONE, TDM_OK, "Hello", TDM_FINISH_STOP},
    {"length", 200, SAY("Hel") END("length") DONE, TDM_OK, "Hel", TDM_FINISH_LENGTH},
    {"filter", 200, END("content_filter") DONE, TDM_OK, "", TDM_FINISH_FILTER},
    {"unknown reason", 200, SAY("x") END("because") DONE, TDM_OK, "x", TDM_FINISH_STOP},
    {"no done", 200, SAY("x") END("stop"), TDM_OK, "x", TDM_FINISH_STOP},
    {"no blank line at the end", 200,
     SAY("x") "data: {\"choices\":[{\"delta\":{\"content\":\"y\"},\"finish_reason\":\"stop\"}]}", TDM_OK, "xy",
     TDM_FINISH_STOP},
    {"words after the end", 200, SAY("x") END("stop") SAY("y") DONE SAY("z"), TDM_OK, "x", TDM_FINISH_STOP},
    {"broken after done", 200, SAY("x") END("stop") DONE "data: {\n\n", TDM_OK, "x", TDM_FINISH_STOP},
    {"nulls", 200,
     "data: {\"id\":null,\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}],"
     "\"usage\":null}\n\n" SAY("x") END("stop") DONE,
     TDM_OK, "x", TDM_FINISH_STOP},
    {"comments and empty data", 200, ": hi\n\ndata:\n\n" SAY("x") ": ping\n\n" END("stop"), TDM_OK, "x",
     TDM_FINISH_STOP},
    {"a second choice", 200,
     SAY("x") "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"},\"finish_reason\":\"stop\"}]}\n\n" END(
         "stop"),
     TDM_OK, "x", TDM_FINISH_STOP},
    {"calls", 200,
     "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\",\"content\":\"x\",\"tool_calls\":[{\"index\":0,"
     "\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n" END("stop") DONE,
     TDM_OK, "x", TDM_FINISH_CALLS},
    {"a call of the older shape", 200,
     "data: {\"choices\":[{\"delta\":{\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}}}]}\n\n" END(
         "function_call"),
     TDM_OK, "", TDM_FINISH_CALLS},
    {"a call cut by length", 200,
     "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"{\"}}]}}]}\n\n" END("length"),
     TDM_OK, "", TDM_FINISH_LENGTH},
    {"a broken call", 200,
     "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"{\"}}]}}]}\n\n" END("tool_calls"),
     TDM_EBADBODY, "no JSON object", 0},
    {"calls that are none", 200, "data: {\"choices\":[{\"delta\":{\"tool_calls\":7}}]}\n\n" END("stop"), TDM_EBADBODY,
     "no list", 0},
    {"a call without an end", 200,
     "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"{}\"}}]}}]}\n\n" DONE,
     TDM_ETRUNCATED, "without a finish_reason", 0},
    {"no finish", 200, SAY("x") DONE, TDM_ETRUNCATED, "without a finish_reason", 0},
    {"cut inside an event", 200, SAY("x") "data: {\"choi", TDM_ETRUNCATED, "inside an event", 0},
    {"nothing", 200, "", TDM_ETRUNCATED, "without a finish_reason", 0},
    {"not JSON", 200, SAY("x") "data: oops\n\n" END("stop"), TDM_EBADBODY, "not JSON", 0},
    {"not an object", 200, "data: [1]\n\n", TDM_EBADBODY, "no JSON object", 0},
    {"odd choices", 200, "data: {\"choices\":3}\n\n", TDM_EBADBODY, "choices", 0},
    {"HTML", 200, "\n<html><body>hello</body></html>", TDM_EBADBODY, "no event stream", 0},
    {"plain words", 200, "service is down", TDM_EBADBODY, "without events", 0},
    {"compressed", 200, "\x1f\x8b\x08", TDM_EBADBODY, "no event stream", 0},
    {"whole answer", 200, "{\"choices\":[{\"message\":{\"content\":\"x\"}}]}", TDM_EBADBODY, "no event stream", 0},
    {"error in a 200", 200, "{\"error\":{\"message\":\"boom\",\"type\":\"server_error\"}}", TDM_EUPSTREAM, "an error",
     0},
    {"error as text", 200, "{\"error\":\"boom\"}", TDM_EUPSTREAM, "an error", 0},
    {"error in the stream", 200, SAY("x") "data: {\"error\":{\"message\":\"slow down\",\"code\":429}}\n\n", TDM_ERATE,
     "an error", 0},
    {"error by type", 200, "data: {\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\"}}\n\n", TDM_ERATE, "", 0},
    {"error of a key", 200, "data: {\"error\":{\"message\":\"key sk-123\",\"code\":\"invalid_api_key\"}}\n\n",
     TDM_EUPAUTH, "", 0},
    {"error object", 200, "data: {\"object\":\"error\",\"message\":\"bad\",\"code\":400}\n\n", TDM_EREJECTED, ": bad",
     0},
    {"error of context", 200, "data: {\"error\":{\"message\":\"maximum context length is 9\"}}\n\n", TDM_ECONTEXT,
     "maximum context length is 9", 0},
    {"400", 400, "{\"error\":{\"message\":\"no such field\"}}", TDM_EREJECTED, "HTTP 400: no such field", 0},
    {"400 context", 400, "{\"error\":{\"message\":\"too long\",\"code\":\"context_length_exceeded\"}}", TDM_ECONTEXT,
     "too long", 0},
    {"401", 401, "{\"error\":{\"message\":\"wrong key sk-123\"}}", TDM_EUPAUTH, "HTTP 401", 0},
    {"403", 403, "", TDM_EUPAUTH, "HTTP 403", 0},
    {"404 detail", 404, "{\"detail\":\"Not Found\"}", TDM_EREJECTED, "HTTP 404: Not Found", 0},
    {"408", 408, "", TDM_EUPTIME, "HTTP 408", 0},
    {"429", 429, "{}", TDM_ERATE, "HTTP 429", 0},
    {"500 HTML", 500, "<html>", TDM_EUPSTREAM, "HTTP 500", 0},
    {"504", 504, "", TDM_EUPTIME, "HTTP 504", 0},
    {"302", 302, "", TDM_EUPSTREAM, "HTTP 302", 0},
};

static void feed(size_t i, size_t step) {
	struct bench b;
	struct tdm_upstream u;
	size_t n = strlen(cases[i].body);
	bench_open(&b, "a question");
	tdm_upstream_init(&u, &tdm_dialect_openai, "far", &b.run, &b.request, &b.collect.sink, &b.result);
	for (size_t at = 0; at < n && !u.status; at += step)
		tdm_upstream_feed(&u, cases[i].http, cases[i].body + at, step < n - at ? step : n - at);
	int status = tdm_upstream_end(&u, cases[i].http);
	if (status != cases[i].status)
		fail_msg("%s: status %d, expected %d (%s)", cases[i].name, status, cases[i].status, b.run.error.text);
	if (status == TDM_OK) {
		assert_string_equal(b.collect.text.len ? b.collect.text.data : "", cases[i].text);
		assert_int_equal(b.result.finish, cases[i].finish);
		assert_int_equal(b.result.estimated, strstr(cases[i].body, "prompt_tokens") == NULL);
	} else if (!strstr(b.run.error.text, cases[i].text) || strstr(b.run.error.text, "sk-123")) {
		fail_msg("%s: \"%s\"", cases[i].name, b.run.error.text);
	}
	tdm_upstream_release(&u);
	bench_close(&b);
}

static void test_table(void **state) {
	for (size_t i = 0; i < TDM_COUNT(cases); i++) {
		feed(i, 1);
		feed(i, 7);
		feed(i, 100000);
	}
}

static void test_usage(void **state) {
	static const char body[] =
	    "data: {\"model\":\"big-1-0613\",\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":"
	    "\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,"
	    "\"prompt_tokens_details\":{\"cached_tokens\":5}}}\n\n";
	struct bench b;
	struct tdm_upstream u;
	bench_open(&b, "a question");
	tdm_upstream_init(&u, &tdm_dialect_openai, "far", &b.run, &b.request, &b.collect.sink, &b.result);
	tdm_upstream_feed(&u, 200, body, sizeof body - 1);
	assert_int_equal(tdm_upstream_end(&u, 200), TDM_OK);
	assert_true(b.result.prompt_tokens == 9 && b.result.completion_tokens == 4 && b.result.cached_tokens == 5);
	assert_string_equal(u.upstream_model, "big-1-0613");
	assert_null(b.run.record->warnings);
	tdm_upstream_release(&u);
	tdm_upstream_init(&u, &tdm_dialect_openai, "far", &b.run, &b.request, &b.collect.sink, &b.result);
	tdm_upstream_feed(&u, 200, SAY("12345") END("stop"), sizeof SAY("12345") END("stop") - 1);
	assert_int_equal(tdm_upstream_end(&u, 200), TDM_OK);
	assert_true(b.result.estimated && b.result.prompt_tokens == 3 && b.result.completion_tokens == 2);
	assert_string_equal(b.run.record->warnings->code, "usage_estimated");
	tdm_upstream_release(&u);
	bench_close(&b);
}

#define LP(token, lp) \
	"{\"token\":\"" token "\",\"logprob\":" lp ",\"top_logprobs\":[{\"token\":\"" token "\",\"logprob\":" lp "}]}"
static void test_logprobs(void **state) {
	static const char body[] =
	    "data: {\"choices\":[{\"delta\":{\"content\":\"ab\"},\"logprobs\":{\"content\":[" LP("a", "-1") "," LP(
	        "b", "-2") "]}}]}\n\n"
	                   "data: {\"choices\":[{\"delta\":{\"content\":\"\xc3\xa4\"},\"logprobs\":{\"content\":[" LP(
	                       "?", "-3") "," LP("?", "-2") "]}}]}\n\n" END("stop");
	struct bench b;
	struct tdm_upstream u;
	bench_open(&b, "a question");
	b.request.logprobs = true;
	tdm_upstream_init(&u, &tdm_dialect_openai, "far", &b.run, &b.request, &b.collect.sink, &b.result);
	tdm_upstream_feed(&u, 200, body, sizeof body - 1);
	assert_int_equal(tdm_upstream_end(&u, 200), TDM_OK);
	assert_string_equal(b.collect.text.data, "ab\xc3\xa4");
	assert_int_equal(b.collect.n, 3); // two tokens, and one event for the two that share a character
	assert_true(b.collect.logprobs.sum == -8 && b.collect.logprobs.least == -5);
	assert_true(b.result.mean_logprob == -2);
	tdm_upstream_release(&u);
	bench_close(&b);
}

static void test_message_is_cut(void **state) {
	char body[2000];
	struct bench b;
	struct tdm_upstream u;
	int n = snprintf(body, sizeof body, "{\"error\":{\"message\":\"");
	for (int i = 0; i < 400; i++)
		n += snprintf(body + n, sizeof body - (size_t)n, "\xc3\xa4");
	n += snprintf(body + n, sizeof body - (size_t)n, "\"}}");
	bench_open(&b, "q");
	tdm_upstream_init(&u, &tdm_dialect_openai, "far", &b.run, &b.request, &b.collect.sink, &b.result);
	tdm_upstream_feed(&u, 422, body, (size_t)n);
	assert_int_equal(tdm_upstream_end(&u, 422), TDM_EREJECTED);
	const char *message = strstr(b.run.error.text, "\xc3\xa4");
	assert_int_equal(strlen(message), 300);
	tdm_upstream_release(&u);
	bench_close(&b);
}

int tdm_test_upstream(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_usage),
	    cmocka_unit_test(test_logprobs),
	    cmocka_unit_test(test_message_is_cut),
	};
	return cmocka_run_group_tests_name("upstream", tests, NULL, NULL);
}
