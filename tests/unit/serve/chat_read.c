// Reading of chat completions: a table of bodies, each accepted with what it means or refused naming the field.
#include "bodies.h"
#include <math.h>
#include <string.h>

static int read_body(const char *text, struct tdm_chat_request *out, struct tdm_error *err) {
	return read_with(tdm_chat_read, text, out, err);
}

#define TOOLS                                                                                                          \
	",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"parameters\":{\"a\":1}}}" \
	","                                                                                                                \
	"{\"type\":\"function\",\"function\":{\"name\":\"g\",\"strict\":true}}]"
#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void test_refused(void **state) {
	static const struct refusal cases[] = {
	    {"[]", TDM_EVALUE, ""},
	    {"{}", TDM_EMISSING, "messages"},
	    {"{\"messages\":null}", TDM_EMISSING, "messages"},
	    {"{\"messages\":[]}", TDM_EVALUE, "messages"},
	    {"{\"messages\":\"hi\"}", TDM_EVALUE, "messages"},
	    {"{\"messages\":[3]}", TDM_EVALUE, "messages[0]"},
	    {"{\"messages\":[{\"content\":\"hi\"}]}", TDM_EVALUE, "messages[0].role"},
	    {"{\"messages\":[{\"role\":\"king\",\"content\":\"hi\"}]}", TDM_EVALUE, "messages[0].role"},
	    {"{\"messages\":[{\"role\":\"user\",\"content\":5}]}", TDM_EVALUE, "messages[0].content"},
	    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]}", TDM_ECONTENT,
	     "messages[0].content[0]"},
	    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}", TDM_EVALUE,
	     "messages[0].content[0]"},
	    {"{" HI ",\"temperature\":\"1\"}", TDM_EVALUE, "temperature"},
	    {"{" HI ",\"temperature\":2.5}", TDM_EVALUE, "temperature"},
	    {"{" HI ",\"max_tokens\":-1}", TDM_EVALUE, "max_tokens"},
	    {"{" HI ",\"max_tokens\":1.5}", TDM_EVALUE, "max_tokens"},
	    {"{" HI ",\"n\":9}", TDM_EVALUE, "n"},
	    {"{" HI ",\"stop\":[\"a\",4]}", TDM_EVALUE, "stop"},
	    {"{" HI ",\"stop\":\"\"}", TDM_EVALUE, "stop"},
	    {"{" HI ",\"stream\":1}", TDM_EVALUE, "stream"},
	    {"{" HI ",\"stream_options\":{\"include_usage\":\"yes\"}}", TDM_EVALUE, "stream_options.include_usage"},
	    {"{" HI ",\"model\":7}", TDM_EVALUE, "model"},
	    {"{" HI ",\"tools\":[{}]}", TDM_EVALUE, "tools[0].function.name"},
	    {"{" HI ",\"tools\":{}}", TDM_EVALUE, "tools"},
	    {"{" HI ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]}", TDM_EVALUE,
	     "tools[0].function.name"},
	    {"{" HI ",\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":3}}]}", TDM_EVALUE,
	     "tools[0].function.parameters"},
	    {"{" HI TOOLS ",\"tool_choice\":\"sometimes\"}", TDM_EVALUE, "tool_choice"},
	    {"{" HI TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"h\"}}}", TDM_EVALUE,
	     "tool_choice.function.name"},
	    {"{" HI TOOLS ",\"tool_choice\":{\"type\":\"web_search\"}}", TDM_ETOOL, "tool_choice"},
	    {"{" HI TOOLS ",\"parallel_tool_calls\":1}", TDM_EVALUE, "parallel_tool_calls"},
	    {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}]}", TDM_EVALUE,
	     "messages[0].tool_calls[0]"},
	    {"{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\","
	     "\"arguments\":3}}]}]}",
	     TDM_EVALUE, "messages[0].tool_calls[0].arguments"},
	    {"{\"messages\":[{\"role\":\"tool\",\"content\":\"x\",\"tool_call_id\":7}]}", TDM_EVALUE,
	     "messages[0].tool_call_id"},
	    {"{" HI ",\"functions\":[{}]}", TDM_EVALUE, "functions[0].name"},
	    {"{" HI ",\"response_format\":{\"type\":\"yaml\"}}", TDM_EVALUE, "response_format.type"},
	    {"{" HI ",\"response_format\":\"json_object\"}", TDM_EVALUE, "response_format"},
	    {"{" HI ",\"response_format\":{\"type\":\"json_schema\"}}", TDM_EVALUE, "response_format.json_schema.schema"},
	    {"{" HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"not\":{}}}}}",
	     TDM_EVALUE, "response_format"},
	    {"{" HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"a b\",\"schema\":{}}}}",
	     TDM_EVALUE, "response_format.json_schema.name"},
	    {"{" HI ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"strict\":1,\"schema\":{}}}}",
	     TDM_EVALUE, "response_format.json_schema.strict"},
	    {"{" HI ",\"tandem\":{\"privcy\":2}}", TDM_EVALUE, "tandem.privcy"},
	    {"{" HI ",\"tandem\":{\"privacy\":5}}", TDM_EVALUE, "tandem.privacy"},
	    {"{" HI ",\"tandem\":{\"quality\":1.1}}", TDM_EVALUE, "tandem.quality"},
	    {"{" HI ",\"tandem\":{\"trace\":1}}", TDM_EVALUE, "tandem.trace"},
	    {"{" HI ",\"tandem\":3}", TDM_EVALUE, "tandem"},
	};
	(void)state;
	check_refusals(tdm_chat_read, cases, sizeof cases / sizeof *cases);
}

