// Toy models and the straightforward forward pass in double that the engine is compared with. It knows nothing of the
// engine's layouts; it rounds where the format says that numbers are rounded (weights, quantised activations, cache).
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "toy.h"
#include "base/random.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct maker {
	struct tdm_gguf_writer *w;
	struct tdm_rng rng;
	uint32_t type;
};

static float *tensor(struct maker *m, const char *name, uint32_t type, int rows, int cols, double mean, double spread) {
	size_t n = (size_t)rows * (size_t)cols;
	float *x = malloc(n * sizeof *x);
	uint8_t *rounded = malloc(n * 4 + 64);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(mean + spread * tdm_rng_normal(&m->rng));
	tdm_gguf_put_tensor(m->w, name, type, (uint64_t[]){(uint64_t)cols, (uint64_t)rows}, rows > 1 ? 2 : 1, x);
	tdm_quantize(type, x, n, rounded);
	tdm_dequantize(type, rounded, n, x);
	free(rounded);
	return x;
}

static float *part(struct maker *m, int layer, const char *name, int rows, int cols) {
	char full[64];
	snprintf(full, sizeof full, "blk.%d.%s.weight", layer, name);
	bool is_norm = rows == 1;
	return tensor(m, full, is_norm ? TDM_F32 : m->type, rows, cols, is_norm ? 1 : 0, is_norm ? 0.1 : 1 / sqrt(cols));
}

static void put_keys(const struct tdm_toy *t, struct tdm_gguf_writer *w) {
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_u32(w, "llama.context_length", (uint32_t)t->context);
	tdm_gguf_put_u32(w, "llama.embedding_length", (uint32_t)t->width);
	tdm_gguf_put_u32(w, "llama.block_count", (uint32_t)t->n_layers);
	tdm_gguf_put_u32(w, "llama.feed_forward_length", (uint32_t)t->n_ff);
	tdm_gguf_put_u32(w, "llama.attention.head_count", (uint32_t)t->n_heads);
	tdm_gguf_put_u32(w, "llama.attention.head_count_kv", (uint32_t)t->n_kv_heads);
	tdm_gguf_put_u32(w, "llama.attention.key_length", (uint32_t)t->head_dim);
	tdm_gguf_put_u32(w, "llama.attention.value_length", (uint32_t)t->head_dim);
	tdm_gguf_put_u32(w, "llama.rope.dimension_count", (uint32_t)t->head_dim);
	tdm_gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	tdm_gguf_put_f32(w, "llama.rope.freq_base", 5000);
}

static void put_vocab(const struct tdm_toy *t, struct tdm_gguf_writer *w) {
	const char **pieces = malloc((size_t)t->n_vocab * sizeof *pieces);
	size_t *lens = malloc((size_t)t->n_vocab * sizeof *lens);
	char *text = malloc((size_t)t->n_vocab * 8);
	for (int i = 0; i < t->n_vocab; i++) {
		pieces[i] = text + 8 * i;
		lens[i] = (size_t)snprintf(text + 8 * i, 8, "t%d", i);
	}
	tdm_gguf_put_text(w, "tokenizer.ggml.model", "llama");
	tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", pieces, lens, (size_t)t->n_vocab);
	float *scores = calloc((size_t)t->n_vocab, sizeof *scores);
	tdm_gguf_put_f32s(w, "tokenizer.ggml.scores", scores, (size_t)t->n_vocab);
	free(scores);
	free(text);
	free(lens);
	free(pieces);
}

