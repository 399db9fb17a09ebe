// What one asked is in no answer to another: cache pages, rows and sequences are used again from request to request,
// and after everything that ends a request early. An answer must be what the same request gets when it is alone.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../toys.h"
#include "cost/kinds.h"
#include "tests.h"
#include <stdlib.h>

static const char yaml[] = "models:\n"
                           "  large: {kind: local, path: toy-one.gguf, max_tokens: 12}\n"
                           "  small: {kind: local, path: toy-two.gguf}\n"
                           "  fast: {kind: speculate, target: large, draft: small, min_prob: 0}\n";
static const struct tdm_kind *const kinds[] = {&tdm_kind_local, &tdm_kind_speculate, NULL};

enum { N_ASKED = 6 };
static const char *const asked[N_ASKED] = {"hello", "What is 12 + 7?", "x", "Name a colour.", "hello again", "12"};

// One request of tenant A, which holds a text that occurs nowhere else, and is ended in one of several ways.
static void ask_canary(struct toys *t, int i) {
	static const atomic_bool yes = true;
	char text[700];
	struct tdm_request request;
	int n = snprintf(text, sizeof text, "canary %d %08x ", i, (unsigned)i * 2654435761u);
	memset(text + n, 'a' + i % 26, sizeof text - (size_t)n);
	text[n + (i % 5 == 4 ? 600 : i % 40)] = 0; // some do not fit the context
	tdm_request_init(&request);
	request.temperature = i % 3 ? 0 : 1;
	request.max_tokens = 1 + i % 9;
	struct tdm_message message = {.from = TDM_FROM_USER, .text = text, .len = strlen(text)};
	request.messages = &message;
	request.n_messages = 1;
	tdm_collect_release(&t->collect);
	tdm_arena_release(&t->arena);
	assert_int_equal(tdm_run_init(&t->run, &t->arena, (uint64_t)i), TDM_OK);
	t->run.tenant = "a";
	t->run.cancelled = i % 7 == 3 ? &yes : NULL;
	t->run.deadline_us = i % 7 == 5 ? 1 : 0;                             // passed
	tdm_collect_init(&t->collect, i % 7 == 6 ? 3 : 1 << 20, NULL, NULL); // no room for the answer
	tdm_generate(tdm_tree_model(t->tree, i % 2 ? "fast" : "large"), &t->run, &request, &t->collect.sink, &t->result);
}

static void no_answer_knows_the_one_before(void **state) {
	const char *pairs = getenv("TDM_CANARY_PAIRS");
	int n = pairs ? (int)strtol(pairs, NULL, 10) : TDM_SANITIZED ? 60 : 600;
	char alone[2][N_ASKED][600];
	struct toys t;
	struct tdm_request request;
	tdm_request_init(&request);
	request.temperature = 0;
	for (int k = 0; k < 2 * N_ASKED; k++) { // each in a tree of its own: nothing was there before it
		assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
		snprintf(alone[k % 2][k / 2], sizeof alone[0][0], "%s",
		         toys_ask(&t, k % 2 ? "fast" : "large", asked[k / 2], &request, 1));
		assert_int_equal(t.run.error.status, TDM_OK);
		toys_close(&t);
	}
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < n; i++) {
		ask_canary(&t, i);
		int fast = i / 3 % 2, which = i % N_ASKED;
		const char *answer = toys_ask(&t, fast ? "fast" : "large", asked[which], &request, 1);
		assert_int_equal(t.run.error.status, TDM_OK);
		if (strcmp(answer, alone[fast][which]) != 0)
			fail_msg("pair %d: %s instead of %s", i, answer, alone[fast][which]);
	}
	print_message("%d pairs\n", n);
	toys_close(&t);
}

int tdm_test_canary(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_answer_knows_the_one_before),
	};
	return cmocka_run_group_tests_name("canary", tests, NULL, NULL);
}
