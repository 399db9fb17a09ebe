// Checks of answers without a model, and the program that the settings may name.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../fake_kind.h"
#include "base/clock.h"
#include "cost/kinds.h"
#include "tests.h"

static struct says small, large;
static struct asked it;

static int make(const char *options) {
	static const char *const roles[] = {"small", "large"};
	says_init(&small, "small", "");
	says_init(&large, "large", "other");
	return asked_make(&it, &tdm_kind_cascade, options, 2, (struct tdm_model *[]){&small.model, &large.model}, roles);
}

static void done(void) {
	it.model->ops->destroy(it.model);
	asked_done(&it);
}

static bool kept(const char *answer) {
	small.answers[0] = answer;
	bool is = !strcmp(asked_answer(&it, 1, NULL), answer);
	assert_int_equal(it.status, TDM_OK);
	assert_string_equal(it.run.record->decisions->signal, "check");
	assert_string_equal(it.run.record->decisions->choice, is ? "keep" : "escalate");
	return is;
}

static void schema_is_kept_to_in_any_order(void **state) {
	assert_int_equal(
	    make("{gate: check, schema: {type: object, properties: {name: {type: string}, age: {type: integer}, "
	         "tags: {type: array, items: {type: object, properties: {a: {type: number}, b: {type: boolean}},"
	         " required: [a, b]}}}, required: [name, age]}}"),
	    TDM_OK);
	assert_true(kept("{\"name\": \"Ada\", \"age\": 36}"));
	assert_true(kept("{\"age\":36,\n\n   \"name\":\"Ada\"}"));
	assert_true(kept("```json\n{\"age\": 36, \"name\": \"A\", \"tags\": [{\"b\": true, \"a\": 1.5}]}\n```"));
	assert_false(kept("{\"name\": \"Ada\"}"));
	assert_false(kept("{\"name\": \"Ada\", \"age\": \"36\"}"));
	assert_false(kept("{\"name\": \"Ada\", \"age\": 36, \"more\": 1}"));
	assert_false(kept("{\"name\": \"Ada\", \"age\": null}"));
	assert_false(kept("Ada is 36"));
	assert_false(kept(""));
	assert_string_equal(it.run.record->decisions->detail, "no schema");
	done();
}

static void numbers_and_patterns(void **state) {
	assert_int_equal(make("{gate: check, number: [0, 100], pattern: '(?i)\\bper ?cent\\b'}"), TDM_OK);
	assert_true(kept("About 42 per cent"));
	assert_false(kept("About 42"));
	assert_false(kept("101 percent"));
	assert_string_equal(it.run.record->decisions->detail, "no number");
	assert_false(kept("some percent"));
	done();
}

static void checks_come_before_any_gate(void **state) {
	assert_int_equal(make("{gate: agreement, samples: 2, pattern: '^yes$'}"), TDM_OK);
	assert_false(kept("no"));
	assert_int_equal(small.calls, 1); // nothing was sampled
	small.answers[0] = "yes";
	assert_string_equal(asked_answer(&it, 1, NULL), "yes");
	assert_string_equal(it.run.record->decisions->signal, "agreement");
	done();
}

static void a_command_decides_by_its_end(void **state) {
	assert_int_equal(make("{gate: check, command: [/bin/grep, -q, '^def f', -]}"), TDM_OK);
	assert_true(kept("def f(x): return x"));
	assert_false(kept("I cannot"));
	assert_false(kept("$(touch /tmp/x); def f")); // words of an answer are never words of a command
	assert_string_equal(it.run.record->decisions->detail, "no command");
	done();
}

static void a_command_has_limits(void **state) {
	int64_t begun_us = tdm_now_us();
	// What it leaves behind ends with it: the sleep would hold this test up, were it waited for.
	assert_int_equal(make("{gate: check, command_ms: 50, command: [/bin/sh, -c, 'sleep 20 & sleep 20']}"), TDM_OK);
	assert_false(kept("x"));
	assert_true(tdm_now_us() - begun_us < 10000000);
	done();
	assert_int_equal(make("{gate: check, command_bytes: 67108864, command: [/bin/sh, -c, "
	                      "'test -z \"$HOME\" && test \"$(pwd)\" = / && test ! -e /proc/self/fd/9 && ulimit -v && "
	                      "test $(ulimit -v) -eq 65536']}"),
	                 TDM_OK);
	assert_true(kept("x"));
	done();
	assert_int_equal(make("{gate: check, command_bytes: 33554432, command: [/bin/sh, -c, "
	                      "'x=$(head -c 100000000 /dev/zero | tr \"\\\\000\" a); test -n \"$x\"']}"),
	                 TDM_OK);
	assert_false(kept("x"));
	done();
}

static void bad_checks_are_refused(void **state) {
	static const char *const rows[][2] = {
	    {"{gate: check}", "gate check needs schema, number, pattern or command"},
	    {"{gate: check, schema: 3}", "schema: expected a JSON schema"},
	    {"{gate: check, schema: {type: thing}}", "test: model it: schema: "},
	    {"{gate: check, number: 3}", "number: expected [least, most]"},
	    {"{gate: check, pattern: '('}", "test: model it: pattern: "},
	    {"{gate: check, command: python3}", "command: expected the whole path of a program, found \"python3\""},
	    {"{gate: check, command: /no/such}", "command: expected the whole path of a program"},
	    {"{gate: vote, hold: sentence}", "hold: sentence needs a gate that looks at tokens"},
	    {"{gate: logprob, threshold: -1, hold: sentence, pattern: x}", "checks need whole answers"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make(rows[i][0]), TDM_ECONFIG);
		if (!strstr(it.error.text, rows[i][1]))
			fail_msg("%s: %s", rows[i][0], it.error.text);
		asked_done(&it);
	}
}

int tdm_test_checks(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(schema_is_kept_to_in_any_order), cmocka_unit_test(numbers_and_patterns),
	    cmocka_unit_test(checks_come_before_any_gate),    cmocka_unit_test(a_command_decides_by_its_end),
	    cmocka_unit_test(a_command_has_limits),           cmocka_unit_test(bad_checks_are_refused),
	};
	return cmocka_run_group_tests_name("checks", tests, NULL, NULL);
}
