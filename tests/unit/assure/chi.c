// The tail of chi-square against values of printed tables (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests.h"
#include "assure/chi.h"
#include <math.h>

static void test_table(void **state) {
	static const struct {
		int degrees;
		double x, tail;
	} rows[] = {{1, 2.706, 0.10},    {1, 3.841, 0.05},   {1, 10.828, 0.001},   {5, 11.070, 0.05},    {10, 18.307, 0.05},
	            {10, 29.588, 0.001}, {30, 43.773, 0.05}, {100, 124.342, 0.05}, {100, 149.449, 0.001}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_true(fabs(tdm_chi_square_tail(rows[i].x, rows[i].degrees) / rows[i].tail - 1) < 2e-3);
}

static void test_two_degrees(void **state) {
	(void)state;
	for (double x = 0.1; x < 200; x *= 1.7) // with two degrees the tail is exp(-x/2)
		assert_true(fabs(tdm_chi_square_tail(x, 2) / exp(-x / 2) - 1) < 1e-10);
	assert_true(tdm_chi_square_tail(0, 3) == 1);
	assert_true(tdm_chi_square_tail(1, 0) == 1);
}

int tdm_test_chi(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_two_degrees)};
	return cmocka_run_group_tests_name("chi", tests, NULL, NULL);
}
