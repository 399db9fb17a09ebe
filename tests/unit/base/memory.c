// Arenas and buffers: their limits hold, and what they hand out is right.
#include "tests.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/decimal.h"
#include "base/random.h"
#include "base/value.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_arena_limit(void **state) {
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1000);
	assert_non_null(tdm_arena_alloc(&arena, 600));
	assert_null(tdm_arena_alloc(&arena, 600));
	assert_non_null(tdm_arena_alloc(&arena, 300));
	assert_true(arena.used_bytes <= 1000);
	assert_null(tdm_arena_alloc(&arena, SIZE_MAX));
	assert_null(tdm_arena_alloc(&arena, SIZE_MAX - 20));
	assert_null(tdm_arena_array(&arena, SIZE_MAX / 2, 4));
	tdm_arena_release(&arena);
	assert_int_equal(arena.used_bytes, 0);
	assert_non_null(tdm_arena_alloc(&arena, 900));
	tdm_arena_release(&arena);
}

static void test_arena_memory(void **state) {
	struct tdm_arena arena;
	unsigned char *blocks[300];
	tdm_arena_init(&arena, 1 << 22);
	for (size_t i = 0; i < 300; i++) {
		size_t n = i * 37 % 9000;
		blocks[i] = tdm_arena_alloc(&arena, n);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % 16, 0);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(blocks[i][k], 0);
		memset(blocks[i], (int)i, n);
	}
	for (size_t i = 0; i < 300; i++)
		for (size_t k = 0; k < i * 37 % 9000; k++)
			assert_int_equal(blocks[i][k], (unsigned char)i);
	assert_ptr_not_equal(tdm_arena_alloc(&arena, 0), tdm_arena_alloc(&arena, 0));
	tdm_arena_release(&arena);
}

// What is handed out after a clear is zeroed again, whatever was there; a clear gives large memory back.
static void test_arena_clear(void **state) {
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 20);
	tdm_arena_clear(&arena);
	for (size_t round = 0; round < 40; round++) {
		size_t n = round % 10 == 9 ? 20000 : 100 * round;
		unsigned char *data = tdm_arena_alloc(&arena, n);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(data[k], 0);
		memset(data, 0xA5, n);
		tdm_arena_clear(&arena);
		assert_int_equal(arena.used_bytes, 0);
		if (n > 4096)
			assert_null(arena.blocks);
	}
	tdm_arena_release(&arena);
}

static void test_arena_text(void **state) {
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 16);
	assert_null(tdm_arena_string(&arena, NULL));
	assert_string_equal(tdm_arena_string(&arena, "word"), "word");
	assert_memory_equal(tdm_arena_copy(&arena, "a\0b", 3), "a\0b", 4);
	assert_string_equal(tdm_arena_printf(&arena, "%s-%05d", "x", 42), "x-00042");
	assert_null(tdm_arena_printf(&arena, "%070000d", 1));
	tdm_arena_release(&arena);
}

static void test_bytes_limit(void **state) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, 10);
	tdm_bytes_puts(&b, "12345");
	tdm_bytes_puts(&b, "67890");
	assert_false(b.failed);
	assert_int_equal(b.len, 10);
	assert_true(b.cap <= 11);
	tdm_bytes_putc(&b, 'x');
	assert_true(b.failed);
	tdm_bytes_drop(&b, 4);
	tdm_bytes_puts(&b, "y");
	assert_true(b.failed);
	assert_string_equal(b.data, "567890");
	tdm_bytes_clear(&b);
	tdm_bytes_printf(&b, "%d+%s", 12, "34");
	assert_string_equal(b.data, "12+34");
	tdm_bytes_printf(&b, "%d", 123456);
	assert_true(b.failed);
	assert_string_equal(b.data, "12+34");
	tdm_bytes_release(&b);
	assert_null(b.data);
}

static void expect_json(const char *text, size_t n, const char *json) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, 1000);
	tdm_bytes_json(&b, text, n);
	assert_string_equal(b.data, json);
	tdm_bytes_release(&b);
}

static void test_bytes_json(void **state) {
	expect_json("", 0, "\"\"");
	expect_json("a\"b\\c/\n\t\r\b\f", 11, "\"a\\\"b\\\\c/\\n\\t\\r\\b\\f\"");
	expect_json("\0\x1f\x7f", 3, "\"\\u0000\\u001f\x7f\"");
	expect_json("gr\xC3\xBC\xF0\x9F\x98\x80", 8, "\"gr\xC3\xBC\xF0\x9F\x98\x80\"");
	expect_json("a\xFF\xC3", 3, "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
	expect_json("\xED\xA0\x80z", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\"");
}

static void expect_number(double value, const char *text) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, 100);
	tdm_bytes_number(&b, value);
	assert_string_equal(b.data, text);
	tdm_bytes_release(&b);
}

