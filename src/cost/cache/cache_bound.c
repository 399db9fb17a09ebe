// Bound of a semantic cache: walks from several similarities downwards, all fixed before any pair is seen, as the
// procedure demands: few pairs are nearer than the first ones, and a walk ends where too few are.
#include "cost/cache/cache_bound.h"
#include "assure/control.h"
#include "base/file.h"
#include "base/value.h"
#include <math.h>
#include <string.h>

#define FILE_LIMIT_BYTES ((size_t)64 << 20)
#define STEP 0.005
#define LOWEST 0.5
#define MOST_STEPS 100
#define ROUNDING 1e-5 // two equal texts may differ by so much from 1

static int bad_line(const char *where, const char *path, int line, struct tdm_error *err) {
	return tdm_fail(err, TDM_ECONFIG, "%s: %s line %d: expected {\"a\": text, \"b\": text, \"same\": true or false}",
	                where, path, line);
}

static int read_line(struct tdm_arena *arena, const char *text, size_t n, struct tdm_cache_pairs *p) {
	struct tdm_value *v;
	struct tdm_error err = {0};
	if (tdm_json_parse(arena, text, n, &v, &err))
		return -1;
	const struct tdm_value *same = tdm_get(v, "same");
	p->a[p->n] = tdm_get_string(v, "a");
	p->b[p->n] = tdm_get_string(v, "b");
	if (!p->a[p->n] || !p->b[p->n] || !same || same->type != TDM_BOOL)
		return -1;
	p->loss[p->n++] = same->truth ? 0 : 1;
	return 0;
}

int tdm_cache_pairs_read(struct tdm_arena *arena, const char *path, const char *where, struct tdm_cache_pairs *out,
                         struct tdm_error *err) {
	struct tdm_bytes file;
	size_t n_lines = 1;
	int status = tdm_file_read(path, FILE_LIMIT_BYTES, &file, err), line = 0;
	for (size_t i = 0; !status && i < file.len; i++)
		n_lines += file.data[i] == '\n';
	*out = (struct tdm_cache_pairs){0};
	if (!status && (!(out->a = tdm_arena_array(arena, n_lines, sizeof *out->a)) ||
	                !(out->b = tdm_arena_array(arena, n_lines, sizeof *out->b)) ||
	                !(out->loss = tdm_arena_array(arena, n_lines, sizeof *out->loss))))
		status = tdm_fail(err, TDM_ENOMEM, "%s: out of memory for %s", where, path);
	for (const char *at = file.data; !status && at && *at; line++) {
		size_t n = strcspn(at, "\n");
		if (n && read_line(arena, at, n, out))
			status = bad_line(where, path, line + 1, err);
		at += n + (at[n] == '\n');
	}
	if (!status && !out->n)
		status = bad_line(where, path, 1, err);
	tdm_bytes_release(&file);
	return status;
}

int tdm_cache_embed(struct tdm_run *run, struct tdm_model *embedder, const char *text, size_t n, const float **out,
                    int *width) {
	return tdm_embed(embedder, run, text, n, out, width);
}

static int similarity(struct tdm_run *run, struct tdm_model *embedder, const char *a, const char *b, double *out) {
	const float *x, *y;
	int n, m;
	int status = tdm_cache_embed(run, embedder, a, strlen(a), &x, &n);
	if (!status)
		status = tdm_cache_embed(run, embedder, b, strlen(b), &y, &m);
	*out = ROUNDING;
	for (int i = 0; !status && i < n && n == m; i++)
		*out += (double)x[i] * (double)y[i];
	return status;
}

// The most permissive threshold that one of the walks reaches; each has its part of delta.
static int walk(const struct tdm_risk_claim *claim, const struct tdm_losses *items, struct tdm_cache_bound *out,
                struct tdm_error *err) {
	static const double starts[] = {0.99, 0.97, 0.95, 0.9, 0.8};
	const size_t n_starts = sizeof starts / sizeof starts[0];
	struct tdm_risk_claim part = {
	    .risk = claim->risk, .epsilon = claim->epsilon, .delta = claim->delta / (double)n_starts};
	int status = TDM_OK;
	*out = (struct tdm_cache_bound){INFINITY, 0};
	for (size_t s = 0; !status && s < n_starts; s++) {
		struct tdm_control found;
		double grid[MOST_STEPS];
		size_t n = 0;
		for (; n < MOST_STEPS && starts[s] - (double)n * STEP >= LOWEST; n++)
			grid[n] = starts[s] - (double)n * STEP;
		status = tdm_control_threshold(&part, items, grid, n, &found, err);
		if (!status && found.threshold < out->threshold)
			*out = (struct tdm_cache_bound){found.threshold, found.upper};
	}
	return status;
}

int tdm_cache_bound_find(struct tdm_run *run, struct tdm_model *embedder, const struct tdm_cache_pairs *pairs,
                         double epsilon, double delta, struct tdm_cache_bound *out) {
	double *gate = tdm_arena_array(run->arena, pairs->n, sizeof *gate);
	int status = gate ? TDM_OK : tdm_fail(&run->error, TDM_ENOMEM, "cache: out of memory for its pairs");
	for (size_t i = 0; !status && i < pairs->n; i++)
		status = similarity(run, embedder, pairs->a[i], pairs->b[i], &gate[i]);
	struct tdm_risk_claim claim = {.risk = TDM_RISK_SELECTIVE, .epsilon = epsilon, .delta = delta};
	struct tdm_losses items = {.loss = pairs->loss, .gate = gate, .n = pairs->n};
	return status ? status : walk(&claim, &items, out, &run->error);
}
