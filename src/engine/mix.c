// Which tensor gets which format: the rules that llama.cpp follows for the same names, so that a file called Q4_K_M is
// one.
//
//   - vectors, norms and other small tensors stay as they are;
//   - the output head (or the embedding that serves as one) is Q6_K, or Q8_0 where the mix is or its rows are no whole
//     number of the mix's blocks;
//   - value projections and the matrix that leaves the feed-forward part are better in some layers;
//   - a format whose blocks do not divide a row gives way to the nearest wider one.
// Its special cases for mixtures of 8 experts and for the Falcon family are left out.
#include "engine/mix.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct tdm_mix tdm_mixes[] = {
    {"f32", 0, TDM_F32, TDM_F32, false},       {"f16", 1, TDM_F16, TDM_F16, false},
    {"bf16", 32, TDM_BF16, TDM_BF16, false},   {"q8_0", 7, TDM_Q8_0, TDM_Q8_0, false},
    {"q4_0", 2, TDM_Q4_0, TDM_Q4_0, false},    {"q4_1", 3, TDM_Q4_1, TDM_Q4_1, false},
    {"q5_0", 8, TDM_Q5_0, TDM_Q5_0, false},    {"q5_1", 9, TDM_Q5_1, TDM_Q5_1, false},
    {"q4_k_s", 14, TDM_Q4_K, TDM_Q5_K, false}, {"q4_k_m", 15, TDM_Q4_K, TDM_Q6_K, true},
    {"q5_k_s", 16, TDM_Q5_K, TDM_Q5_K, false}, {"q5_k_m", 17, TDM_Q5_K, TDM_Q6_K, true},
    {"q6_k", 18, TDM_Q6_K, TDM_Q6_K, false},
};
const uint32_t tdm_n_mixes = sizeof tdm_mixes / sizeof *tdm_mixes;

const struct tdm_mix *tdm_mix_named(const char *name) {
	for (uint32_t i = 0; i < tdm_n_mixes; i++)
		if (!strcasecmp(tdm_mixes[i].name, name))
			return &tdm_mixes[i];
	return NULL;
}

struct counts {
	int values, downs; // such tensors so far
	int n_values, n_layers;
	bool is_tied, is_70b;
};

static bool has(const struct tdm_tensor *t, const char *part) {
	return strstr(t->name, part) != NULL;
}

static bool is_value(const struct tdm_tensor *t) {
	return has(t, "attn_v.weight") || has(t, "attn_qkv.weight") || has(t, "attn_kv_b.weight");
}

static bool is_head(const struct tdm_tensor *t, bool is_tied) {
	return !strcmp(t->name, "output.weight") ||
	       (is_tied && (!strcmp(t->name, "token_embd.weight") || !strcmp(t->name, "per_layer_token_embd.weight")));
}

static bool is_converted(const struct tdm_tensor *t) {
	static const char *const kept[] = {"_norm.weight",         "ffn_gate_inp.weight",   "position_embd", "token_types",
	                                   "ssm_conv1d",           "shortconv.conv.weight", "altup",         "laurel",
	                                   "per_layer_model_proj", "attn_rel_b.weight"};
	size_t n = strlen(t->name);
	if (t->dims[1] == 1 && t->dims[2] == 1 && t->dims[3] == 1)
		return false;
	if (n < 6 || strcmp(t->name + n - 6, "weight") != 0)
		return false;
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		if (has(t, kept[i]))
			return false;
	return true;
}

