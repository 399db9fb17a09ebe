// Reading the weights of a Llama model.
//
// The rule it protects: the metadata only says what the tensors must look like; every size that is later used to
// allocate or to index has been seen as the dimension of a tensor whose bytes are in the file. A tensor that this
// shape has no place for (a bias, an expert) is an error: leaving it out would give wrong answers silently.
#include "engine/weights.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIMENSION = 1 << 22, MAX_LAYERS = 4096, MAX_HEAD_DIM = 1024, MAX_CONTEXT = 1 << 24 };

struct reader {
	struct tdm_weights *w;
	const struct tdm_gguf *g;
	const char *file;
	bool *is_used; // one for each tensor of the file
	struct tdm_error *err;
};

#define fail(r, ...) tdm_fail((r)->err, TDM_EFORMAT, __VA_ARGS__)

// --- metadata

static int read_count(struct reader *r, const char *key, uint64_t otherwise, uint64_t limit, int *out) {
	uint64_t value = otherwise;
	if (!tdm_gguf_u64(r->g, key, &value) && !otherwise)
		return fail(r, "%s: key %s is missing or not a whole number", r->file, key);
	if (value < 1 || value > limit)
		return fail(r, "%s: %s is %" PRIu64 "; expected 1 to %" PRIu64, r->file, key, value, limit);
	*out = (int)value;
	return TDM_OK;
}

static int check_architecture(struct reader *r) {
	const char *text = "";
	size_t n = 0;
	if (!tdm_gguf_text(r->g, "general.architecture", &text, &n))
		return fail(r, "%s: key general.architecture is missing", r->file);
	if (n != 5 || memcmp(text, "llama", 5) != 0)
		return fail(r, "%s: architecture \"%.*s\" is not supported; supported is \"llama\"", r->file,
		            (int)(n < 40 ? n : 40), text);
	uint64_t n_experts = 0;
	if (tdm_gguf_u64(r->g, "llama.expert_count", &n_experts) && n_experts)
		return fail(r, "%s: a mixture of experts (llama.expert_count) is not supported", r->file);
	if (tdm_gguf_text(r->g, "llama.rope.scaling.type", &text, &n) && !(n == 4 && memcmp(text, "none", 4) == 0))
		return fail(r, "%s: rope scaling \"%.*s\" is not supported", r->file, (int)(n < 40 ? n : 40), text);
	return TDM_OK;
}

static int read_heads(struct reader *r) {
	struct tdm_shape *s = &r->w->shape;
	int value_dim, status = read_count(r, "llama.attention.head_count", 0, (uint64_t)MAX_DIMENSION, &s->n_heads);
	if (status == TDM_OK)
		status =
		    read_count(r, "llama.attention.head_count_kv", (uint64_t)s->n_heads, (uint64_t)s->n_heads, &s->n_kv_heads);
	if (status != TDM_OK)
		return status;
	uint64_t usual = (uint64_t)(s->width / s->n_heads);
	status = read_count(r, "llama.attention.key_length", usual, MAX_HEAD_DIM, &s->head_dim);
	if (status == TDM_OK)
		status = read_count(r, "llama.attention.value_length", (uint64_t)s->head_dim, MAX_HEAD_DIM, &value_dim);
	if (status == TDM_OK)
		status = read_count(r, "llama.rope.dimension_count", (uint64_t)s->head_dim, MAX_HEAD_DIM, &s->n_rotated);
	if (status != TDM_OK)
		return status;
	if (s->n_heads % s->n_kv_heads)
		return fail(r, "%s: %d heads cannot share %d heads of keys and values evenly", r->file, s->n_heads,
		            s->n_kv_heads);
	if ((int64_t)s->n_heads * s->head_dim > MAX_DIMENSION)
		return fail(r, "%s: %d heads of %d elements; at most %d elements are supported", r->file, s->n_heads,
		            s->head_dim, MAX_DIMENSION);
	if (value_dim != s->head_dim)
		return fail(r, "%s: keys of %d and values of %d elements; only equal lengths are supported", r->file,
		            s->head_dim, value_dim);
	if (s->n_rotated % 2 || s->n_rotated > s->head_dim)
		return fail(r, "%s: llama.rope.dimension_count is %d; expected an even number up to the head's %d", r->file,
		            s->n_rotated, s->head_dim);
	return TDM_OK;
}

