// Format: every text equals the C library's, whatever the room.
#include "tests.h"
#include "base/format.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 1, 2))) static void same(const char *format, ...) {
	static const size_t rooms[] = {0, 1, 2, 5, 12, 400};
	for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
		char ours[401], theirs[401];
		va_list args, again;
		memset(ours, '#', sizeof ours);
		memset(theirs, '#', sizeof theirs);
		va_start(args, format);
		va_copy(again, args);
		int n = tdm_format(ours, rooms[i], format, args);
		assert_int_equal(n, vsnprintf(theirs, rooms[i], format, again));
		va_end(again);
		va_end(args);
		assert_memory_equal(ours, theirs, rooms[i] && (size_t)n < rooms[i] ? (size_t)n + 1 : rooms[i]);
		assert_int_equal(ours[rooms[i]], '#'); // nothing beyond the room
	}
}

static void texts_are_the_c_librarys(void **state) {
	same("%s", "");
	same("plain");
	same("%%, %c and %s.", 'x', "a longer text");
	same("{\"a\":%d,\"b\":%lld,\"c\":%zu}", -17, LLONG_MIN, SIZE_MAX);
	same("%u %lu %llu %ld", UINT_MAX, ULONG_MAX, ULLONG_MAX, LONG_MIN);
	same("%d%d", INT_MIN, INT_MAX);
	same("%.*s|%.*s|%.*s", 3, "abcdef", 0, "x", -1, "whole");
	same("messages[%zu].content[%zu]", (size_t)0, (size_t)12);
}

static void other_formats_are_left_to_it(void **state) {
	same("%5d|%-5s|%05lld|%+d", 12, "ab", 7LL, 3);
	same("%s %02X %s", "before", 10, "after");
	same("%s %.9g %d", "cost", 0.25, 4);
	same("%x %.3f %p", 255u, 1.5, (void *)0);
	same("%zd %hhd %ld", (ssize_t)-3, (signed char)7, 8L);
}

static void a_text_that_is_cut_at_its_precision_needs_no_end(void **state) {
	char *bytes = malloc(3); // without a NUL: a sanitizer sees who reads on
	memcpy(bytes, "abc", 3);
	same("<%.*s>", 3, bytes);
	free(bytes);
}

static void print_writes_the_same(void **state) {
	char text[12];
	assert_int_equal(tdm_print(text, sizeof text, "%d and %s", 12, "a tail"), 13);
	assert_string_equal(text, "12 and a ta");
}

int tdm_test_format(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_are_the_c_librarys),
	    cmocka_unit_test(other_formats_are_left_to_it),
	    cmocka_unit_test(a_text_that_is_cut_at_its_precision_needs_no_end),
	    cmocka_unit_test(print_writes_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
