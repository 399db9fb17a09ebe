// Pass: the order of the layers, and the memory of what the way back needs (see pass.h).
#include "learn/pass.h"
#include <stdlib.h>
#include <string.h>

struct tdm_pass_layer {   // r = n in every layer but the last, where r = n_rows
	float *x;             // [n, width] input
	float *inv1, *norm1;  // [n], [n, width]
	float *kv;            // [n, 2 kv_width]
	float *asking, *q;    // [r, width]: the rows of norm1 that ask, and their queries
	float *p, *mixed;     // attention's softmax; [r, width] its output
	float *mid;           // [r, width] after attention
	float *inv2, *norm2;  // [r], [r, width]
	float *gate_up, *act; // [r, 2 n_ff], [r, n_ff]
};

struct tdm_pass_work {
	float *out, *inv;                // [n_rows, width], [n_rows]: the last layer's output and its norm
	float *dx, *dmid, *dnorm, *dmix; // [n, width]
	float *dq, *dkv, *dgate_up, *dact, *scratch;
};

// --- batch

int tdm_batch_init(struct tdm_batch *b, int n, struct tdm_error *err) {
	*b = (struct tdm_batch){.n_cap = n, .n_docs_cap = n};
	size_t bytes = ((size_t)n + 1) * sizeof(int32_t);
	int32_t **lists[] = {&b->tokens, &b->positions,     &b->starts, &b->row_starts,
	                     &b->rows,   &b->row_positions, &b->targets};
	bool full = true;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		*lists[i] = malloc(bytes);
		full = full && *lists[i];
	}
	b->weights = malloc(bytes);
	if (!full || !b->weights) {
		tdm_batch_release(b);
		return tdm_fail(err, TDM_ENOMEM, "no memory for a batch of %d tokens", n);
	}
	tdm_batch_clear(b);
	return TDM_OK;
}

void tdm_batch_release(struct tdm_batch *b) {
	free(b->tokens);
	free(b->positions);
	free(b->starts);
	free(b->row_starts);
	free(b->rows);
	free(b->row_positions);
	free(b->targets);
	free(b->weights);
	*b = (struct tdm_batch){0};
}

void tdm_batch_clear(struct tdm_batch *b) {
	b->n = b->n_docs = b->n_rows = 0;
	b->starts[0] = b->row_starts[0] = 0;
}

bool tdm_batch_add(struct tdm_batch *b, const int32_t *tokens, const float *weights, int n) {
	if (n < 2 || b->n + n - 1 > b->n_cap || b->n_docs >= b->n_docs_cap)
		return false;
	for (int i = 0; i < n - 1; i++) {
		b->tokens[b->n + i] = tokens[i];
		b->positions[b->n + i] = i;
		if (weights[i + 1] > 0) {
			b->rows[b->n_rows] = b->n + i;
			b->row_positions[b->n_rows] = i;
			b->targets[b->n_rows] = tokens[i + 1];
			b->weights[b->n_rows++] = weights[i + 1];
		}
	}
	b->n += n - 1;
	b->n_docs++;
	b->starts[b->n_docs] = b->n;
	b->row_starts[b->n_docs] = b->n_rows;
	return true;
}

// --- memory

int tdm_pass_init(struct tdm_pass *pass, const struct tdm_net *net, struct tdm_error *err) {
	*pass = (struct tdm_pass){.net = net};
	pass->layers = calloc((size_t)net->shape.n_layers, sizeof(*pass->layers));
	pass->work = calloc(1, sizeof(*pass->work));
	if (!pass->layers || !pass->work)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a pass");
	int status = tdm_gemm_load(err);
	return status ? status : tdm_rotation_init(&pass->rotation, &net->shape, err);
}

void tdm_pass_release(struct tdm_pass *pass) {
	tdm_rotation_release(&pass->rotation);
	tdm_gemm_space_release(&pass->space);
	free(pass->memory);
	free(pass->layers);
	free(pass->work);
	*pass = (struct tdm_pass){0};
}

