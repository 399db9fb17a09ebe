// Views: what hides a value is taken away, and every byte leads back.
#include "tests.h"
#include "base/view.h"
#include <string.h>

static void make(struct tdm_arena *arena, const char *text, bool fold, struct tdm_view *view) {
	struct tdm_error error = {0};
	tdm_arena_init(arena, 1 << 22);
	assert_int_equal(tdm_view_make(arena, text, strlen(text), fold, view, &error), TDM_OK);
}

static void normalises(void **state) {
	static const char *const pairs[][2] = {
	    {"plain Text", "plain text"},
	    {"４１１１", "4111"},
	    {"bob＠example．com", "bob@example.com"},
	    {"4\u200b1\u200d1\ufeff1", "4111"},
	    {"٤١١١", "4111"},
	    {"555\u2011123\u20134567", "555-123-4567"},
	    {"e\u0301", "é"},
	    {"STRASSE Straße", "strasse strasse"},
	    {"a\u00a0b", "a b"},
	};
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		struct tdm_arena arena;
		struct tdm_view view;
		make(&arena, pairs[i][0], true, &view);
		assert_string_equal(view.text, pairs[i][1]);
		assert_int_equal(view.n, strlen(pairs[i][1]));
		tdm_arena_release(&arena);
	}
}

static void leads_back(void **state) {
	struct tdm_arena arena;
	struct tdm_view view;
	const char *text = "x４\u200b２ é Z";
	make(&arena, text, false, &view);
	assert_string_equal(view.text, "x42 é Z");
	assert_int_equal(tdm_view_origin(&view, 0), 0);
	assert_int_equal(tdm_view_origin(&view, 1), 1);
	assert_int_equal(tdm_view_origin(&view, 2), 7); // after the invisible character
	assert_int_equal(tdm_view_origin(&view, view.n), strlen(text));
	for (size_t i = 0; i <= view.n; i++)
		assert_true(tdm_view_find(&view, tdm_view_origin(&view, i)) <= i);
	tdm_view_blank(&view, 1, 7);
	assert_int_equal(view.text[1], TDM_VIEW_BLANK);
	assert_int_equal(view.text[2], '2');
	tdm_arena_release(&arena);
}

static void refuses_what_grows(void **state) {
	struct tdm_arena arena;
	struct tdm_view view;
	struct tdm_error error = {0};
	char text[3 * 100 + 1] = "";
	for (size_t i = 0; i < sizeof text - 1; i++)
		text[i] = "\ufdfa"[i % 3]; // eighteen characters each
	tdm_arena_init(&arena, 1 << 22);
	assert_int_equal(tdm_view_make(&arena, text, strlen(text), false, &view, &error), TDM_ETOOLARGE);
	tdm_arena_release(&arena);
}

static void knows_words(void **state) {
	assert_true(tdm_whole_word("a bob c", 7, 2, 5));
	assert_false(tdm_whole_word("abob", 4, 1, 4));
	assert_false(tdm_whole_word("bobby", 5, 0, 3));
	assert_false(tdm_whole_word("ébob", 5, 2, 5));
	assert_true(tdm_whole_word("x4111y", 6, 1, 5));
	assert_false(tdm_whole_word("94111", 5, 1, 5));
	assert_true(tdm_whole_word("東bob京", 9, 3, 6));
	assert_true(tdm_whole_word("東京都", 9, 0, 6));
}

int tdm_test_view(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(normalises),
	    cmocka_unit_test(leads_back),
	    cmocka_unit_test(refuses_what_grows),
	    cmocka_unit_test(knows_words),
	};
	return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
