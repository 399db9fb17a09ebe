#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_verify, tdm_test_branches, tdm_test_pace, tdm_test_follow, tdm_test_speculate, tdm_test_cascade,
            tdm_test_route, tdm_test_pair, tdm_test_canary, tdm_test_cache, tdm_test_bounds, tdm_test_vote,
            tdm_test_gates, tdm_test_defer, tdm_test_climb, tdm_test_checks, tdm_test_align, tdm_test_leeway,
            tdm_test_shepherd, tdm_test_states, tdm_test_echoed, tdm_test_wire)
