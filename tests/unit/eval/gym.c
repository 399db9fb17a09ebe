// The gym: the same seed gives the same items, training and test share no key and no prompt, texts are plain ASCII.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "eval/gym_draw.h"
#include "tests.h"
#include <stdlib.h>
#include <string.h>

#define LIMIT ((size_t)64 << 20)

static void test_same_seed_same_items(void **state) {
	struct tdm_arena a, b;
	tdm_arena_init(&a, LIMIT);
	tdm_arena_init(&b, LIMIT);
	int differ = 0;
	for (uint64_t i = 0; i < 600; i++) {
		struct tdm_gym_item x, y, z;
		enum tdm_gym_split split = i % 2 ? TDM_GYM_TEST : TDM_GYM_TRAIN;
		assert_int_equal(tdm_gym_item(&a, 7, i, split, NULL, &x, NULL), TDM_OK);
		assert_int_equal(tdm_gym_item(&b, 7, i, split, NULL, &y, NULL), TDM_OK);
		assert_int_equal(tdm_gym_item(&b, 8, i, split, NULL, &z, NULL), TDM_OK);
		assert_string_equal(x.prompt, y.prompt);
		assert_string_equal(x.answer, y.answer);
		assert_true(x.key == y.key && x.level == y.level && !strcmp(x.family, y.family));
		differ += strcmp(x.prompt, z.prompt) != 0;
	}
	assert_true(differ > 500); // another seed, other items
	tdm_arena_release(&a);
	tdm_arena_release(&b);
}

static int by_value(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

// The keys of n items, or the hashes of their prompts; sorted.
static uint64_t *draw_hashes(enum tdm_gym_split split, size_t n, bool of_prompts) {
	uint64_t *hashes = malloc(n * sizeof *hashes);
	assert_non_null(hashes);
	for (size_t i = 0; i < n; i++) {
		struct tdm_arena arena;
		struct tdm_gym_item item;
		tdm_arena_init(&arena, LIMIT);
		assert_int_equal(tdm_gym_item(&arena, 100 + split, i, split, NULL, &item, NULL), TDM_OK);
		hashes[i] = of_prompts ? tdm_gym_hash(item.prompt) : item.key;
		assert_true(tdm_gym_key_is_test(item.key) == (split == TDM_GYM_TEST));
		tdm_arena_release(&arena);
	}
	qsort(hashes, n, sizeof *hashes, by_value);
	return hashes;
}

static void assert_disjoint(size_t n_train, size_t n_test, bool of_prompts) {
	uint64_t *train = draw_hashes(TDM_GYM_TRAIN, n_train, of_prompts);
	uint64_t *test = draw_hashes(TDM_GYM_TEST, n_test, of_prompts);
	for (size_t a = 0, b = 0; a < n_train && b < n_test;) {
		assert_true(train[a] != test[b]);
		if (train[a] < test[b])
			a++;
		else
			b++;
	}
	free(train);
	free(test);
}

static void test_splits_share_no_key(void **state) {
	assert_disjoint(180000, 20000, false);
}

static void test_splits_share_no_prompt(void **state) {
	assert_disjoint(60000, 10000, true);
}

static void test_default_test_mixture_is_even(void **state) {
	size_t n_families;
	const struct tdm_gym_family *families = tdm_gym_families(&n_families);
	struct tdm_arena arena;
	tdm_arena_init(&arena, LIMIT);
	for (size_t i = 0; i < 3 * n_families; i++) {
		struct tdm_gym_item item;
		assert_int_equal(tdm_gym_item(&arena, 5, i, TDM_GYM_TEST, NULL, &item, NULL), TDM_OK);
		assert_string_equal(item.family, families[i % n_families].name);
		assert_int_equal(item.level, 1 + i / n_families);
	}
	tdm_arena_release(&arena);
}

static void assert_plain(const char *text) {
	for (const char *p = text; *p; p++)
		assert_true((*p >= ' ' && *p < 127) || *p == '\n');
	assert_null(strchr(text, '{')); // no unfilled place
	assert_null(strstr(text, "(null)"));
}

static void test_conversations_are_plain_and_right(void **state) {
	struct tdm_gym_options o = {.seed = 11, .split = TDM_GYM_TRAIN, .masked = 0.4};
	size_t many = 0, masked = 0;
	for (uint64_t i = 0; i < 20000; i++) {
		struct tdm_arena arena;
		struct tdm_gym_talk talk;
		tdm_arena_init(&arena, LIMIT);
		assert_int_equal(tdm_gym_talk(&arena, &o, i, &talk, NULL), TDM_OK);
		assert_true(talk.n_turns >= 1 && talk.n_turns <= TDM_GYM_TURNS);
		assert_false(tdm_gym_key_is_test(talk.key));
		for (size_t t = 0; t < talk.n_turns; t++) {
			assert_plain(talk.turns[t].prompt);
			assert_plain(talk.turns[t].answer);
			assert_true(tdm_gym_check(&talk.turns[t], talk.turns[t].answer, strlen(talk.turns[t].answer)));
		}
		many += talk.n_turns > 1;
		masked += strstr(talk.turns[0].prompt, "PHONE_") != NULL;
		tdm_arena_release(&arena);
	}
	assert_true(many > 1500); // most reading conversations have several turns
	assert_true(masked > 300);
}

static void test_judge_and_hints_are_taught(void **state) {
	struct tdm_gym_options o = {.seed = 12, .split = TDM_GYM_TRAIN, .masked = 0.4};
	int yes = 0, no = 0, hints = 0;
	for (uint64_t i = 0; i < 20000; i++) {
		struct tdm_arena arena;
		struct tdm_gym_talk talk;
		tdm_arena_init(&arena, LIMIT);
		assert_int_equal(tdm_gym_talk(&arena, &o, i, &talk, NULL), TDM_OK);
		if (strstr(talk.turns[0].prompt, "\nIs this request harmful? Answer yes or no.")) {
			bool harmful = !strcmp(talk.family, "refuse");
			assert_string_equal(talk.turns[0].answer, harmful ? "yes" : "no");
			yes += harmful;
			no += !harmful;
		}
		hints += strstr(talk.turns[0].prompt, "% sure): ") != NULL;
		tdm_arena_release(&arena);
	}
	assert_true(yes > 100 && no > 100 && hints > 500);
}

static void test_protected_values_stand_in_the_prompt(void **state) {
	static const char *const families[] = {"read", "message", "unanswerable"};
	int needed = 0;
	for (uint64_t i = 0; i < 900; i++) {
		struct tdm_arena arena;
		struct tdm_gym_item item;
		tdm_arena_init(&arena, LIMIT);
		assert_int_equal(tdm_gym_item(&arena, 3, i / 3, TDM_GYM_TEST, families[i % 3], &item, NULL), TDM_OK);
		bool in_answer = false;
		for (size_t k = 0; k < item.n_protected; k++) {
			assert_non_null(strstr(item.prompt, item.protected_values[k]));
			assert_true(strlen(item.protected_types[k]) >= 3);
			in_answer |= strstr(item.answer, item.protected_values[k]) != NULL;
		}
		assert_true(in_answer == item.needs_protected);
		for (size_t k = 0; k < item.n_required; k++)
			assert_non_null(strstr(item.answer, item.required[k]));
		needed += item.needs_protected;
		tdm_arena_release(&arena);
	}
	assert_true(needed > 300);
}

static void test_facts_are_unique(void **state) {
	size_t n = tdm_gym_n_facts();
	assert_true(n >= 250);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++) {
			struct tdm_gym_fact a, b;
			tdm_gym_fact(i, &a);
			tdm_gym_fact(k, &b);
			assert_false(!strcmp(a.relation, b.relation) && !strcmp(a.subject, b.subject));
			assert_false(a.turned && !strcmp(a.relation, b.relation) && !strcmp(a.object, b.object));
		}
}

