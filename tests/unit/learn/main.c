// Unit tests of learn: every file is one group.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_gradients, tdm_test_train, tdm_test_lora, tdm_test_bpe, tdm_test_fit, tdm_test_fit_probe,
            tdm_test_router_fit, tdm_test_fit_tagger, tdm_test_fit_states)
