// Two answers are the same when nothing about them differs: text, ending, counts, and numbers where they are asked for.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "eval/same.h"
#include "models/kind.h"
#include "tests.h"
#include <string.h>

struct speaker {
	struct tdm_model model;
	const char *text;
	float logprob;
	int64_t tokens;
	int cut; // the text comes in two pieces
	int status;
};

static int speak(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                 struct tdm_result *result) {
	const struct speaker *s = (const struct speaker *)m;
	size_t n = strlen(s->text), first = s->cut ? 1 : n;
	struct tdm_event event = {.text = s->text, .len = first, .token = 7, .logprob = s->logprob};
	if (s->status)
		return tdm_fail(&run->error, s->status, "no words today");
	int status = sink->put(sink, &event);
	event.text += first;
	event.len = n - first;
	if (!status && event.len)
		status = sink->put(sink, &event);
	result->completion_tokens = s->tokens;
	assert_int_equal(request->temperature, 0);
	return status;
}

static const struct tdm_kind kind = {.name = "speaks", .family = TDM_SOURCE};
static const struct tdm_model_ops ops = {.generate = speak};

static struct speaker new_speaker(const char *text) {
	return (struct speaker){.model = {.ops = &ops, .kind = &kind, .name = text, .can = TDM_CAN_TEXT | TDM_CAN_FORM},
	                        .text = text,
	                        .logprob = -1,
	                        .tokens = 3};
}

static int64_t differing(struct speaker *target, struct speaker *other, enum tdm_same_wish wish) {
	struct tdm_same_options o = {.target = &target->model, .wish = wish, .prompt = "?", .seed = 1};
	struct tdm_same_case c = {.model = &other->model};
	struct tdm_error err = {0};
	for (int i = 0; i < 2; i++)
		assert_int_equal(tdm_same_test(&o, &c, 1, &err), TDM_OK);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.tokens, 2 * other->tokens);
	assert_int_equal(c.first, 0);
	return c.n_different;
}

static void whatever_differs_is_found(void **state) {
	struct speaker target = new_speaker("one"), other = new_speaker("one");
	assert_int_equal(differing(&target, &other, TDM_SAME_PLAIN), 0);
	assert_int_equal(differing(&target, &other, TDM_SAME_ALL), 0);
	other.cut = 1; // into which pieces is nobody's business until each has a number
	assert_int_equal(differing(&target, &other, TDM_SAME_SCHEMA), 0);
	assert_int_equal(differing(&target, &other, TDM_SAME_LOGPROBS), 2);
	other = new_speaker("ones");
	assert_int_equal(differing(&target, &other, TDM_SAME_STOP), 2);
	other = new_speaker("one");
	other.tokens = 4;
	assert_int_equal(differing(&target, &other, TDM_SAME_PENALTY), 2);
	other = new_speaker("one");
	other.logprob = -1.0000001f;
	assert_int_equal(differing(&target, &other, TDM_SAME_PLAIN), 0);
	assert_int_equal(differing(&target, &other, TDM_SAME_LOGPROBS), 2);
}

static void a_model_that_fails_is_an_error(void **state) {
	struct speaker target = new_speaker("one"), other = new_speaker("two");
	struct tdm_same_options o = {.target = &target.model, .prompt = "?"};
	struct tdm_same_case c = {.model = &other.model};
	struct tdm_error err = {0};
	other.status = TDM_EINTERNAL;
	assert_int_equal(tdm_same_test(&o, &c, 1, &err), TDM_EINTERNAL);
	assert_string_equal(err.text, "two: no words today");
	assert_int_equal(c.n, 0);
}

int tdm_test_same(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(whatever_differs_is_found),
	    cmocka_unit_test(a_model_that_fails_is_an_error),
	};
	return cmocka_run_group_tests_name("same", tests, NULL, NULL);
}
