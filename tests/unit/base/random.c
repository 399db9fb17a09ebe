// Random numbers: the recorded values of the published generators, and the shape of the distributions.
#include "tests.h"
#include "base/clock.h"
#include "base/random.h"
#include <math.h>
#include <string.h>

// xoshiro256** from the state 1, 2, 3, 4: worked out by hand from the definition (rotl(s1 * 5, 7) * 9).
static void test_generator(void **state) {
	static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240u};
	struct tdm_rng rng = {{1, 2, 3, 4}};
	for (size_t i = 0; i < 4; i++)
		assert_true(tdm_rng_u64(&rng) == expected[i]);
}

// splitmix64 from 1234567; the values are widely published with the algorithm.
static void test_seed(void **state) {
	static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u,
	                                    4593380528125082431u};
	struct tdm_rng rng, same;
	tdm_rng_init(&rng, 1234567);
	for (size_t i = 0; i < 4; i++)
		assert_true(rng.s[i] == expected[i]);
	tdm_rng_init(&same, 1234567);
	for (int i = 0; i < 100; i++)
		assert_true(tdm_rng_u64(&rng) == tdm_rng_u64(&same));
}

static void test_streams(void **state) {
	struct tdm_rng a, b;
	tdm_rng_stream(&a, 7, "sampler", 3);
	tdm_rng_stream(&b, 7, "sampler", 3);
	uint64_t first = tdm_rng_u64(&a);
	assert_true(first == tdm_rng_u64(&b));
	tdm_rng_stream(&b, 8, "sampler", 3);
	assert_true(first != tdm_rng_u64(&b));
	tdm_rng_stream(&b, 7, "samples", 3);
	assert_true(first != tdm_rng_u64(&b));
	tdm_rng_stream(&b, 7, "sampler", 4);
	assert_true(first != tdm_rng_u64(&b));
}

// 70,000 draws on 7 cells: a chi-square with 6 degrees of freedom passes 35 with a chance of 4e-6; the seed is fixed.
static void test_below(void **state) {
	struct tdm_rng rng;
	double counts[7] = {0}, chi2 = 0;
	tdm_rng_init(&rng, 1);
	for (int i = 0; i < 70000; i++) {
		uint64_t value = tdm_rng_below(&rng, 7);
		assert_true(value < 7);
		counts[value]++;
	}
	for (int i = 0; i < 7; i++)
		chi2 += (counts[i] - 10000) * (counts[i] - 10000) / 10000;
	assert_true(chi2 < 35);
	for (int i = 0; i < 100; i++)
		assert_true(tdm_rng_below(&rng, 1) == 0 && tdm_rng_below(&rng, 0xC000000000000000u) < 0xC000000000000000u);
}

static void test_doubles(void **state) {
	struct tdm_rng rng;
	double sum = 0, normal = 0, square = 0, fourth = 0, n = 100000;
	tdm_rng_init(&rng, 2);
	for (int i = 0; i < n; i++) {
		double u = tdm_rng_double(&rng), z = tdm_rng_normal(&rng);
		assert_true(u >= 0 && u < 1);
		sum += u;
		normal += z;
		square += z * z;
		fourth += z * z * z * z;
	}
	assert_true(fabs(sum / n - 0.5) < 0.005);
	assert_true(fabs(normal / n) < 0.016);
	assert_true(fabs(square / n - 1) < 0.025);
	assert_true(fabs(fourth / n - 3) < 0.2);
}

// The polar method once more, with the C library's logarithm.
static void test_normal_is_exact(void **state) {
	struct tdm_rng rng, copy;
	tdm_rng_init(&rng, 3);
	for (int i = 0; i < 10000; i++) {
		double u, v, s;
		copy = rng;
		do {
			u = 2 * tdm_rng_double(&copy) - 1;
			v = 2 * tdm_rng_double(&copy) - 1;
			s = u * u + v * v;
		} while (s >= 1 || s == 0);
		double expected = u * sqrt(-2 * log(s) / s);
		assert_true(fabs(tdm_rng_normal(&rng) - expected) <= 1e-14 * (1 + fabs(expected)));
	}
}

static void test_identifiers(void **state) {
	char a[TDM_ID_BYTES], b[TDM_ID_BYTES];
	tdm_make_id(a, "run_");
	tdm_make_id(b, "run_");
	assert_int_equal(strlen(a), 28);
	assert_memory_equal(a, "run_", 4);
	assert_string_not_equal(a, b);
	assert_int_equal(strspn(a + 4, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"), 24);
	for (int64_t until_us = tdm_now_us() + 2000; tdm_now_us() < until_us;)
		;
	tdm_make_id(b, "run_");
	assert_true(strcmp(a, b) < 0); // in the order of their time
	tdm_make_id(a, "a-prefix-that-is-far-too-long-for-this");
	assert_int_equal(strlen(a), TDM_ID_BYTES - 1);
	unsigned char zero[32] = {0}, bytes[32] = {0};
	assert_int_equal(tdm_system_random(bytes, sizeof bytes), TDM_OK);
	assert_memory_not_equal(bytes, zero, sizeof bytes);
}

int tdm_test_random(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_generator),   cmocka_unit_test(test_seed),    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_below),       cmocka_unit_test(test_doubles), cmocka_unit_test(test_normal_is_exact),
	    cmocka_unit_test(test_identifiers),
	};
	return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
