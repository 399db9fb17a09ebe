// Windows: models some or all of whose layers see only the last tokens. Pages behind every window that can still ask
// for them are given up, and no answer can tell: whatever is evaluated, taken back, forked, remembered or forgotten,
// logits are those of the same tokens where nothing was given up, to the last bit.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../tools/family_model.h"
#include "base/random.h"
#include "engine/batch.h"
#include "tests.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 1000, N_THREADS = 4, MOST_PIECE = 300 };

struct fixture {
	char path[96];
	struct tdm_engine *e;
	int n_vocab;
	int32_t tokens[N];
	float *expected; // [N][n_vocab], where nothing is given up
};

static struct tdm_engine *open_engine(const struct fixture *f, size_t cache_pages) {
	struct tdm_engine_options o = {.threads = 1};
	struct tdm_engine *e = NULL;
	assert_int_equal(tdm_engine_open(f->path, &o, &e, NULL), TDM_OK);
	if (!cache_pages)
		return e;
	o.cache_bytes = cache_pages * e->cache.page_bytes;
	tdm_engine_close(e);
	assert_int_equal(tdm_engine_open(f->path, &o, &e, NULL), TDM_OK);
	return e;
}

static struct tdm_seq *open_seq(struct tdm_engine *e) {
	struct tdm_seq *s = NULL;
	assert_int_equal(tdm_seq_open(e, &s, NULL), TDM_OK);
	return s;
}

static void make(struct fixture *f, const char *recipe) {
	static int count;
	static uint8_t wanted[N];
	struct tdm_error err = {0};
	*f = (struct fixture){0};
	snprintf(f->path, sizeof f->path, "/tmp/tdm-window-%d-%d.gguf", (int)getpid(), count++);
	if (tdm_family_model_write(
	        recipe, &(struct tdm_family_model_options){.type = TDM_Q8_0, .seed = 3, .context = N + 10}, f->path, &err))
		fail_msg("%s", err.text);
	struct tdm_engine *e = open_engine(f, 0);
	f->n_vocab = tdm_engine_info(e)->n_vocab;
	for (int i = 0; i < N; i++)
		f->tokens[i] = (i * 37 + i / 11) % f->n_vocab;
	memset(wanted, 1, sizeof wanted);
	f->expected = malloc(sizeof(float) * N * (size_t)f->n_vocab);
	e->cache.behind = N;
	struct tdm_seq *s = open_seq(e);
	for (int at = 0; at < N; at += 100) {
		assert_int_equal(tdm_seq_eval(s, f->tokens + at, 100, wanted, NULL, NULL), TDM_OK);
		for (int i = 0; i < 100; i++)
			memcpy(f->expected + (size_t)(at + i) * (size_t)f->n_vocab, tdm_seq_logits(s, i),
			       sizeof(float) * (size_t)f->n_vocab);
	}
	assert_int_equal(s->pages.first, 0);
	tdm_seq_close(s);
	tdm_engine_close(e);
	f->e = open_engine(f, 0);
}

static void clear(struct fixture *f) {
	tdm_engine_close(f->e);
	unlink(f->path);
	free(f->expected);
}

static bool row_is(const struct fixture *f, const struct tdm_seq *s, int row, int position) {
	return memcmp(tdm_seq_logits(s, row), f->expected + (size_t)position * (size_t)f->n_vocab,
	              sizeof(float) * (size_t)f->n_vocab) == 0;
}

static bool eval_is(const struct fixture *f, struct tdm_seq *s, int from, int to) {
	uint8_t wanted[N];
	memset(wanted, 1, sizeof wanted);
	if (tdm_seq_eval(s, f->tokens + from, to - from, wanted, NULL, NULL) != TDM_OK || tdm_seq_rows(s) != to - from)
		return false;
	for (int i = from; i < to; i++)
		if (!row_is(f, s, i - from, i))
			return false;
	return tdm_seq_length(s) == to;
}

