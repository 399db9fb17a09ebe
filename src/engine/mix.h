// Mixes: which tensor of a model gets which format, as the names of quantised files promise ("q4_k_m").
#pragma once
#include "engine/gguf.h"

struct tdm_mix {
	const char *name;
	uint32_t file_type;   // value of general.file_type
	uint32_t type;        // of most matrices
	uint32_t better_type; // of the matrices where precision pays most; = type when the mix knows none
	bool is_spread;       // better ones over all depths; else among the first layers only
};

extern const struct tdm_mix tdm_mixes[];
extern const uint32_t tdm_n_mixes;
const struct tdm_mix *tdm_mix_named(const char *name); // any case; NULL when there is none
// types: one per tensor of g, in its order; n_wider counts those whose rows fit no block of the format of their place.
int tdm_mix_assign(const struct tdm_mix *mix, const struct tdm_gguf *g, uint32_t *types, uint32_t *n_wider,
                   struct tdm_error *err);
