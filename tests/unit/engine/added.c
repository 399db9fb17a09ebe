// Vectors that are added to embeddings, and hidden states of all tokens: a token moved onto another one is the other
// one, nothing added changes no bit, and what such a sequence computes is nobody else's.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "base/random.h"
#include "engine/engine.h"
#include "tests.h"
#include "toy.h"
#include <stdlib.h>
#include <string.h>

enum { N = 100, ADDED = 70 }; // more than a pass has rows, and some behind those that get a vector

struct bench {
	struct tdm_toy toy;
	struct tdm_engine *e;
	int32_t tokens[N], others[N];
	float *vectors; // from tokens to others
};

static void open_bench(struct bench *b) {
	struct tdm_rng rng;
	*b = (struct bench){.toy = TDM_TOY};
	b->toy.n_layers = 3;
	tdm_toy_make(&b->toy);
	b->e = tdm_toy_open(&b->toy, NULL, 1);
	b->vectors = calloc((size_t)(ADDED * b->toy.width), sizeof *b->vectors);
	tdm_rng_init(&rng, 3);
	for (int i = 0; i < N; i++) {
		b->tokens[i] = (int32_t)tdm_rng_below(&rng, (uint64_t)b->toy.n_vocab);
		b->others[i] = i < ADDED ? (int32_t)tdm_rng_below(&rng, (uint64_t)b->toy.n_vocab) : b->tokens[i];
		for (int k = 0; k < b->toy.width && i < ADDED; k++)
			b->vectors[i * b->toy.width + k] =
			    b->toy.embedding[b->others[i] * b->toy.width + k] - b->toy.embedding[b->tokens[i] * b->toy.width + k];
	}
}

static void close_bench(struct bench *b) {
	free(b->vectors);
	tdm_engine_close(b->e);
	tdm_toy_free(&b->toy);
}

static struct tdm_seq *opened(struct bench *b, const float *vectors) {
	struct tdm_seq *s = NULL;
	assert_int_equal(tdm_seq_open(b->e, &s, NULL), TDM_OK);
	tdm_seq_add(s, vectors, ADDED);
	return s;
}

static void prompt(struct tdm_seq *s, const int32_t *tokens, int n, int *reused) {
	assert_int_equal(tdm_seq_prompt(s, "somebody", tokens, n, NULL, reused, NULL), TDM_OK);
}

static size_t row_bytes(const struct bench *b) {
	return (size_t)b->toy.n_vocab * sizeof(float);
}

static void a_token_that_is_moved_is_the_other_one(void **state) {
	struct bench b;
	open_bench(&b);
	struct tdm_seq *moved = opened(&b, b.vectors), *plain = opened(&b, NULL), *unmoved = opened(&b, NULL);
	prompt(moved, b.tokens, N, NULL);
	prompt(plain, b.others, N, NULL);
	prompt(unmoved, b.tokens, N, NULL);
	double most = 0, apart = 0;
	for (int v = 0; v < b.toy.n_vocab; v++) {
		double x = (double)tdm_seq_logits(moved, 0)[v];
		most = fmax(most, fabs(x - (double)tdm_seq_logits(plain, 0)[v]));
		apart = fmax(apart, fabs(x - (double)tdm_seq_logits(unmoved, 0)[v]));
	}
	assert_true(most < 1e-3 && apart > 0.1);
	tdm_seq_close(moved);
	tdm_seq_close(plain);
	tdm_seq_close(unmoved);
	close_bench(&b);
}

static void nothing_added_changes_no_bit(void **state) {
	struct bench b;
	open_bench(&b);
	memset(b.vectors, 0, (size_t)(ADDED * b.toy.width) * sizeof *b.vectors);
	struct tdm_seq *zero = opened(&b, b.vectors), *plain = opened(&b, NULL);
	prompt(zero, b.tokens, N, NULL);
	prompt(plain, b.tokens, N, NULL);
	assert_memory_equal(tdm_seq_logits(zero, 0), tdm_seq_logits(plain, 0), row_bytes(&b));
	tdm_seq_close(zero);
	tdm_seq_close(plain);
	close_bench(&b);
}

