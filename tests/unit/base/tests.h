// The test groups of base; each returns the number of failed tests.
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

int tdm_test_status(void);
int tdm_test_memory(void);
int tdm_test_json(void);
int tdm_test_leaves(void);
int tdm_test_yaml(void);
int tdm_test_option(void);
int tdm_test_text(void);
int tdm_test_random(void);
int tdm_test_pool(void);
int tdm_test_crew(void);
int tdm_test_crypto(void);
int tdm_test_file(void);
int tdm_test_format(void);
int tdm_test_view(void);
int tdm_test_automaton(void);
int tdm_test_library(void);
int tdm_test_secret(void);
int tdm_test_loop(void);
int tdm_test_blocks(void);
