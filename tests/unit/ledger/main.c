// Runs every group of tests of ledger/.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_record, tdm_test_receipt, tdm_test_store, tdm_test_journal, tdm_test_shared, tdm_test_metric,
            tdm_test_stats, tdm_test_passages)
