// What the weights themselves say: the forward pass written down once more in the simplest way, in double precision,
// over the unpacked numbers of the file. It takes the shape and the rates of rotation from the engine; that those are
// right is what llama.cpp says.
#include "compare.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pass {
	const struct tdm_weights *w;
	int n;
	double *x, *y, *q, *k, *v, *attended, *gate, *up, *columns;
	float *row;
};

// out[n][rows] = x[n][cols] * matrix, and the bias
static void multiply(struct pass *p, const struct tdm_linear *l, const double *x, double *out) {
	int cols = l->m.n_cols, rows = l->m.n_rows, n = p->n;
	for (int t = 0; t < n; t++)
		for (int c = 0; c < cols; c++)
			p->columns[(size_t)c * (size_t)n + (size_t)t] = x[(size_t)t * (size_t)cols + (size_t)c];
	double *sum = p->columns + (size_t)cols * (size_t)n;
	for (int r = 0; r < rows; r++) {
		tdm_matrix_row(&l->m, r, p->row);
		for (int t = 0; t < n; t++)
			sum[t] = l->bias ? (double)l->bias[r] : 0;
		for (int c = 0; c < cols; c++) {
			const double *column = p->columns + (size_t)c * (size_t)n, weight = (double)p->row[c];
			for (int t = 0; t < n; t++)
				sum[t] += weight * column[t];
		}
		for (int t = 0; t < n; t++)
			out[(size_t)t * (size_t)rows + (size_t)r] = sum[t];
	}
}

static double *row_of(double *x, int i, int width) {
	return x + (size_t)i * (size_t)width;
}

static void normalize(double *x, const float *weight, int n, double epsilon, double *out) {
	double squares = 0;
	for (int i = 0; i < n; i++)
		squares += x[i] * x[i];
	double factor = 1 / sqrt(squares / n + epsilon);
	for (int i = 0; i < n; i++)
		out[i] = x[i] * factor * (double)weight[i];
}

static void layer_normalize(double *x, const float *weight, const float *bias, int n, double epsilon) {
	double mean = 0, squares = 0;
	for (int i = 0; i < n; i++)
		mean += x[i] / n;
	for (int i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean) / n;
	for (int i = 0; i < n; i++)
		x[i] = (x[i] - mean) / sqrt(squares + epsilon) * (double)weight[i] + (double)bias[i];
}

static void turn(const struct pass *p, int rotation, int position, double *x) {
	const struct tdm_shape *s = &p->w->shape;
	const struct tdm_rotation *r = &p->w->rotations[rotation];
	bool halves = s->family->traits & TDM_HALVES;
	for (int i = 0; i < s->n_rotated / 2; i++) {
		double *a = x + (halves ? i : 2 * i), *b = a + (halves ? s->n_rotated / 2 : 1), old = *a;
		double c = cos(position * r->rates[i]) * r->magnitude, z = sin(position * r->rates[i]) * r->magnitude;
		*a = old * c - *b * z;
		*b = old * z + *b * c;
	}
}

static void prepare_heads(struct pass *p, const struct tdm_layer *l, const float *norm, double *x, int n_heads) {
	const struct tdm_shape *s = &p->w->shape;
	for (int i = 0; i < p->n * n_heads; i++, x += s->head_dim) {
		if (norm)
			normalize(x, norm, s->head_dim, (double)s->epsilon, x);
		if (l->rotation != TDM_UNROTATED)
			turn(p, l->rotation, i / n_heads, x);
	}
}

