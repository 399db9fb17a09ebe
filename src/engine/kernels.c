// The table of instruction sets, and the layout of matrices that all of them read.
#include "engine/kernels.h"
#include "engine/gguf.h"
#include <stdlib.h>
#include <string.h>

enum { Q8_GROUP_BYTES = TDM_LANES * 4 + TDM_LANES * TDM_BLOCK, Q8_BLOCK_BYTES = 34 };

static bool runs_anywhere(void) {
	return true;
}

// F16C is older than AVX2, and clang 14 cannot ask for it.
static bool runs_avx2(void) {
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool runs_avx512(void) {
	return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vnni");
}

// Best first.
static const struct {
	const struct tdm_kernels *kernels;
	bool (*runs)(void);
} sets[] = {{&tdm_kernels_avx512, runs_avx512}, {&tdm_kernels_avx2, runs_avx2}, {&tdm_kernels_portable, runs_anywhere}};
enum { N_SETS = sizeof sets / sizeof *sets };

const struct tdm_kernels *tdm_kernels_at(size_t i, bool *runs) {
	if (i >= N_SETS)
		return NULL;
	*runs = sets[i].runs();
	return sets[i].kernels;
}

int tdm_kernels_find(const char *name, const struct tdm_kernels **out, struct tdm_error *err) {
	for (size_t i = 0; i < N_SETS; i++) {
		bool is_named = name && strcmp(name, sets[i].kernels->name) == 0;
		if ((!name || is_named) && sets[i].runs()) {
			*out = sets[i].kernels;
			return TDM_OK;
		}
		if (is_named)
			return tdm_fail(err, TDM_ECONFIG, "kernels \"%s\": this machine does not have their instructions", name);
	}
	return tdm_fail(err, TDM_ECONFIG, "kernels \"%s\" are unknown; expected portable, avx2 or avx512", name);
}

// --- packing

static void pack_numbers(struct tdm_matrix *m, const uint8_t *data, size_t bytes) {
	for (int row = 0; row < m->n_rows; row++) {
		uint8_t *to = m->packed + (size_t)(row / TDM_LANES) * m->group_bytes + (size_t)(row % TDM_LANES) * bytes;
		for (int i = 0; i < m->n_cols; i++, data += bytes)
			memcpy(to + (size_t)i * TDM_LANES * bytes, data, bytes);
	}
}

static void pack_block(uint8_t *to, int lane, const uint8_t *block, uint8_t flip) {
	uint16_t half;
	memcpy(&half, block, sizeof half);
	float scale = tdm_f16_to_f32(half);
	memcpy(to + (size_t)lane * sizeof scale, &scale, sizeof scale);
	to += TDM_LANES * sizeof scale + (size_t)lane * 4;
	for (int i = 0; i < TDM_BLOCK; i++)
		to[i / 4 * TDM_LANES * 4 + i % 4] = block[2 + i] ^ flip;
}

static void pack_blocks(struct tdm_matrix *m, const uint8_t *data, uint8_t flip) {
	static const uint8_t zero[Q8_BLOCK_BYTES];
	int n_blocks = m->n_cols / TDM_BLOCK;
	for (int row = 0; row < m->n_groups * TDM_LANES; row++)
		for (int b = 0; b < n_blocks; b++) {
			const uint8_t *block = row < m->n_rows ? data + ((size_t)row * n_blocks + b) * Q8_BLOCK_BYTES : zero;
			pack_block(m->packed + (size_t)(row / TDM_LANES) * m->group_bytes + (size_t)b * Q8_GROUP_BYTES,
			           row % TDM_LANES, block, flip);
		}
}

int tdm_matrix_pack(struct tdm_matrix *m, const struct tdm_kernels *kernels, uint32_t type, const void *data,
                    int n_rows, int n_cols, struct tdm_error *err) {
	size_t number_bytes = type == TDM_F16 ? 2 : 4;
	*m = (struct tdm_matrix){.type = type, .n_rows = n_rows, .n_cols = n_cols};
	m->n_groups = tdm_pad(n_rows, TDM_LANES) / TDM_LANES;
	m->group_bytes = type == TDM_Q8_0 ? (size_t)(n_cols / TDM_BLOCK) * Q8_GROUP_BYTES
	                                  : (size_t)tdm_pad(n_cols, 4) * TDM_LANES * number_bytes;
	size_t bytes = (m->group_bytes * (size_t)m->n_groups + 63) / 64 * 64;
	m->packed = aligned_alloc(64, bytes);
	if (!m->packed)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a matrix of %d x %d", n_rows, n_cols);
	memset(m->packed, 0, bytes);
	if (type == TDM_Q8_0)
		pack_blocks(m, data, kernels->flip);
	else
		pack_numbers(m, data, number_bytes);
	return TDM_OK;
}

void tdm_matrix_release(struct tdm_matrix *m) {
	free(m->packed);
	m->packed = NULL;
}
