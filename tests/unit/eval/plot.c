// Charts: one mark per value, marks where the values say, names escaped, no label over another.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "eval/plot.h"
#include "tests.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LIMIT ((size_t)1 << 20)
static const struct tdm_plot_frame frame = {0, 0, 600, 400};

static int count(const char *text, const char *part) {
	int n = 0;
	for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
		n++;
	return n;
}

static void test_bars(void **state) {
	static const char *const groups[] = {"a<b", "c"}, *const series[] = {"one", "R&D"};
	const double values[] = {50, 100, (double)NAN, 25};
	struct tdm_plot_bars chart = {"Title", "right, %", groups, 2, series, 2, values, 100};
	struct tdm_bytes out;
	tdm_bytes_init(&out, LIMIT);
	tdm_plot_start(&out, 600, 400);
	tdm_plot_bars(&out, &frame, &chart);
	tdm_plot_end(&out);
	assert_false(out.failed);
	assert_int_equal(count(out.data, "<rect"), 1 + 2 + 3);    // ground, legend, bars that have a value
	assert_int_equal(count(out.data, "height=\"266.0\""), 1); // 100 % is the whole axis
	assert_int_equal(count(out.data, "height=\"133.0\""), 1);
	assert_int_equal(count(out.data, "a&lt;b"), 1);
	assert_int_equal(count(out.data, "R&amp;D"), 1);
	assert_int_equal(count(out.data, "nan"), 0);
	assert_int_equal(count(out.data, "<text"), count(out.data, "</text>"));
	tdm_bytes_release(&out);
}

// Ten models on one spot: ten labels on ten different places.
static void test_points(void **state) {
	static const char *const names[] = {"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"};
	double x[10], y[10], at_x[10], at_y[10];
	struct tdm_bytes out;
	for (int i = 0; i < 10; i++) {
		x[i] = 3;
		y[i] = 70;
	}
	struct tdm_plot_points chart = {"Title", "cost", "right, %", names, x, y, NULL, NULL, 10, 0, 100};
	tdm_bytes_init(&out, LIMIT);
	tdm_plot_points(&out, &frame, &chart);
	assert_int_equal(count(out.data, "<circle"), 10);
	for (int i = 0; i < 10; i++) {
		char end[16];
		snprintf(end, sizeof end, ">%s</text>", names[i]);
		char *word = strstr(out.data, end);
		assert_non_null(word);
		while (*word != '<')
			word--;
		assert_int_equal(sscanf(word, "<text x=\"%lf\" y=\"%lf\"", &at_x[i], &at_y[i]), 2);
		for (int k = 0; k < i; k++)
			assert_true(fabs(at_x[i] - at_x[k]) >= 13 || fabs(at_y[i] - at_y[k]) >= 13);
	}
	tdm_bytes_release(&out);
}

static void test_step(void **state) {
	assert_float_equal(tdm_plot_step(100, 5), 20, 1e-12);
	assert_float_equal(tdm_plot_step(0.09, 6), 0.02, 1e-12);
	assert_float_equal(tdm_plot_step(7, 6), 2, 1e-12);
	assert_float_equal(tdm_plot_step(0, 5), 1, 0);
	assert_float_equal(tdm_plot_step((double)NAN, 5), 1, 0);
}

int tdm_test_plot(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_bars),
	    cmocka_unit_test(test_points),
	    cmocka_unit_test(test_step),
	};
	return cmocka_run_group_tests_name("plot", tests, NULL, NULL);
}
