// Secrets: where they come from, what is refused, and that no sentence quotes one.
#include "tests.h"
#include "base/file.h"
#include "base/secret.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER "build/test-secret"

static void holds(const char *spec, const char *folder, bool line, const char *want) {
	struct tdm_bytes got;
	struct tdm_error err = {0};
	int status = line ? tdm_secret_line("here", folder, spec, 32, &got, &err)
	                  : tdm_secret_read("here", folder, spec, 32, &got, &err);
	if (status)
		fail_msg("%s: %s", spec, err.text);
	assert_int_equal(got.len, strlen(want));
	assert_string_equal(got.data, want);
	tdm_secret_wipe(&got);
	assert_null(got.data);
}

static void fails(const char *spec, const char *says) {
	struct tdm_bytes got;
	struct tdm_error err = {0};
	assert_int_equal(tdm_secret_line("here", FOLDER, spec, 32, &got, &err), TDM_ECONFIG);
	assert_null(got.data);
	if (strncmp(err.text, "here: ", 6) || !strstr(err.text, says) || strstr(err.text, "hidden"))
		fail_msg("%s: \"%s\" does not say \"%s\"", spec, err.text, says);
}

static void put(const char *name, const char *text) {
	char path[64];
	struct tdm_error err = {0};
	snprintf(path, sizeof path, FOLDER "/%s", name);
	assert_int_equal(tdm_file_write(path, text, strlen(text), &err), TDM_OK);
}

static void test_secrets(void **state) {
	mkdir(FOLDER, 0700);
	put("two", "hidden\r\nother");
	put("none", "");
	put("blank", "\nhidden");
	put("long", "hidden hidden hidden hidden hidden hidden");
	setenv("TDM_SECRET", "hidden", 1);
	setenv("TDM_EMPTY", "", 1);
	setenv("TDM_LONG", "hidden hidden hidden hidden hidden hidden", 1);
	holds("env:TDM_SECRET", NULL, true, "hidden");
	holds("file:two", FOLDER, true, "hidden");
	holds("file:two", FOLDER, false, "hidden\r\nother");
	holds("file:" FOLDER "/two", NULL, true, "hidden");
	fails("env:TDM_ABSENT", "no variable TDM_ABSENT");
	fails("env:TDM_EMPTY", "TDM_EMPTY, or it is empty");
	fails("env:TDM_LONG", "longer than 32 bytes");
	fails("file:absent", FOLDER "/absent");
	fails("file:none", "none is empty");
	fails("file:blank", "first line is empty");
	fails("file:long", "long");
	fails("hidden", "expected \"env:NAME\" or \"file:PATH\"");
}

int tdm_test_secret(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_secrets)};
	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
