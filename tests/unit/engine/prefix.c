// Prefixes: what a sequence takes over is bit for bit what it would have computed, of its own tenant alone, and makes
// room when the cache is full.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/batch.h"
#include "tests.h"
#include "toy.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { N = 100, N_THREADS = 4, ROUNDS = 60 };

struct fixture {
	struct tdm_toy toy;
	struct tdm_engine *e;
	int32_t tokens[N];
};

static void make(struct fixture *f, size_t cache_pages) {
	struct tdm_engine_options o = {.threads = 1};
	f->toy = (struct tdm_toy)TDM_TOY;
	f->toy.context = N + 60;
	tdm_toy_make(&f->toy);
	f->e = tdm_toy_open(&f->toy, NULL, 1);
	o.cache_bytes = cache_pages * f->e->cache.page_bytes;
	if (cache_pages) {
		tdm_engine_close(f->e);
		assert_int_equal(tdm_engine_open(f->toy.path, &o, &f->e, NULL), TDM_OK);
	}
	for (int i = 0; i < N; i++)
		f->tokens[i] = (i * 31 + i / 7) % f->toy.n_vocab;
}

static void clear(struct fixture *f) {
	tdm_engine_close(f->e);
	tdm_toy_free(&f->toy);
}

// The logits after tokens[0..n), from a sequence without a past.
static float *fresh(const struct fixture *f, const int32_t *tokens, int n) {
	struct tdm_seq *s;
	float *out = malloc(sizeof(float) * (size_t)f->toy.n_vocab);
	assert_int_equal(tdm_seq_open(f->e, &s, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval(s, tokens, n, NULL, NULL, NULL), TDM_OK);
	memcpy(out, tdm_seq_logits(s, 0), sizeof(float) * (size_t)f->toy.n_vocab);
	tdm_seq_close(s);
	return out;
}

static void check_prompt(const struct fixture *f, const char *tenant, const int32_t *tokens, int n, int expected) {
	struct tdm_seq *s;
	int reused = -1;
	float *logits = fresh(f, tokens, n);
	assert_int_equal(tdm_seq_open(f->e, &s, NULL), TDM_OK);
	assert_int_equal(tdm_seq_prompt(s, tenant, tokens, n, NULL, &reused, NULL), TDM_OK);
	assert_int_equal(reused, expected);
	assert_int_equal(tdm_seq_length(s), n);
	assert_memory_equal(tdm_seq_logits(s, 0), logits, sizeof(float) * (size_t)f->toy.n_vocab);
	tdm_seq_close(s);
	free(logits);
}

static void pages_are_taken_over(void **state) {
	struct fixture f;
	make(&f, 0);
	check_prompt(&f, "a", f.tokens, N, 0);
	check_prompt(&f, "a", f.tokens, N, 96);
	check_prompt(&f, "a", f.tokens, 96, 80); // one token at least is computed
	check_prompt(&f, "a", f.tokens, 15, 0);
	check_prompt(&f, "b", f.tokens, N, 0); // another tenant
	check_prompt(&f, NULL, f.tokens, N, 0);
	check_prompt(&f, "", f.tokens, N, 0); // an empty name is a name
	check_prompt(&f, NULL, f.tokens, N, 96);
	f.tokens[40]++; // the third page differs: what follows belongs to another beginning
	check_prompt(&f, "a", f.tokens, N, 32);
	check_prompt(&f, "a", f.tokens, N, 96);
	check_prompt(&f, "a", f.tokens + 16, N - 16, 0); // the same tokens elsewhere
	clear(&f);
}

struct asked {
	const int32_t *tokens;
	int n, times, cap;
};

static int give(void *context, int32_t *tokens, int cap) {
	struct asked *a = context;
	a->times++;
	a->cap = cap;
	int n = a->n < cap ? a->n : cap;
	memcpy(tokens, a->tokens, (size_t)n * sizeof *tokens);
	return n;
}

// Prompts of every length around the passes' borders, with and without remembered pages; rows are those of a plain
// sequence, and a tail that does not fit the context is told so.
static void a_tail_rides_on_the_last_pass(void **state) {
	struct fixture f;
	make(&f, 0);
	int context = tdm_engine_info(f.e)->context;
	for (int n = 1; n <= 90; n += n < 12 ? 1 : 13) {
		struct asked a = {f.tokens + n, n % 7, 0, 0};
		struct tdm_seq *s;
		assert_int_equal(tdm_seq_open(f.e, &s, NULL), TDM_OK);
		assert_int_equal(
		    tdm_seq_prompt_and(s, n % 2 ? "a" : NULL, f.tokens, n, &(struct tdm_tail){give, &a}, NULL, NULL, NULL),
		    TDM_OK);
		assert_int_equal(a.times, 1);
		assert_int_equal(tdm_seq_length(s), n + a.n);
		assert_int_equal(tdm_seq_rows(s), 1 + a.n);
		for (int row = 0; row <= a.n; row++) {
			float *logits = fresh(&f, f.tokens, n + row);
			assert_memory_equal(tdm_seq_logits(s, row), logits, sizeof(float) * (size_t)f.toy.n_vocab);
			free(logits);
		}
		tdm_seq_close(s);
	}
	int32_t *full = calloc((size_t)context, sizeof *full);
	struct asked a = {f.tokens, 9, 0, 0};
	struct tdm_seq *s;
	assert_int_equal(tdm_seq_open(f.e, &s, NULL), TDM_OK);
	assert_int_equal(tdm_seq_prompt_and(s, NULL, full, context - 2, &(struct tdm_tail){give, &a}, NULL, NULL, NULL),
	                 TDM_OK);
	assert_int_equal(a.cap, 2);
	assert_int_equal(tdm_seq_length(s), context);
	tdm_seq_close(s);
	free(full);
	clear(&f);
}

// Answers are remembered too, and a sequence that goes back and on does not disturb what others have taken over.
static void rewinds_leave_others_alone(void **state) {
	struct fixture f;
	struct tdm_seq *s, *fork;
	make(&f, 0);
	assert_int_equal(tdm_seq_open(f.e, &s, NULL), TDM_OK);
	assert_int_equal(tdm_seq_prompt(s, "a", f.tokens, 30, NULL, NULL, NULL), TDM_OK);
	assert_int_equal(tdm_seq_eval(s, f.tokens + 30, 40, NULL, NULL, NULL), TDM_OK);
	check_prompt(&f, "a", f.tokens, 80, 64);
	assert_int_equal(tdm_seq_fork(s, &fork, NULL), TDM_OK);
	tdm_seq_rewind(s, 20);
	int32_t other[40];
	for (int i = 0; i < 40; i++)
		other[i] = i < 20 ? f.tokens[i] : (f.tokens[i] + 5) % f.toy.n_vocab;
	assert_int_equal(tdm_seq_eval(s, other + 20, 20, NULL, NULL, NULL), TDM_OK);
	float *expected = fresh(&f, other, 40);
	assert_memory_equal(tdm_seq_logits(s, 0), expected, sizeof(float) * (size_t)f.toy.n_vocab);
	free(expected);
	assert_int_equal(tdm_seq_eval(fork, f.tokens + 70, 10, NULL, NULL, NULL), TDM_OK);
	expected = fresh(&f, f.tokens, 80);
	assert_memory_equal(tdm_seq_logits(fork, 0), expected, sizeof(float) * (size_t)f.toy.n_vocab);
	free(expected);
	tdm_seq_close(s);
	tdm_seq_close(fork);
	check_prompt(&f, "a", f.tokens, N, 80);
	check_prompt(&f, "a", other, 40, 32);
	clear(&f);
}

static void a_full_cache_forgets_the_oldest(void **state) {
	struct fixture f;
	struct tdm_seq *s, *t;
	struct tdm_error err = {0};
	make(&f, 10);
	assert_int_equal(tdm_seq_open(f.e, &s, NULL), TDM_OK);
	assert_int_equal(tdm_seq_open(f.e, &t, NULL), TDM_OK);
	assert_int_equal(tdm_seq_prompt(s, "a", f.tokens, 64, NULL, NULL, NULL), TDM_OK); // 4 pages
	tdm_seq_rewind(s, 0);
	assert_int_equal(tdm_seq_prompt(s, "b", f.tokens, 96, NULL, NULL, NULL), TDM_OK); // 6 more: full
	assert_int_equal(f.e->cache.prefix.n, 10);
	assert_int_equal(tdm_seq_prompt(t, "c", f.tokens, 48, NULL, NULL, NULL), TDM_OK); // "a" makes room
	assert_int_equal(f.e->cache.prefix.n, 10);
	assert_true(f.e->cache.n_pages <= 10);
	int status = tdm_seq_eval(t, f.tokens + 48, 52, NULL, NULL, &err); // 4 more, but only one is not in use
	assert_int_equal(status, TDM_ENOMEM);
	assert_int_equal(tdm_seq_length(t), 48); // as before
	tdm_seq_rewind(s, 0);
	assert_int_equal(tdm_seq_eval(t, f.tokens + 48, 52, NULL, NULL, NULL), TDM_OK);
	float *expected = fresh(&f, f.tokens, 16);
	free(expected);
	tdm_seq_close(s);
	tdm_seq_close(t);
	clear(&f);
}

struct worker {
	const struct fixture *f;
	float *const *expected; // after n tokens
	int index, n_wrong;
};

static void *work(void *arg) {
	struct worker *w = arg;
	struct tdm_rng rng;
	tdm_rng_init(&rng, (uint64_t)w->index);
	for (int i = 0; i < ROUNDS; i++) {
		struct tdm_seq *s;
		int n = 1 + (int)tdm_rng_below(&rng, N);
		tdm_seq_open(w->f->e, &s, NULL);
		if (tdm_seq_prompt(s, i % 3 ? "a" : "b", w->f->tokens, n, NULL, NULL, NULL) != TDM_OK ||
		    memcmp(tdm_seq_logits(s, 0), w->expected[n], sizeof(float) * (size_t)w->f->toy.n_vocab) != 0)
			w->n_wrong++;
		tdm_seq_close(s);
	}
	return NULL;
}

static void many_threads_share(void **state) {
	struct fixture f;
	float *expected[N + 1] = {0};
	pthread_t threads[N_THREADS];
	struct worker workers[N_THREADS];
	make(&f, 40); // forgetting all the time
	for (int n = 1; n <= N; n++)
		expected[n] = fresh(&f, f.tokens, n);
	for (int i = 0; i < N_THREADS; i++) {
		workers[i] = (struct worker){&f, expected, i, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].n_wrong, 0);
	}
	for (int n = 1; n <= N; n++)
		free(expected[n]);
	clear(&f);
}

