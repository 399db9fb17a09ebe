// The rule it protects: a vector that goes out is one: finite numbers, length 1, and cut only where it may be.
#include "serve/formats/vectors.h"
#include <math.h>

// Whether every model below m that makes vectors was trained so that their first numbers are vectors too.
static bool may_cut(const struct tdm_model *m) {
	bool all = m->n_parts > 0;
	if (!m->n_parts)
		return m->cuts_vectors;
	for (size_t i = 0; i < m->n_parts; i++)
		if (m->parts[i]->can & TDM_CAN_EMBED)
			all = all && may_cut(m->parts[i]);
	return all;
}

static double length_of(const float *x, int n) {
	double sum = 0;
	for (int i = 0; i < n; i++)
		sum += (double)x[i] * (double)x[i];
	return sqrt(sum);
}

static int may_have(struct tdm_model *m, struct tdm_run *run, int64_t dimensions, int width) {
	if (dimensions > width)
		return tdm_fail_param(&run->error, TDM_EVALUE, "dimensions",
		                      "dimensions: vectors of model %s have %d numbers, got %lld", m->name, width,
		                      (long long)dimensions);
	if (dimensions && dimensions != width && !may_cut(m))
		return tdm_fail_param(&run->error, TDM_EVALUE, "dimensions",
		                      "dimensions: vectors of model %s may not be cut (cuts_vectors); expected %d", m->name,
		                      width);
	return TDM_OK;
}

static int cut(struct tdm_run *run, int64_t dimensions, const float **x) {
	double length = length_of(*x, (int)dimensions);
	float *shorter = tdm_arena_array(run->arena, (size_t)dimensions, sizeof *shorter);
	if (!shorter)
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory for a vector");
	for (int i = 0; i < (int)dimensions; i++)
		shorter[i] = (float)((double)(*x)[i] / length);
	*x = shorter;
	return TDM_OK;
}

int tdm_vectors(struct tdm_model *m, struct tdm_run *run, const struct tdm_prompts *texts, int64_t dimensions,
                const float ***out, int *width) {
	size_t n = (size_t)texts->n;
	struct tdm_words *words = tdm_arena_array(run->arena, n, sizeof *words);
	const float **x = tdm_arena_array(run->arena, n, sizeof *x);
	if (!words || !x)
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory for vectors");
	for (size_t i = 0; i < n; i++)
		words[i] = (struct tdm_words){texts->items[i].message.text, texts->items[i].message.len};
	int status = tdm_embed_all(m, run, words, n, x, width);
	if (!status)
		status = may_have(m, run, dimensions, *width);
	bool shortens = !status && dimensions && dimensions != *width;
	*width = shortens ? (int)dimensions : *width;
	for (size_t i = 0; i < n && !status; i++) {
		status = shortens ? cut(run, dimensions, &x[i]) : TDM_OK;
		if (!status && !isfinite(length_of(x[i], *width)))
			status = tdm_fail(&run->error, TDM_EINTERNAL, "model %s made a vector that is none", m->name);
	}
	*out = x;
	return status;
}
