// Runs every test group of base.
#include "tests.h"

int main(void) {
	int n_failed = 0;
	n_failed += tdm_test_status();
	n_failed += tdm_test_memory();
	n_failed += tdm_test_json();
	n_failed += tdm_test_yaml();
	n_failed += tdm_test_option();
	n_failed += tdm_test_text();
	n_failed += tdm_test_random();
	n_failed += tdm_test_pool();
	n_failed += tdm_test_crew();
	n_failed += tdm_test_crypto();
	n_failed += tdm_test_file();
	n_failed += tdm_test_format();
	n_failed += tdm_test_view();
	n_failed += tdm_test_automaton();
	n_failed += tdm_test_library();
	return n_failed != 0;
}
