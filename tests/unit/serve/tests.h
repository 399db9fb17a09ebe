// Groups of the unit tests of serve/.
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

int tdm_test_responses(void);
int tdm_test_completions(void);
int tdm_test_chat_read(void);
int tdm_test_chat_write(void);
int tdm_test_head(void);
int tdm_test_http(void);
