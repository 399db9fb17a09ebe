// Runs every test group of privacy.
#include "tests.h"
#include <stdio.h>

static struct tdm_scanner *scanner;

struct tdm_scanner *shared_scanner(void) {
	struct tdm_error error = {0};
	if (!scanner && tdm_scanner_new(NULL, 0, &scanner, &error) != TDM_OK)
		fprintf(stderr, "%s\n", error.text);
	return scanner;
}

int main(void) {
	int n_failed = 0;
	n_failed += tdm_test_vectors();
	n_failed += tdm_test_token();
	n_failed += tdm_test_restore();
	n_failed += tdm_test_detect();
	n_failed += tdm_test_egress();
	n_failed += tdm_test_mask();
	tdm_scanner_free(scanner);
	return n_failed != 0;
}
