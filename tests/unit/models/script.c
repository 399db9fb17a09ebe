// The script source, and through it tdm_generate and tdm_run_check.
#include "tests.h"
#include "base/clock.h"
#include "base/file.h"
#include <stdio.h>
#include <unistd.h>

static void write_text(const char *path, const char *text) {
	struct tdm_error err = {0};
	assert_int_equal(tdm_file_write(path, text, strlen(text), &err), TDM_OK);
}

static void test_turn(void **state) {
	struct tdm_tree *t = tree_of("models:\n  a: {kind: script, answers: [one, two]}\n"
	                             "  d: {kind: script, answers: [one, two], turn: draw, logprob: -0.5, chunk: 2}\n");
	struct bench b;
	bench_open(&b, "q");
	for (int i = 0; i < 4; i++) {
		assert_int_equal(bench_ask(&b, tdm_tree_model(t, "a")), TDM_OK);
		assert_string_equal(b.collect.text.data, i % 2 ? "two" : "one");
	}
	assert_true(isnan(b.result.mean_logprob));
	b.request.draw = 1;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(bench_ask(&b, tdm_tree_model(t, "d")), TDM_OK);
		assert_string_equal(b.collect.text.data, "two");
		assert_int_equal(b.collect.n, 2);
	}
	assert_true(b.result.mean_logprob == -0.5);
	assert_string_equal(b.result.served, "d");
	assert_int_equal(tdm_tree_model(t, "a")->can, TDM_CAN_TEXT);
	assert_int_equal(tdm_tree_model(t, "d")->can, TDM_CAN_TEXT | TDM_CAN_LOGPROBS);
	bench_close(&b);
	tdm_tree_close(t);
}

static const char rules[] = "[{\"match\": \"sum\", \"answer\": \"\\u00e4\\u00f6\\u00fc 12\", \"logprobs\": [-1, -3], "
                            "\"chunk\": 1, \"scores\": {\"yes\": -0.25}},\n"
                            "{\"match\": \"fail\", \"answer\": \"part\", \"error\": \"upstream_error\"},\n"
                            "{\"match\": \"slow\", \"answer\": \"abcdef\", \"delay_ms\": 20, \"chunk\": 1}]\n";

static void test_file(void **state) {
	write_text("build/script-test.json", rules);
	struct tdm_tree *t = tree_of("models: {a: {kind: script, file: ../build/script-test.json}}");
	struct tdm_model *m = tdm_tree_model(t, "a");
	struct bench b;
	bench_open(&b, "the sum of");
	assert_int_equal(m->can, TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_SCORE);
	assert_int_equal(bench_ask(&b, m), TDM_OK);
	assert_string_equal(b.collect.text.data, "\xc3\xa4\xc3\xb6\xc3\xbc 12");
	assert_int_equal(b.collect.n, 6); // whole characters only
	assert_true(b.result.mean_logprob == -2 && b.collect.logprobs.least == -3);
	const char *texts[] = {"yes", "no"};
	double lp[2];
	int n_tokens[2];
	assert_int_equal(m->ops->score(m, &b.run, &b.request, texts, 2, lp, n_tokens), TDM_OK);
	assert_true(lp[0] == -0.25 && lp[1] == -20 && n_tokens[0] == 1);
	bench_close(&b);
	bench_open(&b, "please fail");
	assert_int_equal(bench_ask(&b, m), TDM_EUPSTREAM);
	assert_string_equal(b.collect.text.data, "part");
	assert_non_null(strstr(b.run.error.text, "upstream_error"));
	assert_string_equal(b.run.record->calls->status, "failed");
	bench_close(&b);
	bench_open(&b, "nothing fits");
	assert_int_equal(bench_ask(&b, m), TDM_EVALUE);
	bench_close(&b);
	tdm_tree_close(t);
	unlink("build/script-test.json");
}

static void test_bad_file(void **state) {
	static const char *const files[][2] = {
	    {"{}", "expected a list"},
	    {"[{\"anser\": \"x\"}]", "entry 1: unknown option \"anser\" (nearest: \"answer\")"},
	    {"[{\"answer\": \"x\"}, {\"error\": \"nope\"}]", "entry 2: unknown error code \"nope\""},
	    {"[{\"answer\": \"x\", \"logprobs\": \"a\"}]", "logprobs"},
	    {"[", "script-bad.json"},
	};
	for (size_t i = 0; i < TDM_COUNT(files); i++) {
		char text[512];
		write_text("build/script-bad.json", files[i][0]);
		assert_int_equal(tree_fails("models: {a: {kind: script, file: ../build/script-bad.json}}", text), TDM_ECONFIG);
		if (!strstr(text, files[i][1]))
			fail_msg("\"%s\" does not say \"%s\"", text, files[i][1]);
	}
	unlink("build/script-bad.json");
}

