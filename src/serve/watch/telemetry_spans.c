// Telemetry's spans: the request as a server span, under it one span for each model of the tree that ran. Names of the
// GenAI conventions; an attribute more: a line in node_attributes or request_attributes. Numbers, codes and names of
// the configuration only.
#include "base/crypto.h"
#include "models/sources.h"
#include "serve/watch/telemetry_parts.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { INTERNAL = 1, SERVER = 2, CLIENT = 3 };

void tdm_otlp_text(struct tdm_bytes *out, const char *key, const char *value) {
	if (!value)
		return;
	tdm_bytes_printf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
	tdm_bytes_json(out, value, strlen(value));
	tdm_bytes_puts(out, "}},");
}

void tdm_otlp_integer(struct tdm_bytes *out, const char *key, int64_t value) {
	tdm_bytes_printf(out, "{\"key\":\"%s\",\"value\":{\"intValue\":\"%lld\"}},", key, (long long)value);
}

void tdm_otlp_number(struct tdm_bytes *out, const char *key, double value) {
	if (!isfinite(value))
		return;
	tdm_bytes_printf(out, "{\"key\":\"%s\",\"value\":{\"doubleValue\":", key);
	tdm_bytes_number(out, value);
	tdm_bytes_puts(out, "}},");
}

static void put_truth(struct tdm_bytes *out, const char *key, bool value) {
	tdm_bytes_printf(out, "{\"key\":\"%s\",\"value\":{\"boolValue\":%s}},", key, value ? "true" : "false");
}

void tdm_otlp_end(struct tdm_bytes *out, char close) {
	if (out->len && out->data[out->len - 1] == ',')
		out->data[out->len - 1] = close;
	else
		tdm_bytes_putc(out, close);
}

// --- one span

static void begin(struct tdm_bytes *out, const struct tdm_spans *s, int index, const char *parent) {
	char trace[33], id[17];
	tdm_hex(s->trace_id, sizeof s->trace_id, trace);
	tdm_span_id(s, index, id);
	tdm_bytes_printf(out, "{\"traceId\":\"%s\",\"spanId\":\"%s\",", trace, id);
	if (parent)
		tdm_bytes_printf(out, "\"parentSpanId\":\"%s\",", parent);
}

static void put_times(struct tdm_bytes *out, const struct tdm_told *told, int kind, int64_t from_us, int64_t to_us) {
	int64_t from = (told->wall_us - told->now_us + from_us) * 1000;
	tdm_bytes_printf(out, ",\"kind\":%d,\"startTimeUnixNano\":\"%lld\",\"endTimeUnixNano\":\"%lld\",\"attributes\":[",
	                 kind, (long long)from, (long long)(from + (to_us > from_us ? to_us - from_us : 0) * 1000));
}

static void end(struct tdm_bytes *out, bool failed) {
	tdm_otlp_end(out, ']');
	tdm_bytes_puts(out, failed ? ",\"status\":{\"code\":2}}," : ",\"status\":{}},");
}

// --- the request

static int64_t sum(const struct tdm_count *c) {
	int64_t n = 0;
	for (; c; c = c->next)
		n += c->n;
	return n;
}

static void request_attributes(struct tdm_bytes *out, const struct tdm_told *told) {
	const struct tdm_record *r = told->record;
	tdm_otlp_text(out, "http.request.method", told->method);
	tdm_otlp_text(out, "http.route", told->route);
	tdm_otlp_integer(out, "http.response.status_code", told->http_status);
	tdm_otlp_text(out, "gen_ai.operation.name", told->operation);
	tdm_otlp_text(out, "gen_ai.provider.name", "tandem");
	tdm_otlp_text(out, "gen_ai.request.model", r->requested);
	tdm_otlp_text(out, "gen_ai.response.model", r->served);
	tdm_otlp_text(out, "gen_ai.conversation.id", told->conversation);
	tdm_otlp_text(out, "gen_ai.output.type", strcmp(told->operation, "embeddings") ? "text" : NULL);
	put_truth(out, "gen_ai.request.stream", told->stream);
	tdm_otlp_text(out, "tandem.receipt", r->id);
	tdm_otlp_number(out, "tandem.cost", tdm_record_cost(r));
	tdm_otlp_integer(out, "tandem.entities_masked", sum(r->left.entities));
	if (told->spans->n_lost)
		tdm_otlp_integer(out, "tandem.spans_lost", told->spans->n_lost);
	tdm_otlp_text(out, "error.type", told->error);
}

static void put_request(struct tdm_bytes *out, const struct tdm_told *told) {
	static const uint8_t none[8];
	char parent[17];
	tdm_hex(told->spans->parent_id, sizeof told->spans->parent_id, parent);
	begin(out, told->spans, -1, memcmp(told->spans->parent_id, none, sizeof none) ? parent : NULL);
	tdm_bytes_printf(out, "\"name\":\"%s %s\"", told->method, told->route);
	put_times(out, told, SERVER, told->arrived_us, told->now_us);
	request_attributes(out, told);
	end(out, told->error != NULL);
}

