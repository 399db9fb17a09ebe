// Metric: counters, gauges and histograms of this process, in Prometheus' text form. One row per metric; a series (one
// set of label values) is found without a lock and counts with one atomic addition.
//
// The rule it protects: label values come from the configuration or from closed lists, never from text, ids or keys of
// a client; a metric has at most TDM_SERIES_LIMIT series, what would be more is counted with every label "other".
// A new metric: a row here, and a call where the thing happens.
#pragma once
#include "base/bytes.h"
#include <stdbool.h>

#define TDM_SERIES_LIMIT 1000

// X(name, kind, unit, name in the text without "tandem_", labels, what it is)
// Units: ONE whole numbers; SECONDS, MONEY and SHARE keep fractions (1e-6, 1e-9, 1e-6).
#define TDM_METRIC_TABLE(X)                                                                                            \
	X(REQUESTS, COUNTER, ONE, "requests_total", "endpoint,model,status,state", "requests that ended")                  \
	X(DURATION, HISTOGRAM, SECONDS, "request_duration_seconds", "endpoint,model,status", "from arrival to the end")    \
	X(FIRST_BYTE, HISTOGRAM, SECONDS, "first_byte_seconds", "endpoint,model,status", "from arrival to the first word") \
	X(OVERHEAD, HISTOGRAM, SECONDS, "overhead_seconds", "endpoint,model,status", "duration outside source models")     \
	X(INFLIGHT, GAUGE, ONE, "inflight_requests", "", "requests that a worker answers now")                             \
	X(QUEUE_DEPTH, GAUGE, ONE, "queue_depth", "", "requests that wait for a worker now")                               \
	X(QUEUE_WAIT, HISTOGRAM, SECONDS, "queue_wait_seconds", "", "from arrival to a worker")                            \
	X(REJECTED, COUNTER, ONE, "rejected_total", "reason", "requests refused before a model was asked")                 \
	X(TOKENS, COUNTER, ONE, "tokens_total", "model,type", "tokens of all calls")                                       \
	X(CALLS, COUNTER, ONE, "calls_total", "model,purpose,status", "calls of source models, unused ones too")           \
	X(CALL_DURATION, HISTOGRAM, SECONDS, "call_duration_seconds", "model,purpose,status", "of one call of a source")   \
	X(COST, COUNTER, MONEY, "cost_total", "model", "in the configured currency")                                       \
	X(SAVED, COUNTER, MONEY, "cost_saved_total", "model", "below the price of the dearest model, by requested model")  \
	X(DECISIONS, COUNTER, ONE, "decisions_total", "strategy,choice", "choices of strategies and policies")             \
	X(SCORE, HISTOGRAM, SHARE, "decision_score", "strategy,choice", "score that a choice was made from")               \
	X(RETRIES, COUNTER, ONE, "retries_total", "model,reason", "calls that were repeated")                              \
	X(FALLBACKS, COUNTER, ONE, "fallbacks_total", "from,to,reason", "requests handed to another model")                \
	X(CIRCUIT, GAUGE, ONE, "circuit_open", "model", "1 = its upstream is left alone for a moment")                     \
	X(CACHE, COUNTER, ONE, "cache_events_total", "cache,event", "hit_exact hit_semantic miss store evict bypass")      \
	X(GUARDS, COUNTER, ONE, "guard_actions_total", "guard,stage,verdict", "looks of guards")                           \
	X(GUARD_TIME, HISTOGRAM, SECONDS, "guard_duration_seconds", "guard,stage,verdict", "of one look of a guard")       \
	X(MASKED, COUNTER, ONE, "masked_entities_total", "type", "values hidden from models")                              \
	X(RESTORED, COUNTER, ONE, "restored_total", "", "hidden values put back")                                          \
	X(MISSED, COUNTER, ONE, "restore_missed_total", "", "marks of hidden values that were not put back")               \
	X(EGRESS, COUNTER, ONE, "egress_bytes_total", "model", "bytes of requests sent off this machine")                  \
	X(BLOCKED, COUNTER, ONE, "egress_blocked_total", "model", "requests that the last scan kept back")                 \
	X(STREAM_ERRORS, COUNTER, ONE, "stream_errors_total", "code", "answers that failed after their first byte")        \
	X(GONE, COUNTER, ONE, "client_gone_total", "endpoint", "clients that left before the end")                         \
	X(CLIENT_RETRIES, COUNTER, ONE, "client_retries_total", "endpoint", "requests that say they are a repetition")     \
	X(LEDGER, COUNTER, ONE, "ledger_writes_total", "result", "records written: ok, failed")                            \
	X(LEDGER_TIME, HISTOGRAM, SECONDS, "ledger_write_seconds", "result", "from the record's end to its commit")        \
	X(BUDGET, GAUGE, SHARE, "budget_remaining_ratio", "budget", "share of a budget that is left")                      \
	X(MARGIN, GAUGE, SHARE, "certificate_margin", "certificate", "what a bound leaves of the loss that is allowed")    \
	X(ALARMS, COUNTER, ONE, "certificate_alarms_total", "certificate", "bounds that could not be given")               \
	X(DRAFTS, COUNTER, ONE, "spec_decode_num_drafts_total", "model", "passes of a target over drafted tokens")         \
	X(DRAFTED, COUNTER, ONE, "spec_decode_num_draft_tokens_total", "model", "tokens drafted")                          \
	X(ACCEPTED, COUNTER, ONE, "spec_decode_num_accepted_tokens_total", "model", "drafted tokens kept")                 \
	X(ACCEPTED_AT, COUNTER, ONE, "spec_decode_num_accepted_tokens_per_pos_total", "model,position",                    \
	  "drafted tokens kept, by their place in a draft")                                                                \
	X(DRAFTING, GAUGE, ONE, "spec_decode_active", "model", "answers that are drafted now")                             \
	X(SPEEDUP, GAUGE, SHARE, "spec_decode_speedup_ratio", "model",                                                     \
	  "of the last answer, against passes for each token")                                                             \
	X(ENGINE_PROMPT, COUNTER, ONE, "engine_prompt_tokens_total", "model", "prompt tokens of local models")             \
	X(ENGINE_WRITTEN, COUNTER, ONE, "engine_generated_tokens_total", "model", "tokens written by local models")        \
	X(ENGINE_ROWS, GAUGE, ONE, "engine_batch_rows", "model", "tokens in the pass that runs now")                       \
	X(ENGINE_CACHE, GAUGE, SHARE, "engine_kv_used_ratio", "model", "pages of the cache in use, of those there may be") \
	X(RELOADS, COUNTER, ONE, "settings_reloads_total", "result", "readings of the settings: ok, failed")               \
	X(TELEMETRY, COUNTER, ONE, "telemetry_items_total", "signal,result", "spans and figures: sent, lost")              \
	X(LOG_LOST, GAUGE, ONE, "log_lines_lost", "", "lines that neither the log file nor its ring could keep")

enum tdm_metric {
#define X(name, kind, unit, text, labels, help) TDM_METRIC_##name,
	TDM_METRIC_TABLE(X)
#undef X
	    TDM_N_METRICS
};

// labels: as many values as the row has labels, in its order; NULL is "none". Thread-safe, never fails.
struct tdm_labels {
	const char *value[4];
};
#define TDM_LABELS(...)   \
	(struct tdm_labels) { \
		{ __VA_ARGS__ }   \
	}
void tdm_metric_add(enum tdm_metric m, double amount, struct tdm_labels labels); // counters, gauges
void tdm_metric_set(enum tdm_metric m, double value, struct tdm_labels labels);  // gauges
void tdm_metric_seen(enum tdm_metric m, double value, struct tdm_labels labels); // histograms
double tdm_metric_value(enum tdm_metric m, struct tdm_labels labels);            // 0 = never counted
void tdm_metrics_write(struct tdm_bytes *out, bool openmetrics);                 // every series, without the end mark
