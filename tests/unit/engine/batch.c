// Who waits for whom: a short prompt not for a long one, a long one not for ever; engines take turns; no row changes.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine/batch.h"
#include "engine/cores.h"
#include "tests.h"
#include "toy.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 2000, SHORT = 16, N_SHORT = 3 };

struct scene {
	struct tdm_toy toy;
	struct tdm_engine *e;
	int32_t tokens[N];
	float *alone, *alone_short; // the last rows, computed when nothing else ran
	atomic_bool is_read;
};

static float *row_alone(struct scene *s, int n) {
	size_t bytes = (size_t)s->toy.n_vocab * sizeof(float);
	struct tdm_seq *seq;
	float *row = malloc(bytes);
	assert_int_equal(tdm_seq_open(s->e, &seq, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval(seq, s->tokens, n, NULL, NULL, NULL), TDM_OK);
	memcpy(row, tdm_seq_logits(seq, 0), bytes);
	tdm_seq_close(seq);
	return row;
}

static void set_scene(struct scene *s) {
	memset(s, 0, sizeof *s);
	s->toy = (struct tdm_toy)TDM_TOY;
	s->toy.context = N;
	tdm_toy_make(&s->toy);
	s->e = tdm_toy_open(&s->toy, NULL, 2);
	for (int i = 0; i < N; i++)
		s->tokens[i] = (i * 29 + i / 11) % s->toy.n_vocab;
	s->alone = row_alone(s, N);
	s->alone_short = row_alone(s, SHORT);
}

static void clear_scene(struct scene *s) {
	free(s->alone);
	free(s->alone_short);
	tdm_engine_close(s->e);
	tdm_toy_free(&s->toy);
}

static void *read_long(void *arg) {
	struct scene *s = arg;
	struct tdm_seq *seq;
	bool same = tdm_seq_open(s->e, &seq, NULL) == TDM_OK;
	same = same && tdm_seq_eval(seq, s->tokens, N, NULL, NULL, NULL) == TDM_OK &&
	       memcmp(tdm_seq_logits(seq, 0), s->alone, (size_t)s->toy.n_vocab * sizeof(float)) == 0;
	atomic_store(&s->is_read, true);
	tdm_seq_close(seq);
	return same ? arg : NULL;
}

static uint64_t n_passes(struct tdm_engine *e) {
	pthread_mutex_lock(&e->lock);
	uint64_t n = e->n_passes;
	pthread_mutex_unlock(&e->lock);
	return n;
}

// Does a short prompt get the row that it has alone?
static bool ask_short(struct scene *s) {
	struct tdm_seq *seq;
	assert_int_equal(tdm_seq_open(s->e, &seq, NULL), TDM_OK);
	bool same = tdm_seq_eval(seq, s->tokens, SHORT, NULL, NULL, NULL) == TDM_OK &&
	            memcmp(tdm_seq_logits(seq, 0), s->alone_short, (size_t)s->toy.n_vocab * sizeof(float)) == 0;
	tdm_seq_close(seq);
	return same;
}

static bool is_idle(struct tdm_engine *e) {
	pthread_mutex_lock(&e->lock);
	bool idle = !e->first;
	pthread_mutex_unlock(&e->lock);
	return idle;
}

// Has a short prompt its answer while a long one, which began before it, is still being read?
static bool overtakes(struct scene *s) {
	pthread_t reader;
	void *same;
	bool is_first = false;
	atomic_store(&s->is_read, false);
	assert_int_equal(pthread_create(&reader, NULL, read_long, s), 0);
	while (is_idle(s->e) && !atomic_load(&s->is_read))
		usleep(10);
	for (int i = 0; i < 4 && !is_first; i++) {
		assert_true(ask_short(s));
		is_first = !is_idle(s->e);
	}
	pthread_join(reader, &same);
	assert_non_null(same);
	return is_first;
}

static void short_prompts_do_not_wait(void **state) {
	struct scene s;
	bool is_first = false;
	set_scene(&s);
	for (int i = 0; i < 50 && !is_first; i++) // the long one may be over before this thread is there
		is_first = overtakes(&s);
	assert_true(is_first);
	clear_scene(&s);
}

static void *ask_often(void *arg) {
	struct scene *s = arg;
	bool same = true;
	while (!atomic_load(&s->is_read))
		same = same && ask_short(s);
	return same ? arg : NULL;
}

static void long_prompts_are_read(void **state) {
	struct scene s;
	pthread_t reader, askers[N_SHORT];
	void *same;
	set_scene(&s);
	uint64_t before = n_passes(s.e);
	for (int i = 0; i < N_SHORT; i++)
		assert_int_equal(pthread_create(&askers[i], NULL, ask_often, &s), 0);
	assert_int_equal(pthread_create(&reader, NULL, read_long, &s), 0);
	pthread_join(reader, &same);
	assert_non_null(same);
	for (int i = 0; i < N_SHORT; i++) {
		pthread_join(askers[i], &same);
		assert_non_null(same);
	}
	assert_int_equal(atomic_load(&s.e->n_urgent), 0);
	assert_true(n_passes(s.e) > before + N / TDM_MAX_ROWS);
	clear_scene(&s);
}

// --- a long prompt beside a running answer: few rows of the pass, in the same pass

struct part {
	struct scene *s;
	struct tdm_seq *seq;
	int n;
	pthread_t thread;
};

static void *eval_part(void *arg) {
	struct part *p = arg;
	bool is_right = tdm_seq_eval(p->seq, p->s->tokens, p->n, NULL, NULL, NULL) == TDM_OK;
	return is_right ? arg : NULL;
}

static int n_waiting(struct tdm_engine *e) {
	int n = 0;
	pthread_mutex_lock(&e->lock);
	for (const struct tdm_request *r = e->first; r; r = r->next)
		n++;
	pthread_mutex_unlock(&e->lock);
	return n;
}

// Nobody runs a pass while `is`.
static void hold_passes(struct tdm_engine *e, bool is) {
	pthread_mutex_lock(&e->lock);
	e->is_running = is;
	if (!is && e->first)
		pthread_cond_signal(&e->first->turn);
	pthread_mutex_unlock(&e->lock);
}

// The number of passes for requests of so many tokens that are all there before the first pass.
static uint64_t passes_for(struct scene *s, const int *n_tokens, int n) {
	struct part parts[4];
	void *right;
	uint64_t before = n_passes(s->e);
	hold_passes(s->e, true);
	for (int i = 0; i < n; i++) {
		parts[i] = (struct part){.s = s, .n = n_tokens[i]};
		assert_int_equal(tdm_seq_open(s->e, &parts[i].seq, NULL), TDM_OK);
		assert_int_equal(pthread_create(&parts[i].thread, NULL, eval_part, &parts[i]), 0);
	}
	while (n_waiting(s->e) < n)
		usleep(50);
	hold_passes(s->e, false);
	for (int i = 0; i < n; i++) {
		pthread_join(parts[i].thread, &right);
		assert_non_null(right);
		tdm_seq_close(parts[i].seq);
	}
	return n_passes(s->e) - before;
}

static void answers_run_on_beside_long_prompts(void **state) {
	struct scene s;
	const int most = TDM_MAX_ROWS - 1;
	set_scene(&s);
	assert_int_equal(passes_for(&s, (const int[]){most}, 1), 1);
	assert_int_equal(passes_for(&s, (const int[]){most, 1}, 2), 2); // 16 of the prompt and the step, then the rest
	assert_int_equal(passes_for(&s, (const int[]){1, 1, 1}, 3), 1);
	clear_scene(&s);
}

// --- cores: all come to their turns, also who wants all of them, and nobody has one too many

struct holder {
	atomic_int *in_use, *most;
	int n_threads;
};

static void *hold(void *arg) {
	struct holder *h = arg;
	for (int turn = 0; turn < 50; turn++) {
		int n = tdm_cores_take(h->n_threads), now = atomic_fetch_add(h->in_use, n) + n;
		for (int most = atomic_load(h->most); now > most && !atomic_compare_exchange_weak(h->most, &most, now);)
			;
		usleep(100);
		atomic_fetch_sub(h->in_use, n);
		tdm_cores_give(n);
	}
	return NULL;
}

static void cores_are_taken_in_turn(void **state) {
	pthread_t threads[4];
	struct holder holders[4];
	atomic_int in_use = 0, most = 0;
	int limit = tdm_cores_take(1 << 20); // all of them
	tdm_cores_give(limit);
	for (int i = 0; i < 4; i++) {
		holders[i] = (struct holder){&in_use, &most, i % 2 ? 1 : 1 << 20};
		assert_int_equal(pthread_create(&threads[i], NULL, hold, &holders[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(limit >= 1 && atomic_load(&most) <= limit);
}

int tdm_test_batch(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(short_prompts_do_not_wait),
	    cmocka_unit_test(long_prompts_are_read),
	    cmocka_unit_test(answers_run_on_beside_long_prompts),
	    cmocka_unit_test(cores_are_taken_in_turn),
	};
	return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