static const char *const recipes[] = {"llama-window", "gemma2", "gemma3", "gemma2-27b"};
// Where only races are looked for, one recipe: the threads are the same with all of them.
#define ONE_OF(recipe) (TDM_RACES ? recipes[0] : (recipe)) // likewise
enum { N_RECIPES = TDM_RACES ? 1 : sizeof recipes / sizeof *recipes, N_FEW = TDM_RACES ? 1 : 3 };

// Windowed pages of a sequence at any time: window and what stays behind it, the rest of a block of keys, one piece.
static int most_windowed(const struct tdm_cache *c) {
	return (c->window + c->behind + TDM_KEY_BLOCK + 256) / TDM_PAGE_TOKENS + 3;
}

static void pieces_change_nothing(void **state) {
	static const int pieces[] = {1, 17, 64, 250, N};
	for (int r = 0; r < N_RECIPES; r++) {
		struct fixture f;
		make(&f, recipes[r]);
		const struct tdm_cache *c = &f.e->cache;
		int most = (N / TDM_PAGE_TOKENS + 1) * c->n_whole + most_windowed(c) * (c->n_groups - c->n_whole);
		assert_true(c->window > 0 && c->n_groups <= TDM_MOST_GROUPS);
		for (size_t i = TDM_SANITIZED ? 2 : 0; i < sizeof pieces / sizeof *pieces; i++) {
			struct tdm_seq *s = open_seq(f.e);
			for (int at = 0; at < N; at += pieces[i])
				if (!eval_is(&f, s, at, at + pieces[i] < N ? at + pieces[i] : N))
					fail_msg("%s: pieces of %d tokens differ after %d", recipes[r], pieces[i], at);
			assert_true(s->pages.first > 0);
			tdm_seq_close(s);
			assert_in_range(c->n_pages, 1, most);
		}
		assert_true(most < (N / TDM_PAGE_TOKENS + 1) * c->n_groups);
		clear(&f);
	}
}

// Far and near, to every place of a page and a block; what was lost is computed again when it is needed.
static void rewinds_are_exact(void **state) {
	for (int r = 0; r < N_RECIPES; r++) {
		struct fixture f;
		struct tdm_rng rng;
		int length = 0, n_lost = 0;
		make(&f, recipes[r]);
		tdm_rng_init(&rng, 7);
		struct tdm_seq *s = open_seq(f.e);
		for (int i = 0; i < (TDM_SANITIZED ? 20 : 60); i++) {
			int far = i % 3 ? 200 : N, back = (int)(tdm_rng_below(&rng, (uint64_t)far));
			int to = length + 1 + (int)(tdm_rng_below(&rng, MOST_PIECE));
			to = to < N ? to : N;
			if (length < to && !eval_is(&f, s, length, to))
				fail_msg("%s: %d to %d", recipes[r], length, to);
			length = back < to ? to - back : to;
			tdm_seq_rewind(s, length);
			assert_int_equal(tdm_seq_length(s), length);
			n_lost += s->n_held < length;
		}
		assert_true(n_lost > 2);
		tdm_seq_close(s);
		clear(&f);
	}
}

static void short_rewinds_lose_nothing(void **state) {
	struct fixture f;
	make(&f, ONE_OF("gemma3"));
	struct tdm_seq *s = open_seq(f.e);
	for (int length = 0; length + 40 <= N; length += 40) {
		assert_true(eval_is(&f, s, length, length + 40));
		tdm_seq_rewind(s, length + 40 > TDM_BEHIND ? length + 40 - TDM_BEHIND : 0);
		assert_int_equal(s->n_held, tdm_seq_length(s));
		assert_true(eval_is(&f, s, tdm_seq_length(s), length + 40));
	}
	tdm_seq_close(s);
	clear(&f);
}

