// Stop strings: every cut of a text gives what the whole text gives.
#include "tests.h"
#include "models/stop.h"

// Feeds `text` in pieces of n bytes; writes what came out before the end or the first stop string.
static bool feed(const char *const *stop, size_t n_stop, const char *text, size_t piece, char *out) {
	char held[64];
	size_t n = 0, safe, length = strlen(text), n_out = 0;
	bool found = false;
	for (size_t at = 0; at <= length && !found; at += piece) {
		size_t m = at + piece < length ? piece : length - at;
		memcpy(held + n, text + at, m);
		n += m;
		found = tdm_stop_find(stop, n_stop, held, n, at + piece > length, &safe);
		memcpy(out + n_out, held, safe);
		n_out += safe;
		memmove(held, held + safe, n - safe);
		n -= safe;
		assert_true(found || n < tdm_stop_longest(stop, n_stop) || n == 0);
	}
	out[n_out] = 0;
	return found;
}

static void test_cuts(void **state) {
	static const struct {
		const char *text, *stop[3], *expected;
		bool found;
	} cases[] = {
	    {"one two three", {"two"}, "one ", true},
	    {"one two three", {"three", "two"}, "one ", true},
	    {"aaab", {"aab"}, "a", true},
	    {"abcabd", {"abd"}, "abc", true},
	    {"abx", {"abcd", "b"}, "a", true},
	    {"abcd", {"abcd", "b"}, "", true},
	    {"ab", {"abcd", "b"}, "a", true},
	    {"hello", {"lox"}, "hello", false},
	    {"hello", {"", NULL}, "hello", false},
	    {"x", {"x"}, "", true},
	    {"\xc3\xa4\xc3\xb6", {"\xc3\xb6"}, "\xc3\xa4", true},
	    {"a\n\nb", {"\n\n"}, "a", true},
	};
	for (size_t i = 0; i < TDM_COUNT(cases); i++) {
		size_t n_stop = 0;
		while (n_stop < 3 && cases[i].stop[n_stop])
			n_stop++;
		for (size_t piece = 1; piece <= 9; piece++) {
			char out[64];
			assert_int_equal(feed(cases[i].stop, n_stop, cases[i].text, piece, out), cases[i].found);
			assert_string_equal(out, cases[i].expected);
		}
	}
}

int tdm_test_stop(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_cuts)};
	return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
