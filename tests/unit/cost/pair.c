// Speculation with the real engine: the answer is the target's own, byte for byte, whatever drafts.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../toys.h"
#include "base/text.h"
#include "cost/kinds.h"
#include "tests.h"

static const char yaml[] =
    "models:\n"
    "  large: {kind: local, path: toy-one.gguf, max_tokens: 60}\n"
    "  twin: {kind: local, path: toy-one.gguf}\n"
    "  small: {kind: local, path: toy-two.gguf}\n"
    "  with_twin: {kind: speculate, target: large, draft: twin, min_prob: 0, adaptive: no}\n"
    "  in_turn: {kind: speculate, target: large, draft: twin, min_prob: 0, ahead: no, adaptive: no, gamma: 8}\n"
    "  with_small: {kind: speculate, target: large, draft: small, min_prob: 0}\n"
    "  block: {kind: speculate, target: large, draft: twin, min_prob: 0, adaptive: no, verify: block}\n"
    "  careful: {kind: speculate, target: large, draft: twin}\n"
    "  looked: {kind: speculate, target: large, from: lookup}\n"
    "  eager: {kind: speculate, target: large, from: lookup, adaptive: no}\n"
    "  learned: {kind: speculate, target: large, from: learned, adaptive: no}\n"
    "  recycle: {kind: speculate, target: large, from: recycle, adaptive: no, most: 32}\n"
    "  all: {kind: speculate, target: large, from: all, adaptive: no}\n"
    "  layers: {kind: speculate, target: large, from: layers, layers: 1, adaptive: no, min_prob: 0}\n"
    "  timed_layers: {kind: speculate, target: large, from: layers}\n"
    "  tokens: {kind: defer, small: small, large: large, signal: margin, threshold: 0.9}\n"
    "  spans: {kind: defer, small: small, large: large, signal: margin, threshold: 0.95, unit: "
    "span}\n"
    "  steps: {kind: defer, small: small, large: large, threshold: 5, unit: step, "
    "max_step_tokens: 6}\n";
static const struct tdm_kind *const kinds[] = {&tdm_kind_local, &tdm_kind_speculate, &tdm_kind_defer, NULL};

static void demand_47_answers_are_the_targets(void **state) {
	static const char *const prompts[] = {"hello", "What is 12 + 7?", "x", "Name a colour of the sky."};
	static const char *const models[] = {"with_twin", "with_small", "careful", "looked", "eager",       "learned",
	                                     "recycle",   "all",        "block",   "layers", "timed_layers"};
	struct toys t;
	struct tdm_request request;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < 24; i += TDM_SANITIZED ? 5 : 1) {
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
		for (int m = 0; m < 11; m++) {
			assert_string_equal(toys_ask(&t, models[m], prompt, &request, 1), want);
			assert_int_equal(t.result.finish, finish);
			assert_int_equal(t.result.completion_tokens, tokens);
		}
	}
	toys_close(&t);
}

// Guesses leave the draws as they are: sampled answers too are the target's own.
static void demand_47_guessed_answers_are_the_targets_when_sampled(void **state) {
	struct toys t;
	struct tdm_request request;
	static const char *const sources[] = {"looked", "eager", "learned", "recycle", "all"};
	int64_t kept[5] = {0};
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < 40; i++) {
		char want[4000];
		tdm_request_init(&request);
		request.temperature = (float)(i % 4) / 3;
		request.repeat_penalty = i % 8 == 3 ? 1.3f : 0;
		request.max_tokens = 20 + i;
		request.draw = (uint64_t)i % 3;
		snprintf(want, sizeof want, "%s", toys_ask(&t, "large", "one two one two", &request, (uint64_t)i));
		double logprob = t.result.mean_logprob;
		for (int m = 0; m < 5; m++) {
			assert_string_equal(toys_ask(&t, sources[m], "one two one two", &request, (uint64_t)i), want);
			assert_true(t.result.mean_logprob == logprob);
			kept[m] += t.run.record->calls->accepted;
		}
	}
	for (int m = 1; m < 5; m++)
		assert_true(kept[m] > 20);
	toys_close(&t);
}

static void a_twin_is_always_accepted(void **state) {
	struct toys t;
	struct tdm_request request;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	tdm_request_init(&request);
	request.max_tokens = 60;
	toys_ask(&t, "in_turn", "hello", &request, 1);
	const struct tdm_call *c = t.run.record->calls;
	assert_string_equal(c->model, "large");
	assert_true(c->drafted > 20 && c->accepted == c->drafted);
	assert_true(c->passes < 12);
	toys_ask(&t, "with_twin", "hello", &request, 1); // how much is drafted while the target works depends on the time
	c = t.run.record->calls;
	assert_true(c->drafted > 0 && c->accepted == c->drafted);
	request.temperature = 1; // also when sampled: the two distributions are equal, bit for bit
	static const char *const rules[] = {"with_twin", "block"};
	for (int m = 0; m < 2; m++) {
		toys_ask(&t, rules[m], "hello", &request, 1);
		c = t.run.record->calls;
		assert_true(c->drafted > 0 && c->accepted == c->drafted);
	}
	toys_close(&t);
}

