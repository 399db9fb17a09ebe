// Tool calls as upstreams send them, well and badly, and the order they come out in.
#include "tests.h"
#include "models/remote/calls.h"
#include "models/kind.h"
#include <stdio.h>

struct log {
	struct tdm_sink sink;
	char text[2000];
};

// name<id>(arguments) for each call, text as it is
static int write_down(struct tdm_sink *sink, const struct tdm_event *e) {
	struct log *log = (struct log *)sink;
	size_t n = strlen(log->text);
	if (e->piece == TDM_PIECE_CALL)
		snprintf(log->text + n, sizeof log->text - n, "%.*s<%s>", (int)e->len, e->text, e->call_id);
	else
		snprintf(log->text + n, sizeof log->text - n, "%.*s", (int)e->len, e->text);
	return TDM_OK;
}

#define CALL(index, id, name, arguments) \
	"[{\"index\":" index ",\"id\":\"" id "\",\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments "\"}}]"
#define MORE(index, arguments) "[{\"index\":" index ",\"function\":{\"arguments\":\"" arguments "\"}}]"
#define BARE(id, name, arguments) \
	"[{\"id\":\"" id "\",\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments "\"}}]"
#define QUOTE(text) "\\\"" text "\\\""

static const struct {
	const char *name;
	const char *pieces[8]; // one that does not begin with [ is text of the answer
	bool cut;
	int status;
	const char *out; // of a failure: what it says
} cases[] = {
    {"one", {CALL("0", "a", "f", ""), MORE("0", "{" QUOTE("x")), MORE("0", ":1}")}, false, TDM_OK, "f<a>{\"x\":1}"},
    {"two", {CALL("0", "a", "f", "{}"), CALL("1", "b", "g", "{}")}, false, TDM_OK, "f<a>{}g<b>{}"},
    {"two, one after another's end",
     {CALL("0", "a", "f", "{"), MORE("0", "}"), CALL("1", "b", "g", "{"), MORE("1", "}")},
     false,
     TDM_OK,
     "f<a>{}g<b>{}"},
    {"two at once",
     {CALL("0", "a", "f", "{"), CALL("1", "b", "g", "{"), MORE("0", QUOTE("x")), MORE("1", "}"), MORE("0", ":1}")},
     false,
     TDM_OK,
     "f<a>{\"x\":1}g<b>{}"},
    {"two in one piece",
     {"[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
      "{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]"},
     false,
     TDM_OK,
     "f<a>{}g<b>{}"},
    {"no index", {BARE("a", "f", "{"), BARE("a", "f", "}"), BARE("b", "g", "{}")}, false, TDM_OK, "f<a>{}g<b>{}"},
    {"no index, id once", {BARE("a", "f", "{"), BARE("", "", "}")}, false, TDM_OK, "f<a>{}"},
    {"every index 0", {CALL("0", "a", "f", "{}"), CALL("0", "b", "g", "{}")}, false, TDM_OK, "f<a>{}g<b>{}"},
    {"id and name again", {CALL("0", "a", "f", "{"), CALL("0", "a", "f", "}")}, false, TDM_OK, "f<a>{}"},
    {"id and name empty later", {CALL("0", "a", "f", "{"), CALL("0", "", "", "}")}, false, TDM_OK, "f<a>{}"},
    {"name after the id",
     {"[{\"index\":0,\"id\":\"a\"}]", "[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"},
     false,
     TDM_OK,
     "f<a>{}"},
    {"arguments as an object",
     {"[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":[1,2]}}}]"},
     false,
     TDM_OK,
     "f<a>{\"x\":[1,2]}"},
    {"no arguments", {CALL("0", "a", "f", ""), CALL("1", "b", "g", "")}, false, TDM_OK, "f<a>{}g<b>{}"},
    {"words inside a call", {CALL("0", "a", "f", "{"), "well", MORE("0", "}")}, false, TDM_OK, "f<a>{}well"},
    {"words around calls",
     {"so ", CALL("0", "a", "f", "{}"), "then ", CALL("1", "b", "g", "{}")},
     false,
     TDM_OK,
     "so f<a>{}then g<b>{}"},
    {"cut by its length", {CALL("0", "a", "f", "{" QUOTE("x"))}, true, TDM_OK, "f<a>{\"x\""},
    {"no list", {"[3]", "[]"}, false, TDM_EBADBODY, "without a name"},
    {"no JSON", {CALL("0", "a", "f", "{" QUOTE("x"))}, false, TDM_EBADBODY, "no JSON object"},
    {"JSON, but no object", {CALL("0", "a", "f", "[]")}, false, TDM_EBADBODY, "no JSON object"},
    {"no name", {CALL("0", "a", "", "{}")}, false, TDM_EBADBODY, "without a name"},
    {"more for a call that is over",
     {CALL("0", "a", "f", "{}"), CALL("1", "b", "g", "{}"), MORE("0", "{}")},
     false,
     TDM_EBADBODY,
     "out of order"},
};

