// Matrix products of every kernel set, a part of kernels_body.h.
//
// A matrix of blocks: the codes of a block of 32 columns are unpacked once, into registers, and multiplied with every
// column of activations; the sums of the columns lie in the nearest cache. So a pass over a few tokens reads and
// unpacks the weights once, which is what verification of drafted tokens lives from. A matrix of floats: tiles of
// columns whose sums live in registers.
//
// The rule it protects: a column's sum has one order, block after block, whatever is computed beside it.
#pragma once
#include "engine/kernels_floats.h"
#include "engine/packing.h"

enum { STEPS = TDM_BLOCK / 4, VECTOR_BYTES = 4 * LANES, COLUMNS = 64 };

// --- blocks

struct scales {
	vf scale[2], min; // of columns 0..15 and 16..31
};

ALWAYS vf bytes_as_floats(const uint8_t *p, bool is_signed) {
	return __builtin_convertvector(widen(p, is_signed), vf);
}

// w: the block, already moved to this part's rows where rows are halves (part: first row of the vector).
ALWAYS struct scales scales_of(const struct tdm_packing p, const uint8_t *super, const uint8_t *w, int part) {
	struct scales s;
	s.min = splat(0);
	if (p.scaling == TDM_SCALE || p.scaling == TDM_SCALE_MIN) {
		s.scale[0] = s.scale[1] = load_half((const uint16_t *)(const void *)w + part);
		if (p.scaling == TDM_SCALE_MIN)
			s.min = load_half((const uint16_t *)(const void *)w + TDM_LANES + part);
		return s;
	}
	vf factor = load_half((const uint16_t *)(const void *)super + part);
	s.scale[0] = factor * bytes_as_floats(w + part, p.scaling == TDM_SUPER_HALVES);
	s.scale[1] = s.scale[0];
	if (p.scaling == TDM_SUPER_HALVES)
		s.scale[1] = factor * bytes_as_floats(w + TDM_LANES + part, true);
	else
		s.min = load_half((const uint16_t *)(const void *)super + TDM_LANES + part) *
		        bytes_as_floats(w + TDM_LANES + part, false);
	return s;
}

ALWAYS vi load_codes(const uint8_t *p) {
	vi v;
	memcpy(&v, p, sizeof v);
	return v;
}

// The codes of every step, from the vectors that packing.h describes.
ALWAYS void unpack(const struct tdm_packing p, const uint8_t *w, vi codes[STEPS]) {
	enum { LINE = 4 * TDM_LANES };
	if (p.low_bits == 8) {
		UNROLL for (int k = 0; k < STEPS; k++) codes[k] = load_codes(w + k * LINE);
		return;
	}
	UNROLL for (int j = 0; j < 4; j++) {
		vi both = load_codes(w + j * LINE);
		codes[j] = both & 0x0F0F0F0F;
		codes[j + 4] = (both >> 4) & 0x0F0F0F0F;
	}
	if (p.high_bits == 1) {
		vi high = load_codes(w + 4 * LINE);
		UNROLL for (int k = 0; k < STEPS; k++) codes[k] |= (k < 4 ? high << (4 - k) : high >> (k - 4)) & 0x10101010;
	}
	if (p.high_bits == 2) {
		UNROLL for (int k = 0; k < STEPS; k++) {
			vi high = load_codes(w + (4 + k / 4) * LINE);
			codes[k] |= (k % 4 < 2 ? high << (4 - 2 * (k % 4)) : high >> (2 * (k % 4) - 4)) & 0x30303030;
		}
	}
}

// Adds a block's products with one column to the sums of up to two neighbouring groups of rows.
ALWAYS void add_column(const struct tdm_packing p, const int groups, const vi (*codes)[STEPS], const struct scales *s,
                       const int8_t *x, const struct tdm_column_block *about, vf *sum) {
	const bool halves = p.scaling == TDM_SUPER_HALVES;
	vi dot[2][GROUPS], start[2];
	start[0] = splat_int(halves ? about->minus_first : about->minus_sum) * p.offset;
	start[1] = halves ? splat_int(about->minus_sum - about->minus_first) * p.offset : splat_int(0);
	UNROLL for (int g = 0; g < groups; g++) {
		dot[0][g] = start[0];
		dot[1][g] = start[1];
	}
	UNROLL for (int k = 0; k < STEPS; k++) {
		const int half = halves ? k / (STEPS / 2) : 0;
		UNROLL for (int g = 0; g < groups; g++) dot[half][g] = dot4(dot[half][g], codes[g][k], x + 4 * k);
	}
	UNROLL for (int g = 0; g < groups; g++) {
		UNROLL for (int half = 0; half <= halves; half++) sum[g] =
		    madd(__builtin_convertvector(dot[half][g], vf), s[g].scale[half] * about->scale, sum[g]);
		if (p.scaling == TDM_SCALE_MIN || p.scaling == TDM_SUPER_MIN)
			sum[g] = madd(s[g].min, splat(about->scaled_sum), sum[g]);
	}
}

