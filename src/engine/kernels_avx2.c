// Kernels for AVX2 with FMA and F16C: 8 lanes, so a group of 16 rows is two halves.
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define LANES 8
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef int8_t vb __attribute__((vector_size(LANES)));

#define SET tdm_kernels_avx2
#define SET_NAME "avx2"
#define FLIP 0
#define TILE 4
#define FLOAT_TILE 2
#define QUERIES 4
#define ABOVE_4
#define QUERIES_ABOVE_4

// The byte product takes one side without sign and its pair sums must fit 16 bits: |w| <= 128 and |x| <= 127 do.
static inline vi dot4(vi sum, const uint8_t *w, const int8_t *x) {
	int32_t four;
	memcpy(&four, x, sizeof four);
	__m256i weights = _mm256_loadu_si256((const __m256i *)(const void *)w);
	__m256i signs = _mm256_sign_epi8(_mm256_set1_epi32(four), weights);
	__m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), signs);
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

#include "engine/kernels_body.h"
