// The forward pass of the Llama architecture: RMS norm, rotary positions on neighbouring pairs, grouped-query
// attention over cache pages, SwiGLU.
//
// The rule it protects: nothing a row computes depends on the other rows of the pass, except the cache that its own
// sequence's earlier rows have written; which threads compute what changes no number. No memory is asked for here.
#include "engine/llama.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TARGETS = 3, PART_BYTES = 1 << 17 };

// Neighbouring rows of one sequence whose queries attend together.
struct tile {
	int first, n;
};

struct tdm_llama {
	const struct tdm_weights *w;
	const struct tdm_cache *cache;
	struct tdm_pool *pool; // NULL with one thread
	int n_threads;
	size_t width, q_width, kv_width, ff_width, columns_width; // padded to 32
	float *memory, *x, *y, *q, *k, *v, *attended, *gate, *up, *rotations;
	float *scales;
	int8_t *quantized;
	int32_t *bias;
	int n_tiles;
	struct tile tiles[TDM_MAX_ROWS];
};

// --- buffers

static size_t padded(int n) {
	return (size_t)tdm_pad(n, 2 * TDM_LANES);
}

static size_t larger(size_t a, size_t b) {
	return a > b ? a : b;
}

static bool reserve(struct tdm_llama *l) {
	const struct tdm_shape *s = &l->w->shape;
	size_t n_rotations = padded(s->n_rotated), blocks = l->columns_width / TDM_BLOCK, total = 0;
	struct {
		float **at;
		size_t row;
	} parts[] = {{&l->x, l->width},
	             {&l->y, l->width},
	             {&l->q, l->q_width},
	             {&l->k, l->kv_width},
	             {&l->v, l->kv_width},
	             {&l->attended, l->q_width},
	             {&l->gate, l->ff_width},
	             {&l->up, l->ff_width},
	             {&l->rotations, n_rotations},
	             {&l->scales, blocks},
	             {(float **)&l->bias, blocks},
	             {(float **)&l->quantized, l->columns_width / sizeof(float)}};
	enum { N_PARTS = sizeof parts / sizeof *parts };
	for (size_t i = 0; i < N_PARTS; i++)
		total += parts[i].row * TDM_MAX_ROWS;
	l->memory = aligned_alloc(64, total * sizeof *l->memory);
	if (!l->memory)
		return false;
	memset(l->memory, 0, total * sizeof *l->memory); // padding stays zero: matrices have zero rows there
	float *at = l->memory;
	for (size_t i = 0; i < N_PARTS; i++, at += parts[i - 1].row * TDM_MAX_ROWS)
		*parts[i].at = at;
	return true;
}

struct tdm_llama *tdm_llama_new(const struct tdm_weights *w, const struct tdm_cache *cache, int n_threads) {
	const struct tdm_shape *s = &w->shape;
	struct tdm_llama *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->w = w;
	l->cache = cache;
	l->n_threads = n_threads > 1 ? n_threads : 1;
	l->width = padded(s->width);
	l->q_width = padded(s->n_heads * s->head_dim);
	l->kv_width = padded(s->n_kv_heads * s->head_dim);
	l->ff_width = padded(s->n_ff);
	l->columns_width = larger(l->width, larger(l->q_width, l->ff_width));
	l->pool = l->n_threads > 1 ? tdm_pool_new(l->n_threads) : NULL;
	if (!reserve(l) || (l->n_threads > 1 && !l->pool)) {
		tdm_llama_free(l);
		return NULL;
	}
	return l;
}

void tdm_llama_free(struct tdm_llama *l) {
	if (!l)
		return;
	tdm_pool_free(l->pool);
	free(l->memory);
	free(l);
}

static void run_parts(struct tdm_llama *l, tdm_pool_fn *fn, void *arg, int n_parts) {
	if (l->pool && n_parts > 1)
		tdm_pool_run(l->pool, fn, arg, n_parts);
	else
		fn(arg, 0, 1);
}

// --- matrix products: up to three matrices with the same input are one job

struct target {
	const struct tdm_matrix *m;
	float *out; // NULL: `rows`
	size_t stride;
};

struct product {
	const struct tdm_kernels *kernels;
	struct tdm_columns columns;
	int n_targets, n_groups;
	const struct tdm_matrix *matrices[MAX_TARGETS];
	float *out[MAX_TARGETS][TDM_MAX_ROWS];
};

static void multiply_part(void *arg, int part, int n_parts) {
	const struct product *p = arg;
	int from = (int)((int64_t)p->n_groups * part / n_parts), to = (int)((int64_t)p->n_groups * (part + 1) / n_parts);
	for (int i = 0; i < p->n_targets && to > 0; i++) {
		int n = p->matrices[i]->n_groups, end = to < n ? to : n;
		if (from < end)
			p->kernels->multiply(p->matrices[i], from, end, &p->columns, p->out[i]);
		from = from > n ? from - n : 0;
		to -= n;
	}
}

