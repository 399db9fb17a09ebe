// One function per test file of choose; main.c runs them all.
#pragma once
int tdm_test_choose(void);
int tdm_test_front(void);
