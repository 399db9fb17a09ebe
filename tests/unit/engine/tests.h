// One function per test file of the engine; main.c runs them all.
#pragma once
int tdm_test_gguf(void);
int tdm_test_formats(void);
int tdm_test_perplexity(void);
int tdm_test_requantize(void);
int tdm_test_forward(void);
int tdm_test_kernels(void);
int tdm_test_weights(void);
int tdm_test_seq(void);
int tdm_test_prefix(void);
int tdm_test_branch(void);
int tdm_test_families(void);
int tdm_test_vocab(void);
int tdm_test_chat(void);
int tdm_test_sampler(void);
int tdm_test_constraint(void);
int tdm_test_grammar_corpus(void);