static void test_accepted(void **state) {
	struct tdm_chat_request r;
	struct tdm_error err;
	(void)state;
	assert_int_equal(
	    read_body("{\"model\":\"small\",\"messages\":[{\"role\":\"developer\",\"content\":\"be brief\"},"
	              "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"input_text\","
	              "\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":null}],\"max_tokens\":100.0,"
	              "\"max_completion_tokens\":50,\"temperature\":null,\"top_p\":0.5,\"stop\":\"x\",\"n\":2,"
	              "\"seed\":-3,\"stream\":true,\"stream_options\":{\"include_usage\":true},\"user\":\"u\","
	              "\"unknown\":{\"deep\":[1]},\"logprobs\":true,\"top_logprobs\":4,\"tools\":[]}",
	              &r, &err),
	    TDM_OK);
	assert_string_equal(r.model, "small");
	assert_int_equal(r.request.n_messages, 3);
	assert_int_equal(r.request.messages[0].from, TDM_FROM_SYSTEM);
	assert_string_equal(r.request.messages[1].text, "ab");
	assert_int_equal(r.request.messages[2].len, 0);
	assert_int_equal(r.request.max_tokens, 50);
	assert_true(r.request.temperature < 0); // null equals absent
	assert_true(r.request.top_p == 0.5f);
	assert_int_equal(r.request.n_stop, 1);
	assert_int_equal(r.n, 2);
	assert_true(r.has_seed && r.seed == (uint64_t)-3);
	assert_true(r.stream && r.include_usage && r.request.logprobs);
	assert_int_equal(r.request.top_logprobs, 4);
	assert_null(record.warnings);
}

