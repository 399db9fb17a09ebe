// Telemetry's figures: client histograms per remote, server histograms per local model. The GenAI conventions are being
// renamed, so every name stands in one table with two columns; `telemetry.names` says which one is sent.
#include "base/clock.h"
#include "models/sources.h"
#include "serve/watch/telemetry_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_FIGURES 1000
#define MOST_BOUNDS 16

static const double tokens[] = {1,     4,     16,     64,      256,     1024,     4096,
                                16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
static const double seconds[] = {0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
static const double first_token[] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                     0.25,  0.5,   0.75, 1,    2.5,  5,    7.5,  10};
static const double per_token[] = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5};

enum name {
	INPUT,
	OUTPUT,
	INPUT_SUM,
	OUTPUT_SUM,
	CACHED_SUM,
	DURATION,
	FIRST_CHUNK,
	PER_CHUNK,
	SERVED,
	FIRST_TOKEN,
	PER_TOKEN
};

#define BOUNDS(b) b, sizeof b / sizeof b[0]
static const struct row {
	const char *names[2]; // current, next; NULL: it is not sent under these names
	const char *type;     // gen_ai.token.type of the current one
	const char *unit;
	const double *bounds; // NULL: a counter
	size_t n_bounds;
} rows[] = {
    [INPUT] = {{"gen_ai.client.token.usage", "gen_ai.client.inference.operation.input_tokens"},
               "input",
               "{token}",
               BOUNDS(tokens)},
    [OUTPUT] = {{"gen_ai.client.token.usage", "gen_ai.client.inference.operation.output_tokens"},
                "output",
                "{token}",
                BOUNDS(tokens)},
    [INPUT_SUM] = {{NULL, "gen_ai.client.inference.usage.input_tokens"}, NULL, "{token}", NULL, 0},
    [OUTPUT_SUM] = {{NULL, "gen_ai.client.inference.usage.output_tokens"}, NULL, "{token}", NULL, 0},
    [CACHED_SUM] = {{NULL, "gen_ai.client.inference.usage.cache_read.input_tokens"}, NULL, "{token}", NULL, 0},
    [DURATION] = {{"gen_ai.client.operation.duration", "gen_ai.client.inference.duration"}, NULL, "s", BOUNDS(seconds)},
    [FIRST_CHUNK] = {{"gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.inference.time_to_first_chunk"},
                     NULL,
                     "s",
                     BOUNDS(seconds)},
    [PER_CHUNK] = {{"gen_ai.client.operation.time_per_output_chunk", "gen_ai.client.inference.time_per_output_chunk"},
                   NULL,
                   "s",
                   BOUNDS(seconds)},
    [SERVED] = {{"gen_ai.server.request.duration", "gen_ai.server.request.duration"}, NULL, "s", BOUNDS(seconds)},
    [FIRST_TOKEN] = {{"gen_ai.server.time_to_first_token", "gen_ai.server.time_to_first_token"},
                     NULL,
                     "s",
                     BOUNDS(first_token)},
    [PER_TOKEN] = {{"gen_ai.server.time_per_output_token", "gen_ai.server.time_per_output_token"},
                   NULL,
                   "s",
                   BOUNDS(per_token)},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

struct figure {
	struct figure *next;
	char *attributes;
	double sum;
	uint64_t n, count[MOST_BOUNDS + 1];
};

struct tdm_figures {
	int names;
	size_t n;
	struct figure *of[N_ROWS];
};

struct tdm_figures *tdm_figures_new(int names) {
	struct tdm_figures *f = calloc(1, sizeof *f);
	if (f)
		f->names = names;
	return f;
}

void tdm_figures_free(struct tdm_figures *f) {
	for (size_t i = 0; f && i < N_ROWS; i++)
		for (struct figure *at = f->of[i], *next; at; at = next) {
			next = at->next;
			free(at->attributes);
			free(at);
		}
	free(f);
}

// --- counting

static struct figure *find(struct tdm_figures *f, enum name name, const char *attributes) {
	for (struct figure *at = f->of[name]; at; at = at->next)
		if (!strcmp(at->attributes, attributes))
			return at;
	struct figure *new = f->n < MOST_FIGURES ? calloc(1, sizeof *new) : NULL;
	if (!new || !(new->attributes = strdup(attributes))) {
		free(new);
		return NULL;
	}
	f->n++;
	new->next = f->of[name];
	return f->of[name] = new;
}

static void see(struct tdm_figures *f, enum name name, const char *attributes, double value) {
	const struct row *row = &rows[name];
	struct figure *figure = row->names[f->names] ? find(f, name, attributes) : NULL;
	size_t at = 0;
	if (!figure)
		return;
	while (at < row->n_bounds && value > row->bounds[at])
		at++;
	figure->count[at]++;
	figure->n++;
	figure->sum += value;
}

static void put_attributes(struct tdm_bytes *out, const struct tdm_told *told, const struct tdm_span *s,
                           const struct tdm_remote_place *place, int names) {
	char host[256];
	bool embeds = s->purpose && !strcmp(s->purpose, "embed");
	tdm_otlp_text(out, "gen_ai.operation.name", embeds ? "embeddings" : told->operation);
	tdm_otlp_text(out, "gen_ai.provider.name", place ? place->provider : "tandem");
	tdm_otlp_text(out, "gen_ai.request.model", place ? place->model : s->model->name);
	if (place) {
		snprintf(host, sizeof host, "%.*s", (int)place->n_host, place->host);
		tdm_otlp_text(out, "server.address", host);
		tdm_otlp_integer(out, "server.port", place->port);
	}
	if (names && place)
		tdm_otlp_text(out, "gen_ai.token.modality", "text");
	tdm_otlp_text(out, "error.type", s->error);
}

static void count_times(struct tdm_figures *f, const struct tdm_span *s, bool is_remote, const char *attributes) {
	double all = (double)(s->ended_us - s->started_us) / 1e6, first = (double)(s->first_us - s->started_us) / 1e6;
	int64_t n = is_remote ? s->n_pieces : s->completion_tokens;
	see(f, is_remote ? DURATION : SERVED, attributes, all);
	if (s->first_us)
		see(f, is_remote ? FIRST_CHUNK : FIRST_TOKEN, attributes, first);
	if (s->first_us && n > 1)
		see(f, is_remote ? PER_CHUNK : PER_TOKEN, attributes, (all - first) / (double)(n - 1));
}

static void count_tokens(struct tdm_figures *f, const struct tdm_span *s, const char *attributes) {
	see(f, INPUT, attributes, (double)s->prompt_tokens);
	see(f, OUTPUT, attributes, (double)s->completion_tokens);
	see(f, INPUT_SUM, attributes, (double)s->prompt_tokens);
	see(f, OUTPUT_SUM, attributes, (double)s->completion_tokens);
	if (s->cached_tokens)
		see(f, CACHED_SUM, attributes, (double)s->cached_tokens);
}

void tdm_figures_count(struct tdm_figures *f, const struct tdm_told *told) {
	struct tdm_bytes attributes;
	tdm_bytes_init(&attributes, 8192);
	for (int i = 0; i < told->spans->n; i++) {
		const struct tdm_span *s = &told->spans->items[i];
		struct tdm_remote_place place;
		bool is_remote = tdm_remote_place(s->model, &place);
		if (s->model->n_parts || !s->ended_us) // a strategy: its parts count
			continue;
		tdm_bytes_clear(&attributes);
		put_attributes(&attributes, told, s, is_remote ? &place : NULL, f->names);
		if (attributes.failed)
			continue;
		count_times(f, s, is_remote, attributes.data);
		if (is_remote)
			count_tokens(f, s, attributes.data);
	}
	tdm_bytes_release(&attributes);
}

// --- as OTLP

static void put_point(struct tdm_bytes *out, const struct row *row, const struct figure *f, int names,
                      const char *times) {
	tdm_bytes_printf(out, "{%s,\"attributes\":[%s", times, f->attributes);
	if (!names && row->type)
		tdm_otlp_text(out, "gen_ai.token.type", row->type);
	tdm_otlp_end(out, ']');
	if (!row->bounds) {
		tdm_bytes_printf(out, ",\"asInt\":\"%lld\"},", (long long)f->sum);
		return;
	}
	tdm_bytes_printf(out, ",\"count\":\"%llu\",\"sum\":", (unsigned long long)f->n);
	tdm_bytes_number(out, f->sum);
	tdm_bytes_puts(out, ",\"bucketCounts\":[");
	for (size_t i = 0; i <= row->n_bounds; i++)
		tdm_bytes_printf(out, "\"%llu\",", (unsigned long long)f->count[i]);
	tdm_otlp_end(out, ']');
	tdm_bytes_puts(out, ",\"explicitBounds\":[");
	for (size_t i = 0; i < row->n_bounds; i++) {
		tdm_bytes_number(out, row->bounds[i]);
		tdm_bytes_putc(out, ',');
	}
	tdm_otlp_end(out, ']');
	tdm_bytes_puts(out, "},");
}

static bool same_name(const struct tdm_figures *f, size_t a, size_t b) {
	const char *x = rows[a].names[f->names], *y = rows[b].names[f->names];
	return x && y && !strcmp(x, y);
}

// Rows of one name are one metric.
static void put_metric(struct tdm_bytes *out, const struct tdm_figures *f, size_t i, const char *times) {
	tdm_bytes_printf(out, "{\"name\":\"%s\",\"unit\":\"%s\",\"%s\":{\"aggregationTemporality\":2,%s\"dataPoints\":[",
	                 rows[i].names[f->names], rows[i].unit, rows[i].bounds ? "histogram" : "sum",
	                 rows[i].bounds ? "" : "\"isMonotonic\":true,");
	for (size_t k = i; k < N_ROWS; k++)
		for (const struct figure *at = same_name(f, i, k) ? f->of[k] : NULL; at; at = at->next)
			put_point(out, &rows[k], at, f->names, times);
	tdm_otlp_end(out, ']');
	tdm_bytes_puts(out, "}},");
}

bool tdm_figures_write(struct tdm_bytes *out, const struct tdm_figures *f, int64_t started_ns) {
	char times[120];
	snprintf(times, sizeof times, "\"startTimeUnixNano\":\"%lld\",\"timeUnixNano\":\"%lld\"", (long long)started_ns,
	         (long long)(tdm_wall_us() * 1000));
	for (size_t i = 0; i < N_ROWS; i++) {
		bool done = false, any = false;
		for (size_t k = 0; k < i; k++)
			done |= same_name(f, i, k);
		for (size_t k = i; k < N_ROWS; k++)
			any |= same_name(f, i, k) && f->of[k];
		if (!done && any)
			put_metric(out, f, i, times);
	}
	return f->n > 0;
}
