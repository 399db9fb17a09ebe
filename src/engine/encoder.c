// The pass of an encoder: in each layer the keys and values of the whole text first, 64 rows at a time, then all that
// comes after them. Products, attention and feed-forward are the decoder's.
//
// The rule it protects: a text's vector does not depend on what else is computed; rows are computed as in a decoder.
#include "engine/encoder.h"
#include "engine/decoder_parts.h"
#include "engine/engine.h"
#include "engine/rows.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct text {
	const int32_t *tokens;
	int n;
	struct tdm_pages pages;
	float *x; // [n][d->width]
};

static void embed(struct tdm_decoder *d, const struct text *t) {
	const struct tdm_weights *w = d->w;
	const struct tdm_ends *ends = &w->ends;
	int width = w->shape.width;
	for (int i = 0; i < t->n; i++) {
		float *x = t->x + (size_t)i * d->width;
		tdm_matrix_row(&w->embedding, t->tokens[i], x);
		if (ends->type)
			w->kernels->add(x, ends->type, tdm_pad(width, TDM_LANES));
		if (ends->has_positions) {
			tdm_matrix_row(&ends->positions, i, d->y);
			w->kernels->add(x, d->y, tdm_pad(width, TDM_LANES));
		}
		tdm_rows_layer_norm(x, ends->norm, ends->norm_bias, width, w->shape.epsilon);
	}
}

// x = norm(x + y)
static void add_and_normalize(struct tdm_decoder *d, float *x, const float *weight, const float *bias, int n) {
	for (int i = 0; i < n; i++, x += d->width) {
		d->w->kernels->add(x, d->y + (size_t)i * d->width, tdm_pad(d->w->shape.width, TDM_LANES));
		tdm_rows_layer_norm(x, weight, bias, d->w->shape.width, d->w->shape.epsilon);
	}
}

// Rows first..first + n of the text.
static void store_rows(struct tdm_decoder *d, const struct text *t, const struct tdm_row *rows, int first, int n,
                       int index) {
	const struct tdm_layer *l = &d->w->layers[index];
	const struct tdm_target both[] = {{&l->k, d->k, d->kv_width}, {&l->v, d->v, d->kv_width}};
	tdm_attention_begin(d, rows, n);
	tdm_decoder_multiply(d, t->x + (size_t)first * d->width, d->width, n, both, 2);
	tdm_attention_store(d, rows, n, index);
}

static void run_rows(struct tdm_decoder *d, const struct text *t, const struct tdm_row *rows, int first, int n,
                     int index) {
	const struct tdm_layer *l = &d->w->layers[index];
	float *x = t->x + (size_t)first * d->width;
	tdm_attention_begin(d, rows, n);
	tdm_decoder_multiply(d, x, d->width, n, &(struct tdm_target){&l->q, d->q, d->q_width}, 1);
	tdm_attention_run(d, rows, n, index);
	tdm_decoder_multiply(d, d->attended, d->q_width, n, &(struct tdm_target){&l->o, d->y, d->width}, 1);
	add_and_normalize(d, x, l->attention_norm, l->attention_norm_bias, n);
	tdm_decoder_feed_forward(d, x, n, l);
	add_and_normalize(d, x, l->ff_norm, l->ff_norm_bias, n);
}

static void run_layer(struct tdm_decoder *d, const struct text *t, int index) {
	struct tdm_row rows[TDM_MAX_ROWS];
	for (int pass = 0; pass < 2; pass++)
		for (int first = 0; first < t->n; first += TDM_MAX_ROWS) {
			int n = t->n - first < TDM_MAX_ROWS ? t->n - first : TDM_MAX_ROWS;
			for (int i = 0; i < n; i++)
				rows[i] = (struct tdm_row){.position = first + i, .n_keys = t->n, .pages = &t->pages};
			(pass == 0 ? store_rows : run_rows)(d, t, rows, first, n, index);
		}
}

static void pool(struct tdm_decoder *d, const struct text *t, float *out) {
	int width = d->w->shape.width, pooling = d->w->shape.pooling;
	const float *one = pooling == TDM_POOL_LAST ? t->x + (size_t)(t->n - 1) * d->width : t->x;
	memcpy(out, one, (size_t)width * sizeof *out);
	if (pooling != TDM_POOL_MEAN)
		return;
	for (int i = 1; i < t->n; i++)
		for (int j = 0; j < width; j++)
			out[j] += t->x[(size_t)i * d->width + (size_t)j];
	tdm_rows_scale(out, 1 / (float)t->n, width);
}

// The head sees the first token's row.
static void classify(struct tdm_decoder *d, const struct text *t, float *out) {
	_Alignas(64) float classes[TDM_MOST_CLASSES + 2 * TDM_LANES];
	const struct tdm_ends *ends = &d->w->ends;
	int n = d->w->shape.n_classes;
	if (ends->has_dense) {
		tdm_decoder_multiply(d, t->x, d->width, 1, &(struct tdm_target){&ends->dense, d->y, d->width}, 1);
		for (int i = 0; i < d->w->shape.width; i++)
			d->y[i] = tanhf(d->y[i]);
	}
	tdm_decoder_multiply(d, ends->has_dense ? d->y : t->x, d->width, 1,
	                     &(struct tdm_target){&ends->classes, classes, TDM_MOST_CLASSES}, 1);
	memcpy(out, classes, (size_t)n * sizeof *out);
}

static bool reserve(struct tdm_decoder *d, struct tdm_cache *cache, struct text *t) {
	int n_pages = tdm_pad(t->n, TDM_PAGE_TOKENS) / TDM_PAGE_TOKENS;
	size_t bytes = (size_t)t->n * d->width * sizeof *t->x; // padding stays zero: products read it
	t->x = aligned_alloc(64, bytes);
	if (!t->x)
		return false;
	memset(t->x, 0, bytes);
	return tdm_pages_room(&t->pages, cache, n_pages) && tdm_pages_extend(&t->pages, cache, n_pages);
}

int tdm_encoder_run(struct tdm_decoder *d, struct tdm_cache *cache, const int32_t *tokens, int n, bool with_classes,
                    bool (*stop)(void *), void *arg, float *out) {
	struct text t = {.tokens = tokens, .n = n};
	int status = reserve(d, cache, &t) ? TDM_OK : TDM_ENOMEM;
	if (status == TDM_OK)
		embed(d, &t);
	d->text = t.x;
	for (int i = 0; status == TDM_OK; i++) {
		if (stop && stop(arg))
			status = TDM_EGONE;
		else if (i == d->w->shape.n_layers)
			break;
		else
			run_layer(d, &t, i);
	}
	d->text = NULL;
	if (status == TDM_OK)
		(with_classes ? classify : pool)(d, &t, out);
	tdm_pages_release(&t.pages, cache);
	free(t.x);
	return status;
}
