// Formats of super-blocks: 256 elements in groups whose scales are themselves small integers.
//
//   Q4_K  scale f16, low f16, 12 bytes of group factors, 128 bytes of four bits      8 groups of 32; element =
//   Q5_K  the same with 32 bytes of fifth bits before the four bits                  scale * a * level - low * b
//   Q6_K  128 bytes of four bits, 64 of two more, 16 signed factors, scale f16       16 groups of 16; element =
//                                                                                    scale * a * (level - 32)
// Packing searches: for each group several grids are tried, each followed by a least-squares fit of scale (and lowest
// value) to the levels it gave; the best stays. Large values weigh more, for they do more in a product.
// The rule it protects: bytes and numbers as llama.cpp's; the order of every operation on floats counts.
#include "engine/formats.h"
#include "engine/formats_blocks.h"
#include <math.h>

enum { GROUP = 32, N_GROUPS = 8, SMALL_GROUP = 16, N_SMALL_GROUPS = 16, FACTOR_BYTES = 12, TOP_FACTOR = 63 };
enum { Q4_K_BYTES = 144, Q5_K_BYTES = 176, Q6_K_BYTES = 210 };

// Nearest integer, ties to even, within low..high; what is no number: low. Adding 1.5 * 2^23 leaves no fraction bits.
static inline int nearest(float v, int low, int high) {
	if (!(v > (float)low))
		return low;
	return v >= (float)high ? high : (int)(v + 0x1.8p23f - 0x1.8p23f);
}

// --- Q4_K and Q5_K: factors of 6 bits, two per group, in 12 bytes

struct factors {
	uint8_t scale[N_GROUPS], low[N_GROUPS];
};

// Bytes 0-3: scales of groups 0-3, bytes 4-7: their lows, each with two bits of group + 4 on top; bytes 8-11: the other
// four bits of groups 4-7, lows above scales.
static void read_factors(const uint8_t *from, struct factors *f) {
	for (int i = 0; i < 4; i++) {
		f->scale[i] = from[i] & 63;
		f->low[i] = from[i + 4] & 63;
		f->scale[i + 4] = (uint8_t)((from[i + 8] & 15) | from[i] >> 6 << 4);
		f->low[i + 4] = (uint8_t)(from[i + 8] >> 4 | from[i + 4] >> 6 << 4);
	}
}

static void write_factors(const struct factors *f, uint8_t *to) {
	for (int i = 0; i < 4; i++) {
		to[i] = (uint8_t)(f->scale[i] | f->scale[i + 4] >> 4 << 6);
		to[i + 4] = (uint8_t)(f->low[i] | f->low[i + 4] >> 4 << 6);
		to[i + 8] = (uint8_t)((f->scale[i + 4] & 15) | (f->low[i + 4] & 15) << 4);
	}
}

// fifths NULL: levels of four bits. Groups 2k and 2k + 1 share 32 bytes: low half and high half.
static inline void unpack_groups(const uint8_t *block, const uint8_t *fifths, const uint8_t *fours, float *out) {
	float scale = tdm_f16_to_f32(tdm_load_half(block)), low = tdm_f16_to_f32(tdm_load_half(block + 2));
	struct factors f;
	read_factors(block + 4, &f);
	for (int g = 0; g < N_GROUPS; g++) {
		float step = scale * (float)f.scale[g], below = low * (float)f.low[g];
		const uint8_t *four = fours + g / 2 * GROUP;
		for (int i = 0; i < GROUP; i++) {
			int level = four[i] >> g % 2 * 4 & 15;
			if (fifths)
				level |= (fifths[i] >> g & 1) << 4;
			out[g * GROUP + i] = step * (float)level - below;
		}
	}
}

void tdm_unpack_q4_k(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	for (uint64_t b = 0; b < n_blocks; b++, blocks += Q4_K_BYTES)
		unpack_groups(blocks, NULL, blocks + 4 + FACTOR_BYTES, out + b * TDM_SUPER_ELEMENTS);
}

