// Number formats: every half-precision value there and back, rounding, and blocks against the definition and against
// what ggml makes of the same blocks and numbers.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/gguf.h"
#include "formats_recorded.h"
#include "tests.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double half_by_definition(uint16_t h) {
	int exponent = h >> 10 & 31, mantissa = h & 1023;
	double value = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
	return h & 0x8000 ? -value : value;
}

static void every_half_survives(void **state) {
	for (uint32_t h = 0; h < 65536; h++) {
		float f = tdm_f16_to_f32((uint16_t)h);
		bool finite = (h >> 10 & 31) != 31;
		if (finite)
			assert_true((double)f == half_by_definition((uint16_t)h));
		if (finite || (h & 1023) == 0)
			assert_int_equal(tdm_f32_to_f16(f), h);
		else
			assert_true(isnan(f) && isnan(tdm_f16_to_f32(tdm_f32_to_f16(f))));
	}
}

// Between two neighbours the nearer one wins, at the middle the even one.
static void halves_round_to_nearest_even(void **state) {
	for (uint16_t h = 0; h < 0x7BFF; h++) {
		float low = tdm_f16_to_f32(h), high = tdm_f16_to_f32((uint16_t)(h + 1)), middle = low + (high - low) / 2;
		assert_int_equal(tdm_f32_to_f16(middle), h & 1 ? h + 1 : h);
		assert_int_equal(tdm_f32_to_f16(nextafterf(middle, 0)), h);
		assert_int_equal(tdm_f32_to_f16(nextafterf(middle, INFINITY)), h + 1);
		assert_int_equal(tdm_f32_to_f16(-middle), 0x8000 | (h & 1 ? h + 1 : h));
	}
	assert_int_equal(tdm_f32_to_f16(65519.996f), 0x7BFF);
	assert_int_equal(tdm_f32_to_f16(65520), 0x7C00);
}

static void blocks_have_exact_bytes(void **state) {
	float x[32] = {0};
	uint8_t block[34];
	x[0] = -12.7f, x[1] = 0.05f, x[2] = 0.15f, x[3] = 6.35f;
	tdm_quantize(TDM_Q8_0, x, 32, block);
	uint16_t scale;
	memcpy(&scale, block, 2);
	assert_int_equal(scale, tdm_f32_to_f16(12.7f / 127));
	assert_int_equal((int8_t)block[2], -127);
	assert_in_range((int8_t)block[3], 0, 1); // 0.5 before rounding, either side in float
	assert_int_equal((int8_t)block[6 - 1], roundf(6.35f * (1 / (12.7f / 127))));
	assert_int_equal(block[33], 0);
	memset(x, 0, sizeof x);
	tdm_quantize(TDM_Q8_0, x, 32, block);
	for (size_t i = 0; i < sizeof block; i++)
		assert_int_equal(block[i], 0);
}

static void blocks_are_near(void **state) {
	struct tdm_rng rng;
	float x[320], y[320];
	uint8_t blocks[340];
	tdm_rng_init(&rng, 7);
	for (int i = 0; i < 320; i++)
		x[i] = (float)tdm_rng_normal(&rng);
	tdm_quantize(TDM_Q8_0, x, 320, blocks);
	tdm_dequantize(TDM_Q8_0, blocks, 320, y);
	for (int b = 0; b < 10; b++) {
		float largest = 0;
		for (int i = 0; i < 32; i++)
			largest = fmaxf(largest, fabsf(x[32 * b + i]));
		for (int i = 0; i < 32; i++) // half a step, and 127 times half a unit of the half-precision scale
			assert_true(fabsf(x[32 * b + i] - y[32 * b + i]) <= largest * (0.5f / 127 + 0x1p-11f) * 1.001f);
	}
}

static void not_finite_is_no_trap(void **state) {
	float x[32] = {NAN, INFINITY, -INFINITY, 1};
	uint8_t block[34];
	tdm_quantize(TDM_Q8_0, x, 32, block);
	assert_int_equal(block[2], 0);
	assert_int_equal(block[5], 0);
}

