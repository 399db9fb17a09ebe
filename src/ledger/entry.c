// Entry: fields one after the other, numbers of eight bytes as they are in memory, strings with their length and a NUL.
// The form lives only in the journal of one machine; a change raises the journal's MAGIC.
#include "ledger/entry.h"
#include "base/clock.h"
#include "base/random.h"
#include "ledger/receipt.h"
#include <string.h>

#define NO_STRING UINT32_MAX

static void put_number(struct tdm_bytes *out, const void *number) {
	tdm_bytes_add(out, number, 8);
}

static void put_string(struct tdm_bytes *out, const char *text) {
	uint32_t n = text ? (uint32_t)strlen(text) : NO_STRING;
	tdm_bytes_add(out, &n, sizeof n);
	if (text)
		tdm_bytes_add(out, text, (size_t)n + 1);
}

static void put_strings(struct tdm_bytes *out, const char *const *texts, size_t n) {
	for (size_t i = 0; i < n; i++)
		put_string(out, texts[i]);
}

static void put_rows(struct tdm_bytes *out, const struct tdm_record *r) {
	uint32_t n[2] = {0, 0};
	for (const struct tdm_call *c = r->calls; c; c = c->next)
		n[0]++;
	for (const struct tdm_decision *d = r->decisions; d; d = d->next)
		n[1]++;
	tdm_bytes_add(out, n, sizeof n);
	for (const struct tdm_call *c = r->calls; c; c = c->next) {
		put_strings(out, (const char *[]){c->model, c->purpose, c->status}, 3);
		put_number(out, &c->prompt_tokens);
		put_number(out, &c->completion_tokens);
		put_number(out, &c->us);
		put_number(out, &c->cost);
	}
	for (const struct tdm_decision *d = r->decisions; d; d = d->next) {
		put_strings(out, (const char *[]){d->by, d->kind, d->choice}, 3);
		put_number(out, &d->score);
		put_number(out, &d->threshold);
	}
}

static void put_numbers(struct tdm_bytes *out, int64_t created_s, int64_t total_us, double cost) {
	put_number(out, &created_s);
	put_number(out, &total_us);
	put_number(out, &cost);
}

void tdm_entry_write(struct tdm_bytes *out, const struct tdm_record *r, const struct tdm_bytes *receipt) {
	const char *texts[] = {r->id, r->tenant, tdm_state_name(r->state), r->requested, r->served, r->error_code};
	put_strings(out, texts, sizeof texts / sizeof *texts);
	put_numbers(out, r->created_wall_us / 1000000, r->total_us, tdm_record_cost(r));
	put_rows(out, r);
	if (receipt)
		tdm_bytes_add(out, receipt->data, receipt->len);
	else
		tdm_receipt_write(out, r);
	tdm_bytes_putc(out, 0); // what is left is the receipt
}

// The head of a row that no request made; its text follows, and a NUL.
static void put_other(struct tdm_bytes *out, const char *id, const char *state, const char *error, int64_t now_s) {
	uint32_t none[2] = {0, 0};
	put_strings(out, (const char *[]){id, NULL, state, NULL, NULL, error}, 6);
	put_numbers(out, now_s, 0, 0);
	tdm_bytes_add(out, none, sizeof none);
}

void tdm_entry_write_gap(struct tdm_bytes *out) {
	char id[TDM_ID_BYTES];
	int64_t now_s = tdm_wall_us() / 1000000;
	tdm_make_id(id, "gap_");
	put_other(out, id, "gap", "ledger_unavailable", now_s);
	tdm_bytes_printf(out, "{\"receipt\":\"%s\",\"version\":1,\"state\":\"gap\",\"created\":%lld}", id,
	                 (long long)now_s);
	tdm_bytes_putc(out, 0);
}

void tdm_entry_write_document(struct tdm_bytes *out, const char *id, const struct tdm_bytes *text) {
	put_other(out, id, TDM_DOCUMENT, NULL, tdm_wall_us() / 1000000);
	tdm_bytes_add(out, text->data, text->len);
	tdm_bytes_putc(out, 0);
}

static bool take(struct tdm_entry *e, void *out, size_t n) {
	if ((size_t)(e->end - e->rows) < n)
		return false;
	memcpy(out, e->rows, n);
	e->rows += n;
	return true;
}

static bool take_string(struct tdm_entry *e, const char **out) {
	uint32_t n;
	*out = NULL;
	if (!take(e, &n, sizeof n))
		return false;
	if (n == NO_STRING)
		return true;
	if ((size_t)(e->end - e->rows) <= n || e->rows[n])
		return false;
	*out = e->rows;
	e->rows += (size_t)n + 1;
	return true;
}

bool tdm_entry_call(struct tdm_entry *e, struct tdm_entry_call *out) {
	return take_string(e, &out->model) && take_string(e, &out->purpose) && take_string(e, &out->status) &&
	       take(e, &out->prompt_tokens, 8) && take(e, &out->completion_tokens, 8) && take(e, &out->us, 8) &&
	       take(e, &out->cost, 8);
}

bool tdm_entry_decision(struct tdm_entry *e, struct tdm_entry_decision *out) {
	return take_string(e, &out->by) && take_string(e, &out->kind) && take_string(e, &out->choice) &&
	       take(e, &out->score, 8) && take(e, &out->threshold, 8);
}

// The rows are walked over to find the receipt behind them.
static bool find_receipt(struct tdm_entry *e) {
	struct tdm_entry_call call;
	struct tdm_entry_decision decision;
	struct tdm_entry walk = *e;
	for (uint32_t i = 0; i < e->n_calls; i++)
		if (!tdm_entry_call(&walk, &call))
			return false;
	for (uint32_t i = 0; i < e->n_decisions; i++)
		if (!tdm_entry_decision(&walk, &decision))
			return false;
	if (walk.rows >= e->end || e->end[-1])
		return false;
	e->receipt = walk.rows;
	e->receipt_bytes = (size_t)(e->end - walk.rows) - 1;
	return true;
}

bool tdm_entry_read(const char *data, size_t n, struct tdm_entry *out) {
	*out = (struct tdm_entry){.rows = data, .end = data + n};
	const char **texts[] = {&out->id, &out->tenant, &out->state, &out->requested, &out->served, &out->error};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (!take_string(out, texts[i]))
			return false;
	return out->id && out->state && take(out, &out->created_s, 8) && take(out, &out->total_us, 8) &&
	       take(out, &out->cost, 8) && take(out, &out->n_calls, 4) && take(out, &out->n_decisions, 4) &&
	       find_receipt(out);
}