void tdm_unpack_q5_k(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	for (uint64_t b = 0; b < n_blocks; b++, blocks += Q5_K_BYTES)
		unpack_groups(blocks, blocks + 4 + FACTOR_BYTES, blocks + 4 + FACTOR_BYTES + GROUP,
		              out + b * TDM_SUPER_ELEMENTS);
}

// One group while its grid is searched: x is near low + scale * level, low <= 0.
struct search {
	const float *x;
	float weights[GROUP], sum_w, sum_wx;
	int top; // highest level
};

struct grid {
	float scale, low;
	uint8_t levels[GROUP];
};

static void weigh(struct search *s) {
	float squares = 0;
	for (int i = 0; i < GROUP; i++)
		squares += s->x[i] * s->x[i];
	float mean = sqrtf(squares / GROUP);
	s->sum_w = s->sum_wx = 0;
	for (int i = 0; i < GROUP; i++) {
		s->weights[i] = mean + fabsf(s->x[i]);
		s->sum_w += s->weights[i];
		s->sum_wx += s->weights[i] * s->x[i];
	}
}

static void set_levels(const struct search *s, float low, float per_unit, struct grid *g) {
	for (int i = 0; i < GROUP; i++)
		g->levels[i] = (uint8_t)nearest(per_unit * (s->x[i] - low), 0, s->top);
}

static float error_of(const struct search *s, const struct grid *g) {
	float sum = 0;
	for (int i = 0; i < GROUP; i++) {
		float off = g->scale * (float)g->levels[i] + g->low - s->x[i];
		sum += s->weights[i] * (off * off);
	}
	return sum;
}

// The scale and low that suit the levels best; false when they determine none.
static bool fit(const struct search *s, struct grid *g) {
	float l = 0, ll = 0, lx = 0;
	for (int i = 0; i < GROUP; i++) {
		float weighted = s->weights[i] * (float)g->levels[i];
		l += weighted;
		ll += weighted * (float)g->levels[i];
		lx += weighted * s->x[i];
	}
	float determinant = s->sum_w * ll - l * l;
	if (!(determinant > 0))
		return false;
	g->scale = (s->sum_w * lx - s->sum_wx * l) / determinant;
	g->low = (ll * s->sum_wx - l * lx) / determinant;
	if (g->low > 0) {
		g->low = 0;
		g->scale = lx / ll;
	}
	return true;
}

// Grids from slightly coarser than the range asks for to finer, each started from the best lowest value so far: what is
// cut off at the top may be worth it.
struct tries {
	int top, n;
	float first;
};
static const struct tries four_bits = {15, 20, -1}, five_bits = {31, 15, -0.5f};

static void search_grid(struct search *s, const struct tries *t, struct grid *best) {
	float low = s->x[0], high = s->x[0];
	for (int i = 1; i < GROUP; i++) {
		low = s->x[i] < low ? s->x[i] : low;
		high = s->x[i] > high ? s->x[i] : high;
	}
	low = low > 0 ? 0 : low;
	*best = (struct grid){.low = low};
	if (high == low)
		return;
	float per_unit = (float)s->top / (high - low);
	best->scale = 1 / per_unit;
	set_levels(s, low, per_unit, best);
	float least = error_of(s, best);
	for (int i = 0; i <= t->n; i++) {
		struct grid g;
		set_levels(s, best->low, (t->first + 0.1f * (float)i + (float)s->top) / (high - best->low), &g);
		float error = fit(s, &g) ? error_of(s, &g) : INFINITY;
		if (error < least) {
			least = error;
			*best = g;
		}
	}
}

// The factors of all groups relative to the largest, rounded; *unit: the value of one.
static void set_factors(const float values[N_GROUPS], uint8_t factors[N_GROUPS], uint8_t *unit) {
	float largest = 0;
	for (int g = 0; g < N_GROUPS; g++)
		largest = values[g] > largest ? values[g] : largest;
	float per_unit = largest > 0 ? TOP_FACTOR / largest : 0;
	for (int g = 0; g < N_GROUPS; g++)
		factors[g] = (uint8_t)nearest(per_unit * values[g], 0, TOP_FACTOR);
	tdm_store_half(unit, tdm_f32_to_f16(largest / TOP_FACTOR));
}