// --- a model

static void put_usage(struct tdm_bytes *out, const struct tdm_span *s) {
	static const char *const finishes[] = {"stop", "length", "content_filter", "tool_calls"};
	if (s->prompt_tokens)
		tdm_otlp_integer(out, "gen_ai.usage.input_tokens", s->prompt_tokens);
	if (s->completion_tokens)
		tdm_otlp_integer(out, "gen_ai.usage.output_tokens", s->completion_tokens);
	if (s->cached_tokens)
		tdm_otlp_integer(out, "gen_ai.usage.cache_read.input_tokens", s->cached_tokens);
	if (s->reasoning_tokens)
		tdm_otlp_integer(out, "gen_ai.usage.reasoning.output_tokens", s->reasoning_tokens);
	if (s->is_text && !s->error)
		tdm_bytes_printf(out,
		                 "{\"key\":\"gen_ai.response.finish_reasons\",\"value\":{\"arrayValue\":{\"values\":["
		                 "{\"stringValue\":\"%s\"}]}}},",
		                 finishes[s->finish]);
	if (s->first_us)
		tdm_otlp_number(out, "gen_ai.response.time_to_first_chunk", (double)(s->first_us - s->started_us) / 1e6);
}

static void put_asked(struct tdm_bytes *out, const struct tdm_span *s) {
	if (s->max_tokens > 0)
		tdm_otlp_integer(out, "gen_ai.request.max_tokens", s->max_tokens);
	if (s->is_text && s->temperature >= 0)
		tdm_otlp_number(out, "gen_ai.request.temperature", (double)s->temperature);
	if (s->is_text && s->top_p >= 0)
		tdm_otlp_number(out, "gen_ai.request.top_p", (double)s->top_p);
	if (s->is_text && s->top_k >= 0)
		tdm_otlp_integer(out, "gen_ai.request.top_k", s->top_k);
	if (s->has_seed)
		tdm_otlp_integer(out, "gen_ai.request.seed", (int64_t)s->seed);
}

static void put_choices(struct tdm_bytes *out, const struct tdm_record *r, const char *name) {
	const struct tdm_decision *d = r->decisions;
	const struct tdm_verdict *v = r->verdicts;
	while (d && strcmp(d->by, name) != 0)
		d = d->next;
	while (v && strcmp(v->by, name) != 0)
		v = v->next;
	if (d) {
		tdm_otlp_text(out, "tandem.decision", d->choice);
		tdm_otlp_number(out, "tandem.score", d->score);
		tdm_otlp_number(out, "tandem.threshold", d->threshold);
	}
	if (v)
		tdm_otlp_text(out, "tandem.guard.verdict", v->verdict);
}

static const char *operation_of(const struct tdm_told *told, const struct tdm_span *s) {
	if (s->purpose && !strcmp(s->purpose, "embed"))
		return "embeddings";
	return s->purpose && !strcmp(s->purpose, "plan") ? "plan" : told->operation;
}

static void node_attributes(struct tdm_bytes *out, const struct tdm_told *told, const struct tdm_span *s,
                            const struct tdm_remote_place *place) {
	char host[256];
	tdm_otlp_text(out, "gen_ai.operation.name", operation_of(told, s));
	tdm_otlp_text(out, "gen_ai.provider.name", place ? place->provider : "tandem");
	tdm_otlp_text(out, "gen_ai.request.model", place ? place->model : s->model->name);
	tdm_otlp_text(out, "tandem.model", s->model->name);
	tdm_otlp_text(out, "tandem.purpose", s->purpose);
	if (place) {
		snprintf(host, sizeof host, "%.*s", (int)place->n_host, place->host);
		tdm_otlp_text(out, "server.address", host);
		tdm_otlp_integer(out, "server.port", place->port);
	}
	put_asked(out, s);
	put_usage(out, s);
	put_choices(out, told->record, s->model->name);
	tdm_otlp_text(out, "error.type", s->error);
}

static void put_node(struct tdm_bytes *out, const struct tdm_told *told, int index) {
	const struct tdm_span *s = &told->spans->items[index];
	struct tdm_remote_place place;
	bool is_remote = tdm_remote_place(s->model, &place);
	char parent[17], name[300];
	tdm_span_id(told->spans, s->parent, parent);
	snprintf(name, sizeof name, "%s %s", operation_of(told, s), is_remote ? place.model : s->model->name);
	begin(out, told->spans, index, parent);
	tdm_bytes_puts(out, "\"name\":");
	tdm_bytes_json(out, name, strlen(name));
	put_times(out, told, is_remote ? CLIENT : INTERNAL, s->started_us, s->ended_us);
	node_attributes(out, told, s, is_remote ? &place : NULL);
	end(out, s->error != NULL);
}

void tdm_telemetry_spans(struct tdm_bytes *out, const struct tdm_told *told) {
	put_request(out, told);
	for (int i = 0; i < told->spans->n; i++)
		put_node(out, told, i);
}
