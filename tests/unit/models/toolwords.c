// Tools as words: what goes in, and calls that come out of words however these are cut.
#include "tests.h"
#include "../fake_kind.h"
#include "models/sources.h"
#include "models/policies/toolwords.h"
#include <stdio.h>

static const struct tdm_tool tools[] = {
    {.name = "f", .description = "the first", .parameters = "{\"type\":\"object\"}", .len = 17},
    {.name = "g"},
};

struct talks { // says its text in two pieces, cut anywhere; remembers what it was asked
	struct tdm_model model;
	const char *text;
	size_t cut;
	enum tdm_finish finish;
	char asked[4000];
	bool had_form, had_tools;
};

static int talks_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                          struct tdm_sink *sink, struct tdm_result *result) {
	struct talks *t = (struct talks *)m;
	size_t n = strlen(t->text), cut = t->cut < n ? t->cut : n;
	int length = 0, status = TDM_OK;
	for (size_t i = 0; i < request->n_messages; i++)
		length += snprintf(t->asked + length, sizeof t->asked - (size_t)length, "%d:%.*s|",
		                   (int)request->messages[i].from, (int)request->messages[i].len, request->messages[i].text);
	t->had_form = request->form != NULL;
	t->had_tools = tdm_wants_tools(request);
	for (size_t at = 0; at < n && !status; at = at < cut ? cut : n) {
		struct tdm_event e = {.text = t->text + at, .author = m->name, .token = -1, .logprob = NAN};
		e.len = (at < cut ? cut : n) - at;
		status = sink->put(sink, &e);
	}
	result->finish = t->finish;
	return status < 0 ? status : TDM_OK;
}

struct log {
	struct tdm_sink sink;
	char text[2000];
};

// text{name(arguments)}
static int write_down(struct tdm_sink *sink, const struct tdm_event *e) {
	struct log *log = (struct log *)sink;
	size_t n = strlen(log->text);
	const char *format = e->piece == TDM_PIECE_CALL ? "{%.*s" : e->piece == TDM_PIECE_ARGUMENTS ? "(%.*s)}" : "%.*s";
	snprintf(log->text + n, sizeof log->text - n, format, (int)e->len, e->text);
	return TDM_OK;
}

static struct talks talks;
static struct asked a;

static void open_over(const char *text, enum tdm_finish finish, unsigned can) {
	static const struct tdm_model_ops ops = {.generate = talks_generate};
	struct tdm_model *parts[] = {&talks.model};
	const char *roles[] = {"inner"};
	talks = (struct talks){.model = {.ops = &ops, .name = "talks", .can = TDM_CAN_TEXT | can}};
	talks.text = text;
	talks.finish = finish;
	assert_int_equal(asked_make(&a, &tdm_kind_tools, "{}", 1, parts, roles), TDM_OK);
}

static const char *answer(enum tdm_tool_choice choice, bool one_call, size_t cut) {
	static const struct tdm_message message = {.from = TDM_FROM_USER, .text = "ask me", .len = 6};
	static struct log log;
	struct tdm_request request;
	log = (struct log){.sink = {write_down, NULL}};
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	request.tools = (struct tdm_toolbox){tools, 2, choice, "g", one_call};
	talks.cut = cut;
	assert_int_equal(tdm_run_init(&a.run, &a.arena, 1), TDM_OK);
	assert_int_equal(tdm_generate(a.model, &a.run, &request, &log.sink, &a.result), TDM_OK);
	return log.text;
}

#define CALL(json) "<tool_call>\n" json "\n</tool_call>"
static const struct {
	const char *text;
	enum tdm_finish finish;
	const char *out;
	enum tdm_finish ends;
} cases[] = {
    {"no call", TDM_FINISH_STOP, "no call", TDM_FINISH_STOP},
    {CALL("{\"name\": \"f\", \"arguments\": {\"x\": [1, 2]}}"), TDM_FINISH_STOP, "{f({\"x\":[1,2]})}",
     TDM_FINISH_CALLS},
    {"I look.\n" CALL("{\"name\":\"g\",\"arguments\":{}}") "\n", TDM_FINISH_STOP, "I look.\n{g({})}", TDM_FINISH_CALLS},
    {CALL("{\"name\":\"f\",\"arguments\":{}}") "\n" CALL("{\"name\":\"g\"}"), TDM_FINISH_STOP, "{f({})}{g({})}",
     TDM_FINISH_CALLS},
    {CALL("{\"name\":\"h\",\"arguments\":{}}"), TDM_FINISH_STOP, CALL("{\"name\":\"h\",\"arguments\":{}}"),
     TDM_FINISH_STOP},
    {"a <tool_ca b", TDM_FINISH_STOP, "a <tool_ca b", TDM_FINISH_STOP},
    {"a <tool_ca", TDM_FINISH_STOP, "a <tool_ca", TDM_FINISH_STOP},
    {"<tool_call>{\"name\":\"f\",\"arguments\":{}}", TDM_FINISH_STOP, "{f({})}", TDM_FINISH_CALLS},
    {"<tool_call>{\"name\":\"f\",\"arguments\":{}}", TDM_FINISH_LENGTH, "<tool_call>{\"name\":\"f\",\"arguments\":{}}",
     TDM_FINISH_LENGTH},
    {"<tool_call>{\"name\":\"f\",\"argu", TDM_FINISH_LENGTH, "<tool_call>{\"name\":\"f\",\"argu", TDM_FINISH_LENGTH},
};