void tdm_toy_make(struct tdm_toy *t) {
	static int count;
	struct maker m = {.w = tdm_gguf_writer_new(), .type = t->type};
	struct tdm_error err = {0};
	int q_dim = t->n_heads * t->head_dim, kv_dim = t->n_kv_heads * t->head_dim;
	tdm_rng_init(&m.rng, t->seed);
	put_keys(t, m.w);
	put_vocab(t, m.w);
	t->embedding = tensor(&m, "token_embd.weight", t->type, t->n_vocab, t->width, 0, 1);
	for (int i = 0; i < t->n_layers; i++)
		t->layers[i] = (struct tdm_toy_layer){
		    .attention_norm = part(&m, i, "attn_norm", 1, t->width),
		    .ff_norm = part(&m, i, "ffn_norm", 1, t->width),
		    .q = part(&m, i, "attn_q", q_dim, t->width),
		    .k = part(&m, i, "attn_k", kv_dim, t->width),
		    .v = part(&m, i, "attn_v", kv_dim, t->width),
		    .o = part(&m, i, "attn_output", t->width, q_dim),
		    .gate = part(&m, i, "ffn_gate", t->n_ff, t->width),
		    .up = part(&m, i, "ffn_up", t->n_ff, t->width),
		    .down = part(&m, i, "ffn_down", t->width, t->n_ff),
		};
	t->output_norm = tensor(&m, "output_norm.weight", TDM_F16, 1, t->width, 1, 0.1);
	if (!t->is_tied)
		t->output = tensor(&m, "output.weight", t->type, t->n_vocab, t->width, 0, 1 / sqrt(t->width));
	snprintf(t->path, sizeof t->path, "/tmp/tdm-toy-%d-%d.gguf", (int)getpid(), count++);
	int status = tdm_gguf_write(m.w, t->path, &err);
	tdm_gguf_writer_free(m.w);
	if (status != TDM_OK)
		fail_msg("%s", err.text);
}

struct tdm_engine *tdm_toy_open(const struct tdm_toy *toy, const char *kernels, int threads) {
	struct tdm_engine_options o = {.kernels = kernels, .threads = threads, .cache_type = toy->cache_type};
	struct tdm_engine *e = NULL;
	struct tdm_error err = {0};
	if (tdm_engine_open(toy->path, &o, &e, &err) != TDM_OK)
		fail_msg("%s", err.text);
	return e;
}

void tdm_toy_free(struct tdm_toy *t) {
	for (int i = 0; i < t->n_layers; i++) {
		struct tdm_toy_layer *l = &t->layers[i];
		float *all[] = {l->attention_norm, l->ff_norm, l->q, l->k, l->v, l->o, l->gate, l->up, l->down};
		for (size_t j = 0; j < sizeof all / sizeof *all; j++)
			free(all[j]);
	}
	free(t->embedding);
	free(t->output);
	free(t->output_norm);
	unlink(t->path);
}

// --- the reference

static void matrix(const struct tdm_toy *t, const float *m, int rows, int cols, const double *x, double *out) {
	double *input = malloc((size_t)cols * sizeof *input);
	memcpy(input, x, (size_t)cols * sizeof *input);
	for (int b = 0; t->type == TDM_Q8_0 && b < cols; b += 32) { // activations of Q8_0 products are blocks too
		float largest = 0;
		for (int i = b; i < b + 32; i++)
			largest = fmaxf(largest, fabsf((float)x[i]));
		float inverse = largest > 0 ? 127 / largest : 0, scale = tdm_f16_to_f32(tdm_f32_to_f16(largest / 127));
		for (int i = b; i < b + 32; i++)
			input[i] = scale * nearbyintf((float)x[i] * inverse);
	}
	for (int r = 0; r < rows; r++) {
		out[r] = 0;
		for (int c = 0; c < cols; c++)
			out[r] += (double)m[(size_t)r * (size_t)cols + (size_t)c] * input[c];
	}
	free(input);
}

static void norm(const float *weight, int n, const double *x, double *out) {
	double sum = 0;
	for (int i = 0; i < n; i++)
		sum += x[i] * x[i];
	for (int i = 0; i < n; i++)
		out[i] = x[i] / sqrt(sum / n + 1e-5) * weight[i];
}

static void turn(double *x, int n_heads, int head_dim, int position) {
	for (int h = 0; h < n_heads; h++)
		for (int i = 0; i < head_dim / 2; i++) {
			double *a = x + h * head_dim + 2 * i, *b = a + 1, old = *a;
			double angle = position * pow(5000, -2.0 * i / head_dim);
			*a = old * cos(angle) - *b * sin(angle);
			*b = old * sin(angle) + *b * cos(angle);
		}
}