// Forks, trees, rewinds into the tokens that get a vector, and one token at a time: the same row.
static void however_it_is_computed(void **state) {
	struct bench b;
	open_bench(&b);
	struct tdm_seq *s = opened(&b, b.vectors), *fork = NULL, *slow = opened(&b, b.vectors);
	float *want = malloc(row_bytes(&b));
	prompt(s, b.tokens, N, NULL);
	memcpy(want, tdm_seq_logits(s, 0), row_bytes(&b));
	tdm_seq_rewind(s, 33);
	assert_int_equal(tdm_seq_fork(s, &fork, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval(fork, b.tokens + 33, N - 33, NULL, NULL, NULL), TDM_OK);
	assert_memory_equal(tdm_seq_logits(fork, 0), want, row_bytes(&b));
	assert_int_equal(tdm_seq_eval_tree(s, b.tokens + 33, (int[]){-1, 0, 1, -1}, 4, NULL, NULL), TDM_OK);
	tdm_seq_keep(s, 2);
	assert_int_equal(tdm_seq_eval(s, b.tokens + 36, N - 36, NULL, NULL, NULL), TDM_OK);
	assert_memory_equal(tdm_seq_logits(s, 0), want, row_bytes(&b));
	for (int i = 0; i < N; i++)
		assert_int_equal(tdm_seq_eval(slow, b.tokens + i, 1, NULL, NULL, NULL), TDM_OK);
	assert_memory_equal(tdm_seq_logits(slow, 0), want, row_bytes(&b));
	tdm_seq_close(slow);
	tdm_seq_close(fork);
	tdm_seq_close(s);
	free(want);
	close_bench(&b);
}

static void it_is_not_remembered(void **state) {
	struct bench b;
	int reused = -1;
	open_bench(&b);
	struct tdm_seq *first = opened(&b, b.vectors), *plain = opened(&b, NULL), *again = opened(&b, b.vectors);
	prompt(first, b.tokens, N, NULL);
	prompt(plain, b.tokens, N, &reused);
	assert_int_equal(reused, 0);
	prompt(again, b.tokens, N, &reused);
	assert_int_equal(reused, 0); // nor does it take over what others left
	assert_memory_equal(tdm_seq_logits(again, 0), tdm_seq_logits(first, 0), row_bytes(&b));
	tdm_seq_add(again, NULL, 0);
	assert_int_equal(tdm_seq_length(again), 0);
	prompt(again, b.tokens, N, &reused);
	assert_true(reused > 0);
	assert_memory_equal(tdm_seq_logits(again, 0), tdm_seq_logits(plain, 0), row_bytes(&b));
	tdm_seq_close(first);
	tdm_seq_close(plain);
	tdm_seq_close(again);
	close_bench(&b);
}

static void states_are_those_of_the_rows(void **state) {
	struct bench b;
	uint8_t all[N];
	open_bench(&b);
	size_t width = (size_t)b.toy.width;
	float *states = calloc((size_t)N * width, sizeof *states);
	memset(all, 1, sizeof all);
	for (int layers = 0; layers < b.toy.n_layers; layers++) {
		struct tdm_seq *s = opened(&b, b.vectors), *first = NULL;
		if (layers) {
			assert_int_equal(tdm_seq_fork_first(s, layers, &first, NULL), TDM_OK);
			tdm_seq_close(s);
			s = first;
		}
		assert_int_equal(tdm_seq_states(s, b.tokens, 40, states, NULL, NULL), TDM_OK);
		assert_null(tdm_seq_logits(s, 0));
		assert_int_equal(tdm_seq_states(s, b.tokens + 40, N - 40, states + 40 * width, NULL, NULL), TDM_OK);
		tdm_seq_rewind(s, 0);
		assert_int_equal(tdm_seq_eval(s, b.tokens, N, all, NULL, NULL), TDM_OK);
		for (int i = 0; i < N; i++)
			assert_memory_equal(tdm_seq_hidden(s, i), states + (size_t)i * width, width * sizeof *states);
		assert_int_equal(tdm_seq_states(s, b.tokens, b.toy.context, states, NULL, NULL), TDM_ECONTEXT);
		assert_int_equal(tdm_seq_length(s), N);
		tdm_seq_close(s);
	}
	free(states);
	close_bench(&b);
}

int tdm_test_added(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_token_that_is_moved_is_the_other_one),
	    cmocka_unit_test(nothing_added_changes_no_bit),
	    cmocka_unit_test(however_it_is_computed),
	    cmocka_unit_test(it_is_not_remembered),
	    cmocka_unit_test(states_are_those_of_the_rows),
	};
	return cmocka_run_group_tests_name("added", tests, NULL, NULL);
}
