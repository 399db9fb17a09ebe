// Runs every group of tests of serve/.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_responses, tdm_test_completions, tdm_test_chat_read, tdm_test_chat_write, tdm_test_head,
            tdm_test_http)