// Asks for what the tile reads AHEAD bytes later, behind the end of its groups for what the next tile reads: the
// machine's own prefetching stops at every page, and its work does not overlap with the arithmetic. `before`: bytes
// between the last block and this one, which have to be asked for too: for one line left out, everything waits.
ALWAYS void fetch_ahead(const struct tdm_matrix *m, const int groups, const uint8_t *w, size_t at, size_t before,
                        const size_t bytes) {
	const uint8_t *ahead = w + at + AHEAD;
	if (at + AHEAD >= m->group_bytes)
		ahead += (size_t)(groups - 1) * m->group_bytes;
	if (before)
		__builtin_prefetch(ahead - before, 0, 2);
	UNROLL for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(ahead + i, 0, 2);
}

// `groups` groups of 16 rows from `group` on; of every group the LANES rows from `part` on; n columns from `first`.
ALWAYS void tile(const struct tdm_packing p, const int groups, const struct tdm_matrix *m, int group, int part,
                 const struct tdm_columns *x, int first, int n, float *const *out) {
	vf sum[COLUMNS][GROUPS];
	const size_t n_blocks = (size_t)(m->n_cols / TDM_BLOCK), scale_bytes = tdm_scale_bytes(p.scaling);
	const uint8_t *w = m->packed + (size_t)group * m->group_bytes;
	for (int c = 0; c < n; c++) {
		UNROLL for (int g = 0; g < groups; g++) sum[c][g] = splat(0);
	}
	for (size_t b = 0; b < n_blocks; b++) {
		vi codes[GROUPS][STEPS];
		struct scales s[GROUPS];
		size_t at = tdm_block_at(&p, b),
		       super = tdm_is_super(p.scaling) ? tdm_block_at(&p, b & ~7ul) - tdm_super_bytes(p.scaling) : 0;
		UNROLL for (int g = 0; g < groups; g++) {
			const uint8_t *of_group = w + (size_t)g * m->group_bytes;
			if (n > 1)
				fetch_ahead(m, groups, of_group, at, b % TDM_SUPER ? 0 : tdm_super_bytes(p.scaling),
				            scale_bytes + tdm_code_bytes(&p));
			s[g] = scales_of(p, of_group + super, of_group + at, part);
			unpack(p, of_group + at + scale_bytes + 4 * part, codes[g]);
		}
		const int8_t *q = x->q + (b * (size_t)x->n + (size_t)first) * TDM_BLOCK;
		const struct tdm_column_block *about = x->blocks + b * (size_t)x->n + (size_t)first;
		for (int c = 0; c < n; c++)
			add_column(p, groups, (const vi(*)[STEPS])codes, s, q + c * TDM_BLOCK, about + c, sum[c]);
	}
	for (int c = 0; c < n; c++) {
		UNROLL for (int g = 0; g < groups; g++) store(out[first + c] + (group + g) * TDM_LANES + part, sum[c][g]);
	}
}

ALWAYS void tiles(const struct tdm_packing p, const struct tdm_matrix *m, int from, int to, const struct tdm_columns *x,
                  float *const *out) {
	for (int first = 0, n; first < x->n; first += n) {
		n = x->n - first < COLUMNS ? x->n - first : COLUMNS;
		int group = from;
		// one column waits for memory alone: there one stream, which the machine prefetches, is a fifth faster
		for (; n > 1 && group + GROUPS <= to; group += GROUPS)
			for (int part = 0; part < TDM_LANES; part += LANES)
				tile(p, GROUPS, m, group, part, x, first, n, out);
		for (; group < to; group++)
			for (int part = 0; part < TDM_LANES; part += LANES)
				tile(p, 1, m, group, part, x, first, n, out);
	}
}

// --- one function for each type: they are large

#define BLOCKS(TYPE, scaling, low, high, offset)                                                           \
	static void multiply_##TYPE(const struct tdm_matrix *m, int from, int to, const struct tdm_columns *x, \
	                            float *const *out) {                                                       \
		tiles((struct tdm_packing){TYPE, scaling, low, high, offset}, m, from, to, x, out);                \
	}
TDM_PACKINGS(BLOCKS, FLIP)

#define FLOATS(TYPE)                                                                                       \
	static void multiply_##TYPE(const struct tdm_matrix *m, int from, int to, const struct tdm_columns *x, \
	                            float *const *out) {                                                       \
		tiles_floats(m, from, to, x, out, TYPE);                                                           \
	}
FLOATS(TDM_F32)
FLOATS(TDM_F16)
FLOATS(TDM_BF16)

static void multiply(const struct tdm_matrix *m, int from, int to, const struct tdm_columns *x, float *const *out) {
	switch (m->type) {
#define CASE(TYPE, ...)                       \
	case TYPE:                                \
		multiply_##TYPE(m, from, to, x, out); \
		break;
		TDM_PACKINGS(CASE, 0)
		CASE(TDM_F32)
		CASE(TDM_F16)
		CASE(TDM_BF16)
	}
}
