// Trees of tokens: every row is bit for bit that of the plain sequence that ends with its token, whatever is kept.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/batch.h"
#include "tests.h"
#include "toy.h"
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 40, LONGEST = 60 };

struct bench {
	struct tdm_toy toy;
	struct tdm_engine *e;
	struct tdm_rng rng;
	int32_t tokens[400]; // that the sequence holds
	int n;
};

static int draw(struct bench *b, int n) {
	return (int)tdm_rng_below(&b->rng, (uint64_t)n);
}

// The row after the sequence's tokens and those of the path to `node`, one after the other.
static void check_row(struct bench *b, const struct tdm_seq *s, const int32_t *tokens, const int *parents, int node) {
	int32_t path[LONGEST], n = 0;
	struct tdm_seq *plain;
	for (int at = node; at >= 0; at = parents[at])
		n++;
	for (int at = node, i = n; at >= 0; at = parents[at])
		path[--i] = tokens[at];
	assert_int_equal(tdm_seq_open(b->e, &plain, NULL), TDM_OK);
	if (b->n)
		assert_int_equal(tdm_seq_eval(plain, b->tokens, b->n, NULL, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval(plain, path, n, NULL, NULL, NULL), TDM_OK);
	assert_memory_equal(tdm_seq_logits(s, node), tdm_seq_logits(plain, 0), sizeof(float) * (size_t)b->toy.n_vocab);
	assert_memory_equal(tdm_seq_hidden(s, node), tdm_seq_hidden(plain, 0), sizeof(float) * (size_t)b->toy.width);
	tdm_seq_close(plain);
}

static void append(struct bench *b, const int32_t *tokens, const int *parents, int node) {
	int n = 0;
	for (int at = node; at >= 0; at = parents[at])
		n++;
	b->n += n;
	for (int at = node, i = b->n; at >= 0; at = parents[at])
		b->tokens[--i] = tokens[at];
}

static void grow_and_check(struct bench *b, struct tdm_seq *s, int round) {
	int n = 1 + draw(b, LONGEST), parents[LONGEST];
	int32_t tokens[LONGEST];
	for (int i = 0; i < n; i++) {
		tokens[i] = draw(b, b->toy.n_vocab);
		parents[i] = round % 4 == 0 ? i - 1 : round % 4 == 1 ? -1 : draw(b, i + 1) - 1; // chains, brooms, trees
	}
	assert_int_equal(tdm_seq_eval_tree(s, tokens, parents, n, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_seq_rows(s), n);
	assert_int_equal(tdm_seq_length(s), b->n);
	for (int i = 0; i < 6; i++)
		check_row(b, s, tokens, parents, draw(b, n));
	int node = draw(b, n + 1) - 1;
	tdm_seq_keep(s, node);
	append(b, tokens, parents, node);
	assert_int_equal(tdm_seq_length(s), b->n);
	int32_t next = draw(b, b->toy.n_vocab); // what is kept is what a plain sequence would have
	assert_int_equal(tdm_seq_eval(s, &next, 1, NULL, NULL, NULL), TDM_OK);
	int none = -1;
	check_row(b, s, &next, &none, 0);
	b->tokens[b->n++] = next;
}

static void check_trees(enum tdm_cache_type cache_type) {
	struct bench b = {.toy = TDM_TOY};
	struct tdm_seq *s;
	b.toy.cache_type = cache_type;
	tdm_toy_make(&b.toy);
	b.e = tdm_toy_open(&b.toy, NULL, 2);
	tdm_rng_init(&b.rng, 4);
	assert_int_equal(tdm_seq_open(b.e, &s, NULL), TDM_OK);
	for (int round = 0; round < ROUNDS; round++) {
		grow_and_check(&b, s, round);
		if (b.n > 300 || round % 7 == 6) {
			b.n = draw(&b, b.n < 40 ? b.n : 40);
			tdm_seq_rewind(s, b.n);
		}
	}
	tdm_seq_close(s);
	tdm_engine_close(b.e);
	tdm_toy_free(&b.toy);
}

static void rows_are_those_of_paths(void **state) {
	check_trees(TDM_CACHE_AUTO);
	check_trees(TDM_CACHE_Q8_0);
}

static void trees_end_cleanly(void **state) {
	struct bench b = {.toy = TDM_TOY};
	struct tdm_seq *s;
	struct tdm_error err = {0};
	static const int32_t tokens[65] = {3, 4, 5};
	int parents[65] = {-1, -1, 0};
	atomic_bool cancelled = true;
	tdm_toy_make(&b.toy);
	b.e = tdm_toy_open(&b.toy, NULL, 1);
	assert_int_equal(tdm_seq_open(b.e, &s, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval(s, tokens, 20, NULL, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval_tree(s, tokens, parents, 3, &cancelled, &err), TDM_EGONE);
	assert_int_equal(tdm_seq_rows(s), 0);
	assert_int_equal(tdm_seq_eval_tree(s, tokens, parents, 65, NULL, NULL), TDM_EVALUE);
	tdm_error_clear(&err);
	assert_int_equal(tdm_seq_eval_tree(s, tokens, (int[]){-1, 1, 0}, 3, NULL, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "the parent of token 1"));
	assert_int_equal(tdm_seq_eval_tree(s, (int32_t[]){3, 1000}, parents, 2, NULL, &err), TDM_EVALUE);
	assert_int_equal(tdm_seq_eval_tree(s, tokens, parents, 3, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval_tree(s, tokens, parents, 3, NULL, NULL), TDM_OK); // gives the first one up
	tdm_seq_rewind(s, 5);
	tdm_seq_keep(s, 2); // there is no tree any more
	assert_int_equal(tdm_seq_length(s), 5);
	assert_int_equal(tdm_seq_eval_tree(s, tokens, parents, 3, NULL, NULL), TDM_OK);
	tdm_seq_close(s); // with an open tree
	tdm_engine_close(b.e);
	tdm_toy_free(&b.toy);
}

int tdm_test_branch(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_those_of_paths),
	    cmocka_unit_test(trees_end_cleanly),
	};
	return cmocka_run_group_tests_name("branch", tests, NULL, NULL);
}
