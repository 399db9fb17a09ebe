// Sequences: the same logits bit for bit however tokens are split, batched, forked or rewound, and unchanged after
// errors.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine/kernels.h"
#include "tests.h"
#include "toy.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 290, N_THREADS = 6 }; // beyond one block of 256 keys

struct fixture {
	struct tdm_toy toy;
	struct tdm_engine *e;
	int32_t tokens[N];
	float *expected; // [N][n_vocab], one token at a time
	float *hidden;
};

static struct tdm_seq *open_seq(struct tdm_engine *e) {
	struct tdm_seq *s = NULL;
	assert_int_equal(tdm_seq_open(e, &s, NULL), TDM_OK);
	return s;
}

static void fixture_make_with(struct fixture *f, uint32_t type, enum tdm_cache_type cache_type, const char *kernels,
                              int threads) {
	f->toy = (struct tdm_toy)TDM_TOY;
	f->toy.type = type;
	f->toy.cache_type = cache_type;
	f->toy.context = N + 10;
	tdm_toy_make(&f->toy);
	f->e = tdm_toy_open(&f->toy, kernels, threads);
	f->expected = malloc(sizeof(float) * (size_t)(N * f->toy.n_vocab));
	f->hidden = malloc(sizeof(float) * (size_t)(N * f->toy.width));
	struct tdm_seq *s = open_seq(f->e);
	for (int i = 0; i < N; i++) {
		f->tokens[i] = (i * 31 + i / 7) % f->toy.n_vocab;
		assert_int_equal(tdm_seq_eval(s, &f->tokens[i], 1, NULL, NULL, NULL), TDM_OK);
		memcpy(f->expected + i * f->toy.n_vocab, tdm_seq_logits(s, 0), sizeof(float) * (size_t)f->toy.n_vocab);
		memcpy(f->hidden + i * f->toy.width, tdm_seq_hidden(s, 0), sizeof(float) * (size_t)f->toy.width);
	}
	tdm_seq_close(s);
}

static void fixture_make(struct fixture *f, uint32_t type, const char *kernels, int threads) {
	fixture_make_with(f, type, TDM_CACHE_AUTO, kernels, threads);
}

static void fixture_free(struct fixture *f) {
	tdm_engine_close(f->e);
	tdm_toy_free(&f->toy);
	free(f->expected);
	free(f->hidden);
}

static bool row_is(const struct fixture *f, const struct tdm_seq *s, int row, int position) {
	return memcmp(tdm_seq_logits(s, row), f->expected + position * f->toy.n_vocab,
	              sizeof(float) * (size_t)f->toy.n_vocab) == 0 &&
	       memcmp(tdm_seq_hidden(s, row), f->hidden + position * f->toy.width, sizeof(float) * (size_t)f->toy.width) ==
	           0;
}

// Evaluates tokens[from..to) with all rows wanted and compares each.
static bool eval_is(const struct fixture *f, struct tdm_seq *s, int from, int to) {
	uint8_t wanted[N];
	memset(wanted, 1, sizeof wanted);
	if (tdm_seq_eval(s, f->tokens + from, to - from, wanted, NULL, NULL) != TDM_OK || tdm_seq_rows(s) != to - from)
		return false;
	for (int i = from; i < to; i++)
		if (!row_is(f, s, i - from, i))
			return false;
	return true;
}

static void splits_change_nothing(const struct fixture *f) {
	static const int sizes[] = {1, 7, 16, 65, N, 2, 3, 4, 5, 8, 9, 17, 63, 64, 150};
	for (size_t i = 0; i < (TDM_SANITIZED ? 5 : sizeof sizes / sizeof *sizes); i++) { // accesses need fewer
		struct tdm_seq *s = open_seq(f->e);
		for (int at = 0; at < N; at += sizes[i])
			if (!eval_is(f, s, at, at + sizes[i] < N ? at + sizes[i] : N))
				fail_msg("%s, type %u: pieces of %d tokens differ after %d", tdm_engine_info(f->e)->kernels,
				         f->toy.type, sizes[i], at);
		assert_int_equal(tdm_seq_length(s), N);
		tdm_seq_close(s);
	}
}

static void every_split(void **state) {
	static const uint32_t types[] = {TDM_F32, TDM_F16, TDM_Q8_0, TDM_F32};
	static const enum tdm_cache_type cache_types[] = {TDM_CACHE_AUTO, TDM_CACHE_AUTO, TDM_CACHE_AUTO, TDM_CACHE_Q8_0};
	const struct tdm_kernels *kernels;
	bool runs;
	for (size_t i = 0; (kernels = tdm_kernels_at(i, &runs)) && (!TDM_RACES || i == 0); i++) // races: one set does
		for (size_t j = 0; j < 4 && runs; j++) {
			struct fixture f;
			fixture_make_with(&f, types[j], cache_types[j], kernels->name, 1 + (int)j % 2);
			splits_change_nothing(&f);
			fixture_free(&f);
		}
}

