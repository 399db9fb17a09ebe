// Options: every type, the bounds, the defaults, and the sentences of refusals.
#include "text_arena.h"
#include "base/option.h"
#include "base/text.h"
#include <string.h>

struct sample {
	int64_t threads;
	double rate;
	bool log;
	const char *path;
	int mode;
	struct tdm_strings scan;
	const struct tdm_value *price;
	int64_t free;
};

#define AT(field) offsetof(struct sample, field)
static const struct tdm_option table[] = {
    {"threads", TDM_OPT_INT, AT(threads), "4", 1, 64, NULL, "worker threads"},
    {"rate", TDM_OPT_NUMBER, AT(rate), "0.5", 0, 1, NULL, "share of requests"},
    {"log", TDM_OPT_BOOL, AT(log), "yes", 0, 0, NULL, "write a log"},
    {"path", TDM_OPT_STRING, AT(path), NULL, 0, 0, NULL, "file"},
    {"mode", TDM_OPT_CHOICE, AT(mode), "fast", 0, 0, "off|fast|2|no", "how"},
    {"scan", TDM_OPT_LIST, AT(scan), "input,output", 0, 0, NULL, "what to scan"},
    {"price", TDM_OPT_VALUE, AT(price), NULL, 0, 0, NULL, "per million tokens"},
    {"free", TDM_OPT_INT, AT(free), NULL, 0, 0, NULL, "no bounds"},
};
#define N_OPTIONS (sizeof table / sizeof *table)

static struct sample sample;

static int read_text(const char *text) {
	static const char *const also[] = {"kind", NULL};
	struct tdm_value *map = NULL;
	tdm_error_clear(&err);
	assert_int_equal(tdm_yaml_parse(&arena, "tandem.yaml", text, strlen(text), &map, &err), TDM_OK);
	return tdm_options_read(&arena, "tandem.yaml: model small", map, table, N_OPTIONS, also, &sample, sizeof sample,
	                        &err);
}

static void refuse(const char *text, const char *sentence) {
	assert_int_equal(read_text(text), TDM_ECONFIG);
	assert_string_equal(err.text, sentence);
}

static void expect_defaults(void) {
	assert_int_equal(sample.threads, 4);
	assert_true(sample.rate == 0.5);
	assert_true(sample.log);
	assert_null(sample.path);
	assert_int_equal(sample.mode, 1);
	assert_int_equal(sample.scan.n, 2);
	assert_string_equal(sample.scan.items[1], "output");
	assert_null(sample.price);
	assert_int_equal(sample.free, 0);
}

static void test_defaults(void **state) {
	memset(&sample, 0x55, sizeof sample);
	assert_int_equal(tdm_options_read(&arena, "x", NULL, table, N_OPTIONS, NULL, &sample, sizeof sample, &err), TDM_OK);
	expect_defaults();
	assert_int_equal(read_text("kind: local\nthreads:\npath:\nscan: null\n"), TDM_OK);
	expect_defaults();
}

static void test_every_type(void **state) {
	assert_int_equal(read_text("threads: 8\nrate: 1\nlog: no\npath: a/b\nmode: off\nscan: [x, y, z]\n"
	                           "price: {in: 2.5}\nfree: -9223372036854775808\n"),
	                 TDM_OK);
	assert_int_equal(sample.threads, 8);
	assert_true(sample.rate == 1);
	assert_false(sample.log);
	assert_string_equal(sample.path, "a/b");
	assert_int_equal(sample.mode, 0);
	assert_int_equal(sample.scan.n, 3);
	assert_string_equal(sample.scan.items[2], "z");
	assert_true(tdm_get_number(sample.price, "in", 0) == 2.5);
	assert_true(sample.free == INT64_MIN);
	assert_int_equal(read_text("mode: 2\nscan: one\n"), TDM_OK);
	assert_int_equal(sample.mode, 2);
	assert_int_equal(sample.scan.n, 1);
	assert_string_equal(sample.scan.items[0], "one");
	assert_int_equal(read_text("mode: no\nscan: []\n"), TDM_OK);
	assert_int_equal(sample.mode, 3);
	assert_int_equal(sample.scan.n, 0);
}