static void bfloats_are_the_upper_half(void **state) {
	for (uint32_t h = 0; h < 65536; h++) {
		float f = tdm_bf16_to_f32((uint16_t)h);
		uint32_t bits;
		memcpy(&bits, &f, sizeof bits);
		assert_int_equal(bits, h << 16);
		if (!isnan(f))
			assert_int_equal(tdm_f32_to_bf16(f), h);
	}
	assert_int_equal(tdm_f32_to_bf16(1 + 0x1p-8f), 0x3F80); // ties to even
	assert_int_equal(tdm_f32_to_bf16(1 + 0x3p-8f), 0x3F82);
	assert_int_equal(tdm_f32_to_bf16(nextafterf(1 + 0x1p-8f, 2)), 0x3F81);
	assert_int_equal(tdm_f32_to_bf16(3.4e38f), 0x7F80);
	uint32_t bits = 0x7F800001; // a NaN whose upper half alone would be infinity
	float nan;
	memcpy(&nan, &bits, sizeof nan);
	assert_true(isnan(tdm_bf16_to_f32(tdm_f32_to_bf16(nan))));
}

// --- against recorded blocks and numbers

static uint64_t draw(uint64_t *seed) { // splitmix64
	uint64_t z = *seed += 0x9E3779B97F4A7C15;
	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
	z = (z ^ z >> 27) * 0x94D049BB133111EB;
	return z ^ z >> 31;
}

static uint64_t hash(const void *data, size_t n) {
	const uint8_t *bytes = data;
	uint64_t h = 0xCBF29CE484222325;
	for (size_t i = 0; i < n; i++)
		h = (h ^ bytes[i]) * 0x100000001B3;
	return h;
}

// Random bytes; the scales' highest exponent bit is cleared, so that every number is finite.
static void random_blocks(const struct tdm_format *f, uint64_t n_blocks, uint8_t *out) {
	uint64_t seed = 1;
	bool has_lowest = f->type == TDM_Q4_1 || f->type == TDM_Q5_1 || f->type == TDM_Q4_K || f->type == TDM_Q5_K;
	for (uint64_t i = 0; i < n_blocks * f->block_bytes; i++)
		out[i] = (uint8_t)(draw(&seed) >> 56);
	for (uint64_t i = 0; i < n_blocks; i++) {
		uint8_t *block = out + i * f->block_bytes;
		block[f->type == TDM_Q6_K ? 209 : 1] &= 0xBF;
		if (has_lowest)
			block[3] &= 0xBF;
	}
}

static float random_number(uint64_t *seed) { // near normal
	int64_t sum = 0;
	for (int i = 0; i < 4; i++)
		sum += (int64_t)(draw(seed) >> 40);
	return (float)(sum - (INT64_C(2) << 24)) * 0x1p-24f;
}

// Super-blocks of several kinds in turn: plain, with an offset, tiny, with outliers, of one sign, sparse; one of zeros.
static void random_numbers(uint64_t n, float *x) {
	uint64_t seed = 2;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t kind = i / 256 % 8;
		float v = random_number(&seed);
		x[i] = v;
		if (kind == 3)
			x[i] = v + 0.75f;
		else if (kind == 4)
			x[i] = v * 0x1p-12f;
		else if (kind == 5)
			x[i] = i % 64 == 9 ? v * 20 : v;
		else if (kind == 6)
			x[i] = fabsf(v);
		else if (kind == 7)
			x[i] = i % 32 < 20 ? 0 : v;
	}
	memset(x + 256 * 9, 0, 256 * sizeof *x);
}

static void numbers_and_bytes_are_recorded_ones(void **state) {
	float *x = malloc(N_RECORDED * sizeof *x);
	uint8_t *blocks = malloc(N_RECORDED * sizeof *x);
	for (size_t i = 0; i < sizeof recorded_hashes / sizeof *recorded_hashes; i++) {
		const struct tdm_format *f = tdm_format_of(recorded_hashes[i].type);
		uint64_t n_blocks = N_RECORDED / f->per_block;
		random_blocks(f, n_blocks, blocks);
		tdm_dequantize(f->type, blocks, N_RECORDED, x);
		if (hash(x, N_RECORDED * sizeof *x) != recorded_hashes[i].unpacked)
			fail_msg("the numbers of %s differ from the recorded ones", f->name);
		random_numbers(N_RECORDED, x);
		tdm_quantize(f->type, x, N_RECORDED, blocks);
		if (hash(blocks, n_blocks * f->block_bytes) != recorded_hashes[i].packed)
			fail_msg("the blocks of %s differ from the recorded ones", f->name);
	}
	assert_int_equal(sizeof recorded_hashes / sizeof *recorded_hashes, tdm_n_formats - 1); // F32 is a copy
	free(blocks);
	free(x);
}

