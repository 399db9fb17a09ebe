// Entry: what every request to a model has in common, whatever its format: its run, its record, its receipt.
//
// The rule it protects: no endpoint asks a model without a record that is closed and in the ledger before the answer
// ends. What must hold for all endpoints (limits, keys, deadlines) belongs here, not into one of them.
#include "serve/entry.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/format.h"
#include "base/log.h"
#include "ledger/metric.h"
#include "ledger/receipt.h"
#include "ledger/record_metrics.h"
#include <stdio.h>
#include <string.h>

#define INLINE_RECEIPT_BYTES 8192
#define KEYED_HASH_BYTES (12 + 2 * TDM_SHA256_BYTES + 1)
#define RECEIPT_LIMIT_BYTES ((size_t)4 << 20)

static void keyed_hash(const struct tdm_server *s, const void *data, size_t n, char out[KEYED_HASH_BYTES]) {
	static const char name[] = "hmac-sha256:";
	uint8_t hash[TDM_SHA256_BYTES];
	tdm_hmac_sha256(s->hash_key, sizeof s->hash_key, data ? data : "", n, hash);
	memcpy(out, name, sizeof name - 1);
	tdm_hex(hash, sizeof hash, out + sizeof name - 1);
}

static int begin(struct tdm_call_context *c, struct tdm_run *run, const char *endpoint) {
	const struct tdm_bytes *body = tdm_exchange_body(c->x);
	uint64_t seed;
	if (tdm_system_random(&seed, sizeof seed) || tdm_run_init(run, c->arena, seed & INT64_MAX))
		return tdm_fail(&c->error, TDM_ENOMEM, "the request does not fit its memory limit");
	struct tdm_record *r = run->record;
	r->endpoint = endpoint;
	r->queue_us = tdm_now_us() - tdm_exchange_arrived_us(c->x);
	tdm_print(r->request_id, sizeof r->request_id, "%s", c->request_id);
	keyed_hash(c->server, body->data, body->len, r->request_hash);
	tdm_exchange_set(c->x, "x-tandem-receipt", r->id);
	run->cancelled = tdm_exchange_cancelled(c->x);
	run->spans = tdm_telemetry_begin(c->server->telemetry, c->arena, tdm_exchange_header(c->x, "traceparent"));
	return TDM_OK;
}

int tdm_entry_begin(struct tdm_call_context *c, struct tdm_run *run, const char *endpoint) {
	const char *receipt = NULL;
	int status = begin(c, run, endpoint);
	if (!status && (status = tdm_bounds_enter(c, run))) { // a refusal like others: with a record
		tdm_entry_close(c, run, (struct tdm_run_end){.status = status}, NULL, 0);
		receipt = tdm_entry_receipt(c, run->record);
	}
	if (status)
		tdm_reply_error(c, receipt);
	return status;
}

int tdm_entry_wishes(struct tdm_call_context *c, struct tdm_objective *o, struct tdm_error *err) {
	static const char prefix[] = "x-tandem-";
	static const char *const headers[] = {"x-tandem-quality",         "x-tandem-max-cost", "x-tandem-max-latency-ms",
	                                      "x-tandem-privacy",         "x-tandem-trust",    "x-tandem-strict",
	                                      "x-tandem-session",         "x-tandem-receipt",  "x-tandem-trace",
	                                      "x-tandem-cache-similarity"};
	for (size_t i = 0; i < TDM_COUNT(headers); i++) {
		const char *value = tdm_exchange_header(c->x, headers[i]);
		int status = value ? tdm_objective_header(c->arena, headers[i] + sizeof prefix - 1, value, o, err) : TDM_OK;
		if (status)
			return status;
	}
	return TDM_OK;
}

