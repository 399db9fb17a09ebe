// Number formats of weight files: half precision and blocks of 8-bit integers, to and from float.
//
// The rule it protects: the same bytes as llama.cpp writes for the same numbers (round to nearest even for half
// precision, round half away from zero for the integers of a block), and the same numbers from the same bytes.
#include "engine/gguf.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 32, BLOCK_BYTES = 34 };

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

static void dequantize_block(const uint8_t *block, float *out) {
	uint16_t half;
	memcpy(&half, block, sizeof half);
	float scale = tdm_f16_to_f32(half);
	for (int i = 0; i < BLOCK; i++)
		out[i] = (float)(int8_t)block[2 + i] * scale;
}

void tdm_dequantize(uint32_t type, const void *data, uint64_t n, float *out) {
	const uint8_t *from = data;
	if (type == TDM_F32)
		memcpy(out, data, n * sizeof *out);
	for (uint64_t i = 0; type == TDM_F16 && i < n; i++) {
		uint16_t half;
		memcpy(&half, from + 2 * i, sizeof half);
		out[i] = tdm_f16_to_f32(half);
	}
	for (uint64_t i = 0; type == TDM_Q8_0 && i < n / BLOCK; i++)
		dequantize_block(from + i * BLOCK_BYTES, out + i * BLOCK);
}

static void quantize_block(const float *x, uint8_t *block) {
	float largest = 0;
	for (int i = 0; i < BLOCK; i++)
		largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
	float scale = largest / 127, inverse = scale != 0 ? 1 / scale : 0;
	uint16_t half = tdm_f32_to_f16(scale);
	memcpy(block, &half, sizeof half);
	for (int i = 0; i < BLOCK; i++) {
		float q = roundf(x[i] * inverse);
		block[2 + i] = (uint8_t)(int8_t)(q >= -127 && q <= 127 ? q : 0); // not finite: 0
	}
}

void tdm_quantize(uint32_t type, const float *data, uint64_t n, void *out) {
	uint8_t *to = out;
	if (type == TDM_F32)
		memcpy(out, data, n * sizeof *data);
	for (uint64_t i = 0; type == TDM_F16 && i < n; i++) {
		uint16_t half = tdm_f32_to_f16(data[i]);
		memcpy(to + 2 * i, &half, sizeof half);
	}
	for (uint64_t i = 0; type == TDM_Q8_0 && i < n / BLOCK; i++)
		quantize_block(data + i * BLOCK, to + i * BLOCK_BYTES);
}
