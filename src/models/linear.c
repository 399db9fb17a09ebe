#include "models/linear.h"
#include "base/value.h"
#include <stdbool.h>
#include <math.h>

double tdm_linear_score(const struct tdm_linear *w, const float features[TDM_N_FEATURES]) {
	double z = w->bias;
	for (int i = 0; i < TDM_N_FEATURES; i++)
		z += (double)w->weights[i] * (double)features[i];
	return 1 / (1 + exp(-z));
}

double tdm_linear_threshold(const double quantiles[TDM_N_QUANTILES], double rate) {
	if (rate <= 0)
		return INFINITY;
	if (rate >= 1)
		return -INFINITY;
	double at = (1 - rate) * (TDM_N_QUANTILES - 1);
	int below = (int)at;
	return quantiles[below] + (at - below) * (quantiles[below + 1] - quantiles[below]);
}

static bool read_numbers(const struct tdm_value *list, size_t n, double *out) {
	if (!list || list->type != TDM_LIST || list->n != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (list->items[i].type != TDM_NUMBER)
			return false;
		out[i] = list->items[i].number;
	}
	return true;
}

static bool is_ascending(const double *x, size_t n) {
	for (size_t i = 1; i < n; i++)
		if (x[i] < x[i - 1])
			return false;
	return true;
}

// The name of what is missing or wrong in the file; NULL when nothing is.
static const char *fill(struct tdm_linear *w, const struct tdm_value *v) {
	double grams[TDM_N_GRAMS];
	const struct tdm_value *extra = tdm_get(v, "features"), *quantiles = tdm_get(v, "quantiles");
	w->bias = tdm_get_number(v, "bias", NAN);
	double length = tdm_get_number(extra, "length", NAN), digits = tdm_get_number(extra, "digits", NAN);
	if (tdm_get_number(v, "version", 0) != 1)
		return "version 1";
	if (isnan(w->bias) || isnan(length) || isnan(digits))
		return "numbers bias, features.length and features.digits";
	if (!read_numbers(tdm_get(v, "grams"), TDM_N_GRAMS, grams))
		return "a list grams of 4096 numbers";
	if (!read_numbers(tdm_get(quantiles, "linear"), TDM_N_QUANTILES, w->by_score) ||
	    !read_numbers(tdm_get(quantiles, "length"), TDM_N_QUANTILES, w->by_length) ||
	    !is_ascending(w->by_score, TDM_N_QUANTILES) || !is_ascending(w->by_length, TDM_N_QUANTILES))
		return "quantiles.linear and quantiles.length, each 101 ascending numbers";
	for (int i = 0; i < TDM_N_GRAMS; i++)
		w->weights[i] = (float)grams[i];
	w->weights[TDM_FEATURE_LENGTH] = (float)length;
	w->weights[TDM_FEATURE_DIGITS] = (float)digits;
	return NULL;
}

int tdm_linear_read(struct tdm_arena *arena, const char *name, const char *data, size_t n, struct tdm_linear **out,
                    struct tdm_error *err) {
	struct tdm_value *v = NULL;
	struct tdm_error why = {0};
	if (tdm_json_parse(arena, data, n, &v, &why))
		return tdm_fail(err, TDM_EFORMAT, "%s: %s", name, why.text);
	struct tdm_linear *w = tdm_arena_alloc(arena, sizeof *w);
	if (!w)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for the weights", name);
	const char *wrong = fill(w, v);
	if (wrong)
		return tdm_fail(err, TDM_EFORMAT, "%s: weights of a router are expected to have %s", name, wrong);
	*out = w;
	return TDM_OK;
}

static void write_list(struct tdm_bytes *out, const char *name, const double *x) {
	tdm_bytes_printf(out, "\"%s\":[", name);
	for (int i = 0; i < TDM_N_QUANTILES; i++) {
		tdm_bytes_puts(out, i ? "," : "");
		tdm_bytes_number(out, x[i]);
	}
	tdm_bytes_putc(out, ']');
}

void tdm_linear_write(const struct tdm_linear *w, struct tdm_bytes *out) {
	tdm_bytes_puts(out, "{\"version\":1,\"bias\":");
	tdm_bytes_number(out, w->bias);
	tdm_bytes_printf(out, ",\"features\":{\"length\":%.6g,\"digits\":%.6g},\n\"quantiles\":{",
	                 (double)w->weights[TDM_FEATURE_LENGTH], (double)w->weights[TDM_FEATURE_DIGITS]);
	write_list(out, "linear", w->by_score);
	tdm_bytes_putc(out, ',');
	write_list(out, "length", w->by_length);
	tdm_bytes_puts(out, "},\n\"grams\":[");
	for (int i = 0; i < TDM_N_GRAMS; i++)
		tdm_bytes_printf(out, "%s%.6g", i ? "," : "", (double)w->weights[i]);
	tdm_bytes_puts(out, "]}\n");
}
