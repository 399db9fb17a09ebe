// Groups of the unit tests of ledger/.
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

int tdm_test_record(void);
int tdm_test_receipt(void);
int tdm_test_store(void);
int tdm_test_journal(void);
int tdm_test_shared(void);
int tdm_test_metric(void);
int tdm_test_stats(void);
int tdm_test_passages(void);
