#pragma once

int tdm_test_cache(void);
int tdm_test_verify(void);
int tdm_test_pace(void);
int tdm_test_follow(void);
int tdm_test_speculate(void);
int tdm_test_cascade(void);
int tdm_test_route(void);
int tdm_test_pair(void);
int tdm_test_canary(void);
int tdm_test_bounds(void);
int tdm_test_vote(void);
int tdm_test_gates(void);
int tdm_test_defer(void);
int tdm_test_climb(void);
int tdm_test_checks(void);
int tdm_test_shepherd(void);
