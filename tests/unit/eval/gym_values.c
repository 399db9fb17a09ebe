// Made-up values: valid check digits, right forms; typed tokens against fixed vectors.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "eval/gym_values.h"
#include "tests.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define LIMIT ((size_t)64 << 20)
#define N_VALUES 3000

static void start(struct tdm_gym_draw *draw, struct tdm_arena *arena) {
	tdm_arena_init(arena, LIMIT);
	*draw = (struct tdm_gym_draw){.arena = arena};
	tdm_rng_init(&draw->rng, 99);
}

static void test_validators_know_good_and_bad(void **state) {
	assert_true(tdm_gym_card_valid("4111 1111 1111 1111")); // published test numbers
	assert_true(tdm_gym_card_valid("5555555555554444"));
	assert_false(tdm_gym_card_valid("4111 1111 1111 1112"));
	assert_false(tdm_gym_card_valid("4111 1111-1111 1111"));
	assert_true(tdm_gym_iban_valid("GB82 WEST 1234 5698 7654 32")); // published examples
	assert_true(tdm_gym_iban_valid("DE89370400440532013000"));
	assert_false(tdm_gym_iban_valid("DE89370400440532013001"));
	assert_false(tdm_gym_iban_valid("DE8937040044053201300"));
}

static void test_cards_and_accounts_are_valid(void **state) {
	struct tdm_arena arena;
	struct tdm_gym_draw draw;
	start(&draw, &arena);
	for (int i = 0; i < N_VALUES; i++) {
		assert_true(tdm_gym_card_valid(tdm_gym_card(&draw)));
		assert_true(tdm_gym_iban_valid(tdm_gym_iban(&draw)));
	}
	assert_false(draw.failed);
	tdm_arena_release(&arena);
}

static void test_phones_have_their_form(void **state) {
	struct tdm_arena arena;
	struct tdm_gym_draw draw;
	start(&draw, &arena);
	for (int i = 0; i < N_VALUES; i++) {
		const char *phone = tdm_gym_phone(&draw);
		size_t digits = 0;
		for (const char *p = phone; *p; p++)
			digits += isdigit((unsigned char)*p) != 0;
		assert_true(digits >= 9 && digits <= 12);
		if (phone[0] == '+')
			continue;
		int a, b, c, used = 0;
		const char *form = phone[0] == '(' ? "(%3d) %3d-%4d%n" : "%3d-%3d-%4d%n";
		assert_int_equal(sscanf(phone, form, &a, &b, &c, &used), 3);
		assert_int_equal(used, strlen(phone));
		assert_true(a >= 200 && a % 100 != 11 && b >= 200 && b % 100 != 11);
	}
	tdm_arena_release(&arena);
}

static void test_ssn_have_their_form(void **state) {
	struct tdm_arena arena;
	struct tdm_gym_draw draw;
	start(&draw, &arena);
	for (int i = 0; i < N_VALUES; i++) {
		const char *ssn = tdm_gym_ssn(&draw);
		int a, b, c;
		assert_int_equal(sscanf(ssn, "%3d-%2d-%4d", &a, &b, &c), 3);
		assert_int_equal(strlen(ssn), 11);
		assert_true(a > 0 && a < 900 && a != 666 && b > 0 && c > 0);
	}
	tdm_arena_release(&arena);
}

static void test_token_vectors(void **state) {
	assert_int_equal(tdm_gym_token_check("PERSON", "00A7KQ2"), 'F');
	assert_int_equal(tdm_gym_token_check("PERSONF", "00A7KQ2"), 'X');
	assert_int_equal(tdm_gym_token_check("EMAIL", "7ZK3QX0"), 'D');
	assert_int_equal(tdm_gym_token_check("IP", "0000000"), '7');
	assert_int_equal(tdm_gym_token_check("IP", "00000L0"), 0); // outside the alphabet
}

static void test_tokens_have_their_form(void **state) {
	struct tdm_arena arena;
	struct tdm_gym_draw draw;
	start(&draw, &arena);
	for (int i = 0; i < N_VALUES; i++) {
		char payload[TDM_GYM_PAYLOAD + 1];
		tdm_gym_payload(&draw, payload);
		const char *token = tdm_gym_token(&draw, "CARD", payload);
		assert_int_equal(strlen(token), 13);
		assert_memory_equal(token, "CARD_", 5);
		assert_int_equal(token[12], tdm_gym_token_check("CARD", token + 5));
	}
	tdm_arena_release(&arena);
}

int tdm_test_gym_values(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_validators_know_good_and_bad),
	    cmocka_unit_test(test_cards_and_accounts_are_valid),
	    cmocka_unit_test(test_phones_have_their_form),
	    cmocka_unit_test(test_ssn_have_their_form),
	    cmocka_unit_test(test_token_vectors),
	    cmocka_unit_test(test_tokens_have_their_form),
	};
	return cmocka_run_group_tests_name("gym_values", tests, NULL, NULL);
}