static void test_tools(void **state) {
	struct tdm_chat_request r;
	struct tdm_error err;
	assert_int_equal(
	    read_body("{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":["
	              "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
	              "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":{\"x\":2}}}]},"
	              "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"rain\"}]" TOOLS "}",
	              &r, &err),
	    TDM_OK);
	const struct tdm_message *m = r.request.messages;
	assert_int_equal(m[0].n_calls, 2);
	assert_string_equal(m[0].calls[1].arguments, "{\"x\":2}");
	assert_string_equal(m[1].call_id, "a");
	const struct tdm_toolbox *tools = &r.request.tools;
	assert_true(tools->n == 2 && tools->choice == TDM_TOOLS_AUTO && !tools->one_call && tdm_wants_tools(&r.request));
	assert_string_equal(tools->items[0].parameters, "{\"a\":1}");
	assert_true(tools->items[1].strict && !tools->items[1].description && !r.older_tools);
	assert_int_equal(read_body("{" HI TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}},"
	                           "\"parallel_tool_calls\":false}",
	                           &r, &err),
	                 TDM_OK);
	assert_true(tools->choice == TDM_TOOLS_ONE && !strcmp(tools->chosen, "g") && tools->one_call);
	assert_int_equal(read_body("{" HI TOOLS ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":"
	                           "\"required\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}}}",
	                           &r, &err),
	                 TDM_OK);
	assert_true(tools->n == 1 && tools->choice == TDM_TOOLS_REQUIRED && !strcmp(tools->items[0].name, "g"));
	assert_int_equal(read_body("{" HI ",\"tools\":[{\"type\":\"web_search\"}]}", &r, &err), TDM_OK);
	assert_true(tools->n == 0 && !tdm_wants_tools(&r.request));
	assert_string_equal(record.warnings->code, "tool_dropped");
}

static void test_older_functions(void **state) {
	struct tdm_chat_request r;
	struct tdm_error err;
	assert_int_equal(
	    read_body("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":null,"
	              "\"function_call\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"role\":\"function\",\"name\":\"f\","
	              "\"content\":\"rain\"}],\"functions\":[{\"name\":\"f\",\"parameters\":{}}],\"function_call\":"
	              "{\"name\":\"f\"}}",
	              &r, &err),
	    TDM_OK);
	const struct tdm_message *m = r.request.messages;
	assert_true(r.older_tools && r.request.tools.n == 1 && r.request.tools.choice == TDM_TOOLS_ONE);
	assert_true(r.request.tools.one_call && m[1].n_calls == 1);
	assert_string_equal(m[1].calls[0].id, m[2].call_id);
}

static void test_objective(void **state) {
	struct tdm_chat_request r;
	struct tdm_error err;
	(void)state;
	assert_int_equal(read_body("{" HI
	                           ",\"tandem\":{\"privacy\":\"personal\",\"trust\":1,\"max_cost\":0.5,\"strict\":true,"
	                           "\"session\":\"s\",\"receipt\":\"id\",\"trace\":true},\"logit_bias\":{\"5\":1}}",
	                           &r, &err),
	                 TDM_OK);
	assert_int_equal(r.objective.privacy, 2);
	assert_int_equal(r.objective.trust, 1);
	assert_true(r.objective.strict && r.objective.trace);
	assert_int_equal(r.objective.receipt, 1);
	assert_string_equal(record.warnings->param, "logit_bias"); // an option without effect says so
	// Headers only tighten.
	assert_int_equal(tdm_objective_header(&arena, "privacy", "1", &r.objective, &err), TDM_OK);
	assert_int_equal(r.objective.privacy, 2);
	assert_int_equal(tdm_objective_header(&arena, "privacy", "local", &r.objective, &err), TDM_OK);
	assert_int_equal(r.objective.privacy, 4);
	assert_int_equal(tdm_objective_header(&arena, "max-cost", "0.25", &r.objective, &err), TDM_OK);
	assert_true(r.objective.max_cost == 0.25);
	assert_int_equal(tdm_objective_header(&arena, "max-cost", "9", &r.objective, &err), TDM_OK);
	assert_true(r.objective.max_cost == 0.25);
	assert_int_equal(tdm_objective_header(&arena, "privacy", "most", &r.objective, &err), TDM_EVALUE);
}

static int release(void **state) {
	(void)state;
	tdm_arena_release(&arena);
	return 0;
}

int tdm_test_chat_read(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_accepted),
	                                   cmocka_unit_test(test_tools), cmocka_unit_test(test_older_functions),
	                                   cmocka_unit_test(test_objective)};
	tdm_arena_init(&arena, 1 << 20);
	return cmocka_run_group_tests_name("chat_read", tests, NULL, release);
}