// Scale, low and factors into the block; then the levels once more, for the scales as they were rounded.
static void choose_levels(const float *x, const struct tries *t, uint8_t *block, uint8_t levels[TDM_SUPER_ELEMENTS]) {
	float scales[N_GROUPS], lows[N_GROUPS];
	struct factors f;
	for (int g = 0; g < N_GROUPS; g++) {
		struct search s = {.x = x + g * GROUP, .top = t->top};
		struct grid best;
		weigh(&s);
		search_grid(&s, t, &best);
		scales[g] = best.scale;
		lows[g] = -best.low;
		memcpy(levels + g * GROUP, best.levels, GROUP);
	}
	set_factors(scales, f.scale, block);
	set_factors(lows, f.low, block + 2);
	write_factors(&f, block + 4);
	float scale = tdm_f16_to_f32(tdm_load_half(block)), low = tdm_f16_to_f32(tdm_load_half(block + 2));
	for (int g = 0; g < N_GROUPS; g++) {
		float step = scale * (float)f.scale[g], below = low * (float)f.low[g];
		for (int i = g * GROUP; i < (g + 1) * GROUP && step != 0; i++)
			levels[i] = (uint8_t)nearest((x[i] + below) / step, 0, t->top);
	}
}

static void pack_fours(const uint8_t levels[TDM_SUPER_ELEMENTS], uint8_t *fours) {
	for (int pair = 0; pair < N_GROUPS / 2; pair++)
		for (int i = 0; i < GROUP; i++)
			fours[pair * GROUP + i] =
			    (uint8_t)((levels[2 * pair * GROUP + i] & 15) | (levels[(2 * pair + 1) * GROUP + i] & 15) << 4);
}

void tdm_pack_q4_k(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	uint8_t levels[TDM_SUPER_ELEMENTS];
	for (uint64_t b = 0; b < n_blocks; b++, blocks += Q4_K_BYTES) {
		choose_levels(x + b * TDM_SUPER_ELEMENTS, &four_bits, blocks, levels);
		pack_fours(levels, blocks + 4 + FACTOR_BYTES);
	}
}

void tdm_pack_q5_k(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	uint8_t levels[TDM_SUPER_ELEMENTS];
	for (uint64_t b = 0; b < n_blocks; b++, blocks += Q5_K_BYTES) {
		uint8_t *fifths = blocks + 4 + FACTOR_BYTES;
		choose_levels(x + b * TDM_SUPER_ELEMENTS, &five_bits, blocks, levels);
		memset(fifths, 0, GROUP);
		for (int i = 0; i < TDM_SUPER_ELEMENTS; i++)
			fifths[i % GROUP] |= (uint8_t)(levels[i] >> 4 << i / GROUP);
		pack_fours(levels, fifths + GROUP);
	}
}

// --- Q6_K: two halves of 128 elements; byte i of a half's 64 holds elements i and i + 64, byte i of its 32 bytes of
// two bits holds elements i, i + 32, i + 64 and i + 96

enum { N_HALF = 128, SIX_FOURS = 128, SIX_TWOS = 192, SIX_SCALE = 208 };

static void unpack_sixes(const uint8_t *block, float *out) {
	float scale = tdm_f16_to_f32(tdm_load_half(block + SIX_SCALE));
	for (int i = 0; i < TDM_SUPER_ELEMENTS; i++) {
		int half = i / N_HALF, at = i % N_HALF;
		int four = block[half * 64 + at % 64] >> at / 64 * 4 & 15;
		int two = block[SIX_FOURS + half * 32 + at % 32] >> at / 32 * 2 & 3;
		int8_t factor = (int8_t)block[SIX_TWOS + i / SMALL_GROUP];
		out[i] = scale * (float)factor * (float)((four | two << 4) - 32);
	}
}

void tdm_unpack_q6_k(const uint8_t *blocks, uint64_t n_blocks, float *out) {
	for (uint64_t b = 0; b < n_blocks; b++)
		unpack_sixes(blocks + b * Q6_K_BYTES, out + b * TDM_SUPER_ELEMENTS);
}

