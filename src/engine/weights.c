// Reading the tensors of a model.
//
// The rule it protects: the metadata only says what the tensors must look like; every size that is later used to
// allocate or to index has been seen as the dimension of a tensor whose bytes are in the file. A tensor that this
// shape has no place for (a bias, an expert) is an error: leaving it out would give wrong answers silently.
#include "engine/weights_parts.h"
#include "base/pool.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// --- tensors

enum { NAME_BYTES = 64 };

static const char *name_of(char out[NAME_BYTES], int layer, const char *part, const char *kind) {
	if (layer < 0)
		snprintf(out, NAME_BYTES, "%s.%s", part, kind);
	else
		snprintf(out, NAME_BYTES, "blk.%d.%s.%s", layer, part, kind);
	return out;
}

const struct tdm_tensor *tdm_reader_tensor(struct tdm_reader *r, const char *name, int rows, int cols) {
	const struct tdm_tensor *t = tdm_gguf_tensor(r->g, name);
	if (!t) {
		TDM_MISFIT(r, "%s: tensor %s is missing", r->file, name);
		return NULL;
	}
	uint64_t n_rows = rows ? (uint64_t)rows : 1;
	if (t->dims[0] != (uint64_t)cols || t->dims[1] != n_rows || t->dims[2] != 1 || t->dims[3] != 1) {
		TDM_MISFIT(r, "%s: tensor %s is %" PRIu64 " x %" PRIu64 "; the metadata asks for %d x %" PRIu64, r->file, name,
		           t->dims[0], t->dims[1], cols, n_rows);
		return NULL;
	}
	r->is_used[t - tdm_gguf_tensor_at(r->g, 0)] = true;
	return t;
}

// Elements first..first + n.
static int take_vector(struct tdm_reader *r, const struct tdm_tensor *t, int first, int n, float **out) {
	if (!t)
		return TDM_EFORMAT;
	if (tdm_format_of(t->type)->per_block > 1)
		return TDM_MISFIT(r, "%s: tensor %s is %s; expected F32, F16 or BF16", r->file, t->name,
		                  tdm_format_name(t->type));
	*out = aligned_alloc(64, (size_t)tdm_pad(n, 32) * sizeof **out);
	if (!*out)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: no memory for tensor %s", r->file, t->name);
	memset(*out, 0, (size_t)tdm_pad(n, 32) * sizeof **out);
	tdm_dequantize(t->type, (const uint8_t *)t->data + tdm_tensor_bytes(t->type, (uint64_t)first), (uint64_t)n, *out);
	return TDM_OK;
}

static int read_vector(struct tdm_reader *r, const char *name, int first, int n, int total, float **out) {
	return take_vector(r, tdm_reader_tensor(r, name, 0, total), first, n, out);
}

static int pack(struct tdm_reader *r, const struct tdm_tensor *t, int first, int rows, struct tdm_matrix *m) {
	const uint8_t *data = (const uint8_t *)t->data + tdm_tensor_bytes(t->type, t->dims[0]) * (uint64_t)first;
	if (t->type != TDM_F32)
		r->w->cache_type = TDM_F16; // instead of 0, TDM_F32
	return tdm_matrix_pack(m, &r->w->store, r->w->kernels, t->type, data, rows, (int)t->dims[0], r->err);
}

// A matrix and its bias, which are rows first..first + rows of the tensors called `name`.
struct part {
	const char *name;
	int first, rows, total, cols;
	struct tdm_linear *to;
	bool needs_bias;
};

static int keep_place(struct tdm_reader *r, const struct tdm_tensor *t, const struct part *p) {
	struct tdm_weights *w = r->w;
	struct tdm_place *more = realloc(w->places, ((size_t)w->n_places + 1) * sizeof *more);
	if (!more)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: no memory for tensor %s", r->file, t->name);
	w->places = more;
	p->to->place = w->n_places;
	more[w->n_places] = (struct tdm_place){.first = p->first, .n_total = p->total, .linear = p->to};
	snprintf(more[w->n_places++].name, sizeof more->name, "%s", t->name);
	return TDM_OK;
}