// Wishes behind the model's name, "NAME@privacy=4,max_cost=0.002", for clients that can say nothing else.
static int read_suffix(struct tdm_call_context *c, const char *name, struct tdm_objective *o, struct tdm_error *err) {
	const char *at = name && !tdm_tree_model(c->setup->tree, name) ? strchr(name, '@') : NULL;
	char *wish = at ? tdm_arena_string(c->arena, at + 1) : NULL;
	if (at && !wish)
		return tdm_fail(err, TDM_ENOMEM, "the request does not fit its memory limit");
	while (wish && *wish) {
		size_t n = strcspn(wish, ",");
		char *next = wish + n + (wish[n] == ','), *value;
		wish[n] = 0;
		if (!(value = strchr(wish, '=')))
			return tdm_fail_param(err, TDM_EVALUE, "model", "model: expected NAME@wish=value, got \"%s\"", wish);
		*value++ = 0;
		int status = tdm_objective_header(c->arena, wish, value, o, err);
		if (status)
			return status;
		wish = next;
	}
	return TDM_OK;
}

int tdm_entry_aim(struct tdm_call_context *c, struct tdm_run *run, const char *name, const struct tdm_objective *wishes,
                  struct tdm_model **out) {
	struct tdm_record *r = run->record;
	struct tdm_objective all = *wishes, *o = &all;
	*out = tdm_find_model(c, name, &run->error);
	if (!*out || read_suffix(c, name, o, &run->error))
		return run->error.status;
	r->requested = (*out)->name;
	int64_t longest = c->setup->settings.timeout_s * 1000000;
	if (o->strict && o->max_latency_ms && o->max_latency_ms * 1000 < longest)
		longest = o->max_latency_ms * 1000;
	run->deadline_us = tdm_exchange_arrived_us(c->x) + longest;
	run->objective = *o;
	const char *retries = tdm_exchange_header(c->x, "x-stainless-retry-count");
	run->is_repeated = retries && strcmp(retries, "0");
	tdm_bounds_tighten(c, &run->objective);
	r->objective = run->objective;
	r->seed = run->seed;
	r->config_hash = tdm_tree_hash(c->setup->tree);
	tdm_live_begin(c, r);
	if (c->setup->settings.ledger_required && (*out)->leaves && !tdm_ledger_ready(c->server->ledger))
		return tdm_fail(&run->error, TDM_ELEDGER, "the ledger cannot be written, so nothing may leave this machine");
	return TDM_OK;
}

static void count(struct tdm_call_context *c, const struct tdm_record *r, const struct tdm_run_end *end) {
	int http = end->status && !end->shown ? tdm_status_info(end->status)->http : 200;
	struct tdm_record_end known = {http, r->error_code, end->shown};
	const char *retries = tdm_exchange_header(c->x, "x-stainless-retry-count");
	tdm_record_metrics(r, &known);
	if (retries && strcmp(retries, "0"))
		tdm_metric_add(TDM_METRIC_CLIENT_RETRIES, 1, TDM_LABELS(r->endpoint));
	c->counted = true;
}

static void tell(struct tdm_call_context *c, const struct tdm_run *run, const struct tdm_run_end *end) {
	const struct tdm_record *r = run->record;
	char conversation[KEYED_HASH_BYTES];
	struct tdm_told told = {.spans = run->spans, .record = r, .method = tdm_exchange_method(c->x)};
	told.route = tdm_arena_printf(c->arena, "/v1%s", c->endpoint ? c->endpoint : "");
	told.operation = !strcmp(r->endpoint, "completions")  ? "text_completion"
	                 : !strcmp(r->endpoint, "embeddings") ? "embeddings"
	                                                      : "chat";
	told.error = r->error_code;
	if (r->objective.session) {
		keyed_hash(c->server, r->objective.session, strlen(r->objective.session), conversation);
		told.conversation = conversation;
	}
	told.http_status = end->status && !end->shown ? tdm_status_info(end->status)->http : 200;
	told.arrived_us = tdm_exchange_arrived_us(c->x);
	told.now_us = tdm_now_us();
	told.wall_us = tdm_wall_us();
	told.stream = end->shown;
	tdm_telemetry_end(c->server->telemetry, &told);
}

// The receipt is written once, for the ledger and for the client.
static int write_record(struct tdm_call_context *c, const struct tdm_record *r, struct tdm_error *err) {
	int64_t started_us = tdm_now_us();
	struct tdm_bytes receipt;
	tdm_bytes_init(&receipt, RECEIPT_LIMIT_BYTES);
	tdm_receipt_write(&receipt, r);
	int status = tdm_ledger_write_with(c->server->ledger, r, &receipt, err);
	if (!status && receipt.len <= INLINE_RECEIPT_BYTES)
		c->receipt = tdm_arena_copy(c->arena, receipt.data, receipt.len);
	tdm_bytes_release(&receipt);
	const char *result = status ? "failed" : "ok";
	tdm_metric_add(TDM_METRIC_LEDGER, 1, TDM_LABELS(result));
	tdm_metric_seen(TDM_METRIC_LEDGER_TIME, (double)(tdm_now_us() - started_us) / 1e6, TDM_LABELS(result));
	return status;
}

