// Kernels for AVX-512 with VNNI: 16 lanes; a byte product of four pairs is one instruction.
#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LANES 16
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef int8_t vb __attribute__((vector_size(LANES)));

#define SET tdm_kernels_avx512
#define SET_NAME "avx512"
#define FLIP 0x80 // the instruction takes weights without sign
#define GROUPS 2
#define FLOAT_TILE 4
#define SMALLER_FLOAT_TILES TILE(1) TILE(2) TILE(3)
#define QUERIES 8
#define QUERIES_ABOVE_4(M) M(5) M(6) M(7) M(8)

static inline vi dot4(vi sum, vi w, const int8_t *x) {
	int32_t four;
	memcpy(&four, x, sizeof four);
	return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, _mm512_set1_epi32(four));
}

static inline vf madd(vf a, vf b, vf c) {
	return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

static inline vf load_half(const uint16_t *p) {
	return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

static inline void store_half(uint16_t *p, vf x) {
	_mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT));
}

static inline vi widen(const uint8_t *p, bool is_signed) {
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
	return (vi)(is_signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes));
}

static inline vf larger(vf a, vf b) {
	return (vf)_mm512_max_ps((__m512)a, (__m512)b);
}

static inline vi within(vi x, int32_t limit) {
	__m512i low = _mm512_max_epi32((__m512i)x, _mm512_set1_epi32(-limit));
	return (vi)_mm512_min_epi32(low, _mm512_set1_epi32(limit));
}

static inline float largest_of(vf x) {
	return _mm512_reduce_max_ps((__m512)x);
}

static inline int32_t sum_of(vi x) {
	return _mm512_reduce_add_epi32((__m512i)x);
}

static inline float through_half(float x) {
	return _cvtsh_ss(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT));
}

#include "engine/kernels_body.h"