// --- canaries

enum { N_PROMPTS = 64, MOST = 24 };

struct canaries {
	struct fixture f;
	struct tdm_rng rng;
	int32_t prompts[N_PROMPTS][MOST];
	int lengths[N_PROMPTS];
	float *expected[N_PROMPTS]; // of an engine that nobody else has used
};

static void random_tokens(struct canaries *c, int32_t *out, int n) {
	for (int i = 0; i < n; i++)
		out[i] = (int32_t)tdm_rng_below(&c->rng, (uint64_t)c->f.toy.n_vocab);
}

// Somebody's text in the slots: read, taken back and read otherwise, given up in the middle, or more than fits.
static void leave_text(struct canaries *c, const char *tenant) {
	struct tdm_seq *s, *fork = NULL;
	int32_t text[N];
	atomic_bool cancelled = true;
	int n = 1 + (int)tdm_rng_below(&c->rng, 60);
	random_tokens(c, text, N);
	assert_int_equal(tdm_seq_open(c->f.e, &s, NULL), TDM_OK);
	assert_int_equal(tdm_seq_prompt(s, tenant, text, n, NULL, NULL, NULL), TDM_OK);
	switch (tdm_rng_below(&c->rng, 5)) {
	case 0: // a draft that is not taken
		tdm_seq_eval(s, text + n, N - n, NULL, NULL, NULL);
		tdm_seq_rewind(s, n);
		tdm_seq_eval(s, text, 3, NULL, NULL, NULL);
		break;
	case 1: // a client that leaves
		assert_int_not_equal(tdm_seq_eval(s, text + n, N - n, NULL, &cancelled, NULL), TDM_OK);
		break;
	case 2: // no room for both
		if (tdm_seq_fork(s, &fork, NULL) == TDM_OK)
			tdm_seq_eval(fork, text, N - 1, NULL, NULL, NULL);
		break;
	case 3:
		tdm_seq_rewind(s, 0);
		break;
	default:
		break;
	}
	tdm_seq_close(fork);
	tdm_seq_close(s);
}

