#include "models/local/projection.h"
#include "assure/labels.h"
#include "base/file.h"
#include "engine/gguf.h"
#include "models/local/local.h"
#include "models/predict/linear.h"
#include <string.h>

#define ARCHITECTURE "projection"
enum { MOST_WIDTH = 1 << 14, FILE_LIMIT_MB = 1024 };

// out[n_out] += x[n_in] w[n_in, n_out]
static void add_rows(float *out, const float *x, const float *w, int n_in, int n_out) {
	for (int i = 0; i < n_in; i++, w += n_out)
		for (int k = 0; k < n_out; k++)
			out[k] += x[i] * w[k];
}

void tdm_projection_apply(const struct tdm_projection *p, const float *states, int n, float *out) {
	float hidden[MOST_WIDTH];
	for (int i = 0; i < n; i++) {
		float *to = out + (size_t)i * (size_t)p->n_out;
		memset(hidden, 0, (size_t)p->n_hidden * sizeof *hidden);
		memset(to, 0, (size_t)p->n_out * sizeof *to);
		add_rows(hidden, states + (size_t)i * (size_t)p->n_in, p->inner, p->n_in, p->n_hidden);
		for (int k = 0; k < p->n_hidden; k++)
			hidden[k] = hidden[k] > 0 ? hidden[k] : 0;
		add_rows(to, hidden, p->outer, p->n_hidden, p->n_out);
	}
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
static const char *fill(struct tdm_arena *arena, const struct tdm_gguf *g, struct tdm_projection *p) {
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
	p->inner = tdm_arena_array(arena, n_inner, sizeof *p->inner);
	p->outer = tdm_arena_array(arena, n_outer, sizeof *p->outer);
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
	const char *wrong = status ? NULL : fill(b->arena, g, p);
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

int tdm_projection_open(const struct tdm_build *b, const char *name, const struct tdm_model *small,
                        const struct tdm_model *large, const struct tdm_projection **out) {
	struct tdm_projection *p = tdm_arena_alloc(b->arena, sizeof *p);
	struct tdm_error why = {0};
	if (!p)
		return TDM_ENOMEM;
	int status = read_file(b, name, p, &why);
	if (status)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s", b->where, why.text);
	status = check_model(b, name, small, p->small, p->n_out);
	if (!status)
		status = check_model(b, name, large, p->large, p->n_in);
	if (!status && p->layers >= tdm_local_info(large)->n_layers)
		status = tdm_fail(b->error, TDM_ECONFIG, "%s: %s reads layer %d of model %s, which has %d", b->where, name,
		                  p->layers, large->name, tdm_local_info(large)->n_layers);
	*out = p;
	return status;
}
