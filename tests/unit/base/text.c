// UTF-8, normal forms and regular expressions.
#include "tests.h"
#include "base/clock.h"
#include "base/text.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void test_utf8_every_character(void **state) {
	char bytes[4];
	uint32_t back;
	for (uint32_t c = 0; c < 0x110000; c++) {
		if (c >= 0xD800 && c < 0xE000)
			continue;
		size_t n = tdm_utf8_put(bytes, c);
		if (n != (c < 0x80      ? 1u
		          : c < 0x800   ? 2u
		          : c < 0x10000 ? 3u
		                        : 4u) ||
		    tdm_utf8_next(bytes, n, &back) != n || back != c || !tdm_utf8_valid(bytes, n))
			fail_msg("U+%04X does not survive", c);
		for (size_t k = 1; k < n; k++)
			if (tdm_utf8_partial(bytes, k) != k || tdm_utf8_valid(bytes, k) || tdm_utf8_next(bytes, k, &back) != 1)
				fail_msg("the first %zu bytes of U+%04X", k, c);
		if (tdm_utf8_partial(bytes, n) != 0)
			fail_msg("U+%04X is complete", c);
	}
	assert_int_equal(tdm_utf8_put(bytes, 0xD800), 3);
	assert_memory_equal(bytes, "\xEF\xBF\xBD", 3);
}

static void test_utf8_invalid(void **state) {
	static const char *const bad[] = {
	    "\x80", "\xC0\x80",         "\xC1\xBF", "\xE0\x80\x80",    "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x80\x80\x80",
	    "\xFF", "\xF4\x90\x80\x80", "\xC3(",    "\xF5\x80\x80\x80"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint32_t c = 0;
		assert_false(tdm_utf8_valid(bad[i], strlen(bad[i])));
		assert_int_equal(tdm_utf8_next(bad[i], strlen(bad[i]), &c), 1);
		assert_int_equal(c, 0xFFFD);
	}
	uint32_t unused = 0;
	assert_int_equal(tdm_utf8_next("", 0, &unused), 0);
	assert_int_equal(tdm_utf8_partial("a\xE0\x80", 3), 0); // can never become a character: not held back
	assert_int_equal(tdm_utf8_partial("a\xE0\xA0", 3), 2);
	assert_int_equal(tdm_utf8_partial("\x80\x80\x80\x80", 4), 0);
	assert_int_equal(tdm_utf8_partial("ab", 2), 0);
}

static void expect_nfkc(const char *text, bool fold, const char *normal) {
	struct tdm_bytes out;
	tdm_bytes_init(&out, 1000);
	tdm_bytes_puts(&out, ">");
	assert_int_equal(tdm_nfkc(&out, text, strlen(text), fold), TDM_OK);
	assert_string_equal(out.data + 1, normal);
	tdm_bytes_release(&out);
}

static void test_nfkc(void **state) {
	expect_nfkc("", false, "");
	expect_nfkc("\xEF\xAC\x81ne \xEF\xBC\xA1\xE2\x91\xA0", false, "fine A1"); // fi ligature, fullwidth A, circled 1
	expect_nfkc("e\xCC\x81", false, "\xC3\xA9");
	expect_nfkc("Stra\xC3\x9F"
	            "E",
	            true, "strasse");
	expect_nfkc("ABC", false, "ABC");
	expect_nfkc("a\xFF\xEF\xBC\xA2", false,
	            "a\xEF\xBF\xBD"
	            "B");
	struct tdm_bytes small;
	tdm_bytes_init(&small, 3);
	assert_int_equal(tdm_nfkc(&small, "abcdef", 6, false), TDM_ENOMEM);
	tdm_bytes_release(&small);
}

static struct tdm_regex *compile(const char *pattern) {
	struct tdm_regex *regex = NULL;
	struct tdm_error err = {0};
	if (tdm_regex_new(pattern, &regex, &err) != TDM_OK)
		fail_msg("%s", err.text);
	return regex;
}

static void test_regex_unicode(void **state) {
	size_t start = 0, end = 0;
	struct tdm_regex *regex = compile("\\p{L}+|\\p{N}{1,3}");
	const char *text = "12345 gr\xC3\xBC\xC3\x9F"
	                   "e \xD0\xBC\xD0\xB8\xD1\x80!";
	size_t n = strlen(text), spans[][2] = {{0, 3}, {3, 5}, {6, 13}, {14, 20}};
	for (size_t i = 0; i < 4; i++) {
		assert_true(tdm_regex_find(regex, text, n, end, &start, &end));
		assert_int_equal(start, spans[i][0]);
		assert_int_equal(end, spans[i][1]);
	}
	assert_false(tdm_regex_find(regex, text, n, end, &start, &end));
	assert_false(tdm_regex_find(regex, text, n, n + 1, &start, &end));
	assert_false(tdm_regex_find(regex, NULL, 0, 0, &start, &end));
	assert_true(tdm_regex_find(regex, "\xFF\xFFxy", 4, 0, &start, &end)); // bytes outside UTF-8 do not stop a search
	assert_int_equal(start, 2);
	tdm_regex_free(regex);
	regex = compile("(?i)stra\xC3\x9F"
	                "e\\b");
	assert_true(tdm_regex_find(regex,
	                           "STRA\xE1\xBA\x9E"
	                           "E",
	                           8, 0, &start, &end));
	tdm_regex_free(regex);
	tdm_regex_free(NULL);
}

static void test_regex_errors(void **state) {
	struct tdm_regex *regex = NULL;
	struct tdm_error err = {0};
	assert_int_equal(tdm_regex_new("ab(c", &regex, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "offset 4"));
	assert_null(regex);
	tdm_error_clear(&err);
	assert_int_equal(tdm_regex_new("a\xFF", &regex, &err), TDM_EVALUE);
}

static void test_regex_limits(void **state) {
	size_t start, end;
	char text[4001];
	memset(text, 'a', sizeof text);
	struct tdm_regex *regex = compile("^(a+)+$|^(a|a)*b");
	text[4000] = '!';
	int64_t before = tdm_work_us();
	assert_false(tdm_regex_find(regex, text, sizeof text, 0, &start, &end));
	assert_true(tdm_work_us() - before < 5000000);
	tdm_regex_free(regex);
}

static void *search(void *arg) {
	size_t start, end, n_found = 0;
	for (int i = 0; i < 2000; i++)
		if (tdm_regex_find(arg, "abc 123 def", 11, (size_t)i % 4, &start, &end) && start == 4 && end == 7)
			n_found++;
	return (void *)n_found;
}

static void test_regex_threads(void **state) {
	pthread_t threads[4];
	struct tdm_regex *regex = compile("[0-9]+");
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, search, regex), 0);
	for (int i = 0; i < 4; i++) {
		void *n_found;
		pthread_join(threads[i], &n_found);
		assert_int_equal((size_t)n_found, 2000);
	}
	tdm_regex_free(regex);
}

int tdm_test_text(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_utf8_every_character),
	    cmocka_unit_test(test_utf8_invalid),
	    cmocka_unit_test(test_nfkc),
	    cmocka_unit_test(test_regex_unicode),
	    cmocka_unit_test(test_regex_errors),
	    cmocka_unit_test(test_regex_limits),
	    cmocka_unit_test(test_regex_threads),
	};
	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