// Levels -32..31 of one group for a grid, and the two sums of the least-squares scale, each value weighed by its
// square.
static void sum_levels(const float *x, float per_unit, int8_t levels[SMALL_GROUP], float *lx, float *ll) {
	*lx = *ll = 0;
	for (int i = 0; i < SMALL_GROUP; i++) {
		int level = nearest(per_unit * x[i], -32, 31);
		float weight = x[i] * x[i];
		levels[i] = (int8_t)level;
		*lx += weight * x[i] * (float)level;
		*ll += weight * (float)level * (float)level;
	}
}

#define TOO_SMALL 1e-15f // a group or block below it is zero

// The scale of one group; it has the sign that gives the farthest value the level -32.
static float search_scale(const float *x, int8_t levels[SMALL_GROUP]) {
	float farthest = 0, lx, ll;
	for (int i = 0; i < SMALL_GROUP; i++)
		if (fabsf(x[i]) > fabsf(farthest))
			farthest = x[i];
	if (fabsf(farthest) < TOO_SMALL) {
		memset(levels, -32, SMALL_GROUP);
		return 0;
	}
	sum_levels(x, -32 / farthest, levels, &lx, &ll);
	float scale = ll != 0 ? lx / ll : 0, best = scale * lx;
	for (int i = -9; i <= 9; i++) {
		int8_t tried[SMALL_GROUP];
		if (i == 0)
			continue;
		sum_levels(x, -(32 + 0.1f * (float)i) / farthest, tried, &lx, &ll);
		if (ll > 0 && lx * lx > best * ll) {
			scale = lx / ll;
			best = scale * lx;
			memcpy(levels, tried, SMALL_GROUP);
		}
	}
	return scale;
}

static void put_sixes(const int8_t levels[TDM_SUPER_ELEMENTS], uint8_t *block) {
	memset(block, 0, SIX_TWOS);
	for (int i = 0; i < TDM_SUPER_ELEMENTS; i++) {
		int half = i / N_HALF, at = i % N_HALF;
		unsigned level = (unsigned)(levels[i] + 32);
		block[half * 64 + at % 64] |= (uint8_t)((level & 15) << at / 64 * 4);
		block[SIX_FOURS + half * 32 + at % 32] |= (uint8_t)(level >> 4 << at / 32 * 2);
	}
}

static void pack_sixes(const float *x, uint8_t *block) {
	int8_t levels[TDM_SUPER_ELEMENTS];
	float scales[N_SMALL_GROUPS], farthest = 0;
	for (int g = 0; g < N_SMALL_GROUPS; g++) {
		scales[g] = search_scale(x + g * SMALL_GROUP, levels + g * SMALL_GROUP);
		farthest = fabsf(scales[g]) > fabsf(farthest) ? scales[g] : farthest;
	}
	memset(block, 0, Q6_K_BYTES);
	if (fabsf(farthest) < TOO_SMALL)
		return;
	float per_unit = -128 / farthest;
	tdm_store_half(block + SIX_SCALE, tdm_f32_to_f16(1 / per_unit));
	float unit = tdm_f16_to_f32(tdm_load_half(block + SIX_SCALE));
	for (int g = 0; g < N_SMALL_GROUPS; g++) {
		int factor = nearest(per_unit * scales[g], -128, 127);
		float step = unit * (float)factor;
		block[SIX_TWOS + g] = (uint8_t)(int8_t)factor;
		for (int i = g * SMALL_GROUP; i < (g + 1) * SMALL_GROUP && step != 0; i++)
			levels[i] = (int8_t)nearest(x[i] / step, -32, 31);
	}
	put_sixes(levels, block);
}

void tdm_pack_q6_k(const float *x, uint64_t n_blocks, uint8_t *blocks) {
	for (uint64_t b = 0; b < n_blocks; b++)
		pack_sixes(x + b * TDM_SUPER_ELEMENTS, blocks + b * Q6_K_BYTES);
}
