// The first layers of a model alone: what they say is what a model of only these layers would say, whatever is computed
// beside them, and nobody else takes it over.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "base/random.h"
#include "engine/batch.h"
#include "tests.h"
#include "toy.h"
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 4, PROMPT = 21, MORE = 40, ALL = PROMPT + MORE };

struct bench {
	struct tdm_toy toy;
	struct tdm_engine *e;
	int32_t tokens[ALL];
};

static void open_bench(struct bench *b) {
	struct tdm_rng rng;
	*b = (struct bench){.toy = TDM_TOY};
	b->toy.n_layers = LAYERS;
	b->toy.is_tied = true;
	tdm_toy_make(&b->toy);
	b->e = tdm_toy_open(&b->toy, NULL, 2);
	tdm_rng_init(&rng, 12);
	for (int i = 0; i < ALL; i++)
		b->tokens[i] = (int32_t)tdm_rng_below(&rng, (uint64_t)b->toy.n_vocab);
}

static void close_bench(struct bench *b) {
	tdm_engine_close(b->e);
	tdm_toy_free(&b->toy);
}

static struct tdm_seq *prompted(struct bench *b, const char *tenant, int n, int *reused) {
	struct tdm_seq *s = NULL;
	assert_int_equal(tdm_seq_open(b->e, &s, NULL), TDM_OK);
	assert_int_equal(tdm_seq_prompt(s, tenant, b->tokens, n, NULL, reused, NULL), TDM_OK);
	return s;
}

static size_t row_bytes(const struct bench *b) {
	return (size_t)b->toy.n_vocab * sizeof(float);
}

static void first_layers_are_a_model_of_their_own(void **state) {
	struct bench b;
	uint8_t all[MORE];
	open_bench(&b);
	memset(all, 1, sizeof all);
	double *want = malloc((size_t)ALL * (size_t)b.toy.n_vocab * sizeof *want);
	struct tdm_seq *s = prompted(&b, "a", PROMPT, NULL);
	for (int n = 1; n < LAYERS; n++) {
		struct tdm_toy less = b.toy;
		struct tdm_seq *first = NULL;
		less.n_layers = n;
		tdm_toy_forward(&less, b.tokens, ALL, want);
		assert_int_equal(tdm_seq_fork_first(s, n, &first, NULL), TDM_OK);
		assert_int_equal(tdm_seq_length(first), PROMPT);
		assert_int_equal(tdm_seq_eval(first, b.tokens + PROMPT, MORE - 1, all, NULL, NULL), TDM_OK);
		tdm_seq_rewind(first, PROMPT + 3); // and again, from a place in between
		assert_int_equal(tdm_seq_eval(first, b.tokens + PROMPT + 3, MORE - 3, all, NULL, NULL), TDM_OK);
		for (int i = 0; i < MORE - 3; i++)
			for (int v = 0; v < b.toy.n_vocab; v++) {
				double w = want[(size_t)(PROMPT + 3 + i) * (size_t)b.toy.n_vocab + (size_t)v];
				assert_true(fabs((double)tdm_seq_logits(first, i)[v] - w) < 1e-3 * (1 + fabs(w)));
			}
		tdm_seq_close(first);
	}
	free(want);
	tdm_seq_close(s);
	close_bench(&b);
}

static struct tdm_row row_of(struct tdm_seq *s, int32_t token) {
	assert_true(tdm_seq_reserve(s, 1, 1));
	return (struct tdm_row){.token = token,
	                        .position = s->n_held,
	                        .pages = &s->pages,
	                        .n_layers = s->n_layers,
	                        .logits = s->logits,
	                        .hidden = s->hidden};
}

