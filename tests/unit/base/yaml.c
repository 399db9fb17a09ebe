// YAML: core-schema scalars, lines, aliases, and what a settings file must not contain.
#include "text_arena.h"
#include "base/value.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct tdm_value *parse(const char *text) {
	struct tdm_value *value = NULL;
	int status = tdm_yaml_parse(&arena, "test.yaml", text, strlen(text), &value, &err);
	if (status != TDM_OK)
		fail_msg("%s", err.text);
	return value;
}

static void refuse_bytes(const char *text, size_t n, const char *words) {
	struct tdm_value *value = NULL;
	tdm_error_clear(&err);
	assert_int_equal(tdm_yaml_parse(&arena, "test.yaml", text, n, &value, &err), TDM_ECONFIG);
	assert_null(value);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, err.text);
}

static void refuse(const char *text, const char *words) {
	refuse_bytes(text, strlen(text), words);
}

static void expect(const char *yaml, const char *json) {
	struct tdm_bytes out;
	tdm_bytes_init(&out, 1000);
	tdm_value_write(&out, parse(yaml));
	assert_string_equal(out.data, json);
	tdm_bytes_release(&out);
}

static void test_scalars(void **state) {
	expect("[null, ~, Null, '']", "[null,null,null,\"\"]");
	expect("a:", "{\"a\":null}");
	expect("[true, False, yes, No, on, y]", "[true,false,true,false,\"on\",\"y\"]");
	expect("[1, -2, +3, 007, 0x1F, 0o17, 12e3, .5, 5., -1.5e-1]", "[1,-2,3,7,31,15,12000,0.5,5,-0.15]");
	expect("['1', \"true\", !!str 5, 1.2.3, 0xg, e5, '.', '-', 1_000]",
	       "[\"1\",\"true\",\"5\",\"1.2.3\",\"0xg\",\"e5\",\".\",\"-\",\"1_000\"]");
	expect("[1:2, 127.0.0.1:8080, env:KEY]", "[\"1:2\",\"127.0.0.1:8080\",\"env:KEY\"]");
	expect("99999999999999999999", "1e+20");
	expect("[0xFFFFFFFFFFFFFFFF, 0o2000000000000000000000, 'yes|Yes', yes|Yes, ~|null]",
	       "[1.8446744073709552e+19,1.8446744073709552e+19,\"yes|Yes\",\"yes|Yes\",\"~|null\"]");
	expect("text: |\n  one\n  two\n", "{\"text\":\"one\\ntwo\\n\"}");
	expect("", "null");
	expect("# only a comment\n", "null");
	const struct tdm_value *list = parse("[.inf, -.Inf, .nan, 100.0, \"a\\0b\"]");
	assert_true(isinf(list->items[0].number) && list->items[0].number > 0);
	assert_true(isinf(list->items[1].number) && list->items[1].number < 0);
	assert_true(isnan(list->items[2].number));
	assert_false(list->items[2].is_integer);
	assert_true(list->items[3].is_integer && list->items[3].integer == 100);
	assert_int_equal(list->items[4].len, 3);
}

static void test_lines(void **state) {
	const struct tdm_value *map =
	    parse("# settings\nmodels:\n  small: {kind: local,\n    path: x}\n\nlist:\n- 1\n- 2\n");
	const struct tdm_value *small = tdm_get(tdm_get(map, "models"), "small");
	assert_int_equal(map->line, 2);
	assert_int_equal(tdm_get(map, "models")->line, 2);
	assert_int_equal(small->line, 3);
	assert_int_equal(tdm_get(small, "kind")->line, 3);
	assert_int_equal(tdm_get(small, "path")->line, 4);
	assert_int_equal(tdm_get(map, "list")->line, 6);
	assert_int_equal(tdm_get(map, "list")->items[1].line, 8);
}