static int read_part(struct tdm_reader *r, int layer, const struct part *p) {
	char name[NAME_BYTES];
	const struct tdm_tensor *t = tdm_reader_tensor(r, name_of(name, layer, p->name, "weight"), p->total, p->cols);
	int status = t ? pack(r, t, p->first, p->rows, &p->to->m) : TDM_EFORMAT;
	if (status == TDM_OK)
		status = keep_place(r, t, p);
	name_of(name, layer, p->name, "bias");
	if (status == TDM_OK && (p->needs_bias || tdm_gguf_tensor(r->g, name)))
		status = read_vector(r, name, p->first, p->rows, p->total, &p->to->bias);
	return status;
}

// Weight and bias.
static int read_layer_norm(struct tdm_reader *r, int layer, const char *part, float **weight, float **bias) {
	int n = r->w->shape.width;
	char name[NAME_BYTES];
	int status = read_vector(r, name_of(name, layer, part, "weight"), 0, n, n, weight);
	return status == TDM_OK ? read_vector(r, name_of(name, layer, part, "bias"), 0, n, n, bias) : status;
}

static int read_encoder_norms(struct tdm_reader *r, int layer, struct tdm_layer *l) {
	int status = read_layer_norm(r, layer, "attn_output_norm", &l->attention_norm, &l->attention_norm_bias);
	return status == TDM_OK ? read_layer_norm(r, layer, "layer_output_norm", &l->ff_norm, &l->ff_norm_bias) : status;
}

static int read_norms(struct tdm_reader *r, int layer, struct tdm_layer *l) {
	const struct tdm_shape *s = &r->w->shape;
	const struct {
		const char *name;
		unsigned trait; // 0: every family has it
		int n;
		float **to;
	} norms[] = {{"attn_norm", 0, s->width, &l->attention_norm},
	             {"ffn_norm", 0, s->width, &l->ff_norm},
	             {"attn_q_norm", TDM_HEAD_NORMS, s->head_dim, &l->q_norm},
	             {"attn_k_norm", TDM_HEAD_NORMS, s->head_dim, &l->k_norm},
	             {"post_attention_norm", TDM_POST_NORMS, s->width, &l->post_attention_norm},
	             {"post_ffw_norm", TDM_POST_NORMS, s->width, &l->post_ff_norm}};
	char name[NAME_BYTES];
	int status = TDM_OK;
	if (s->family->traits & TDM_ENCODER)
		return read_encoder_norms(r, layer, l);
	for (size_t i = 0; i < sizeof norms / sizeof *norms && status == TDM_OK; i++)
		if (!norms[i].trait || s->family->traits & norms[i].trait)
			status =
			    read_vector(r, name_of(name, layer, norms[i].name, "weight"), 0, norms[i].n, norms[i].n, norms[i].to);
	return status;
}

static int read_attention(struct tdm_reader *r, int layer, struct tdm_layer *l) {
	const struct tdm_shape *s = &r->w->shape;
	int q = s->n_heads * s->head_dim, kv = s->n_kv_heads * s->head_dim, all = q + 2 * kv;
	bool needs = s->family->traits & TDM_QKV_BIAS;
	char fused[NAME_BYTES];
	struct part parts[] = {{"attn_q", 0, q, q, s->width, &l->q, needs},
	                       {"attn_k", 0, kv, kv, s->width, &l->k, needs},
	                       {"attn_v", 0, kv, kv, s->width, &l->v, needs},
	                       {"attn_output", 0, s->width, s->width, q, &l->o, false}};
	int status = TDM_OK;
	for (int i = 0, first = 0; i < 3 && tdm_gguf_tensor(r->g, name_of(fused, layer, "attn_qkv", "weight")); i++) {
		parts[i].name = "attn_qkv";
		parts[i].first = first;
		parts[i].total = all;
		first += parts[i].rows;
	}
	for (int i = 0; i < 4 && status == TDM_OK; i++)
		status = read_part(r, layer, &parts[i]);
	return status;
}

static int read_feed_forward(struct tdm_reader *r, int layer, struct tdm_layer *l) {
	const struct tdm_shape *s = &r->w->shape;
	bool fused = s->family->traits & TDM_FUSED_GATE;
	int total = fused ? 2 * s->n_ff : s->n_ff;
	const struct part gate = {fused ? "ffn_up" : "ffn_gate", 0, s->n_ff, total, s->width, &l->gate, false};
	const struct part up = {"ffn_up", fused ? s->n_ff : 0, s->n_ff, total, s->width, &l->up, false};
	const struct part down = {"ffn_down", 0, s->width, s->width, s->n_ff, &l->down, false};
	int status = s->family->traits & TDM_PLAIN ? TDM_OK : read_part(r, layer, &gate);
	if (status == TDM_OK)
		status = read_part(r, layer, &up);
	return status == TDM_OK ? read_part(r, layer, &down) : status;
}

