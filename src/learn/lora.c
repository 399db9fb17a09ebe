// Lora: walks the net's matrices in the order of its table; each pair lies behind the one before it (see lora.h).
#include "learn/lora.h"
#include "base/random.h"
#include "learn/export.h"
#include "learn/gemm.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair { // of one matrix W [n_out, n_in]
	struct tdm_net_tensor w;
	size_t a, b; // where A and B begin among the factors
	int n_in, n_out;
};

// The next pair at *tensor or behind it; *at moves behind it. false: there is none.
static bool next_pair(const struct tdm_shape *shape, int rank, size_t *tensor, size_t *at, struct pair *out) {
	for (; *tensor < tdm_shape_n_tensors(shape); ++*tensor) {
		tdm_shape_tensor(shape, *tensor, &out->w);
		if (*tensor < 2 || out->w.n_dims != 2)
			continue;
		out->n_in = (int)out->w.dims[0];
		out->n_out = (int)out->w.dims[1];
		out->a = *at;
		out->b = out->a + (size_t)rank * (size_t)out->n_in;
		*at = out->b + (size_t)rank * (size_t)out->n_out;
		++*tensor;
		return true;
	}
	return false;
}

static float scale_of(const struct tdm_lora *l) {
	return l->alpha / (float)l->rank;
}

int tdm_lora_init(struct tdm_lora *l, const struct tdm_net *net, int rank, double alpha, uint64_t seed,
                  struct tdm_error *err) {
	struct pair p;
	*l = (struct tdm_lora){.rank = rank, .alpha = (float)alpha};
	if (rank < 1 || rank > TDM_LORA_MOST_RANK)
		return tdm_fail_param(err, TDM_EVALUE, "lora-rank", "rank is %d, expected 1 to %d", rank, TDM_LORA_MOST_RANK);
	for (size_t i = 0; next_pair(&net->shape, rank, &i, &l->n, &p);)
		;
	l->base = tdm_floats(net->n_params);
	l->factors = tdm_floats(l->n);
	l->gradient = tdm_floats(l->n);
	if (!l->base || !l->factors || !l->gradient)
		return tdm_fail(err, TDM_ENOMEM, "no memory for an adapter of %zu parameters", l->n);
	memcpy(l->base, net->params, net->n_params * sizeof(float));
	for (size_t i = 0, at = 0; next_pair(&net->shape, rank, &i, &at, &p);) {
		struct tdm_rng rng;
		tdm_rng_stream(&rng, seed, p.w.name, 0);
		for (size_t k = p.a; k < p.b; k++)
			l->factors[k] = (float)(tdm_rng_normal(&rng) / sqrt((double)p.n_in));
	}
	return TDM_OK;
}

void tdm_lora_release(struct tdm_lora *l) {
	free(l->base);
	free(l->factors);
	free(l->gradient);
	*l = (struct tdm_lora){0};
}

void tdm_lora_apply(const struct tdm_lora *l, struct tdm_net *net) {
	struct pair p;
	for (size_t i = 0, at = 0; next_pair(&net->shape, l->rank, &i, &at, &p);) {
		float *w = net->params + p.w.offset;
		memcpy(w, l->base + p.w.offset, p.w.n * sizeof(float));
		tdm_gemm(NULL, TDM_GEMM_NN, p.n_out, p.n_in, l->rank, scale_of(l), l->factors + p.b, l->rank, l->factors + p.a,
		         p.n_in, 1, w, p.n_in);
	}
}

// dA = alpha / r B^T dW, dB = alpha / r dW A^T.
void tdm_lora_gradient(struct tdm_lora *l, const struct tdm_net *net, const float *gradient) {
	struct pair p;
	for (size_t i = 0, at = 0; next_pair(&net->shape, l->rank, &i, &at, &p);) {
		const float *dw = gradient + p.w.offset;
		tdm_gemm(NULL, TDM_GEMM_TN, l->rank, p.n_in, p.n_out, scale_of(l), l->factors + p.b, l->rank, dw, p.n_in, 0,
		         l->gradient + p.a, p.n_in);
		tdm_gemm(NULL, TDM_GEMM_NT, p.n_out, l->rank, p.n_in, scale_of(l), dw, p.n_in, l->factors + p.a, p.n_in, 0,
		         l->gradient + p.b, l->rank);
	}
}

static void put_factor(struct tdm_gguf_writer *w, const struct pair *p, char which, enum tdm_tensor_type type,
                       size_t n_in, size_t n_out, const float *x) {
	char name[64];
	const uint64_t dims[] = {n_in, n_out};
	snprintf(name, sizeof(name), "%s.lora_%c", p->w.name, which);
	tdm_gguf_put_tensor(w, name, tdm_export_type(type, n_in), dims, 2, x);
}

int tdm_lora_export(const struct tdm_lora *l, const struct tdm_net *net, const char *name, enum tdm_tensor_type type,
                    const char *path, struct tdm_error *err) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	struct pair p;
	if (!w)
		return tdm_fail(err, TDM_ENOMEM, "no memory to write %s", path);
	tdm_gguf_put_text(w, "general.type", "adapter");
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_text(w, "general.name", name);
	tdm_gguf_put_text(w, "adapter.type", "lora");
	tdm_gguf_put_f32(w, "adapter.lora.alpha", l->alpha);
	for (size_t i = 0, at = 0; next_pair(&net->shape, l->rank, &i, &at, &p);) {
		put_factor(w, &p, 'a', type, (size_t)p.n_in, (size_t)l->rank, l->factors + p.a);
		put_factor(w, &p, 'b', type, (size_t)l->rank, (size_t)p.n_out, l->factors + p.b);
	}
	int status = tdm_gguf_write(w, path, err);
	tdm_gguf_writer_free(w);
	return status;
}