// Cancelled while what was lost is computed: the sequence is as it was, and goes on later.
static void a_cancelled_return_can_be_repeated(void **state) {
	struct fixture f;
	atomic_bool cancelled = true;
	struct tdm_error err = {0};
	make(&f, ONE_OF("gemma2"));
	struct tdm_seq *s = open_seq(f.e), *fork = NULL;
	assert_true(eval_is(&f, s, 0, 900));
	tdm_seq_rewind(s, 500);
	assert_int_equal(s->n_held, 0);
	assert_int_equal(tdm_seq_eval(s, f.tokens + 500, 5, NULL, &cancelled, &err), TDM_EGONE);
	assert_int_equal(tdm_seq_eval_tree(s, f.tokens + 500, (int[]){-1, 0}, 2, &cancelled, NULL), TDM_EGONE);
	assert_int_equal(tdm_seq_length(s), 500);
	assert_int_equal(tdm_seq_fork(s, &fork, NULL), TDM_OK); // of a sequence that holds nothing
	assert_int_equal(tdm_seq_length(fork), 500);
	assert_true(eval_is(&f, s, 500, 800));
	tdm_seq_rewind(fork, 490);
	assert_int_equal(tdm_seq_eval_tree(fork, f.tokens + 490, (int[]){-1, 0, -1}, 3, NULL, NULL), TDM_OK);
	assert_true(row_is(&f, fork, 0, 490) && row_is(&f, fork, 1, 491));
	tdm_seq_keep(fork, 1);
	assert_true(eval_is(&f, fork, 492, 520));
	assert_int_equal(tdm_seq_eval(s, f.tokens, N, NULL, &cancelled, NULL), TDM_ECONTEXT);
	assert_int_equal(tdm_seq_eval(s, f.tokens + 800, 200, NULL, &cancelled, NULL), TDM_EGONE);
	assert_true(eval_is(&f, s, 800, N));
	tdm_seq_close(s);
	tdm_seq_close(fork);
	clear(&f);
}

static void forks_keep_what_they_need(void **state) {
	for (int r = 0; r < N_FEW; r++) {
		struct fixture f;
		make(&f, recipes[r]);
		for (int at = 210; at <= 490; at += 70) {
			struct tdm_seq *s = open_seq(f.e), *fork = NULL;
			assert_true(eval_is(&f, s, 0, at));
			assert_int_equal(tdm_seq_fork(s, &fork, NULL), TDM_OK);
			assert_true(eval_is(&f, s, at, N)); // gives up pages that the fork goes on to use
			assert_true(eval_is(&f, fork, at, at + 20));
			tdm_seq_rewind(fork, at - 60);
			assert_int_equal(fork->n_held, at - 60);
			assert_true(eval_is(&f, fork, at - 60, at + 100));
			tdm_seq_close(at % 140 ? s : fork);
			s = at % 140 ? fork : s;
			int length = tdm_seq_length(s);
			tdm_seq_rewind(s, length - 80);
			assert_true(eval_is(&f, s, length - 80, length));
			tdm_seq_close(s);
		}
		clear(&f);
	}
}

static int prompt_is(const struct fixture *f, struct tdm_engine *e, int n) {
	struct tdm_seq *s = open_seq(e);
	int reused = -1;
	assert_int_equal(tdm_seq_prompt(s, "a", f->tokens, n, NULL, &reused, NULL), TDM_OK);
	assert_true(row_is(f, s, 0, n - 1));
	assert_true(n + 40 > N || eval_is(f, s, n, n + 40));
	tdm_seq_close(s);
	return reused;
}

// What has been given up by its sequence is still remembered, while there is room.
static void prefixes_are_taken_over(void **state) {
	for (int r = 0; r < N_FEW; r++) {
		struct fixture f;
		make(&f, recipes[r]);
		assert_int_equal(prompt_is(&f, f.e, 950), 0);
		assert_int_equal(prompt_is(&f, f.e, 950), 944);
		assert_int_equal(prompt_is(&f, f.e, 120), 112);
		assert_int_equal(prompt_is(&f, f.e, 600), 592);
		struct tdm_seq *s = open_seq(f.e);
		assert_int_equal(tdm_seq_prompt(s, "a", f.tokens, 950, NULL, NULL, NULL), TDM_OK);
		tdm_seq_rewind(s, 400); // far behind the window: taken over, not computed
		uint64_t n_passes = f.e->n_passes;
		assert_true(eval_is(&f, s, 400, 430));
		assert_int_equal(f.e->n_passes, n_passes + 1);
		tdm_seq_close(s);
		clear(&f);
	}
}

