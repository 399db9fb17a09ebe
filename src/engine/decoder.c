// The forward pass: embeddings, layers of attention and gated feed-forward with RMS norms, logits. What the families do
// differently is data (family.h): a tensor that is there or not, a number, or a trait.
//
// The rule it protects: nothing a row computes depends on the other rows of the pass, except the cache that its own
// sequence's earlier rows have written; which threads compute what changes no number. No memory is asked for here.
#include "engine/decoder_parts.h"
#include "engine/rows.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PART_BYTES = 1 << 17, ELEMENT_BYTES = 10 };

// --- buffers

static size_t padded(int n) {
	return (size_t)tdm_pad(n, 2 * TDM_LANES);
}

static size_t larger(size_t a, size_t b) {
	return a > b ? a : b;
}

static bool reserve(struct tdm_decoder *d) {
	size_t blocks = d->columns_width / TDM_BLOCK, total = 0;
	struct {
		float **at;
		size_t row;
	} parts[] = {{&d->x, d->width},
	             {&d->y, d->width},
	             {&d->q, d->q_width},
	             {&d->k, d->kv_width},
	             {&d->v, d->kv_width},
	             {&d->attended, d->q_width},
	             {&d->gate, d->ff_width},
	             {&d->up, d->ff_width},
	             {&d->turns[TDM_GLOBAL], d->turns_width},
	             {&d->turns[TDM_LOCAL], d->turns_width},
	             {&d->low, TDM_MOST_RANK},
	             {&d->change, d->columns_width},
	             {(float **)&d->blocks, blocks * sizeof(struct tdm_column_block) / sizeof(float)},
	             {(float **)&d->quantized, d->columns_width / sizeof(float)}};
	enum { N_PARTS = sizeof parts / sizeof *parts };
	for (size_t i = 0; i < N_PARTS; i++)
		total += parts[i].row * TDM_MAX_ROWS;
	d->memory = aligned_alloc(64, total * sizeof *d->memory);
	if (!d->memory)
		return false;
	memset(d->memory, 0, total * sizeof *d->memory); // padding stays zero: matrices have zero rows there
	float *at = d->memory;
	for (size_t i = 0; i < N_PARTS; i++, at += parts[i - 1].row * TDM_MAX_ROWS)
		*parts[i].at = at;
	return true;
}

struct tdm_decoder *tdm_decoder_new(const struct tdm_weights *w, const struct tdm_cache *cache, int n_threads) {
	const struct tdm_shape *s = &w->shape;
	struct tdm_decoder *d = calloc(1, sizeof *d);
	if (!d)
		return NULL;
	d->w = w;
	d->cache = cache;
	d->n_threads = n_threads > 1 ? n_threads : 1;
	d->width = padded(s->width);
	d->q_width = padded(s->n_heads * s->head_dim);
	d->kv_width = padded(s->n_kv_heads * s->head_dim);
	d->ff_width = padded(s->n_ff);
	d->turns_width = padded(s->n_rotated);
	d->columns_width = larger(d->width, larger(d->q_width, d->ff_width));
	d->pool = d->n_threads > 1 ? tdm_pool_new(d->n_threads) : NULL;
	if (!reserve(d) || (d->n_threads > 1 && !d->pool)) {
		tdm_decoder_free(d);
		return NULL;
	}
	return d;
}

void tdm_decoder_free(struct tdm_decoder *d) {
	if (!d)
		return;
	tdm_pool_free(d->pool);
	free(d->memory);
	free(d);
}

int tdm_decoder_threads(const struct tdm_decoder *d) {
	return d->n_threads;
}

// Pieces small enough that a thread which lost its core does not hold up the others, large enough to be worth it.
void tdm_decoder_parts(struct tdm_decoder *d, tdm_pool_fn *fn, void *arg, size_t bytes) {
	size_t worth = bytes / PART_BYTES, most = (size_t)d->n_threads * 8;
	int n_parts = (int)(worth < most ? worth : most);
	if (d->pool && n_parts > 1)
		tdm_pool_run(d->pool, fn, arg, n_parts);
	else
		fn(arg, 0, 1);
}