static int put_all(struct tdm_calls *calls, struct bench *b, struct log *log, size_t i, const char **why) {
	struct tdm_value *value;
	int status = TDM_OK;
	for (int k = 0; k < 8 && cases[i].pieces[k] && !status; k++) {
		const char *text = cases[i].pieces[k];
		if (*text == '[') {
			assert_int_equal(tdm_json_parse(&b->arena, text, strlen(text), &value, NULL), TDM_OK);
			status = tdm_calls_put(calls, value, why);
		} else if (!tdm_calls_hold(calls, text, strlen(text))) {
			snprintf(log->text + strlen(log->text), sizeof log->text - strlen(log->text), "%s", text);
		}
	}
	return status ? status : tdm_calls_end(calls, cases[i].cut, why);
}

static void test_order(void **state) {
	for (size_t i = 0; i < TDM_COUNT(cases); i++) {
		struct log log = {.sink = {write_down, NULL}};
		struct tdm_calls calls;
		struct bench b;
		const char *why = "";
		bench_open(&b, "q");
		tdm_calls_init(&calls, &b.run, &log.sink, "far");
		int status = put_all(&calls, &b, &log, i, &why);
		if (status != cases[i].status || !strstr(status ? why : log.text, cases[i].out) ||
		    (!status && strcmp(log.text, cases[i].out) != 0))
			fail_msg("%s: status %d, \"%s\", \"%s\"", cases[i].name, status, log.text, why);
		tdm_calls_release(&calls);
		bench_close(&b);
	}
}

static void test_ids(void **state) {
	static const char text[] = "[{\"id\":\"bad id\",\"function\":{\"name\":\"f\"}},{\"id\":\""
	                           "other\\u00e4"
	                           "\",\"function\":{\"name\":\"g\"}}]";
	struct log log = {.sink = {write_down, NULL}};
	struct tdm_calls calls;
	struct tdm_value *value;
	struct bench b;
	const char *why;
	bench_open(&b, "q");
	tdm_calls_init(&calls, &b.run, &log.sink, "far");
	assert_int_equal(tdm_json_parse(&b.arena, text, strlen(text), &value, NULL), TDM_OK);
	assert_int_equal(tdm_calls_put(&calls, value, &why), TDM_OK);
	assert_int_equal(tdm_calls_end(&calls, false, &why), TDM_OK);
	assert_int_equal(calls.n, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(strncmp(calls.items[i].id, "call_", 5), 0);
		assert_int_equal(strlen(calls.items[i].id), 29);
	}
	assert_string_not_equal(calls.items[0].id, calls.items[1].id);
	tdm_calls_release(&calls);
	bench_close(&b);
}

static void test_too_many(void **state) {
	struct log log = {.sink = {write_down, NULL}};
	struct tdm_calls calls;
	struct bench b;
	const char *why = "";
	int status = TDM_OK;
	bench_open(&b, "q");
	tdm_calls_init(&calls, &b.run, &log.sink, "far");
	for (int i = 0; i <= TDM_CALLS_LIMIT; i++) {
		char text[80];
		struct tdm_value *value;
		assert_int_equal(status, TDM_OK);
		snprintf(text, sizeof text, "[{\"id\":\"c%d\",\"function\":{\"name\":\"f\"}}]", i);
		assert_int_equal(tdm_json_parse(&b.arena, text, strlen(text), &value, NULL), TDM_OK);
		status = tdm_calls_put(&calls, value, &why);
	}
	assert_int_equal(status, TDM_EBADBODY);
	tdm_calls_release(&calls);
	bench_close(&b);
}

int tdm_test_calls(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_ids),
	    cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
