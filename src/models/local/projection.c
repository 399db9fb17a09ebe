#include "models/local/projection.h"
#include "assure/labels.h"
#include "base/file.h"
#include "engine/gguf.h"
#include "models/local/local.h"
#include "models/predict/linear.h"
#include <stdlib.h>
#include <string.h>

#define ARCHITECTURE "projection"
enum { MOST_WIDTH = 1 << 16, FILE_LIMIT_MB = 1024, N_CHUNK = 64 };

// --- the product

// The kernels want a row of inputs for each output.
static int pack(struct tdm_projector *p, struct tdm_matrix *m, const float *w, int n_in, int n_out,
                struct tdm_error *err) {
	float *rows = malloc((size_t)n_in * (size_t)n_out * sizeof *rows);
	if (!rows)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a projection of %d to %d", n_in, n_out);
	for (int i = 0; i < n_in; i++)
		for (int k = 0; k < n_out; k++)
			rows[(size_t)k * (size_t)n_in + (size_t)i] = w[(size_t)i * (size_t)n_out + (size_t)k];
	int status = tdm_matrix_pack(m, &p->store, p->kernels, TDM_F32, rows, n_out, n_in, err);
	free(rows);
	return status;
}

static uint64_t packed_bytes(int n_in, int n_out) {
	return (uint64_t)tdm_pad(n_in, 4) * (uint64_t)tdm_pad(n_out, TDM_LANES) * sizeof(float);
}

int tdm_projector_init(struct tdm_projector *out, const struct tdm_projection *p, struct tdm_error *err) {
	*out = (struct tdm_projector){.layers = p->layers, .n_in = p->n_in, .n_hidden = p->n_hidden, .n_out = p->n_out};
	int status = tdm_kernels_find(NULL, &out->kernels, err);
	if (!status)
		status = tdm_store_init(&out->store, packed_bytes(p->n_in, p->n_hidden) + packed_bytes(p->n_hidden, p->n_out),
		                        2, err);
	if (!status)
		status = pack(out, &out->inner, p->inner, p->n_in, p->n_hidden, err);
	if (!status)
		status = pack(out, &out->outer, p->outer, p->n_hidden, p->n_out, err);
	return status;
}

void tdm_projector_release(struct tdm_projector *p) {
	tdm_store_release(&p->store);
}

static void multiply(const struct tdm_projector *p, const struct tdm_matrix *m, const float *x, size_t stride, int n,
                     float *out, size_t out_stride) {
	struct tdm_columns columns = {.n = n, .stride = stride, .x = x};
	float *rows[N_CHUNK];
	for (int i = 0; i < n; i++)
		rows[i] = out + (size_t)i * out_stride;
	p->kernels->multiply(m, 0, m->n_groups, &columns, rows);
}

int tdm_projector_apply(const struct tdm_projector *p, const float *states, int n, float *out, struct tdm_error *err) {
	size_t n_in = (size_t)tdm_pad(p->n_in, 2 * TDM_LANES), n_hidden = (size_t)tdm_pad(p->n_hidden, 2 * TDM_LANES);
	size_t n_out = (size_t)tdm_pad(p->n_out, 2 * TDM_LANES),
	       bytes = N_CHUNK * (n_in + n_hidden + n_out) * sizeof(float);
	float *x = aligned_alloc(64, bytes);
	if (!x)
		return tdm_fail(err, TDM_ENOMEM, "no memory to project %d states", n);
	float *hidden = x + N_CHUNK * n_in, *y = hidden + N_CHUNK * n_hidden;
	memset(x, 0, bytes); // the kernels read the padding
	for (int at = 0; at < n; at += N_CHUNK) {
		int here = n - at < N_CHUNK ? n - at : N_CHUNK;
		for (int i = 0; i < here; i++)
			memcpy(x + (size_t)i * n_in, states + (size_t)(at + i) * (size_t)p->n_in, (size_t)p->n_in * sizeof *x);
		multiply(p, &p->inner, x, n_in, here, hidden, n_hidden);
		for (size_t i = 0; i < (size_t)here * n_hidden; i++)
			hidden[i] = hidden[i] > 0 ? hidden[i] : 0;
		multiply(p, &p->outer, hidden, n_hidden, here, y, n_out);
		for (int i = 0; i < here; i++)
			memcpy(out + (size_t)(at + i) * (size_t)p->n_out, y + (size_t)i * n_out, (size_t)p->n_out * sizeof *out);
	}
	free(x);
	return TDM_OK;
}

// --- the file

int tdm_projection_write(const struct tdm_projection *p, const char *path, struct tdm_error *err) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	if (!w)
		return tdm_fail(err, TDM_ENOMEM, "no memory to write %s", path);
	tdm_gguf_put_text(w, "general.architecture", ARCHITECTURE);
	tdm_gguf_put_text(w, "projection.small", p->small);
	tdm_gguf_put_text(w, "projection.large", p->large);
	tdm_gguf_put_u32(w, "projection.layers", (uint32_t)p->layers);
	tdm_gguf_put_tensor(w, "inner", TDM_F16, (uint64_t[]){(uint64_t)p->n_hidden, (uint64_t)p->n_in}, 2, p->inner);
	tdm_gguf_put_tensor(w, "outer", TDM_F16, (uint64_t[]){(uint64_t)p->n_out, (uint64_t)p->n_hidden}, 2, p->outer);
	int status = tdm_gguf_write(w, path, err);
	tdm_gguf_writer_free(w);
	return status;
}

