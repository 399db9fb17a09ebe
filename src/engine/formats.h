// Formats: how a tensor's numbers lie in a weight file, as one table; whoever reads, writes or converts loops over it.
//
// Every format is blocks of a fixed number of elements in a fixed number of bytes, laid end to end; a row is a whole
// number of blocks.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum tdm_tensor_type { // values of the file format
	TDM_F32 = 0,
	TDM_F16 = 1,
	TDM_Q4_0 = 2,
	TDM_Q4_1 = 3,
	TDM_Q5_0 = 6,
	TDM_Q5_1 = 7,
	TDM_Q8_0 = 8,
	TDM_Q4_K = 12,
	TDM_Q5_K = 13,
	TDM_Q6_K = 14,
	TDM_BF16 = 30
};

struct tdm_format {
	const char *name; // "Q4_K"
	uint32_t type;    // enum tdm_tensor_type
	uint32_t per_block, block_bytes;
	void (*unpack)(const uint8_t *blocks, uint64_t n_blocks, float *out);
	void (*pack)(const float *x, uint64_t n_blocks, uint8_t *blocks); // no value stops it: what is not finite becomes
	                                                                  // some number of the format
};

extern const struct tdm_format tdm_formats[];
extern const uint32_t tdm_n_formats;
const struct tdm_format *tdm_format_of(uint32_t type); // NULL for an unknown type
const char *tdm_format_name(uint32_t type);            // "unknown" for an unknown type

uint64_t tdm_tensor_bytes(uint32_t type, uint64_t n_elements); // 0 for an unknown type or a partial block
// n: a whole number of blocks of a known type.
void tdm_dequantize(uint32_t type, const void *data, uint64_t n, float *out);
void tdm_quantize(uint32_t type, const float *data, uint64_t n, void *out);

float tdm_f16_to_f32(uint16_t h);
uint16_t tdm_f32_to_f16(float f); // to nearest, ties to even
float tdm_bf16_to_f32(uint16_t h);
uint16_t tdm_f32_to_bf16(float f); // to nearest, ties to even