static void canaries_make(struct canaries *c) {
	make(&c->f, 0);
	tdm_rng_init(&c->rng, 69);
	for (int i = 0; i < N_PROMPTS; i++) {
		c->lengths[i] = 1 + (int)tdm_rng_below(&c->rng, MOST);
		random_tokens(c, c->prompts[i], c->lengths[i]);
		c->expected[i] = fresh(&c->f, c->prompts[i], c->lengths[i]);
	}
	clear(&c->f);
	make(&c->f, 12); // every slot is used again all the time
}

// What comes of a prompt after somebody else's text was in the slots, bit for bit what comes of it alone. Ten thousand
// pairs; TDM_CANARY_PAIRS in the environment says how many else.
static void S69_no_text_of_another_in_any_slot(void **state) {
	struct canaries c;
	const char *wish = getenv("TDM_CANARY_PAIRS");
	long n_pairs = wish ? strtol(wish, NULL, 10) : TDM_SANITIZED ? 500 : 10000;
	canaries_make(&c);
	for (long i = 0; i < n_pairs; i++) {
		struct tdm_seq *s;
		int k = (int)tdm_rng_below(&c.rng, N_PROMPTS), n = c.lengths[k];
		int32_t draft[4];
		leave_text(&c, i % 2 ? "a" : NULL);
		assert_int_equal(tdm_seq_open(c.f.e, &s, NULL), TDM_OK);
		assert_int_equal(tdm_seq_prompt(s, "b", c.prompts[k], n - n / 2, NULL, NULL, NULL), TDM_OK);
		if (i % 3 == 0) { // speculation: drafted, refused, decoded on
			random_tokens(&c, draft, 4);
			assert_int_equal(tdm_seq_eval(s, draft, 4, NULL, NULL, NULL), TDM_OK);
			tdm_seq_rewind(s, n - n / 2);
		}
		if (n / 2)
			assert_int_equal(tdm_seq_eval(s, c.prompts[k] + n - n / 2, n / 2, NULL, NULL, NULL), TDM_OK);
		else if (i % 3 == 0)
			assert_int_equal(tdm_seq_length(s), n);
		if (n / 2 || i % 3)
			assert_memory_equal(tdm_seq_logits(s, 0), c.expected[k], sizeof(float) * (size_t)c.f.toy.n_vocab);
		tdm_seq_close(s);
	}
	for (int i = 0; i < N_PROMPTS; i++)
		free(c.expected[i]);
	clear(&c.f);
}

int tdm_test_prefix(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pages_are_taken_over),       cmocka_unit_test(a_tail_rides_on_the_last_pass),
	    cmocka_unit_test(rewinds_leave_others_alone), cmocka_unit_test(a_full_cache_forgets_the_oldest),
	    cmocka_unit_test(many_threads_share),         cmocka_unit_test(S69_no_text_of_another_in_any_slot),
	};
	return cmocka_run_group_tests_name("prefix", tests, NULL, NULL);
}