static bool read_hash(const struct tdm_gguf *g, const char *key, char out[72]) {
	const char *text;
	size_t n;
	if (!tdm_gguf_text(g, key, &text, &n) || n >= 72)
		return false;
	memcpy(out, text, n);
	out[n] = 0;
	return true;
}

static bool is_matrix(const struct tdm_tensor *t) {
	return t && t->n_dims == 2 && t->dims[0] - 1 < MOST_WIDTH && t->dims[1] - 1 < MOST_WIDTH;
}

// The name of what is missing or wrong in the file; NULL when nothing is.
static const char *fill(const struct tdm_gguf *g, struct tdm_projection *p) {
	const struct tdm_tensor *inner = tdm_gguf_tensor(g, "inner"), *outer = tdm_gguf_tensor(g, "outer");
	uint64_t layers;
	if (!read_hash(g, "projection.small", p->small) || !read_hash(g, "projection.large", p->large))
		return "the hashes of two weight files";
	if (!tdm_gguf_u64(g, "projection.layers", &layers) || layers > INT16_MAX)
		return "a number of layers";
	if (!is_matrix(inner) || !is_matrix(outer) || inner->dims[0] != outer->dims[1])
		return "two matrices, inner and outer, that follow each other";
	size_t n_inner = inner->dims[0] * inner->dims[1], n_outer = outer->dims[0] * outer->dims[1];
	p->layers = (int)layers;
	p->n_in = (int)inner->dims[1];
	p->n_hidden = (int)inner->dims[0];
	p->n_out = (int)outer->dims[0];
	p->inner = malloc(n_inner * sizeof *p->inner);
	p->outer = malloc(n_outer * sizeof *p->outer);
	if (!p->inner || !p->outer)
		return "room in memory";
	tdm_dequantize(inner->type, inner->data, n_inner, p->inner);
	tdm_dequantize(outer->type, outer->data, n_outer, p->outer);
	return NULL;
}

static int read_file(const struct tdm_build *b, const char *name, struct tdm_projection *p, struct tdm_error *why) {
	struct tdm_bytes file;
	struct tdm_gguf *g = NULL;
	int status = tdm_linear_file(b, name, (size_t)FILE_LIMIT_MB << 20, &file, why);
	if (status == TDM_OK)
		status = tdm_gguf_memory(name, file.data, file.len, &g, why);
	const char *wrong = status ? NULL : fill(g, p);
	if (wrong)
		status = tdm_fail(why, TDM_EFORMAT, "%s: a projection is expected to have %s", name, wrong);
	if (g)
		tdm_gguf_close(g);
	tdm_bytes_release(&file);
	return status;
}

// --- is it theirs?

static int hash_of(const struct tdm_build *b, const char *path, char out[72]) {
	static const char embedded[] = "embedded:";
	struct tdm_mapping file;
	size_t n = 0;
	if (!strncmp(path, embedded, sizeof embedded - 1)) {
		const void *data = b->embedded ? b->embedded(path + sizeof embedded - 1, &n) : NULL;
		tdm_labels_hash(data ? data : "", n, out);
		return TDM_OK;
	}
	path = path[0] == '/' || !b->folder ? path : tdm_arena_printf(b->arena, "%s/%s", b->folder, path);
	int status = path ? tdm_map_open(path, &file, b->error) : TDM_ENOMEM;
	if (status)
		return status;
	tdm_labels_hash(file.data, file.n, out);
	tdm_map_close(&file);
	return TDM_OK;
}

static int check_model(const struct tdm_build *b, const char *name, const struct tdm_model *m, const char *hash,
                       int width) {
	char own[72];
	const struct tdm_value *path = tdm_get(m->settings, "path");
	if (!tdm_local_info(m) || !path || path->type != TDM_STRING)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: a projection is for models of kind local, which %s is not",
		                b->where, m->name);
	if (tdm_get(m->settings, "adapter"))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: model %s has an adapter, which no projection is made for", b->where,
		                m->name);
	int status = hash_of(b, path->text, own);
	if (status)
		return status;
	if (strcmp(own, hash) != 0)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: %s was made for another model than %s: for the weights %.19s, not %.19s", b->where, name,
		                m->name, hash, own);
	return tdm_local_info(m)->width == width ? TDM_OK
	                                         : tdm_fail(b->error, TDM_ECONFIG, "%s: %s is %d wide where model %s is %d",
	                                                    b->where, name, width, m->name, tdm_local_info(m)->width);
}

static int check_pair(const struct tdm_build *b, const char *name, const struct tdm_projection *p,
                      const struct tdm_model *small, const struct tdm_model *large) {
	int status = check_model(b, name, small, p->small, p->n_out);
	if (!status)
		status = check_model(b, name, large, p->large, p->n_in);
	if (!status && p->layers >= tdm_local_info(large)->n_layers)
		status = tdm_fail(b->error, TDM_ECONFIG, "%s: %s reads layer %d of model %s, which has %d", b->where, name,
		                  p->layers, large->name, tdm_local_info(large)->n_layers);
	return status;
}

int tdm_projector_open(const struct tdm_build *b, const char *name, const struct tdm_model *small,
                       const struct tdm_model *large, struct tdm_projector *out) {
	struct tdm_projection p = {0};
	struct tdm_error why = {0};
	int status = read_file(b, name, &p, &why);
	if (status)
		status = tdm_fail(b->error, TDM_ECONFIG, "%s: %s", b->where, why.text);
	else
		status = check_pair(b, name, &p, small, large);
	if (!status)
		status = tdm_projector_init(out, &p, b->error);
	if (status)
		tdm_projector_release(out);
	free(p.inner);
	free(p.outer);
	return status;
}
