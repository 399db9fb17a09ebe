// Models are immutable: many threads may call one at the same time, and each gets what it would get alone.
#include "tests.h"
#include "toy.h"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { N_THREADS = 4, N_ROUNDS = 5 };

struct caller {
	pthread_t thread;
	struct tdm_model *model;
	uint64_t draw;
	char alone[4000];
	int n_same;
};

static bool ask(struct caller *c, char *out, size_t cap) {
	struct bench b;
	bench_open(&b, "what do you say");
	b.request.draw = c->draw;
	bool ok = bench_ask(&b, c->model) == TDM_OK;
	snprintf(out, cap, "%s", b.collect.text.len ? b.collect.text.data : "");
	bench_close(&b);
	return ok;
}

static void *call(void *arg) {
	struct caller *c = arg;
	char text[4000];
	for (int i = 0; i < N_ROUNDS; i++)
		c->n_same += ask(c, text, sizeof text) && !strcmp(text, c->alone);
	return NULL;
}

static void test_one_model(void **state) {
	toy_write("build/models-threads.gguf", 5);
	struct tdm_tree *t = tree_of("models:\n  s: {kind: script, answers: [a, b, c], turn: draw}\n"
	                             "  m: {kind: pass, inner: {kind: local, path: ../build/models-threads.gguf, "
	                             "temperature: 0.9, max_tokens: 30}}\n");
	static const char *const names[] = {"m", "s"};
	for (int k = 0; k < 2; k++) {
		struct caller callers[N_THREADS] = {0};
		for (int i = 0; i < N_THREADS; i++) {
			callers[i].model = tdm_tree_model(t, names[k]);
			callers[i].draw = (uint64_t)i;
			assert_true(ask(&callers[i], callers[i].alone, sizeof callers[i].alone));
		}
		assert_string_not_equal(callers[0].alone, callers[1].alone);
		for (int i = 0; i < N_THREADS; i++)
			assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
		for (int i = 0; i < N_THREADS; i++) {
			pthread_join(callers[i].thread, NULL);
			assert_int_equal(callers[i].n_same, N_ROUNDS);
		}
	}
	tdm_tree_close(t);
	unlink("build/models-threads.gguf");
}

int tdm_test_threads(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_model)};
	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
