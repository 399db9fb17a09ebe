// Telemetry: OpenTelemetry's spans and figures of requests, sent with OTLP over HTTP in its JSON encoding. Off unless
// `telemetry.otlp` is set. It never delays a request: what does not fit its queue is dropped and counted.
#pragma once
#include "base/option.h"
#include "models/spans.h"

struct tdm_telemetry;

struct tdm_telemetry_settings {
	const char *otlp;             // base URL; NULL = off
	int names;                    // 0 current, 1 next
	int64_t batch_ms, figures_ms; // longest wait of a span; between two sendings of figures
};
extern const struct tdm_option tdm_telemetry_options[];
extern const size_t tdm_n_telemetry_options;
int tdm_telemetry_read(struct tdm_arena *arena, const char *where, const struct tdm_value *section,
                       struct tdm_telemetry_settings *out, struct tdm_error *err);

// *out NULL: off. Error: TDM_ENOMEM, TDM_EIO.
int tdm_telemetry_open(const struct tdm_telemetry_settings *s, struct tdm_telemetry **out, struct tdm_error *err);
void tdm_telemetry_close(struct tdm_telemetry *t); // sends what waits, for at most two seconds; NULL is fine
bool tdm_telemetry_same(const struct tdm_telemetry_settings *a, const struct tdm_telemetry_settings *b);
// The spans of one request in the arena, which goes on with traceparent (NULL = none); NULL: off, or no memory.
struct tdm_spans *tdm_telemetry_begin(struct tdm_telemetry *t, struct tdm_arena *arena, const char *traceparent);

struct tdm_told { // a request that has ended
	struct tdm_spans *spans;
	const struct tdm_record *record;
	const char *method, *route, *operation; // operation: chat, text_completion, embeddings
	const char *error, *conversation;       // NULL = none
	int http_status;
	int64_t arrived_us, now_us, wall_us; // monotonic; now on both clocks
	bool stream;
};
void tdm_telemetry_end(struct tdm_telemetry *t, const struct tdm_told *told);
