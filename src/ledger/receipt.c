// Receipt: writes a record as JSON. A new field of the record: one line here, and the description in docs/receipt.md.
#include "ledger/receipt.h"
#include "base/decimal.h"
#include <math.h>
#include <string.h>

static void put_string(struct tdm_bytes *out, const char *text) {
	if (text)
		tdm_bytes_json(out, text, strlen(text));
	else
		tdm_bytes_puts(out, "null");
}

static void put_field(struct tdm_bytes *out, const char *key, const char *text) {
	tdm_bytes_putc(out, '"');
	tdm_bytes_puts(out, key);
	tdm_bytes_puts(out, "\":");
	put_string(out, text);
}

static void put_number(struct tdm_bytes *out, const char *key, double value) {
	tdm_bytes_puts(out, ",\"");
	tdm_bytes_puts(out, key);
	tdm_bytes_puts(out, "\":");
	tdm_bytes_number(out, value);
}

// To 12 places: what sums of doubles leave behind them is no money.
static double money(double value) {
	return round(value * 1e12) / 1e12;
}

static void put_integer(struct tdm_bytes *out, const char *before, int64_t value) { // before: punctuation and key
	tdm_bytes_puts(out, before);
	tdm_bytes_integer(out, value);
}

static void put_objective(struct tdm_bytes *out, const struct tdm_objective *o) {
	put_integer(out, "\"objective\":{\"privacy\":", o->privacy);
	put_integer(out, ",\"trust\":", o->trust);
	put_number(out, "max_cost", o->max_cost);
	put_number(out, "quality", o->quality);
	if (o->max_latency_ms)
		put_integer(out, ",\"max_latency_ms\":", o->max_latency_ms);
	else
		tdm_bytes_puts(out, ",\"max_latency_ms\":null");
	tdm_bytes_puts(out, o->strict ? ",\"strict\":true}" : ",\"strict\":false}");
}

static void put_call(struct tdm_bytes *out, const struct tdm_call *c) {
	tdm_bytes_putc(out, '{');
	put_field(out, "model", c->model);
	tdm_bytes_putc(out, ',');
	put_field(out, "purpose", c->purpose);
	tdm_bytes_putc(out, ',');
	put_field(out, "status", c->status);
	put_integer(out, ",\"prompt_tokens\":", c->prompt_tokens);
	put_integer(out, ",\"completion_tokens\":", c->completion_tokens);
	put_integer(out, ",\"cached_tokens\":", c->cached_tokens);
	tdm_bytes_puts(out, c->estimated ? ",\"estimated\":true" : ",\"estimated\":false");
	put_number(out, "cost", money(c->cost));
	put_integer(out, ",\"us\":", c->us);
	tdm_bytes_putc(out, ',');
	put_field(out, "upstream_model", c->upstream_model);
	put_integer(out, ",\"attempt\":", c->attempt);
	put_integer(out, ",\"drafted\":", c->drafted);
	put_integer(out, ",\"accepted\":", c->accepted);
	put_integer(out, ",\"passes\":", c->passes);
	tdm_bytes_putc(out, '}');
}

static void put_calls(struct tdm_bytes *out, const struct tdm_record *r) {
	tdm_bytes_puts(out, "\"calls\":[");
	for (const struct tdm_call *c = r->calls; c; c = c->next) {
		put_call(out, c);
		if (c->next)
			tdm_bytes_putc(out, ',');
	}
	tdm_bytes_putc(out, ']');
}

static void put_decisions(struct tdm_bytes *out, const struct tdm_record *r) {
	tdm_bytes_puts(out, ",\"decisions\":[");
	for (const struct tdm_decision *d = r->decisions; d; d = d->next) {
		tdm_bytes_putc(out, '{');
		put_field(out, "by", d->by);
		tdm_bytes_putc(out, ',');
		put_field(out, "kind", d->kind);
		tdm_bytes_putc(out, ',');
		put_field(out, "choice", d->choice);
		put_number(out, "score", d->score);
		tdm_bytes_putc(out, ',');
		put_field(out, "signal", d->signal);
		put_number(out, "threshold", d->threshold);
		tdm_bytes_putc(out, ',');
		put_field(out, "detail", d->detail);
		tdm_bytes_puts(out, d->next ? "}," : "}");
	}
	tdm_bytes_putc(out, ']');
}

