// JSON: values, and the refusals with their place.
#include "text_arena.h"
#include "base/random.h"
#include "base/value.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

// Many keys, each of them twice, the second time in another order: the place of the first, the value of the last.
static void test_many_duplicates(void **state) {
	static char text[200000];
	for (size_t n = 1; n <= 3000; n = n < 40 ? n + 1 : n * 5) {
		size_t len = 0;
		for (size_t i = 0; i < 2 * n; i++) {
			size_t key = i < n ? i : 2 * n - 1 - i;
			len += (size_t)snprintf(text + len, sizeof text - len, "%c\"a rather long key %zu\":%zu", i ? ',' : '{',
			                        key, i);
		}
		snprintf(text + len, sizeof text - len, "}");
		const struct tdm_value *map = parse(text);
		assert_int_equal(map->n, n);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(strtoul(map->keys[i] + 18, NULL, 10), i);
			assert_int_equal(map->items[i].integer, 2 * n - 1 - i);
		}
		tdm_arena_release(&arena);
	}
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

// A text is refused without what it says, with the place of what is wrong and what may stand there.
static void test_errors_say_what_was_expected(void **state) {
	static const struct {
		const char *text, *words;
	} rows[] = {
	    {"[1,]", "line 1 column 4: expected a value"},
	    {"[1 2]", "column 4: expected a comma or ]"},
	    {"{\"a\":1,}", "column 8: expected a key in quotes"},
	    {"{\"a\" 1}", "column 6: expected a colon"},
	    {"{\"a\":1 \"b\"", "column 8: expected a comma or }"},
	    {"\"\xC3\xA4\xC3\xA4\t\"", "column 4: expected an escape for a control character"},
	    {"[\n\n  01]", "line 3 column 3: expected a number without leading zeros"},
	    {"-", "column 1: it ends, expected a digit"},
	    {"1.e5", "column 3: expected a digit after the point"},
	    {"1e", "it ends, expected a digit of the exponent"},
	    {"-1e999", "column 1: expected a number that a double can hold"},
	    {"\"\\x\"", "column 2: expected one of"},
	    {"\"\\u12g4\"", "column 2: expected four hexadecimal digits"},
	    {"\"\\ud800\\u0041\"", "both halves"},
	    {"\"\\udc00\"", "both halves"},
	    {"\"abc", "column 4: it ends, expected the quote"},
	    {"tru", "expected a value"},
	    {"truex", "column 5: expected the end of the text"},
	    {"\xEF\xBB\xBF{}", "column 1: expected a value"},
	    {"   ", "it ends, expected a value"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		refuse(rows[i].text, strlen(rows[i].text), rows[i].words);
	refuse("[\0]", 3, "column 2: expected a value");
	refuse("5\0", 2, "column 2: expected the end of the text");
}

static void test_utf8_in_strings(void **state) {
	static const char *const bad[] = {"\x80",
	                                  "\xC1\xBF",
	                                  "\xE0\x9F\xBF",
	                                  "\xED\xBF\xBF",
	                                  "\xF0\x8F\xBF\xBF",
	                                  "\xF4\x90\x80\x80",
	                                  "\xF5\x80\x80\x80",
	                                  "\xE2\x82",
	                                  "\xE2(\xA1",
	                                  "\xF0\x9F\x98",
	                                  "\xFE",
	                                  "\xC3"};
	static const char good[] = "\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF"
	                           "\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"";
	char text[64];
	assert_memory_equal(parse(good)->text, good + 1, sizeof good - 3);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) // cut by the quote, by plain characters and by the text's end
		for (int k = 0; k < 3; k++) {
			snprintf(text, sizeof text, k == 0 ? "\"%s\"" : k == 1 ? "\"12345678%sabcdefgh\"" : "\"%s", bad[i]);
			refuse(text, strlen(text), "expected UTF-8");
		}
	const struct tdm_value *value = parse("\"\\u00e4\\uD83D\\uDE00\\/\\b\\f\\n\\r\\t\\\"\\\\\\uFFFF\"");
	assert_int_equal(value->len, 2 + 4 + 8 + 3);
	assert_string_equal(value->text, "\xC3\xA4\xF0\x9F\x98\x80/\b\f\n\r\t\"\\\xEF\xBF\xBF");
}

// Strings of every length up to 40 with one character that is not plain at every place: words of 8 bytes have borders.
static void test_strings_at_every_offset(void **state) {
	static const char *const marks[] = {"\\n", "\\u00e4", "\xC3\xA4", "\xF0\x9F\x98\x80", "\x7F", "\\\""};
	static const char *const meant[] = {"\n", "\xC3\xA4", "\xC3\xA4", "\xF0\x9F\x98\x80", "\x7F", "\""};
	char text[128], want[128];
	for (int n = 0; n <= 40; n++)
		for (int at = 0; at <= n; at++)
			for (size_t k = 0; k < sizeof marks / sizeof *marks; k++) {
				snprintf(text, sizeof text, "\"%.*s%s%.*s\"", at, "0123456789abcdefghijklmnopqrstuvwxyz,.-; #",
				         marks[k], n - at, "]}[{0123456789abcdefghijklmnopqrstuvwxyz'#?");
				snprintf(want, sizeof want, "%.*s%s%.*s", at, "0123456789abcdefghijklmnopqrstuvwxyz,.-; #", meant[k],
				         n - at, "]}[{0123456789abcdefghijklmnopqrstuvwxyz'#?");
				const struct tdm_value *value = parse(text);
				assert_int_equal(value->len, strlen(want));
				assert_string_equal(value->text, want);
				tdm_arena_release(&arena);
			}
}

static void test_doubles_are_the_nearest(void **state) {
	static const struct {
		const char *text;
		double number;
	} rows[] = {
	    {"0.1", 0x1.999999999999ap-4},
	    {"-0.0", -0.0},
	    {"1e23", 0x1.52d02c7e14af6p+76}, // beside a middle
	    {"9007199254740993.0", 0x1p53},  // in the middle: to even
	    {"9007199254740993.0000000000000000001", 0x1.0000000000001p53},
	    {"9007199254740995.0", 0x1.0000000000002p53},
	    {"0.30000000000000004", 0x1.3333333333334p-2},
	    {"2.2250738585072011e-308", 0x0.fffffffffffffp-1022},
	    {"4.9e-324", 0x1p-1074},
	    {"2.4e-324", 0},
	    {"1e-99999999999999999999", 0},
	    {"0e99999999999999999999", 0},
	    {"1.7976931348623157e308", 0x1.fffffffffffffp1023},
	    {"1.7976931348623158e308", 0x1.fffffffffffffp1023},
	    {"123456789012345678901234567890", 0x1.8ee90ff6c373ep+96},
	    {"18446744073709551616", 0x1p64},
	    {"-9223372036854775809", -0x1p63},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct tdm_value *value = parse(rows[i].text);
		assert_int_equal(value->type, TDM_NUMBER);
		assert_memory_equal(&value->number, &rows[i].number, sizeof value->number);
	}
	// A neighbour beyond 64 bits changes nothing.
	assert_true(parse("[9223372036854775807,18446744073709551616]")->items[0].integer == INT64_MAX);
	refuse("1.7976931348623159e308", 22, "a double can hold");
}

// Random numbers of every shape: what strtod reads is what the reader must give.
static void test_random_doubles(void **state) {
	struct tdm_rng rng;
	char text[80];
	tdm_rng_init(&rng, 7);
	for (int i = 0; i < 50000; i++) {
		int n = snprintf(text, sizeof text, "%llu", (unsigned long long)(tdm_rng_u64(&rng) >> tdm_rng_below(&rng, 64)));
		if (i % 3)
			n += snprintf(text + n, sizeof text - (size_t)n, ".%0*llu", (int)(1 + tdm_rng_below(&rng, 12)),
			              (unsigned long long)tdm_rng_below(&rng, 1000000));
		snprintf(text + n, sizeof text - (size_t)n, "e%d",
		         (int)tdm_rng_below(&rng, i % 2 ? 60 : 560) - (i % 2 ? 30 : 280));
		double want = strtod(text, NULL), got = parse(text)->number;
		if (memcmp(&want, &got, sizeof got) != 0)
			fail_msg("%s is read as %.17g", text, got);
		tdm_arena_release(&arena);
	}
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

int tdm_test_json(void) {
	const struct CMUnitTest tests[] = {
	    TEST(test_values),
	    TEST(test_numbers),
	    TEST(test_duplicates_last_counts),
	    TEST(test_many_duplicates),
	    TEST(test_errors_have_a_place),
	    TEST(test_errors_say_what_was_expected),
	    TEST(test_utf8_in_strings),
	    TEST(test_strings_at_every_offset),
	    TEST(test_doubles_are_the_nearest),
	    TEST(test_random_doubles),
	    TEST(test_depth),
	    TEST(test_arena_limit),
	    TEST(test_write_reads_back),
	    TEST(test_every_allocation_can_fail),
	};
	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
