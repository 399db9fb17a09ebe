#include "learn/fit_probe.h"
#include "models/local/joint.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 30 };

// --- tokens of the pair

static int make_room(struct tdm_probe_data *d, size_t more, struct tdm_run *run) {
	if (d->n + more <= d->cap)
		return TDM_OK;
	size_t cap = 2 * (d->n + more), row = (size_t)(TDM_N_ROW_SIGNS + d->width);
	double *rows = realloc(d->rows, cap * row * sizeof *rows);
	d->rows = rows ? rows : d->rows;
	uint8_t *label = realloc(d->label, cap), *fold = NULL;
	d->label = label ? label : d->label;
	fold = realloc(d->fold, cap);
	d->fold = fold ? fold : d->fold;
	if (!rows || !label || !fold)
		return tdm_fail(&run->error, TDM_ENOMEM, "fit: no memory for %zu tokens", cap);
	d->cap = cap;
	return TDM_OK;
}

void tdm_probe_data_release(struct tdm_probe_data *d) {
	free(d->rows);
	free(d->label);
	free(d->fold);
	*d = (struct tdm_probe_data){0};
}

// The large model's answer, its end token included. *n: tokens.
static int write_answer(struct tdm_run *run, struct tdm_session *s, const struct tdm_request *request, int most,
                        int32_t *tokens, int *n) {
	int status = s->ops->prompt(s, run, request, NULL);
	for (*n = 0; status == TDM_OK && *n < most;) {
		int32_t token = tdm_argmax(s->ops->logits(s, 0), s->n_vocab);
		tokens[(*n)++] = token;
		if (s->ops->is_end(s, token) || s->prompt_tokens + *n >= s->context)
			break;
		status = s->ops->eval(s, run, &token, NULL, 1);
	}
	return status;
}

static int add_row(struct tdm_probe_data *d, struct tdm_session *s, int row, int32_t chosen, int fold) {
	const float *hidden = s->ops->hidden(s, row), *logits = s->ops->logits(s, row);
	double *out = d->rows + d->n * (size_t)(TDM_N_ROW_SIGNS + d->width);
	tdm_row_signs(logits, s->n_vocab, out);
	for (int i = 0; i < d->width; i++)
		out[TDM_N_ROW_SIGNS + i] = (double)hidden[i];
	d->label[d->n] = tdm_argmax(logits, s->n_vocab) != chosen;
	d->fold[d->n++] = (uint8_t)fold;
	return TDM_OK;
}

// The small model reads the prompt, then all but the last token in one pass.
static int read_answer(struct tdm_probe_data *d, struct tdm_run *run, struct tdm_session *s,
                       const struct tdm_request *request, const int32_t *tokens, int n, int fold) {
	int status = s->ops->prompt(s, run, request, NULL);
	if (status != TDM_OK)
		return status;
	if (d->n == 0)
		d->width = s->ops->hidden(s, 0) ? s->width : 0;
	status = make_room(d, (size_t)n, run);
	if (status != TDM_OK || n == 0)
		return status;
	add_row(d, s, 0, tokens[0], fold);
	if (n > 1)
		status = s->ops->eval(s, run, tokens, NULL, n - 1);
	for (int i = 1; status == TDM_OK && i < n; i++)
		add_row(d, s, i - 1, tokens[i], fold);
	return status;
}

int tdm_probe_data_add(struct tdm_probe_data *d, struct tdm_run *run, struct tdm_model *small, struct tdm_model *large,
                       const struct tdm_request *request, int max_tokens, int fold) {
	struct tdm_session *s = NULL, *l = NULL;
	int n = 0, status = small->ops->open(small, run, &s);
	int32_t *tokens = tdm_arena_array(run->arena, (size_t)max_tokens + 1, sizeof *tokens);
	if (status == TDM_OK && !tokens)
		status = tdm_fail(&run->error, TDM_ENOMEM, "fit: no memory for an answer");
	if (status == TDM_OK)
		status = large->ops->open(large, run, &l);
	if (status == TDM_OK)
		status = tdm_joint_check(run, "fit", s, l);
	if (status == TDM_OK)
		status = write_answer(run, l, request, max_tokens, tokens, &n);
	if (status == TDM_OK)
		status = read_answer(d, run, s, request, tokens, n, fold);
	if (s)
		s->ops->close(s);
	if (l)
		l->ops->close(l);
	return status;
}

// --- Newton's method

struct problem {
	const struct tdm_probe_data *d;
	int left_out, n; // n: features, without the bias, which is weight n
	double l2;
	double *weights, *gradient, *curve; // curve: (n + 1)² numbers, its lower half
};

static bool is_used(const struct problem *p, size_t i) {
	return p->left_out < 0 || p->d->fold[i] != p->left_out;
}

static double margin_of(const struct problem *p, const double *x) {
	double z = p->weights[p->n];
	for (int k = 0; k < p->n; k++)
		z += p->weights[k] * x[k];
	return z;
}

static void add_token(struct problem *p, const double *x, double error, double curve) {
	int m = p->n + 1;
	for (int j = 0; j < m; j++) {
		double xj = j < p->n ? x[j] : 1;
		p->gradient[j] += error * xj;
		for (int k = 0; k <= j; k++)
			p->curve[j * m + k] += curve * xj * (k < p->n ? x[k] : 1);
	}
}