static void test_aliases(void **state) {
	const struct tdm_value *map = parse("a: &x {k: [1, 2]}\nb: *x\nc: &x 5\nd: *x\n");
	assert_ptr_equal(tdm_get(map, "a")->items, tdm_get(map, "b")->items);
	assert_int_equal(tdm_get(map, "b")->line, 2);
	assert_int_equal(tdm_get(map, "d")->integer, 5);
	refuse("a: *x\n", "line 1: the alias *x has no anchor");
	refuse("a: 1\nb: &x [1, *x]\n", "line 2: the alias *x is inside its own anchor");
	refuse("b: &x {k: {l: *x}}\n", "inside its own anchor");
}

static void test_alias_bomb(void **state) {
	char text[1000];
	int n = snprintf(text, sizeof text, "a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8]\n");
	for (int i = 1; i < 9; i++)
		n += snprintf(text + n, sizeof text - (size_t)n, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
		              i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
	refuse(text, "more than 200000 values");
}

static void test_refused(void **state) {
	refuse("a: 1\nb: 2\na: 3\n", "test.yaml line 3: the key \"a\" is given twice (first in line 1)");
	refuse("m: {x: 1, y: 2, z: 3,\n x: 4}\n", "line 2: the key \"x\" is given twice (first in line 1)");
	refuse("a: 1\n---\nb: 2\n", "line 2: a second document");
	refuse("[1, 2]: 3\n", "line 1: a key must be a word");
	refuse("a: !secret x\n", "line 1: unknown tag \"!secret\"");
	refuse("a: [1, 2\nb: 3\n", "test.yaml line 2");
	refuse("a:\n\tb: 1\n", "test.yaml line 2");
	refuse("\"a\\0b\": 1\n", "NUL");
	refuse("a: \xFF\n", "test.yaml line 1");
}

static void nest(char *text, int depth) {
	memset(text, '[', (size_t)depth);
	memset(text + depth, ']', (size_t)depth);
	text[2 * depth] = 0;
}

static void test_limits(void **state) {
	static char text[9 << 20];
	nest(text, 64);
	assert_int_equal(parse(text)->n, 1);
	nest(text, 65);
	refuse(text, "deeper than 64");
	nest(text, 5000);
	refuse(text, "deeper than 64");
	memset(text, ' ', sizeof text);
	refuse_bytes(text, sizeof text, "expected at most");
	struct tdm_arena small;
	struct tdm_value *value = NULL;
	tdm_error_clear(&err);
	tdm_arena_init(&small, 300);
	assert_int_equal(tdm_yaml_parse(&small, "x", "[1, 2, 3, 4, 5]", 15, &value, &err), TDM_ENOMEM);
	tdm_arena_release(&small);
}

// Every allocation fails once: the answer is "out of memory" and, under the sanitizers, nothing leaks.
static void test_every_allocation_can_fail(void **state) {
	const char *text = "a: &x {k: [1, two, {l: null}]}\nb: *x\nc: \"text\"\n";
	struct tdm_value *value = NULL;
	size_t limit = 0, n_failures = 0;
	int status = TDM_ENOMEM;
	for (; status != TDM_OK && limit < 10000; limit += 16) {
		struct tdm_arena small;
		tdm_arena_init(&small, limit);
		tdm_error_clear(&err);
		status = tdm_yaml_parse(&small, "test.yaml", text, strlen(text), &value, &err);
		assert_true(status == TDM_OK || status == TDM_ENOMEM);
		n_failures += status == TDM_ENOMEM;
		tdm_arena_release(&small);
	}
	assert_int_equal(status, TDM_OK);
	assert_true(n_failures > 20);
}

int tdm_test_yaml(void) {
	const struct CMUnitTest tests[] = {
	    TEST(test_scalars),
	    TEST(test_lines),
	    TEST(test_aliases),
	    TEST(test_alias_bomb),
	    TEST(test_refused),
	    TEST(test_limits),
	    TEST(test_every_allocation_can_fail),
	};
	return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