static void test_refusals(void **state) {
	const char *p = "tandem.yaml line 1: model small: ";
	struct {
		const char *text, *sentence;
	} rows[] = {
	    {"threads: 65", "option \"threads\": expected a whole number from 1 to 64, found 65"},
	    {"threads: 0", "option \"threads\": expected a whole number from 1 to 64, found 0"},
	    {"threads: 1.5", "option \"threads\": expected a whole number, found 1.5"},
	    {"threads: '4'", "option \"threads\": expected a whole number, found \"4\""},
	    {"rate: 1.01", "option \"rate\": expected a number from 0 to 1, found 1.01"},
	    {"rate: .nan", "option \"rate\": expected a number, found null"},
	    {"log: 1", "option \"log\": expected true or false, found 1"},
	    {"path: 5", "option \"path\": expected a string in quotes, found 5"},
	    {"path: [a]", "option \"path\": expected a string, found a list"},
	    {"path: \"a\\0b\"", "option \"path\": expected a string, found \"a\\u0000b\""},
	    {"mode: slow", "option \"mode\": expected one of off|fast|2|no, found \"slow\""},
	    {"mode: of", "option \"mode\": expected one of off|fast|2|no, found \"of\""},
	    {"scan: [a, 1]", "option \"scan\": expected a list of strings, found 1"},
	    {"[1]", "expected a map of options, found a list"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		refuse(rows[i].text, tdm_arena_printf(&arena, "%s%s", p, rows[i].sentence));
}

static void test_unknown_key(void **state) {
	refuse("kind: local\n\npth: x\n", "tandem.yaml line 3: model small: unknown option \"pth\" (nearest: \"path\")");
	refuse("knd: local\n", "tandem.yaml line 1: model small: unknown option \"knd\" (nearest: \"kind\")");
	refuse("temperature: 1\n", "tandem.yaml line 1: model small: unknown option \"temperature\"");
}

static void test_set_from_text(void **state) {
	memset(&sample, 0, sizeof sample);
	assert_int_equal(tdm_option_set(&arena, "--threads", &table[0], "12", &sample, &err), TDM_OK);
	assert_int_equal(sample.threads, 12);
	assert_int_equal(tdm_option_set(&arena, "--path", &table[3], "123", &sample, &err), TDM_OK);
	assert_string_equal(sample.path, "123");
	assert_int_equal(tdm_option_set(&arena, "--scan", &table[5], "a,,b", &sample, &err), TDM_OK);
	assert_int_equal(sample.scan.n, 3);
	assert_string_equal(sample.scan.items[1], "");
	assert_int_equal(tdm_option_set(&arena, "--scan", &table[5], "", &sample, &err), TDM_OK);
	assert_int_equal(sample.scan.n, 0);
	assert_int_equal(tdm_option_set(&arena, "--price", &table[6], "{in: 3}", &sample, &err), TDM_OK);
	assert_true(tdm_get_number(sample.price, "in", 0) == 3);
	assert_int_equal(tdm_option_set(&arena, "--threads", &table[0], "100", &sample, &err), TDM_ECONFIG);
	assert_string_equal(err.text, "--threads: option \"threads\": expected a whole number from 1 to 64, found 100");
	tdm_error_clear(&err);
	assert_int_equal(tdm_option_set(&arena, "--log", &table[2], "[", &sample, &err), TDM_ECONFIG);
}

static void test_nearest(void **state) {
	static const char *const names[] = {"path", "threads", "temperature", "a"};
	assert_string_equal(tdm_nearest("paht", names, 4), "path");
	assert_string_equal(tdm_nearest("tempratur", names, 4), "temperature");
	assert_string_equal(tdm_nearest("thread", names, 4), "threads");
	assert_null(tdm_nearest("xyz", names, 4));
	assert_null(tdm_nearest("b", names, 4));
	assert_null(tdm_nearest("path", names, 0));
	assert_int_equal(tdm_edit_distance("kitten", "sitting"), 3);
	assert_int_equal(tdm_edit_distance("", "abc"), 3);
	assert_int_equal(tdm_edit_distance("abc", ""), 3);
	assert_int_equal(tdm_edit_distance("gr\xC3\xBCn", "grun"), 1);
}

int tdm_test_option(void) {
	const struct CMUnitTest tests[] = {
	    TEST(test_defaults),    TEST(test_every_type),    TEST(test_refusals),
	    TEST(test_unknown_key), TEST(test_set_from_text), TEST(test_nearest),
	};
	return cmocka_run_group_tests_name("option", tests, NULL, NULL);
}