static void set_columns(struct tdm_llama *l, struct product *p, const float *x, size_t stride, int n) {
	bool is_quantized = false;
	for (int i = 0; i < p->n_targets; i++)
		is_quantized |= p->matrices[i]->type == TDM_Q8_0;
	p->columns = (struct tdm_columns){n, stride, x, l->quantized, l->scales, l->bias};
	for (int i = 0; i < n && is_quantized; i++)
		p->kernels->quantize(&p->columns, i);
}

static void multiply(struct tdm_llama *l, struct product *p, const float *x, size_t stride, int n) {
	size_t bytes = 0;
	p->kernels = l->w->kernels;
	p->n_groups = 0;
	for (int i = 0; i < p->n_targets; i++) {
		p->n_groups += p->matrices[i]->n_groups;
		bytes += p->matrices[i]->group_bytes * (size_t)p->matrices[i]->n_groups;
	}
	set_columns(l, p, x, stride, n);
	// pieces small enough that a thread which lost its core does not hold up the others, large enough to be worth it
	size_t worth = bytes * (size_t)n / PART_BYTES, most = (size_t)l->n_threads * 4;
	run_parts(l, multiply_part, p, (int)(worth < most ? worth : most));
}

static void multiply_all(struct tdm_llama *l, const float *x, size_t stride, int n, const struct target *targets,
                         int n_targets) {
	struct product p;
	p.n_targets = n_targets;
	for (int i = 0; i < n_targets; i++) {
		p.matrices[i] = targets[i].m;
		for (int row = 0; row < n; row++)
			p.out[i][row] = targets[i].out + (size_t)row * targets[i].stride;
	}
	multiply(l, &p, x, stride, n);
}

// --- positions

static void set_rotations(struct tdm_llama *l, const struct tdm_row *rows, int n) {
	int n_pairs = l->w->shape.n_rotated / 2;
	for (int i = 0; i < n; i++) {
		float *at = l->rotations + (size_t)i * padded(2 * n_pairs);
		for (int j = 0; j < n_pairs; j++) {
			double angle = rows[i].position * l->w->rates[j];
			at[2 * j] = (float)cos(angle);
			at[2 * j + 1] = (float)sin(angle);
		}
	}
}

static void rotate(const struct tdm_shape *s, const float *rotations, float *x, int n_heads) {
	for (int head = 0; head < n_heads; head++, x += s->head_dim)
		for (int j = 0; j < s->n_rotated; j += 2) {
			float a = x[j], b = x[j + 1], cosine = rotations[j], sine = rotations[j + 1];
			x[j] = a * cosine - b * sine;
			x[j + 1] = a * sine + b * cosine;
		}
}

static void place(struct tdm_llama *l, const struct tdm_row *row, int i, int layer) {
	const struct tdm_shape *s = &l->w->shape;
	const float *rotations = l->rotations + (size_t)i * padded(s->n_rotated);
	float *k = l->k + (size_t)i * l->kv_width;
	rotate(s, rotations, l->q + (size_t)i * l->q_width, s->n_heads);
	rotate(s, rotations, k, s->n_kv_heads);
	tdm_cache_store(l->cache, l->w->kernels, row->pages[row->position / TDM_PAGE_TOKENS],
	                row->position % TDM_PAGE_TOKENS, layer, k, l->v + (size_t)i * l->kv_width);
}

// --- attention

struct attention_job {
	struct tdm_llama *l;
	const struct tdm_row *rows;
	int layer;
};

static void set_tiles(struct tdm_llama *l, const struct tdm_row *rows, int n) {
	int group = l->w->shape.n_heads / l->w->shape.n_kv_heads, most = l->w->kernels->n_queries / group;
	l->n_tiles = 0;
	for (int i = 0, start; i < n;) {
		for (start = i++; i < n && i - start < most && rows[i].pages == rows[start].pages; i++)
			;
		l->tiles[l->n_tiles++] = (struct tile){start, i - start};
	}
}

static void attend_tile(const struct attention_job *job, const struct tile *tile, int kv_head) {
	struct tdm_llama *l = job->l;
	const struct tdm_shape *s = &l->w->shape;
	int group = s->n_heads / s->n_kv_heads, n_queries = group * tile->n;
	size_t at = tdm_cache_head_at(l->cache, job->layer, kv_head);
	struct tdm_attention a = {.pages = (const uint8_t *const *)job->rows[tile->first].pages,
	                          .keys_at = at,
	                          .values_at = at + l->cache->values_at,
	                          .head_dim = s->head_dim,
	                          .head_padded = l->cache->head_padded,
	                          .is_half = l->cache->is_half,
	                          .scale = 1.0f / sqrtf((float)s->head_dim)};
	for (int i = 0; i < n_queries; i++) {
		int row = tile->first + i / group, head = kv_head * group + i % group;
		size_t place_of = (size_t)row * l->q_width + (size_t)(head * s->head_dim);
		a.q[a.n] = l->q + place_of;
		a.out[a.n] = l->attended + place_of;
		a.n_keys[a.n++] = job->rows[row].position + 1;
		if (a.n == l->w->kernels->n_queries || i + 1 == n_queries) {
			l->w->kernels->attend(&a);
			a.n = 0;
		}
	}
}