#define SPACE "[ \\n\\t]{0,26}"
static const struct {
	struct tdm_form form;
	const char *pattern; // the same, for a matcher of its own
} forms[] = {
    {{.kind = TDM_GRAMMAR_REGEX, .text = "(yes|no|the)( [a-z]{1,6}){2,5}\\."}, "^(yes|no|the)( [a-z]{1,6}){2,5}\\.$"},
    {{.kind = TDM_GRAMMAR_GBNF, .text = "root ::= \"[\" list \"]\"\nlist ::= [0-9] (\",\" [0-9]){3,9}"},
     "^\\[[0-9](,[0-9]){3,9}\\]$"},
    {{.kind = TDM_GRAMMAR_SCHEMA,
      .text = "{\"type\":\"object\",\"properties\":{\"ok\":{\"type\":\"boolean\"},\"n\":{\"type\":\"integer\","
              "\"minimum\":10,"
              "\"maximum\":99},\"s\":{\"enum\":[\"yes\",\"no\"]}},\"required\":[\"ok\",\"s\"]}"},
     "^\\{" SPACE "\"ok\":" SPACE "(true|false)," SPACE "(\"n\":" SPACE "[1-9][0-9]," SPACE ")?\"s\":" SPACE
     "\"(yes|no)\"" SPACE "\\}$"},
    {{.kind = TDM_GRAMMAR_SCHEMA, // counted, so that a draft may run over the end of a count
      .text = "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":9},\"minItems\":2,"
              "\"maxItems\":3}"},
     "^\\[" SPACE "(\"([^\"\\\\]|\\\\[^u]|\\\\u[0-9a-fA-F]{4}){2,9}\"(," SPACE ")?){2,3}" SPACE "\\]$"},
};
enum { N_FORMS = sizeof forms / sizeof *forms };

static bool has_form(const char *pattern, const char *answer) {
	struct tdm_regex *regex = NULL;
	size_t start, end;
	assert_int_equal(tdm_regex_new(pattern, &regex, NULL), TDM_OK);
	bool found = tdm_regex_find(regex, answer, strlen(answer), 0, &start, &end);
	tdm_regex_free(regex);
	return found;
}

// Answers keep the wanted form, greedy and sampled, alone and under speculation; greedy ones are the target's own.
static void demand_47_a_form_is_kept(void **state) {
	static const char *const models[] = {"large",   "with_twin", "with_small", "careful", "looked", "eager",
	                                     "learned", "recycle",   "all",        "block",   "layers"};
	struct toys t;
	int whole = 0;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < 8 * N_FORMS; i++) {
		struct tdm_form form = forms[i % N_FORMS].form;
		struct tdm_request request;
		char want[4000] = "";
		form.len = strlen(form.text);
		tdm_request_init(&request);
		request.form = &form;
		request.temperature = i / N_FORMS % 2 ? 1 : 0;
		request.repeat_penalty = i / N_FORMS % 4 == 2 ? 1.3f : 0;
		request.max_tokens = 200;
		for (int m = 0; m < 11; m++) {
			const char *answer = toys_ask(&t, models[m], i % 5 ? "hello" : "x", &request, (uint64_t)i);
			assert_int_equal(t.run.error.status, TDM_OK);
			if (m == 0)
				snprintf(want, sizeof want, "%s", answer);
			if (request.temperature == 0)
				assert_string_equal(answer, want);
			if (t.result.finish == TDM_FINISH_STOP && !has_form(forms[i % N_FORMS].pattern, answer))
				fail_msg("%s wrote %s", models[m], answer);
			whole += t.result.finish == TDM_FINISH_STOP;
			const struct tdm_call *c = t.run.record->calls;
			if (m == 1) // the same rows, masked alike
				assert_true(c->drafted > 0 && c->accepted == c->drafted);
		}
	}
	assert_true(whole > 140);
	toys_close(&t);
}

// Two models write one answer, and neither leaves its form.
static void deferral_keeps_a_form(void **state) {
	static const char *const models[] = {"tokens", "spans", "steps"};
	struct toys t;
	int whole = 0, both = 0;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	for (int i = 0; i < 8 * N_FORMS; i++) {
		struct tdm_form form = forms[i % N_FORMS].form;
		struct tdm_request request;
		form.len = strlen(form.text);
		tdm_request_init(&request);
		request.form = &form;
		request.temperature = i / N_FORMS % 2 ? 1 : 0;
		request.max_tokens = 200;
		for (int m = 0; m < 3; m++) {
			const char *answer = toys_ask(&t, models[m], "hello", &request, (uint64_t)i);
			assert_int_equal(t.run.error.status, TDM_OK);
			if (t.result.finish == TDM_FINISH_STOP && !has_form(forms[i % N_FORMS].pattern, answer))
				fail_msg("%s wrote %s", models[m], answer);
			whole += t.result.finish == TDM_FINISH_STOP;
			both += !strcmp(t.run.record->decisions->choice, "both");
		}
	}
	assert_true(whole > 48 && both > 24);
	toys_close(&t);
}

static void a_form_that_cannot_be_kept_is_refused(void **state) {
	struct tdm_form form = {.kind = TDM_GRAMMAR_GBNF, .text = "root ::= x", .len = 10};
	struct tdm_request request;
	struct toys t;
	assert_int_equal(toys_open(&t, yaml, kinds), TDM_OK);
	tdm_request_init(&request);
	request.form = &form;
	for (int m = 0; m < 2; m++) {
		assert_non_null(
		    strstr(toys_ask(&t, m ? "with_twin" : "large", "hello", &request, 1), "x is used but not defined"));
		assert_int_equal(t.run.error.status, TDM_EVALUE);
		assert_string_equal(t.run.error.param, "response_format");
	}
	toys_close(&t);
}

int tdm_test_pair(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(demand_47_answers_are_the_targets),
	    cmocka_unit_test(demand_47_guessed_answers_are_the_targets_when_sampled),
	    cmocka_unit_test(a_twin_is_always_accepted),
	    cmocka_unit_test(demand_47_a_form_is_kept),
	    cmocka_unit_test(deferral_keeps_a_form),
	    cmocka_unit_test(a_form_that_cannot_be_kept_is_refused),
	};
	return cmocka_run_group_tests_name("pair", tests, NULL, NULL);
}
