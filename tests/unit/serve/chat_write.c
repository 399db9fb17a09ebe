// Writing of chat completions: every line is JSON, the fields that clients rely on are there, odd text survives.
#include "tests.h"
#include "base/value.h"
#include "serve/formats/format.h"
#include <math.h>
#include <string.h>

static struct tdm_arena arena;
static const struct tdm_chat_head head = {
    .id = "chatcmpl-1", .created_s = 1700000000, .model = "small", .fingerprint = "tdm_1", .include_usage = true};

static const struct tdm_value *parse(const char *text, size_t n) {
	struct tdm_value *v = NULL;
	struct tdm_error err = {0};
	assert_int_equal(tdm_json_parse(&arena, text, n, &v, &err), TDM_OK);
	return v;
}

// One event: "data: JSON\n\n".
static const struct tdm_value *event_of(const struct tdm_bytes *b) {
	assert_memory_equal(b->data, "data: ", 6);
	assert_string_equal(b->data + b->len - 2, "\n\n");
	return parse(b->data + 6, b->len - 8);
}

// What the format writes of a choice's piece, and of its end.
static void put_piece(struct tdm_bytes *out, const struct tdm_chat_head *h, int index, const struct tdm_event *e) {
	struct tdm_stream stream = {.index = index};
	struct tdm_bytes again;
	tdm_bytes_init(&stream.same, 1 << 16);
	tdm_bytes_init(&again, 1 << 16);
	tdm_format_chat.piece(out, h, &stream, e, true);
	tdm_format_chat.piece(&again, h, &stream, e, true); // the second one is like the first
	assert_string_equal(again.data, out->data);
	tdm_bytes_release(&again);
	tdm_bytes_release(&stream.same);
}

static void put_finish(struct tdm_bytes *out, enum tdm_finish finish, const char *receipt) {
	struct tdm_stream stream = {0};
	struct tdm_result result = {.finish = finish};
	tdm_bytes_init(&stream.same, 1 << 16);
	tdm_format_chat.finish(out, &head, &stream, &result, NULL, receipt);
	tdm_bytes_release(&stream.same);
}

static void test_text_chunk(void **state) {
	static const char text[] = "a\"\\\n\t\x01 \xc3\xa9 \xf0\x9f\x98\x80";
	struct tdm_event e = {.text = text, .len = sizeof text - 1, .token = 7, .logprob = -0.5f};
	struct tdm_bytes b;
	(void)state;
	tdm_bytes_init(&b, 1 << 16);
	put_piece(&b, &head, 1, &e);
	const struct tdm_value *v = event_of(&b), *choice = &tdm_get(v, "choices")->items[0];
	assert_string_equal(tdm_get_string(v, "object"), "chat.completion.chunk");
	assert_string_equal(tdm_get_string(tdm_get(choice, "delta"), "content"), text);
	assert_true(tdm_get_number(choice, "index", 0) == 1);
	const struct tdm_value *entry = &tdm_get(tdm_get(choice, "logprobs"), "content")->items[0];
	assert_true(tdm_get_number(entry, "logprob", 0) == -0.5);
	assert_int_equal(tdm_get(entry, "bytes")->n, sizeof text - 1);
	tdm_bytes_clear(&b);
	assert_null(tdm_get(v, "tandem"));
	struct tdm_chat_head traced = head;
	traced.trace = true;
	e.author = "large";
	e.drafter = "small \"x\"";
	tdm_bytes_clear(&b);
	put_piece(&b, &traced, 0, &e);
	v = tdm_get(event_of(&b), "tandem");
	assert_string_equal(tdm_get_string(v, "author"), "large");
	assert_string_equal(tdm_get_string(v, "drafter"), "small \"x\"");
	tdm_bytes_clear(&b);
	e.logprob = NAN;
	put_piece(&b, &head, 0, &e);
	assert_null(tdm_get(&tdm_get(event_of(&b), "choices")->items[0], "logprobs"));
	tdm_bytes_release(&b);
}