static void calls_are_read_however_cut(void **state) {
	for (size_t i = 0; i < TDM_COUNT(cases); i++) {
		open_over(cases[i].text, cases[i].finish, 0);
		for (size_t cut = 0; cut <= strlen(cases[i].text); cut++) {
			assert_string_equal(answer(TDM_TOOLS_AUTO, false, cut), cases[i].out);
			assert_int_equal(a.result.finish, cases[i].ends);
		}
		asked_done(&a);
	}
}

static void one_call_alone(void **state) {
	open_over(CALL("{\"name\":\"f\",\"arguments\":{}}") CALL("{\"name\":\"g\",\"arguments\":{}}"), TDM_FINISH_STOP, 0);
	assert_string_equal(answer(TDM_TOOLS_AUTO, true, 3), "{f({})}");
	assert_int_equal(a.result.finish, TDM_FINISH_CALLS);
	asked_done(&a);
}

static void demanded_calls_are_forms(void **state) {
	open_over("{\"name\":\"g\",\"arguments\":{\"x\":1}}", TDM_FINISH_STOP, TDM_CAN_FORM);
	for (size_t cut = 0; cut < 10; cut++)
		assert_string_equal(answer(TDM_TOOLS_ONE, false, cut), "{g({\"x\":1})}");
	assert_true(talks.had_form && !talks.had_tools);
	assert_null(strstr(talks.asked, "\"f\"")); // only the one that is demanded is told
	answer(TDM_TOOLS_AUTO, false, 0);
	assert_false(talks.had_form);
	asked_done(&a);
}

static void conversations_become_words(void **state) {
	static const struct tdm_tool_call call = {.id = "1", .name = "f", .arguments = "{\"x\":1}", .len = 7};
	static const struct tdm_message said[] = {
	    {.from = TDM_FROM_SYSTEM, .text = "be kind", .len = 7},
	    {.from = TDM_FROM_USER, .text = "hi", .len = 2},
	    {.from = TDM_FROM_ASSISTANT, .text = "", .calls = &call, .n_calls = 1},
	    {.from = TDM_FROM_TOOL, .text = "A", .len = 1, .call_id = "1"},
	    {.from = TDM_FROM_TOOL, .text = "B", .len = 1, .call_id = "2"},
	};
	struct tdm_request request;
	open_over("fine", TDM_FINISH_STOP, 0);
	tdm_request_init(&request);
	request.messages = said;
	request.n_messages = TDM_COUNT(said);
	request.tools = (struct tdm_toolbox){tools, 2, TDM_TOOLS_AUTO, NULL, false};
	assert_string_equal(asked_answer(&a, 1, &request), "fine");
	assert_memory_equal(talks.asked, "0:be kind\n\n", 11);
	assert_non_null(strstr(talks.asked,
	                       "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"the first\","
	                       "\"parameters\":{\"type\":\"object\"}}}\n"));
	assert_non_null(strstr(talks.asked,
	                       "|1:hi|2:<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\":1}}\n</tool_call>|1:"
	                       "<tool_response>\nA\n</tool_response>\n<tool_response>\nB\n</tool_response>|"));
	request.tools.n = 0; // without tools a conversation is what it was, but for its calls
	asked_answer(&a, 1, &request);
	assert_memory_equal(talks.asked, "0:be kind|1:hi|2:<tool_call>", 28);
	asked_done(&a);
}

int tdm_test_toolwords(void) {
	const struct CMUnitTest list[] = {
	    cmocka_unit_test(calls_are_read_however_cut),
	    cmocka_unit_test(one_call_alone),
	    cmocka_unit_test(demanded_calls_are_forms),
	    cmocka_unit_test(conversations_become_words),
	};
	return cmocka_run_group_tests_name("toolwords", list, NULL, NULL);
}
