// Kernels for AVX2 with FMA and F16C: 8 lanes, so a group of 16 rows is two halves.
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LANES 8
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef int8_t vb __attribute__((vector_size(LANES)));

#define SET tdm_kernels_avx2
#define SET_NAME "avx2"
#define FLIP 0
#define GROUPS 1
#define FLOAT_TILE 3
#define SMALLER_FLOAT_TILES TILE(1) TILE(2)
#define QUERIES 4
#define QUERIES_ABOVE_4(M)

// The byte product takes one side without sign and its pair sums must fit 16 bits: |w| <= 128 and |x| <= 127 do.
static inline vi dot4(vi sum, vi w, const int8_t *x) {
	int32_t four;
	memcpy(&four, x, sizeof four);
	__m256i signs = _mm256_sign_epi8(_mm256_set1_epi32(four), (__m256i)w);
	__m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)w), signs);
	return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

static inline vf madd(vf a, vf b, vf c) {
	return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

static inline vf load_half(const uint16_t *p) {
	return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline void store_half(uint16_t *p, vf x) {
	_mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
}

static inline vi widen(const uint8_t *p, bool is_signed) {
	__m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)p);
	return (vi)(is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes));
}

static inline vf larger(vf a, vf b) {
	return (vf)_mm256_max_ps((__m256)a, (__m256)b);
}

static inline vi within(vi x, int32_t limit) {
	__m256i low = _mm256_max_epi32((__m256i)x, _mm256_set1_epi32(-limit));
	return (vi)_mm256_min_epi32(low, _mm256_set1_epi32(limit));
}

static inline float largest_of(vf x) {
	__m128 four = _mm_max_ps(_mm256_castps256_ps128((__m256)x), _mm256_extractf128_ps((__m256)x, 1));
	__m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
	return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

static inline int32_t sum_of(vi x) {
	return ((x[0] + x[4]) + (x[1] + x[5])) + ((x[2] + x[6]) + (x[3] + x[7]));
}

static inline float through_half(float x) {
	return _cvtsh_ss(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT));
}

#include "engine/kernels_body.h"