static int read_shape(struct reader *r) {
	struct tdm_shape *s = &r->w->shape;
	double epsilon = 0;
	int status = read_count(r, "llama.context_length", 0, MAX_CONTEXT, &s->context);
	if (status == TDM_OK)
		status = read_count(r, "llama.embedding_length", 0, MAX_DIMENSION, &s->width);
	if (status == TDM_OK)
		status = read_count(r, "llama.block_count", 0, MAX_LAYERS, &s->n_layers);
	if (status == TDM_OK)
		status = read_count(r, "llama.feed_forward_length", 0, MAX_DIMENSION, &s->n_ff);
	if (status == TDM_OK)
		status = read_heads(r);
	if (status != TDM_OK)
		return status;
	if (!tdm_gguf_f64(r->g, "llama.attention.layer_norm_rms_epsilon", &epsilon) || !(epsilon > 0 && epsilon < 1))
		return fail(r, "%s: llama.attention.layer_norm_rms_epsilon is missing or not between 0 and 1", r->file);
	s->epsilon = (float)epsilon;
	s->rope_base = 10000;
	tdm_gguf_f64(r->g, "llama.rope.freq_base", &s->rope_base);
	if (!(s->rope_base >= 1 && s->rope_base < 1e12))
		return fail(r, "%s: llama.rope.freq_base is %g; expected 1 to 1e12", r->file, s->rope_base);
	return TDM_OK;
}

// --- tensors

static void name_of(char out[64], int layer, const char *part) {
	if (layer < 0)
		snprintf(out, 64, "%s.weight", part);
	else
		snprintf(out, 64, "blk.%d.%s.weight", layer, part);
}

// rows 0: a vector. NULL and an error when it is missing or has another shape.
static const struct tdm_tensor *need(struct reader *r, int layer, const char *part, int rows, int cols) {
	char name[64];
	name_of(name, layer, part);
	const struct tdm_tensor *t = tdm_gguf_tensor(r->g, name);
	if (!t) {
		fail(r, "%s: tensor %s is missing", r->file, name);
		return NULL;
	}
	uint64_t n_rows = rows ? (uint64_t)rows : 1;
	if (t->dims[0] != (uint64_t)cols || t->dims[1] != n_rows || t->dims[2] != 1 || t->dims[3] != 1) {
		fail(r, "%s: tensor %s is %" PRIu64 " x %" PRIu64 "; the metadata asks for %d x %" PRIu64, r->file, name,
		     t->dims[0], t->dims[1], cols, n_rows);
		return NULL;
	}
	r->is_used[t - tdm_gguf_tensor_at(r->g, 0)] = true;
	return t;
}

static int read_vector(struct reader *r, int layer, const char *part, float **out) {
	int n = r->w->shape.width;
	const struct tdm_tensor *t = need(r, layer, part, 0, n);
	if (!t)
		return TDM_EFORMAT;
	if (t->type == TDM_Q8_0)
		return fail(r, "%s: tensor %s is Q8_0; expected F32 or F16", r->file, t->name);
	*out = aligned_alloc(64, (size_t)tdm_pad(n, 32) * sizeof **out);
	if (!*out)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: no memory for tensor %s", r->file, t->name);
	memset(*out, 0, (size_t)tdm_pad(n, 32) * sizeof **out);
	tdm_dequantize(t->type, t->data, (uint64_t)n, *out);
	return TDM_OK;
}

static int pack(struct reader *r, const struct tdm_tensor *t, struct tdm_matrix *m) {
	if (t->type != TDM_F32)
		r->w->is_half_cache = true;
	return tdm_matrix_pack(m, r->w->kernels, t->type, t->data, (int)t->dims[1], (int)t->dims[0], r->err);
}

static int read_matrix(struct reader *r, int layer, const char *part, int rows, int cols, struct tdm_matrix *m) {
	const struct tdm_tensor *t = need(r, layer, part, rows, cols);
	return t ? pack(r, t, m) : TDM_EFORMAT;
}

static int read_layer(struct reader *r, int i, struct tdm_layer *l) {
	const struct tdm_shape *s = &r->w->shape;
	int q_dim = s->n_heads * s->head_dim, kv_dim = s->n_kv_heads * s->head_dim;
	const struct {
		const char *part;
		int rows, cols;
		struct tdm_matrix *to;
	} matrices[] = {{"attn_q", q_dim, s->width, &l->q},        {"attn_k", kv_dim, s->width, &l->k},
	                {"attn_v", kv_dim, s->width, &l->v},       {"attn_output", s->width, q_dim, &l->o},
	                {"ffn_gate", s->n_ff, s->width, &l->gate}, {"ffn_up", s->n_ff, s->width, &l->up},
	                {"ffn_down", s->width, s->n_ff, &l->down}};
	int status = read_vector(r, i, "attn_norm", &l->attention_norm);
	if (status == TDM_OK)
		status = read_vector(r, i, "ffn_norm", &l->ff_norm);
	for (size_t j = 0; j < sizeof matrices / sizeof *matrices && status == TDM_OK; j++)
		status = read_matrix(r, i, matrices[j].part, matrices[j].rows, matrices[j].cols, matrices[j].to);
	return status;
}

