// Two tokenizers over the same text: what is split keeps every byte, and a session that follows a text is where one
// that reads all of it at once is.
#include "tests.h"
#include "toy.h"
#include "base/random.h"
#include "models/align.h"
#include "models/shadow.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ONE "build/models-align-one.gguf"
#define OTHER "build/models-align-other.gguf"

static struct tdm_tree *open_models(struct bench *b, struct tdm_session **one, struct tdm_session **other) {
	toy_write(ONE, 7);
	toy_write_other(OTHER, 7);
	struct tdm_tree *t = tree_of("models:\n  one: {kind: local, path: ../build/models-align-one.gguf}\n"
	                             "  other: {kind: local, path: ../build/models-align-other.gguf}\n");
	struct tdm_model *a = tdm_tree_model(t, "one"), *c = tdm_tree_model(t, "other");
	bench_open(b, "a text");
	assert_int_equal(a->ops->open(a, &b->run, one), TDM_OK);
	assert_int_equal(c->ops->open(c, &b->run, other), TDM_OK);
	return t;
}

static void close_models(struct tdm_tree *t, struct bench *b, struct tdm_session *one, struct tdm_session *other) {
	one->ops->close(one);
	other->ops->close(other);
	bench_close(b);
	tdm_tree_close(t);
	remove(ONE);
	remove(OTHER);
}

static void test_map(void **state) {
	struct tdm_session *one, *other;
	struct tdm_align *to, *back;
	struct bench b;
	struct tdm_tree *t = open_models(&b, &one, &other);
	float logits[TOY_OTHER_VOCAB], row[TOY_VOCAB], top = -INFINITY;
	int32_t n;
	assert_int_equal(tdm_align_new(other, one, &to, &b.run.error), TDM_OK);
	assert_int_equal(tdm_align_new(one, other, &back, &b.run.error), TDM_OK);
	assert_int_equal(tdm_align_shared(to, &n), TOY_VOCAB - 2);
	assert_int_equal(n, TOY_OTHER_VOCAB);
	for (int32_t i = 0; i < TOY_VOCAB; i++) { // reversed; of the special tokens, what ends an answer
		int32_t there = tdm_align_token(back, i);
		bool is_end = one->ops->is_end(one, i), has_bytes = i < TOY_VOCAB - 2;
		assert_int_equal(there, is_end || has_bytes ? TOY_VOCAB - 1 - i : -1);
		assert_int_equal(tdm_align_token(to, TOY_VOCAB - 1 - i), is_end || has_bytes ? i : -1);
	}
	for (int32_t i = TOY_VOCAB; i < TOY_OTHER_VOCAB; i++)
		assert_int_equal(tdm_align_token(to, i), -1);
	assert_int_equal(tdm_align_token(to, -1), -1);
	assert_int_equal(tdm_align_token(to, TOY_OTHER_VOCAB), -1);
	for (int i = 0; i < TOY_OTHER_VOCAB; i++)
		logits[i] = (float)i / 7;
	tdm_align_row(to, logits, row);
	for (int i = 0; i < TOY_VOCAB; i++)
		assert_true(row[i] == (tdm_align_token(back, i) < 0 ? -INFINITY : logits[TOY_VOCAB - 1 - i]));
	tdm_align_row(to, NULL, row); // nothing is known: all that are shared are alike
	for (int i = 0; i < TOY_VOCAB; i++)
		assert_true(row[i] == (tdm_align_token(back, i) < 0 ? -INFINITY : 0));
	for (int i = 0; i < TOY_OTHER_VOCAB; i++)
		logits[i] = -INFINITY;
	tdm_align_row(to, logits, row);
	for (int i = 0; i < TOY_VOCAB; i++)
		top = fmaxf(top, row[i]);
	assert_true(top == 0);
	tdm_align_free(to);
	tdm_align_free(back);
	close_models(t, &b, one, other);
}

