#include "models/predict/probe.h"
#include "base/value.h"
#include <math.h>
#include <string.h>

#define FILE_LIMIT_BYTES ((size_t)4 << 20)
#define MOST_ODDS 20.0
#define MOST_WIDTH 65536

const char *const tdm_row_sign_names[TDM_N_ROW_SIGNS] = {
    "entropy", "margin", "first", "log", "second", "odds",
};

void tdm_row_signs(const float *z, int n, double out[TDM_N_ROW_SIGNS]) {
	double first = -INFINITY, second = -INFINITY, sum = 0, weighted = 0;
	for (int i = 0; i < n; i++) {
		double x = (double)z[i];
		second = fmax(second, fmin(x, first));
		first = fmax(first, x);
	}
	for (int i = 0; i < n; i++) {
		double d = (double)z[i] - first, e = exp(d);
		sum += e;
		weighted += e > 0 ? e * d : 0;
	}
	double p1 = 1 / sum, p2 = exp(second - first) / sum;
	out[TDM_ROW_ENTROPY] = log(sum) - weighted / sum;
	out[TDM_ROW_MARGIN] = 1 - (p1 - p2);
	out[TDM_ROW_FIRST] = 1 - p1;
	out[TDM_ROW_LOG] = log(sum);
	out[TDM_ROW_SECOND] = p2;
	out[TDM_ROW_ODDS] = fmin(first - second, MOST_ODDS);
}

double tdm_probe_score(const struct tdm_probe *p, const float *logits, int n, const float *hidden) {
	double signs[TDM_N_ROW_SIGNS], z = p->bias;
	tdm_row_signs(logits, n, signs);
	for (int i = 0; i < TDM_N_ROW_SIGNS; i++)
		z += p->signs[i] * signs[i];
	for (int i = 0; i < p->width; i++)
		z += p->hidden[i] * (double)hidden[i];
	return 1 / (1 + exp(-z));
}

// --- the file

// The name of what is missing or wrong in the file; NULL when nothing is.
static const char *fill(struct tdm_arena *arena, struct tdm_probe *p, const struct tdm_value *v) {
	const struct tdm_value *probe = tdm_get(v, "probe"), *signs = tdm_get(probe, "signs");
	const struct tdm_value *hidden = tdm_get(probe, "hidden");
	if (tdm_get_number(v, "version", 0) != 1 || !probe)
		return "version 1 and a probe";
	p->bias = tdm_get_number(probe, "bias", NAN);
	if (isnan(p->bias))
		return "a number probe.bias";
	for (int i = 0; i < TDM_N_ROW_SIGNS; i++) {
		p->signs[i] = tdm_get_number(signs, tdm_row_sign_names[i], NAN);
		if (isnan(p->signs[i]))
			return "a number in probe.signs for every sign";
	}
	if (!hidden || hidden->type != TDM_LIST || hidden->n > MOST_WIDTH)
		return "a list probe.hidden of numbers";
	p->width = (int)hidden->n;
	p->hidden = tdm_arena_array(arena, hidden->n + 1, sizeof *p->hidden);
	if (!p->hidden || !tdm_value_numbers(hidden, hidden->n, p->hidden))
		return "a list probe.hidden of numbers";
	if (!tdm_weights_quantiles(tdm_get(v, "quantiles"), p->quantiles))
		return "a list quantiles of 101 ascending numbers";
	return NULL;
}

int tdm_probe_read(struct tdm_arena *arena, const char *name, const char *data, size_t n, struct tdm_probe **out,
                   struct tdm_error *err) {
	struct tdm_value *v = NULL;
	struct tdm_error why = {0};
	if (tdm_json_parse(arena, data, n, &v, &why))
		return tdm_fail(err, TDM_EFORMAT, "%s: %s", name, why.text);
	struct tdm_probe *p = tdm_arena_alloc(arena, sizeof *p);
	if (!p)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for a probe", name);
	const char *wrong = fill(arena, p, v);
	if (wrong)
		return tdm_fail(err, TDM_EFORMAT, "%s: a probe is expected to have %s", name, wrong);
	*out = p;
	return TDM_OK;
}

static int read_named(const struct tdm_build *b, const char *name, struct tdm_probe **out, struct tdm_error *why) {
	struct tdm_bytes file;
	int status = tdm_linear_file(b, name, FILE_LIMIT_BYTES, &file, why);
	if (status == TDM_OK)
		status = tdm_probe_read(b->arena, name, file.data, file.len, out, why);
	tdm_bytes_release(&file);
	return status;
}

int tdm_probe_open(const struct tdm_build *b, const char *name, struct tdm_probe **out) {
	struct tdm_error why = {0};
	if (read_named(b, name, out, &why) != TDM_OK)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s", b->where, why.text);
	return TDM_OK;
}

static void write_list(struct tdm_bytes *out, const char *name, const double *x, int n) {
	tdm_bytes_printf(out, "\"%s\":[", name);
	for (int i = 0; i < n; i++)
		tdm_bytes_printf(out, "%s%.9g", i ? "," : "", x[i]);
	tdm_bytes_putc(out, ']');
}

void tdm_probe_write(const struct tdm_probe *p, struct tdm_bytes *out) {
	tdm_bytes_printf(out, "{\"version\":1,\"probe\":{\"bias\":%.9g,\"signs\":{", p->bias);
	for (int i = 0; i < TDM_N_ROW_SIGNS; i++)
		tdm_bytes_printf(out, "%s\"%s\":%.9g", i ? "," : "", tdm_row_sign_names[i], p->signs[i]);
	tdm_bytes_puts(out, "},\n");
	write_list(out, "hidden", p->hidden, p->width);
	tdm_bytes_puts(out, "},\n");
	write_list(out, "quantiles", p->quantiles, TDM_N_QUANTILES);
	tdm_bytes_puts(out, "}\n");
}