static int read_layer(struct tdm_reader *r, int i, struct tdm_layer *l) {
	const struct tdm_shape *s = &r->w->shape;
	const struct tdm_family *f = s->family;
	bool has_window = tdm_has_window(s, i);
	l->window = has_window ? s->window : 0;
	l->rotation = has_window && f->local_base != 0 ? TDM_LOCAL : TDM_GLOBAL;
	if (f->unrotated && (i + 1) % f->unrotated == 0)
		l->rotation = TDM_UNROTATED;
	int status = read_norms(r, i, l);
	if (status == TDM_OK)
		status = read_attention(r, i, l);
	return status == TDM_OK ? read_feed_forward(r, i, l) : status;
}

static int read_layers(struct tdm_reader *r) {
	struct tdm_weights *w = r->w;
	char key[TDM_KEY_BYTES];
	if ((size_t)w->shape.n_layers > tdm_gguf_n_tensors(r->g))
		return TDM_MISFIT(r, "%s: %s is %d, but the file has %zu tensors", r->file,
		                  tdm_reader_key(r, "block_count", key), w->shape.n_layers, tdm_gguf_n_tensors(r->g));
	w->layers = calloc((size_t)w->shape.n_layers, sizeof *w->layers);
	if (!w->layers)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: no memory for %d layers", r->file, w->shape.n_layers);
	int status = TDM_OK;
	for (int i = 0; i < w->shape.n_layers && status == TDM_OK; i++)
		status = read_layer(r, i, &w->layers[i]);
	return status;
}

static int read_embedding(struct tdm_reader *r) {
	const struct tdm_tensor *t = tdm_gguf_tensor(r->g, "token_embd.weight");
	if (!t)
		return TDM_MISFIT(r, "%s: tensor token_embd.weight is missing", r->file);
	if (t->dims[1] > TDM_MAX_DIMENSION)
		return TDM_MISFIT(r, "%s: a vocabulary of %" PRIu64 " tokens; at most %d are supported", r->file, t->dims[1],
		                  TDM_MAX_DIMENSION);
	r->w->shape.n_vocab = (int)t->dims[1];
	t = tdm_reader_tensor(r, t->name, r->w->shape.n_vocab, r->w->shape.width);
	return t ? pack(r, t, 0, r->w->shape.n_vocab, &r->w->embedding) : TDM_EFORMAT;
}

static int read_head(struct tdm_reader *r) {
	struct tdm_ends *ends = &r->w->ends;
	int width = r->w->shape.width, n = r->w->shape.n_classes, status = TDM_OK;
	if (!n)
		return TDM_OK;
	ends->has_dense = tdm_gguf_tensor(r->g, "cls.weight");
	if (ends->has_dense)
		status = read_part(r, -1, &(struct part){"cls", 0, width, width, width, &ends->dense, false});
	return status == TDM_OK ? read_part(r, -1, &(struct part){"cls.output", 0, n, n, width, &ends->classes, false})
	                        : status;
}

static int read_ends(struct tdm_reader *r) {
	struct tdm_ends *ends = &r->w->ends;
	const struct tdm_shape *s = &r->w->shape;
	const struct tdm_tensor *types = tdm_gguf_tensor(r->g, "token_types.weight"), *positions;
	int status = read_layer_norm(r, -1, "token_embd_norm", &ends->norm, &ends->norm_bias);
	if (status == TDM_OK && types) { // every token is of the first type
		int n = (int)(types->dims[1] < TDM_MAX_DIMENSION ? types->dims[1] : TDM_MAX_DIMENSION);
		status = take_vector(r, tdm_reader_tensor(r, types->name, n == 1 ? 0 : n, s->width), 0, s->width, &ends->type);
	}
	if (status == TDM_OK)
		status = read_head(r);
	if (status != TDM_OK || !(s->family->traits & TDM_POSITIONS))
		return status;
	ends->has_positions = true;
	positions = tdm_reader_tensor(r, "position_embd.weight", s->context, s->width);
	return positions ? pack(r, positions, 0, s->context, &ends->positions) : TDM_EFORMAT;
}