static void attend_one(struct pass *p, const struct tdm_layer *l, int at, int head, double *scores) {
	const struct tdm_shape *s = &p->w->shape;
	int dim = s->head_dim, kv_head = head / (s->n_heads / s->n_kv_heads), kv_width = s->n_kv_heads * dim;
	int to = s->family->traits & TDM_ENCODER ? p->n : at + 1, from = l->window && to > l->window ? to - l->window : 0;
	const double *q = row_of(p->q, at, s->n_heads * dim) + head * dim;
	double *out = row_of(p->attended, at, s->n_heads * dim) + head * dim, top = -INFINITY, sum = 0;
	for (int j = from; j < to; j++) {
		const double *k = row_of(p->k, j, kv_width) + kv_head * dim;
		double score = 0;
		for (int i = 0; i < dim; i++)
			score += q[i] * k[i];
		score *= (double)s->attention_scale;
		if (s->attention_cap > 0)
			score = (double)s->attention_cap * tanh(score / (double)s->attention_cap);
		scores[j] = score;
		top = fmax(top, score);
	}
	memset(out, 0, (size_t)dim * sizeof *out);
	for (int j = from; j < to; j++) {
		const double *v = row_of(p->v, j, kv_width) + kv_head * dim, share = exp(scores[j] - top);
		sum += share;
		for (int i = 0; i < dim; i++)
			out[i] += share * v[i];
	}
	for (int i = 0; i < dim; i++)
		out[i] /= sum;
}

// y = attention of the rows `in`
static void attend(struct pass *p, const struct tdm_layer *l, const double *in) {
	const struct tdm_shape *s = &p->w->shape;
	multiply(p, &l->q, in, p->q);
	multiply(p, &l->k, in, p->k);
	multiply(p, &l->v, in, p->v);
	prepare_heads(p, l, l->q_norm, p->q, s->n_heads);
	prepare_heads(p, l, l->k_norm, p->k, s->n_kv_heads);
	for (int i = 0; i < p->n; i++)
		for (int head = 0; head < s->n_heads; head++)
			attend_one(p, l, i, head, p->columns);
	multiply(p, &l->o, p->attended, p->y);
}

static double activate(const struct pass *p, double x) {
	if (p->w->shape.family->traits & TDM_GELU)
		return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
	return x / (1 + exp(-x));
}

// y = feed-forward of the rows `in`
static void feed_forward(struct pass *p, const struct tdm_layer *l, const double *in) {
	bool is_plain = p->w->shape.family->traits & TDM_PLAIN;
	size_t n = (size_t)p->n * (size_t)p->w->shape.n_ff;
	multiply(p, &l->up, in, p->up);
	if (!is_plain)
		multiply(p, &l->gate, in, p->gate);
	for (size_t i = 0; i < n; i++)
		p->up[i] = is_plain ? activate(p, p->up[i]) : activate(p, p->gate[i]) * p->up[i];
	multiply(p, &l->down, p->up, p->y);
}

static void normalize_rows(struct pass *p, const float *weight) {
	int width = p->w->shape.width;
	for (int i = 0; i < p->n; i++)
		normalize(row_of(p->x, i, width), weight, width, (double)p->w->shape.epsilon, row_of(p->y, i, width));
}

// x += y; norm and bias: of a decoder, before (no bias); of an encoder, after
static void add(struct pass *p, const float *norm, const float *bias) {
	int width = p->w->shape.width;
	double epsilon = (double)p->w->shape.epsilon;
	for (int t = 0; t < p->n; t++) {
		double *x = row_of(p->x, t, width), *y = row_of(p->y, t, width);
		if (norm && !bias)
			normalize(y, norm, width, epsilon, y);
		for (int i = 0; i < width; i++)
			x[i] += y[i];
		if (bias)
			layer_normalize(x, norm, bias, width, epsilon);
	}
}

static void run_layer(struct pass *p, const struct tdm_layer *l) {
	if (p->w->shape.family->traits & TDM_ENCODER) {
		attend(p, l, p->x);
		add(p, l->attention_norm, l->attention_norm_bias);
		feed_forward(p, l, p->x);
		add(p, l->ff_norm, l->ff_norm_bias);
		return;
	}
	normalize_rows(p, l->attention_norm);
	attend(p, l, p->y);
	add(p, l->post_attention_norm, NULL);
	normalize_rows(p, l->ff_norm);
	feed_forward(p, l, p->y);
	add(p, l->post_ff_norm, NULL);
}

