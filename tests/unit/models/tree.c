// The tree: what a good file becomes, and the sentence of every bad one.
#include "tests.h"
#include "kinds.h"
#include <stdio.h>

static const char good[] = "models:\n"
                           "  small: {kind: script, answers: [a], price: {in: 1, out: 2}}\n"
                           "  top: {kind: pass, inner: mid, hidden: yes}\n"
                           "  mid:\n"
                           "    kind: pass\n"
                           "    inner: {kind: script, answers: [b], price: {in: 3, out: 4}}\n"
                           "  team: {kind: many, inner: [small, top, {kind: far, inner: small}], judge: small}\n"
                           "serve: {listen: \"127.0.0.1:1\"}\n";

static void test_good(void **state) {
	struct tdm_tree *t = tree_of(good);
	struct tdm_model *const *models;
	assert_int_equal(tdm_tree_models(t, &models), 4);
	assert_string_equal(models[0]->name, "small");
	assert_string_equal(models[1]->name, "top");
	assert_string_equal(models[3]->name, "team");
	assert_true(models[1]->hidden && !models[0]->hidden);
	assert_ptr_equal(models[1]->parts[0], models[2]);
	assert_string_equal(models[2]->parts[0]->name, "mid.inner");
	assert_ptr_equal(tdm_tree_model(t, "mid.inner"), models[2]->parts[0]);
	assert_null(tdm_tree_model(t, "absent"));
	assert_int_equal(models[3]->n_parts, 4);
	assert_string_equal(models[3]->part_roles[2], "inner");
	assert_string_equal(models[3]->part_roles[3], "judge");
	assert_string_equal(models[3]->parts[2]->name, "team.inner.3");
	assert_true(models[3]->leaves && models[3]->parts[2]->leaves && !models[1]->leaves);
	assert_true(models[0]->price.in == 1 && models[0]->price.out == 2);
	assert_true(tdm_tree_dearest(t).in == 3 && tdm_tree_dearest(t).out == 4);
	assert_string_equal(tdm_get_string(tdm_tree_section(t, "serve"), "listen"), "127.0.0.1:1");
	assert_null(tdm_tree_section(t, "ledger"));
	tdm_tree_close(t);
}

static void test_hash(void **state) {
	struct tdm_tree *t = tree_of("models: {a: {kind: script, answers: x}}"), *u = tree_of(good);
	assert_int_equal(strlen(tdm_tree_hash(t)), 7 + 64);
	assert_memory_equal(tdm_tree_hash(t), "sha256:", 7);
	assert_string_not_equal(tdm_tree_hash(t), tdm_tree_hash(u));
	tdm_tree_close(u);
	u = tree_of("models: {a: {kind: script, answers: x}}");
	assert_string_equal(tdm_tree_hash(t), tdm_tree_hash(u));
	tdm_tree_close(t);
	tdm_tree_close(u);
}

static void test_destroy_order(void **state) {
	n_destroyed = 0;
	tdm_tree_close(tree_of(good));
	assert_int_equal(n_destroyed, 4);
	assert_string_equal(destroyed[0], "team");
	assert_string_equal(destroyed[3], "mid");
	n_destroyed = 0; // a tree that fails half way destroys what it had built
	char text[512];
	assert_int_equal(
	    tree_fails("models: {s: {kind: script, answers: x}, p: {kind: pass, inner: s}, q: {kind: no}}", text),
	    TDM_ECONFIG);
	assert_int_equal(n_destroyed, 1);
	assert_string_equal(destroyed[0], "p");
}

