// The unit tests of eval: one function per file, each the number of failed tests.
#pragma once

int tdm_test_gym(void);
int tdm_test_gym_check(void);
int tdm_test_gym_values(void);
int tdm_test_run(void);
int tdm_test_curve(void);
int tdm_test_plot(void);
int tdm_test_outcomes(void);
int tdm_test_replay(void);
int tdm_test_traffic(void);
int tdm_test_same(void);
