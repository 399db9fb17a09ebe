// Collect: what it keeps, passes on and plays again.
#include "tests.h"

static int put(struct tdm_sink *sink, const char *text, float logprob) {
	struct tdm_event e = {.text = text, .len = strlen(text), .author = "m", .token = 7, .logprob = logprob};
	return sink->put(sink, &e);
}

static void test_collect(void **state) {
	struct tdm_arena arena;
	struct tdm_collect c, next, again;
	tdm_arena_init(&arena, 1 << 16);
	tdm_collect_init(&next, 100, NULL, NULL);
	tdm_collect_init(&again, 100, NULL, &arena);
	tdm_collect_init(&c, 8, &next.sink, &arena);
	assert_true(isnan(tdm_collect_mean(&c)));
	assert_int_equal(put(&c.sink, "ab", -1), TDM_OK);
	assert_int_equal(put(&c.sink, "cd", NAN), TDM_OK);
	assert_int_equal(put(&c.sink, "ef", -2), TDM_OK);
	assert_string_equal(c.text.data, "abcdef");
	assert_string_equal(next.text.data, "abcdef");
	assert_true(tdm_collect_mean(&c) == -1.5 && c.logprobs.least == -2 && c.n == 3 && c.logprobs.n == 2);
	assert_int_equal(tdm_collect_replay(&c, &again.sink), TDM_OK);
	assert_int_equal(again.n, 3);
	assert_true(tdm_collect_mean(&again) == -1.5);
	assert_int_equal(tdm_collect_replay(&next, &again.sink), TDM_OK); // without events: the text, once
	assert_string_equal(again.text.data, "abcdefabcdef");
	assert_int_equal(again.n, 4);
	assert_int_equal(put(&c.sink, "ghi", -2), TDM_ETOOLARGE);
	tdm_collect_release(&c);
	tdm_collect_release(&next);
	tdm_collect_release(&again);
	tdm_arena_release(&arena);
}

static int enough(struct tdm_sink *sink, const struct tdm_event *event) {
	return TDM_SINK_ENOUGH;
}

static void test_replay_stops(void **state) {
	struct tdm_collect c;
	struct tdm_sink stop = {enough, NULL};
	tdm_collect_init(&c, 100, NULL, NULL);
	assert_int_equal(tdm_put_text(&c.sink, "m", "", 0), TDM_OK);
	assert_int_equal(c.n, 0);
	assert_int_equal(tdm_put_text(&c.sink, "m", "x", 1), TDM_OK);
	assert_int_equal(tdm_collect_replay(&c, &stop), TDM_OK);
	tdm_collect_release(&c);
}

int tdm_test_collect(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_collect), cmocka_unit_test(test_replay_stops)};
	return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