static void test_unknown_family_is_refused(void **state) {
	struct tdm_arena arena;
	struct tdm_gym_item item;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, LIMIT);
	assert_int_equal(tdm_gym_item(&arena, 1, 0, TDM_GYM_TEST, "sums", &item, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "sums"));
	tdm_arena_release(&arena);
}

static void test_small_arena_is_an_error(void **state) {
	int failed = 0;
	for (size_t limit = 0; limit < 20000; limit += 100) {
		struct tdm_arena arena;
		struct tdm_gym_item item;
		tdm_arena_init(&arena, limit);
		int status = tdm_gym_item(&arena, 1, 0, TDM_GYM_TRAIN, "message", &item, NULL);
		assert_true(status == TDM_ENOMEM || status == TDM_OK);
		failed += status == TDM_ENOMEM;
		tdm_arena_release(&arena);
	}
	assert_true(failed > 5 && failed < 200);
}

int tdm_test_gym(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_same_seed_same_items),
	    cmocka_unit_test(test_splits_share_no_key),
	    cmocka_unit_test(test_splits_share_no_prompt),
	    cmocka_unit_test(test_default_test_mixture_is_even),
	    cmocka_unit_test(test_conversations_are_plain_and_right),
	    cmocka_unit_test(test_judge_and_hints_are_taught),
	    cmocka_unit_test(test_protected_values_stand_in_the_prompt),
	    cmocka_unit_test(test_facts_are_unique),
	    cmocka_unit_test(test_unknown_family_is_refused),
	    cmocka_unit_test(test_small_arena_is_an_error),
	};
	return cmocka_run_group_tests_name("gym", tests, NULL, NULL);
}