static void test_end_of_stream(void **state) {
	struct tdm_bytes b;
	struct tdm_chat_usage usage = {3, 2, 1, 0};
	(void)state;
	tdm_bytes_init(&b, 1 << 16);
	put_finish(&b, TDM_FINISH_LENGTH, "{\"receipt\":\"rcp_1\"}");
	const struct tdm_value *v = event_of(&b);
	assert_string_equal(tdm_get_string(&tdm_get(v, "choices")->items[0], "finish_reason"), "length");
	assert_string_equal(tdm_get_string(tdm_get(v, "tandem"), "receipt"), "rcp_1");
	tdm_bytes_clear(&b);
	tdm_chat_chunk_usage(&b, &head, &usage, NULL);
	v = event_of(&b);
	assert_int_equal(tdm_get(v, "choices")->n, 0);
	assert_true(tdm_get_number(tdm_get(v, "usage"), "total_tokens", 0) == 5);
	assert_true(tdm_get_number(tdm_get(tdm_get(v, "usage"), "prompt_tokens_details"), "cached_tokens", 0) == 1);
	tdm_bytes_release(&b);
}

static void test_error(void **state) {
	struct tdm_bytes b;
	struct tdm_error err = {0};
	(void)state;
	tdm_bytes_init(&b, 1 << 16);
	tdm_fail_param(&err, TDM_EVALUE, "n", "n: expected \"1\" to 8");
	tdm_chat_error(&b, &err, NULL, false);
	const struct tdm_value *e = tdm_get(parse(b.data, b.len), "error");
	assert_string_equal(tdm_get_string(e, "message"), "n: expected \"1\" to 8");
	assert_string_equal(tdm_get_string(e, "type"), "invalid_request_error");
	assert_string_equal(tdm_get_string(e, "param"), "n");
	assert_string_equal(tdm_get_string(e, "code"), "invalid_value");
	tdm_bytes_release(&b);
}

static struct tdm_bytes bytes_of(const char *text) {
	return (struct tdm_bytes){.data = (char *)(uintptr_t)text, .len = strlen(text)};
}

static void test_whole(void **state) {
	struct tdm_bytes b;
	struct tdm_chat_usage usage = {3, 2, 1, 0};
	struct tdm_chat_call second = {"call_2", "g", bytes_of("{\"x\":\"\\n\"}"), NULL},
	                     first = {"call_1", "f", bytes_of("{}"), &second};
	const struct tdm_chat_choice choices[3] = {
	    {.text = bytes_of("one"), .has_logprobs = true, .result = {.finish = TDM_FINISH_STOP}},
	    {.text = bytes_of("two"), .thought = bytes_of("hm"), .result = {.finish = TDM_FINISH_FILTER}},
	    {.calls = &first, .result = {.finish = TDM_FINISH_CALLS}},
	};
	struct tdm_chat_head older = head;
	tdm_bytes_init(&b, 1 << 16);
	tdm_chat_whole(&b, &head, choices, 3, &usage, "{}");
	const struct tdm_value *v = parse(b.data, b.len), *list = tdm_get(v, "choices");
	assert_string_equal(tdm_get_string(v, "object"), "chat.completion");
	assert_int_equal(list->n, 3);
	assert_string_equal(tdm_get_string(tdm_get(&list->items[1], "message"), "content"), "two");
	assert_string_equal(tdm_get_string(tdm_get(&list->items[1], "message"), "reasoning_content"), "hm");
	assert_string_equal(tdm_get_string(&list->items[1], "finish_reason"), "content_filter");
	assert_int_equal(tdm_get(tdm_get(&list->items[0], "logprobs"), "content")->n, 0);
	assert_null(tdm_get(tdm_get(&list->items[0], "message"), "tool_calls"));
	const struct tdm_value *message = tdm_get(&list->items[2], "message"), *calls = tdm_get(message, "tool_calls");
	assert_true(!tdm_get(message, "content") && calls->n == 2);
	assert_string_equal(tdm_get_string(&list->items[2], "finish_reason"), "tool_calls");
	assert_string_equal(tdm_get_string(&calls->items[1], "id"), "call_2");
	assert_string_equal(tdm_get_string(tdm_get(&calls->items[1], "function"), "arguments"), "{\"x\":\"\\n\"}");
	older.older_tools = true;
	tdm_bytes_clear(&b);
	tdm_chat_whole(&b, &older, choices + 2, 1, &usage, "{}");
	list = tdm_get(parse(b.data, b.len), "choices");
	assert_string_equal(tdm_get_string(list->items, "finish_reason"), "function_call");
	assert_string_equal(tdm_get_string(tdm_get(tdm_get(list->items, "message"), "function_call"), "name"), "f");
	tdm_bytes_release(&b);
}

