// Unit tests of choose: every file is one group.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_choose, tdm_test_front)