// Pages of windows are forgotten one by one; a beginning is taken over as far as its last window is there, and what was
// computed again is remembered again.
static void forgotten_windows_are_filled_again(void **state) {
	for (int r = 0; r < N_FEW; r++) {
		struct fixture f;
		make(&f, recipes[r]);
		struct tdm_prefix *p = &f.e->cache.prefix;
		bool has_whole = f.e->cache.n_whole > 0;
		struct tdm_seq *s = open_seq(f.e);
		assert_int_equal(tdm_seq_prompt(s, "a", f.tokens, 950, NULL, NULL, NULL), TDM_OK);
		size_t n = p->n;
		for (int i = 0; i < 20; i++) // the sequence uses the others
			assert_true(tdm_prefix_evict(p));
		assert_int_equal(p->n, n);
		assert_int_equal(prompt_is(&f, f.e, 200), 0); // its window is gone
		assert_int_equal(prompt_is(&f, f.e, 200), 192);
		assert_int_equal(prompt_is(&f, f.e, 300), 192 + 16 * (240 / 16 - 12));
		while (tdm_prefix_evict(p))
			;
		assert_int_equal(p->n, n);
		assert_int_equal(prompt_is(&f, f.e, 950), 944); // a whole window is in use
		tdm_seq_close(s);
		while (tdm_prefix_evict(p))
			;
		assert_true(has_whole ? p->n == 0 : p->n >= n); // without pages, what is known of a beginning stays
		assert_int_equal(prompt_is(&f, f.e, 950), 0);
		assert_int_equal(prompt_is(&f, f.e, 950), 944);
		clear(&f);
	}
}

// Under a limit that holds windows and not all: long sessions, one after the other and beside each other.
static void a_limit_holds_windows(void **state) {
	for (int r = 0; r < N_FEW; r++) {
		struct fixture f;
		make(&f, recipes[r]);
		const struct tdm_cache *c = &f.e->cache;
		int whole = (N / TDM_PAGE_TOKENS + 1) * c->n_whole, windowed = most_windowed(c) * (c->n_groups - c->n_whole);
		struct tdm_engine *e = open_engine(&f, (size_t)(2 * (whole + windowed)));
		for (int i = 0; i < 6; i++) {
			struct tdm_seq *a = open_seq(e), *b = open_seq(e);
			assert_int_equal(tdm_seq_prompt(a, "a", f.tokens, 900 - 16 * i, NULL, NULL, NULL), TDM_OK);
			assert_int_equal(tdm_seq_prompt(b, i % 2 ? "a" : "b", f.tokens, 700, NULL, NULL, NULL), TDM_OK);
			assert_true(eval_is(&f, a, 900 - 16 * i, N) && eval_is(&f, b, 700, N));
			tdm_seq_close(a);
			tdm_seq_close(b);
			assert_true(e->cache.n_pages <= e->cache.limit_pages);
			assert_true(e->cache.prefix.n <= e->cache.prefix.most);
		}
		struct tdm_seq *s = open_seq(e), *second = open_seq(e);
		e->cache.behind = N; // as if nothing was given up: then it does not hold two
		assert_true(eval_is(&f, s, 0, N));
		assert_int_equal(tdm_seq_eval(second, f.tokens, N, NULL, NULL, NULL), TDM_ENOMEM);
		assert_int_equal(tdm_seq_length(second), 0);
		tdm_seq_close(s);
		tdm_seq_close(second);
		tdm_engine_close(e);
		clear(&f);
	}
}

struct worker {
	const struct fixture *f;
	int index, n_wrong;
};

