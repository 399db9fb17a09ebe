// Tables of outcomes: both forms, three formats, joining, and one sentence for every way a table can be wrong.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "eval/outcomes.h"
#include "tests.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/tandem-outcomes-XXXXXX";

static const char *put(const char *name, const char *text) {
	static char paths[4][64];
	static int next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static int read_with(const char *text, const struct tdm_outcomes_options *options, struct tdm_outcomes *out,
                     struct tdm_error *err) {
	const char *path = put("t", text);
	*err = (struct tdm_error){0};
	return tdm_outcomes_read(&path, 1, options, out, err);
}

static void check_two(const struct tdm_outcomes *o) {
	assert_int_equal(o->n_items, 2);
	assert_int_equal(o->n_models, 2);
	assert_string_equal(o->models[0], "s");
	assert_string_equal(o->items[1].id, "b");
	assert_string_equal(o->items[0].prompt, "one, \"two\"");
	assert_float_equal(tdm_outcome_at(o, 0, 0)->correct, 0, 0);
	assert_float_equal(tdm_outcome_at(o, 0, 1)->correct, 1, 0);
	assert_float_equal(tdm_outcome_at(o, 1, 0)->correct, 0.5, 0);
	assert_float_equal(tdm_outcome_at(o, 1, 1)->cost, 3.5, 0);
	assert_true(isnan(tdm_outcome_at(o, 0, 0)->cost));
	assert_string_equal(tdm_outcome_at(o, 1, 0)->answer, "x");
	assert_null(tdm_outcome_at(o, 0, 0)->answer);
	const struct tdm_outcome_column *c = tdm_outcomes_column(o, "score", 0);
	assert_non_null(c);
	assert_float_equal(c->values[0], -0.25, 0);
	assert_true(isnan(c->values[1]));
	assert_string_equal(c->texts[1], "none");
	assert_null(tdm_outcomes_column(o, "scor", 0));
}

static void test_forms(void **state) {
	static const char *const tables[] = {
	    "item,prompt,correct:s,correct:l,cost:l,answer:s,score\r\na,\"one, \"\"two\"\"\",0,True,,,-0.25\r\n"
	    "b,\"p\nq\",0.5,1,3.5,x,none\r\n",
	    "\xef\xbb\xbfitem\tprompt\tcorrect:s\tcorrect:l\tcost:l\tanswer:s\tscore\na\tone, \"two\"\t0\t1\t\t\t-0.25\n"
	    "b\tp\t0.5\t1\t3.5\tx\tnone\n\n",
	    "{\"item\": \"a\", \"prompt\": \"one, \\\"two\\\"\", \"correct\": {\"s\": false, \"l\": 1}, \"score\": "
	    "-0.25}\n\n"
	    "{\"item\": \"b\", \"correct\": {\"s\": 0.5, \"l\": 1}, \"answer\": {\"s\": \"x\"}, \"cost\": {\"l\": 3.5}, "
	    "\"score\": \"none\", \"prompt\": null}",
	    "item,model,correct,cost,answer,score,prompt\na,s,0,,,-0.25,\"one, \"\"two\"\"\"\na,l,1,,,9,\n"
	    "b,l,1,3.5,,,\nb,s,0.5,,x,none,",
	};
	for (size_t i = 0; i < 4; i++) {
		struct tdm_outcomes o;
		struct tdm_error err;
		assert_int_equal(read_with(tables[i], NULL, &o, &err), TDM_OK);
		check_two(&o);
		tdm_outcomes_release(&o);
	}
}

static void test_names(void **state) {
	static const char *const names[] = {"item=id", "group=kind", "correct:weak=w ok", "features=v"};
	struct tdm_outcomes_options options = {names, 4, NULL};
	struct tdm_outcomes o;
	struct tdm_error err;
	assert_int_equal(read_with("id,kind,w ok,correct:strong,v\n7,g,1,0,1 -2e1 .5\n8,h,0,1,3 4 5\n", &options, &o, &err),
	                 TDM_OK);
	assert_string_equal(o.models[0], "weak");
	assert_string_equal(o.items[1].group, "h");
	assert_int_equal(o.n_features, 3);
	assert_float_equal(o.items[0].features[1], -20, 0);
	assert_float_equal(o.items[1].features[2], 5, 0);
	tdm_outcomes_release(&o);
	options = (struct tdm_outcomes_options){names, 1, "correct"};
	assert_int_equal(read_with("id\tgold\tA\tB\n1\t5\t0\t1\n", &options, &o, &err), TDM_OK);
	assert_int_equal(o.n_models, 2);
	assert_string_equal(o.models[1], "B");
	assert_string_equal(o.items[0].gold, "5");
	size_t model;
	assert_int_equal(tdm_outcomes_model(&o, "B", &model, NULL), TDM_OK);
	assert_int_equal(model, 1);
	assert_int_equal(tdm_outcomes_model(&o, "C", &model, NULL), TDM_EVALUE);
	tdm_outcomes_release(&o);
}

static void test_join(void **state) {
	const char *paths[] = {
	    put("a", "item,correct:s\nx,1\ny,0\n"),
	    put("b", "{\"item\":\"y\",\"correct\":{\"l\":1},\"p\":2}\n{\"item\":\"x\",\"correct\":{\"l\":0}}")};
	struct tdm_outcomes o;
	assert_int_equal(tdm_outcomes_read(paths, 2, NULL, &o, NULL), TDM_OK);
	assert_int_equal(o.n_items, 2);
	assert_float_equal(tdm_outcome_at(&o, 1, 1)->correct, 1, 0);
	assert_float_equal(tdm_outcomes_column(&o, "p", SIZE_MAX)->values[1], 2, 0);
	tdm_outcomes_release(&o);
}

static void test_errors(void **state) {
	static const struct {
		const char *text, *sentence;
	} cases[] = {
	    {"", "/t: empty, expected a header or JSON lines"},
	    {"item,correct:s\n", "/t: no row below the header"},
	    {"item,item\n1,2\n", "/t: two columns are called \"item\""},
	    {"item,\n1,2\n", "/t: column 2 has no name"},
	    {"item,correct:s\n1\n", "/t line 2: 1 fields, but the header has 2"},
	    {"item,correct:s\n1,1,1\n", "/t line 2: 3 fields, but the header has 2"},
	    {"item,correct:s\n1,2\n", "/t line 2: column \"correct:s\" holds \"2\": expected a number from 0 to 1"},
	    {"item,correct:s\n1,0x1\n", "holds \"0x1\": expected a number from 0 to 1, true or false"},
	    {"item,correct:s\n1,nan\n", "holds \"nan\": expected a number from 0 to 1, true or false"},
	    {"item,cost:s\n1,-1\n", "holds \"-1\": expected a number, 0 or more"},
	    {"item,correct:s\n1,1\n1,1\n", "/t line 3: column \"correct:s\" holds \"1\": the item has this of the model"},
	    {"item,prompt\n1,\"a\nb\n", "/t line 2: a quotation begins here and never ends"},
	    {"item,prompt\n1,\"a\"b\n", "/t line 2: text after the end of a quotation"},
	    {"item,prompt\n1,a\"b\"\n", "/t line 2: a quotation mark inside a field that is not quoted"},
	    {"item,correct\n1,1\n", "column \"correct\" is of a model; expected correct:MODEL, or a column \"model\""},
	    {"model,correct\ns,1\n", "a table with a column \"model\" needs a column \"item\""},
	    {"item,model,correct:s\n1,s,1\n", "names a model, and so does column \"model\""},
	    {"item,model,correct\n,s,1\n", "/t line 2: no item"},
	    {"item,model,correct\n1,,1\n", "/t line 2: no model"},
	    {"item,x\n1,1\n", "no outcome of any model; expected columns correct:MODEL, or item, model and correct"},
	    {"item,model,prompt\n1,s,a\n1,l,b\n", "/t line 3: column \"prompt\" holds \"b\": the item has another one"},
	    {"item,correct:s,features\n1,1,1 2\n2,1,1\n", "more or fewer features than the items before"},
	    {"item,correct:s,features\n1,1,1 b\n", "expected numbers with blanks between them"},
	    {"{\"item\": 1}\n{\"item\": }\n", "/t line 2: "},
	    {"{\"item\": 1}\n[1]\n", "/t line 2: expected an object, {...}"},
	    {"{\"item\": [\"a\"]}\n", "\"item\" is neither text, a number, true, false, nor a list of numbers"},
	    {"{\"item\": \"a\\u0000b\"}\n", "\"item\" holds a NUL character"},
	    {"item,correct:s\n1,1\n\xff,0\n", "/t line 3: not UTF-8 text"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tdm_outcomes o;
		struct tdm_error err;
		assert_int_equal(read_with(cases[i].text, NULL, &o, &err), TDM_EFORMAT);
		if (!strstr(err.text, cases[i].sentence))
			fail_msg("case %zu: %s", i, err.text);
	}
	static const char *const names[] = {"item=nowhere"}, *const wrong[] = {"item"};
	struct tdm_outcomes_options options = {names, 1, NULL};
	struct tdm_outcomes o;
	struct tdm_error err;
	assert_int_equal(read_with("item,correct:s\n1,1\n", &options, &o, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "no table has a column \"nowhere\""));
	options.names = wrong;
	assert_int_equal(read_with("item,correct:s\n1,1\n", &options, &o, &err), TDM_EVALUE);
	options = (struct tdm_outcomes_options){NULL, 0, "prompt"};
	assert_int_equal(read_with("item,correct:s\n1,1\n", &options, &o, &err), TDM_EVALUE);
}

static void test_large(void **state) {
	enum { N = 100000 };
	const char *path = put("large", "");
	FILE *f = fopen(path, "wb");
	fprintf(f, "item\tmodel\tcorrect\tcost\tscore\n");
	for (int i = 0; i < N; i++)
		fprintf(f, "question-%d\t%s\t%d\t0.%03d\t%d\n", i / 2, i % 2 ? "l" : "s", i % 3 == 0, i % 1000, i);
	fclose(f);
	struct tdm_outcomes o;
	assert_int_equal(tdm_outcomes_read(&path, 1, NULL, &o, NULL), TDM_OK);
	assert_int_equal(o.n_items, N / 2);
	assert_float_equal(tdm_outcomes_column(&o, "score", 1)->values[N / 2 - 1], N - 1, 0);
	assert_string_equal(o.items[N / 2 - 1].id, "question-49999");
	tdm_outcomes_release(&o);
}

static int make_folder(void **state) {
	return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state) {
	for (const char *name = "t\0a\0b\0large\0"; *name; name += strlen(name) + 1) {
		char path[64];
		snprintf(path, sizeof path, "%s/%s", folder, name);
		unlink(path);
	}
	return rmdir(folder);
}

int tdm_test_outcomes(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_names),
	                                   cmocka_unit_test(test_join), cmocka_unit_test(test_errors),
	                                   cmocka_unit_test(test_large)};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
