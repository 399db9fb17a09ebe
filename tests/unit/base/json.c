// JSON: values, and the refusals with their place.
#include "tests.h"
#include "base/value.h"
#include <string.h>

static struct tdm_arena arena;
static struct tdm_error err;

static int set_up(void **state) {
	tdm_arena_init(&arena, 1 << 20);
	tdm_error_clear(&err);
	return 0;
}

static int tear_down(void **state) {
	tdm_arena_release(&arena);
	return 0;
}

static const struct tdm_value *parse(const char *text) {
	struct tdm_value *value = NULL;
	assert_int_equal(tdm_json_parse(&arena, text, strlen(text), &value, &err), TDM_OK);
	return value;
}

static void refuse(const char *text, size_t n, const char *words) {
	struct tdm_value *value = NULL;
	tdm_error_clear(&err);
	assert_int_equal(tdm_json_parse(&arena, text, n, &value, &err), TDM_EJSON);
	assert_null(value);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, err.text);
}

static void test_values(void **state) {
	const struct tdm_value *map = parse("{\"s\":\"a\\u0000b\\u00fc\",\"t\":true,\"f\":false,\"n\":null,"
	                                    "\"l\":[1,2.5,\"x\"],\"m\":{\"k\":-7}}");
	assert_int_equal(map->type, TDM_MAP);
	assert_int_equal(map->n, 6);
	assert_string_equal(map->keys[4], "l");
	const struct tdm_value *text = tdm_get(map, "s");
	assert_int_equal(text->len, 5);
	assert_memory_equal(text->text, "a\0b\xC3\xBC", 6);
	assert_true(tdm_get_bool(map, "t", false));
	assert_false(tdm_get_bool(map, "f", true));
	assert_true(tdm_get_bool(map, "s", true));
	assert_null(tdm_get(map, "n"));
	assert_null(tdm_get(map, "absent"));
	assert_null(tdm_get(tdm_get(map, "l"), "k"));
	assert_null(tdm_get_string(map, "t"));
	assert_true(tdm_get_number(tdm_get(map, "l"), "k", 9) == 9);
	assert_true(tdm_get_number(tdm_get(map, "m"), "k", 9) == -7);
	assert_true(tdm_get(map, "l")->items[1].number == 2.5);
	assert_string_equal(tdm_type_name(TDM_LIST), "a list");
}

static void test_numbers(void **state) {
	const struct tdm_value *list = parse("[100.0, 1e2, 1.5, 9223372036854775807, -9223372036854775808, 1e19]");
	assert_true(list->items[0].is_integer && list->items[0].integer == 100);
	assert_true(list->items[1].is_integer && list->items[1].integer == 100);
	assert_false(list->items[2].is_integer);
	assert_true(list->items[3].is_integer && list->items[3].integer == INT64_MAX);
	assert_true(list->items[4].is_integer && list->items[4].integer == INT64_MIN);
	assert_false(list->items[5].is_integer);
	list = parse("[9223372036854775808, 7]");
	assert_false(list->items[0].is_integer);
	assert_true(list->items[0].number == 0x1p63);
	assert_true(list->items[1].is_integer && list->items[1].integer == 7);
	refuse("[1e400]", 7, "line 1");
}

static void test_duplicates_last_counts(void **state) {
	const struct tdm_value *map = parse("{\"a\":1,\"b\":2,\"a\":3}");
	assert_int_equal(map->n, 2);
	assert_true(tdm_get_number(map, "a", 0) == 3);
}

static void test_errors_have_a_place(void **state) {
	refuse("{\n \"a\": 1,\n \"b\": secret}", 24, "line 3 column");
	assert_null(strstr(err.text, "secret"));
	refuse("[1,2", 4, "line 1 column 4");
	refuse("", 0, "line 1");
	refuse("[1] x", 5, "line 1");
	refuse("[\"\xFF\"]", 5, "UTF-8");
	refuse("[\"\xC0\xAF\"]", 6, "UTF-8");
	refuse("[\"\xED\xA0\x80\"]", 7, "UTF-8");
	refuse("[\"\\ud800\"]", 10, "line 1");
	refuse("{\"a\\u0000\":1}", 13, "line 1");
	refuse("[NaN]", 5, "line 1");
}

static void nest(char *text, int depth) {
	memset(text, '[', (size_t)depth);
	memset(text + depth, ']', (size_t)depth);
	text[2 * depth] = 0;
}

static void test_depth(void **state) {
	static char text[20001];
	nest(text, 64);
	assert_int_equal(parse(text)->n, 1);
	nest(text, 65);
	refuse(text, strlen(text), "deeper than 64");
	nest(text, 10000);
	refuse(text, strlen(text), "line 1");
}

static void test_arena_limit(void **state) {
	struct tdm_arena small;
	struct tdm_value *value = NULL;
	tdm_arena_init(&small, 200);
	assert_int_equal(tdm_json_parse(&small, "[1,2,3,4,5,6,7]", 15, &value, &err), TDM_ENOMEM);
	tdm_arena_release(&small);
}

static void test_write_reads_back(void **state) {
	const char *text = "{\"a\":[1,-2.5,\"x\\ny\\u0000\",true,false,null],\"\":{},\"l\":[],\"big\":9007199254740993}";
	struct tdm_bytes out;
	tdm_bytes_init(&out, 1000);
	tdm_value_write(&out, parse(text));
	assert_string_equal(out.data, text);
	tdm_bytes_release(&out);
	tdm_bytes_init(&out, 20);
	tdm_value_write(&out, parse(text));
	assert_true(out.failed);
	tdm_bytes_release(&out);
}

// Every allocation fails once: the answer is "out of memory" and, under the sanitizers, nothing leaks.
static void test_every_allocation_can_fail(void **state) {
	const char *text = "{\"a\":{\"k\":[1,\"two\",{\"l\":null}]},\"b\":[[],{}],\"c\":\"text\"}";
	struct tdm_value *value = NULL;
	size_t limit = 0, n_failures = 0;
	int status = TDM_ENOMEM;
	for (; status != TDM_OK && limit < 10000; limit += 16) {
		struct tdm_arena small;
		tdm_arena_init(&small, limit);
		tdm_error_clear(&err);
		status = tdm_json_parse(&small, text, strlen(text), &value, &err);
		assert_true(status == TDM_OK || status == TDM_ENOMEM);
		n_failures += status == TDM_ENOMEM;
		tdm_arena_release(&small);
	}
	assert_int_equal(status, TDM_OK);
	assert_true(n_failures > 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int tdm_test_json(void) {
	const struct CMUnitTest tests[] = {
	    TEST(test_values),
	    TEST(test_numbers),
	    TEST(test_duplicates_last_counts),
	    TEST(test_errors_have_a_place),
	    TEST(test_depth),
	    TEST(test_arena_limit),
	    TEST(test_write_reads_back),
	    TEST(test_every_allocation_can_fail),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