static void *work(void *arg) {
	struct worker *w = arg;
	struct tdm_rng rng;
	tdm_rng_init(&rng, (uint64_t)w->index + 1);
	for (int i = 0; i < (TDM_SANITIZED ? 2 : 4); i++) {
		struct tdm_seq *s = open_seq(w->f->e), *fork = NULL;
		int n = 400 + (int)(tdm_rng_below(&rng, 300));
		w->n_wrong += tdm_seq_prompt(s, "a", w->f->tokens, n, NULL, NULL, NULL) != TDM_OK || !row_is(w->f, s, 0, n - 1);
		w->n_wrong += tdm_seq_fork(s, &fork, NULL) != TDM_OK || !eval_is(w->f, s, n, n + 250);
		tdm_seq_rewind(fork, (int)(tdm_rng_below(&rng, (uint64_t)n)));
		w->n_wrong += !eval_is(w->f, fork, tdm_seq_length(fork), n + 10);
		tdm_seq_close(s);
		tdm_seq_close(fork);
	}
	return NULL;
}

static void threads_share_windows(void **state) {
	struct fixture f;
	struct worker workers[N_THREADS];
	pthread_t threads[N_THREADS];
	make(&f, ONE_OF("gemma2"));
	size_t limit = (size_t)(N_THREADS * 2 * (N / TDM_PAGE_TOKENS + 1) * f.e->cache.n_groups * 3 / 4);
	tdm_engine_close(f.e);
	f.e = open_engine(&f, limit);
	for (int i = 0; i < N_THREADS; i++) {
		workers[i] = (struct worker){&f, i, 0};
		pthread_create(&threads[i], NULL, work, &workers[i]);
	}
	for (int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].n_wrong, 0);
	}
	clear(&f);
}

// Groups: no layer is lost, all that see everything come first, and little memory is unused.
static void layers_find_their_places(void **state) {
	static const struct {
		int n_layers, period;
	} shapes[] = {{26, 2}, {42, 2}, {46, 2}, {18, 6}, {26, 6}, {34, 6},
	              {48, 6}, {62, 6}, {7, 6},  {3, 6},  {1, 2},  {32, 9999}};
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		static struct tdm_cache c;
		static struct tdm_weights w;
		int n_layers = shapes[i].n_layers;
		w.shape = (struct tdm_shape){
		    .n_layers = n_layers, .n_kv_heads = 1, .head_dim = 16, .window = 100, .window_period = shapes[i].period};
		w.cache_type = TDM_F16;
		tdm_cache_init(&c, &w, 1000, 0);
		int places = (int)(c.page_bytes / c.head_bytes);
		assert_in_range(c.n_groups, 1, TDM_MOST_GROUPS);
		assert_true(c.n_groups * places <= n_layers * 9 / 8 + 1);
		for (int l = 0; l < n_layers; l++) {
			assert_true(c.places[l].index < places && c.places[l].group < c.n_groups);
			assert_int_equal(c.places[l].group >= c.n_whole, tdm_has_window(&w.shape, l));
			for (int other = 0; other < l; other++)
				assert_true(memcmp(&c.places[l], &c.places[other], sizeof *c.places) != 0);
		}
		tdm_cache_release(&c);
		tdm_cache_init(&c, &w, 100, 0); // a sequence never outgrows the window
		assert_true(c.n_groups == 1 && c.window == 0);
		tdm_cache_release(&c);
	}
}

int tdm_test_window(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pieces_change_nothing),
	    cmocka_unit_test(rewinds_are_exact),
	    cmocka_unit_test(short_rewinds_lose_nothing),
	    cmocka_unit_test(a_cancelled_return_can_be_repeated),
	    cmocka_unit_test(forks_keep_what_they_need),
	    cmocka_unit_test(prefixes_are_taken_over),
	    cmocka_unit_test(forgotten_windows_are_filled_again),
	    cmocka_unit_test(a_limit_holds_windows),
	    cmocka_unit_test(threads_share_windows),
	    cmocka_unit_test(layers_find_their_places),
	};
	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
