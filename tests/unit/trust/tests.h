// Groups of the unit tests of trust/.
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

int tdm_test_patterns(void);
int tdm_test_guard(void);