// Each value that was shown, by its hash; only where a mask was in the way.
static void put_leaks(struct tdm_bytes *out, const struct tdm_left *left) {
	tdm_bytes_join(out, ",\"conversation\":\"", left->conversation, "\",\"values\":[");
	for (const struct tdm_leak *k = left->leaks; k; k = k->next) {
		tdm_bytes_putc(out, '{');
		put_field(out, "type", k->type);
		tdm_bytes_join(out, ",\"as\":\"", k->as, "\",\"hash\":\"");
		tdm_bytes_puts(out, k->hash);
		put_integer(out, "\",\"n\":", k->n);
		tdm_bytes_puts(out, k->next ? "}," : "}");
	}
	tdm_bytes_putc(out, ']');
}

static void put_left(struct tdm_bytes *out, const struct tdm_left *left, bool leaks) {
	put_integer(out, ",\"left\":{\"requests\":", left->requests);
	put_integer(out, ",\"bytes\":", left->bytes);
	tdm_bytes_puts(out, ",\"to\":[");
	for (const struct tdm_count *c = left->to; c; c = c->next) {
		put_string(out, c->name);
		if (c->next)
			tdm_bytes_putc(out, ',');
	}
	put_integer(out, "],\"level\":", left->level);
	tdm_bytes_putc(out, ',');
	put_field(out, "method", left->method ? left->method : "none");
	tdm_bytes_puts(out, ",\"entities\":{");
	for (const struct tdm_count *c = left->entities; c; c = c->next) {
		put_string(out, c->name);
		put_integer(out, ":", c->n);
		tdm_bytes_puts(out, c->next ? "," : "");
	}
	put_integer(out, "},\"restored\":", left->restored);
	put_integer(out, ",\"missed_restores\":", left->missed_restores);
	put_integer(out, ",\"damaged\":", left->damaged);
	if (!isnan(left->risk))
		put_number(out, "risk", left->risk);
	if (leaks && left->conversation)
		put_leaks(out, left);
	tdm_bytes_putc(out, '}');
}

static void put_verdicts(struct tdm_bytes *out, const struct tdm_record *r) {
	tdm_bytes_puts(out, ",\"guards\":[");
	for (const struct tdm_verdict *v = r->verdicts; v; v = v->next) {
		tdm_bytes_putc(out, '{');
		put_field(out, "by", v->by);
		tdm_bytes_putc(out, ',');
		put_field(out, "stage", v->stage);
		tdm_bytes_putc(out, ',');
		put_field(out, "verdict", v->verdict);
		tdm_bytes_putc(out, ',');
		put_field(out, "rule", v->rule);
		put_number(out, "score", v->score);
		tdm_bytes_puts(out, v->next ? "}," : "}");
	}
	tdm_bytes_putc(out, ']');
}

static void put_warnings(struct tdm_bytes *out, const struct tdm_record *r) {
	tdm_bytes_puts(out, ",\"warnings\":[");
	for (const struct tdm_warning *w = r->warnings; w; w = w->next) {
		tdm_bytes_putc(out, '{');
		put_field(out, "code", w->code);
		tdm_bytes_putc(out, ',');
		put_field(out, "param", w->param);
		tdm_bytes_putc(out, ',');
		put_field(out, "message", w->message);
		tdm_bytes_puts(out, w->next ? "}," : "}");
	}
	tdm_bytes_putc(out, ']');
}

static void put_certificates(struct tdm_bytes *out, const struct tdm_record *r) {
	const struct tdm_under *first = r->certificates;
	tdm_bytes_puts(out, ",\"certificate\":");
	if (!first) {
		tdm_bytes_puts(out, "null");
		return;
	}
	tdm_bytes_putc(out, '{');
	put_field(out, "id", first->id);
	tdm_bytes_join(out, ",\"epsilon\":", first->epsilon, ",\"delta\":");
	tdm_bytes_join(out, "", first->delta, first->held ? ",\"held\":true}" : ",\"held\":false}");
	if (!first->next)
		return;
	double delta = 0; // that any of them is wrong
	tdm_bytes_puts(out, ",\"certificates\":[");
	for (const struct tdm_under *u = first; u; u = u->next) {
		put_string(out, u->id);
		tdm_bytes_puts(out, u->next ? "," : "]");
		delta += tdm_decimal_long(u->delta, strlen(u->delta), 0); // 0.05: digits and a point
	}
	tdm_bytes_puts(out, ",\"delta\":");
	tdm_bytes_number(out, tdm_decimal_round(delta < 1 ? delta : 1, 9));
}

