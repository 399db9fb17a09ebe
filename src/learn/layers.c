// Layers: forward and backward side by side (see layers.h). Norm and SwiGLU are one loop each and live in rows.inc.
#include "learn/layers.h"
#include "learn/gemm.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- rotation of positions (RoPE; Su et al. 2021, pairs side by side as in GGUF's llama)

int tdm_rotation_init(struct tdm_rotation *r, const struct tdm_shape *shape, struct tdm_error *err) {
	int width = tdm_shape_head_width(shape);
	size_t n = (size_t)shape->context * width;
	r->cosine = tdm_floats(n);
	r->sine = tdm_floats(n);
	if (!r->cosine || !r->sine)
		return tdm_fail(err, TDM_ENOMEM, "no memory for the rotation of %d positions", shape->context);
	for (int p = 0; p < shape->context; p++)
		for (int i = 0; i < width; i++) {
			double angle = p * pow(shape->rope_base, -(double)(i / 2 * 2) / width);
			r->cosine[(size_t)p * width + i] = (float)cos(angle);
			r->sine[(size_t)p * width + i] = (float)(i % 2 ? sin(angle) : -sin(angle));
		}
	return TDM_OK;
}

void tdm_rotation_release(struct tdm_rotation *r) {
	free(r->cosine);
	free(r->sine);
	*r = (struct tdm_rotation){0};
}

static void rotate(float *x, const struct tdm_rotation *r, const int32_t *positions, int n, int row_width, int n_heads,
                   int head_width, int back) {
	const struct tdm_rows *rows = tdm_rows();
	for (int i = 0; i < n; i++) {
		size_t at = (size_t)positions[i] * head_width;
		rows->rotate(x + (size_t)i * row_width, r->cosine + at, r->sine + at, n_heads, head_width, back);
	}
}

void tdm_rotate_forward(float *x, const struct tdm_rotation *r, const int32_t *positions, int n, int row_width,
                        int n_heads, int head_width) {
	rotate(x, r, positions, n, row_width, n_heads, head_width, 0);
}

// A turn is undone by the opposite turn; so is its gradient.
void tdm_rotate_backward(float *dx, const struct tdm_rotation *r, const int32_t *positions, int n, int row_width,
                         int n_heads, int head_width) {
	rotate(dx, r, positions, n, row_width, n_heads, head_width, 1);
}

// --- embedding

void tdm_embed_forward(float *out, const int32_t *tokens, const float *embedding, int n, int width) {
	for (int i = 0; i < n; i++)
		memcpy(out + (size_t)i * width, embedding + (size_t)tokens[i] * width, (size_t)width * sizeof(float));
}

void tdm_embed_backward(float *dembedding, const int32_t *tokens, const float *dout, int n, int width) {
	const struct tdm_rows *rows = tdm_rows();
	for (int i = 0; i < n; i++)
		rows->add(dembedding + (size_t)tokens[i] * width, dout + (size_t)i * width, (size_t)width);
}

// --- linear

void tdm_linear_forward(struct tdm_gemm_space *space, float *out, const float *x, const float *w, int n, int n_in,
                        int n_out, float keep) {
	tdm_gemm(space, TDM_GEMM_NT, n, n_out, n_in, 1, x, n_in, w, n_in, keep, out, n_out);
}

void tdm_linear_backward(struct tdm_gemm_space *space, float *dx, float *dw, const float *dout, const float *x,
                         const float *w, int n, int n_in, int n_out, float keep) {
	tdm_gemm(space, TDM_GEMM_NN, n, n_in, n_out, 1, dout, n_out, w, n_in, keep, dx, n_in);
	tdm_gemm(space, TDM_GEMM_TN, n_out, n_in, n, 1, dout, n_out, x, n_in, 1, dw, n_in);
}

// --- attention

struct block { // one head of one document
	int n_queries, n_keys, width, kv_row, head_width;
	size_t q, k, v, p; // where its queries, keys, values and scores begin
	float scale;
	bool first; // of the heads that share its keys and values
	const int32_t *positions;
};

typedef void block_fn(const struct block *b, void *context);

static void for_each_block(const struct tdm_spans *s, const struct tdm_shape *shape, block_fn *fn, void *context) {
	int head_width = tdm_shape_head_width(shape), kv_width = tdm_shape_kv_width(shape);
	int group = shape->n_heads / shape->n_kv_heads;
	struct block b = {.width = shape->width, .kv_row = 2 * kv_width, .head_width = head_width};
	b.scale = 1.0f / sqrtf((float)head_width);
	for (int d = 0; d < s->n_docs; d++) {
		b.n_queries = s->queries[d + 1] - s->queries[d];
		b.n_keys = s->keys[d + 1] - s->keys[d];
		b.positions = s->positions + s->queries[d];
		for (int h = 0; h < shape->n_heads; h++) {
			b.q = (size_t)s->queries[d] * shape->width + (size_t)h * head_width;
			b.k = (size_t)s->keys[d] * b.kv_row + (size_t)(h / group) * head_width;
			b.v = b.k + (size_t)kv_width;
			b.first = h % group == 0;
			fn(&b, context);
			b.p += (size_t)b.n_queries * b.n_keys;
		}
	}
}

