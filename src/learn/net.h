// Net: the shape of a model that learns, and its parameters in one block of memory.
//
// Architecture: GGUF's "llama" (RMSNorm, rotation of adjacent pairs, grouped-query attention, SwiGLU) with the output
// head tied to the embedding. The rule it protects: parameters, gradients, both moments and checkpoints share one
// layout, so that every pass over them is one loop over n_params floats. To add a tensor, extend tdm_layer_view and
// the table in net.c; naming, initialisation, decay, export and checkpoints follow from the table.
#pragma once
#include "base/status.h"
#include "engine/gguf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_shape {
	int n_vocab, width, n_layers, n_heads, n_kv_heads, n_ff, context;
	float norm_eps, rope_base;
};

// One layer's place in a block (of parameters, gradients or moments). A matrix is [n_out, n_in], row-major. Key and
// value, and gate and up, lie side by side, so that one product computes both.
struct tdm_layer_view {
	float *attn_norm; // [width]
	float *q;         // [width, width]
	float *kv;        // [2 * kv_width, width]: all keys, then all values
	float *o;         // [width, width]
	float *ffn_norm;  // [width]
	float *gate_up;   // [2 * n_ff, width]: all gates, then all ups
	float *down;      // [width, n_ff]
};

struct tdm_view {
	float *embedding; // [n_vocab, width], also the output head
	float *norm;      // [width], the final one
};

// A tensor by its GGUF name, with GGUF's order of dimensions (dims[0] = input width).
struct tdm_net_tensor {
	char name[48];
	size_t offset, n;
	uint64_t dims[2];
	uint32_t n_dims; // 1: a norm's weight; 2: a matrix
	bool residual;   // writes into the residual stream
};

struct tdm_net {
	struct tdm_shape shape;
	size_t n_params;
	float *params;
};

// Error: TDM_EVALUE with the figure that does not fit.
int tdm_shape_check(const struct tdm_shape *shape, struct tdm_error *err);
size_t tdm_shape_n_params(const struct tdm_shape *shape);
int tdm_shape_head_width(const struct tdm_shape *shape);
int tdm_shape_kv_width(const struct tdm_shape *shape);
size_t tdm_shape_n_tensors(const struct tdm_shape *shape);
void tdm_shape_tensor(const struct tdm_shape *shape, size_t i, struct tdm_net_tensor *out);

struct tdm_view tdm_view_of(const struct tdm_shape *shape, float *block);
struct tdm_layer_view tdm_view_layer(const struct tdm_shape *shape, float *block, int layer);

// Memory of n floats, zeroed, on a cache line; NULL when there is none. Give it back with free().
float *tdm_floats(size_t n);

int tdm_net_init(struct tdm_net *net, const struct tdm_shape *shape, struct tdm_error *err); // zero parameters
void tdm_net_release(struct tdm_net *net);
// Matrices: normal, of variance 1 / (their inputs), which keeps the signal's size through a narrow model too (LeCun et
// al. 1998, section 4.6); those that write into the residual stream are divided by sqrt(2 n_layers) (Radford et al.
// 2019). The tied embedding: normal(0, 0.02), so that the first logits are small. Norms are 1.
void tdm_net_randomize(struct tdm_net *net, uint64_t seed);
// Reads shape and parameters of a GGUF file. Error: TDM_EFORMAT when the file is no tied model of this architecture.
int tdm_net_load(struct tdm_net *net, const struct tdm_gguf *file, const char *path, struct tdm_error *err);
