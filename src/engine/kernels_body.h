// The body of every kernel set; included once by each kernels_NAME.c after it has defined
//   LANES (4, 8 or 16), vf, vi and vb (vectors of LANES float, int32_t and int8_t), SET, SET_NAME, FLIP, GROUPS,
//   FLOAT_TILE, QUERIES (groups of rows, columns and queries of one tile), SMALLER_FLOAT_TILES and QUERIES_ABOVE_4
//   (cases below FLOAT_TILE, and beyond 4),
//   vi dot4(vi sum, vi w, const int8_t *x): sum[l] += byte 4 l + j of w * x[j] for j < 4, w without sign where FLIP,
//   vf madd(vf a, vf b, vf c): a * b + c, vf load_half(const uint16_t *p), void store_half(uint16_t *p, vf x),
//   vf larger(vf a, vf b): a > b ? a : b, so b where one is not a number; vi within(vi x, int32_t limit): clamped to
//   [-limit, limit]; vi widen(const uint8_t *p, bool is_signed): LANES bytes,
//   largest_of, sum_of (over the lanes), float through_half(float)
//
// The rule it protects: 16 lanes in every set, whatever the vector's width, so that sets with the same madd agree bit
// for bit, and a fixed order inside each lane, whatever the number of columns or queries.
// Loops over a tile have constant bounds after inlining: the sums live in registers.
#pragma once
#include "engine/kernels_attend.h"
#include "engine/kernels_multiply.h"

// --- rows

// As llama.cpp quantises activations: largest value to 127, round to nearest even, scale kept in half precision.
static void quantize(const struct tdm_columns *columns, int c) {
	const float *x = columns->x + (size_t)c * columns->stride;
	for (size_t b = 0; b < columns->stride / TDM_BLOCK; b++, x += TDM_BLOCK) {
		size_t at = b * (size_t)columns->n + (size_t)c;
		int8_t *q = columns->q + at * TDM_BLOCK;
		vf peak = splat(0);
		vi sums[2] = {splat_int(0), splat_int(0)};
		for (int i = 0; i < TDM_BLOCK; i += LANES)
			peak = larger((vf)((vi)load(x + i) & 0x7FFFFFFF), peak);
		float largest = largest_of(peak), inverse = largest > 1e-36f && largest <= 3e38f ? 127.0f / largest : 0;
		for (int i = 0; i < TDM_BLOCK; i += LANES) {
			vi rounded = within((vi)(load(x + i) * inverse + splat(12582912.0f)) - 0x4B400000, 127);
			vb narrow = __builtin_convertvector(rounded, vb);
			memcpy(q + i, &narrow, sizeof narrow);
			sums[i / (TDM_BLOCK / 2)] += rounded;
		}
		int32_t first = sum_of(sums[0]), sum = first + sum_of(sums[1]);
		float scale = through_half(largest / 127.0f);
		columns->blocks[at] = (struct tdm_column_block){scale, scale * (float)sum, -sum, -first};
	}
}

static void normalize(const float *x, const float *weight, int n, float epsilon, float *out) {
	float squares[TDM_LANES];
	for (int part = 0; part < TDM_LANES; part += LANES) {
		vf sum = splat(0);
		for (int i = part; i < n; i += TDM_LANES)
			sum = madd(load(x + i), load(x + i), sum);
		store(squares + part, sum);
	}
	vf factor = splat(1.0f / sqrtf(sum16(squares) / (float)n + epsilon));
	for (int i = 0; i < (n + TDM_LANES - 1) / TDM_LANES * TDM_LANES; i += LANES)
		store(out + i, load(x + i) * factor * load(weight + i));
}

static void add(float *x, const float *y, int n) {
	for (int i = 0; i < n; i += LANES)
		store(x + i, load(x + i) + load(y + i));
}

static void gate(float *g, const float *up, int n) {
	for (int i = 0; i < n; i += LANES) {
		vf x = load(g + i);
		store(g + i, x / (splat(1) + exponential(-x)) * load(up + i));
	}
}

static void halve(const float *x, int n, uint16_t *out) {
	for (int i = 0; i < n; i += LANES)
		store_half(out + i, load(x + i));
}

// In 16 lanes, which are added up in double every EXP_BLOCK numbers: a vocabulary of 128k loses no digit.
static double exp_sum(const float *x, int n, float top) {
	enum { EXP_BLOCK = 1024 };
	float lanes[TDM_LANES], last[TDM_LANES];
	double total = 0;
	for (int first = 0; first < n; first += EXP_BLOCK) {
		int here = n - first < EXP_BLOCK ? n - first : EXP_BLOCK, whole = here / TDM_LANES * TDM_LANES;
		for (int i = 0; i < TDM_LANES; i++)
			last[i] = whole + i < here ? x[first + whole + i] : -INFINITY;
		for (int part = 0; part < TDM_LANES; part += LANES) {
			vf sum = splat(0);
			for (int i = part; i < whole; i += TDM_LANES)
				sum += exponential(load(x + first + i) - splat(top));
			store(lanes + part, sum + exponential(load(last + part) - splat(top)));
		}
		total += (double)sum16(lanes);
	}
	return total;
}

const struct tdm_kernels SET = {SET_NAME, FLIP, QUERIES, multiply, quantize, normalize,
                                add,      gate, halve,   attend,   exp_sum};