struct forward {
	float *out, *p;
	const float *q, *kv;
};

static void block_forward(const struct block *b, void *context) {
	const struct forward *f = context;
	const struct tdm_rows *rows = tdm_rows();
	float *p = f->p + b->p;
	tdm_gemm(NULL, TDM_GEMM_NT, b->n_queries, b->n_keys, b->head_width, 1, f->q + b->q, b->width, f->kv + b->k,
	         b->kv_row, 0, p, b->n_keys);
	for (int i = 0; i < b->n_queries; i++)
		rows->softmax(p + (size_t)i * b->n_keys, b->positions[i] + 1, b->n_keys, b->scale);
	tdm_gemm(NULL, TDM_GEMM_NN, b->n_queries, b->head_width, b->n_keys, 1, p, b->n_keys, f->kv + b->v, b->kv_row, 0,
	         f->out + b->q, b->width);
}

void tdm_attention_forward(float *out, float *p, const float *q, const float *kv, const struct tdm_spans *spans,
                           const struct tdm_shape *shape) {
	struct forward f = {.out = out, .p = p, .q = q, .kv = kv};
	for_each_block(spans, shape, block_forward, &f);
}

struct backward {
	float *dq, *dkv, *scratch;
	const float *dout, *p, *q, *kv;
};

static void block_backward(const struct block *b, void *context) {
	const struct backward *w = context;
	const struct tdm_rows *rows = tdm_rows();
	const float *p = w->p + b->p, *dout = w->dout + b->q;
	float *ds = w->scratch, keep = b->first ? 0 : 1; // heads that share keys and values add their gradients
	tdm_gemm(NULL, TDM_GEMM_TN, b->n_keys, b->head_width, b->n_queries, 1, p, b->n_keys, dout, b->width, keep,
	         w->dkv + b->v, b->kv_row);
	tdm_gemm(NULL, TDM_GEMM_NT, b->n_queries, b->n_keys, b->head_width, 1, dout, b->width, w->kv + b->v, b->kv_row, 0,
	         ds, b->n_keys);
	for (int i = 0; i < b->n_queries; i++) {
		size_t row = (size_t)i * b->n_keys;
		rows->softmax_backward(ds + row, p + row, b->positions[i] + 1, b->n_keys, b->scale);
	}
	tdm_gemm(NULL, TDM_GEMM_NN, b->n_queries, b->head_width, b->n_keys, 1, ds, b->n_keys, w->kv + b->k, b->kv_row, 0,
	         w->dq + b->q, b->width);
	tdm_gemm(NULL, TDM_GEMM_TN, b->n_keys, b->head_width, b->n_queries, 1, ds, b->n_keys, w->q + b->q, b->width, keep,
	         w->dkv + b->k, b->kv_row);
}

void tdm_attention_backward(float *dq, float *dkv, const float *dout, const float *p, const float *q, const float *kv,
                            const struct tdm_spans *spans, const struct tdm_shape *shape, float *scratch) {
	struct backward w = {.dq = dq, .dkv = dkv, .scratch = scratch, .dout = dout, .p = p, .q = q, .kv = kv};
	for_each_block(spans, shape, block_backward, &w);
}

static size_t scores_of(const struct tdm_spans *s, int d) {
	return (size_t)(s->queries[d + 1] - s->queries[d]) * (size_t)(s->keys[d + 1] - s->keys[d]);
}

size_t tdm_attention_floats(const struct tdm_spans *spans, const struct tdm_shape *shape) {
	size_t n = 0;
	for (int d = 0; d < spans->n_docs; d++)
		n += scores_of(spans, d) * (size_t)shape->n_heads;
	return n;
}

size_t tdm_attention_scratch(const struct tdm_spans *spans) {
	size_t most = 0;
	for (int d = 0; d < spans->n_docs; d++)
		most = scores_of(spans, d) > most ? scores_of(spans, d) : most;
	return most;
}

// --- choice of rows

void tdm_gather_forward(float *out, const float *x, const int32_t *rows, int n_rows, int width) {
	for (int i = 0; i < n_rows; i++)
		memcpy(out + (size_t)i * width, x + (size_t)rows[i] * width, (size_t)width * sizeof(float));
}

void tdm_gather_backward(float *dx, const float *dout, const int32_t *rows, int n_rows, int width) {
	const struct tdm_rows *table = tdm_rows();
	for (int i = 0; i < n_rows; i++)
		table->add(dx + (size_t)rows[i] * width, dout + (size_t)i * width, (size_t)width);
}
