// Completions: what a body becomes, token ids against a vocabulary's owner, and the four columns of log-probabilities.
#include "bodies.h"
#include "serve/formats/columns.h"
#include "serve/formats/completions.h"
#include <math.h>
#include <string.h>

static int teardown(void **state) {
	tdm_arena_release(&arena);
	return 0;
}

static int read_body(const char *text, struct tdm_chat_request *out, struct tdm_error *err) {
	return read_with(tdm_completions_read, text, out, err);
}

static void test_reads(void **state) {
	struct tdm_chat_request q;
	struct tdm_error err;
	assert_int_equal(read_body("{}", &q, &err), TDM_OK);
	assert_true(q.n == 1 && q.n_each == 1 && q.prompts.n == 1 && !q.echoes && !q.only_echoes);
	assert_int_equal(q.request.max_tokens, 16);
	assert_int_equal(q.prompts.items[0].message.len, 0);
	assert_int_equal(
	    read_body("{\"prompt\":[\"a\",\"bc\"],\"n\":3,\"logprobs\":0,\"echo\":true,\"max_tokens\":0}", &q, &err),
	    TDM_OK);
	assert_true(q.n == 6 && q.n_each == 3 && q.echoes && q.only_echoes && q.request.logprobs);
	assert_int_equal(q.request.top_logprobs, 0);
	assert_string_equal(q.prompts.items[1].message.text, "bc");
	assert_int_equal(read_body("{\"prompt\":[[5,7.0],[]],\"max_tokens\":0}", &q, &err), TDM_OK);
	assert_true(!q.only_echoes && q.prompts.items[0].n_tokens == 2 && q.prompts.items[0].tokens[1] == 7);
	assert_true(q.prompts.items[1].tokens && q.prompts.items[1].n_tokens == 0);
	assert_int_equal(read_body("{\"prompt\":[1,2,3]}", &q, &err), TDM_OK);
	assert_true(q.prompts.n == 1 && q.prompts.items[0].n_tokens == 3);
}

static void test_refuses(void **state) {
	static const struct refusal cases[] = {
	    {"[]", TDM_EVALUE, ""},
	    {"{\"prompt\":5}", TDM_EVALUE, "prompt"},
	    {"{\"prompt\":[]}", TDM_EVALUE, "prompt"},
	    {"{\"prompt\":[\"a\",1]}", TDM_EVALUE, "prompt[1]"},
	    {"{\"prompt\":[[1],\"a\"]}", TDM_EVALUE, "prompt[1]"},
	    {"{\"prompt\":[1,\"a\"]}", TDM_EVALUE, "prompt"},
	    {"{\"prompt\":[-1]}", TDM_EVALUE, "prompt"},
	    {"{\"prompt\":[2147483648]}", TDM_EVALUE, "prompt"},
	    {"{\"prompt\":[1.5]}", TDM_EVALUE, "prompt"},
	    {"{\"logprobs\":21}", TDM_EVALUE, "logprobs"},
	    {"{\"logprobs\":true}", TDM_EVALUE, "logprobs"},
	    {"{\"echo\":1}", TDM_EVALUE, "echo"},
	    {"{\"suffix\":\"x\"}", TDM_ECAPABILITY, "suffix"},
	    {"{\"best_of\":2}", TDM_ECAPABILITY, "best_of"},
	    {"{\"best_of\":1,\"n\":2}", TDM_EVALUE, "best_of"},
	    {"{\"best_of\":1000000000}", TDM_EVALUE, "best_of"},
	    {"{\"frequency_penalty\":3}", TDM_EVALUE, "frequency_penalty"},
	    {"{\"tandem\":{\"privacyy\":1}}", TDM_EVALUE, "tandem.privacyy"},
	};
	check_refusals(tdm_completions_read, cases, sizeof cases / sizeof *cases);
}

static void test_most_prompts(void **state) {
	char body[2048] = "{\"n\":2,\"prompt\":[\"\"";
	struct tdm_chat_request q;
	struct tdm_error err;
	for (int i = 1; i < 64; i++)
		strncat(body, ",\"\"", sizeof body - strlen(body) - 1);
	strncat(body, "]}", sizeof body - strlen(body) - 1);
	assert_int_equal(read_body(body, &q, &err), TDM_OK);
	assert_int_equal(q.n, TDM_MOST_ANSWERS);
	body[5] = '3';
	assert_int_equal(read_body(body, &q, &err), TDM_EVALUE);
}