static const struct bad {
	const char *yaml, *says;
} bad[] = {
    {"models: {a: {kind: skript, answers: x}}",
     "t.yaml line 1: model a: unknown kind \"skript\" (nearest: \"script\")"},
    {"models: {a: {answers: x}}", "t.yaml line 1: model a: expected a kind"},
    {"models: {a: script}", "t.yaml line 1: model a: expected {kind: ...}, found a string"},
    {"models:\n  a: {kind: script, anwsers: x}",
     "t.yaml line 2: model a: unknown option \"anwsers\" (nearest: \"answers\")"},
    {"models:\n  s: {kind: script, answers: x}\n  a: {kind: pass, iner: s}",
     "t.yaml line 3: model a: unknown option \"iner\" (nearest: \"inner\")"},
    {"models:\n  a: {kind: script, answers: x, hiden: yes}", "(nearest: \"hidden\")"},
    {"models:\n  a: {kind: script, answers: x, price: {inn: 1}}",
     "t.yaml line 2: model a: price: unknown option \"inn\" (nearest: \"in\")"},
    {"models:\n  a: {kind: script, answers: x, price: {in: -1}}", "expected a number from 0 to"},
    {"models:\n\n  a: {kind: pass}", "t.yaml line 3: model a: kind pass expects a model in role \"inner\""},
    {"models:\n  small: {kind: script, answers: x}\n  a: {kind: pass, inner: smal}",
     "t.yaml line 3: model a: role inner names \"smal\", which is not a model of this file (nearest: \"small\")"},
    {"models:\n  a: {kind: pass, inner: 7}", "role inner: expected the name of a model or {kind: ...}, found a number"},
    {"models:\n  a: {kind: pass, inner: b}\n  b: {kind: pass, inner: a}",
     "t.yaml line 2: model a: the model uses itself, by way of b"},
    {"models:\n  a: {kind: pass, inner: a}", "t.yaml line 2: model a: the model uses itself"},
    {"models:\n  s: {kind: script, answers: x}\n  a: {kind: need, inner: s}",
     "t.yaml line 3: model a: role inner needs a model with TEXT, STEP; s (kind script) lacks STEP"},
    {"models:\n  s: {kind: script, answers: x}\n  a: {kind: many, inner: [s]}",
     "role inner: expected at least 2 models, found 1"},
    {"models:\n  s: {kind: script, answers: x}\n  a: {kind: many, inner: [s, s, s, s]}",
     "role inner: expected at most 3 models, found 4"},
    {"models:\n  s: {kind: script, answers: x}\n  a: {kind: pass, inner: [s]}",
     "role inner: expected one model, found a list"},
    {"models:\n  s: {kind: script, answers: x}\n  a: {kind: pass, inner: s, price: {in: 1}}",
     "only sources have a price"},
    {"models:\n  s: {kind: script, answers: x}\n  a: {kind: pass, inner: s, samples: 10}",
     "t.yaml line 3: model a: option \"samples\": expected a whole number from 1 to 9, found 10"},
    {"models:\n  .a: {kind: script, answers: x}", "t.yaml line 2: \".a\" cannot be the name of a model"},
    {"models:\n  'a b': {kind: script, answers: x}", "\"a b\" cannot be the name of a model"},
    {"models:\n  '': {kind: script, answers: x}", "\"\" cannot be the name of a model"},
    {"models:\n  a: {kind: script, answers: x}\n  a: {kind: script, answers: y}", "t.yaml line 3"},
    {"models:\n  p.inner: {kind: script, answers: x}\n  p: {kind: pass, inner: {kind: script, answers: y}}",
     "model p.inner: there is another model of this name in line 2"},
    {"models:\n  a: {kind: script}", "t.yaml line 2: model a: expected either answers or a file"},
    {"models:\n  a: {kind: script, file: absent.json}", "tests/absent.json"},
    {"modles:\n  a: {kind: script, answers: x}", "t.yaml line 1: unknown section \"modles\" (nearest: \"models\")"},
    {"models: {}", "t.yaml: expected a section \"models\" with at least one model"},
    {"serve: {}", "expected a section \"models\""},
    {"- a", "t.yaml: expected a map with a section \"models\", found a list"},
    {"", "t.yaml"},
    {"models: {a: [}", "t.yaml line 1"},
};

static void test_bad(void **state) {
	for (size_t i = 0; i < TDM_COUNT(bad); i++) {
		char text[512];
		int status = tree_fails(bad[i].yaml, text);
		if (status != TDM_ECONFIG || !strstr(text, bad[i].says))
			fail_msg("status %d: \"%s\" does not say \"%s\"", status, text, bad[i].says);
	}
}

static void test_limits(void **state) {
	char yaml[40000], text[512];
	int n = snprintf(yaml, sizeof yaml, "models:\n  m0: {kind: script, answers: x}\n");
	for (int i = 1; i < 40; i++)
		n += snprintf(yaml + n, sizeof yaml - (size_t)n, "  m%d: {kind: pass, inner: m%d}\n", i, i - 1);
	tdm_tree_close(tree_of(yaml)); // in this order no model is more than one step away
	n = snprintf(yaml, sizeof yaml, "models:\n");
	for (int i = 1; i < 40; i++)
		n += snprintf(yaml + n, sizeof yaml - (size_t)n, "  m%d: {kind: pass, inner: m%d}\n", i, i + 1);
	snprintf(yaml + n, sizeof yaml - (size_t)n, "  m40: {kind: script, answers: x}\n");
	assert_int_equal(tree_fails(yaml, text), TDM_ECONFIG);
	assert_non_null(strstr(text, "nested more than 32 deep"));
	n = snprintf(yaml, sizeof yaml, "models:\n");
	for (int i = 0; i < 257; i++)
		n += snprintf(yaml + n, sizeof yaml - (size_t)n, "  m%d: {kind: script, answers: x}\n", i);
	assert_int_equal(tree_fails(yaml, text), TDM_ECONFIG);
	assert_non_null(strstr(text, "more than 256 models"));
}

int tdm_test_tree(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good), cmocka_unit_test(test_hash),   cmocka_unit_test(test_destroy_order),
	    cmocka_unit_test(test_bad),  cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
