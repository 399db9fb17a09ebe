// Runs every test group of trust.
#include "tests.h"

int main(void) {
	int n_failed = 0;
	n_failed += tdm_test_patterns();
	n_failed += tdm_test_guard();
	return n_failed != 0;
}
