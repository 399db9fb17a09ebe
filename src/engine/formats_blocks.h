// The conversions of block formats, for the table in formats.c: blocks of 32 elements in formats_blocks.c, super-blocks
// of 256 in formats_super.c.
#pragma once
#include <stdint.h>
#include <string.h>

enum { TDM_BLOCK_ELEMENTS = 32, TDM_SUPER_ELEMENTS = 256 };

void tdm_unpack_q4_0(const uint8_t *blocks, uint64_t n_blocks, float *out);
void tdm_unpack_q4_1(const uint8_t *blocks, uint64_t n_blocks, float *out);
void tdm_unpack_q5_0(const uint8_t *blocks, uint64_t n_blocks, float *out);
void tdm_unpack_q5_1(const uint8_t *blocks, uint64_t n_blocks, float *out);
void tdm_unpack_q8_0(const uint8_t *blocks, uint64_t n_blocks, float *out);
void tdm_unpack_q4_k(const uint8_t *blocks, uint64_t n_blocks, float *out);
void tdm_unpack_q5_k(const uint8_t *blocks, uint64_t n_blocks, float *out);
void tdm_unpack_q6_k(const uint8_t *blocks, uint64_t n_blocks, float *out);

void tdm_pack_q4_0(const float *x, uint64_t n_blocks, uint8_t *blocks);
void tdm_pack_q4_1(const float *x, uint64_t n_blocks, uint8_t *blocks);
void tdm_pack_q5_0(const float *x, uint64_t n_blocks, uint8_t *blocks);
void tdm_pack_q5_1(const float *x, uint64_t n_blocks, uint8_t *blocks);
void tdm_pack_q8_0(const float *x, uint64_t n_blocks, uint8_t *blocks);
void tdm_pack_q4_k(const float *x, uint64_t n_blocks, uint8_t *blocks);
void tdm_pack_q5_k(const float *x, uint64_t n_blocks, uint8_t *blocks);
void tdm_pack_q6_k(const float *x, uint64_t n_blocks, uint8_t *blocks);

static inline uint16_t tdm_load_half(const uint8_t *from) {
	uint16_t half;
	memcpy(&half, from, sizeof half);
	return half;
}

static inline void tdm_store_half(uint8_t *to, uint16_t half) {
	memcpy(to, &half, sizeof half);
}
