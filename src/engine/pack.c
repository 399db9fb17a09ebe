// From the file's layout of a matrix to the kernels' (see packing.h): every block is taken apart into its codes and
// scales, and put between those of its 15 neighbours. Four codes at a time, in a 32-bit word: opening a large file is
// mostly this.
#include "engine/packing.h"
#include "base/pool.h"
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

enum { LINE = 4 * TDM_LANES, LARGE_PAGE = 2 << 20, N_PARTS = 16 };

// One block of 32 columns of one row.
struct block {
	uint8_t codes[TDM_BLOCK];
	uint16_t factor[2]; // of the block, or of its super-block: scale and minimum, as halves
	uint8_t scale[2];   // of the block inside a super-block
};

static uint16_t half_at(const uint8_t *p) {
	uint16_t h;
	memcpy(&h, p, sizeof h);
	return h;
}

static uint32_t word_at(const uint8_t *p) {
	uint32_t w;
	memcpy(&w, p, sizeof w);
	return w;
}

static void put_word(uint8_t *p, uint32_t w) {
	memcpy(p, &w, sizeof w);
}

// --- the file's blocks

// Four bits to the lowest bits of four bytes.
static uint32_t spread(uint32_t bits) {
	return (bits & 15) * 0x00204081u & 0x01010101u;
}

static void take_bytes(const uint8_t *data, uint8_t flip, struct block *out) {
	out->factor[0] = half_at(data);
	for (int i = 0; i < TDM_BLOCK; i += 4)
		put_word(out->codes + i, word_at(data + 2 + i) ^ flip * 0x01010101u);
}

// Formats of 4 and 5 bits: scale, minimum where there is one, a bit for each element where there are 5, halves of
// bytes.
static void take_halves(const uint8_t *data, bool has_min, bool has_high, struct block *out) {
	uint32_t high = 0;
	out->factor[0] = half_at(data);
	data += 2;
	if (has_min)
		out->factor[1] = half_at(data);
	data += has_min ? 2 : 0;
	if (has_high)
		memcpy(&high, data, sizeof high);
	data += has_high ? sizeof high : 0;
	for (int i = 0; i < TDM_BLOCK; i += 4) {
		uint32_t low = word_at(data + i % 16) >> (i < 16 ? 0 : 4) & 0x0F0F0F0Fu;
		put_word(out->codes + i, low | spread(high >> i) << 4);
	}
}

// Q4_K, Q5_K: scale and minimum of 6 bits for each of the 8 blocks, packed into 12 bytes.
static void take_min_super(const uint8_t *super, int b, bool has_high, struct block *out) {
	const uint8_t *s = super + 4, *high = super + 16, *low = super + (has_high ? 48 : 16) + b / 2 * 32;
	out->factor[0] = half_at(super);
	out->factor[1] = half_at(super + 2) ^ 0x8000;
	if (b < 4) {
		out->scale[0] = s[b] & 63;
		out->scale[1] = s[b + 4] & 63;
	} else {
		out->scale[0] = (uint8_t)((s[b + 4] & 15) | s[b - 4] >> 6 << 4);
		out->scale[1] = (uint8_t)(s[b + 4] >> 4 | s[b] >> 6 << 4);
	}
	for (int i = 0; i < TDM_BLOCK; i += 4) {
		uint32_t fifth = has_high ? word_at(high + i) >> b & 0x01010101u : 0;
		put_word(out->codes + i, (word_at(low + i) >> b % 2 * 4 & 0x0F0F0F0Fu) | fifth << 4);
	}
}

