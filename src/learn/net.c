// Net: layout, names and first values of the parameters (see net.h).
//
// Order in the block: embedding, final norm, then layer by layer. All offsets come from LAYER_TENSORS and its lengths.
#include "learn/net.h"
#include "base/random.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum size_of { WIDTH, KV_WIDTH, FF, ONE };

static const struct layer_tensor {
	const char *name;
	enum size_of n_out, n_in; // n_out ONE: a norm's weight of n_in
	bool residual;
} LAYER_TENSORS[] = {
    {"attn_norm", ONE, WIDTH, false},   {"attn_q", WIDTH, WIDTH, false},     {"attn_k", KV_WIDTH, WIDTH, false},
    {"attn_v", KV_WIDTH, WIDTH, false}, {"attn_output", WIDTH, WIDTH, true}, {"ffn_norm", ONE, WIDTH, false},
    {"ffn_gate", FF, WIDTH, false},     {"ffn_up", FF, WIDTH, false},        {"ffn_down", WIDTH, FF, true},
};
enum { N_LAYER_TENSORS = sizeof(LAYER_TENSORS) / sizeof(LAYER_TENSORS[0]) };

static size_t size_of(const struct tdm_shape *s, enum size_of which) {
	switch (which) {
	case WIDTH:
		return (size_t)s->width;
	case KV_WIDTH:
		return (size_t)tdm_shape_kv_width(s);
	case FF:
		return (size_t)s->n_ff;
	default:
		return 1;
	}
}

static size_t layer_tensor_n(const struct tdm_shape *s, int i) {
	return size_of(s, LAYER_TENSORS[i].n_out) * size_of(s, LAYER_TENSORS[i].n_in);
}

static size_t layer_n(const struct tdm_shape *s) {
	size_t n = 0;
	for (int i = 0; i < N_LAYER_TENSORS; i++)
		n += layer_tensor_n(s, i);
	return n;
}

static size_t head_n(const struct tdm_shape *s) {
	return (size_t)s->n_vocab * s->width + s->width;
}

static int check_range(const char *what, int value, int min, int max, struct tdm_error *err) {
	if (value >= min && value <= max)
		return TDM_OK;
	return tdm_fail_param(err, TDM_EVALUE, what, "%s is %d, expected %d to %d", what, value, min, max);
}

int tdm_shape_check(const struct tdm_shape *s, struct tdm_error *err) {
	if (check_range("vocabulary", s->n_vocab, 1, 1 << 20, err) || check_range("width", s->width, 2, 1 << 14, err) ||
	    check_range("layers", s->n_layers, 1, 256, err) || check_range("heads", s->n_heads, 1, s->width / 2, err) ||
	    check_range("kv-heads", s->n_kv_heads, 1, s->n_heads, err) || check_range("ff", s->n_ff, 1, 1 << 16, err) ||
	    check_range("context", s->context, 2, 1 << 16, err))
		return TDM_EVALUE;
	if (s->width % (2 * s->n_heads))
		return tdm_fail_param(err, TDM_EVALUE, "heads", "width %d must be an even multiple of %d heads", s->width,
		                      s->n_heads);
	if (s->n_heads % s->n_kv_heads)
		return tdm_fail_param(err, TDM_EVALUE, "kv-heads", "%d heads must be a multiple of %d kv-heads", s->n_heads,
		                      s->n_kv_heads);
	if (!(s->norm_eps > 0) || !(s->rope_base > 1))
		return tdm_fail(err, TDM_EVALUE, "norm epsilon must be above 0 and rope base above 1");
	return TDM_OK;
}

size_t tdm_shape_n_params(const struct tdm_shape *s) {
	return head_n(s) + (size_t)s->n_layers * layer_n(s);
}

int tdm_shape_head_width(const struct tdm_shape *s) {
	return s->width / s->n_heads;
}

int tdm_shape_kv_width(const struct tdm_shape *s) {
	return s->n_kv_heads * tdm_shape_head_width(s);
}

size_t tdm_shape_n_tensors(const struct tdm_shape *s) {
	return 2 + (size_t)s->n_layers * N_LAYER_TENSORS;
}

static void head_tensor(const struct tdm_shape *s, size_t i, struct tdm_net_tensor *out) {
	bool embedding = i == 0;
	snprintf(out->name, sizeof(out->name), "%s.weight", embedding ? "token_embd" : "output_norm");
	out->n_dims = embedding ? 2 : 1;
	out->dims[0] = (uint64_t)s->width;
	out->dims[1] = embedding ? (uint64_t)s->n_vocab : 1;
	out->offset = embedding ? 0 : (size_t)s->n_vocab * s->width;
}

void tdm_shape_tensor(const struct tdm_shape *s, size_t i, struct tdm_net_tensor *out) {
	*out = (struct tdm_net_tensor){0};
	if (i < 2) {
		head_tensor(s, i, out);
	} else {
		size_t layer = (i - 2) / N_LAYER_TENSORS;
		int which = (int)((i - 2) % N_LAYER_TENSORS);
		const struct layer_tensor *t = &LAYER_TENSORS[which];
		snprintf(out->name, sizeof(out->name), "blk.%zu.%s.weight", layer, t->name);
		out->n_dims = t->n_out == ONE ? 1 : 2;
		out->dims[0] = size_of(s, t->n_in);
		out->dims[1] = size_of(s, t->n_out);
		out->residual = t->residual;
		out->offset = head_n(s) + layer * layer_n(s);
		for (int k = 0; k < which; k++)
			out->offset += layer_tensor_n(s, k);
	}
	out->n = out->dims[0] * out->dims[1];
}

