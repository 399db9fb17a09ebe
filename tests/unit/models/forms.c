// Forms kept between requests: compiled once, masks found once, bounded, shared by threads.
#include "models/forms.h"
#include "tests.h"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static size_t byte_piece(const void *self, int32_t token, const char **text) {
	static char bytes[256];
	if (token < 256)
		bytes[token] = (char)token;
	*text = token < 256 ? &bytes[token] : "";
	return token < 256;
}

static bool is_end(const void *self, int32_t token) {
	return token == 256;
}

static struct tdm_token_tree *new_tree(void) {
	static const struct tdm_token_source source = {NULL, 257, byte_piece, is_end};
	struct tdm_token_tree *t = NULL;
	assert_int_equal(tdm_token_tree_new(&source, &t, NULL), TDM_OK);
	return t;
}

static struct tdm_form schema(const char *text) {
	return (struct tdm_form){.kind = TDM_GRAMMAR_SCHEMA, .text = text, .len = strlen(text)};
}

// Writes text under the form; the number of masks that were kept from before.
static int64_t write_text(const struct tdm_form *form, const struct tdm_token_tree *t, const char *text) {
	struct tdm_kept_form k = {0};
	struct tdm_error err = {0};
	uint64_t bits[5];
	if (tdm_forms_take(form, t, &k, &err) != TDM_OK)
		fail_msg("%s", err.text);
	struct tdm_constraint_stats before = tdm_constraint_stats(k.constraint);
	assert_int_equal(tdm_constraint_length(k.constraint), 0);
	for (; *text; text++) {
		assert_int_equal(tdm_constraint_mask(k.constraint, bits, &err), TDM_OK);
		assert_true(bits[(uint8_t)*text / 64] >> ((uint8_t)*text % 64) & 1);
		assert_int_equal(tdm_constraint_advance(k.constraint, (uint8_t)*text), TDM_OK);
	}
	assert_true(tdm_constraint_may_end(k.constraint));
	struct tdm_constraint_stats after = tdm_constraint_stats(k.constraint);
	tdm_forms_give(&k);
	tdm_forms_give(&k); // one that was given back is fine
	return after.found - before.found;
}

static void a_schema_is_compiled_once(void **state) {
	struct tdm_token_tree *t = new_tree(), *other = new_tree();
	struct tdm_form form = schema("{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1}");
	struct tdm_forms_stats start = tdm_forms_stats(), end;
	assert_int_equal(tdm_forms_check(&form, NULL), TDM_OK);
	write_text(&form, t, "[1,2]");
	assert_int_equal(write_text(&form, t, "[1,2]"), 5); // every mask is there
	write_text(&form, other, "[3]");                    // other tokens, other masks
	end = tdm_forms_stats();
	assert_int_equal(end.compiled - start.compiled, 1);
	assert_int_equal(end.made - start.made, 2);
	assert_int_equal(end.n_constraints - start.n_constraints, 2);
	tdm_forms_forget(t);
	assert_int_equal(tdm_forms_stats().n_constraints - start.n_constraints, 1);
	tdm_forms_forget(other);
	assert_int_equal(tdm_forms_stats().n_constraints, start.n_constraints);
	tdm_token_tree_free(t);
	tdm_token_tree_free(other);
}

static void a_wrong_schema_is_refused_each_time(void **state) {
	struct tdm_form form = schema("{\"type\":\"nothing\"}");
	struct tdm_forms_stats start = tdm_forms_stats();
	for (int i = 0; i < 2; i++) {
		struct tdm_error err = {0};
		assert_int_not_equal(tdm_forms_check(&form, &err), TDM_OK);
		assert_non_null(strstr(err.text, "unknown type nothing"));
	}
	assert_int_equal(tdm_forms_stats().n_grammars, start.n_grammars);
}

static void what_is_kept_is_bounded(void **state) {
	struct tdm_token_tree *t = new_tree();
	struct tdm_kept_form taken[40] = {0};
	char text[40][80];
	for (int i = 0; i < 40; i++) { // all at one time: more than there is room for
		snprintf(text[i], sizeof text[i], "{\"type\":\"string\",\"maxLength\":%d}", 200 + i);
		struct tdm_form form = schema(text[i]);
		assert_int_equal(tdm_forms_take(&form, t, &taken[i], NULL), TDM_OK);
	}
	for (int i = 0; i < 40; i++) {
		assert_int_equal(tdm_constraint_advance(taken[i].constraint, '"'), TDM_OK);
		tdm_forms_give(&taken[i]);
	}
	struct tdm_forms_stats s = tdm_forms_stats();
	assert_true(s.n_grammars <= 32);
	assert_true(s.bytes <= (size_t)64 << 20);
	tdm_forms_forget(t);
	tdm_token_tree_free(t);
}

struct worker {
	const struct tdm_token_tree *tree;
	int first;
};

static void *work(void *arg) {
	const struct worker *w = arg;
	for (int i = 0; i < 30; i++) {
		char text[80];
		snprintf(text, sizeof text, "{\"type\":\"integer\",\"minimum\":%d}", (w->first + i) % 37);
		struct tdm_form form = schema(text);
		write_text(&form, w->tree, "37");
	}
	return NULL;
}

static void threads_share_them(void **state) {
	struct tdm_token_tree *t = new_tree();
	struct worker workers[4];
	pthread_t threads[4];
	for (int i = 0; i < 4; i++) {
		workers[i] = (struct worker){t, 9 * i};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	tdm_forms_forget(t);
	tdm_token_tree_free(t);
}

int tdm_test_forms(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_schema_is_compiled_once),
	    cmocka_unit_test(a_wrong_schema_is_refused_each_time),
	    cmocka_unit_test(what_is_kept_is_bounded),
	    cmocka_unit_test(threads_share_them),
	};
	return cmocka_run_group_tests_name("forms", tests, NULL, NULL);
}
