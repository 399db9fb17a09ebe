// Toy models: random Llama weights of any shape, as a file for the engine and as doubles for the reference.
#pragma once
#include "engine/engine.h"

struct tdm_toy {
	int n_vocab, width, n_layers, n_heads, n_kv_heads, head_dim, n_ff, context;
	uint32_t type; // of the matrices
	enum tdm_cache_type cache_type;
	bool is_tied;
	uint64_t seed;
	// filled by tdm_toy_make; matrices as the file's type rounds them
	float *embedding, *output, *output_norm;
	struct tdm_toy_layer {
		float *attention_norm, *ff_norm, *q, *k, *v, *o, *gate, *up, *down;
	} layers[8];
	char path[64];
};
#define TDM_TOY                                                                                               \
	{                                                                                                         \
		.n_vocab = 40, .width = 64, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2, .head_dim = 16, .n_ff = 96, \
		.context = 600, .type = TDM_F32, .seed = 1                                                            \
	}

void tdm_toy_make(struct tdm_toy *toy); // writes the file
struct tdm_engine *tdm_toy_open(const struct tdm_toy *toy, const char *kernels, int threads);
void tdm_toy_free(struct tdm_toy *toy); // and removes the file
// The reference: logits[n][n_vocab] of all positions, in double, one token after the other.
void tdm_toy_forward(const struct tdm_toy *toy, const int32_t *tokens, int n, double *logits);
