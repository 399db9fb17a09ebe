// One function per test file of learn; main.c runs them all.
#pragma once
int tdm_test_gradients(void);
int tdm_test_train(void);
int tdm_test_lora(void);
int tdm_test_bpe(void);
int tdm_test_fit(void);
int tdm_test_fit_probe(void);
int tdm_test_router_fit(void);
int tdm_test_fit_tagger(void);
int tdm_test_fit_states(void);
