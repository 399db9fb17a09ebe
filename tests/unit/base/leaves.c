// Leaves: where strings and numbers of a JSON text stand, and where each byte of what they say came from.
#include "tests.h"
#include "base/leaves.h"
#include <string.h>

static void places_and_texts(void **state) {
	static const char text[] = " {\"a\\u0062\" : [-1.5e3, \"x\\n\\ud83d\\ude00y\", true, null, \"\"], \"\\\"\": 12}";
	static const struct {
		const char *source, *text;
		bool is_string;
	} rows[] = {
	    {"\"a\\u0062\"", "ab", true},
	    {"-1.5e3", "-1.5e3", false},
	    {"\"x\\n\\ud83d\\ude00y\"", "x\n\xF0\x9F\x98\x80y", true},
	    {"\"\"", "", true},
	    {"\"\\\"\"", "\"", true},
	    {"12", "12", false},
	};
	struct tdm_arena arena;
	struct tdm_leaf *leaves;
	struct tdm_error err = {0};
	size_t n;
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(tdm_leaves_read(&arena, text, sizeof text - 1, &leaves, &n, &err), TDM_OK);
	assert_int_equal(n, sizeof rows / sizeof *rows);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(leaves[i].end - leaves[i].start, strlen(rows[i].source));
		assert_memory_equal(text + leaves[i].start, rows[i].source, strlen(rows[i].source));
		assert_string_equal(leaves[i].text, rows[i].text);
		assert_int_equal(leaves[i].n, strlen(rows[i].text));
		assert_int_equal(leaves[i].is_string, rows[i].is_string);
		assert_int_equal(tdm_leaf_origin(&leaves[i], leaves[i].n), leaves[i].end - rows[i].is_string);
	}
	assert_int_equal(text[tdm_leaf_origin(&leaves[2], 6)], 'y');
	assert_int_equal(tdm_leaf_origin(&leaves[2], 2), tdm_leaf_origin(&leaves[2], 5)); // one character, one place
	tdm_arena_release(&arena);
}

static void what_is_no_json_has_none(void **state) {
	static const char *const texts[] = {"", "{", "{\"a\" 1}", "\"\\ud800\"", "1 2", "\"a"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct tdm_arena arena;
		struct tdm_leaf *leaves;
		struct tdm_error err = {0};
		size_t n;
		tdm_arena_init(&arena, 1 << 20);
		assert_int_equal(tdm_leaves_read(&arena, texts[i], strlen(texts[i]), &leaves, &n, &err), TDM_EJSON);
		tdm_arena_release(&arena);
	}
}

int tdm_test_leaves(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(places_and_texts),
	    cmocka_unit_test(what_is_no_json_has_none),
	};
	return cmocka_run_group_tests_name("leaves", tests, NULL, NULL);
}
