// Unit tests of assure: every file is one group.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_bounds, tdm_test_control, tdm_test_chi, tdm_test_pvalue, tdm_test_procedure, tdm_test_monitor,
            tdm_test_certificate)