static int read_layers(struct reader *r) {
	struct tdm_weights *w = r->w;
	if ((size_t)w->shape.n_layers > tdm_gguf_n_tensors(r->g))
		return fail(r, "%s: llama.block_count is %d, but the file has %zu tensors", r->file, w->shape.n_layers,
		            tdm_gguf_n_tensors(r->g));
	w->layers = calloc((size_t)w->shape.n_layers, sizeof *w->layers);
	if (!w->layers)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: no memory for %d layers", r->file, w->shape.n_layers);
	int status = TDM_OK;
	for (int i = 0; i < w->shape.n_layers && status == TDM_OK; i++)
		status = read_layer(r, i, &w->layers[i]);
	return status;
}

static int read_embedding(struct reader *r) {
	const struct tdm_tensor *t = tdm_gguf_tensor(r->g, "token_embd.weight");
	if (!t)
		return fail(r, "%s: tensor token_embd.weight is missing", r->file);
	if (t->dims[1] > MAX_DIMENSION)
		return fail(r, "%s: a vocabulary of %" PRIu64 " tokens; at most %d are supported", r->file, t->dims[1],
		            MAX_DIMENSION);
	r->w->shape.n_vocab = (int)t->dims[1];
	r->w->embedding = need(r, -1, "token_embd", r->w->shape.n_vocab, r->w->shape.width);
	return r->w->embedding ? TDM_OK : TDM_EFORMAT;
}

static int read_output(struct reader *r) {
	struct tdm_weights *w = r->w;
	int status = read_vector(r, -1, "output_norm", &w->output_norm);
	if (status != TDM_OK)
		return status;
	if (!tdm_gguf_tensor(r->g, "output.weight"))
		return pack(r, w->embedding, &w->output);
	return read_matrix(r, -1, "output", w->shape.n_vocab, w->shape.width, &w->output);
}

// Llama 3.1 and later stretch the slow rotations by factors that come as a tensor.
static int read_rates(struct reader *r) {
	const struct tdm_shape *s = &r->w->shape;
	int n = s->n_rotated / 2;
	const struct tdm_tensor *t = NULL;
	float factor = 1;
	if (tdm_gguf_tensor(r->g, "rope_freqs.weight") && !(t = need(r, -1, "rope_freqs", 0, n)))
		return TDM_EFORMAT;
	r->w->rates = calloc((size_t)n + 1, sizeof *r->w->rates);
	if (!r->w->rates)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: no memory for rotations", r->file);
	for (int i = 0; i < n; i++) {
		if (t && t->type == TDM_F32)
			memcpy(&factor, (const char *)t->data + (size_t)i * sizeof factor, sizeof factor);
		if ((t && t->type != TDM_F32) || !(factor > 0))
			return fail(r, "%s: tensor rope_freqs.weight must hold positive F32 numbers", r->file);
		r->w->rates[i] = pow(s->rope_base, -2.0 * i / s->n_rotated) / (double)factor;
	}
	return TDM_OK;
}

static int check_all_used(struct reader *r) {
	for (size_t i = 0; i < tdm_gguf_n_tensors(r->g); i++) {
		const struct tdm_tensor *t = tdm_gguf_tensor_at(r->g, i);
		if (!r->is_used[i])
			return fail(r, "%s: tensor %s has no place in a Llama model of %d layers", r->file, t->name,
			            r->w->shape.n_layers);
		r->w->n_parameters += t->dims[0] * t->dims[1];
		r->w->weight_bytes += t->bytes;
	}
	return TDM_OK;
}

int tdm_weights_read(struct tdm_weights *w, const struct tdm_gguf *g, const char *name,
                     const struct tdm_kernels *kernels, struct tdm_error *err) {
	*w = (struct tdm_weights){.kernels = kernels};
	struct reader r = {.w = w, .g = g, .file = name, .err = err};
	r.is_used = calloc(tdm_gguf_n_tensors(g) + 1, sizeof *r.is_used);
	int status = r.is_used ? check_architecture(&r) : tdm_fail(err, TDM_ENOMEM, "%s: no memory", name);
	int (*const steps[])(struct reader *) = {read_shape,  read_embedding, read_layers,
	                                         read_output, read_rates,     check_all_used};
	for (size_t i = 0; i < sizeof steps / sizeof *steps && status == TDM_OK; i++)
		status = steps[i](&r);
	free(r.is_used);
	if (status != TDM_OK)
		tdm_weights_release(w);
	return status;
}

static void release_layer(struct tdm_layer *l) {
	struct tdm_matrix *matrices[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
	for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++)
		tdm_matrix_release(matrices[i]);
	free(l->attention_norm);
	free(l->ff_norm);
}

void tdm_weights_release(struct tdm_weights *w) {
	for (int i = 0; w->layers && i < w->shape.n_layers; i++)
		release_layer(&w->layers[i]);
	tdm_matrix_release(&w->output);
	free(w->layers);
	free(w->output_norm);
	free(w->rates);
	*w = (struct tdm_weights){0};
}
