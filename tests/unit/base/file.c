// Files: reading with a limit, atomic writing, mapping; and the lines that progress writes.
#include "tests.h"
#include "base/file.h"
#include "base/progress.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/tandem-test-XXXXXX";
static char path[100];
static struct tdm_error err;

static int make_folder(void **state) {
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/data", folder);
	return 0;
}

static int remove_folder(void **state) {
	unlink(path);
	return rmdir(folder); // fails when a temporary file was left behind
}

static int clear_error(void **state) {
	tdm_error_clear(&err);
	return 0;
}

static int count_files(void) {
	int n = 0;
	DIR *dir = opendir(folder);
	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void expect_content(const char *text) {
	struct tdm_bytes data;
	assert_int_equal(tdm_file_read(path, 100000, &data, &err), TDM_OK);
	assert_string_equal(data.data, text);
	tdm_bytes_release(&data);
}

static void test_write_replaces(void **state) {
	struct stat info;
	assert_int_equal(tdm_file_write(path, "one", 3, &err), TDM_OK);
	expect_content("one");
	assert_int_equal(chmod(path, 0600), 0);
	FILE *reader = fopen(path, "r");
	assert_int_equal(tdm_file_write(path, "second", 6, &err), TDM_OK);
	expect_content("second");
	assert_int_equal(fgetc(reader), 'o'); // who had the old file open still reads the old one
	fclose(reader);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_int_equal(count_files(), 1);
	assert_int_equal(tdm_file_write(path, NULL, 0, &err), TDM_OK);
	expect_content("");
}

static void test_write_fails_clean(void **state) {
	char name[200];
	snprintf(name, sizeof name, "%s/absent/file", folder);
	assert_int_equal(tdm_file_write(name, "x", 1, &err), TDM_EIO);
	assert_non_null(strstr(err.text, name));
	snprintf(name, sizeof name, "%s/sub", folder);
	assert_int_equal(mkdir(name, 0700), 0);
	int before = count_files();
	tdm_error_clear(&err);
	assert_int_equal(tdm_file_write(name, "x", 1, &err), TDM_EIO); // a folder cannot be replaced by a file
	assert_int_equal(count_files(), before);
	assert_int_equal(rmdir(name), 0);
	assert_int_equal(mkfifo(name, 0600), 0);
	tdm_error_clear(&err);
	assert_int_equal(tdm_file_write(name, "x", 1, &err), TDM_EIO); // nor a pipe, or /dev/stdout
	assert_int_equal(unlink(name), 0);
}

static void test_read_limits(void **state) {
	struct tdm_bytes data;
	assert_int_equal(tdm_file_write(path, "12345", 5, &err), TDM_OK);
	assert_int_equal(tdm_file_read(path, 5, &data, &err), TDM_OK);
	assert_int_equal(data.len, 5);
	tdm_bytes_release(&data);
	assert_int_equal(tdm_file_read(path, 4, &data, &err), TDM_EFORMAT);
	assert_non_null(strstr(err.text, "larger than 4 bytes"));
	assert_null(data.data);
	tdm_error_clear(&err);
	assert_int_equal(tdm_file_read(folder, 100, &data, &err), TDM_EIO);
	assert_non_null(strstr(err.text, "is a folder"));
	tdm_error_clear(&err);
	assert_int_equal(tdm_file_read("/nonexistent/x", 100, &data, &err), TDM_EIO);
	assert_non_null(strstr(err.text, "/nonexistent/x: cannot open"));
	tdm_error_clear(&err);
	assert_int_equal(tdm_file_read("/proc/self/status", 100000, &data, &err), TDM_OK);
	assert_true(data.len > 100);
	tdm_bytes_release(&data);
}

static void test_mapping(void **state) {
	struct tdm_mapping mapping;
	assert_int_equal(tdm_file_write(path, "mapped", 6, &err), TDM_OK);
	assert_int_equal(tdm_map_open(path, &mapping, &err), TDM_OK);
	assert_int_equal(mapping.n, 6);
	assert_memory_equal(mapping.data, "mapped", 6);
	tdm_map_close(&mapping);
	assert_null(mapping.data);
	assert_int_equal(tdm_file_write(path, "", 0, &err), TDM_OK);
	assert_int_equal(tdm_map_open(path, &mapping, &err), TDM_OK);
	assert_int_equal(mapping.n, 0);
	tdm_map_close(&mapping);
	assert_int_equal(tdm_map_open("/nonexistent", &mapping, &err), TDM_EIO);
}

static void a_file_that_is_cut_off_while_mapped_reads_as_zeros(void **state) {
	struct tdm_mapping mapping, other;
	enum { N = 100000 };
	char *data = malloc(N);
	memset(data, 'x', N);
	assert_int_equal(tdm_file_write(path, data, N, &err), TDM_OK);
	assert_int_equal(tdm_map_open(path, &mapping, &err), TDM_OK);
	assert_int_equal(tdm_map_open("tests/unit/base/file.c", &other, &err), TDM_OK);
	assert_int_equal(truncate(path, 10), 0);
	size_t zeros = 0;
	for (size_t i = 0; i < N; i++)
		zeros += ((const volatile char *)mapping.data)[i] == 0;
	assert_true(zeros > N - 8192);
	assert_true(tdm_map_changed(&mapping));
	assert_false(tdm_map_changed(&other));
	tdm_map_close(&mapping);
	tdm_map_close(&other);
	free(data);
}

static void only_regular_files_are_mapped(void **state) {
	static const char *const others[] = {"/dev/zero", "/dev/null", "/proc/self/fd/0", "tests"};
	struct tdm_mapping mapping;
	char pipe_path[] = "/tmp/tdm-pipe-XXXXXX";
	assert_non_null(mkdtemp(pipe_path));
	char name[64];
	snprintf(name, sizeof name, "%s/pipe", pipe_path);
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_int_equal(tdm_map_open(name, &mapping, &err), TDM_EIO); // at once: nobody writes into it
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_int_equal(tdm_map_open(others[i], &mapping, &err), TDM_EIO);
	unlink(name);
	rmdir(pipe_path);
}

static void test_progress_lines(void **state) {
	char text[1000];
	struct tdm_progress progress;
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	tdm_progress_start(&progress, "training small", "steps", 3);
	tdm_progress_show(&progress, 1, NULL); // too early for a line
	progress.shown_us -= 11000000;
	tdm_progress_show(&progress, 2, "loss 0.5");
	tdm_progress_show(&progress, 3, NULL);
	tdm_progress_end(&progress);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	size_t n = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[n] = 0;
	assert_string_equal(text, "training small: 2/3 steps, loss 0.5, 0 s left\ntraining small: 3/3 steps\n");
}

#define TEST(name) cmocka_unit_test_setup(name, clear_error)

static void test_output_in_parts(void **state) {
	struct tdm_output o;
	assert_int_equal(tdm_file_write(path, "old", 3, &err), TDM_OK);
	assert_int_equal(tdm_output_open(&o, path, &err), TDM_OK);
	assert_int_equal(tdm_output_write(&o, "ne", 2, &err), TDM_OK);
	assert_int_equal(tdm_output_write(&o, "w", 1, &err), TDM_OK);
	expect_content("old");
	assert_int_equal(tdm_output_commit(&o, &err), TDM_OK);
	expect_content("new");
	tdm_output_drop(&o); // after the end: nothing
	expect_content("new");
	assert_int_equal(tdm_output_open(&o, path, &err), TDM_OK);
	assert_int_equal(tdm_output_write(&o, "no", 2, &err), TDM_OK);
	assert_int_equal(count_files(), 2);
	tdm_output_drop(&o);
	assert_int_equal(count_files(), 1);
	expect_content("new");
	assert_int_equal(tdm_output_open(&o, "/nowhere/file", &err), TDM_EIO);
	tdm_output_drop(&o);
}

int tdm_test_file(void) {
	const struct CMUnitTest tests[] = {
	    TEST(test_write_replaces),
	    TEST(test_output_in_parts),
	    TEST(test_write_fails_clean),
	    TEST(test_read_limits),
	    TEST(test_mapping),
	    TEST(test_progress_lines),
	    TEST(a_file_that_is_cut_off_while_mapped_reads_as_zeros),
	    TEST(only_regular_files_are_mapped),
	};
	return cmocka_run_group_tests_name("file", tests, make_folder, remove_folder);
}