// The first and the last eighth, and every third between them.
static bool is_chosen(int i, int n) {
	return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static uint32_t type_of_place(const struct tdm_mix *mix, const struct tdm_tensor *t, struct counts *c) {
	if (is_head(t, c->is_tied)) {
		if (t->dims[0] % tdm_format_of(mix->type)->per_block)
			return TDM_Q8_0;
		return mix->type == TDM_Q8_0 ? TDM_Q8_0 : TDM_Q6_K;
	}
	if (is_value(t)) {
		int i = c->values++;
		uint32_t type = (mix->is_spread ? is_chosen(i, c->n_values) : i < 4) ? mix->better_type : mix->type;
		return type == TDM_Q4_K && c->is_70b ? TDM_Q5_K : type;
	}
	if (has(t, "ffn_down")) {
		int i = c->downs++;
		return (mix->is_spread ? is_chosen(i, c->n_layers) : i < c->n_layers / 8) ? mix->better_type : mix->type;
	}
	return mix->type;
}

static uint32_t type_that_fits(uint32_t type, uint64_t row) {
	static const uint32_t wider[][2] = {{TDM_Q4_K, TDM_Q5_0}, {TDM_Q5_K, TDM_Q5_1}, {TDM_Q6_K, TDM_Q8_0}};
	for (size_t i = 0; i < sizeof wider / sizeof *wider; i++)
		if (type == wider[i][0] && row % 256)
			type = wider[i][1];
	return row % tdm_format_of(type)->per_block ? TDM_F16 : type;
}

// --- the order in which tensors are counted: by layer, then by name; those of no layer first

static long layer_of(const struct tdm_tensor *t) {
	return strncmp(t->name, "blk.", 4) ? -1 : strtol(t->name + 4, NULL, 10);
}

static int compare(const void *a, const void *b) {
	const struct tdm_tensor *x = *(const struct tdm_tensor *const *)a, *y = *(const struct tdm_tensor *const *)b;
	long i = layer_of(x), k = layer_of(y);
	return i != k ? (i > k) - (i < k) : strcmp(x->name, y->name);
}

static uint64_t shape_number(const struct tdm_gguf *g, const char *what) {
	const char *architecture = "";
	size_t n = 0;
	char key[128];
	uint64_t value = 0;
	tdm_gguf_text(g, "general.architecture", &architecture, &n);
	snprintf(key, sizeof key, "%.*s.%s", (int)(n < 64 ? n : 64), architecture, what);
	tdm_gguf_u64(g, key, &value);
	return value;
}

static struct counts count(const struct tdm_gguf *g) {
	struct counts c = {.is_tied = !tdm_gguf_tensor(g, "output.weight")};
	uint64_t n_layers = shape_number(g, "block_count"), heads = shape_number(g, "attention.head_count");
	c.n_layers = n_layers < 1 << 20 ? (int)n_layers : 1 << 20;
	c.is_70b = n_layers == 80 && heads != shape_number(g, "attention.head_count_kv");
	for (size_t i = 0; i < tdm_gguf_n_tensors(g); i++)
		c.n_values += is_value(tdm_gguf_tensor_at(g, i));
	return c;
}

int tdm_mix_assign(const struct tdm_mix *mix, const struct tdm_gguf *g, uint32_t *types, uint32_t *n_wider,
                   struct tdm_error *err) {
	size_t n = tdm_gguf_n_tensors(g);
	const struct tdm_tensor *first = tdm_gguf_tensor_at(g, 0), **order = malloc((n ? n : 1) * sizeof *order);
	struct counts c = count(g);
	if (!order)
		return tdm_fail(err, TDM_ENOMEM, "no memory for %zu tensors", n);
	for (size_t i = 0; i < n; i++)
		order[i] = first + i;
	qsort(order, n, sizeof *order, compare);
	*n_wider = 0;
	for (size_t i = 0; i < n; i++) {
		const struct tdm_tensor *t = order[i];
		uint32_t *type = &types[t - first];
		*type = t->type;
		if (!is_converted(t))
			continue;
		bool is_quantised = tdm_format_of(mix->type)->per_block > 1;
		uint32_t wanted = is_quantised ? type_of_place(mix, t, &c) : mix->type;
		*type = type_that_fits(wanted, t->dims[0]);
		*n_wider += *type != wanted;
	}
	free(order);
	return TDM_OK;
}
