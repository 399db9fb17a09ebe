// Fusion with the real engine: a model fused with itself is the model, byte for byte.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../toys.h"
#include "quality/kinds.h"
#include "tests.h"

static const char yaml[] = "models:\n"
                           "  one: {kind: local, path: toy-one.gguf, max_tokens: 60}\n"
                           "  two: {kind: local, path: toy-two.gguf}\n"
                           "  twins: {kind: fuse, members: [one, one, one]}\n"
                           "  logs: {kind: fuse, members: [one, one], space: log}\n"
                           "  expert: {kind: fuse, members: [one, two], rule: contrast, beta: 0}\n"
                           "  mixed: {kind: fuse, members: [one, two]}\n"
                           "  nested: {kind: fuse, members: [twins, one]}\n";
static const struct tdm_kind *const kinds[] = {&tdm_kind_local, &tdm_kind_fuse, NULL};

static void a_model_with_itself_is_itself(void **state) {
	static const char *const prompts[] = {"hello", "What is 12 + 7?", "x", "Name a colour of the sky."};
	static const char *const same[] = {"twins", "logs", "expert", "nested"};
	struct toys t;
	struct tdm_request request;
	const struct tdm_form form = {.kind = TDM_GRAMMAR_REGEX, .text = "[abc]{30}", .len = 9};
	int mixed_differs = 0;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < 8; i++) {
		char want[4000];
		tdm_request_init(&request);
		request.temperature = 0;
		request.max_tokens = i < 4 ? 0 : 250;
		snprintf(want, sizeof want, "%s", toys_ask(&t, "one", prompts[i % 4], &request, 1));
		assert_true(strlen(want) > 0);
		for (int m = 0; m < 4; m++)
			assert_string_equal(toys_ask(&t, same[m], prompts[i % 4], &request, 1), want);
		request.form = &form;
		snprintf(want, sizeof want, "%s", toys_ask(&t, "one", prompts[i % 4], &request, 1));
		assert_int_equal(strspn(want, "abc"), 30);
		for (int m = 0; m < 4; m++) {
			const char *answer = toys_ask(&t, same[m], prompts[i % 4], &request, 1);
			if (m == 2) // contrast may have excluded all that the form allows, and still keeps to it
				assert_int_equal(strspn(answer, "abc"), 30);
			else
				assert_string_equal(answer, want);
		}
		request.form = NULL;
		snprintf(want, sizeof want, "%s", toys_ask(&t, "one", prompts[i % 4], &request, 1));
		mixed_differs += strcmp(toys_ask(&t, "mixed", prompts[i % 4], &request, 1), want) != 0;
	}
	assert_true(mixed_differs > 0);
	toys_close(&t);
}

int tdm_test_pair(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_model_with_itself_is_itself),
	};
	return cmocka_run_group_tests_name("pair", tests, NULL, NULL);
}