// Q6_K: 128 low halves, 64 bytes of high pairs, 16 signed scales, the factor.
static void take_q6(const uint8_t *super, int b, struct block *out) {
	const uint8_t *low = super + b / 4 * 64 + b % 2 * 32, *high = super + 128 + b / 4 * 32;
	out->factor[0] = half_at(super + 208);
	memcpy(out->scale, super + 192 + 2 * b, 2);
	for (int i = 0; i < TDM_BLOCK; i += 4) {
		uint32_t pair = word_at(high + i) >> 2 * (b % 4) & 0x03030303u;
		put_word(out->codes + i, (word_at(low + i) >> b % 4 / 2 * 4 & 0x0F0F0F0Fu) | pair << 4);
	}
}

// at: the block, for K types its super-block.
static void take(uint32_t type, const uint8_t *at, int b, uint8_t flip, struct block *out) {
	switch (type) {
	case TDM_Q8_0:
		take_bytes(at, flip, out);
		break;
	case TDM_Q4_K:
	case TDM_Q5_K:
		take_min_super(at, b % TDM_SUPER, type == TDM_Q5_K, out);
		break;
	case TDM_Q6_K:
		take_q6(at, b % TDM_SUPER, out);
		break;
	default:
		take_halves(at, type == TDM_Q4_1 || type == TDM_Q5_1, type == TDM_Q5_0 || type == TDM_Q5_1, out);
	}
}

// --- the kernels' blocks

static void put_codes(const struct tdm_packing *p, int lane, const struct block *b, uint8_t *to) {
	uint32_t high[2] = {0, 0};
	to += 4 * lane;
	for (int step = 0; step < TDM_BLOCK / 4; step++) {
		uint32_t codes = word_at(b->codes + 4 * step), above = codes >> 4 & 0x0F0F0F0Fu;
		if (p->low_bits == 8)
			put_word(to + step * LINE, codes);
		else if (step < 4)
			put_word(to + step * LINE, (codes & 0x0F0F0F0Fu) | (word_at(b->codes + 4 * step + 16) & 0x0F0F0F0Fu) << 4);
		high[p->high_bits == 2 ? step / 4 : 0] |= above << (p->high_bits == 2 ? step % 4 * 2 : step);
	}
	for (int i = 0; i < p->high_bits; i++)
		put_word(to + (4 + i) * LINE, high[i]);
}

static void put_half(uint8_t *to, int lane, uint16_t half) {
	memcpy(to + 2 * lane, &half, sizeof half);
}

// Block i of the row that is `lane` of its group.
static void put(const struct tdm_packing *p, uint8_t *group, int lane, size_t i, const struct block *b) {
	uint8_t *to = group + tdm_block_at(p, i), *factors = to;
	if (tdm_is_super(p->scaling)) {
		factors = group + tdm_block_at(p, i / TDM_SUPER * TDM_SUPER) - tdm_super_bytes(p->scaling);
		to[lane] = b->scale[0];
		to[TDM_LANES + lane] = b->scale[1];
	}
	put_half(factors, lane, b->factor[0]);
	if (p->scaling == TDM_SCALE_MIN || p->scaling == TDM_SUPER_MIN)
		put_half(factors + 2 * TDM_LANES, lane, b->factor[1]);
	put_codes(p, lane, b, to + tdm_scale_bytes(p->scaling));
}

static const struct tdm_packing *find(uint32_t type) {
#define ROW(...) {__VA_ARGS__},
	static const struct tdm_packing all[] = {TDM_PACKINGS(ROW, 0)};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i].type == type)
			return &all[i];
	return NULL;
}

struct job {
	struct tdm_matrix *m;
	const struct tdm_packing *packing; // NULL: numbers
	const uint8_t *data;
	size_t row_bytes, number_bytes;
};

static void pack_blocks(const struct job *job, int row, uint8_t *group) {
	const struct tdm_matrix *m = job->m;
	const int per_take = tdm_is_super(job->packing->scaling) ? TDM_SUPER : 1;
	const size_t bytes = tdm_tensor_bytes(m->type, (uint64_t)(per_take * TDM_BLOCK));
	const uint8_t *data = job->data + (size_t)row * job->row_bytes;
	struct block b = {0};
	for (int i = 0; i < m->n_cols / TDM_BLOCK; i++) {
		take(m->type, data + (size_t)(i / per_take) * bytes, i, m->flip, &b);
		put(job->packing, group, row % TDM_LANES, (size_t)i, &b);
	}
}