// A model without a tokenizer here.
static void test_needs_a_vocabulary(void **state) {
	struct tdm_model model = {.name = "far", .can = TDM_CAN_TEXT, .leaves = true};
	struct tdm_chat_request q;
	struct tdm_error err;
	assert_int_equal(read_body("{\"prompt\":[1]}", &q, &err), TDM_OK);
	assert_int_equal(tdm_completions_fit(&arena, &model, &record, &q, &err), TDM_ECAPABILITY);
	assert_string_equal(err.param, "prompt");
	assert_int_equal(read_body("{\"prompt\":\"a\",\"echo\":true,\"logprobs\":1}", &q, &err), TDM_OK);
	assert_int_equal(tdm_completions_fit(&arena, &model, &record, &q, &err), TDM_OK);
	assert_false(q.request.logprobs); // and says so
	assert_string_equal(record.warnings->code, "parameter_ignored");
	assert_int_equal(read_body("{\"prompt\":\"a\",\"echo\":true,\"max_tokens\":0}", &q, &err), TDM_OK);
	assert_int_equal(tdm_completions_fit(&arena, &model, &record, &q, &err), TDM_ECAPABILITY);
	model.can |= TDM_CAN_ECHO;
	tdm_error_clear(&err);
	assert_int_equal(tdm_completions_fit(&arena, &model, &record, &q, &err), TDM_OK);
}

static void write_columns(struct tdm_columns *a, const struct tdm_columns *b, char out[2000]) {
	struct tdm_bytes text;
	tdm_bytes_init(&text, 2000);
	tdm_columns_write(&text, a, b);
	assert_false(text.failed);
	memcpy(out, text.data, text.len + 1);
	tdm_bytes_release(&text);
}

static void test_columns(void **state) {
	const struct tdm_alternative both[] = {{"a", 1, -0.5f}, {"a", 1, -0.25f}, {"\xc3", 1, -2}};
	const struct tdm_scored parts[] = {{"\xc3", 1, -1, NULL, 0}, {"\xa9", 1, -1, NULL, 0}};
	const struct tdm_event event = {.text = "\xc3\xa9", .len = 2, .logprob = -2, .parts = parts, .n_parts = 2};
	const struct tdm_scored first = {"x\"", 2, NAN, NULL, 0}, second = {"", 0, -1.5f, both, 3};
	struct tdm_columns echo, answer;
	char text[2000];
	tdm_columns_init(&echo, "", 0);
	tdm_columns_init(&answer, "x\"", 2);
	tdm_columns_token(&echo, &first);
	tdm_columns_event(&answer, &event);
	tdm_columns_token(&answer, &second);
	write_columns(&echo, &answer, text);
	assert_string_equal(text, "{\"tokens\":[\"x\\\"\",\"bytes:\\\\xc3\",\"bytes:\\\\xa9\",\"\"],"
	                          "\"token_logprobs\":[null,-1,-1,-1.5],"
	                          "\"top_logprobs\":[null,{\"bytes:\\\\xc3\":-1},{\"bytes:\\\\xa9\":-1},"
	                          "{\"a\":-0.25,\"bytes:\\\\xc3\":-2,\"\":-1.5}],"
	                          "\"text_offset\":[0,2,2,3]}");
	tdm_columns_clear(&answer);
	write_columns(&answer, NULL, text);
	assert_string_equal(text, "{\"tokens\":[],\"token_logprobs\":[],\"top_logprobs\":[],\"text_offset\":[]}");
	tdm_columns_token(&answer, &first); // the place in the text is kept
	write_columns(&answer, NULL, text);
	assert_non_null(strstr(text, "\"text_offset\":[3]"));
	tdm_columns_release(&echo);
	tdm_columns_release(&answer);
}

// Offsets count characters, however bytes are cut into tokens; bytes that are none count as one each.
static void test_offsets(void **state) {
	static const struct {
		const char *before;
		size_t n, characters;
	} cases[] = {{"", 0, 0},         {"abc", 3, 3},
	             {"\xc3\xa9", 2, 1}, {"\xf0\x9f\x99\x82x", 5, 2},
	             {"\xf0\x9f", 2, 0}, {"\xe2\x82\xac\xc3", 4, 1},
	             {"\xc3x", 2, 2},    {"\xff\xfe", 2, 2},
	             {"\x80", 1, 1}};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct tdm_columns c;
		tdm_columns_init(&c, cases[i].before, cases[i].n);
		assert_int_equal(c.characters, cases[i].characters);
		tdm_columns_release(&c);
	}
}

int tdm_test_completions(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads),   cmocka_unit_test(test_refuses), cmocka_unit_test(test_most_prompts),
	    cmocka_unit_test(test_columns), cmocka_unit_test(test_offsets), cmocka_unit_test(test_needs_a_vocabulary),
	};
	return cmocka_run_group_tests_name("completions", tests, NULL, teardown);
}