static void put_totals(struct tdm_bytes *out, const struct tdm_record *r) {
	double total = tdm_record_cost(r);
	int64_t overhead = r->total_us - r->model_us;
	tdm_bytes_putc(out, ',');
	put_field(out, "cache", r->cache);
	tdm_bytes_puts(out, ",\"cost\":{\"total\":");
	tdm_bytes_number(out, money(total));
	tdm_bytes_putc(out, ',');
	put_field(out, "currency", r->currency ? r->currency : "USD");
	put_number(out, "baseline", money(r->baseline_cost));
	put_number(out, "saved", money(r->baseline_cost - total));
	put_integer(out, "},\"timing_us\":{\"queue\":", r->queue_us);
	put_integer(out, ",\"first\":", r->first_us);
	put_integer(out, ",\"total\":", r->total_us);
	put_integer(out, ",\"overhead\":", overhead > 0 ? overhead : 0);
	tdm_bytes_putc(out, '}');
}

static void put_hashes(struct tdm_bytes *out, const struct tdm_record *r) {
	tdm_bytes_puts(out, ",\"hashes\":{");
	put_field(out, "request", r->request_hash[0] ? r->request_hash : NULL);
	tdm_bytes_putc(out, ',');
	put_field(out, "answer", r->answer_hash[0] ? r->answer_hash : NULL);
	tdm_bytes_putc(out, ',');
	put_field(out, "config", r->config_hash);
	tdm_bytes_putc(out, '}');
}

static void put_head(struct tdm_bytes *out, const struct tdm_record *r) {
	tdm_bytes_putc(out, '{');
	put_field(out, "receipt", r->id);
	tdm_bytes_puts(out, ",\"version\":1,");
	put_field(out, "state", tdm_state_name(r->state));
	put_integer(out, ",\"created\":", r->created_wall_us / 1000000);
	tdm_bytes_putc(out, ',');
	put_field(out, "tenant", r->tenant);
	tdm_bytes_putc(out, ',');
	put_field(out, "requested", r->requested);
	tdm_bytes_putc(out, ',');
	put_field(out, "served", r->served);
	tdm_bytes_putc(out, ',');
	put_field(out, "error", r->error_code);
	tdm_bytes_putc(out, ',');
	put_objective(out, &r->objective);
	tdm_bytes_printf(out, ",\"seed\":%llu,", (unsigned long long)r->seed);
}

struct parts {
	bool leaks, calls, decisions;
};

static void write_parts(struct tdm_bytes *out, const struct tdm_record *r, struct parts with) {
	put_head(out, r);
	if (with.calls)
		put_calls(out, r);
	else
		tdm_bytes_puts(out, "\"calls\":[]");
	if (with.decisions)
		put_decisions(out, r);
	else
		tdm_bytes_puts(out, ",\"decisions\":[]");
	put_left(out, &r->left, with.leaks);
	put_verdicts(out, r);
	put_certificates(out, r);
	put_totals(out, r);
	put_warnings(out, r);
	put_hashes(out, r);
	if (!with.leaks || !with.calls || !with.decisions)
		tdm_bytes_puts(out, ",\"truncated\":true");
	tdm_bytes_putc(out, '}');
}

void tdm_receipt_write(struct tdm_bytes *out, const struct tdm_record *r) {
	write_parts(out, r, (struct parts){true, true, true});
}

void tdm_receipt_write_inline(struct tdm_bytes *out, const struct tdm_record *r, size_t limit) {
	for (int left_out = 0; left_out < 4; left_out++) {
		struct tdm_bytes part;
		tdm_bytes_init(&part, limit);
		write_parts(&part, r, (struct parts){left_out < 1, left_out < 2, left_out < 3});
		bool fits = !part.failed;
		if (fits)
			tdm_bytes_add(out, part.data, part.len);
		tdm_bytes_release(&part);
		if (fits)
			return;
	}
	tdm_bytes_puts(out, "{\"receipt\":");
	put_string(out, r->id);
	tdm_bytes_puts(out, ",\"truncated\":true}");
}
