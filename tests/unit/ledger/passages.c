// A file of passages: what was put in is found by its words and its vectors; half a file is none.
#include "tests.h"
#include "base/file.h"
#include "ledger/passages.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

#define PATH "build/passages-test.db"

static struct tdm_error err;

static struct tdm_passages *make(const char *model) {
	struct tdm_passages *p;
	memset(&err, 0, sizeof err);
	unlink(PATH);
	assert_int_equal(tdm_passages_create(PATH, model, &p, &err), TDM_OK);
	return p;
}

static void put(struct tdm_passages *p, const char *text, const float *vector, int width) {
	assert_int_equal(tdm_passages_put(p, "a.txt", text, strlen(text), vector, width, &err), TDM_OK);
}

static void words_find_passages(void **state) {
	struct tdm_hit hits[4];
	struct tdm_passage got;
	struct tdm_arena arena;
	size_t n;
	struct tdm_passages *p = make(NULL);
	put(p, "The boiler hums in winter.", NULL, 0);
	put(p, "Cats sleep near the boiler, and the boiler is warm. \"Boiler\" OR cats", NULL, 0);
	put(p, "Caf\xc3\xa9 au lait", NULL, 0);
	assert_int_equal(tdm_passages_finish(p, &err), TDM_OK);
	assert_int_equal(tdm_passages_open(PATH, &p, &err), TDM_OK);
	assert_int_equal(tdm_passages_count(p), 3);
	assert_int_equal(tdm_passages_width(p), 0);
	assert_string_equal(tdm_passages_model(p), "");
	assert_int_equal(tdm_passages_by_words(p, "Why does a BOILER hum?", 22, 4, hits, &n, &err), TDM_OK);
	assert_int_equal(n, 2);
	assert_true(hits[0].score >= hits[1].score);
	assert_int_equal(tdm_passages_by_words(p, "cafe", 4, 4, hits, &n, &err), TDM_OK);
	assert_true(n == 1 && hits[0].id == 3);
	static const char operators[] = "\"unclosed* NEAR( ) AND NOT : ^ - + {x} boiler";
	assert_int_equal(tdm_passages_by_words(p, operators, strlen(operators), 1, hits, &n, &err), TDM_OK); // data
	assert_int_equal(n, 1);
	assert_int_equal(tdm_passages_by_words(p, "?! -", 4, 4, hits, &n, &err), TDM_OK);
	assert_int_equal(n, 0);
	tdm_arena_init(&arena, 1 << 16);
	assert_int_equal(tdm_passages_get(p, &arena, 1, &got, &err), TDM_OK);
	assert_string_equal(got.text, "The boiler hums in winter.");
	assert_string_equal(got.source, "a.txt");
	assert_int_equal(tdm_passages_get(p, &arena, 9, &got, &err), TDM_EIO);
	tdm_arena_release(&arena);
	tdm_passages_close(p);
}

static void vectors_find_the_nearest(void **state) {
	static const float east[] = {2, 0}, north[] = {0, 5}, between[] = {1, 1}, none[] = {0, 0}, ask[] = {1, 0};
	struct tdm_hit hits[3];
	struct tdm_passages *p = make("small");
	put(p, "north", north, 2);
	put(p, "between", between, 2);
	put(p, "east", east, 2);
	assert_int_equal(tdm_passages_put(p, "a", "x", 1, none, 2, &err), TDM_EVALUE);
	memset(&err, 0, sizeof err);
	assert_int_equal(tdm_passages_put(p, "a", "x", 1, east, 1, &err), TDM_EVALUE);
	memset(&err, 0, sizeof err);
	assert_int_equal(tdm_passages_finish(p, &err), TDM_OK);
	assert_int_equal(tdm_passages_open(PATH, &p, &err), TDM_OK);
	assert_string_equal(tdm_passages_model(p), "small");
	assert_int_equal(tdm_passages_by_vector(p, ask, 2, hits), 2);
	assert_true(hits[0].id == 3 && hits[1].id == 2);
	assert_true(fabs(hits[1].score - sqrt(0.5)) < 1e-6);
	assert_int_equal(tdm_passages_by_vector(p, ask, 3, hits), 3);
	assert_true(fabs(tdm_passages_cosine(p, 1, ask)) < 1e-6 && isnan(tdm_passages_cosine(p, 4, ask)));
	tdm_passages_close(p);
}

static void half_a_file_is_none(void **state) {
	struct tdm_passages *p = make(NULL);
	put(p, "text", NULL, 0);
	tdm_passages_close(p);
	assert_int_equal(access(PATH, F_OK), -1);
	assert_int_equal(tdm_passages_open(PATH, &p, &err), TDM_EIO);
	memset(&err, 0, sizeof err);
	assert_int_equal(tdm_file_write(PATH, "no database at all, and long enough to be one", 45, &err), TDM_OK);
	assert_true(tdm_passages_open(PATH, &p, &err) < 0);
	memset(&err, 0, sizeof err);
	assert_int_equal(tdm_file_write(PATH, "", 0, &err), TDM_OK);
	assert_int_equal(tdm_passages_open(PATH, &p, &err), TDM_EFORMAT);
	assert_non_null(strstr(err.text, "tandem index makes one"));
	memset(&err, 0, sizeof err);
	assert_int_equal(tdm_passages_create("build/no/such/folder/x.db", NULL, &p, &err), TDM_EIO);
}

int tdm_test_passages(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_find_passages),
	    cmocka_unit_test(vectors_find_the_nearest),
	    cmocka_unit_test(half_a_file_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