static void measure(struct problem *p) {
	int m = p->n + 1;
	size_t width = (size_t)(TDM_N_ROW_SIGNS + p->d->width), used = 0;
	for (size_t i = 0; i < p->d->n; i++)
		used += is_used(p, i);
	memset(p->gradient, 0, (size_t)m * sizeof *p->gradient);
	memset(p->curve, 0, (size_t)m * (size_t)m * sizeof *p->curve);
	for (size_t i = 0; i < p->d->n; i++) {
		if (!is_used(p, i))
			continue;
		const double *x = p->d->rows + i * width;
		double score = 1 / (1 + exp(-margin_of(p, x)));
		add_token(p, x, (score - p->d->label[i]) / (double)used, fmax(score * (1 - score), 1e-6) / (double)used);
	}
	for (int j = 0; j < p->n; j++) {
		p->gradient[j] += p->l2 * p->weights[j];
		p->curve[j * m + j] += p->l2;
	}
	p->curve[m * m - 1] += 1e-9;
}

// Cholesky in place, then two triangular solutions: gradient becomes curve⁻¹ gradient.
static void solve(struct problem *p) {
	int m = p->n + 1;
	double *a = p->curve, *x = p->gradient;
	for (int j = 0; j < m; j++)
		for (int i = j; i < m; i++) {
			double sum = a[i * m + j];
			for (int k = 0; k < j; k++)
				sum -= a[i * m + k] * a[j * m + k];
			a[i * m + j] = i == j ? sqrt(fmax(sum, 1e-12)) : sum / a[j * m + j];
		}
	for (int i = 0; i < m; i++) {
		for (int k = 0; k < i; k++)
			x[i] -= a[i * m + k] * x[k];
		x[i] /= a[i * m + i];
	}
	for (int i = m - 1; i >= 0; i--) {
		for (int k = i + 1; k < m; k++)
			x[i] -= a[k * m + i] * x[k];
		x[i] /= a[i * m + i];
	}
}

// A step is shortened to a length that keeps the quadratic model honest.
static void minimise(struct problem *p) {
	for (int step = 0; step < MOST_STEPS; step++) {
		double square = 0;
		measure(p);
		solve(p);
		for (int k = 0; k <= p->n; k++)
			square += p->gradient[k] * p->gradient[k];
		double scale = square > 4 ? 2 / sqrt(square) : 1;
		for (int k = 0; k <= p->n; k++)
			p->weights[k] -= scale * p->gradient[k];
		if (square < 1e-16)
			return;
	}
}

// --- what it is worth

struct ranked {
	double score;
	bool differs;
};

static int by_score(const void *a, const void *b) {
	double x = ((const struct ranked *)a)->score, y = ((const struct ranked *)b)->score;
	return (x > y) - (x < y);
}

// Mann-Whitney: equal scores count half. r is sorted afterwards.
static double area(struct ranked *r, size_t n) {
	double wins = 0, same_before = 0, differ = 0;
	qsort(r, n, sizeof *r, by_score);
	for (size_t i = 0, end; i < n; i = end) {
		double here[2] = {0, 0};
		for (end = i; end < n && r[end].score == r[i].score; end++)
			here[r[end].differs]++;
		wins += here[1] * (same_before + here[0] / 2);
		same_before += here[0];
		differ += here[1];
	}
	return wins / (same_before * differ);
}

static double show(const struct problem *p, struct ranked *r, size_t *n, int sign) {
	size_t width = (size_t)(TDM_N_ROW_SIGNS + p->d->width);
	*n = 0;
	for (size_t i = 0; i < p->d->n; i++) {
		const double *x = p->d->rows + i * width;
		if (p->left_out < 0 || !is_used(p, i))
			r[(*n)++] = (struct ranked){sign < 0 ? 1 / (1 + exp(-margin_of(p, x))) : x[sign], p->d->label[i]};
	}
	return area(r, *n);
}

static void finish(const struct problem *p, struct ranked *r, struct tdm_probe *out, struct tdm_probe_report *report) {
	size_t n = 0;
	report->area_entropy = show(p, r, &n, TDM_ROW_ENTROPY);
	report->area_margin = show(p, r, &n, TDM_ROW_MARGIN);
	report->area = show(p, r, &n, -1);
	report->n = n;
	report->n_differ = 0;
	for (size_t i = 0; i < n; i++)
		report->n_differ += r[i].differs;
	for (int q = 0; q < TDM_N_QUANTILES && n; q++)
		out->quantiles[q] = r[(size_t)((double)q / (TDM_N_QUANTILES - 1) * (double)(n - 1))].score;
	out->bias = p->weights[p->n];
	for (int k = 0; k < p->n; k++)
		*(k < TDM_N_ROW_SIGNS ? &out->signs[k] : &out->hidden[k - TDM_N_ROW_SIGNS]) = p->weights[k];
}

int tdm_fit_probe(const struct tdm_probe_data *d, int left_out, bool with_hidden, double l2, struct tdm_arena *arena,
                  struct tdm_probe *out, struct tdm_probe_report *report, struct tdm_error *err) {
	struct problem p = {.d = d, .left_out = left_out, .l2 = l2};
	if (d->n == 0 || !(l2 > 0))
		return tdm_fail(err, TDM_EVALUE, "fit: expected tokens and a positive penalty, not %zu and %g", d->n, l2);
	*out = (struct tdm_probe){.width = with_hidden ? d->width : 0};
	p.n = TDM_N_ROW_SIGNS + out->width;
	size_t m = (size_t)p.n + 1;
	out->hidden = tdm_arena_array(arena, m, sizeof *out->hidden);
	p.weights = calloc(m * (m + 2), sizeof *p.weights);
	struct ranked *ranked = calloc(d->n, sizeof *ranked);
	bool ok = out->hidden && p.weights && ranked;
	if (ok) {
		p.gradient = p.weights + m;
		p.curve = p.gradient + m;
		minimise(&p);
		finish(&p, ranked, out, report);
	}
	free(p.weights);
	free(ranked);
	return ok ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "fit: no memory for %zu tokens", d->n);
}
