// Matrix products of a pass: up to three matrices with the same input are one job for all threads.
#include "engine/decoder_parts.h"

struct product {
	const struct tdm_kernels *kernels;
	struct tdm_columns columns;
	int n_targets, n_groups;
	const struct tdm_linear *linears[TDM_MAX_TARGETS];
	float *out[TDM_MAX_TARGETS][TDM_MAX_ROWS];
};

static void multiply_part(void *arg, int part, int n_parts) {
	const struct product *p = arg;
	int from = (int)((int64_t)p->n_groups * part / n_parts), to = (int)((int64_t)p->n_groups * (part + 1) / n_parts);
	for (int i = 0; i < p->n_targets && to > 0; i++) {
		const struct tdm_matrix *m = &p->linears[i]->m;
		int n = m->n_groups, end = to < n ? to : n;
		if (from < end)
			p->kernels->multiply(m, from, end, &p->columns, p->out[i]);
		from = from > n ? from - n : 0;
		to -= n;
	}
}

static void quantize(struct tdm_decoder *d, const void *what, int row) {
	const struct product *p = what;
	p->kernels->quantize(&p->columns, row);
}

static void set_columns(struct tdm_decoder *d, struct product *p, const float *x, size_t stride, int n) {
	bool is_quantized = false;
	for (int i = 0; i < p->n_targets; i++)
		is_quantized |= p->linears[i]->m.is_blocks;
	p->columns = (struct tdm_columns){n, stride, x, d->quantized, d->blocks};
	if (is_quantized)
		tdm_decoder_rows(d, quantize, p, n, stride);
}

static void multiply(struct tdm_decoder *d, struct product *p, const float *x, size_t stride, int n) {
	size_t bytes = 0;
	p->kernels = d->w->kernels;
	p->n_groups = 0;
	for (int i = 0; i < p->n_targets; i++) {
		p->n_groups += p->linears[i]->m.n_groups;
		bytes += p->linears[i]->m.group_bytes * (size_t)p->linears[i]->m.n_groups;
	}
	set_columns(d, p, x, stride, n);
	tdm_decoder_parts(d, multiply_part, p, bytes * (size_t)n);
	for (int i = 0; i < p->n_targets; i++)
		for (int row = 0; row < n && p->linears[i]->bias; row++)
			p->kernels->add(p->out[i][row], p->linears[i]->bias, tdm_pad(p->linears[i]->m.n_rows, TDM_LANES));
}

// --- adapters

static void multiply_floats(const struct tdm_decoder *d, const struct tdm_matrix *m, const float *x, size_t stride,
                            int n, float *to, size_t to_stride) {
	struct tdm_columns columns = {.n = n, .stride = stride, .x = x};
	float *out[TDM_MAX_ROWS];
	for (int i = 0; i < n; i++)
		out[i] = to + (size_t)i * to_stride;
	d->w->kernels->multiply(m, 0, m->n_groups, &columns, out);
}

// Adds what the rows' adapters change; neighbours with the same one are multiplied together.
static void adapt(struct tdm_decoder *d, const float *x, size_t stride, int n, const struct tdm_target *target) {
	for (int first = 0, end; first < n; first = end) {
		const struct tdm_adapter *adapter = d->rows[first].adapter;
		for (end = first + 1; end < n && d->rows[end].adapter == adapter; end++)
			;
		const struct tdm_low_rank *pair = adapter ? &adapter->pairs[target->linear->place] : NULL;
		if (!pair || !pair->b.n_rows)
			continue;
		multiply_floats(d, &pair->a, x + (size_t)first * stride, stride, end - first, d->low, TDM_MOST_RANK);
		multiply_floats(d, &pair->b, d->low, TDM_MOST_RANK, end - first, d->change, d->columns_width);
		for (int i = first; i < end; i++)
			d->w->kernels->add(target->out + (size_t)i * target->stride,
			                   d->change + (size_t)(i - first) * d->columns_width, tdm_pad(pair->b.n_rows, TDM_LANES));
	}
}

void tdm_decoder_multiply(struct tdm_decoder *d, const float *x, size_t stride, int n, const struct tdm_target *targets,
                          int n_targets) {
	struct product p;
	p.n_targets = n_targets;
	for (int i = 0; i < n_targets; i++) {
		p.linears[i] = targets[i].linear;
		for (int row = 0; row < n; row++)
			p.out[i][row] = targets[i].out + (size_t)row * targets[i].stride;
	}
	multiply(d, &p, x, stride, n);
	for (int i = 0; i < n_targets && d->rows; i++)
		adapt(d, x, stride, n, &targets[i]);
}

void tdm_decoder_multiply_to(struct tdm_decoder *d, const float *x, size_t stride, int n,
                             const struct tdm_linear *linear, float *const *out) {
	struct product p = {.n_targets = 1, .linears = {linear}};
	for (int row = 0; row < n; row++)
		p.out[0][row] = out[row];
	multiply(d, &p, x, stride, n);
}
