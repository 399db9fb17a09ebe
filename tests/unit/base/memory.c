// Arenas and buffers: their limits hold, and what they hand out is right.
#include "tests.h"
#include "base/arena.h"
#include "base/bytes.h"
#include <float.h>
#include <math.h>
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
	expect_number(INFINITY, "null");
	expect_number(NAN, "null");
}

int tdm_test_memory(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_arena_limit), cmocka_unit_test(test_arena_memory), cmocka_unit_test(test_arena_text),
	    cmocka_unit_test(test_bytes_limit), cmocka_unit_test(test_bytes_json),   cmocka_unit_test(test_bytes_number),
	};
	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
