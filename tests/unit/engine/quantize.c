// Number formats: every half-precision value there and back, rounding, and blocks against the definition.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/gguf.h"
#include "tests.h"
#include <math.h>
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

int tdm_test_quantize(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_half_survives),     cmocka_unit_test(halves_round_to_nearest_even),
	    cmocka_unit_test(blocks_have_exact_bytes), cmocka_unit_test(blocks_are_near),
	    cmocka_unit_test(not_finite_is_no_trap),
	};
	return cmocka_run_group_tests_name("quantize", tests, NULL, NULL);
}
