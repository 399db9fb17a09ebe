// Formats whose block is 32 elements: one scale in half precision, for some a lowest value too, then small integers.
//
// Q8_0 holds the integers as bytes. The four others are one layout with two switches: 4 or 5 bits (the fifth bits of
// all elements lie together before the rest), and levels around zero or above a lowest value:
//   scale f16 [lowest f16] [fifth bits u32] 16 bytes: low four bits of element i, and of element i + 16 above them
// The rule it protects: bytes and numbers as llama.cpp's, bit for bit; the order of every operation on floats counts.
#include "engine/formats.h"
#include "engine/formats_blocks.h"
#include <math.h>

enum { HALF = TDM_BLOCK_ELEMENTS / 2 };

struct layout {
	int bits;
	bool has_lowest;
};
static const struct layout q4_0 = {4, false}, q4_1 = {4, true}, q5_0 = {5, false}, q5_1 = {5, true};

static inline uint32_t block_bytes(struct layout l) {
	return 2 + (l.has_lowest ? 2 : 0) + (l.bits == 5 ? 4 : 0) + HALF;
}

// --- unpacking

static inline float value_at(struct layout l, int level, float scale, float lowest) {
	if (l.has_lowest)
		return (float)level * scale + lowest;
	return (float)(level - (1 << (l.bits - 1))) * scale;
}

static inline void unpack_block(struct layout l, const uint8_t *block, float *out) {
	float scale = tdm_f16_to_f32(tdm_load_half(block)), lowest = 0;
	uint32_t fifths = 0;
	block += 2;
	if (l.has_lowest) {
		lowest = tdm_f16_to_f32(tdm_load_half(block));
		block += 2;
	}
	if (l.bits == 5) {
		memcpy(&fifths, block, sizeof fifths);
		block += sizeof fifths;
	}
	for (int i = 0; i < HALF; i++) {
		out[i] = value_at(l, (int)((block[i] & 15u) | (fifths >> i & 1) << 4), scale, lowest);
		out[i + HALF] = value_at(l, (int)(block[i] >> 4 | (fifths >> (i + HALF) & 1) << 4), scale, lowest);
	}
}

static inline void unpack_blocks(struct layout l, const uint8_t *blocks, uint64_t n_blocks, float *out) {
	for (uint64_t b = 0; b < n_blocks; b++)
		unpack_block(l, blocks + b * block_bytes(l), out + b * TDM_BLOCK_ELEMENTS);
}

void tdm_unpack_q4_0(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	unpack_blocks(q4_0, blocks, n_blocks, out);
}

void tdm_unpack_q4_1(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	unpack_blocks(q4_1, blocks, n_blocks, out);
}

void tdm_unpack_q5_0(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	unpack_blocks(q5_0, blocks, n_blocks, out);
}

void tdm_unpack_q5_1(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	unpack_blocks(q5_1, blocks, n_blocks, out);
}

void tdm_unpack_q8_0(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	for (uint64_t b = 0; b < n_blocks; b++, blocks += 2 + TDM_BLOCK_ELEMENTS, out += TDM_BLOCK_ELEMENTS) {
		float scale = tdm_f16_to_f32(tdm_load_half(blocks));
		for (int i = 0; i < TDM_BLOCK_ELEMENTS; i++)
			out[i] = (float)(int8_t)blocks[2 + i] * scale;
	}
}

// --- packing

// What a level is counted from, and the distance of two levels.
struct grid {
	float scale, lowest;
};

// Levels around zero: the value that is farthest from zero gets the lowest level exactly, so the scale has a sign.
static struct grid around_zero(const float *x, int bits) {
	float farthest = 0;
	for (int i = 0; i < TDM_BLOCK_ELEMENTS; i++)
		if (fabsf(x[i]) > fabsf(farthest))
			farthest = x[i];
	return (struct grid){farthest / (float)-(1 << (bits - 1)), 0};
}

static struct grid above_lowest(const float *x, int bits) {
	float low = x[0], high = x[0];
	for (int i = 1; i < TDM_BLOCK_ELEMENTS; i++) {
		low = x[i] < low ? x[i] : low;
		high = x[i] > high ? x[i] : high;
	}
	return (struct grid){(high - low) / (float)((1 << bits) - 1), low};
}

static inline uint32_t cut(float level, int bits) {
	int top = (1 << bits) - 1;
	return level > 0 ? (uint32_t)(level < (float)top ? (int)level : top) : 0; // not a number: 0
}

static inline void pack_block(struct layout l, const float *x, uint8_t *block) {
	struct grid g = l.has_lowest ? above_lowest(x, l.bits) : around_zero(x, l.bits);
	float inverse = g.scale != 0 ? 1 / g.scale : 0, shift = l.has_lowest ? 0.5f : (float)(1 << (l.bits - 1)) + 0.5f;
	uint8_t *four = block + block_bytes(l) - HALF;
	uint32_t fifths = 0;
	tdm_store_half(block, tdm_f32_to_f16(g.scale));
	if (l.has_lowest)
		tdm_store_half(block + 2, tdm_f32_to_f16(g.lowest));
	for (int i = 0; i < HALF; i++) {
		uint32_t low = cut((x[i] - g.lowest) * inverse + shift, l.bits);
		uint32_t high = cut((x[i + HALF] - g.lowest) * inverse + shift, l.bits);
		four[i] = (uint8_t)((low & 15) | (high & 15) << 4);
		fifths |= low >> 4 << i | high >> 4 << (i + HALF);
	}
	if (l.bits == 5)
		memcpy(four - sizeof fifths, &fifths, sizeof fifths);
}

static inline void pack_blocks(struct layout l, const float *x, uint64_t n_blocks, uint8_t *blocks) {
	for (uint64_t b = 0; b < n_blocks; b++)
		pack_block(l, x + b * TDM_BLOCK_ELEMENTS, blocks + b * block_bytes(l));
}

void tdm_pack_q4_0(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	pack_blocks(q4_0, x, n_blocks, blocks);
}

void tdm_pack_q4_1(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	pack_blocks(q4_1, x, n_blocks, blocks);
}

void tdm_pack_q5_0(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	pack_blocks(q5_0, x, n_blocks, blocks);
}

void tdm_pack_q5_1(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	pack_blocks(q5_1, x, n_blocks, blocks);
}

static void pack_bytes(const float *x, uint8_t *block) {
	float largest = 0;
	for (int i = 0; i < TDM_BLOCK_ELEMENTS; i++)
		largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
	float scale = largest / 127, inverse = scale != 0 ? 1 / scale : 0;
	tdm_store_half(block, tdm_f32_to_f16(scale));
	for (int i = 0; i < TDM_BLOCK_ELEMENTS; i++) {
		float q = roundf(x[i] * inverse);
		block[2 + i] = (uint8_t)(int8_t)(q >= -127 && q <= 127 ? q : 0); // not finite: 0
	}
}

void tdm_pack_q8_0(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	for (uint64_t b = 0; b < n_blocks; b++)
		pack_bytes(x + b * TDM_BLOCK_ELEMENTS, blocks + b * (2 + TDM_BLOCK_ELEMENTS));
}
