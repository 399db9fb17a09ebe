// Attention of a pass: queries and keys are normalised and turned, keys and values stored, and neighbouring rows of a
// sequence attend together.
//
// The rule it protects: what is computed together changes no number; a row sees its own sequence and nothing else.
#include "engine/decoder_parts.h"
#include "engine/positions.h"
#include <string.h>

struct job {
	struct tdm_decoder *d;
	const struct tdm_row *rows;
	int layer;
};

// Runs of rows of one sequence, no longer than what a kernel attends with at once.
static void set_tiles(struct tdm_decoder *d, const struct tdm_row *rows, int n) {
	int group = d->w->shape.n_heads / d->w->shape.n_kv_heads, most = d->w->kernels->n_queries / group;
	d->n_tiles = 0;
	for (int i = 0, start; i < n;) {
		for (start = i++; i < n && i - start < most && rows[i].pages == rows[start].pages; i++)
			;
		d->tiles[d->n_tiles++] = (struct tdm_tile){start, i - start};
	}
}

void tdm_attention_begin(struct tdm_decoder *d, const struct tdm_row *rows, int n) {
	set_tiles(d, rows, n);
	for (int which = 0; which < TDM_N_ROTATIONS; which++)
		for (int i = 0; i < n && d->w->rotations[which].rates; i++)
			tdm_rotation_at(&d->w->rotations[which], d->w->shape.n_rotated / 2, rows[i].position,
			                d->turns[which] + (size_t)i * d->turns_width);
}

// The kernel writes whole groups of 16 elements, heads may be shorter: through a buffer.
static void normalize_heads(const struct tdm_weights *w, const float *weight, float *x, int n_heads) {
	float in[1024], out[1024];
	int n = w->shape.head_dim, padded = tdm_pad(n, TDM_LANES);
	for (int head = 0; head < n_heads; head++, x += n) {
		memcpy(in, x, (size_t)n * sizeof *x);
		memset(in + n, 0, (size_t)(padded - n) * sizeof *x);
		w->kernels->normalize(in, weight, n, w->shape.epsilon, out);
		memcpy(x, out, (size_t)n * sizeof *x);
	}
}

// Queries or keys of row i.
static void normalize_and_turn(struct tdm_decoder *d, int i, int index, const float *norm, float *x, int n_heads) {
	int rotation = d->w->layers[index].rotation;
	if (norm)
		normalize_heads(d->w, norm, x, n_heads);
	if (rotation != TDM_UNROTATED)
		tdm_rotate(&d->w->shape, d->turns[rotation] + (size_t)i * d->turns_width, x, n_heads);
}

static void store(struct tdm_decoder *d, const void *what, int i) {
	const struct job *job = what;
	const struct tdm_kernels *kernels = d->w->kernels;
	const struct tdm_row *row = &job->rows[i];
	int group = d->cache->places[job->layer].group;
	float *k = d->k + (size_t)i * d->kv_width;
	const float *v = d->v + (size_t)i * d->kv_width;
	int page = row->position / TDM_PAGE_TOKENS, slot = row->position % TDM_PAGE_TOKENS;
	normalize_and_turn(d, i, job->layer, d->w->layers[job->layer].k_norm, k, d->w->shape.n_kv_heads);
	tdm_cache_store(d->cache, kernels, row->pages->of[group][page], slot, job->layer, k, v);
	for (uint64_t also = row->also; also; also &= also - 1)
		tdm_cache_store(d->cache, kernels, row->others[__builtin_ctzll(also)]->of[group][page], slot, job->layer, k, v);
}

void tdm_attention_store(struct tdm_decoder *d, const struct tdm_row *rows, int n, int layer) {
	struct job job = {d, rows, layer};
	tdm_decoder_rows(d, store, &job, n, 2 * d->kv_width);
}

static int keys_of(const struct tdm_row *row) {
	return row->n_keys ? row->n_keys : row->position + 1;
}

static void attend_tile(const struct job *job, const struct tdm_tile *tile, int kv_head) {
	struct tdm_decoder *d = job->d;
	const struct tdm_shape *s = &d->w->shape;
	int group = s->n_heads / s->n_kv_heads, n_queries = group * tile->n;
	size_t at = tdm_cache_head_at(d->cache, job->layer, kv_head);
	uint8_t **pages = job->rows[tile->first].pages->of[d->cache->places[job->layer].group];
	struct tdm_attention a = {.pages = (const uint8_t *const *)pages,
	                          .keys_at = at,
	                          .values_at = at + d->cache->values_at,
	                          .head_dim = s->head_dim,
	                          .head_padded = d->cache->head_padded,
	                          .type = d->cache->type,
	                          .scale = s->attention_scale,
	                          .soft_cap = s->attention_cap};
	const struct tdm_layer *l = &d->w->layers[job->layer];
	int window = l->window;
	for (int i = 0; i < n_queries; i++) {
		int row = tile->first + i / group, head = kv_head * group + i % group;
		size_t place_of = (size_t)row * d->q_width + (size_t)(head * s->head_dim);
		normalize_and_turn(d, row, job->layer, l->q_norm, d->q + place_of, 1);
		a.q[a.n] = d->q + place_of;
		a.out[a.n] = d->attended + place_of;
		a.n_keys[a.n] = keys_of(&job->rows[row]);
		a.first_key[a.n] = window && a.n_keys[a.n] > window ? a.n_keys[a.n] - window : 0;
		a.n++;
		if (a.n == d->w->kernels->n_queries || i + 1 == n_queries) {
			d->w->kernels->attend(&a);
			a.n = 0;
		}
	}
}

static void attend_part(void *arg, int part, int n_parts) {
	const struct job *job = arg;
	int n_heads = job->d->w->shape.n_kv_heads, n = job->d->n_tiles * n_heads;
	int from = (int)((int64_t)n * part / n_parts), to = (int)((int64_t)n * (part + 1) / n_parts);
	for (int i = from; i < to; i++)
		attend_tile(job, &job->d->tiles[i / n_heads], i % n_heads);
}

void tdm_attention_run(struct tdm_decoder *d, const struct tdm_row *rows, int n, int layer) {
	struct job job = {d, rows, layer};
	size_t bytes = 0;
	for (int i = 0; i < n; i++)
		bytes += (size_t)keys_of(&rows[i]) * d->cache->head_bytes / TDM_PAGE_TOKENS * (size_t)d->cache->n_kv_heads;
	tdm_decoder_parts(d, attend_part, &job, bytes * 4);
}