// Rows of different depths in one pass, and of the same sequences each in a pass of its own.
static void rows_of_other_depths_change_nothing(void **state) {
	struct bench b;
	float *alone[LAYERS];
	open_bench(&b);
	struct tdm_seq *s = prompted(&b, NULL, PROMPT, NULL), *forks[LAYERS] = {NULL};
	struct tdm_row rows[LAYERS];
	for (int i = 0; i < LAYERS; i++) { // 0: all layers
		struct tdm_seq *one = NULL;
		for (int k = 0; k < 2; k++) {
			struct tdm_seq **out = k ? &forks[i] : &one;
			assert_int_equal(i ? tdm_seq_fork_first(s, i, out, NULL) : tdm_seq_fork(s, out, NULL), TDM_OK);
		}
		assert_int_equal(tdm_seq_eval(one, &b.tokens[PROMPT], 1, NULL, NULL, NULL), TDM_OK);
		alone[i] = malloc(row_bytes(&b));
		memcpy(alone[i], tdm_seq_logits(one, 0), row_bytes(&b));
		tdm_seq_close(one);
		rows[i] = row_of(forks[i], b.tokens[PROMPT]);
	}
	assert_true(tdm_decoder_run(b.e->decoder, rows, LAYERS, NULL, NULL));
	for (int i = 0; i < LAYERS; i++) {
		assert_memory_equal(rows[i].logits, alone[i], row_bytes(&b));
		assert_true(i == 0 || memcmp(alone[i], alone[0], row_bytes(&b)));
	}
	for (int i = 0; i < LAYERS; i++) {
		free(alone[i]);
		tdm_seq_close(forks[i]);
	}
	tdm_seq_close(s);
	close_bench(&b);
}

static void nobody_takes_over_what_they_computed(void **state) {
	struct bench b;
	int reused = 0;
	open_bench(&b);
	struct tdm_seq *other = prompted(&b, "b", ALL, NULL), *s = prompted(&b, "a", PROMPT, NULL), *first = NULL;
	assert_int_equal(tdm_seq_fork_first(s, 2, &first, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval(first, b.tokens + PROMPT, MORE, NULL, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval(s, b.tokens + PROMPT, 1, NULL, NULL, NULL), TDM_OK); // on the page they share
	struct tdm_seq *again = prompted(&b, "a", ALL, &reused);
	assert_int_equal(reused, PROMPT / 16 * 16);
	assert_memory_equal(tdm_seq_logits(again, 0), tdm_seq_logits(other, 0), row_bytes(&b));
	assert_int_equal(tdm_seq_eval(s, b.tokens + PROMPT + 1, MORE - 1, NULL, NULL, NULL), TDM_OK);
	assert_memory_equal(tdm_seq_logits(s, 0), tdm_seq_logits(other, 0), row_bytes(&b));
	assert_int_equal(tdm_seq_prompt(first, "a", b.tokens, ALL, NULL, &reused, NULL), TDM_OK); // nor do they take over
	assert_int_equal(reused, 0);
	struct tdm_seq *all[] = {other, s, first, again};
	for (int i = 0; i < 4; i++)
		tdm_seq_close(all[i]);
	close_bench(&b);
}

static void only_fewer_layers_than_there_are(void **state) {
	struct bench b;
	struct tdm_error err = {0};
	open_bench(&b);
	struct tdm_seq *s = prompted(&b, NULL, PROMPT, NULL), *first = NULL;
	assert_int_equal(tdm_seq_fork_first(s, LAYERS, &first, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "expected 1 to 3"));
	assert_int_equal(tdm_seq_fork_first(s, 0, &first, NULL), TDM_EVALUE);
	assert_null(first);
	tdm_seq_close(s);
	close_bench(&b);
}

int tdm_test_shallow(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(first_layers_are_a_model_of_their_own),
	    cmocka_unit_test(rows_of_other_depths_change_nothing),
	    cmocka_unit_test(nobody_takes_over_what_they_computed),
	    cmocka_unit_test(only_fewer_layers_than_there_are),
	};
	return cmocka_run_group_tests_name("shallow", tests, NULL, NULL);
}
