// Runs every test group of base.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_status, tdm_test_memory, tdm_test_json, tdm_test_leaves, tdm_test_yaml, tdm_test_option,
            tdm_test_text, tdm_test_random, tdm_test_pool, tdm_test_crew, tdm_test_crypto, tdm_test_file,
            tdm_test_format, tdm_test_view, tdm_test_automaton, tdm_test_library, tdm_test_secret, tdm_test_loop,
            tdm_test_blocks)
