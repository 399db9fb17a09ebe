// Responses: bodies accepted with what they mean or refused naming the field; turns dropped; an answer as a stream of
// numbered events, whole, failed, and kept.
#include "bodies.h"
#include "base/value.h"
#include "serve/formats/format.h"
#include "serve/formats/responses.h"
#include <stdio.h>
#include <string.h>

static int read_body(const char *text, struct tdm_chat_request *out, struct tdm_error *err) {
	return read_with(tdm_responses_read, text, out, err);
}

static const struct tdm_value *parse(const char *text, size_t n) {
	struct tdm_value *v = NULL;
	struct tdm_error err = {0};
	assert_int_equal(tdm_json_parse(&arena, text, n, &v, &err), TDM_OK);
	return v;
}

// --- reading

static void test_refused(void **state) {
	static const struct refusal cases[] = {
	    {"[]", TDM_EVALUE, ""},
	    {"{}", TDM_EMISSING, "input"},
	    {"{\"input\":null}", TDM_EMISSING, "input"},
	    {"{\"input\":[]}", TDM_EVALUE, "input"},
	    {"{\"input\":[{\"type\":\"reasoning\"}]}", TDM_EVALUE, "input"},
	    {"{\"input\":[7]}", TDM_EVALUE, "input[0]"},
	    {"{\"input\":[{\"role\":\"user\"}]}", TDM_EVALUE, "input[0].content"},
	    {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]}", TDM_EVALUE,
	     "input[0].content[0]"},
	    {"{\"input\":[{\"role\":\"tool\",\"content\":\"x\"}]}", TDM_EVALUE, "input[0].role"},
	    {"{\"input\":[{\"type\":\"function_call_output\",\"output\":\"x\"}]}", TDM_EVALUE, "input[0]"},
	    {"{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":5}]}", TDM_EVALUE,
	     "input[0].arguments"},
	    {"{\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"}]}", TDM_EPREVIOUS, "input[0]"},
	    {"{\"input\":\"x\",\"temperature\":3}", TDM_EVALUE, "temperature"},
	    {"{\"input\":\"x\",\"top_logprobs\":2.5}", TDM_EVALUE, "top_logprobs"},
	    {"{\"input\":\"x\",\"text\":4}", TDM_EVALUE, "text"},
	    {"{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\"}}}", TDM_EVALUE, "text.format.schema"},
	    {"{\"input\":\"x\",\"background\":true}", TDM_ECAPABILITY, "background"},
	    {"{\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}", TDM_EVALUE,
	     "tools[0].name"},
	};
	(void)state;
	check_refusals(tdm_responses_read, cases, sizeof cases / sizeof *cases);
}

