// Groups of the unit tests of privacy/, and what they share.
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "privacy/detect.h"

int tdm_test_vectors(void);
int tdm_test_national(void);
int tdm_test_token(void);
int tdm_test_restore(void);
int tdm_test_detect(void);
int tdm_test_egress(void);
int tdm_test_mask(void);

struct tdm_scanner *shared_scanner(void); // compiled once for all groups
