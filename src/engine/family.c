// The table of families. The facts are those of the published models, as llama.cpp reads their files.
#include "engine/family.h"
#include <string.h>

enum { GEMMA = TDM_HALVES | TDM_GELU | TDM_SCALED_EMBEDDING };

static const struct tdm_family families[] = {
    // Llama 1 to 3, Mistral, SmolLM 1 and 2, TinyLlama
    {.name = "llama", .window_period = TDM_EVERY_LAYER},
    // Qwen 2 and 2.5
    {.name = "qwen2", .traits = TDM_HALVES | TDM_QKV_BIAS},
    {.name = "qwen3", .traits = TDM_HALVES | TDM_HEAD_NORMS},
    {.name = "smollm3", .unrotated = 4},
    {.name = "gemma", .traits = GEMMA},
    {.name = "gemma2",
     .traits = GEMMA | TDM_POST_NORMS,
     .window_period = 2,
     .window = 4096,
     .attention_cap = 50,
     .logit_cap = 30,
     .n_wide_layers = 46},
    {.name = "gemma3",
     .traits = GEMMA | TDM_POST_NORMS | TDM_HEAD_NORMS,
     .window_period = 6,
     .local_base = 10000,
     .n_wide_layers = 62},
    {.name = "phi3", .traits = TDM_HALVES | TDM_FUSED_GATE},
    {.name = "bert", .traits = TDM_ENCODER | TDM_PLAIN | TDM_GELU | TDM_POSITIONS, .unrotated = 1},
    {.name = "nomic-bert", .traits = TDM_ENCODER | TDM_HALVES},
};
enum { N_FAMILIES = sizeof families / sizeof *families };

const struct tdm_family *tdm_family_find(const char *name, size_t n) {
	for (size_t i = 0; i < N_FAMILIES; i++)
		if (strlen(families[i].name) == n && memcmp(families[i].name, name, n) == 0)
			return &families[i];
	return NULL;
}

const struct tdm_family *tdm_family_at(size_t i) {
	return i < N_FAMILIES ? &families[i] : NULL;
}
