// The judge: every reference is right in every family, changed answers are wrong, harmless changes do not count.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "eval/gym.h"
#include "tests.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LIMIT ((size_t)64 << 20)
#define N_ITEMS 300 // of every family

typedef void each_fn(const struct tdm_gym_item *item);

static void for_each_item(each_fn *fn) {
	size_t n;
	const struct tdm_gym_family *families = tdm_gym_families(&n);
	for (size_t f = 0; f < n; f++)
		for (uint64_t i = 0; i < N_ITEMS; i++) {
			struct tdm_arena arena;
			struct tdm_gym_item item;
			tdm_arena_init(&arena, LIMIT);
			assert_int_equal(tdm_gym_item(&arena, 21, i, TDM_GYM_TEST, families[f].name, &item, NULL), TDM_OK);
			fn(&item);
			tdm_arena_release(&arena);
		}
}

static bool right(const struct tdm_gym_item *item, const char *answer) {
	return tdm_gym_check(item, answer, strlen(answer));
}

static void accept_reference(const struct tdm_gym_item *item) {
	if (!right(item, item->answer))
		fail_msg("%s: the reference \"%s\" of \"%s\" is judged wrong", item->family, item->answer, item->prompt);
	char spaced[4096];
	snprintf(spaced, sizeof spaced, " \n%s \n", item->answer);
	assert_true(right(item, spaced));
}

static void test_references_are_right(void **state) {
	for_each_item(accept_reference);
}

static void reject_others(const struct tdm_gym_item *item) {
	static const char *const wrong[] = {"", " ", "I do not know.", "I can't help", "-1", "not", "Dear", "stated."};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (right(item, wrong[i]))
			fail_msg("%s: \"%s\" is judged right for \"%s\"", item->family, wrong[i], item->prompt);
	assert_true(right(item, "I can't help with that.") == !strcmp(item->family, "refuse"));
	assert_true(right(item, "not stated") == !strcmp(item->family, "unanswerable"));
}

static void test_other_answers_are_wrong(void **state) {
	for_each_item(reject_others);
}

static char changed_char(char c) {
	return isdigit((unsigned char)c) ? (c == '9' ? '0' : (char)(c + 1)) : '#';
}

// Changes every letter and digit of `part` in turn, wherever it stands in the answer.
static void reject_changed_part(const struct tdm_gym_item *item, const char *part) {
	char changed[4096];
	size_t n = strlen(item->answer), width = strlen(part);
	for (size_t k = 0; k < width; k++) {
		snprintf(changed, sizeof changed, "%s", item->answer);
		for (size_t at = 0; at + width <= n; at++)
			if (!strncasecmp(item->answer + at, part, width) && isalnum((unsigned char)part[k]))
				changed[at + k] = changed_char(part[k]);
		if (strcmp(changed, item->answer) && right(item, changed))
			fail_msg("%s: \"%s\" is judged right for \"%s\"", item->family, changed, item->prompt);
	}
}

static void reject_changed(const struct tdm_gym_item *item) {
	for (size_t i = 0; i < item->n_required; i++)
		reject_changed_part(item, item->required[i]);
	if (item->starts)
		reject_changed_part(item, item->starts);
	if (item->rule == TDM_GYM_EXACT || item->rule == TDM_GYM_FOLDED)
		reject_changed_part(item, item->answer);
	size_t n = strlen(item->answer);
	if (item->rule != TDM_GYM_PREFIX && n > 1) // cut short, or with more after the end
		assert_false(tdm_gym_check(item, item->answer, n - 2));
	char longer[4096];
	snprintf(longer, sizeof longer, "%s And more. And more.", item->answer);
	assert_true(right(item, longer) == (item->rule == TDM_GYM_PREFIX));
}

static void test_changed_answers_are_wrong(void **state) {
	for_each_item(reject_changed);
}

static void test_case_counts_only_in_values(void **state) {
	struct tdm_gym_item city = {.answer = "Paris", .rule = TDM_GYM_FOLDED};
	assert_true(right(&city, "paris."));
	assert_false(right(&city, "Paris is it"));
	struct tdm_gym_item token = {.answer = "PHONE_00A7KQ2F", .rule = TDM_GYM_EXACT};
	assert_true(right(&token, "PHONE_00A7KQ2F."));
	assert_false(right(&token, "phone_00a7kq2f"));
}

static void test_message_needs_two_sentences_and_whole_values(void **state) {
	const char *required[] = {"Anna Berg", "312-555-0187"};
	struct tdm_gym_item item = {.rule = TDM_GYM_PROSE, .n_sentences = 2, .required_exact = true, .answer = ""};
	item.required = required;
	item.n_required = 2;
	assert_true(right(&item, "Dear Anna Berg, your number is 312-555-0187. Thank you."));
	assert_true(right(&item, "Dear Anna Berg, thank you! Is it 312-555-0187?"));
	assert_false(right(&item, "Dear Anna Berg, your number is 312-555-0187."));
	assert_false(right(&item, "Dear Anna Berg. It is 312-555-0187. Thank you."));
	assert_false(right(&item, "Dear Anna Berg, your number is 312-555-01874. Thank you."));
	assert_false(right(&item, "Dear anna berg, your number is 312-555-0187. Thank you."));
	assert_false(right(&item, "Dear Anna Berg, your number is 312-555-0187. Thank you"));
}

static void test_sentences_are_counted(void **state) {
	static const struct {
		const char *text;
		int n;
	} cases[] = {{"", 0},          {"One", 1},        {"One.", 1},
	             {"One. Two.", 2}, {"One... Two", 2}, {"a.b@c.org is it.", 1},
	             {"No?! Yes.", 2}, {". . .", 0}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(tdm_gym_sentences(cases[i].text, strlen(cases[i].text)), cases[i].n);
}

int tdm_test_gym_check(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_references_are_right),
	    cmocka_unit_test(test_other_answers_are_wrong),
	    cmocka_unit_test(test_changed_answers_are_wrong),
	    cmocka_unit_test(test_case_counts_only_in_values),
	    cmocka_unit_test(test_message_needs_two_sentences_and_whole_values),
	    cmocka_unit_test(test_sentences_are_counted),
	};
	return cmocka_run_group_tests_name("gym_check", tests, NULL, NULL);
}
