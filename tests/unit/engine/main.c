// Unit tests of the engine: every file is one group.
#include "tests.h"

int main(void) {
	int failed = 0;
	failed += tdm_test_gguf();
	failed += tdm_test_formats();
	failed += tdm_test_perplexity();
	failed += tdm_test_requantize();
	failed += tdm_test_forward();
	failed += tdm_test_kernels();
	failed += tdm_test_weights();
	failed += tdm_test_seq();
	failed += tdm_test_batch();
	failed += tdm_test_prefix();
	failed += tdm_test_branch();
	failed += tdm_test_window();
	failed += tdm_test_adapter();
	failed += tdm_test_families();
	failed += tdm_test_vocab();
	failed += tdm_test_chat();
	failed += tdm_test_sampler();
	failed += tdm_test_constraint();
	failed += tdm_test_grammar_corpus();
	return failed;
}
