// The kept inputs of the fuzz target of grammars, through the target itself: it ends the program where it finds a
// fault.
#include "../../fuzz/grammar.c"
#include "base/file.h"
#include "tests.h"
#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

static void kept_inputs_pass(void **state) {
	static const char folder[] = "tests/fuzz/corpus/grammar";
	DIR *dir = opendir(folder);
	int n = 0;
	assert_non_null(dir);
	for (struct dirent *d = readdir(dir); d; d = readdir(dir)) {
		struct tdm_bytes b;
		char path[512];
		if (d->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
		assert_int_equal(tdm_file_read(path, 1 << 20, &b, NULL), TDM_OK);
		assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)b.data, b.len), 0);
		tdm_bytes_release(&b);
		n++;
	}
	closedir(dir);
	assert_true(n >= 15);
}

int tdm_test_grammar_corpus(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(kept_inputs_pass)};
	return cmocka_run_group_tests_name("grammar_corpus", tests, NULL, NULL);
}
