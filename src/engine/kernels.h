// Kernels: the arithmetic of a forward pass, once for each instruction set, chosen when the engine opens.
//
// The rule it protects: a number does not depend on what is computed beside it. Each output element has a reduction
// order of its own, fixed by its shape: a matrix element is one lane of a group of 16 rows, summed along the row; an
// attention result is summed over the keys of a query in blocks of 256. Columns and queries that are computed together
// share the loads of weights and cache and nothing else.
// The body is written once (kernels_body.h); a set adds its vector width and four primitives. To add an instruction
// set: a file kernels_NAME.c, a row in kernels.c, the flags in the Makefile.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TDM_LANES = 16,       // rows of a matrix that lie interleaved; every row of activations is padded to 2 * TDM_LANES
	TDM_BLOCK = 32,       // elements that share a scale in Q8_0
	TDM_PAGE_TOKENS = 16, // tokens of one cache page
	TDM_MAX_QUERIES = 8,  // that attend together
	TDM_KEY_BLOCK = 256,  // keys of a softmax: attention reads from the beginning of one
};

// A matrix of the model, repacked by tdm_matrix_pack: groups of 16 rows, inside a group 16 rows side by side.
//   F32, F16, BF16: [n_cols padded to 4][16]
//   blocks: see packing.h
struct tdm_matrix {
	uint32_t type;  // enum tdm_tensor_type
	bool is_blocks; // multiplied with quantised columns
	uint8_t flip;   // of the kernels it was packed for
	int n_rows, n_cols;
	int n_groups; // rows / 16, rounded up; missing rows are zero
	size_t group_bytes;
	uint8_t *packed; // 64-byte aligned
};

// Of 32 quantised elements of a column: what every format's product needs beside them.
struct tdm_column_block {
	float scale, scaled_sum;        // element = scale * q; scale * sum of q
	int32_t minus_sum, minus_first; // -(sum of q), -(sum of the first 16)
};

// Columns to multiply with: n rows of activations, each zero beyond n_cols; for matrices of blocks quantised too, block
// by block, so that a kernel that holds a block of weights finds all columns' elements in neighbouring lines.
struct tdm_columns {
	int n;
	size_t stride; // elements from one column to the next, a multiple of 32
	const float *x;
	int8_t *q;                       // [stride / 32][n][32]
	struct tdm_column_block *blocks; // [stride / 32][n]
};

// Queries of one sequence that read one head of the cache. Page of numbers: keys [head_dim][16 tokens], then values
// [16 tokens][head_dim padded to 16]. Page of Q8_0, head_dim in blocks of 32: keys, codes [block][8][16 tokens][4]
// (with the kernels' flip) and scales in half precision [block][16 tokens]; values, codes [block][16 tokens][32] and
// scales.
struct tdm_attention {
	int n; // queries, 1..TDM_MAX_QUERIES
	const float *q[TDM_MAX_QUERIES];
	float *out[TDM_MAX_QUERIES];    // head_dim floats
	int n_keys[TDM_MAX_QUERIES];    // the query sees the keys before this one
	int first_key[TDM_MAX_QUERIES]; // and none before this one
	const uint8_t *const *pages;    // of the sequence
	size_t keys_at, values_at;      // bytes from the start of a page to this layer's and head's part
	int head_dim, head_padded;      // to 16, for Q8_0 to 32
	uint32_t type;                  // TDM_F32, TDM_F16 or TDM_Q8_0
	float scale;                    // of a score; mostly 1 / sqrt(head_dim)
	float soft_cap;                 // a score x counts as soft_cap * tanh(x / soft_cap); 0: as x
};

struct tdm_kernels {
	const char *name;
	uint8_t flip;  // 0x80: codes of Q8_0 are stored as w + 128
	int n_queries; // that attend together at best
	// out[c][group * 16 + lane] for the groups from <= g < to and every column c
	void (*multiply)(const struct tdm_matrix *m, int from, int to, const struct tdm_columns *x, float *const *out);
	// Fills column c < columns->n of q and blocks from x.
	void (*quantize)(const struct tdm_columns *columns, int c);
	// out = x / rms(x) * weight; all rows zero beyond n, computed to the multiple of 16
	void (*normalize)(const float *x, const float *weight, int n, float epsilon, float *out);
	void (*add)(float *x, const float *y, int n);        // x += y; n a multiple of 16
	void (*gate)(float *g, const float *up, int n);      // g = silu(g) * up; n a multiple of 16
	void (*halve)(const float *x, int n, uint16_t *out); // n a multiple of 16; round to nearest even
	void (*attend)(const struct tdm_attention *a);
	double (*exp_sum)(const float *x, int n, float top); // sum of e^(x - top); x at most top, any n
};

extern const struct tdm_kernels tdm_kernels_portable, tdm_kernels_avx2, tdm_kernels_avx512;

// name NULL: the best that this machine runs. Error: TDM_ECONFIG for an unknown name or one this machine cannot run.
int tdm_kernels_find(const char *name, const struct tdm_kernels **out, struct tdm_error *err);
// Row i of the table, NULL after the last; *runs says whether this machine has its instructions.
const struct tdm_kernels *tdm_kernels_at(size_t i, bool *runs);

struct tdm_pool;
// Memory of packed matrices: address space taken once, filled from the start on, in large pages where the system gives
// them (a third more bandwidth than small ones), and given back at once.
struct tdm_store {
	uint8_t *base;
	size_t n_bytes, used;
	struct tdm_pool *pool; // that packs; NULL: the caller alone
};
// Room for matrices whose tensors have `bytes` in all, in n_matrices pieces. Error: TDM_ENOMEM.
int tdm_store_init(struct tdm_store *s, uint64_t bytes, size_t n_matrices, struct tdm_error *err);
void tdm_store_release(struct tdm_store *s);

// The matrix lives as long as the store. Memory is in proportion to `rows x cols` of data that exists. Error:
// TDM_ENOMEM when the store has no room left.
int tdm_matrix_pack(struct tdm_matrix *m, struct tdm_store *store, const struct tdm_kernels *kernels, uint32_t type,
                    const void *data, int n_rows, int n_cols, struct tdm_error *err);
// Row `row` of the packed matrix as numbers: n_cols floats, bit for bit those of tdm_dequantize.
void tdm_matrix_row(const struct tdm_matrix *m, int row, float *out);
// Of the codes of a page's keys or values; their scales stand behind them.
static inline size_t tdm_codes_bytes(int head_padded) {
	return (size_t)head_padded * TDM_PAGE_TOKENS;
}
static inline int tdm_pad(int n, int to) {
	return (n + to - 1) / to * to;
}
