// Weights: a model's shape and matrices, checked against each other and repacked for the kernels.
#pragma once
#include "engine/family.h"
#include "engine/gguf.h"
#include "engine/kernels.h"

enum { TDM_MAX_LAYERS = 4096 };

enum tdm_pooling { TDM_POOL_MEAN = 1, TDM_POOL_FIRST, TDM_POOL_LAST, TDM_POOL_CLASSES }; // values of the file format

struct tdm_shape {
	const struct tdm_family *family;
	int n_vocab, width, n_layers, n_heads, n_kv_heads, head_dim, n_rotated, n_ff, context;
	enum tdm_pooling pooling;  // of an encoder; CLASSES: its file is for classes alone
	int n_classes;             // of an encoder with a head for them; 0: it has none
	int window, window_period; // tokens that a layer with a window sees, the newest included; 0: no layer has one
	float epsilon, attention_scale, attention_cap, logit_cap; // caps: 0 = none
};

static inline bool tdm_has_window(const struct tdm_shape *s, int layer) {
	return s->window && layer % s->window_period != s->window_period - 1;
}

// Rotation by angles in proportion to the position.
struct tdm_rotation {
	double *rates;    // [n_rotated / 2]: radians per position; NULL: no layer needs this one
	double magnitude; // of the rotated vector, relative to the vector's
};
enum { TDM_GLOBAL, TDM_LOCAL, TDM_N_ROTATIONS, TDM_UNROTATED = -1 };

struct tdm_linear {
	struct tdm_matrix m;
	float *bias; // NULL: none. Vectors are padded with zeros to a multiple of 32.
	int place;   // its number in weights->places
};

// Where a linear map comes from in the file: what an adapter changes is found by this name.
struct tdm_place {
	char name[64];      // of the tensor
	int first, n_total; // its rows are first..first + m.n_rows of the tensor's n_total
	const struct tdm_linear *linear;
};

struct tdm_layer {
	int window;                                // 0: it sees everything
	int rotation;                              // TDM_GLOBAL, TDM_LOCAL or TDM_UNROTATED
	float *attention_norm, *ff_norm;           // before attention and feed-forward; of an encoder: after the sums
	float *attention_norm_bias, *ff_norm_bias; // of an encoder
	float *q_norm, *k_norm;                    // of each head; NULL: none
	float *post_attention_norm, *post_ff_norm; // NULL: none
	struct tdm_linear q, k, v, o, gate, up, down;
};

// What an encoder adds to the embeddings, how it normalises the sum, and its head: classes of tanh of dense of the
// first token's row.
struct tdm_ends {
	float *norm, *norm_bias, *type; // type NULL: none
	bool has_positions, has_dense;
	struct tdm_matrix positions;
	struct tdm_linear dense, classes; // has_dense false: classes of the row itself
};

struct tdm_weights {
	struct tdm_shape shape;
	const struct tdm_kernels *kernels;
	struct tdm_store store;      // of all matrices
	struct tdm_matrix embedding; // shares its memory with `output` where the file has one for both
	struct tdm_layer *layers;
	struct tdm_ends ends; // of an encoder
	float *output_norm;   // this and output: of a decoder
	struct tdm_linear output;
	struct tdm_place *places; // of every linear map
	int n_places;
	struct tdm_rotation rotations[TDM_N_ROTATIONS];
	uint32_t cache_type; // of keys and values, TDM_F32, TDM_F16 or TDM_Q8_0; first as precise as the matrices
	uint64_t n_parameters, weight_bytes, token_bytes; // see struct tdm_engine_info
};

// name: for sentences. Fills *w; on an error it is empty. The file is not needed afterwards.
// Error: TDM_EFORMAT for an unknown architecture, a missing or unknown tensor, or a shape that contradicts the
// metadata.
// context: longest sequence that there will be, 0: as long as the metadata says. n_threads: that pack the matrices.
int tdm_weights_read(struct tdm_weights *w, const struct tdm_gguf *g, const char *name, int context,
                     const struct tdm_kernels *kernels, int n_threads, struct tdm_error *err);
void tdm_weights_release(struct tdm_weights *w);
