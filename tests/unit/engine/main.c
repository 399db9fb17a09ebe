// Unit tests of the engine: every file is one group.
#include "tests.h"
#include "../groups.h"

GROUPS_MAIN(tdm_test_gguf, tdm_test_formats, tdm_test_perplexity, tdm_test_requantize, tdm_test_forward,
            tdm_test_kernels, tdm_test_weights, tdm_test_seq, tdm_test_batch, tdm_test_prefix, tdm_test_branch,
            tdm_test_shallow, tdm_test_added, tdm_test_window, tdm_test_adapter, tdm_test_families, tdm_test_vocab,
            tdm_test_chat, tdm_test_sampler, tdm_test_constraint, tdm_test_grammar_corpus)
