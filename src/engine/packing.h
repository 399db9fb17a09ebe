// Packing: how the kernels keep matrices of blocks in memory, the same for every instruction set.
//
// A matrix is groups of 16 rows; a group is its blocks of 32 columns in order, for K types preceded every 8 blocks by
// the factors of the super-block. A block holds its 16 rows' scales, then their codes (unsigned: value + offset) for
// steps of 4 columns: vectors of [16 rows][4 columns] bytes. Codes of 4 bits and more share vectors: vector j of four
// has step j in its low halves and step j + 4 in its high ones; then one vector for each further bit, or pair of bits:
//   1 high bit:  bit k of a byte belongs to step k
//   2 high bits: two vectors, bits 2 j, 2 j + 1 of a byte of vector v belong to step 4 v + j
// Nothing grows but K types by 3 %, whose 6-bit scales become bytes.
#pragma once
#include "engine/gguf.h"
#include "engine/kernels.h"

enum tdm_scaling {
	TDM_SCALE,       // half d per row: value = d * (code - offset)
	TDM_SCALE_MIN,   // half d, half m: d * code + m
	TDM_SUPER_MIN,   // super-block: half D, half M; block: byte d, byte m: D * d * code + M * m (M is negated)
	TDM_SUPER_HALVES // super-block: half D; block: two signed bytes d, for columns 0..15 and 16..31
};

struct tdm_packing {
	uint32_t type; // enum tdm_tensor_type
	enum tdm_scaling scaling;
	int low_bits, high_bits; // of a code
	int offset;              // a power of two, or 0
};

// Constants, so that a kernel written once becomes one for each type.
#define TDM_PACKINGS(X, flip)           \
	X(TDM_Q8_0, TDM_SCALE, 8, 0, flip)  \
	X(TDM_Q4_0, TDM_SCALE, 4, 0, 8)     \
	X(TDM_Q4_1, TDM_SCALE_MIN, 4, 0, 0) \
	X(TDM_Q5_0, TDM_SCALE, 4, 1, 16)    \
	X(TDM_Q5_1, TDM_SCALE_MIN, 4, 1, 0) \
	X(TDM_Q4_K, TDM_SUPER_MIN, 4, 0, 0) \
	X(TDM_Q5_K, TDM_SUPER_MIN, 4, 1, 0) \
	X(TDM_Q6_K, TDM_SUPER_HALVES, 4, 2, 32)

enum { TDM_SUPER = 8 }; // blocks of a super-block

static inline bool tdm_is_super(enum tdm_scaling s) {
	return s == TDM_SUPER_MIN || s == TDM_SUPER_HALVES;
}

// Bytes of one block of 16 rows: scales, codes.
static inline size_t tdm_scale_bytes(enum tdm_scaling s) {
	return s == TDM_SCALE_MIN ? 4 * TDM_LANES : 2 * TDM_LANES;
}

static inline size_t tdm_code_bytes(const struct tdm_packing *p) {
	return (size_t)(p->low_bits + p->high_bits) * TDM_LANES * TDM_BLOCK / 8;
}

static inline size_t tdm_super_bytes(enum tdm_scaling s) {
	return s == TDM_SUPER_MIN ? 4 * TDM_LANES : s == TDM_SUPER_HALVES ? 2 * TDM_LANES : 0;
}

static inline size_t tdm_block_at(const struct tdm_packing *p, size_t block) {
	size_t n_supers = tdm_is_super(p->scaling) ? block / TDM_SUPER + 1 : 0;
	return n_supers * tdm_super_bytes(p->scaling) + block * (tdm_scale_bytes(p->scaling) + tdm_code_bytes(p));
}
