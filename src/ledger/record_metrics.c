// Record metrics: every call with its purpose, every decision, every look of a guard. Metrics are counted from the
// record, so that they cannot say something else than receipts do.
#include "ledger/record_metrics.h"
#include "base/format.h"
#include "ledger/metric.h"
#include <math.h>
#include <stdio.h>

static void count_tokens(const char *model, const char *type, int64_t n) {
	if (n > 0)
		tdm_metric_add(TDM_METRIC_TOKENS, (double)n, TDM_LABELS(model, type));
}

static void count_call(const struct tdm_call *c) {
	struct tdm_labels labels = TDM_LABELS(c->model, c->purpose, c->status);
	tdm_metric_add(TDM_METRIC_CALLS, 1, labels);
	tdm_metric_seen(TDM_METRIC_CALL_DURATION, (double)c->us / 1e6, labels);
	count_tokens(c->model, "prompt", c->prompt_tokens);
	count_tokens(c->model, "completion", c->completion_tokens);
	count_tokens(c->model, "cached", c->cached_tokens);
	count_tokens(c->model, "reasoning", c->reasoning_tokens);
	if (c->cost > 0)
		tdm_metric_add(TDM_METRIC_COST, c->cost, TDM_LABELS(c->model));
	if (c->passes <= 0)
		return;
	tdm_metric_add(TDM_METRIC_DRAFTS, (double)c->passes, TDM_LABELS(c->model));
	tdm_metric_add(TDM_METRIC_DRAFTED, (double)c->drafted, TDM_LABELS(c->model));
	tdm_metric_add(TDM_METRIC_ACCEPTED, (double)c->accepted, TDM_LABELS(c->model));
}

static void count_left(const struct tdm_left *left) {
	for (const struct tdm_count *c = left->entities; c; c = c->next)
		tdm_metric_add(TDM_METRIC_MASKED, (double)c->n, TDM_LABELS(c->name));
	if (left->restored)
		tdm_metric_add(TDM_METRIC_RESTORED, (double)left->restored, TDM_LABELS(NULL));
	if (left->missed_restores)
		tdm_metric_add(TDM_METRIC_MISSED, (double)left->missed_restores, TDM_LABELS(NULL));
}

static void count_rows(const struct tdm_record *r) {
	for (const struct tdm_call *c = r->calls; c; c = c->next)
		count_call(c);
	for (const struct tdm_decision *d = r->decisions; d; d = d->next) {
		tdm_metric_add(TDM_METRIC_DECISIONS, 1, TDM_LABELS(d->by, d->choice));
		if (isfinite(d->score))
			tdm_metric_seen(TDM_METRIC_SCORE, d->score, TDM_LABELS(d->by, d->choice));
	}
	for (const struct tdm_verdict *v = r->verdicts; v; v = v->next) {
		tdm_metric_add(TDM_METRIC_GUARDS, 1, TDM_LABELS(v->by, v->stage, v->verdict));
		tdm_metric_seen(TDM_METRIC_GUARD_TIME, (double)v->us / 1e6, TDM_LABELS(v->by, v->stage, v->verdict));
	}
	count_left(&r->left);
}

static void count_end(const struct tdm_record *r, const struct tdm_record_end *end) {
	double saved = r->baseline_cost - tdm_record_cost(r);
	if (r->state == TDM_CANCELLED)
		tdm_metric_add(TDM_METRIC_GONE, 1, TDM_LABELS(r->endpoint));
	else if (end->error_code && end->shown)
		tdm_metric_add(TDM_METRIC_STREAM_ERRORS, 1, TDM_LABELS(end->error_code));
	else if (end->error_code && !r->calls)
		tdm_metric_add(TDM_METRIC_REJECTED, 1, TDM_LABELS(end->error_code));
	if (r->state == TDM_COMPLETE && saved > 0)
		tdm_metric_add(TDM_METRIC_SAVED, saved, TDM_LABELS(r->requested));
}

void tdm_record_metrics(const struct tdm_record *r, const struct tdm_record_end *end) {
	char status[16];
	tdm_print(status, sizeof status, "%d", end->http_status);
	struct tdm_labels labels = TDM_LABELS(r->endpoint, r->requested, status, tdm_state_name(r->state));
	int64_t overhead_us = r->total_us > r->model_us ? r->total_us - r->model_us : 0;
	tdm_metric_add(TDM_METRIC_REQUESTS, 1, labels);
	tdm_metric_seen(TDM_METRIC_DURATION, (double)r->total_us / 1e6, labels);
	tdm_metric_seen(TDM_METRIC_OVERHEAD, (double)overhead_us / 1e6, labels);
	tdm_metric_seen(TDM_METRIC_QUEUE_WAIT, (double)r->queue_us / 1e6, TDM_LABELS(NULL));
	if (r->first_us)
		tdm_metric_seen(TDM_METRIC_FIRST_BYTE, (double)r->first_us / 1e6, labels);
	count_rows(r);
	count_end(r, end);
}
