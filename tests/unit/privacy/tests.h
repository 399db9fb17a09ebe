// Groups of the unit tests of privacy/, and what they share.
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "privacy/detect/detect.h"

int tdm_test_vectors(void);
int tdm_test_catalogue(void);
int tdm_test_national(void);
int tdm_test_secrets(void);
int tdm_test_token(void);
int tdm_test_restore(void);
int tdm_test_detect(void);
int tdm_test_egress(void);
int tdm_test_mask(void);
int tdm_test_names(void);
int tdm_test_shape(void);
int tdm_test_delegate(void);
int tdm_test_perturb(void);
int tdm_test_retrieve(void);

struct tdm_scanner *shared_scanner(void); // compiled once for all groups
// Every text holds one value of this label at this level and nothing else: what stands between its braces.
void assert_found(const char *label, int level, const char *const *vectors);
void assert_not_found(const char *label, int level, const char *const *vectors);
void assert_count(const char *text, int level, size_t n);