static struct tdm_spans spans_of(const struct tdm_batch *b, bool last) {
	return (struct tdm_spans){.n_docs = b->n_docs,
	                          .keys = b->starts,
	                          .queries = last ? b->row_starts : b->starts,
	                          .positions = last ? b->row_positions : b->positions};
}

struct cursor {
	float *base; // NULL: only count
	size_t n;
};

static float *take(struct cursor *c, size_t rows, size_t width) {
	float *at = c->base ? c->base + c->n : NULL;
	c->n += (rows * width + 15) / 16 * 16;
	return at;
}

static void place_layer(struct tdm_pass_layer *l, struct cursor *c, const struct tdm_shape *s,
                        const struct tdm_batch *b, bool last) {
	size_t n = (size_t)b->n, r = last ? (size_t)b->n_rows : n, width = (size_t)s->width, ff = (size_t)s->n_ff;
	struct tdm_spans spans = spans_of(b, last);
	l->x = take(c, n, width);
	l->inv1 = take(c, n, 1);
	l->norm1 = take(c, n, width);
	l->kv = take(c, n, 2 * (size_t)tdm_shape_kv_width(s));
	l->asking = last ? take(c, r, width) : l->norm1;
	l->q = take(c, r, width);
	l->p = take(c, tdm_attention_floats(&spans, s), 1);
	l->mixed = take(c, r, width);
	l->mid = take(c, r, width);
	l->inv2 = take(c, r, 1);
	l->norm2 = take(c, r, width);
	l->gate_up = take(c, r, 2 * ff);
	l->act = take(c, r, ff);
}

static size_t place(struct tdm_pass *pass, const struct tdm_batch *b, float *base) {
	const struct tdm_shape *s = &pass->net->shape;
	struct tdm_pass_work *w = pass->work;
	struct cursor c = {.base = base};
	size_t n = (size_t)b->n, r = (size_t)b->n_rows, width = (size_t)s->width, ff = (size_t)s->n_ff;
	struct tdm_spans all = spans_of(b, false);
	for (int l = 0; l < s->n_layers; l++)
		place_layer(&pass->layers[l], &c, s, b, l == s->n_layers - 1);
	w->out = take(&c, r, width);
	w->inv = take(&c, r, 1);
	pass->final = take(&c, r, width);
	pass->logits = take(&c, r, (size_t)s->n_vocab);
	float **gradients[] = {&w->dx, &w->dmid, &w->dnorm, &w->dmix, &w->dq};
	for (size_t i = 0; i < sizeof(gradients) / sizeof(gradients[0]); i++)
		*gradients[i] = take(&c, n, width);
	w->dkv = take(&c, n, 2 * (size_t)tdm_shape_kv_width(s));
	w->dgate_up = take(&c, n, 2 * ff);
	w->dact = take(&c, n, ff);
	w->scratch = take(&c, tdm_attention_scratch(&all), 1);
	return c.n;
}

static int prepare(struct tdm_pass *pass, const struct tdm_batch *b, struct tdm_error *err) {
	for (int d = 0; d < b->n_docs; d++)
		if (b->starts[d + 1] - b->starts[d] > pass->net->shape.context)
			return tdm_fail(err, TDM_ECONTEXT, "a document of %d tokens is longer than the context of %d",
			                b->starts[d + 1] - b->starts[d], pass->net->shape.context);
	size_t n = place(pass, b, NULL);
	if (n > pass->n_memory) {
		free(pass->memory);
		pass->n_memory = 0;
		pass->memory = tdm_floats(n + n / 8);
		if (!pass->memory)
			return tdm_fail(err, TDM_ENOMEM, "no memory for a pass over %d tokens", b->n);
		pass->n_memory = n + n / 8;
	}
	place(pass, b, pass->memory);
	return TDM_OK;
}

// --- forward