// Wherever a text is cut, both halves keep their bytes, and the second is split as in the whole where it can be.
static void test_split(void **state) {
	static const char *const texts[] = {
	    "hello there", "or other colours, or those",     "  two  spaces\n\nand lines", "é🙂 naïve",
	    "x",           "yesyesyes thethethe lolololo co"};
	struct tdm_session *one, *other;
	struct bench b;
	struct tdm_tree *t = open_models(&b, &one, &other);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		size_t len = strlen(texts[i]);
		for (int k = 0; k < 2; k++) {
			struct tdm_session *s = k ? other : one;
			for (size_t before = 0; before < len; before++) {
				int32_t tokens[64];
				size_t ends[64], at = before;
				const char *piece;
				if (((unsigned char)texts[i][before] & 0xC0) == 0x80)
					continue;
				int n = tdm_align_split(s, texts[i], before, len, tokens, ends, 64);
				assert_true(n > 0);
				for (int m = 0; m < n; m++) {
					size_t bytes = s->ops->piece(s, tokens[m], &piece);
					assert_memory_equal(piece, texts[i] + at, bytes);
					at += bytes;
					assert_int_equal(ends[m], at);
				}
				assert_int_equal(at, len);
			}
		}
	}
	int32_t token;
	size_t end;
	assert_int_equal(tdm_align_split(one, "abc", 3, 3, &token, &end, 1), 0);
	assert_int_equal(tdm_align_split(one, "abc", 1, 3, &token, &end, 1), 1); // no more than there is room for
	close_models(t, &b, one, other);
}

// The row after the tokens of a text, read at once by a session of its own.
static void expect_row(struct bench *b, struct tdm_session *s, const char *text, size_t len, const float *row) {
	struct tdm_session *fresh;
	int32_t tokens[128];
	size_t ends[128];
	int n;
	assert_int_equal(s->model->ops->open(s->model, &b->run, &fresh), TDM_OK);
	assert_int_equal(fresh->ops->prompt(fresh, &b->run, &b->request, NULL), TDM_OK);
	n = len ? tdm_align_split(fresh, text, 0, len, tokens, ends, 128) : 0;
	if (n)
		assert_int_equal(fresh->ops->eval(fresh, &b->run, tokens, NULL, n), TDM_OK);
	assert_memory_equal(row, fresh->ops->logits(fresh, n ? n - 1 : 0), sizeof(float) * (size_t)s->n_vocab);
	fresh->ops->close(fresh);
}

static void test_shadow(void **state) {
	static const char whole[] = "the other colour is no color, hello or those 🙂 of yes";
	static const char changed[] = "the other coat loses no one";
	struct tdm_session *one, *other;
	struct bench b;
	struct tdm_rng rng;
	struct tdm_tree *t = open_models(&b, &one, &other);
	const float *row;
	int blind = 0;
	tdm_rng_init(&rng, 5);
	assert_int_equal(other->ops->prompt(other, &b.run, &b.request, NULL), TDM_OK);
	struct tdm_shadow *sh = tdm_shadow_new(other);
	assert_non_null(sh);
	assert_int_equal(tdm_shadow_follow(sh, &b.run, "", 0, &row), TDM_OK);
	expect_row(&b, other, "", 0, row);
	for (int i = 0; i < 200; i++) { // forward, back, and another way
		const char *text = i % 5 == 4 ? changed : whole;
		size_t len = 1 + tdm_rng_below(&rng, strlen(text));
		bool is_cut = ((unsigned char)text[len] & 0xC0) == 0x80;
		assert_int_equal(tdm_shadow_follow(sh, &b.run, text, len, &row), TDM_OK);
		assert_true((row == NULL) == is_cut);
		blind += is_cut;
		if (row)
			expect_row(&b, other, text, len, row);
	}
	assert_true(blind > 0);
	tdm_shadow_free(sh);
	close_models(t, &b, one, other);
}

// What is longer than the context is not followed, and does no harm.
static void test_a_long_text_is_not_followed(void **state) {
	static char text[3 * TOY_CONTEXT];
	struct tdm_session *one, *other;
	struct bench b;
	struct tdm_tree *t = open_models(&b, &one, &other);
	const float *row;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = "abc de"[i % 6];
	assert_int_equal(one->ops->prompt(one, &b.run, &b.request, NULL), TDM_OK);
	struct tdm_shadow *sh = tdm_shadow_new(one);
	assert_int_equal(tdm_shadow_follow(sh, &b.run, text, 60, &row), TDM_OK);
	assert_non_null(row);
	assert_int_equal(tdm_shadow_follow(sh, &b.run, text, sizeof text, &row), TDM_OK);
	assert_null(row);
	assert_int_equal(tdm_shadow_follow(sh, &b.run, text, 66, &row), TDM_OK);
	expect_row(&b, one, text, 66, row);
	tdm_shadow_free(sh);
	close_models(t, &b, one, other);
}

int tdm_test_align_models(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_map),
	    cmocka_unit_test(test_split),
	    cmocka_unit_test(test_shadow),
	    cmocka_unit_test(test_a_long_text_is_not_followed),
	};
	return cmocka_run_group_tests_name("align", tests, NULL, NULL);
}
