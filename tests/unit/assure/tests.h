// One function per test file of assure; main.c runs them all.
#pragma once
int tdm_test_bounds(void);
int tdm_test_control(void);
int tdm_test_chi(void);
int tdm_test_pvalue(void);
int tdm_test_procedure(void);
int tdm_test_monitor(void);
int tdm_test_certificate(void);
