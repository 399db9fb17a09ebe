// Libraries that are loaded late: the C library's mathematics stands for one.
#include "tests.h"
#include "base/library.h"
#include <math.h>
#include <string.h>

#define CALLS(X) X(cbrt) X(hypot)
TDM_LIBRARY(lib, "libm.so.6", CALLS);

static void test_calls(void **state) {
	struct tdm_error err = {0};
	assert_int_equal(tdm_library_load(&lib.library, &err), TDM_OK);
	assert_int_equal(tdm_library_load(&lib.library, &err), TDM_OK);
	assert_true(lib.cbrt(27) > 2.999 && lib.cbrt(27) < 3.001);
	assert_true(lib.hypot(3, 4) > 4.999 && lib.hypot(3, 4) < 5.001);
}

static void test_absent(void **state) {
	static const char *const names[] = {"cbrt", "no_such_function_of_libm", NULL};
	struct {
		struct tdm_library library;
		void *calls[2];
	} none = {{.file = "libnone.so.9", .names = names, .lock = PTHREAD_MUTEX_INITIALIZER}, {NULL}},
	  other = {{.file = "libm.so.6", .names = names, .lock = PTHREAD_MUTEX_INITIALIZER}, {NULL}};
	struct tdm_error err = {0};
	assert_int_equal(tdm_library_load(&none.library, &err), TDM_EINTERNAL);
	assert_non_null(strstr(err.text, "libnone.so.9"));
	err = (struct tdm_error){0};
	assert_int_equal(tdm_library_load(&other.library, &err), TDM_EINTERNAL);
	assert_non_null(strstr(err.text, "no_such_function_of_libm"));
	assert_int_equal(tdm_library_load(&other.library, NULL), TDM_EINTERNAL); // it stays a failure
}

int tdm_test_library(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_calls),
	    cmocka_unit_test(test_absent),
	};
	return cmocka_run_group_tests_name("library", tests, NULL, NULL);
}
