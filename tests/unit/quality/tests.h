// One function per test file of quality; main.c runs them all.
#pragma once
int tdm_test_fuse(void);
int tdm_test_guide(void);
int tdm_test_pair(void);
