// Inside of the decoder: the buffers of a pass, and the parts that work on them. decoder.c is the pass, product.c
// multiplies, attention.c attends.
#pragma once
#include "engine/decoder.h"

// Neighbouring rows of one sequence whose queries attend together.
struct tdm_tile {
	int first, n;
};

struct tdm_decoder {
	const struct tdm_weights *w;
	const struct tdm_cache *cache;
	struct tdm_pool *pool; // NULL with one thread
	int n_threads;
	size_t width, q_width, kv_width, ff_width, columns_width, turns_width; // padded to 32
	float *memory, *x, *y, *q, *k, *v, *attended, *gate, *up;
	float *turns[TDM_N_ROTATIONS]; // [row][turns_width]
	float *low, *change;           // of adapters: between their two matrices, and what they add
	const struct tdm_row *rows;    // of the pass
	const float *text;             // of an encoder's pass: [token][width], what the layers so far made of the text
	int8_t *quantized;
	struct tdm_column_block *blocks;
	int n_tiles;
	struct tdm_tile tiles[TDM_MAX_ROWS];
};

// Runs fn in pieces that are worth a thread, for a job that reads about `bytes` of memory.
void tdm_decoder_parts(struct tdm_decoder *d, tdm_pool_fn *fn, void *arg, size_t bytes);
// Runs fn for each of n rows, which are independent of each other, of about n_elements numbers each; what: for fn.
typedef void tdm_row_fn(struct tdm_decoder *d, const void *what, int row);
void tdm_decoder_rows(struct tdm_decoder *d, tdm_row_fn *fn, const void *what, int n, size_t n_elements);

// Up to TDM_MAX_TARGETS matrices with the same input are one job.
enum { TDM_MAX_TARGETS = 3 };
struct tdm_target {
	const struct tdm_linear *linear;
	float *out; // [row][stride]
	size_t stride;
};
void tdm_decoder_multiply(struct tdm_decoder *d, const float *x, size_t stride, int n, const struct tdm_target *targets,
                          int n_targets);
// One matrix, whose rows of results lie anywhere.
void tdm_decoder_multiply_to(struct tdm_decoder *d, const float *x, size_t stride, int n,
                             const struct tdm_linear *linear, float *const *out);

void tdm_decoder_feed_forward(struct tdm_decoder *d, const float *x, int n, const struct tdm_layer *l); // to d->y

void tdm_attention_begin(struct tdm_decoder *d, const struct tdm_row *rows, int n); // of a pass
// Keys and values as they were multiplied: d->k and d->v to the cache.
void tdm_attention_store(struct tdm_decoder *d, const struct tdm_row *rows, int n, int layer);
// d->q as it was multiplied to d->attended.
void tdm_attention_run(struct tdm_decoder *d, const struct tdm_row *rows, int n, int layer);