static void pack_numbers(const struct job *job, int row, uint8_t *group) {
	const size_t bytes = job->number_bytes;
	const uint8_t *data = job->data + (size_t)row * job->row_bytes;
	group += (size_t)(row % TDM_LANES) * bytes;
	for (int i = 0; i < job->m->n_cols; i++, data += bytes, group += TDM_LANES * bytes)
		memcpy(group, data, bytes == 2 ? 2 : 4);
}

static void pack_part(void *arg, int part, int n_parts) {
	const struct job *job = arg;
	const struct tdm_matrix *m = job->m;
	int from = (int)((int64_t)m->n_groups * part / n_parts) * TDM_LANES;
	int to = (int)((int64_t)m->n_groups * (part + 1) / n_parts) * TDM_LANES;
	for (int row = from; row < to && row < m->n_rows; row++) {
		uint8_t *group = m->packed + (size_t)(row / TDM_LANES) * m->group_bytes;
		if (job->packing)
			pack_blocks(job, row, group);
		else
			pack_numbers(job, row, group);
	}
}

static size_t number_bytes(uint32_t type) {
	return type == TDM_F32 ? 4 : 2;
}

static size_t group_bytes(const struct tdm_packing *p, uint32_t type, int n_cols) {
	if (!p)
		return (size_t)tdm_pad(n_cols, 4) * TDM_LANES * number_bytes(type);
	size_t n_blocks = (size_t)(n_cols / TDM_BLOCK), end = tdm_block_at(p, n_blocks);
	return n_blocks % TDM_SUPER ? end : end - tdm_super_bytes(p->scaling);
}

int tdm_matrix_pack(struct tdm_matrix *m, struct tdm_store *store, const struct tdm_kernels *kernels, uint32_t type,
                    const void *data, int n_rows, int n_cols, struct tdm_error *err) {
	const struct tdm_packing *p = find(type);
	*m = (struct tdm_matrix){.type = type, .is_blocks = p, .flip = kernels->flip, .n_rows = n_rows, .n_cols = n_cols};
	m->n_groups = tdm_pad(n_rows, TDM_LANES) / TDM_LANES;
	m->group_bytes = group_bytes(p, type, n_cols);
	size_t bytes = (m->group_bytes * (size_t)m->n_groups + LINE - 1) / LINE * LINE;
	if (bytes > store->n_bytes - store->used)
		return tdm_fail(err, TDM_ENOMEM, "no room for a matrix of %d x %d", n_rows, n_cols);
	m->packed = store->base + store->used; // fresh memory is zero
	store->used += bytes;
	struct job job = {m, p, data, tdm_tensor_bytes(type, (uint64_t)n_cols), number_bytes(type)};
	if (store->pool)
		tdm_pool_run(store->pool, pack_part, &job, m->n_groups < N_PARTS ? m->n_groups : N_PARTS);
	else
		pack_part(&job, 0, 1);
	return TDM_OK;
}

// --- and back

static int code_of(const struct tdm_packing *p, const uint8_t *codes, int lane, int i) {
	int step = i / 4, byte = lane * 4 + i % 4;
	if (p->low_bits == 8)
		return codes[step * LINE + byte];
	int code = codes[step % 4 * LINE + byte] >> step / 4 * 4 & 15;
	if (p->high_bits == 1)
		code |= (codes[4 * LINE + byte] >> step & 1) << 4;
	if (p->high_bits == 2)
		code |= (codes[(4 + step / 4) * LINE + byte] >> step % 4 * 2 & 3) << 4;
	return code;
}

static float factor_at(const uint8_t *halves, int lane) {
	return tdm_f16_to_f32(half_at(halves + 2 * lane));
}