struct rows_job {
	struct tdm_decoder *d;
	tdm_row_fn *fn;
	const void *what;
	int n;
};

static void rows_part(void *arg, int part, int n_parts) {
	const struct rows_job *job = arg;
	int from = job->n * part / n_parts, to = job->n * (part + 1) / n_parts;
	for (int row = from; row < to; row++)
		job->fn(job->d, job->what, row);
}

// An element takes as long as some ten bytes of weights.
void tdm_decoder_rows(struct tdm_decoder *d, tdm_row_fn *fn, const void *what, int n, size_t n_elements) {
	struct rows_job job = {d, fn, what, n};
	tdm_decoder_parts(d, rows_part, &job, n > 1 ? (size_t)n * n_elements * ELEMENT_BYTES : 0);
}

// --- the pass

static void embed(struct tdm_decoder *d, const void *what, int row) {
	const struct tdm_row *rows = what;
	int width = d->w->shape.width;
	float *x = d->x + (size_t)row * d->width;
	tdm_matrix_row(&d->w->embedding, rows[row].token, x);
	if (d->w->shape.family->traits & TDM_SCALED_EMBEDDING)
		tdm_rows_scale(x, sqrtf((float)width), width);
	for (int i = 0; rows[row].added && i < width; i++)
		x[i] += rows[row].added[i];
}

// From what one half of a layer computed to what the next one reads.
struct joint {
	bool has_result;    // in y, to be added to x
	const float *after; // norm of the result, where the family has one
	const float *next;  // norm of x to y; NULL: none
};

static void join(struct tdm_decoder *d, const void *what, int row) {
	const struct tdm_kernels *kernels = d->w->kernels;
	const struct joint *joint = what;
	const struct tdm_shape *s = &d->w->shape;
	float *x = d->x + (size_t)row * d->width, *y = d->y + (size_t)row * d->width;
	if (joint->after)
		kernels->normalize(y, joint->after, s->width, s->epsilon, y);
	if (joint->has_result)
		kernels->add(x, y, tdm_pad(s->width, TDM_LANES));
	if (joint->next)
		kernels->normalize(x, joint->next, s->width, s->epsilon, y);
}

static void attend(struct tdm_decoder *d, const struct tdm_row *rows, int n, int index) {
	const struct tdm_layer *l = &d->w->layers[index];
	const struct tdm_target qkv[] = {{&l->q, d->q, d->q_width}, {&l->k, d->k, d->kv_width}, {&l->v, d->v, d->kv_width}};
	tdm_decoder_multiply(d, d->y, d->width, n, qkv, 3);
	tdm_attention_store(d, rows, n, index);
	tdm_attention_run(d, rows, n, index);
	tdm_decoder_multiply(d, d->attended, d->q_width, n, &(struct tdm_target){&l->o, d->y, d->width}, 1);
}

static void gate(struct tdm_decoder *d, const void *what, int row) {
	uint32_t traits = d->w->shape.family->traits;
	float *x = d->gate + (size_t)row * d->ff_width, *up = d->up + (size_t)row * d->ff_width;
	for (size_t i = 0; i < d->ff_width && traits & TDM_PLAIN; i++)
		up[i] = 1;
	if (traits & TDM_GELU)
		tdm_rows_gate_gelu(d->w->kernels, x, up, tdm_pad(d->w->shape.n_ff, TDM_LANES));
	else
		d->w->kernels->gate(x, up, tdm_pad(d->w->shape.n_ff, TDM_LANES));
}

