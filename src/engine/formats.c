// Number formats of weight files: the table of all of them, and the formats whose block is one number.
//
// The rule it protects: the same bytes as llama.cpp writes for the same numbers, and the same numbers from the same
// bytes, bit for bit.
// To add a format: its value in formats.h, its two conversions, a row here; and a dot product in the kernels.
#include "engine/formats.h"
#include "engine/formats_blocks.h"
#include <stddef.h>

static float float_of(uint32_t bits) {
	float f;
	memcpy(&f, &bits, sizeof f);
	return f;
}

float tdm_f16_to_f32(uint16_t h) {
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
	if (exponent == 31)
		return float_of(sign | 0x7F800000 | mantissa << 13 | (mantissa ? 0x400000 : 0));
	if (exponent)
		return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
	float tiny = (float)mantissa * 0x1p-24f; // subnormal: exact
	return sign ? -tiny : tiny;
}

uint16_t tdm_f32_to_f16(float f) {
	uint32_t bits;
	memcpy(&bits, &f, sizeof bits);
	uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
	if (magnitude > 0x7F800000)
		return (uint16_t)(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
	if (magnitude >= 0x477FF000) // 65520: rounds beyond the largest finite value
		return (uint16_t)(sign | 0x7C00);
	if (magnitude < 0x38800000) { // below 2^-14: adding 0.5 leaves round(x * 2^24) in the low bits
		float shifted = float_of(magnitude) + 0.5f;
		memcpy(&bits, &shifted, sizeof bits);
		return (uint16_t)(sign | (bits - 0x3F000000));
	}
	magnitude += 0xFFF + (magnitude >> 13 & 1) - (112u << 23);
	return (uint16_t)(sign | magnitude >> 13);
}

float tdm_bf16_to_f32(uint16_t h) {
	return float_of((uint32_t)h << 16);
}

uint16_t tdm_f32_to_bf16(float f) {
	uint32_t bits;
	memcpy(&bits, &f, sizeof bits);
	if ((bits & 0x7FFFFFFF) > 0x7F800000)
		return (uint16_t)(bits >> 16 | 0x40); // stays no number, also when its low bits are cut off
	return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// --- formats of one number

static void unpack_f32(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	memcpy(out, blocks, n_blocks * sizeof *out);
}

static void pack_f32(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	memcpy(blocks, x, n_blocks * sizeof *x);
}

static void unpack_f16(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	for (uint64_t i = 0; i < n_blocks; i++)
		out[i] = tdm_f16_to_f32(tdm_load_half(blocks + 2 * i));
}

static void pack_f16(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	for (uint64_t i = 0; i < n_blocks; i++)
		tdm_store_half(blocks + 2 * i, tdm_f32_to_f16(x[i]));
}

static void unpack_bf16(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	for (uint64_t i = 0; i < n_blocks; i++)
		out[i] = tdm_bf16_to_f32(tdm_load_half(blocks + 2 * i));
}

static void pack_bf16(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	for (uint64_t i = 0; i < n_blocks; i++)
		tdm_store_half(blocks + 2 * i, tdm_f32_to_bf16(x[i]));
}

// --- the table

const struct tdm_format tdm_formats[] = {
    {"F32", TDM_F32, 1, 4, unpack_f32, pack_f32},
    {"F16", TDM_F16, 1, 2, unpack_f16, pack_f16},
    {"BF16", TDM_BF16, 1, 2, unpack_bf16, pack_bf16},
    {"Q8_0", TDM_Q8_0, 32, 34, tdm_unpack_q8_0, tdm_pack_q8_0},
    {"Q4_0", TDM_Q4_0, 32, 18, tdm_unpack_q4_0, tdm_pack_q4_0},
    {"Q4_1", TDM_Q4_1, 32, 20, tdm_unpack_q4_1, tdm_pack_q4_1},
    {"Q5_0", TDM_Q5_0, 32, 22, tdm_unpack_q5_0, tdm_pack_q5_0},
    {"Q5_1", TDM_Q5_1, 32, 24, tdm_unpack_q5_1, tdm_pack_q5_1},
    {"Q4_K", TDM_Q4_K, 256, 144, tdm_unpack_q4_k, tdm_pack_q4_k},
    {"Q5_K", TDM_Q5_K, 256, 176, tdm_unpack_q5_k, tdm_pack_q5_k},
    {"Q6_K", TDM_Q6_K, 256, 210, tdm_unpack_q6_k, tdm_pack_q6_k},
};
const uint32_t tdm_n_formats = sizeof tdm_formats / sizeof *tdm_formats;

const struct tdm_format *tdm_format_of(uint32_t type) {
	for (uint32_t i = 0; i < tdm_n_formats; i++)
		if (tdm_formats[i].type == type)
			return &tdm_formats[i];
	return NULL;
}

const char *tdm_format_name(uint32_t type) {
	const struct tdm_format *f = tdm_format_of(type);
	return f ? f->name : "unknown";
}

uint64_t tdm_tensor_bytes(uint32_t type, uint64_t n_elements) {
	const struct tdm_format *f = tdm_format_of(type);
	uint64_t bytes;
	if (!f || n_elements % f->per_block ||
	    __builtin_mul_overflow(n_elements / f->per_block, (uint64_t)f->block_bytes, &bytes))
		return 0;
	return bytes;
}

void tdm_dequantize(uint32_t type, const void *data, uint64_t n, float *out) {
	const struct tdm_format *f = tdm_format_of(type);
	f->unpack(data, n / f->per_block, out);
}

void tdm_quantize(uint32_t type, const float *data, uint64_t n, void *out) {
	const struct tdm_format *f = tdm_format_of(type);
	f->pack(data, n / f->per_block, out);
}
