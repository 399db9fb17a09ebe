// Weights: a Llama model's shape and matrices, checked against each other and repacked for the kernels.
#pragma once
#include "engine/gguf.h"
#include "engine/kernels.h"

struct tdm_shape {
	int n_vocab, width, n_layers, n_heads, n_kv_heads, head_dim, n_rotated, n_ff, context;
	float epsilon;
	double rope_base;
};

struct tdm_layer {
	float *attention_norm, *ff_norm; // padded with zeros to a multiple of 32
	struct tdm_matrix q, k, v, o, gate, up, down;
};

struct tdm_weights {
	struct tdm_shape shape;
	const struct tdm_kernels *kernels;
	const struct tdm_tensor *embedding; // in the file
	struct tdm_layer *layers;
	float *output_norm;
	struct tdm_matrix output;
	double *rates;      // [n_rotated / 2]: radians per position
	bool is_half_cache; // keys and values in half precision: the cache is as precise as the matrices
	uint64_t n_parameters, weight_bytes;
};

// name: for sentences. Fills *w; on an error it is empty. The file must outlive the weights.
// Error: TDM_EFORMAT for another architecture, a missing or unknown tensor, or a shape that contradicts the metadata.
int tdm_weights_read(struct tdm_weights *w, const struct tdm_gguf *g, const char *name,
                     const struct tdm_kernels *kernels, struct tdm_error *err);
void tdm_weights_release(struct tdm_weights *w);