// Thoughts are left out, calls join the assistant's words before them, or make a message of their own.
static void test_items(void **state) {
	struct tdm_chat_request q;
	struct tdm_error err;
	(void)state;
	assert_int_equal(
	    read_body(
	        "{\"instructions\":\"S\",\"input\":[{\"role\":\"user\",\"content\":\"a\"},"
	        "{\"type\":\"reasoning\",\"summary\":[]},"
	        "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"b\"}]},"
	        "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":{\"x\":1}},"
	        "{\"type\":\"function_call\",\"call_id\":\"c2\",\"name\":\"g\",\"arguments\":\"{}\"},"
	        "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":[{\"type\":\"input_text\",\"text\":\"o\"}"
	        "]},"
	        "{\"type\":\"function_call\",\"call_id\":\"c3\",\"name\":\"f\",\"arguments\":\"{}\"}],"
	        "\"max_output_tokens\":7.0,\"store\":true,\"truncation\":\"auto\",\"top_logprobs\":3}",
	        &q, &err),
	    TDM_OK);
	const struct tdm_message *m = q.request.messages;
	assert_int_equal(q.request.n_messages, 5);
	assert_int_equal(m[0].from, TDM_FROM_SYSTEM);
	assert_string_equal(m[2].text, "b");
	assert_int_equal(m[2].n_calls, 2);
	assert_string_equal(m[2].calls[0].arguments, "{\"x\":1}");
	assert_string_equal(m[2].calls[1].id, "c2");
	assert_int_equal(m[3].from, TDM_FROM_TOOL);
	assert_string_equal(m[3].call_id, "c1");
	assert_string_equal(m[3].text, "o");
	assert_int_equal(m[4].n_calls, 1);
	assert_string_equal(m[4].calls[0].id, "c3");
	assert_int_equal(q.request.max_tokens, 7);
	assert_true(q.store && q.may_drop && q.request.logprobs);
}

static void test_echo(void **state) {
	struct tdm_chat_request q;
	struct tdm_error err;
	char text[2048];
	(void)state;
	assert_int_equal(read_body("{\"input\":\"x\",\"metadata\":{\"a\":\"b\"},\"text\":{\"verbosity\":\"low\"},"
	                           "\"reasoning\":{\"effort\":\"low\"}}",
	                           &q, &err),
	                 TDM_OK);
	snprintf(text, sizeof text, "{%s}", q.echo);
	const struct tdm_value *v = parse(text, strlen(text));
	assert_string_equal(tdm_get_string(tdm_get(v, "metadata"), "a"), "b");
	assert_string_equal(tdm_get_string(tdm_get(v, "text"), "verbosity"), "low");
	assert_string_equal(tdm_get_string(tdm_get(tdm_get(v, "text"), "format"), "type"), "text");
	assert_string_equal(tdm_get_string(tdm_get(v, "reasoning"), "effort"), "low");
	assert_string_equal(tdm_get_string(v, "truncation"), "disabled");
	assert_int_equal(tdm_get(v, "tools")->n, 0);
	assert_null(tdm_get(v, "instructions"));
	assert_string_equal(record.warnings->param, "reasoning");
}

static void test_drop(void **state) {
	struct tdm_chat_request q;
	struct tdm_error err;
	struct tdm_request *r = &q.request;
	(void)state;
	assert_int_equal(read_body("{\"instructions\":\"S\",\"input\":[{\"role\":\"user\",\"content\":\"1\"},"
	                           "{\"role\":\"assistant\",\"content\":\"2\"},{\"role\":\"system\",\"content\":\"T\"},"
	                           "{\"role\":\"user\",\"content\":\"3\"},{\"role\":\"user\",\"content\":\"4\"}]}",
	                           &q, &err),
	                 TDM_OK);
	assert_true(tdm_responses_drop(&arena, r, 1));
	assert_int_equal(r->n_messages, 4);
	assert_string_equal(r->messages[0].text, "S");
	assert_string_equal(r->messages[1].text, "T");
	assert_string_equal(r->messages[2].text, "3");
	assert_true(tdm_responses_drop(&arena, r, 8));
	assert_int_equal(r->n_messages, 3);
	assert_string_equal(r->messages[2].text, "4");
	assert_false(tdm_responses_drop(&arena, r, 1));
	assert_int_equal(r->n_messages, 3);
}

// --- writing

static const struct tdm_chat_head head = {.id = "resp_1",
                                          .created_s = 1700000000,
                                          .model = "small",
                                          .echo = "\"metadata\":{},\"instructions\":\"\\\"\"",
                                          .store = true};
static const struct tdm_format *const format = &tdm_format_responses;
static struct tdm_stream stream;
static struct tdm_bytes out;

static struct tdm_bytes *const buffers[] = {&stream.name,   &stream.text, &stream.logprobs,
                                            &stream.output, &stream.kept, &out};
#define N_BUFFERS (sizeof buffers / sizeof buffers[0])

static int set_up(void **state) {
	(void)state;
	memset(&stream, 0, sizeof stream);
	for (size_t i = 0; i < N_BUFFERS; i++)
		tdm_bytes_init(buffers[i], 1 << 20);
	tdm_arena_release(&arena);
	tdm_arena_init(&arena, 8 << 20);
	return 0;
}

static int tear_down(void **state) {
	(void)state;
	for (size_t i = 0; i < N_BUFFERS; i++)
		tdm_bytes_release(buffers[i]);
	return 0;
}

static void say(enum tdm_piece piece, const char *text) {
	struct tdm_event e = {.piece = piece, .text = text, .len = strlen(text), .call_id = "call_1", .logprob = -0.5f};
	format->piece(&out, &head, &stream, &e, true);
}

// The next event at *at: its name and number are checked.
static const struct tdm_value *next(const char **at, const char *name, int number) {
	char line[128];
	int n = snprintf(line, sizeof line, "event: %s\ndata: ", name);
	assert_memory_equal(*at, line, (size_t)n);
	const char *end = strstr(*at, "\n\n");
	assert_non_null(end);
	const struct tdm_value *v = parse(*at + n, (size_t)(end - *at) - (size_t)n);
	assert_string_equal(tdm_get_string(v, "type"), name);
	assert_true(tdm_get_number(v, "sequence_number", -1) == number);
	*at = end + 2;
	return v;
}

static void test_stream(void **state) {
	static const char odd[] = "a\"\\\n\x01 \xc3\xa9";
	static const char *const names[] = {"response.created",
	                                    "response.in_progress",
	                                    "response.output_item.added",
	                                    "response.content_part.added",
	                                    "response.output_text.delta",
	                                    "response.output_text.delta",
	                                    "response.output_text.done",
	                                    "response.content_part.done",
	                                    "response.output_item.done",
	                                    "response.output_item.added",
	                                    "response.function_call_arguments.delta",
	                                    "response.function_call_arguments.done",
	                                    "response.output_item.done"};
	struct tdm_result result = {.finish = TDM_FINISH_CALLS};
	struct tdm_chat_usage usage = {3, 2, 1, 0};
	(void)state;
	format->begin(&out, &head, &stream);
	say(TDM_PIECE_TEXT, odd);
	say(TDM_PIECE_TEXT, "b");
	say(TDM_PIECE_CALL, "f");
	say(TDM_PIECE_ARGUMENTS, "{\"x\":1}");
	format->finish(&out, &head, &stream, &result, &usage, "{\"receipt\":\"rcp_1\"}");
	format->end(&out, &head, &usage, NULL);
	const char *at = out.data;
	for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
		next(&at, names[i], i);
	const struct tdm_value *r = tdm_get(next(&at, "response.completed", 13), "response");
	assert_string_equal(at, "");
	const struct tdm_value *items = tdm_get(r, "output")->items, *part = tdm_get(&items[0], "content")->items;
	assert_int_equal(tdm_get(r, "output")->n, 2);
	assert_memory_equal(tdm_get_string(part, "text"), odd, sizeof odd - 1);
	assert_int_equal(tdm_get(part, "logprobs")->n, 2);
	assert_string_equal(tdm_get_string(&items[1], "arguments"), "{\"x\":1}");
	assert_string_equal(tdm_get_string(r, "instructions"), "\"");
	assert_true(tdm_get_number(tdm_get(r, "usage"), "total_tokens", 0) == 5);
	assert_string_equal(tdm_get_string(tdm_get(r, "tandem"), "receipt"), "rcp_1");
	assert_string_equal(tdm_get_string(parse(stream.kept.data, stream.kept.len), "id"), "resp_1");
}

// A stream that fails before it has begun still has its first events; nothing of it is kept.
static void test_failed(void **state) {
	struct tdm_error err = {0};
	(void)state;
	tdm_fail_param(&err, TDM_ETRUNCATED, "x", "cut");
	(format->fail)(&out, &head, &stream, &err, "req_1", NULL);
	const char *at = out.data;
	next(&at, "response.created", 0);
	next(&at, "response.in_progress", 1);
	const struct tdm_value *r = tdm_get(next(&at, "response.failed", 2), "response");
	assert_string_equal(tdm_get_string(tdm_get(r, "error"), "code"), "upstream_truncated");
	const struct tdm_value *e = next(&at, "error", 3);
	assert_string_equal(tdm_get_string(e, "message"), "cut");
	assert_string_equal(tdm_get_string(e, "param"), "x");
	assert_string_equal(at, "");
	assert_int_equal(stream.kept.len, 0);
}

static void test_empty_and_cut(void **state) {
	struct tdm_result result = {.finish = TDM_FINISH_LENGTH};
	struct tdm_chat_usage usage = {0};
	struct tdm_chat_choice choice = {.result = result};
	(void)state;
	format->begin(&out, &head, &stream);
	format->finish(&out, &head, &stream, &result, &usage, NULL);
	const struct tdm_value *r = parse(stream.kept.data, stream.kept.len);
	assert_string_equal(tdm_get_string(r, "status"), "incomplete");
	assert_string_equal(tdm_get_string(tdm_get(r, "incomplete_details"), "reason"), "max_output_tokens");
	assert_string_equal(tdm_get_string(&tdm_get(r, "output")->items[0], "status"), "incomplete");
	assert_null(tdm_get(r, "usage"));
	tdm_bytes_clear(&out);
	format->whole(&out, &head, &choice, 1, &usage, NULL);
	const struct tdm_value *w = parse(out.data, out.len);
	assert_string_equal(tdm_get_string(w, "status"), "incomplete");
	assert_int_equal(tdm_get(w, "output")->n, 1);
}

int tdm_test_responses(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_items),
	    cmocka_unit_test(test_echo),
	    cmocka_unit_test(test_drop),
	    cmocka_unit_test_setup_teardown(test_stream, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_failed, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_empty_and_cut, set_up, tear_down),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	tdm_arena_release(&arena);
	return failed;
}
