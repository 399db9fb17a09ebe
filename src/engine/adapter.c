// Reading adapters. The rule it protects: every tensor of the file has found its place, else the answers would silently
// be those of half an adapter.
#include "engine/adapter.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct tdm_adapter *a;
	const struct tdm_weights *w;
	const struct tdm_gguf *g;
	const char *file;
	double alpha, scale;
	struct tdm_error *err;
};

#define MISFIT(r, ...) tdm_fail((r)->err, TDM_EFORMAT, __VA_ARGS__)

static bool key_is(const struct tdm_gguf *g, const char *key, const char *expected) {
	const char *text;
	size_t n;
	return tdm_gguf_text(g, key, &text, &n) && n == strlen(expected) && memcmp(text, expected, n) == 0;
}

static int check_keys(struct reader *r) {
	if (!key_is(r->g, "general.type", "adapter") || !key_is(r->g, "adapter.type", "lora"))
		return MISFIT(r, "%s: no LoRA adapter; expected general.type adapter and adapter.type lora", r->file);
	if (!key_is(r->g, "general.architecture", r->w->shape.family->name))
		return MISFIT(r, "%s: the adapter is for another architecture than %s", r->file, r->w->shape.family->name);
	if (!tdm_gguf_f64(r->g, "adapter.lora.alpha", &r->alpha) || !(r->alpha > 0 && r->alpha < 1e6))
		return MISFIT(r, "%s: adapter.lora.alpha is missing or not positive", r->file);
	return TDM_OK;
}

static int make_room(struct reader *r) {
	uint64_t elements = 0;
	size_t n = tdm_gguf_n_tensors(r->g);
	for (size_t i = 0; i < n; i++) {
		const struct tdm_tensor *t = tdm_gguf_tensor_at(r->g, i);
		elements += t->dims[0] * t->dims[1];
	}
	r->a->pairs = calloc((size_t)r->w->n_places, sizeof *r->a->pairs);
	if (!r->a->pairs)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: no memory for the adapter", r->file);
	return tdm_store_init(&r->a->store, elements * 4 * sizeof(float), n, r->err); // rows of few columns are padded
}

static int pack(struct reader *r, const struct tdm_tensor *t, int first, int rows, double factor,
                struct tdm_matrix *out) {
	size_t n = (size_t)rows * (size_t)t->dims[0];
	float *x = malloc(n * sizeof *x);
	if (!x)
		return tdm_fail(r->err, TDM_ENOMEM, "%s: no memory for tensor %s", r->file, t->name);
	const uint8_t *data = (const uint8_t *)t->data + tdm_tensor_bytes(t->type, t->dims[0]) * (uint64_t)first;
	tdm_dequantize(t->type, data, n, x);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(x[i] * factor);
	int status = tdm_matrix_pack(out, &r->a->store, r->w->kernels, TDM_F32, x, rows, (int)t->dims[0], r->err);
	free(x);
	return status;
}

static int read_pair(struct reader *r, int i) {
	const struct tdm_place *p = &r->w->places[i];
	char name[2][96];
	const struct tdm_tensor *t[2];
	for (int k = 0; k < 2; k++) {
		snprintf(name[k], sizeof name[k], "%s.lora_%c", p->name, 'a' + k);
		t[k] = tdm_gguf_tensor(r->g, name[k]);
	}
	if (!t[0] && !t[1])
		return TDM_OK;
	for (int k = 0; k < 2; k++)
		if (!t[k])
			return MISFIT(r, "%s: tensor %s is missing", r->file, name[k]);
	uint64_t rank = t[0]->dims[1];
	if (rank < 1 || rank > TDM_MOST_RANK)
		return MISFIT(r, "%s: %s has rank %" PRIu64 "; expected 1 to %d", r->file, name[0], rank, TDM_MOST_RANK);
	if (t[0]->dims[0] != (uint64_t)p->linear->m.n_cols || t[1]->dims[0] != rank ||
	    t[1]->dims[1] != (uint64_t)p->n_total)
		return MISFIT(r, "%s: %s and %s do not fit a matrix of %d rows and %d columns", r->file, name[0], name[1],
		              p->n_total, p->linear->m.n_cols);
	r->a->n_pairs++;
	int status = pack(r, t[0], 0, (int)rank, 1, &r->a->pairs[i].a);
	return status ? status
	              : pack(r, t[1], p->first, p->linear->m.n_rows, r->scale * r->alpha / (double)rank, &r->a->pairs[i].b);
}

// A fused tensor has several places, so places of one name count once.
static int check_all_used(struct reader *r) {
	size_t n_used = 0, n = tdm_gguf_n_tensors(r->g);
	for (int i = 0; i < r->w->n_places; i++)
		if (r->a->pairs[i].b.n_rows && r->w->places[i].first == 0)
			n_used += 2;
	if (n_used == 0 || n_used != n)
		return MISFIT(r, "%s: %zu of its %zu tensors have a place in this model; expected all, and at least one pair",
		              r->file, n_used, n);
	return TDM_OK;
}

int tdm_adapter_read(struct tdm_adapter *out, const struct tdm_weights *w, const struct tdm_gguf *g, const char *name,
                     float scale, struct tdm_error *err) {
	static atomic_uint_fast64_t n_opened;
	*out = (struct tdm_adapter){.id = atomic_fetch_add(&n_opened, 1) + 1};
	struct reader r = {.a = out, .w = w, .g = g, .file = name, .scale = (double)scale, .err = err};
	int status = check_keys(&r);
	if (status == TDM_OK)
		status = make_room(&r);
	for (int i = 0; i < w->n_places && status == TDM_OK; i++)
		status = read_pair(&r, i);
	if (status == TDM_OK)
		status = check_all_used(&r);
	if (status != TDM_OK)
		tdm_adapter_release(out);
	return status;
}

void tdm_adapter_release(struct tdm_adapter *a) {
	tdm_store_release(&a->store);
	free(a->pairs);
	*a = (struct tdm_adapter){0};
}