static void blocks_are_recorded_ones(void **state) {
	for (size_t i = 0; i < sizeof recorded_blocks / sizeof *recorded_blocks; i++) {
		const struct tdm_format *f = tdm_format_of(recorded_blocks[i].type);
		uint8_t block[256];
		float x[256];
		for (uint32_t k = 0; k < f->block_bytes; k++) {
			unsigned byte;
			assert_int_equal(sscanf(recorded_blocks[i].block + 2 * k, "%2x", &byte), 1);
			block[k] = (uint8_t)byte;
		}
		tdm_dequantize(f->type, block, f->per_block, x);
		for (uint32_t k = 0; k < f->per_block; k++) {
			uint32_t expected, bits;
			assert_int_equal(sscanf(recorded_blocks[i].numbers + 8 * k, "%8x", &expected), 1);
			memcpy(&bits, &x[k], sizeof bits);
			if (bits != expected)
				fail_msg("%s element %u is %08x, not %08x", f->name, k, bits, expected);
		}
	}
}

// Whatever the numbers are, the bytes are some block; and a block of any bytes can be unpacked.
static void extremes_are_no_trap(void **state) {
	static const float extremes[] = {NAN, INFINITY, -INFINITY, 3.4e38f, -3.4e38f, 1e-45f, -1e-45f, 0, -0.0f, 65504};
	float x[256], back[256];
	uint8_t blocks[1024];
	for (uint32_t t = 0; t < tdm_n_formats; t++)
		for (size_t kind = 0; kind < 20; kind++) {
			for (size_t i = 0; i < 256; i++)
				x[i] = extremes[kind < 10 ? kind : (i * kind + i / 16) % 10];
			tdm_quantize(tdm_formats[t].type, x, 256, blocks);
			memset(back, 0, sizeof back);
			tdm_dequantize(tdm_formats[t].type, blocks, 256, back);
			for (size_t i = 0; i < 256 && kind >= 5 && kind < 9; i++) // next to nothing or nothing
				assert_true(fabsf(back[i]) < 1e-4f);
			memset(blocks, (int)(kind * 13), sizeof blocks);
			tdm_dequantize(tdm_formats[t].type, blocks, 256, back);
		}
}

static void sizes_are_whole_blocks(void **state) {
	assert_int_equal(tdm_tensor_bytes(TDM_Q4_K, 512), 288);
	assert_int_equal(tdm_tensor_bytes(TDM_Q6_K, 256), 210);
	assert_int_equal(tdm_tensor_bytes(TDM_Q5_1, 64), 48);
	assert_int_equal(tdm_tensor_bytes(TDM_BF16, 3), 6);
	assert_int_equal(tdm_tensor_bytes(TDM_Q4_K, 128), 0);
	assert_int_equal(tdm_tensor_bytes(4, 256), 0);
	assert_int_equal(tdm_tensor_bytes(TDM_F32, UINT64_MAX / 4 + 1), 0);
	assert_int_equal(tdm_tensor_bytes(TDM_Q8_0, UINT64_MAX - 31), 0);
	assert_null(tdm_format_of(31));
	assert_string_equal(tdm_format_name(TDM_Q5_K), "Q5_K");
}

int tdm_test_formats(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_half_survives),
	    cmocka_unit_test(halves_round_to_nearest_even),
	    cmocka_unit_test(blocks_have_exact_bytes),
	    cmocka_unit_test(blocks_are_near),
	    cmocka_unit_test(not_finite_is_no_trap),
	    cmocka_unit_test(bfloats_are_the_upper_half),
	    cmocka_unit_test(numbers_and_bytes_are_recorded_ones),
	    cmocka_unit_test(blocks_are_recorded_ones),
	    cmocka_unit_test(extremes_are_no_trap),
	    cmocka_unit_test(sizes_are_whole_blocks),
	};
	return cmocka_run_group_tests_name("formats", tests, NULL, NULL);
}
