// Runs every test group of trust.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_patterns, tdm_test_guard)
