#include "models/predict/linear.h"
#include "base/file.h"
#include "base/value.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define FILE_LIMIT_BYTES ((size_t)4 << 20)

double tdm_linear_score(const struct tdm_linear *w, const struct tdm_seen *seen) {
	float features[TDM_N_FEATURES];
	double z = w->bias;
	tdm_features(w->reads, seen, features);
	for (int i = 0; i < tdm_n_features(w->reads); i++)
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

bool tdm_weights_quantiles(const struct tdm_value *list, double out[TDM_N_QUANTILES]) {
	if (!tdm_value_numbers(list, TDM_N_QUANTILES, out))
		return false;
	for (size_t i = 1; i < TDM_N_QUANTILES; i++)
		if (out[i] < out[i - 1])
			return false;
	return true;
}

static bool read_floats(const struct tdm_value *list, size_t n, float *out) {
	double numbers[TDM_N_ASKED * TDM_N_SIGNS > TDM_N_GRAMS ? TDM_N_ASKED * TDM_N_SIGNS : TDM_N_GRAMS];
	if (!tdm_value_numbers(list, n, numbers))
		return false;
	for (size_t i = 0; i < n; i++)
		out[i] = (float)numbers[i];
	return true;
}

static bool read_signs(const struct tdm_value *table, float *out) {
	for (int i = 0; i < TDM_N_SIGNS; i++)
		out[i] = (float)tdm_get_number(table, tdm_sign_name(i), NAN);
	for (int i = 0; i < TDM_N_SIGNS; i++)
		if (isnan(out[i]))
			return false;
	return true;
}

// The name of what is missing or wrong in the part for the answer; NULL when nothing is.
static const char *fill_answer(struct tdm_linear *w, const struct tdm_value *v) {
	if (!v)
		return NULL;
	w->reads = TDM_READS_ANSWER;
	if (!read_floats(tdm_get(v, "grams"), TDM_N_GRAMS, w->weights + TDM_FEATURE_ANSWER))
		return "a list answer.grams of 4096 numbers";
	if (!read_signs(tdm_get(v, "signs"), w->weights + TDM_FEATURE_SIGNS))
		return "a number in answer.signs for every sign of trust";
	if (!read_floats(tdm_get(v, "pairs"), TDM_N_SIGN_PAIRS, w->weights + TDM_FEATURE_PAIRS))
		return "a list answer.pairs with a number for every pair of signs";
	if (!read_floats(tdm_get(v, "asked"), TDM_N_ASKED * TDM_N_SIGNS, w->weights + TDM_FEATURE_ASKED))
		return "a list answer.asked with 128 numbers for every sign";
	return NULL;
}

// The name of what is missing or wrong in the file; NULL when nothing is.
static const char *fill(struct tdm_linear *w, const struct tdm_value *v) {
	const struct tdm_value *extra = tdm_get(v, "features"), *quantiles = tdm_get(v, "quantiles");
	w->bias = tdm_get_number(v, "bias", NAN);
	double length = tdm_get_number(extra, "length", NAN), digits = tdm_get_number(extra, "digits", NAN);
	if (tdm_get_number(v, "version", 0) != 1)
		return "version 1";
	if (isnan(w->bias) || isnan(length) || isnan(digits))
		return "numbers bias, features.length and features.digits";
	if (!read_floats(tdm_get(v, "grams"), TDM_N_GRAMS, w->weights))
		return "a list grams of 4096 numbers";
	if (!tdm_weights_quantiles(tdm_get(quantiles, "linear"), w->by_score) ||
	    !tdm_weights_quantiles(tdm_get(quantiles, "length"), w->by_length))
		return "quantiles.linear and quantiles.length, each 101 ascending numbers";
	w->weights[TDM_FEATURE_LENGTH] = (float)length;
	w->weights[TDM_FEATURE_DIGITS] = (float)digits;
	return fill_answer(w, tdm_get(v, "answer"));
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
		return tdm_fail(err, TDM_EFORMAT, "%s: weights of a scorer are expected to have %s", name, wrong);
	*out = w;
	return TDM_OK;
}

// --- the weights that a kind's option names

int tdm_linear_file(const struct tdm_build *b, const char *name, size_t limit, struct tdm_bytes *out,
                    struct tdm_error *why) {
	static const char embedded[] = "embedded:";
	if (!strncmp(name, embedded, sizeof embedded - 1)) {
		size_t n = 0;
		const char *data = b->embedded ? b->embedded(name + sizeof embedded - 1, &n) : NULL;
		tdm_bytes_init(out, n + 1);
		if (!data)
			return tdm_fail(why, TDM_ECONFIG, "this program contains no weights %s", name);
		tdm_bytes_add(out, data, n);
		return out->failed ? tdm_fail(why, TDM_ENOMEM, "no memory for the weights %s", name) : TDM_OK;
	}
	const char *path = name[0] == '/' || !b->folder ? name : tdm_arena_printf(b->arena, "%s/%s", b->folder, name);
	return tdm_file_read(path ? path : name, limit, out, why);
}

static int read_named(const struct tdm_build *b, const char *name, struct tdm_linear **out, struct tdm_error *why) {
	struct tdm_bytes file;
	int status = tdm_linear_file(b, name, FILE_LIMIT_BYTES, &file, why);
	if (status == TDM_OK)
		status = tdm_linear_read(b->arena, name, file.data, file.len, out, why);
	tdm_bytes_release(&file);
	return status;
}

int tdm_linear_open(const struct tdm_build *b, const char *name, enum tdm_reads reads, struct tdm_linear **out) {
	struct tdm_error why = {0};
	if (read_named(b, name, out, &why) != TDM_OK)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s", b->where, why.text);
	if ((*out)->reads == reads)
		return TDM_OK;
	return tdm_fail(b->error, TDM_ECONFIG, "%s: %s: these weights judge %s, kind %s needs some that judge %s", b->where,
	                name, reads == TDM_READS_ANSWER ? "questions alone" : "answers", b->kind->name,
	                reads == TDM_READS_ANSWER ? "answers (tandem fit --for cascade makes them)"
	                                          : "questions alone (tandem fit --for route makes them)");
}

// --- the file, written

void tdm_weights_put(struct tdm_bytes *out, const char *name, const double *x, size_t n) {
	tdm_bytes_printf(out, "\"%s\":[", name);
	for (size_t i = 0; i < n; i++) {
		tdm_bytes_puts(out, i ? "," : "");
		tdm_bytes_number(out, x[i]);
	}
	tdm_bytes_putc(out, ']');
}

void tdm_weights_put_floats(struct tdm_bytes *out, const char *name, const float *x, size_t n) {
	tdm_bytes_printf(out, "\"%s\":[", name);
	for (size_t i = 0; i < n; i++)
		tdm_bytes_printf(out, "%s%.6g", i ? "," : "", (double)x[i]);
	tdm_bytes_putc(out, ']');
}

static void write_answer(struct tdm_bytes *out, const float *weights) {
	tdm_bytes_puts(out, "\"answer\":{\"signs\":{");
	for (int i = 0; i < TDM_N_SIGNS; i++)
		tdm_bytes_printf(out, "%s\"%s\":%.6g", i ? "," : "", tdm_sign_name(i), (double)weights[TDM_FEATURE_SIGNS + i]);
	tdm_bytes_puts(out, "},\n");
	tdm_weights_put_floats(out, "pairs", weights + TDM_FEATURE_PAIRS, TDM_N_SIGN_PAIRS);
	tdm_bytes_puts(out, ",\n");
	tdm_weights_put_floats(out, "asked", weights + TDM_FEATURE_ASKED, TDM_N_ASKED * TDM_N_SIGNS);
	tdm_bytes_puts(out, ",\n");
	tdm_weights_put_floats(out, "grams", weights + TDM_FEATURE_ANSWER, TDM_N_GRAMS);
	tdm_bytes_puts(out, "},\n");
}

void tdm_linear_write(const struct tdm_linear *w, struct tdm_bytes *out) {
	tdm_bytes_puts(out, "{\"version\":1,\"bias\":");
	tdm_bytes_number(out, w->bias);
	tdm_bytes_printf(out, ",\"features\":{\"length\":%.6g,\"digits\":%.6g},\n\"quantiles\":{",
	                 (double)w->weights[TDM_FEATURE_LENGTH], (double)w->weights[TDM_FEATURE_DIGITS]);
	tdm_weights_put(out, "linear", w->by_score, TDM_N_QUANTILES);
	tdm_bytes_putc(out, ',');
	tdm_weights_put(out, "length", w->by_length, TDM_N_QUANTILES);
	tdm_bytes_puts(out, "},\n");
	if (w->reads == TDM_READS_ANSWER)
		write_answer(out, w->weights);
	tdm_weights_put_floats(out, "grams", w->weights, TDM_N_GRAMS);
	tdm_bytes_puts(out, "}\n");
}