void tdm_decoder_feed_forward(struct tdm_decoder *d, const float *x, int n, const struct tdm_layer *l) {
	const struct tdm_target both[] = {{&l->gate, d->gate, d->ff_width}, {&l->up, d->up, d->ff_width}};
	const struct tdm_target plain = {&l->up, d->gate, d->ff_width};
	bool is_plain = d->w->shape.family->traits & TDM_PLAIN;
	tdm_decoder_multiply(d, x, d->width, n, is_plain ? &plain : both, is_plain ? 1 : 2);
	tdm_decoder_rows(d, gate, NULL, n, d->ff_width);
	tdm_decoder_multiply(d, d->gate, d->ff_width, n, &(struct tdm_target){&l->down, d->y, d->width}, 1);
}

// d->y holds the layer's input, normalised, and afterwards the next one's.
static void run_layer(struct tdm_decoder *d, const struct tdm_row *rows, int n, int index) {
	const struct tdm_layer *l = &d->w->layers[index];
	const float *next = index + 1 < d->w->shape.n_layers ? l[1].attention_norm : NULL;
	attend(d, rows, n, index);
	tdm_decoder_rows(d, join, &(struct joint){true, l->post_attention_norm, l->ff_norm}, n, d->width);
	tdm_decoder_feed_forward(d, d->y, n, l);
	tdm_decoder_rows(d, join, &(struct joint){true, l->post_ff_norm, next}, n, d->width);
}

static int depth_of(const struct tdm_decoder *d, const struct tdm_row *row) {
	return row->n_layers ? row->n_layers : d->w->shape.n_layers;
}

// States and logits of the rows that have come to their end after so many layers. d->y is lost.
static void finish(struct tdm_decoder *d, const struct tdm_row *rows, int n, int depth) {
	const struct tdm_shape *s = &d->w->shape;
	float *out[TDM_MAX_ROWS];
	int n_wanted = 0;
	for (int i = 0; i < n; i++) {
		if (!rows[i].hidden || depth_of(d, &rows[i]) != depth)
			continue;
		float *y = d->y + (size_t)n_wanted * d->width;
		d->w->kernels->normalize(d->x + (size_t)i * d->width, d->w->output_norm, s->width, s->epsilon, y);
		memcpy(rows[i].hidden, y, (size_t)s->width * sizeof *y);
		if (rows[i].logits)
			out[n_wanted++] = rows[i].logits;
	}
	if (n_wanted)
		tdm_decoder_multiply_to(d, d->y, d->width, n_wanted, &d->w->output, out);
	for (int i = 0; i < n_wanted && s->logit_cap > 0; i++)
		tdm_rows_cap(d->w->kernels, out[i], s->logit_cap, tdm_pad(s->n_vocab, TDM_LANES));
}

struct depths {
	int least, most;
};

static struct depths depths_of(const struct tdm_decoder *d, const struct tdm_row *rows, int n) {
	struct depths all = {d->w->shape.n_layers, 0};
	for (int i = 0; i < n; i++) {
		int depth = depth_of(d, &rows[i]);
		all.least = depth < all.least ? depth : all.least;
		all.most = depth > all.most ? depth : all.most;
	}
	return all;
}

bool tdm_decoder_run(struct tdm_decoder *d, const struct tdm_row *rows, int n, bool (*stop)(void *), void *arg) {
	bool is_stopped = false;
	struct depths depths = depths_of(d, rows, n);
	d->rows = rows;
	tdm_decoder_rows(d, embed, rows, n, d->width);
	tdm_decoder_rows(d, join, &(struct joint){.next = d->w->layers[0].attention_norm}, n, d->width);
	tdm_attention_begin(d, rows, n);
	for (int layer = 0; layer < depths.most && !is_stopped; layer++) {
		is_stopped = stop && stop(arg);
		if (is_stopped)
			break;
		run_layer(d, rows, n, layer);
		if (layer + 1 >= depths.least)
			finish(d, rows, n, layer + 1);
		if (layer + 1 >= depths.least && layer + 1 < depths.most)
			tdm_decoder_rows(d, join, &(struct joint){.next = d->w->layers[layer + 1].attention_norm}, n, d->width);
	}
	d->rows = NULL;
	return !is_stopped;
}
