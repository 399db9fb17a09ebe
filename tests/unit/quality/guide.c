// What the main model is asked, byte for byte, and when it is asked at all.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "../fake_kind.h"
#include "quality/kinds.h"
#include "quality/prompts.h"
#include "tests.h"

static struct says guide, mainly;

static int make(struct asked *a, const char *options) {
	static const char *const roles[] = {"guide", "main"};
	return asked_make(a, &tdm_kind_guide, options, 2, (struct tdm_model *[]){&guide.model, &mainly.model}, roles);
}

static void start(double probability) {
	says_init(&guide, "small", " 42\n");
	says_init(&mainly, "large", "Forty-two.");
	guide.mean_logprob = log(probability);
}

static void draft_enters_the_last_user_message(void **state) {
	struct asked a;
	start(0.874);
	assert_int_equal(make(&a, "{}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two.");
	assert_string_equal(mainly.last_user, "ask me\nHint (87% sure): 42");
	assert_string_equal(guide.last_user, "ask me");
	assert_string_equal(a.run.record->calls->purpose, "draft");
	assert_string_equal(a.run.record->decisions->choice, "guided");
	assert_true(fabs(a.run.record->decisions->score - 0.874) < 1e-12);
	assert_string_equal(a.result.served, "large");
	asked_done(&a);
}

static void label_has_its_own_words(void **state) {
	struct asked a;
	start(0.05);
	assert_int_equal(make(&a, "{with: label}"), TDM_OK);
	asked_answer(&a, 1, NULL);
	assert_string_equal(mainly.last_user, "ask me\nSmall model prediction: 42 (confidence 0.05)\nLabel:");
	asked_done(&a);
}

static void certainty_is_shown_with_two_digits(void **state) {
	struct asked a;
	start(0.99999);
	assert_int_equal(make(&a, "{}"), TDM_OK);
	asked_answer(&a, 1, NULL);
	assert_string_equal(mainly.last_user, "ask me\nHint (99% sure): 42");
	asked_done(&a);
}

static void gate_keeps_a_sure_guide(void **state) {
	struct asked a;
	start(0.9);
	assert_int_equal(make(&a, "{when: gate, threshold: 0.89}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), " 42\n");
	assert_int_equal(mainly.calls, 0);
	assert_int_equal(a.collect.n, 4);
	assert_string_equal(a.run.record->decisions->choice, "keep");
	assert_string_equal(a.result.served, "small");
	asked_done(&a);
	assert_int_equal(make(&a, "{when: gate, threshold: 0.91}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two.");
	asked_done(&a);
	assert_int_equal(make(&a, "{when: gate, threshold: 0}"), TDM_OK);
	guide.mean_logprob = -50;
	assert_string_equal(asked_answer(&a, 1, NULL), " 42\n");
	asked_done(&a);
}

static void other_messages_stay(void **state) {
	struct tdm_message messages[] = {{.from = TDM_FROM_SYSTEM, .text = "sys", .len = 3},
	                                 {.from = TDM_FROM_USER, .text = "one", .len = 3},
	                                 {.from = TDM_FROM_ASSISTANT, .text = "reply", .len = 5}};
	struct tdm_request request;
	struct asked a;
	start(0.5);
	tdm_request_init(&request);
	request.messages = messages;
	request.n_messages = 3;
	assert_int_equal(make(&a, "{}"), TDM_OK);
	asked_answer(&a, 1, &request);
	assert_string_equal(mainly.last_user, "reply"); // the last message, a prefill, is untouched
	assert_string_equal(messages[1].text, "one");
	request.n_messages = 1;
	assert_string_equal(asked_answer(&a, 1, &request), "Forty-two."); // nothing of a user: no note
	assert_string_equal(mainly.last_user, "sys");
	asked_done(&a);
}

static void failing_or_silent_guide_leaves_main_alone(void **state) {
	struct asked a;
	start(0.9);
	guide.status = TDM_EUPTIME;
	assert_int_equal(make(&a, "{}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, NULL), "Forty-two.");
	assert_int_equal(a.status, TDM_OK);
	assert_string_equal(mainly.last_user, "ask me");
	assert_string_equal(a.run.record->decisions->choice, "alone");
	guide.status = TDM_EFILTERED;
	assert_string_equal(asked_answer(&a, 1, NULL), "");
	assert_int_equal(a.status, TDM_EFILTERED);
	guide.status = TDM_OK;
	guide.answers[0] = "  ";
	asked_answer(&a, 1, NULL);
	assert_string_equal(mainly.last_user, "ask me");
	asked_done(&a);
}

static void marks_inside_words_are_not_filled(void **state) {
	const struct tdm_prompt_words words = {"{answer}", "{prompt}{sure}", 8, 14, 7};
	struct tdm_arena arena;
	size_t n;
	tdm_arena_init(&arena, 10000);
	assert_string_equal(tdm_prompt_fill(&arena, tdm_prompt_find("draft"), &words, &n),
	                    "{answer}\nHint (7% sure): {prompt}{sure}");
	assert_null(tdm_prompt_find("nothing"));
	tdm_arena_release(&arena);
}

int tdm_test_guide(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(draft_enters_the_last_user_message),
	    cmocka_unit_test(label_has_its_own_words),
	    cmocka_unit_test(certainty_is_shown_with_two_digits),
	    cmocka_unit_test(gate_keeps_a_sure_guide),
	    cmocka_unit_test(other_messages_stay),
	    cmocka_unit_test(failing_or_silent_guide_leaves_main_alone),
	    cmocka_unit_test(marks_inside_words_are_not_filled),
	};
	return cmocka_run_group_tests_name("guide", tests, NULL, NULL);
}