static void embed(struct pass *p, const int32_t *tokens) {
	const struct tdm_shape *s = &p->w->shape;
	const struct tdm_ends *ends = &p->w->ends;
	double factor = s->family->traits & TDM_SCALED_EMBEDDING ? sqrt(s->width) : 1;
	for (int t = 0; t < p->n; t++) {
		double *x = row_of(p->x, t, s->width);
		tdm_matrix_row(&p->w->embedding, tokens[t], p->row);
		for (int i = 0; i < s->width; i++)
			x[i] = factor * (double)p->row[i] + (ends->type ? (double)ends->type[i] : 0);
		if (ends->has_positions)
			tdm_matrix_row(&ends->positions, t, p->row);
		for (int i = 0; i < s->width && ends->has_positions; i++)
			x[i] += (double)p->row[i];
		if (s->family->traits & TDM_ENCODER)
			layer_normalize(x, ends->norm, ends->norm_bias, s->width, (double)s->epsilon);
	}
}

static void finish(struct pass *p, float *logits) {
	const struct tdm_shape *s = &p->w->shape;
	size_t n = (size_t)p->n * (size_t)s->n_vocab;
	double *out = malloc(n * sizeof *out), cap = (double)s->logit_cap;
	if (!out)
		return;
	normalize_rows(p, p->w->output_norm);
	multiply(p, &p->w->output, p->y, out);
	for (size_t i = 0; i < n; i++)
		logits[i] = (float)(cap > 0 ? cap * tanh(out[i] / cap) : out[i]);
	free(out);
}

// The text's vector and its classes, from the rows of the last layer.
static void finish_text(struct pass *p, struct tdm_said *s) {
	const struct tdm_ends *ends = &p->w->ends;
	int width = s->width, n = p->n;
	enum tdm_pooling pooling = p->w->shape.pooling;
	for (int i = 0; i < width; i++) {
		double sum = 0;
		for (int t = 0; t < n; t++)
			sum += row_of(p->x, t, width)[i];
		s->text[i] = (float)(pooling == TDM_POOL_MEAN   ? sum / n
		                     : pooling == TDM_POOL_LAST ? row_of(p->x, n - 1, width)[i]
		                                                : p->x[i]);
	}
	if (!s->n_classes)
		return;
	p->n = 1;
	if (ends->has_dense)
		multiply(p, &ends->dense, p->x, p->y);
	for (int i = 0; i < width; i++)
		p->y[i] = ends->has_dense ? tanh(p->y[i]) : p->x[i];
	multiply(p, &ends->classes, p->y, p->up);
	for (int i = 0; i < s->n_classes; i++)
		s->text[width + i] = (float)p->up[i];
	p->n = n;
}

static bool reserve(struct pass *p) {
	const struct tdm_shape *s = &p->w->shape;
	int q = s->n_heads * s->head_dim, kv = s->n_kv_heads * s->head_dim, widest = s->width;
	widest = widest > q ? widest : q;
	widest = widest > s->n_ff ? widest : s->n_ff;
	p->row = malloc((size_t)widest * sizeof *p->row);
	double **parts[] = {&p->x, &p->y, &p->q, &p->k, &p->v, &p->attended, &p->gate, &p->up, &p->columns};
	int widths[] = {s->width, s->width, q, kv, kv, q, s->n_ff, s->n_ff, widest + 1};
	bool has_all = p->row;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		has_all = (*parts[i] = calloc((size_t)p->n * (size_t)widths[i], sizeof **parts[i])) && has_all;
	return has_all;
}

int tdm_exact_read(const struct tdm_weights *w, const int32_t *tokens, struct tdm_said *s, struct tdm_error *err) {
	struct pass p = {.w = w, .n = s->n};
	int status = reserve(&p) ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "no memory for %d tokens", s->n);
	if (!status)
		embed(&p, tokens);
	for (int layer = 0; layer < s->n_layers && !status; layer++) {
		run_layer(&p, &w->layers[layer]);
		for (size_t i = 0; i < (size_t)s->n * (size_t)s->width; i++)
			tdm_said_layer(s, layer, 0)[i] = (float)p.x[i];
	}
	if (!status && w->shape.family->traits & TDM_ENCODER)
		finish_text(&p, s);
	else if (!status)
		finish(&p, s->logits);
	double *parts[] = {p.x, p.y, p.q, p.k, p.v, p.attended, p.gate, p.up, p.columns};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		free(parts[i]);
	free(p.row);
	return status;
}
