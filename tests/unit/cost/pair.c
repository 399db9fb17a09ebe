// Speculation with the real engine: the answer is the target's own, byte for byte, whatever drafts.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../toys.h"
#include "cost/kinds.h"
#include "tests.h"

static const char yaml[] = "models:\n"
                           "  large: {kind: local, path: toy-one.gguf, max_tokens: 60}\n"
                           "  twin: {kind: local, path: toy-one.gguf}\n"
                           "  small: {kind: local, path: toy-two.gguf}\n"
                           "  with_twin: {kind: speculate, target: large, draft: twin, min_prob: 0}\n"
                           "  with_small: {kind: speculate, target: large, draft: small, min_prob: 0}\n"
                           "  careful: {kind: speculate, target: large, draft: twin}\n";
static const struct tdm_kind *const kinds[] = {&tdm_kind_local, &tdm_kind_speculate, NULL};

static void answers_are_the_targets(void **state) {
	static const char *const prompts[] = {"hello", "What is 12 + 7?", "x", "Name a colour of the sky."};
	static const char *const models[] = {"with_twin", "with_small", "careful"};
	struct toys t;
	struct tdm_request request;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < 24; i++) {
		char want[4000];
		tdm_request_init(&request);
		request.temperature = 0;
		request.repeat_penalty = i % 2 ? 1.3f : 0;
		request.max_tokens = i < 12 ? 0 : 250; // the target's own limit, and more than the context holds
		const char *prompt = prompts[i % 4];
		snprintf(want, sizeof want, "%s", toys_ask(&t, "large", prompt, &request, 1));
		enum tdm_finish finish = t.result.finish;
		int64_t tokens = t.result.completion_tokens;
		assert_true(strlen(want) > 0);
		for (int m = 0; m < 3; m++) {
			assert_string_equal(toys_ask(&t, models[m], prompt, &request, 1), want);
			assert_int_equal(t.result.finish, finish);
			assert_int_equal(t.result.completion_tokens, tokens);
		}
	}
	toys_close(&t);
}

static void a_twin_is_always_accepted(void **state) {
	struct toys t;
	struct tdm_request request;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	tdm_request_init(&request);
	request.max_tokens = 60;
	toys_ask(&t, "with_twin", "hello", &request, 1);
	const struct tdm_call *c = t.run.record->calls;
	assert_string_equal(c->model, "large");
	assert_true(c->drafted > 20 && c->accepted == c->drafted);
	assert_true(c->passes < 12);
	request.temperature = 1; // also when sampled: the two distributions are equal, bit for bit
	toys_ask(&t, "with_twin", "hello", &request, 1);
	c = t.run.record->calls;
	assert_true(c->drafted > 0 && c->accepted == c->drafted);
	toys_close(&t);
}

int tdm_test_pair(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers_are_the_targets),
	    cmocka_unit_test(a_twin_is_always_accepted),
	};
	return cmocka_run_group_tests_name("pair", tests, NULL, NULL);
}
