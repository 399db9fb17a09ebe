// Unit tests of quality: every file is one group.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_fuse, tdm_test_guide, tdm_test_pair)
