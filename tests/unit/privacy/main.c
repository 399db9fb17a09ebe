// Runs every test group of privacy.
#include "tests.h"
#include "../groups.h"
#include <stdio.h>

static struct tdm_scanner *scanner;

struct tdm_scanner *shared_scanner(void) {
	struct tdm_error error = {0};
	if (!scanner && tdm_scanner_new(NULL, 0, &scanner, &error) != TDM_OK)
		fprintf(stderr, "%s\n", error.text);
	return scanner;
}

int main(int argc, char **argv) {
	static int (*const groups[])(void) = {tdm_test_vectors, tdm_test_national, tdm_test_catalogue, tdm_test_secrets,
	                                      tdm_test_token,   tdm_test_restore,  tdm_test_detect,    tdm_test_egress,
	                                      tdm_test_mask,    tdm_test_delegate, tdm_test_perturb,   tdm_test_retrieve,
	                                      tdm_test_names,   tdm_test_shape};
	int status = run_groups(argc, argv, groups, (int)(sizeof groups / sizeof *groups));
	tdm_scanner_free(scanner);
	return status;
}