// x -> x + attention(norm(x)), for the rows that ask
static void attend_forward(struct tdm_pass *pass, int layer, const struct tdm_batch *b) {
	const struct tdm_shape *s = &pass->net->shape;
	const struct tdm_rows *rows = tdm_rows();
	struct tdm_layer_view w = tdm_view_layer(s, pass->net->params, layer);
	struct tdm_pass_layer *l = &pass->layers[layer];
	bool last = layer == s->n_layers - 1;
	int n = b->n, r = last ? b->n_rows : n, width = s->width, kv_row = 2 * tdm_shape_kv_width(s);
	struct tdm_spans spans = spans_of(b, last);
	rows->norm_forward(l->norm1, l->inv1, l->x, w.attn_norm, n, width, s->norm_eps);
	tdm_linear_forward(&pass->space, l->kv, l->norm1, w.kv, n, width, kv_row, 0);
	tdm_rotate_forward(l->kv, &pass->rotation, b->positions, n, kv_row, s->n_kv_heads, tdm_shape_head_width(s));
	if (last) {
		tdm_gather_forward(l->asking, l->norm1, b->rows, r, width);
		tdm_gather_forward(l->mid, l->x, b->rows, r, width);
	} else {
		memcpy(l->mid, l->x, (size_t)n * width * sizeof(float));
	}
	tdm_linear_forward(&pass->space, l->q, l->asking, w.q, r, width, width, 0);
	tdm_rotate_forward(l->q, &pass->rotation, spans.positions, r, width, s->n_heads, tdm_shape_head_width(s));
	tdm_attention_forward(l->mixed, l->p, l->q, l->kv, &spans, s);
	tdm_linear_forward(&pass->space, l->mid, l->mixed, w.o, r, width, width, 1);
}

// mid -> mid + down(silu(gate) * up)
static void feed_forward(struct tdm_pass *pass, int layer, int r, float *out) {
	const struct tdm_shape *s = &pass->net->shape;
	const struct tdm_rows *rows = tdm_rows();
	struct tdm_layer_view w = tdm_view_layer(s, pass->net->params, layer);
	struct tdm_pass_layer *l = &pass->layers[layer];
	rows->norm_forward(l->norm2, l->inv2, l->mid, w.ffn_norm, r, s->width, s->norm_eps);
	tdm_linear_forward(&pass->space, l->gate_up, l->norm2, w.gate_up, r, s->width, 2 * s->n_ff, 0);
	rows->swiglu_forward(l->act, l->gate_up, r, s->n_ff);
	memcpy(out, l->mid, (size_t)r * s->width * sizeof(float));
	tdm_linear_forward(&pass->space, out, l->act, w.down, r, s->n_ff, s->width, 1);
}

int tdm_pass_forward(struct tdm_pass *pass, const struct tdm_batch *b, struct tdm_error *err) {
	const struct tdm_shape *s = &pass->net->shape;
	struct tdm_view w = tdm_view_of(s, pass->net->params);
	int status = prepare(pass, b, err);
	if (status)
		return status;
	tdm_embed_forward(pass->layers[0].x, b->tokens, w.embedding, b->n, s->width);
	if (pass->added)
		tdm_rows()->add(pass->layers[0].x, pass->added, (size_t)b->n * (size_t)s->width);
	for (int layer = 0; layer < s->n_layers; layer++) {
		bool last = layer == s->n_layers - 1;
		attend_forward(pass, layer, b);
		feed_forward(pass, layer, last ? b->n_rows : b->n, last ? pass->work->out : pass->layers[layer + 1].x);
	}
	tdm_rows()->norm_forward(pass->final, pass->work->inv, pass->work->out, w.norm, b->n_rows, s->width, s->norm_eps);
	tdm_linear_forward(&pass->space, pass->logits, pass->final, w.embedding, b->n_rows, s->width, s->n_vocab, 0);
	return TDM_OK;
}

// --- backward; dx holds the gradient of the residual stream and is carried from the last layer to the first

