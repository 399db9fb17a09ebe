// The probe: its numbers, its score, and its file.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "models/predict/probe.h"
#include "tests.h"

static void a_row_has_known_signs(void **state) {
	static const float even[] = {1, 1, 1, 1}, one[] = {-INFINITY, 5, -INFINITY}, three[] = {0, 0.6931472f};
	double s[TDM_N_ROW_SIGNS];
	tdm_row_signs(even, 4, s);
	assert_true(fabs(s[TDM_ROW_ENTROPY] - log(4)) < 1e-12 && fabs(s[TDM_ROW_MARGIN] - 1) < 1e-12);
	assert_true(fabs(s[TDM_ROW_FIRST] - 0.75) < 1e-12 && fabs(s[TDM_ROW_SECOND] - 0.25) < 1e-12);
	assert_true(fabs(s[TDM_ROW_LOG] - log(4)) < 1e-12 && s[TDM_ROW_ODDS] == 0);
	tdm_row_signs(one, 3, s);
	assert_true(s[TDM_ROW_ENTROPY] == 0 && s[TDM_ROW_MARGIN] == 0 && s[TDM_ROW_FIRST] == 0 && s[TDM_ROW_SECOND] == 0);
	assert_true(s[TDM_ROW_ODDS] == 20);
	tdm_row_signs(three, 2, s);
	assert_true(fabs(s[TDM_ROW_MARGIN] - 2.0 / 3) < 1e-6 && fabs(s[TDM_ROW_ODDS] - log(2)) < 1e-6);
}

static void a_file_says_what_was_written(void **state) {
	static const float row[] = {0.5f, -1, 2}, hidden[] = {0.25f, -4};
	double weights[] = {0.125, 3};
	struct tdm_probe p = {.bias = -1.5, .signs = {1, -2, 3, -4, 5, 0.5}, .width = 2, .hidden = weights}, *read = NULL;
	double signs[TDM_N_ROW_SIGNS], z = -1.5 + 0.125 * 0.25 - 12;
	struct tdm_error err = {0};
	struct tdm_arena arena;
	struct tdm_bytes text;
	for (int q = 0; q < TDM_N_QUANTILES; q++)
		p.quantiles[q] = q / 100.0;
	tdm_arena_init(&arena, 1 << 20);
	tdm_bytes_init(&text, 1 << 20);
	tdm_probe_write(&p, &text);
	assert_int_equal(tdm_probe_read(&arena, "it", text.data, text.len, &read, &err), TDM_OK);
	assert_int_equal(read->width, 2);
	assert_true(read->quantiles[37] == 0.37);
	tdm_row_signs(row, 3, signs);
	for (int i = 0; i < TDM_N_ROW_SIGNS; i++)
		z += p.signs[i] * signs[i];
	assert_true(fabs(tdm_probe_score(read, row, 3, hidden) - 1 / (1 + exp(-z))) < 1e-9);
	assert_true(tdm_probe_score(&p, row, 3, hidden) == tdm_probe_score(read, row, 3, hidden));
	for (size_t cut = 0; cut + 2 < text.len; cut += 7) { // the last brace and the end of the line are not needed twice
		tdm_error_clear(&err);
		assert_int_equal(tdm_probe_read(&arena, "it", text.data, cut, &read, &err), TDM_EFORMAT);
		assert_non_null(strstr(err.text, "it: "));
	}
	tdm_bytes_release(&text);
	tdm_arena_release(&arena);
}

static void what_is_missing_is_named(void **state) {
#define SIGNS "\"signs\":{\"entropy\":1,\"margin\":1,\"first\":1,\"log\":1,\"second\":1,\"odds\":1}"
	static const struct {
		const char *text, *names;
	} files[] = {
	    {"{}", "version 1"},
	    {"{\"version\":1,\"probe\":{}}", "probe.bias"},
	    {"{\"version\":1,\"probe\":{\"bias\":0,\"signs\":{\"entropy\":1}}}", "probe.signs"},
	    {"{\"version\":1,\"probe\":{\"bias\":0," SIGNS "}}", "probe.hidden"},
	    {"{\"version\":1,\"probe\":{\"bias\":0," SIGNS ",\"hidden\":[\"x\"]}}", "probe.hidden"},
	    {"{\"version\":1,\"probe\":{\"bias\":0," SIGNS ",\"hidden\":[]},\"quantiles\":[1,0]}", "quantiles"},
	};
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 20);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct tdm_probe *p = NULL;
		struct tdm_error err = {0};
		assert_int_equal(tdm_probe_read(&arena, "it", files[i].text, strlen(files[i].text), &p, &err), TDM_EFORMAT);
		assert_non_null(strstr(err.text, files[i].names));
	}
	tdm_arena_release(&arena);
}

int tdm_test_probe(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_row_has_known_signs),
	    cmocka_unit_test(a_file_says_what_was_written),
	    cmocka_unit_test(what_is_missing_is_named),
	};
	return cmocka_run_group_tests_name("probe", tests, NULL, NULL);
}