static const struct tdm_value *delta_of(struct tdm_bytes *b, const struct tdm_chat_head *h, struct tdm_event e,
                                        int call) {
	tdm_bytes_clear(b);
	struct tdm_stream stream = {.n_calls = call + (e.piece != TDM_PIECE_CALL)};
	tdm_bytes_init(&stream.same, 1 << 16);
	tdm_format_chat.piece(b, h, &stream, &e, false);
	tdm_bytes_release(&stream.same);
	return tdm_get(tdm_get(event_of(b), "choices")->items, "delta");
}

static void test_call_chunks(void **state) {
	const struct tdm_event begin = {.piece = TDM_PIECE_CALL, .text = "f", .len = 1, .call_id = "call_1"};
	const struct tdm_event more = {.piece = TDM_PIECE_ARGUMENTS, .text = "{\"", .len = 2};
	const struct tdm_event thought = {.piece = TDM_PIECE_THOUGHT, .text = "hm", .len = 2};
	struct tdm_chat_head older = head;
	struct tdm_bytes b;
	older.older_tools = true;
	tdm_bytes_init(&b, 1 << 16);
	const struct tdm_value *call = tdm_get(delta_of(&b, &head, begin, 1), "tool_calls")->items;
	assert_true(tdm_get_number(call, "index", -1) == 1);
	assert_string_equal(tdm_get_string(call, "id"), "call_1");
	assert_string_equal(tdm_get_string(call, "type"), "function");
	assert_string_equal(tdm_get_string(tdm_get(call, "function"), "name"), "f");
	assert_string_equal(tdm_get_string(tdm_get(call, "function"), "arguments"), "");
	call = tdm_get(delta_of(&b, &head, more, 1), "tool_calls")->items;
	assert_true(call->n == 2 && tdm_get_number(call, "index", -1) == 1); // and nothing else
	assert_string_equal(tdm_get_string(tdm_get(call, "function"), "arguments"), "{\"");
	assert_int_equal(tdm_get(call, "function")->n, 1);
	assert_string_equal(tdm_get_string(delta_of(&b, &head, thought, -1), "reasoning_content"), "hm");
	call = tdm_get(delta_of(&b, &older, begin, 0), "function_call");
	assert_string_equal(tdm_get_string(call, "name"), "f");
	assert_string_equal(tdm_get_string(tdm_get(delta_of(&b, &older, more, 0), "function_call"), "arguments"), "{\"");
	tdm_bytes_release(&b);
}

static int release(void **state) {
	(void)state;
	tdm_arena_release(&arena);
	return 0;
}

int tdm_test_chat_write(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_text_chunk), cmocka_unit_test(test_end_of_stream),
	                                   cmocka_unit_test(test_error), cmocka_unit_test(test_whole),
	                                   cmocka_unit_test(test_call_chunks)};
	tdm_arena_init(&arena, 1 << 22);
	return cmocka_run_group_tests_name("chat_write", tests, NULL, release);
}
