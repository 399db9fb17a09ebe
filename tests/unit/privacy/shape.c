// Shape: FF1 against the samples that NIST publishes, and what becomes of numbers of many forms.
#include "tests.h"
#include "base/crypto.h"
#include "privacy/detect/checks.h"
#include "privacy/mask/alias.h"
#include "privacy/mask/shape.h"
#include <stdio.h>
#include <string.h>

static uint8_t key[32];

static int read_key(void **state) {
	return !tdm_unhex("2b7e151628aed2a6abf7158809cf4f3cef4359d8d580aa4f7f036d6f04fc6a94", key, sizeof key);
}

// FF1samples.pdf of NIST (SP 800-38G): samples 7 and 8, AES-256, radix 10.
static void the_published_samples(void **state) {
	static const struct {
		const char *tweak, *result;
		size_t n_tweak;
	} samples[] = {{"", "6657667009", 0}, {"39383736353433323130", "1001623463", 10}};
	for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
		uint8_t digits[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, tweak[10];
		char text[11] = "";
		assert_true(tdm_unhex(samples[i].tweak, tweak, samples[i].n_tweak));
		assert_int_equal(tdm_ff1(key, tweak, samples[i].n_tweak, digits, sizeof digits), TDM_OK);
		for (size_t k = 0; k < 10; k++)
			text[k] = (char)('0' + digits[k]);
		assert_string_equal(text, samples[i].result);
	}
}

// A permutation: no two of a hundred thousand numbers of six digits become the same one.
static void no_two_numbers_become_one(void **state) {
	static uint8_t seen[1000000];
	memset(seen, 0, sizeof seen);
	for (int i = 0; i < 100000; i += TDM_SANITIZED ? 10 : 1) {
		char text[7], out[7] = "";
		snprintf(text, sizeof text, "%06d", i * 10);
		assert_true(tdm_shape(key, "PHONE", text, 6, false, out));
		int value = 0;
		for (int k = 0; k < 6; k++)
			value = value * 10 + out[k] - '0';
		assert_int_equal(seen[value]++, 0);
	}
}

static void the_form_stays(void **state) {
	static const struct {
		const char *text;
		bool luhn;
	} rows[] = {{"4111 1111 1111 1111", true}, {"3782-822463-10005", true}, {"+1 (415) 555-2671", false},
	            {"078-05-1120", false},        {"AB 12 34 56 C", false},    {"12345678901234567890", false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char out[40] = "", again[40] = "", other[40] = "";
		uint8_t digits[20], n = 0;
		size_t length = strlen(rows[i].text);
		assert_true(tdm_shape(key, "CARD", rows[i].text, length, rows[i].luhn, out));
		assert_true(tdm_shape(key, "CARD", rows[i].text, length, rows[i].luhn, again));
		assert_true(tdm_shape(key, "SSN", rows[i].text, length, rows[i].luhn, other));
		assert_string_equal(out, again);
		assert_string_not_equal(out, other);
		assert_string_not_equal(out, rows[i].text);
		for (size_t k = length; k-- > 0;) {
			bool digit = rows[i].text[k] >= '0' && rows[i].text[k] <= '9';
			assert_true(digit ? out[k] >= '0' && out[k] <= '9' : out[k] == rows[i].text[k]);
			if (digit)
				digits[n++] = (uint8_t)(out[k] - '0');
		}
		assert_true(!rows[i].luhn || tdm_luhn(digits, n));
	}
}

static void too_few_and_too_many_are_not_shaped(void **state) {
	char out[40] = "as it was";
	assert_false(tdm_shape(key, "PIN", "4711", 4, false, out));
	assert_false(tdm_shape(key, "PIN", "123456789012345678901", 21, false, out));
	assert_false(tdm_shape(key, "EMAIL", "eve@example.org", 15, false, out));
	assert_string_equal(out, "as it was");
}

// No alias is a part of another, whatever the letter case: each is found without looking at what stands beside it.
static void aliases_are_apart(void **state) {
	static const char *const labels[] = {"PERSON", "PLACE", "ORG"};
	const char *all[400];
	size_t n = 0, more;
	for (size_t i = 0; i < 3; i++) {
		const char *const *list = tdm_aliases(labels[i], &more);
		for (size_t k = 0; k < more; k++)
			all[n++] = list[k];
	}
	assert_in_range(n, 150, 400);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			if (i != k && strcasestr(all[i], all[k]))
				fail_msg("%s is a part of %s", all[k], all[i]);
	assert_null(tdm_aliases("PHONE", &more));
}

int tdm_test_shape(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(aliases_are_apart),
	    cmocka_unit_test(the_published_samples),
	    cmocka_unit_test(no_two_numbers_become_one),
	    cmocka_unit_test(the_form_stays),
	    cmocka_unit_test(too_few_and_too_many_are_not_shaped),
	};
	return cmocka_run_group_tests_name("shape", tests, read_key, NULL);
}