static void test_record(void **state) {
	unlink("build/script-record.jsonl");
	struct tdm_tree *t = tree_of("models: {a: {kind: script, answers: x, record: ../build/script-record.jsonl, "
	                             "price: {in: 1e6, out: 2e6}}}");
	struct bench b;
	struct tdm_bytes text;
	bench_open(&b, "say \"hi\"");
	b.request.purpose = "draft";
	assert_int_equal(bench_ask(&b, tdm_tree_model(t, "a")), TDM_OK);
	assert_int_equal(tdm_file_read("build/script-record.jsonl", 10000, &text, &b.run.error), TDM_OK);
	assert_string_equal(text.data,
	                    "{\"messages\":[{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\"}],\"max_tokens\":0,"
	                    "\"temperature\":-1,\"draw\":0,\"logprobs\":false,\"purpose\":\"draft\"}\n");
	tdm_bytes_release(&text);
	const struct tdm_call *call = b.run.record->calls;
	assert_string_equal(call->purpose, "draft");
	assert_string_equal(call->model, "a");
	assert_string_equal(call->status, "ok");
	assert_int_equal(call->prompt_tokens, 2);
	assert_int_equal(call->completion_tokens, 1);
	assert_true(call->cost == 4 && tdm_record_cost(b.run.record) == 4);
	bench_close(&b);
	tdm_tree_close(t);
	unlink("build/script-record.jsonl");
}

static void test_ends(void **state) {
	struct tdm_tree *t = tree_of("models: {a: {kind: script, answers: \"one two three\", chunk: 1, delay_ms: 2}}");
	struct tdm_model *m = tdm_tree_model(t, "a");
	const char *stop[] = {"three", "two"};
	struct bench b;
	bench_open(&b, "q");
	b.request.stop = stop;
	b.request.n_stop = 2;
	assert_int_equal(bench_ask(&b, m), TDM_OK);
	assert_string_equal(b.collect.text.data, "one ");
	assert_int_equal(b.result.finish, TDM_FINISH_STOP);
	b.request.n_stop = 0;
	b.request.max_tokens = 5;
	assert_int_equal(bench_ask(&b, m), TDM_OK);
	assert_string_equal(b.collect.text.data, "one t");
	assert_int_equal(b.result.finish, TDM_FINISH_LENGTH);
	b.request.max_tokens = 0;
	b.run.deadline_us = tdm_now_us() + 10000;
	assert_int_equal(bench_ask(&b, m), TDM_EDEADLINE);
	assert_true(b.collect.n > 0 && b.collect.n < 10);
	b.run.deadline_us = 0;
	atomic_bool cancelled = true;
	b.run.cancelled = &cancelled;
	assert_int_equal(bench_ask(&b, m), TDM_EGONE);
	assert_int_equal(b.collect.n, 0);
	b.run.cancelled = NULL;
	b.request.n_messages = 0;
	assert_int_equal(bench_ask(&b, m), TDM_EMISSING);
	assert_string_equal(b.run.error.param, "messages");
	bench_close(&b);
	tdm_tree_close(t);
}

struct seen {
	struct tdm_tap tap;
	char text[64];
	const struct tdm_model *by;
	int n;
};

static void see(struct tdm_tap *tap, const struct tdm_model *source, const char *bytes, size_t n) {
	struct seen *s = (struct seen *)tap;
	snprintf(s->text, sizeof s->text, "%.*s", (int)n, bytes);
	s->by = source;
	s->n++;
}

// Only the source below a wrapper is seen, once per call, and with what reached it.
static void test_tap(void **state) {
	struct tdm_tree *t = tree_of("models:\n  a: {kind: script, answers: [one]}\n  p: {kind: pass, inner: a}\n");
	struct seen seen = {.tap = {see}};
	struct bench b;
	bench_open(&b, "hello");
	assert_int_equal(bench_ask(&b, tdm_tree_model(t, "p")), TDM_OK); // nobody looks
	b.run.tap = &seen.tap;
	assert_int_equal(bench_ask(&b, tdm_tree_model(t, "p")), TDM_OK);
	assert_int_equal(seen.n, 1);
	assert_string_equal(seen.text, "hello");
	assert_ptr_equal(seen.by, tdm_tree_model(t, "a"));
	bench_close(&b);
	tdm_tree_close(t);
}

int tdm_test_script(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_turn),   cmocka_unit_test(test_file), cmocka_unit_test(test_bad_file),
	    cmocka_unit_test(test_record), cmocka_unit_test(test_ends), cmocka_unit_test(test_tap),
	};
	return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}
