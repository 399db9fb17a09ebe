// Perplexity against its definition, with probabilities from the straightforward forward pass.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine/engine.h"
#include "tests.h"
#include "toy.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 700 };

static struct tdm_error err;

static int clear(void **state) {
	tdm_error_clear(&err);
	return 0;
}

static void make_text(struct tdm_bytes *text, int n) {
	tdm_bytes_init(text, 1 << 16);
	for (int i = 0; i < n; i++)
		tdm_bytes_printf(text, "t%d", (i * 13 + i / 5) % 40);
	tdm_bytes_putc(text, '\n'); // left out
}

static double loss_at(const double *logits, int n, int32_t token) {
	double sum = 0;
	for (int i = 0; i < n; i++)
		sum += exp(logits[i] - logits[token]);
	return log(sum);
}

struct expected {
	int n_chunks, n_counted;
	double value, error;
};

static struct expected by_definition(const struct tdm_toy *toy, const struct tdm_vocab *v, const struct tdm_bytes *text,
                                     int context) {
	int32_t tokens[MOST_TOKENS], begin = tdm_token_bos(v);
	struct expected e = {0};
	double losses[MOST_TOKENS], sum = 0, squares = 0;
	double *logits = malloc(sizeof *logits * (size_t)(context * toy->n_vocab));
	int n = begin >= 0;
	tokens[0] = begin;
	n += tdm_tokenize(v, text->data, text->len - 1, tokens + n, MOST_TOKENS - n);
	for (; (e.n_chunks + 1) * context <= n; e.n_chunks++) {
		int32_t chunk[MOST_TOKENS];
		memcpy(chunk, tokens + e.n_chunks * context, sizeof *chunk * (size_t)context);
		if (begin >= 0)
			chunk[0] = begin;
		tdm_toy_forward(toy, chunk, context, logits);
		for (int i = context / 2; i + 1 < context; i++)
			losses[e.n_counted++] = loss_at(logits + i * toy->n_vocab, toy->n_vocab, chunk[i + 1]);
	}
	for (int i = 0; i < e.n_counted; i++)
		sum += losses[i];
	for (int i = 0; i < e.n_counted; i++)
		squares += (losses[i] - sum / e.n_counted) * (losses[i] - sum / e.n_counted);
	e.value = exp(sum / e.n_counted);
	e.error = e.value * sqrt(squares / e.n_counted / (e.n_counted - 1));
	free(logits);
	return e;
}

static void check_context(const struct tdm_toy *toy, struct tdm_engine *e, const struct tdm_bytes *text, int context) {
	struct tdm_perplexity *p = NULL;
	struct expected expected = by_definition(toy, tdm_engine_vocab(e), text, context);
	assert_int_equal(tdm_perplexity_open(e, text->data, text->len, context, &p, &err), TDM_OK);
	struct tdm_perplexity_figures f = tdm_perplexity_figures(p);
	assert_int_equal(f.n_chunks, expected.n_chunks);
	assert_int_equal(f.n_counted, 0);
	while (f.n_done < f.n_chunks) {
		assert_int_equal(tdm_perplexity_next(p, &err), TDM_OK);
		f = tdm_perplexity_figures(p);
	}
	assert_int_equal(f.n_counted, expected.n_counted);
	assert_true(fabs(f.value / expected.value - 1) < 1e-4);
	assert_true(fabs(f.error / expected.error - 1) < 1e-3);
	assert_int_equal(tdm_perplexity_next(p, &err), TDM_EVALUE);
	tdm_perplexity_close(p);
	tdm_error_clear(&err);
}

static void figures_follow_the_definition(void **state) {
	static const int contexts[] = {4, 9, 64, 200};
	struct tdm_toy toy = TDM_TOY;
	struct tdm_bytes text;
	tdm_toy_make(&toy);
	make_text(&text, 420);
	struct tdm_engine *e = tdm_toy_open(&toy, NULL, 1);
	for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++)
		check_context(&toy, e, &text, contexts[i]);
	tdm_engine_close(e);
	tdm_bytes_release(&text);
	tdm_toy_free(&toy);
}

static void texts_that_are_too_short(void **state) {
	struct tdm_toy toy = TDM_TOY;
	struct tdm_perplexity *p = NULL;
	tdm_toy_make(&toy);
	struct tdm_engine *e = tdm_toy_open(&toy, NULL, 1);
	assert_int_equal(tdm_perplexity_open(e, "", 0, 16, &p, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "expected two chunks of 16 tokens or more"));
	tdm_error_clear(&err);
	assert_int_equal(tdm_perplexity_open(e, "t1t2t3", 6, 100000, &p, &err), TDM_EVALUE);
	tdm_engine_close(e);
	tdm_toy_free(&toy);
}

int tdm_test_perplexity(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(figures_follow_the_definition, clear),
	    cmocka_unit_test_setup(texts_that_are_too_short, clear),
	};
	return cmocka_run_group_tests_name("perplexity", tests, NULL, NULL);
}