int tdm_entry_close(struct tdm_call_context *c, struct tdm_run *run, struct tdm_run_end end, const void *answer,
                    size_t n) {
	c->retried = run->n_retries > 0;
	struct tdm_record *r = run->record;
	tdm_live_end(c);
	end.dearest = tdm_tree_dearest(c->setup->tree);
	end.shown = tdm_exchange_committed(c->x);
	tdm_run_close(run, &end);
	r->total_us = tdm_now_us() - tdm_exchange_arrived_us(c->x); // the time in the queue counts
	keyed_hash(c->server, answer, n, r->answer_hash);
	tdm_log(TDM_INFO, "request", r->id,
	        " request=%s endpoint=%s state=%s model=%s served=%s error=%s prompt=%lld completion=%lld us=%lld",
	        c->request_id, r->endpoint, tdm_state_name(r->state), r->requested ? r->requested : "-",
	        r->served ? r->served : "-", r->error_code ? r->error_code : "-", (long long)end.prompt_tokens,
	        (long long)end.completion_tokens, (long long)r->total_us);
	count(c, r, &end);
	if (run->spans)
		tell(c, run, &end);
	run->spans = NULL;
	struct tdm_error err = {0};
	int written = write_record(c, r, &err);
	if (!written)
		return end.status;
	if (!end.status && r->left.requests && c->setup->settings.ledger_required)
		return tdm_fail(&run->error, written, "%s", err.text);
	tdm_record_warn(r, "ledger_unavailable", NULL, "the ledger does not hold this receipt");
	return end.status;
}

const char *tdm_entry_receipt(struct tdm_call_context *c, const struct tdm_record *r) {
	struct tdm_bytes b;
	if (r->objective.receipt == 2)
		return NULL;
	if (r->objective.receipt == 1)
		return tdm_arena_printf(c->arena, "{\"receipt\":\"%s\",\"state\":\"%s\"}", r->id, tdm_state_name(r->state));
	if (c->receipt)
		return c->receipt;
	tdm_bytes_init(&b, 2 * INLINE_RECEIPT_BYTES);
	tdm_receipt_write_inline(&b, r, INLINE_RECEIPT_BYTES);
	char *copy = tdm_arena_copy(c->arena, b.data ? b.data : "null", b.data ? b.len : 4);
	tdm_bytes_release(&b);
	return copy;
}

void tdm_entry_commit(struct tdm_call_context *c, const struct tdm_record *r, const char *served) {
	struct tdm_exchange *x = c->x;
	const struct tdm_decision *d = r->decisions;
	char text[160];
	tdm_exchange_set(x, "x-tandem-requested", r->requested);
	if (served)
		tdm_exchange_set(x, "x-tandem-served", served);
	if (d) {
		tdm_print(text, sizeof text, "%s=%s", d->kind, d->choice);
		tdm_exchange_set(x, "x-tandem-decision", text);
	}
	if (r->cache)
		tdm_exchange_set(x, "x-tandem-cache", r->cache);
	tdm_print(text, sizeof text, "%lld", (long long)(tdm_now_us() - tdm_exchange_arrived_us(x)) / 1000);
	tdm_exchange_set(x, "openai-processing-ms", text);
	tdm_set_warnings(x, r);
}

void tdm_entry_figures(struct tdm_call_context *c, const struct tdm_record *r) {
	char text[48];
	snprintf(text, sizeof text, "%.9g", tdm_record_cost(r));
	tdm_exchange_set(c->x, "x-tandem-cost", text);
	tdm_print(text, sizeof text, "%lld", (long long)(r->total_us > r->model_us ? r->total_us - r->model_us : 0));
	tdm_exchange_set(c->x, "x-tandem-overhead-us", text);
}