// Scales of both halves of block i, and what is added to every value.
static void scales_of(const struct tdm_packing *p, const uint8_t *group, int lane, size_t i, float scale[2],
                      float *min) {
	const uint8_t *at = group + tdm_block_at(p, i), *super = at;
	*min = 0;
	if (tdm_is_super(p->scaling))
		super = group + tdm_block_at(p, i / TDM_SUPER * TDM_SUPER) - tdm_super_bytes(p->scaling);
	scale[0] = scale[1] = factor_at(super, lane);
	if (p->scaling == TDM_SCALE_MIN)
		*min = factor_at(super + 2 * TDM_LANES, lane);
	if (p->scaling == TDM_SUPER_HALVES) {
		scale[0] *= (float)(int8_t)at[lane];
		scale[1] *= (float)(int8_t)at[TDM_LANES + lane];
	}
	if (p->scaling == TDM_SUPER_MIN) {
		*min = factor_at(super + 2 * TDM_LANES, lane) * (float)at[TDM_LANES + lane];
		scale[0] = scale[1] *= (float)at[lane];
	}
}

static void unpack_row(const struct tdm_matrix *m, const struct tdm_packing *p, const uint8_t *group, int lane,
                       float *out) {
	const bool has_min = p->scaling == TDM_SCALE_MIN || p->scaling == TDM_SUPER_MIN;
	for (size_t block = 0; block < (size_t)(m->n_cols / TDM_BLOCK); block++, out += TDM_BLOCK) {
		const uint8_t *codes = group + tdm_block_at(p, block) + tdm_scale_bytes(p->scaling);
		float scale[2], min;
		scales_of(p, group, lane, block, scale, &min);
		for (int i = 0; i < TDM_BLOCK; i++) {
			int code = code_of(p, codes, lane, i);
			int value = p->low_bits == 8 ? (int8_t)(code ^ m->flip) : code - p->offset;
			out[i] = scale[i / (TDM_BLOCK / 2)] * (float)value;
			if (has_min)
				out[i] += min;
		}
	}
}

void tdm_matrix_row(const struct tdm_matrix *m, int row, float *out) {
	const struct tdm_packing *p = find(m->type);
	const uint8_t *group = m->packed + (size_t)(row / TDM_LANES) * m->group_bytes;
	size_t bytes = number_bytes(m->type);
	if (p)
		unpack_row(m, p, group, row % TDM_LANES, out);
	for (int i = 0; i < m->n_cols && !p; i++)
		tdm_dequantize(m->type, group + (size_t)(i * TDM_LANES + row % TDM_LANES) * bytes, 1, out + i);
}

// --- memory

int tdm_store_init(struct tdm_store *s, uint64_t bytes, size_t n_matrices, struct tdm_error *err) {
	// Rows fill up to 16, columns of numbers to 4, K types grow by 3 %: address space, of which only what is written
	// becomes memory.
	uint64_t room = 2 * bytes + (uint64_t)n_matrices * LARGE_PAGE + LARGE_PAGE;
	*s = (struct tdm_store){0};
	if (room < bytes || room > SIZE_MAX)
		return tdm_fail(err, TDM_ENOMEM, "no memory for %" PRIu64 " bytes of weights", bytes);
	void *base = mmap(NULL, (size_t)room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return tdm_fail(err, TDM_ENOMEM, "no memory for %" PRIu64 " bytes of weights", bytes);
	madvise(base, (size_t)room, MADV_HUGEPAGE); // a wish
	s->base = base;
	s->n_bytes = (size_t)room;
	s->used = (size_t)(-(uintptr_t)base % LARGE_PAGE);
	return TDM_OK;
}

void tdm_store_release(struct tdm_store *s) {
	if (s->base)
		munmap(s->base, s->n_bytes);
	*s = (struct tdm_store){0};
}