// A file without a matrix of its own for the output uses the embeddings'.
static int read_output(struct tdm_reader *r) {
	struct tdm_weights *w = r->w;
	int width = w->shape.width, n = w->shape.n_vocab, status;
	if (w->shape.family->traits & TDM_ENCODER)
		return read_ends(r);
	status = read_vector(r, "output_norm.weight", 0, width, width, &w->output_norm);
	if (status != TDM_OK)
		return status;
	w->output.m = w->embedding;
	if (!tdm_gguf_tensor(r->g, "output.weight"))
		return TDM_OK;
	return read_part(r, -1, &(struct part){"output", 0, n, n, width, &w->output, false});
}

static int make_room(struct tdm_reader *r) {
	uint64_t bytes = 0;
	size_t n = tdm_gguf_n_tensors(r->g);
	for (size_t i = 0; i < n; i++)
		bytes += tdm_gguf_tensor_at(r->g, i)->bytes; // tensors do not overlap: no more than the file
	int status = tdm_store_init(&r->w->store, bytes, n, r->err);
	r->w->store.pool = r->pool;
	return status;
}

static int check_all_used(struct tdm_reader *r) {
	for (size_t i = 0; i < tdm_gguf_n_tensors(r->g); i++) {
		const struct tdm_tensor *t = tdm_gguf_tensor_at(r->g, i);
		if (!r->is_used[i])
			return TDM_MISFIT(r, "%s: tensor %s has no place in a %s model of %d layers", r->file, t->name,
			                  r->w->shape.family->name, r->w->shape.n_layers);
		r->w->n_parameters += t->dims[0] * t->dims[1];
		r->w->weight_bytes += t->bytes;
	}
	r->w->token_bytes = r->w->weight_bytes;
	if (r->w->output.m.packed != r->w->embedding.packed)
		r->w->token_bytes -= tdm_gguf_tensor(r->g, "token_embd.weight")->bytes;
	return TDM_OK;
}

int tdm_weights_read(struct tdm_weights *w, const struct tdm_gguf *g, const char *name, int context,
                     const struct tdm_kernels *kernels, int n_threads, struct tdm_error *err) {
	*w = (struct tdm_weights){.kernels = kernels};
	struct tdm_reader r = {.w = w, .g = g, .file = name, .context = context, .err = err};
	r.is_used = calloc(tdm_gguf_n_tensors(g) + 1, sizeof *r.is_used);
	r.pool = n_threads > 1 ? tdm_pool_new(n_threads) : NULL; // without one it takes longer
	int status = r.is_used ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "%s: no memory", name);
	int (*const steps[])(struct tdm_reader *) = {make_room,   tdm_shape_read,     read_embedding, read_layers,
	                                             read_output, tdm_positions_read, check_all_used};
	for (size_t i = 0; i < sizeof steps / sizeof *steps && status == TDM_OK; i++)
		status = steps[i](&r);
	free(r.is_used);
	tdm_pool_free(r.pool);
	w->store.pool = NULL;
	if (status != TDM_OK)
		tdm_weights_release(w);
	return status;
}

static void release_layer(struct tdm_layer *l) {
	struct tdm_linear *parts[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
	float *norms[] = {l->attention_norm, l->ff_norm, l->attention_norm_bias, l->ff_norm_bias,
	                  l->q_norm,         l->k_norm,  l->post_attention_norm, l->post_ff_norm};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		free(parts[i]->bias);
	for (size_t i = 0; i < sizeof norms / sizeof *norms; i++)
		free(norms[i]);
}

void tdm_weights_release(struct tdm_weights *w) {
	for (int i = 0; w->layers && i < w->shape.n_layers; i++)
		release_layer(&w->layers[i]);
	free(w->output.bias);
	free(w->places);
	tdm_store_release(&w->store);
	free(w->layers);
	free(w->output_norm);
	free(w->ends.norm);
	free(w->ends.norm_bias);
	free(w->ends.type);
	free(w->ends.dense.bias);
	free(w->ends.classes.bias);
	for (int i = 0; i < TDM_N_ROTATIONS; i++)
		free(w->rotations[i].rates);
	*w = (struct tdm_weights){0};
}