static void wanted_rows(void **state) {
	struct fixture f;
	uint8_t wanted[20] = {0};
	fixture_make(&f, TDM_Q8_0, NULL, 1);
	struct tdm_seq *s = open_seq(f.e);
	wanted[3] = wanted[11] = 1;
	assert_int_equal(tdm_seq_eval(s, f.tokens, 20, wanted, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_seq_rows(s), 2);
	assert_true(row_is(&f, s, 0, 3) && row_is(&f, s, 1, 11));
	assert_null(tdm_seq_logits(s, 2));
	assert_int_equal(tdm_seq_eval(s, f.tokens + 20, 100, NULL, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_seq_rows(s), 1);
	assert_true(row_is(&f, s, 0, 119));
	memset(wanted, 0, sizeof wanted);
	assert_int_equal(tdm_seq_eval(s, f.tokens + 120, 5, wanted, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_seq_rows(s), 0);
	assert_int_equal(tdm_seq_length(s), 125);
	tdm_seq_close(s);
	fixture_free(&f);
}

// Wrong tokens are evaluated and taken back at every length around the borders of pages.
static void rewind_forgets(void **state) {
	struct fixture f;
	int32_t wrong[21];
	fixture_make_with(&f, TDM_Q8_0, TDM_CACHE_Q8_0, NULL, 1);
	struct tdm_seq *s = open_seq(f.e);
	for (int i = 0; i < 21; i++)
		wrong[i] = (f.tokens[i] + 5) % f.toy.n_vocab;
	for (int at = 0; at < 70; at += 5) {
		assert_true(eval_is(&f, s, at, at + 5));
		assert_int_equal(tdm_seq_eval(s, wrong, 1 + at % 21, NULL, NULL, NULL), TDM_OK);
		tdm_seq_rewind(s, at + 5);
		assert_int_equal(tdm_seq_rows(s), 0);
		assert_int_equal(tdm_seq_length(s), at + 5);
	}
	tdm_seq_rewind(s, 71); // longer than it is: nothing happens
	assert_int_equal(tdm_seq_length(s), 70);
	for (int length = 50; length >= 0; length -= 7) {
		tdm_seq_rewind(s, length);
		assert_true(eval_is(&f, s, length, length + 20));
	}
	tdm_seq_close(s);
	fixture_free(&f);
}

// A fork goes its own way, the original is untouched, and either may be closed first.
static void forks_are_independent(void **state) {
	struct fixture f;
	fixture_make_with(&f, TDM_F16, TDM_CACHE_Q8_0, NULL, 1);
	for (int length = 0; length < 40; length += 3) {
		struct tdm_seq *s = open_seq(f.e), *fork = NULL, *second = NULL;
		int32_t wrong[30] = {0};
		assert_true(length == 0 || eval_is(&f, s, 0, length));
		assert_int_equal(tdm_seq_fork(s, &fork, NULL), TDM_OK);
		assert_int_equal(tdm_seq_length(fork), length);
		assert_int_equal(tdm_seq_rows(fork), 0);
		assert_int_equal(tdm_seq_eval(fork, wrong, 30, NULL, NULL, NULL), TDM_OK);
		assert_true(eval_is(&f, s, length, length + 20));
		assert_int_equal(tdm_seq_fork(s, &second, NULL), TDM_OK);
		tdm_seq_rewind(fork, length);
		assert_true(eval_is(&f, fork, length, length + 25));
		tdm_seq_close(length % 2 ? s : fork);
		assert_true(eval_is(&f, second, length + 20, length + 60));
		tdm_seq_close(length % 2 ? fork : s);
		tdm_seq_close(second);
	}
	fixture_free(&f);
}

static void errors_leave_the_sequence(void **state) {
	struct fixture f;
	struct tdm_error err = {0};
	atomic_bool cancelled = true;
	fixture_make(&f, TDM_Q8_0, NULL, 1);
	struct tdm_seq *s = open_seq(f.e);
	assert_true(eval_is(&f, s, 0, 10));
	int32_t many[N + 11] = {0};
	assert_int_equal(tdm_seq_eval(s, many, N + 1, NULL, NULL, &err), TDM_ECONTEXT);
	assert_non_null(strstr(err.text, "do not fit the context of 300 tokens"));
	assert_int_equal(tdm_seq_rows(s), 0);
	assert_int_equal(tdm_seq_length(s), 10);
	err = (struct tdm_error){0};
	assert_int_equal(tdm_seq_eval(s, many, 0, NULL, NULL, &err), TDM_EVALUE);
	many[1] = f.toy.n_vocab;
	err = (struct tdm_error){0};
	assert_int_equal(tdm_seq_eval(s, many, 2, NULL, NULL, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "outside the vocabulary"));
	err = (struct tdm_error){0};
	assert_int_equal(tdm_seq_eval(s, f.tokens, 200, NULL, &cancelled, &err), TDM_EGONE);
	assert_int_equal(err.status, TDM_EGONE);
	assert_int_equal(tdm_seq_length(s), 10);
	assert_int_equal(tdm_seq_rows(s), 0);
	assert_null(tdm_seq_logits(s, 0));
	assert_true(eval_is(&f, s, 10, 40));
	atomic_store(&cancelled, false);
	assert_int_equal(tdm_seq_eval(s, f.tokens + 40, N - 40, NULL, &cancelled, NULL), TDM_OK);
	assert_true(row_is(&f, s, 0, N - 1));
	assert_int_equal(tdm_seq_eval(s, many + 2, 10, NULL, NULL, NULL), TDM_OK); // exactly full
	assert_int_equal(tdm_seq_eval(s, many + 2, 1, NULL, NULL, NULL), TDM_ECONTEXT);
	tdm_seq_close(s);
	fixture_free(&f);
}

struct worker {
	const struct fixture *f;
	int index;
	bool is_right;
};

static void *work(void *arg) {
	struct worker *w = arg;
	struct tdm_seq *s = open_seq(w->f->e), *fork = NULL;
	int step = 1 + w->index * 2, at = 0;
	w->is_right = true;
	for (; at + step <= N; at += step) {
		w->is_right = w->is_right && eval_is(w->f, s, at, at + step);
		if (at % 5 == 0 && at + step > 3) {
			tdm_seq_rewind(s, at + step - 3);
			w->is_right = w->is_right && eval_is(w->f, s, at + step - 3, at + step);
		}
	}
	w->is_right = w->is_right && tdm_seq_fork(s, &fork, NULL) == TDM_OK;
	tdm_seq_close(s);
	tdm_seq_rewind(fork, 30);
	w->is_right = w->is_right && eval_is(w->f, fork, 30, 130);
	tdm_seq_close(fork);
	return NULL;
}

static void concurrent_is_serial(void **state) {
	for (int threads = 1; threads <= 2; threads++) {
		struct fixture f;
		struct worker workers[N_THREADS];
		pthread_t ids[N_THREADS];
		fixture_make(&f, TDM_Q8_0, NULL, threads);
		for (int i = 0; i < N_THREADS; i++) {
			workers[i] = (struct worker){&f, i, false};
			assert_int_equal(pthread_create(&ids[i], NULL, work, &workers[i]), 0);
		}
		for (int i = 0; i < N_THREADS; i++) {
			pthread_join(ids[i], NULL);
			assert_true(workers[i].is_right);
		}
		fixture_free(&f);
	}
}

// Some callers give up at any moment; the others' rows stay exact.
struct canceller {
	const struct fixture *f;
	atomic_bool cancelled, is_over;
	int n_gone, n_wrong;
};

static void *evaluate_for_ever(void *arg) {
	struct canceller *c = arg;
	struct tdm_seq *s = open_seq(c->f->e);
	bool is_last;
	do { // the last time, `cancelled` has been set before
		is_last = atomic_load(&c->is_over);
		int status = tdm_seq_eval(s, c->f->tokens, 200, NULL, &c->cancelled, NULL);
		if (status == TDM_EGONE && tdm_seq_length(s) == 0)
			c->n_gone++;
		else if (status != TDM_OK || !row_is(c->f, s, 0, 199))
			c->n_wrong++;
		tdm_seq_rewind(s, 0);
	} while (!is_last);
	tdm_seq_close(s);
	return NULL;
}

static void cancelling_beside_others(void **state) {
	struct fixture f;
	pthread_t id;
	fixture_make(&f, TDM_Q8_0, NULL, 1);
	struct canceller c = {.f = &f};
	assert_int_equal(pthread_create(&id, NULL, evaluate_for_ever, &c), 0);
	for (int round = 0; round < 30; round++) {
		struct tdm_seq *s = open_seq(f.e);
		for (int at = 0; at < 60; at += 6) {
			atomic_store(&c.cancelled, at % 12 == 0);
			assert_true(eval_is(&f, s, at, at + 6));
		}
		tdm_seq_close(s);
	}
	atomic_store(&c.cancelled, true);
	atomic_store(&c.is_over, true);
	pthread_join(id, NULL);
	assert_true(c.n_gone > 0);
	assert_int_equal(c.n_wrong, 0);
	fixture_free(&f);
}

int tdm_test_seq(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_split),
	    cmocka_unit_test(wanted_rows),
	    cmocka_unit_test(rewind_forgets),
	    cmocka_unit_test(forks_are_independent),
	    cmocka_unit_test(concurrent_is_serial),
	    cmocka_unit_test(errors_leave_the_sequence),
	    cmocka_unit_test(cancelling_beside_others),
	};
	return cmocka_run_group_tests_name("seq", tests, NULL, NULL);
}