static double cached(const struct tdm_toy *t, double x) {
	return t->type == TDM_F32 ? x : tdm_f16_to_f32(tdm_f32_to_f16((float)x));
}

static void head(const struct tdm_toy *t, const double *q, const double *keys, const double *values, int n_keys,
                 double *out) {
	int kv_dim = t->n_kv_heads * t->head_dim;
	double *p = malloc((size_t)n_keys * sizeof *p), total = 0, largest = -INFINITY;
	for (int j = 0; j < n_keys; j++) {
		p[j] = 0;
		for (int d = 0; d < t->head_dim; d++)
			p[j] += q[d] * keys[j * kv_dim + d];
		p[j] /= sqrt(t->head_dim);
		largest = fmax(largest, p[j]);
	}
	for (int j = 0; j < n_keys; j++)
		total += p[j] = exp(p[j] - largest);
	for (int d = 0; d < t->head_dim; d++) {
		out[d] = 0;
		for (int j = 0; j < n_keys; j++)
			out[d] += p[j] / total * values[j * kv_dim + d];
	}
	free(p);
}

static void layer(const struct tdm_toy *t, const struct tdm_toy_layer *l, double *x, int position, double *keys,
                  double *values) {
	enum { MOST = 1024 };
	static double y[MOST], q[MOST], attended[MOST], z[MOST], gate[MOST], up[MOST];
	int q_dim = t->n_heads * t->head_dim, kv_dim = t->n_kv_heads * t->head_dim, group = t->n_heads / t->n_kv_heads;
	double *k = keys + position * kv_dim, *v = values + position * kv_dim;
	norm(l->attention_norm, t->width, x, y);
	matrix(t, l->q, q_dim, t->width, y, q);
	matrix(t, l->k, kv_dim, t->width, y, k);
	matrix(t, l->v, kv_dim, t->width, y, v);
	turn(q, t->n_heads, t->head_dim, position);
	turn(k, t->n_kv_heads, t->head_dim, position);
	for (int i = 0; i < kv_dim; i++) {
		k[i] = cached(t, k[i]);
		v[i] = cached(t, v[i]);
	}
	for (int h = 0; h < t->n_heads; h++)
		head(t, q + h * t->head_dim, keys + h / group * t->head_dim, values + h / group * t->head_dim, position + 1,
		     attended + h * t->head_dim);
	matrix(t, l->o, t->width, q_dim, attended, z);
	for (int i = 0; i < t->width; i++)
		x[i] += z[i];
	norm(l->ff_norm, t->width, x, y);
	matrix(t, l->gate, t->n_ff, t->width, y, gate);
	matrix(t, l->up, t->n_ff, t->width, y, up);
	for (int i = 0; i < t->n_ff; i++)
		gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
	matrix(t, l->down, t->width, t->n_ff, gate, z);
	for (int i = 0; i < t->width; i++)
		x[i] += z[i];
}

void tdm_toy_forward(const struct tdm_toy *t, const int32_t *tokens, int n, double *logits) {
	size_t cache = (size_t)(t->n_layers * n * t->n_kv_heads * t->head_dim), step = cache / (size_t)t->n_layers;
	double *keys = malloc(cache * sizeof *keys), *values = malloc(cache * sizeof *values);
	double *x = malloc((size_t)t->width * sizeof *x);
	for (int i = 0; i < n; i++) {
		for (int d = 0; d < t->width; d++)
			x[d] = t->embedding[tokens[i] * t->width + d];
		for (int l = 0; l < t->n_layers; l++)
			layer(t, &t->layers[l], x, i, keys + (size_t)l * step, values + (size_t)l * step);
		norm(t->output_norm, t->width, x, x);
		matrix(t, t->output ? t->output : t->embedding, t->n_vocab, t->width, x, logits + i * t->n_vocab);
	}
	free(x);
	free(values);
	free(keys);
}