static void attend_part(void *arg, int part, int n_parts) {
	const struct attention_job *job = arg;
	int n_heads = job->l->w->shape.n_kv_heads, n = job->l->n_tiles * n_heads;
	int from = (int)((int64_t)n * part / n_parts), to = (int)((int64_t)n * (part + 1) / n_parts);
	for (int i = from; i < to; i++)
		attend_tile(job, &job->l->tiles[i / n_heads], i % n_heads);
}

static void attend(struct tdm_llama *l, const struct tdm_row *rows, int n, int layer) {
	struct attention_job job = {l, rows, layer};
	size_t bytes = 0;
	for (int i = 0; i < n; i++)
		bytes += (size_t)(rows[i].position + 1) * l->cache->head_bytes / TDM_PAGE_TOKENS * (size_t)l->cache->n_kv_heads;
	size_t worth = bytes * 4 / PART_BYTES, most = (size_t)l->n_threads * 4;
	run_parts(l, attend_part, &job, (int)(worth < most ? worth : most));
}

// --- the pass

static void run_layer(struct tdm_llama *l, const struct tdm_row *rows, int n, int index) {
	const struct tdm_layer *layer = &l->w->layers[index];
	const struct tdm_kernels *kernels = l->w->kernels;
	const struct tdm_shape *s = &l->w->shape;
	int width = tdm_pad(s->width, TDM_LANES), ff = tdm_pad(s->n_ff, TDM_LANES);
	for (int i = 0; i < n; i++)
		kernels->normalize(l->x + (size_t)i * l->width, layer->attention_norm, s->width, s->epsilon,
		                   l->y + (size_t)i * l->width);
	multiply_all(l, l->y, l->width, n,
	             (struct target[]){
	                 {&layer->q, l->q, l->q_width}, {&layer->k, l->k, l->kv_width}, {&layer->v, l->v, l->kv_width}},
	             3);
	for (int i = 0; i < n; i++)
		place(l, &rows[i], i, index);
	attend(l, rows, n, index);
	multiply_all(l, l->attended, l->q_width, n, &(struct target){&layer->o, l->y, l->width}, 1);
	for (int i = 0; i < n; i++) {
		float *x = l->x + (size_t)i * l->width, *y = l->y + (size_t)i * l->width;
		kernels->add(x, y, width);
		kernels->normalize(x, layer->ff_norm, s->width, s->epsilon, y);
	}
	multiply_all(l, l->y, l->width, n,
	             (struct target[]){{&layer->gate, l->gate, l->ff_width}, {&layer->up, l->up, l->ff_width}}, 2);
	for (int i = 0; i < n; i++)
		kernels->gate(l->gate + (size_t)i * l->ff_width, l->up + (size_t)i * l->ff_width, ff);
	multiply_all(l, l->gate, l->ff_width, n, &(struct target){&layer->down, l->y, l->width}, 1);
	for (int i = 0; i < n; i++)
		kernels->add(l->x + (size_t)i * l->width, l->y + (size_t)i * l->width, width);
}

static void finish(struct tdm_llama *l, const struct tdm_row *rows, int n) {
	const struct tdm_shape *s = &l->w->shape;
	struct product p = {.n_targets = 1, .matrices = {&l->w->output}};
	int n_wanted = 0;
	for (int i = 0; i < n; i++) {
		if (!rows[i].logits)
			continue;
		float *y = l->y + (size_t)n_wanted * l->width;
		l->w->kernels->normalize(l->x + (size_t)i * l->width, l->w->output_norm, s->width, s->epsilon, y);
		memcpy(rows[i].hidden, y, l->width * sizeof *y);
		p.out[0][n_wanted++] = rows[i].logits;
	}
	if (n_wanted)
		multiply(l, &p, l->y, l->width, n_wanted);
}

bool tdm_llama_run(struct tdm_llama *l, const struct tdm_row *rows, int n, bool (*stop)(void *), void *arg) {
	const struct tdm_tensor *table = l->w->embedding;
	uint64_t width = table->dims[0], row_bytes = tdm_tensor_bytes(table->type, width);
	for (int i = 0; i < n; i++)
		tdm_dequantize(table->type, (const uint8_t *)table->data + (uint64_t)rows[i].token * row_bytes, width,
		               l->x + (size_t)i * l->width);
	set_rotations(l, rows, n);
	set_tiles(l, rows, n);
	for (int layer = 0; layer < l->w->shape.n_layers; layer++) {
		if (stop && stop(arg))
			return false;
		run_layer(l, rows, n, layer);
	}
	finish(l, rows, n);
	return true;
}