struct tdm_view tdm_view_of(const struct tdm_shape *s, float *block) {
	return (struct tdm_view){.embedding = block, .norm = block + (size_t)s->n_vocab * s->width};
}

struct tdm_layer_view tdm_view_layer(const struct tdm_shape *s, float *block, int layer) {
	float *at[N_LAYER_TENSORS], *p = block + head_n(s) + (size_t)layer * layer_n(s);
	for (int i = 0; i < N_LAYER_TENSORS; i++) {
		at[i] = p;
		p += layer_tensor_n(s, i);
	}
	return (struct tdm_layer_view){
	    .attn_norm = at[0], .q = at[1], .kv = at[2], .o = at[4], .ffn_norm = at[5], .gate_up = at[6], .down = at[8]};
}

float *tdm_floats(size_t n) {
	size_t bytes = (n * sizeof(float) + 63) / 64 * 64;
	float *p = n > SIZE_MAX / 8 ? NULL : aligned_alloc(64, bytes ? bytes : 64);
	if (p)
		memset(p, 0, bytes);
	return p;
}

int tdm_net_init(struct tdm_net *net, const struct tdm_shape *shape, struct tdm_error *err) {
	*net = (struct tdm_net){.shape = *shape};
	int status = tdm_shape_check(shape, err);
	if (status)
		return status;
	net->n_params = tdm_shape_n_params(shape);
	net->params = tdm_floats(net->n_params);
	if (!net->params)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a model of %zu parameters", net->n_params);
	return TDM_OK;
}

void tdm_net_release(struct tdm_net *net) {
	free(net->params);
	*net = (struct tdm_net){0};
}

void tdm_net_randomize(struct tdm_net *net, uint64_t seed) {
	for (size_t i = 0; i < tdm_shape_n_tensors(&net->shape); i++) {
		struct tdm_net_tensor t;
		struct tdm_rng rng;
		tdm_shape_tensor(&net->shape, i, &t);
		tdm_rng_stream(&rng, seed, t.name, 0); // a stream per tensor: its values do not depend on the others' sizes
		float *p = net->params + t.offset;
		double size = i == 0 ? 0.02 : 1 / sqrt((double)t.dims[0] * (t.residual ? 2 * net->shape.n_layers : 1));
		for (size_t k = 0; k < t.n; k++)
			p[k] = t.n_dims == 1 ? 1.0f : (float)(tdm_rng_normal(&rng) * size);
	}
}

static int read_count(const struct tdm_gguf *file, const char *path, const char *key, int *out, struct tdm_error *err) {
	uint64_t value;
	if (!tdm_gguf_u64(file, key, &value) || value > INT32_MAX)
		return tdm_fail(err, TDM_EFORMAT, "%s: %s is missing or too large", path, key);
	*out = (int)value;
	return TDM_OK;
}

static int read_shape(struct tdm_shape *s, const struct tdm_gguf *file, const char *path, struct tdm_error *err) {
	const struct {
		const char *key;
		int *field;
	} counts[] = {
	    {"llama.embedding_length", &s->width},       {"llama.block_count", &s->n_layers},
	    {"llama.attention.head_count", &s->n_heads}, {"llama.attention.head_count_kv", &s->n_kv_heads},
	    {"llama.feed_forward_length", &s->n_ff},     {"llama.context_length", &s->context},
	};
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		int status = read_count(file, path, counts[i].key, counts[i].field, err);
		if (status)
			return status;
	}
	double eps = 1e-5, base = 10000;
	tdm_gguf_f64(file, "llama.attention.layer_norm_rms_epsilon", &eps);
	tdm_gguf_f64(file, "llama.rope.freq_base", &base);
	s->norm_eps = (float)eps;
	s->rope_base = (float)base;
	const struct tdm_tensor *embedding = tdm_gguf_tensor(file, "token_embd.weight");
	if (!embedding || embedding->dims[1] > INT32_MAX)
		return tdm_fail(err, TDM_EFORMAT, "%s: tensor token_embd.weight is missing", path);
	s->n_vocab = (int)embedding->dims[1];
	return TDM_OK;
}

int tdm_net_load(struct tdm_net *net, const struct tdm_gguf *file, const char *path, struct tdm_error *err) {
	struct tdm_shape shape = {0};
	*net = (struct tdm_net){0};
	const char *arch = "";
	size_t n = 0;
	if (!tdm_gguf_text(file, "general.architecture", &arch, &n) || n != 5 || memcmp(arch, "llama", 5))
		return tdm_fail(err, TDM_EFORMAT, "%s: architecture is %.*s, expected llama", path, (int)n, arch);
	if (tdm_gguf_tensor(file, "output.weight"))
		return tdm_fail(err, TDM_EFORMAT, "%s: has an output head of its own, expected one tied to the embedding",
		                path);
	int status = read_shape(&shape, file, path, err);
	if (!status)
		status = tdm_net_init(net, &shape, err);
	for (size_t i = 0; !status && i < tdm_shape_n_tensors(&shape); i++) {
		struct tdm_net_tensor t;
		tdm_shape_tensor(&shape, i, &t);
		const struct tdm_tensor *from = tdm_gguf_tensor(file, t.name);
		if (!from || from->dims[0] != t.dims[0] || from->dims[1] != t.dims[1])
			status = tdm_fail(err, TDM_EFORMAT, "%s: tensor %s is missing or not %llu x %llu", path, t.name,
			                  (unsigned long long)t.dims[0], (unsigned long long)t.dims[1]);
		else
			tdm_dequantize(from->type, from->data, t.n, net->params + t.offset);
	}
	if (status)
		tdm_net_release(net);
	return status;
}
