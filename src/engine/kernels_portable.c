// Kernels for any machine: 4 lanes, which every 64-bit instruction set of today has, and no fused multiply-add, which
// the oldest lack (so its floats differ from the other sets' in the last bits; its integers do not).
#include "engine/gguf.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define LANES 4
typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef int8_t vb __attribute__((vector_size(LANES)));

#define SET tdm_kernels_portable
#define SET_NAME "portable"
#define FLIP 0
#define GROUPS 1
#define FLOAT_TILE 2
#define SMALLER_FLOAT_TILES TILE(1)
#define QUERIES 4
#define QUERIES_ABOVE_4(M)

static inline vi dot4(vi sum, vi w, const int8_t *x) {
	typedef int16_t words __attribute__((vector_size(4 * LANES)));
	int32_t four;
	memcpy(&four, x, sizeof four);
	words weights = (words)w, inputs = (words)(four - (vi){0});
	// even and odd bytes as 16-bit numbers; pair sums may need 17 bits, so they are added as 32-bit numbers
	words even = (weights << 8 >> 8) * (inputs << 8 >> 8), odd = (weights >> 8) * (inputs >> 8);
	return sum + ((vi)even << 16 >> 16) + ((vi)even >> 16) + ((vi)odd << 16 >> 16) + ((vi)odd >> 16);
}

static inline vf madd(vf a, vf b, vf c) {
	return a * b + c;
}

static inline vf load_half(const uint16_t *p) {
	vf x;
	for (int i = 0; i < LANES; i++)
		x[i] = tdm_f16_to_f32(p[i]);
	return x;
}

static inline void store_half(uint16_t *p, vf x) {
	for (int i = 0; i < LANES; i++)
		p[i] = tdm_f32_to_f16(x[i]);
}

static inline vi widen(const uint8_t *p, bool is_signed) {
	vi x;
	for (int i = 0; i < LANES; i++)
		x[i] = is_signed ? (int8_t)p[i] : p[i];
	return x;
}

static inline vf larger(vf a, vf b) {
	vi is_above = a > b;
	return (vf)(((vi)a & is_above) | ((vi)b & ~is_above));
}

static inline vi within(vi x, int32_t limit) {
	vi above = x > limit, below = x < -limit;
	return (x & ~(above | below)) | (above & limit) | (below & -limit);
}

static inline float largest_of(vf x) {
	float a = x[0] > x[1] ? x[0] : x[1], b = x[2] > x[3] ? x[2] : x[3];
	return a > b ? a : b;
}

static inline int32_t sum_of(vi x) {
	return (x[0] + x[1]) + (x[2] + x[3]);
}

static inline float through_half(float x) {
	return tdm_f16_to_f32(tdm_f32_to_f16(x));
}

#include "engine/kernels_body.h"
