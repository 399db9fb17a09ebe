// Arithmetic on vectors of LANES numbers, for kernels_body.h: the same operations in the same order in every set.
#pragma once
#include "engine/gguf.h"
#include "engine/kernels.h"
#include <math.h>
#include <string.h>

// Not checked for undefined behaviour: the checks of each unrolled access make compiling take minutes (vectors wrap by
// definition); addresses are checked.
#define ALWAYS static inline __attribute__((always_inline, no_sanitize("undefined")))
#define UNROLL _Pragma("GCC unroll 16")
#define UNROLL_2 _Pragma("GCC unroll 2")

enum { KEY_BLOCK = TDM_KEY_BLOCK, AHEAD = 4096 }; // bytes to ask for before they are read

ALWAYS vf load(const float *p) {
	vf v;
	memcpy(&v, p, sizeof v);
	return v;
}

// LANES numbers of a float type.
ALWAYS vf load_weights(const uint8_t *p, const uint32_t type) {
	typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
	halves x;
	if (type == TDM_F32)
		return load((const float *)(const void *)p);
	if (type == TDM_F16)
		return load_half((const uint16_t *)(const void *)p);
	memcpy(&x, p, sizeof x);
	return (vf)(__builtin_convertvector(x, vi) << 16); // BF16: the upper half of a float
}

ALWAYS void store(float *p, vf v) {
	memcpy(p, &v, sizeof v);
}

ALWAYS vf splat(float x) {
	return x - (vf){0}; // exact for every x, and folded to a broadcast
}

ALWAYS vi splat_int(int32_t x) {
	return x - (vi){0};
}

ALWAYS vf pick(vi mask, vf yes, vf no) {
	return (vf)(((vi)yes & mask) | ((vi)no & ~mask));
}

ALWAYS float sum16(const float x[TDM_LANES]) {
	float s[8];
	for (int i = 0; i < 8; i++)
		s[i] = x[i] + x[i + 8];
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

// e^x for x in [-87, 88], clamped; error below 2 units in the last place. Splits x = n ln 2 + r, |r| <= ln 2 / 2, and
// uses the Taylor series of e^r to the 7th power.
ALWAYS vf exponential(vf x) {
	const float magic = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
	x = larger(x, splat(-87.0f));
	x = pick(x < splat(88.0f), x, splat(88.0f));
	vf shifted = madd(x, splat(1.44269504f), splat(magic)), n = shifted - splat(magic);
	vf r = madd(n, splat(-0.693145752f), x);
	r = madd(n, splat(-1.42860677e-6f), r);
	vf p = splat(1.0f / 5040);
	p = madd(p, r, splat(1.0f / 720));
	p = madd(p, r, splat(1.0f / 120));
	p = madd(p, r, splat(1.0f / 24));
	p = madd(p, r, splat(1.0f / 6));
	p = madd(p, r, splat(0.5f));
	p = madd(p, r, splat(1));
	p = madd(p, r, splat(1));
	return p * (vf)(((vi)shifted - 0x4B400000 + 127) << 23);
}

// Absolute error below 2^-23.
ALWAYS vf hyperbolic_tangent(vf x) {
	return splat(1) - splat(2) / (exponential(x + x) + splat(1));
}
