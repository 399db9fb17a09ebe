// Runs the unit tests of eval.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_gym, tdm_test_gym_check, tdm_test_gym_values, tdm_test_run, tdm_test_curve, tdm_test_plot,
            tdm_test_outcomes, tdm_test_replay, tdm_test_same, tdm_test_traffic)