static void feed_backward(struct tdm_pass *pass, int layer, int r, float *gradient) {
	const struct tdm_shape *s = &pass->net->shape;
	const struct tdm_rows *rows = tdm_rows();
	struct tdm_layer_view w = tdm_view_layer(s, pass->net->params, layer), g = tdm_view_layer(s, gradient, layer);
	const struct tdm_pass_layer *l = &pass->layers[layer];
	struct tdm_pass_work *k = pass->work;
	tdm_linear_backward(&pass->space, k->dact, g.down, k->dx, l->act, w.down, r, s->n_ff, s->width, 0);
	rows->swiglu_backward(k->dgate_up, k->dact, l->gate_up, r, s->n_ff);
	tdm_linear_backward(&pass->space, k->dnorm, g.gate_up, k->dgate_up, l->norm2, w.gate_up, r, s->width, 2 * s->n_ff,
	                    0);
	rows->norm_backward(k->dx, g.ffn_norm, k->dnorm, l->mid, w.ffn_norm, l->inv2, r, s->width);
}

static void attend_backward(struct tdm_pass *pass, int layer, const struct tdm_batch *b, float *gradient) {
	const struct tdm_shape *s = &pass->net->shape;
	struct tdm_layer_view w = tdm_view_layer(s, pass->net->params, layer), g = tdm_view_layer(s, gradient, layer);
	const struct tdm_pass_layer *l = &pass->layers[layer];
	struct tdm_pass_work *k = pass->work;
	bool last = layer == s->n_layers - 1;
	int n = b->n, r = last ? b->n_rows : n, width = s->width, kv_row = 2 * tdm_shape_kv_width(s);
	int head_width = tdm_shape_head_width(s);
	struct tdm_spans spans = spans_of(b, last);
	tdm_linear_backward(&pass->space, k->dmix, g.o, k->dx, l->mixed, w.o, r, width, width, 0);
	tdm_attention_backward(k->dq, k->dkv, k->dmix, l->p, l->q, l->kv, &spans, s, k->scratch);
	tdm_rotate_backward(k->dq, &pass->rotation, spans.positions, r, width, s->n_heads, head_width);
	tdm_rotate_backward(k->dkv, &pass->rotation, b->positions, n, kv_row, s->n_kv_heads, head_width);
	tdm_linear_backward(&pass->space, k->dnorm, g.kv, k->dkv, l->norm1, w.kv, n, width, kv_row, 0);
	if (last) { // the rows that asked hand their gradients back to their places among all tokens
		tdm_linear_backward(&pass->space, k->dmix, g.q, k->dq, l->asking, w.q, r, width, width, 0);
		tdm_gather_backward(k->dnorm, k->dmix, b->rows, r, width);
		memcpy(k->dmid, k->dx, (size_t)r * width * sizeof(float));
		memset(k->dx, 0, (size_t)n * width * sizeof(float));
		tdm_gather_backward(k->dx, k->dmid, b->rows, r, width);
	} else {
		tdm_linear_backward(&pass->space, k->dnorm, g.q, k->dq, l->asking, w.q, r, width, width, 1);
	}
	tdm_rows()->norm_backward(k->dx, g.attn_norm, k->dnorm, l->x, w.attn_norm, l->inv1, n, width);
}

void tdm_pass_backward(struct tdm_pass *pass, const struct tdm_batch *b, float *gradient) {
	const struct tdm_shape *s = &pass->net->shape;
	struct tdm_view w = tdm_view_of(s, pass->net->params), g = tdm_view_of(s, gradient);
	struct tdm_pass_work *k = pass->work;
	tdm_linear_backward(&pass->space, k->dnorm, g.embedding, pass->logits, pass->final, w.embedding, b->n_rows,
	                    s->width, s->n_vocab, 0);
	memset(k->dx, 0, (size_t)b->n_rows * s->width * sizeof(float));
	tdm_rows()->norm_backward(k->dx, g.norm, k->dnorm, k->out, w.norm, k->inv, b->n_rows, s->width);
	for (int layer = s->n_layers - 1; layer >= 0; layer--) {
		feed_backward(pass, layer, layer == s->n_layers - 1 ? b->n_rows : b->n, gradient);
		attend_backward(pass, layer, b, gradient);
	}
	tdm_embed_backward(g.embedding, b->tokens, k->dx, b->n, s->width);
	pass->input_gradient = k->dx;
}
