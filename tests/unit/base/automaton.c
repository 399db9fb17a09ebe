// The automaton against a search at every place.
#include "tests.h"
#include "base/automaton.h"
#include "base/random.h"
#include <stdbool.h>
#include <string.h>

#define N_PATTERNS 60

struct world {
	unsigned n_letters; // of the alphabet: with two all states are narrow, with nine the first ones have tables
	struct tdm_arena arena;
	struct tdm_automaton *a;
	char patterns[N_PATTERNS][8];
	size_t lengths[N_PATTERNS];
};

static void draw(struct world *w, unsigned n_letters, struct tdm_rng *rng) {
	w->n_letters = n_letters;
	tdm_arena_init(&w->arena, 1 << 20);
	w->a = tdm_automaton_new(&w->arena, N_PATTERNS * 8);
	for (int i = 0; i < N_PATTERNS; i++) {
		w->lengths[i] = 1 + tdm_rng_below(rng, 6);
		for (size_t k = 0; k < w->lengths[i]; k++)
			w->patterns[i][k] = (char)('a' + tdm_rng_below(rng, n_letters));
		assert_int_equal(tdm_automaton_add(w->a, w->patterns[i], w->lengths[i], i), TDM_OK);
	}
	assert_int_equal(tdm_automaton_build(w->a), TDM_OK);
}

static bool ends_here(const struct world *w, int i, const char *text, size_t end) {
	return end >= w->lengths[i] && memcmp(text + end - w->lengths[i], w->patterns[i], w->lengths[i]) == 0;
}

// Every length of a pattern that ends at `end` is reported once, longest first.
static void check_matches(const struct world *w, uint32_t state, const char *text, size_t end) {
	size_t lengths = 0, length = 0, last = 99;
	int id;
	while ((id = tdm_automaton_match(w->a, state, &length, &state)) >= 0) {
		assert_true(ends_here(w, id, text, end) && length == w->lengths[id] && length < last);
		last = length;
		lengths |= (size_t)1 << length;
	}
	for (int i = 0; i < N_PATTERNS; i++)
		assert_true(!ends_here(w, i, text, end) || lengths >> w->lengths[i] & 1);
}

static size_t longest_beginning(const struct world *w, const char *text, size_t end) {
	size_t best = 0;
	for (int i = 0; i < N_PATTERNS; i++)
		for (size_t n = 1; n <= w->lengths[i] && n <= end; n++)
			if (n > best && memcmp(text + end - n, w->patterns[i], n) == 0)
				best = n;
	return best;
}

static void agrees_with_a_naive_search(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 11);
	for (int k = 0; k < 200; k++) {
		struct world w;
		char text[64];
		uint32_t at = 0;
		draw(&w, k % 2 ? 9 : 2, &rng);
		for (size_t i = 0; i < sizeof text; i++) {
			text[i] = (char)('a' + tdm_rng_below(&rng, w.n_letters));
			at = tdm_automaton_step(w.a, at, (unsigned char)text[i]);
			assert_int_equal(tdm_automaton_depth(w.a, at), longest_beginning(&w, text, i + 1));
			check_matches(&w, at, text, i + 1);
		}
		tdm_arena_release(&w.arena);
	}
}

static void skips_what_begins_nothing(void **state) {
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 20);
	struct tdm_automaton *a = tdm_automaton_new(&arena, 8);
	assert_int_equal(tdm_automaton_build(a), TDM_OK);
	assert_int_equal(tdm_automaton_skip(a, "anything", 8, false), 8);
	assert_int_equal(tdm_automaton_add(a, "mail", 4, 0), TDM_OK);
	assert_int_equal(tdm_automaton_build(a), TDM_OK);
	assert_int_equal(tdm_automaton_skip(a, "a Mail, a mail", 14, false), 5 + 5);
	assert_int_equal(tdm_automaton_skip(a, "a Mail, a mail", 14, true), 2);
	assert_int_equal(tdm_automaton_skip(a, "a Mail", 2, true), 2);
	tdm_arena_release(&arena);
}

static void keeps_its_limit(void **state) {
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 20);
	struct tdm_automaton *a = tdm_automaton_new(&arena, 3);
	assert_int_equal(tdm_automaton_add(a, "abc", 3, 0), TDM_OK);
	assert_int_equal(tdm_automaton_add(a, "abd", 3, 1), TDM_ENOMEM);
	assert_null(tdm_automaton_new(&arena, 1 << 20));
	tdm_arena_release(&arena);
}

int tdm_test_automaton(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(agrees_with_a_naive_search),
	    cmocka_unit_test(skips_what_begins_nothing),
	    cmocka_unit_test(keeps_its_limit),
	};
	return cmocka_run_group_tests_name("automaton", tests, NULL, NULL);
}