static void test_bytes_number(void **state) {
	expect_number(0, "0");
	expect_number(-3, "-3");
	expect_number(1e15, "1000000000000000");
	expect_number(9007199254740993.0, "9007199254740992");
	expect_number(0.1, "0.1");
	expect_number(1.0 / 3, "0.3333333333333333");
	expect_number(0.1 + 0.2, "0.30000000000000004");
	expect_number(1e300, "1e+300");
	expect_number(5e-324, "5e-324");
	expect_number(-0.5, "-0.5");
	expect_number(0.0001, "0.0001");
	expect_number(0.00001, "1e-05");
	expect_number(0.000001, "1e-06"); // this double is less than a millionth
	expect_number(-1.25e-5, "-1.25e-05");
	expect_number(1.5e-11, "1.5e-11");
	expect_number(2.5e-12, "2.5e-12");
	expect_number(123456789012345.67, "123456789012345.67");
	expect_number(4503599627370495.5, "4503599627370495.5");
	expect_number(0x1.fffffffffffffp-1, "0.9999999999999999");
	expect_number(INFINITY, "null");
	expect_number(NAN, "null");
}

// Doubles of every size: the text is the one that printf gives with the fewest digits that read back.
static void test_bytes_number_as_printf(void **state) {
	struct tdm_rng rng;
	char text[40], again[40];
	tdm_rng_init(&rng, 11);
	for (int i = 0; i < 60000; i++) {
		double value = i % 3 == 0 ? tdm_rng_normal(&rng) : (double)tdm_rng_below(&rng, 10000000);
		value = i % 3 == 2 ? ldexp(value, (int)tdm_rng_below(&rng, 120) - 90)
		                   : value / pow(10, (double)tdm_rng_below(&rng, 18));
		for (int digits = 15; digits <= 17; digits++) {
			snprintf(text, sizeof text, "%.*g", digits, value);
			if (strtod(text, NULL) == value)
				break;
		}
		if (trunc(value) != value)
			expect_number(value, text);
		int digits = 1 + (int)tdm_rng_below(&rng, 17);
		snprintf(text, sizeof text, "%.*g", digits, value);
		snprintf(again, sizeof again, "%.*g", digits, tdm_decimal_round(value, digits));
		assert_string_equal(again, text);
		assert_true(strtod(text, NULL) == tdm_decimal_round(value, digits));
	}
}

static void expect_integer(int64_t value, const char *text) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, 100);
	tdm_bytes_named(&b, "n:", value);
	assert_string_equal(b.data + 2, text);
	tdm_bytes_clear(&b);
	tdm_bytes_unsigned(&b, (uint64_t)value);
	if (value >= 0)
		assert_string_equal(b.data, text);
	tdm_bytes_release(&b);
}

static void test_bytes_integer(void **state) {
	char text[40];
	expect_integer(INT64_MIN, "-9223372036854775808");
	expect_integer(INT64_MAX, "9223372036854775807");
	for (int64_t i = 1; i < INT64_MAX / 11; i = i * 11 - i / 3) {
		for (int64_t k = i - 11; k <= i + 11; k++) {
			snprintf(text, sizeof text, "%lld", (long long)k);
			expect_integer(k, text);
		}
	}
}

// Every character below 0x80 at every place around the border of sixteen bytes, and what is no UTF-8 beside it.
static void test_bytes_json_reads_back(void **state) {
	struct tdm_bytes b;
	char text[40];
	for (int c = 0; c < 256; c++)
		for (size_t at = 0; at < 34; at++) {
			struct tdm_arena arena;
			struct tdm_value *value = NULL;
			tdm_arena_init(&arena, 10000);
			memset(text, 'x', sizeof text);
			text[at] = (char)c;
			tdm_bytes_init(&b, 1000);
			tdm_bytes_json(&b, text, 34);
			assert_int_equal(tdm_json_parse(&arena, b.data, b.len, &value, NULL), TDM_OK);
			if (c >= 0x80) {
				assert_int_equal(value->len, 36);
				assert_memory_equal(value->text + at, "\xEF\xBF\xBD", 3);
			} else {
				assert_int_equal(value->len, 34);
				assert_memory_equal(value->text, text, 34);
			}
			tdm_bytes_release(&b);
			tdm_arena_release(&arena);
		}
}

int tdm_test_memory(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_arena_limit),   cmocka_unit_test(test_arena_memory),
	    cmocka_unit_test(test_arena_text),    cmocka_unit_test(test_arena_clear),
	    cmocka_unit_test(test_bytes_limit),   cmocka_unit_test(test_bytes_json),
	    cmocka_unit_test(test_bytes_number),  cmocka_unit_test(test_bytes_number_as_printf),
	    cmocka_unit_test(test_bytes_integer), cmocka_unit_test(test_bytes_json_reads_back),
	};
	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
