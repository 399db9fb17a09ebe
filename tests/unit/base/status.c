// Status codes, errors, and the line that the log writes.
#include "tests.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_rows(void **state) {
	assert_string_equal(tdm_status_info(TDM_EJSON)->code, "invalid_json");
	assert_int_equal(tdm_status_info(TDM_ERATE)->http, 429);
	assert_string_equal(tdm_status_info(TDM_EQUOTA)->messages, "billing_error");
	assert_int_equal(tdm_status_info(TDM_EUPTIME)->retry, TDM_RETRY_ONCE);
	assert_string_equal(tdm_status_info(TDM_OK)->code, "internal_error");
	assert_string_equal(tdm_status_info(-1000)->code, "internal_error");
	assert_string_equal(tdm_status_info(7)->code, "internal_error");
}

static void test_first_failure_wins(void **state) {
	struct tdm_error err = {0};
	assert_int_equal(tdm_fail_param(&err, TDM_EVALUE, "messages[2]", "expected %d", 5), TDM_EVALUE);
	assert_int_equal(tdm_fail(&err, TDM_EIO, "later"), TDM_EVALUE);
	assert_string_equal(err.text, "expected 5");
	assert_string_equal(err.param, "messages[2]");
	assert_int_equal(tdm_fail(NULL, TDM_EIO, "nobody listens"), TDM_EIO);
	tdm_error_clear(&err);
	assert_int_equal(tdm_fail(&err, TDM_EIO, "%0600d", 1), TDM_EIO);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_string_equal(err.param, "");
}

static void test_log_is_one_line(void **state) {
	char text[8192];
	FILE *file = tmpfile();
	assert_non_null(file);
	int saved = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	tdm_log(TDM_DEBUG, "test.hidden", NULL, "a=1");
	tdm_log(TDM_WARN, "test.event", "run-1", "name=%s", "two\nlines");
	tdm_log(TDM_INFO, "test.long", NULL, " fill=%05000d", 7);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	size_t n = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[n] = 0;
	char *second = strchr(text, '\n');
	assert_non_null(second);
	*second++ = 0;
	assert_int_equal(text[10], 'T');
	assert_string_equal(strchr(text, 'Z'), "Z warn test.event run=run-1 name=two lines");
	assert_non_null(strstr(second, " info test.long fill=000"));
	assert_int_equal(strlen(second), 2048);
	assert_ptr_equal(strchr(second, '\n'), second + 2047);
}

static void test_log_file(void **state) {
	char path[] = "/tmp/tandem-log-XXXXXX", text[4096] = "";
	struct tdm_error err = {0};
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(tdm_log_open("/nowhere/at/all", false, &err), TDM_EIO);
	assert_int_equal(tdm_log_open(path, true, NULL), TDM_OK);
	tdm_log(TDM_INFO, "test.json", "run-2", " reason=\"a \"b\" c\td\" n=%d last=x", 7);
	assert_int_equal(tdm_log_open(path, false, NULL), TDM_OK);
	tdm_log(TDM_INFO, "test.text", NULL, " reason=\"a \"b\" c\" n=%d", 7);
	assert_int_equal(tdm_log_reopen(NULL), TDM_OK);
	assert_true(read(fd, text, sizeof text - 1) > 0);
	close(fd);
	remove(path);
	assert_non_null(strstr(text, ",\"level\":\"info\",\"event\":\"test.json\",\"run\":\"run-2\","
	                             "\"reason\":\"a 'b' c d\",\"n\":\"7\",\"last\":\"x\"}\n"));
	assert_non_null(strstr(text, "Z info test.text reason=\"a 'b' c\" n=7\n"));
	assert_int_equal(tdm_log_open("/dev/stderr", false, NULL), TDM_OK);
}

#define N_WRITERS 4
#define N_LINES 500

static void *write_lines(void *arg) {
	for (int i = 0; i < N_LINES; i++)
		tdm_log(TDM_INFO, "test.line", NULL, " writer=%d line=%d", *(int *)arg, i);
	return NULL;
}

static void check_order(const char *text) {
	int next[N_WRITERS] = {0}, writer, line;
	for (const char *at = text; (at = strstr(at, " writer=")); at++) {
		assert_int_equal(sscanf(at, " writer=%d line=%d\n", &writer, &line), 2);
		assert_int_equal(line, next[writer]++);
	}
	for (int i = 0; i < N_WRITERS; i++)
		assert_int_equal(next[i], N_LINES);
}

// Gathered lines are all written, in their order, and a warning takes with it what waited.
static void test_log_gathers(void **state) {
	char path[] = "/tmp/tandem-log-XXXXXX";
	static char text[N_WRITERS * N_LINES * 80];
	pthread_t threads[N_WRITERS];
	int fd = mkstemp(path), names[N_WRITERS] = {0, 1, 2, 3};
	assert_true(fd >= 0);
	assert_int_equal(tdm_log_open(path, false, NULL), TDM_OK);
	tdm_log_gather();
	tdm_log(TDM_INFO, "test.first", NULL, " n=1");
	tdm_log(TDM_WARN, "test.second", NULL, " n=2");
	assert_true(read(fd, text, sizeof text - 1) > 0);
	assert_non_null(strstr(text, "test.first"));
	assert_true(strstr(text, "test.second") > strstr(text, "test.first"));
	for (int i = 0; i < N_WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &names[i]), 0);
	for (int i = 0; i < N_WRITERS; i++)
		pthread_join(threads[i], NULL);
	tdm_log_gather_no_more();
	ssize_t n = read(fd, text, sizeof text - 1);
	assert_true(n > 0);
	text[n] = 0;
	check_order(text);
	close(fd);
	remove(path);
	assert_int_equal(tdm_log_lost(), 0);
	assert_int_equal(tdm_log_open("/dev/stderr", false, NULL), TDM_OK);
}

static void test_clocks(void **state) {
	int64_t before = tdm_now_us();
	usleep(2000);
	assert_in_range(tdm_now_us() - before, 2000, 10000000);
	assert_true(tdm_wall_us() > INT64_C(1700000000) * 1000000);
}

int tdm_test_status(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_first_failure_wins),
	    cmocka_unit_test(test_log_is_one_line),
	    cmocka_unit_test(test_log_file),
	    cmocka_unit_test(test_log_gathers),
	    cmocka_unit_test(test_clocks),
	};
	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
