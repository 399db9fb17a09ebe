// Parts of telemetry that its files share; nothing else includes this.
#pragma once
#include "base/bytes.h"
#include "serve/watch/telemetry.h"

// Attributes as OTLP writes them, {"key":..,"value":{..}} with a comma behind each.
void tdm_otlp_text(struct tdm_bytes *out, const char *key, const char *value); // nothing for NULL
void tdm_otlp_integer(struct tdm_bytes *out, const char *key, int64_t value);
void tdm_otlp_number(struct tdm_bytes *out, const char *key, double value); // nothing for NAN
void tdm_otlp_end(struct tdm_bytes *out, char close);                       // the last comma becomes `close`

void tdm_telemetry_spans(struct tdm_bytes *out, const struct tdm_told *told); // the spans, a comma behind each

// Figures: histograms and counters over all requests since the start. One thread at a time.
struct tdm_figures;
struct tdm_figures *tdm_figures_new(int names);
void tdm_figures_free(struct tdm_figures *f);
void tdm_figures_count(struct tdm_figures *f, const struct tdm_told *told);
bool tdm_figures_write(struct tdm_bytes *out, const struct tdm_figures *f, int64_t started_ns); // false: there are none
