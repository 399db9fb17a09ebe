// The file of a router: read strictly, so that what scores is what was fitted; numbers as JSON, bits and the vectors of
// items (whole numbers, one byte each) as hexadecimal text. A new scorer: its part in `parts`, a case in the writer.
#include "models/predict/router.h"
#include "base/crypto.h"
#include "base/value.h"
#include <math.h>
#include <string.h>

#define FILE_LIMIT_BYTES ((size_t)128 << 20)
#define ARENA_LIMIT_BYTES ((size_t)1 << 30) // of the parsed file, while it is read

struct reading {
	const struct tdm_value *file;
	struct tdm_arena *arena;
	struct tdm_router *r;
};

// n numbers of the list `key` as floats in the arena; NULL: it has another number of them.
static float *take_floats(const struct reading *in, const char *key, size_t n) {
	const struct tdm_value *list = tdm_get(in->file, key);
	if (!list || list->type != TDM_LIST || list->n != n)
		return NULL;
	float *out = tdm_arena_array(in->arena, n ? n : 1, sizeof *out);
	for (size_t i = 0; out && i < n; i++) {
		if (list->items[i].type != TDM_NUMBER)
			return NULL;
		out[i] = (float)list->items[i].number;
	}
	return out;
}

static int digit(char c) {
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex(const struct tdm_value *v, size_t n, void *out) {
	unsigned char *to = out;
	if (!v || v->type != TDM_STRING || v->len != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = digit(v->text[2 * i]), low = digit(v->text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		to[i] = (unsigned char)(high * 16 + low);
	}
	return true;
}

static const char *read_rows(const struct reading *in) {
	struct tdm_router *r = in->r;
	size_t n = (size_t)r->n_models * (size_t)(tdm_router_inputs(r) + 1);
	const char *loss = tdm_get_string(in->file, "loss");
	r->is_linear = loss && !strcmp(loss, "square");
	r->quality = take_floats(in, "quality", n);
	if (!r->quality)
		return "a list quality with the weights of every model";
	if (!tdm_get(in->file, "cost"))
		return NULL;
	r->cost = take_floats(in, "cost", n);
	return r->cost ? NULL : "a list cost with the weights of every model, or none";
}

static bool read_vectors(struct tdm_router *r, const struct tdm_value *vectors, size_t width) {
	for (size_t i = 0; i < r->n_items; i++) {
		double sum = 0;
		signed char *x = r->vectors + i * width;
		if (!take_hex(&vectors->items[i], width, x))
			return false;
		for (size_t k = 0; k < width; k++)
			sum += (double)x[k] * (double)x[k];
		r->lengths[i] = (float)sqrt(sum);
	}
	return true;
}

static const char *read_items(const struct reading *in) {
	struct tdm_router *r = in->r;
	size_t width = (size_t)tdm_router_inputs(r), models = (size_t)r->n_models;
	const struct tdm_value *vectors = tdm_get(in->file, "vectors");
	r->n_items = vectors && vectors->type == TDM_LIST ? vectors->n : 0;
	if (r->n_items < 1 || r->n_items > TDM_ROUTER_ITEMS)
		return "a list vectors with 1 to 50000 items";
	r->vectors = tdm_arena_array(in->arena, r->n_items, width);
	r->lengths = tdm_arena_array(in->arena, r->n_items, sizeof *r->lengths);
	r->outcomes = take_floats(in, "outcomes", r->n_items * models);
	r->prices = take_floats(in, "prices", r->n_items * models);
	if (!r->vectors || !r->lengths || !r->outcomes || !r->prices)
		return "lists outcomes and prices with a number for every item and model";
	if (!read_vectors(r, vectors, width))
		return "vectors as hexadecimal text, two digits a number";
	double neighbours = tdm_get_number(in->file, "neighbours", r->scorer == TDM_ROUTER_KNN ? 0 : 1);
	r->neighbours = neighbours >= 1 && neighbours <= 256 ? (int)neighbours : 0;
	return r->neighbours ? NULL : "a number neighbours from 1 to 256";
}

static const char *read_factors(const struct reading *in) {
	struct tdm_router *r = in->r;
	double rank = tdm_get_number(in->file, "rank", 0);
	if (!(rank >= 1 && rank <= 1024))
		return "a number rank from 1 to 1024";
	r->rank = (int)rank;
	size_t n = (size_t)r->rank;
	r->projection = take_floats(in, "projection", n * (size_t)tdm_router_inputs(r));
	r->tables = take_floats(in, "tables", n * (size_t)r->n_models);
	r->join = take_floats(in, "join", n);
	return r->projection && r->tables && r->join ? NULL : "lists projection, tables and join that fit the rank";
}

static const char *read_models(const struct reading *in) {
	const struct tdm_value *names = tdm_get(in->file, "models"), *costs = tdm_get(in->file, "mean_cost");
	struct tdm_router *r = in->r;
	if (!names || names->type != TDM_LIST || names->n < 2 || names->n > TDM_ROUTER_MODELS)
		return "a list models with 2 to 16 names";
	if (!costs || costs->type != TDM_LIST || costs->n != names->n)
		return "a list mean_cost with a number for every model";
	r->n_models = (int)names->n;
	for (size_t m = 0; m < names->n; m++) {
		if (names->items[m].type != TDM_STRING || costs->items[m].type != TDM_NUMBER)
			return "names in models and numbers in mean_cost";
		r->models[m] = tdm_arena_string(in->arena, names->items[m].text);
		r->mean_cost[m] = costs->items[m].number;
	}
	return NULL;
}

static bool read_reads(const struct reading *in, bool has_width) {
	const char *reads = tdm_get_string(in->file, "reads");
	int found = 0;
	while (found < TDM_ROUTER_READS && (!reads || strcmp(reads, tdm_router_reads_names[found]) != 0))
		found++;
	in->r->reads = (enum tdm_router_reads)found;
	return found < TDM_ROUTER_READS && has_width == (found != TDM_ROUTER_READS_TEXT);
}

// The name of what is missing or wrong in the file; NULL when nothing is.
static const char *fill(const struct reading *in) {
	static const char *(*const parts[])(const struct reading *) = {read_rows, read_rows, read_items, read_items,
	                                                               read_factors};
	struct tdm_router *r = in->r;
	const char *scorer = tdm_get_string(in->file, "scorer");
	int found = 0;
	double width = tdm_get_number(in->file, "width", -1);
	if (tdm_get_number(in->file, "router", 0) != 1)
		return "router 1 (tandem fit-router makes such files)";
	while (found < TDM_ROUTER_SCORERS && (!scorer || strcmp(scorer, tdm_router_names[found]) != 0))
		found++;
	if (found == TDM_ROUTER_SCORERS)
		return "a scorer quality, gap, knn, similarity or mf";
	if (!(width >= 0 && width <= TDM_ROUTER_WIDTH))
		return "a number width from 0 to 8192";
	if (!read_reads(in, width > 0))
		return "reads: text with width 0, or vector, hidden or logits";
	r->scorer = (enum tdm_router_scorer)found;
	r->width = (int)width;
	const char *wrong = read_models(in);
	if (wrong)
		return wrong;
	if (!tdm_weights_quantiles(tdm_get(in->file, "scores"), r->by_score) ||
	    !tdm_weights_quantiles(tdm_get(in->file, "spend"), r->spend) ||
	    !tdm_weights_quantiles(tdm_get(in->file, "familiar"), r->by_familiar))
		return "scores, spend and familiar, each 101 ascending numbers";
	if (!take_hex(tdm_get(in->file, "words"), sizeof r->words, r->words))
		return "words, 16384 hexadecimal digits";
	return parts[found](in);
}

int tdm_router_read(struct tdm_arena *arena, const char *name, const char *data, size_t n, struct tdm_router **out,
                    struct tdm_error *err) {
	struct tdm_arena own;
	struct tdm_value *v = NULL;
	struct tdm_error why = {0};
	struct tdm_router *r = tdm_arena_alloc(arena, sizeof *r);
	if (!r)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for the router", name);
	tdm_arena_init(&own, ARENA_LIMIT_BYTES);
	int status = tdm_json_parse(&own, data, n, &v, &why);
	if (status)
		status = tdm_fail(err, TDM_EFORMAT, "%s: %s", name, why.text);
	const char *wrong = status ? NULL : fill(&(struct reading){v, arena, r});
	if (wrong)
		status = tdm_fail(err, TDM_EFORMAT, "%s: a router is expected to have %s", name, wrong);
	tdm_arena_release(&own);
	if (!status)
		*out = r;
	return status;
}

int tdm_router_open(const struct tdm_build *b, const char *name, struct tdm_router **out) {
	struct tdm_error why = {0};
	struct tdm_bytes file;
	int status = tdm_linear_file(b, name, FILE_LIMIT_BYTES, &file, &why);
	if (!status)
		status = tdm_router_read(b->arena, name, file.data, file.len, out, &why);
	tdm_bytes_release(&file);
	return status ? tdm_fail(b->error, TDM_ECONFIG, "%s: %s", b->where, why.text) : TDM_OK;
}

// --- the file, written

static void put_doubles(struct tdm_bytes *out, const char *name, const double *x, int n) {
	tdm_bytes_puts(out, ",\n");
	tdm_weights_put(out, name, x, (size_t)n);
}

static void put_floats(struct tdm_bytes *out, const char *name, const float *x, size_t n) {
	tdm_bytes_puts(out, ",\n");
	tdm_weights_put_floats(out, name, x, n);
}

static void put_hex(struct tdm_bytes *out, const void *data, size_t n) {
	char text[2 * 64 + 1];
	const unsigned char *bytes = data;
	tdm_bytes_putc(out, '"');
	for (size_t i = 0; i < n; i += 64) {
		tdm_hex(bytes + i, n - i < 64 ? n - i : 64, text);
		tdm_bytes_puts(out, text);
	}
	tdm_bytes_putc(out, '"');
}

static void put_items(const struct tdm_router *r, struct tdm_bytes *out) {
	size_t width = (size_t)tdm_router_inputs(r), cells = r->n_items * (size_t)r->n_models;
	if (r->scorer == TDM_ROUTER_KNN)
		tdm_bytes_printf(out, ",\n\"neighbours\":%d", r->neighbours);
	put_floats(out, "outcomes", r->outcomes, cells);
	put_floats(out, "prices", r->prices, cells);
	tdm_bytes_puts(out, ",\n\"vectors\":[");
	for (size_t i = 0; i < r->n_items; i++) {
		tdm_bytes_puts(out, i ? ",\n" : "");
		put_hex(out, r->vectors + i * width, width);
	}
	tdm_bytes_putc(out, ']');
}

static void put_scorer(const struct tdm_router *r, struct tdm_bytes *out) {
	size_t models = (size_t)r->n_models, inputs = (size_t)tdm_router_inputs(r), rank = (size_t)r->rank;
	switch (r->scorer) {
	case TDM_ROUTER_KNN:
	case TDM_ROUTER_SIMILARITY:
		put_items(r, out);
		return;
	case TDM_ROUTER_MF:
		tdm_bytes_printf(out, ",\n\"rank\":%d", r->rank);
		put_floats(out, "projection", r->projection, rank * inputs);
		put_floats(out, "tables", r->tables, rank * models);
		put_floats(out, "join", r->join, rank);
		return;
	default:
		tdm_bytes_puts(out, r->is_linear ? ",\n\"loss\":\"square\"" : "");
		put_floats(out, "quality", r->quality, models * (inputs + 1));
		if (r->cost)
			put_floats(out, "cost", r->cost, models * (inputs + 1));
	}
}

void tdm_router_write(const struct tdm_router *r, struct tdm_bytes *out) {
	tdm_bytes_printf(out, "{\"router\":1,\"scorer\":\"%s\",\"reads\":\"%s\",\"width\":%d,\"models\":[",
	                 tdm_router_names[r->scorer], tdm_router_reads_names[r->reads], r->width);
	for (int m = 0; m < r->n_models; m++) {
		tdm_bytes_puts(out, m ? "," : "");
		tdm_bytes_json(out, r->models[m], strlen(r->models[m]));
	}
	tdm_bytes_putc(out, ']');
	put_doubles(out, "mean_cost", r->mean_cost, r->n_models);
	put_doubles(out, "scores", r->by_score, TDM_N_QUANTILES);
	put_doubles(out, "spend", r->spend, TDM_N_QUANTILES);
	put_doubles(out, "familiar", r->by_familiar, TDM_N_QUANTILES);
	tdm_bytes_puts(out, ",\n\"words\":");
	put_hex(out, r->words, sizeof r->words);
	put_scorer(r, out);
	tdm_bytes_puts(out, "}\n");
}
