// Traffic: receipts of the ledger read into the decisions of one model. See traffic.h. A new row that decides without a
// score: a word in `unscored`.
#include "eval/traffic.h"
#include "base/value.h"
#include "ledger/store.h"
#include "models/gate.h"
#include <math.h>
#include <string.h>

#define ROWS_AT_ONCE 256
#define BATCH_LIMIT_BYTES ((size_t)256 << 20)
#define ARENA_LIMIT_BYTES ((size_t)256 << 20) // of the receipts of a batch, parsed

struct reader {
	const struct tdm_traffic_options *o;
	struct tdm_arena *arena, *scratch; // scratch: of one batch
	struct tdm_traffic *t;
	size_t cap;
	struct tdm_error *err;
};

static int no_memory(struct reader *r) {
	return tdm_fail(r->err, TDM_ENOMEM, "out of memory for the decisions of a ledger");
}

static bool is_one_of(const char *text, const char *const *list) {
	while (*list && strcmp(text, *list) != 0)
		list++;
	return *list != NULL;
}

// --- the row that decided

static const struct tdm_value *find_decision(const struct reader *r, const struct tdm_value *list, bool *has_score) {
	static const char *const unscored[] = {"tools", "certificate", "failed", "check", "sentence", NULL};
	static const char *const later[] = {"audit", "latch", "otherwise", NULL};
	const struct tdm_value *found = NULL;
	for (size_t i = 0; list && list->type == TDM_LIST && i < list->n; i++) {
		const struct tdm_value *row = &list->items[i];
		const char *by = tdm_get_string(row, "by"), *signal = tdm_get_string(row, "signal");
		const char *detail = tdm_get_string(row, "detail");
		if (!by || strcmp(by, r->o->by) != 0 || !signal || is_one_of(signal, later))
			continue;
		*has_score = tdm_get(row, "score") && tdm_get(row, "threshold");
		if (detail && !strncmp(detail, "undecided", 9))
			*has_score = false;
		else if (!*has_score && !is_one_of(signal, unscored))
			continue;
		found = row;
		break;
	}
	return found;
}

static void set_decision(const struct reader *r, const struct tdm_value *row, bool has_score,
                         struct tdm_traffic_item *out) {
	const char *detail = tdm_get_string(row, "detail");
	out->score = out->threshold = (double)NAN;
	if (!r->t->kind && tdm_get_string(row, "kind"))
		r->t->kind = tdm_arena_string(r->arena, tdm_get_string(row, "kind"));
	if (!has_score)
		return;
	out->score = tdm_get_number(row, "score", (double)NAN);
	out->threshold = tdm_get_number(row, "threshold", (double)NAN);
	out->signal = tdm_arena_string(r->arena, tdm_get_string(row, "signal"));
	out->kept = tdm_gate_accepts(out->score, out->threshold);
	r->t->n_stayed += detail && !strcmp(detail, "stays");
}

static enum tdm_audited audit_of(const struct reader *r, const struct tdm_value *list) {
	for (size_t i = 0; list && list->type == TDM_LIST && i < list->n; i++) {
		const char *by = tdm_get_string(&list->items[i], "by"), *signal = tdm_get_string(&list->items[i], "signal");
		const char *choice = tdm_get_string(&list->items[i], "choice");
		if (by && signal && choice && !strcmp(by, r->o->by) && !strcmp(signal, "audit"))
			return !strcmp(choice, "agrees") ? TDM_AGREES : !strcmp(choice, "differs") ? TDM_DIFFERS : TDM_NOT_AUDITED;
	}
	return TDM_NOT_AUDITED;
}

// --- what it cost

static bool is_call(const struct tdm_value *call, const char *key, const char *value) {
	const char *text = tdm_get_string(call, key);
	return text && !strcmp(text, value);
}

// Of calls first..last-1.
static double sum_costs(const struct tdm_value *calls, size_t first, size_t last) {
	double sum = 0;
	for (size_t i = first; i < last; i++)
		sum += tdm_get_number(&calls->items[i], "cost", 0);
	return sum;
}

// Where the calls of a cascade's first tier end: behind what was thrown away or only asked for the gate's sake; where
// nothing was, all calls but the last are the first tier's.
static size_t first_tier(const struct tdm_value *calls, size_t n) {
	size_t end = 0;
	for (size_t i = 0; i < n; i++)
		if (is_call(&calls->items[i], "status", "discarded") || !is_call(&calls->items[i], "purpose", "answer"))
			end = i + 1;
	return end && end < n ? end : n ? n - 1 : 0;
}

static void set_costs(const struct reader *r, const struct tdm_value *calls, struct tdm_traffic_item *out) {
	size_t n = calls && calls->type == TDM_LIST ? calls->n : 0;
	bool is_audited = out->audited != TDM_NOT_AUDITED && n > 0;
	size_t served = is_audited ? n - 1 : n; // the audit is the last call
	double paid = sum_costs(calls, 0, served);
	out->keep_cost = out->send_cost = (double)NAN;
	if (out->kept) {
		out->keep_cost = paid;
		if (is_audited)
			out->send_cost = sum_costs(calls, served, n) + (r->t->pays_both ? paid : 0);
		return;
	}
	out->send_cost = paid;
	if (r->t->pays_both && n > 1)
		out->keep_cost = sum_costs(calls, 0, first_tier(calls, n));
}

// --- receipts

static struct tdm_traffic_item *add_item(struct reader *r) {
	if (r->t->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 1024;
		struct tdm_traffic_item *items = tdm_arena_array(r->arena, cap, sizeof *items);
		if (!items)
			return NULL;
		if (r->t->n)
			memcpy(items, r->t->items, r->t->n * sizeof *items);
		r->t->items = items;
		r->cap = cap;
	}
	struct tdm_traffic_item *item = &r->t->items[r->t->n++];
	*item = (struct tdm_traffic_item){.kept = false};
	return item;
}

static int take_receipt(struct reader *r, const struct tdm_value *v) {
	const struct tdm_value *decisions = tdm_get(v, "decisions");
	const char *state = tdm_get_string(v, "state"), *id = tdm_get_string(v, "receipt");
	const char *currency = tdm_get_string(tdm_get(v, "cost"), "currency");
	bool has_score = false;
	if (!id || tdm_get_number(v, "created", 0) < (double)r->o->since_s) // documents have no id of a receipt
		return TDM_OK;
	r->t->n_read++;
	const struct tdm_value *row = find_decision(r, decisions, &has_score);
	bool is_whole = state && (!strcmp(state, "complete") || !strcmp(state, "incomplete"));
	r->t->n_without += !row;
	r->t->n_unfinished += row && !is_whole;
	if (!row || !is_whole)
		return TDM_OK;
	struct tdm_traffic_item *item = add_item(r);
	if (!item || !(item->id = tdm_arena_string(r->arena, id)))
		return no_memory(r);
	if (currency && !r->t->currency)
		r->t->currency = tdm_arena_string(r->arena, currency);
	set_decision(r, row, has_score, item);
	r->t->pays_both = r->t->kind && !strcmp(r->t->kind, "cascade");
	item->audited = item->kept ? audit_of(r, decisions) : TDM_NOT_AUDITED;
	set_costs(r, tdm_get(v, "calls"), item);
	return TDM_OK;
}

static int take_lines(struct reader *r, const struct tdm_bytes *lines) {
	int status = TDM_OK;
	for (const char *at = lines->data, *end = at + lines->len; at < end && !status;) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		struct tdm_value *v = NULL;
		struct tdm_error why = {0};
		size_t n = stop ? (size_t)(stop - at) : (size_t)(end - at);
		if (tdm_json_parse(r->scratch, at, n, &v, &why))
			return tdm_fail(r->err, TDM_EFORMAT, "%s: a receipt cannot be read: %s", r->o->ledger, why.text);
		status = take_receipt(r, v);
		at += n + 1;
		tdm_arena_clear(r->scratch);
	}
	return status;
}

static int read_rows(struct reader *r) {
	struct tdm_ledger *ledger;
	struct tdm_bytes lines;
	int64_t number = 0;
	int status = tdm_ledger_open_to_read(r->o->ledger, &ledger, r->err);
	if (status)
		return status;
	tdm_bytes_init(&lines, BATCH_LIMIT_BYTES);
	do {
		tdm_bytes_clear(&lines);
		status = tdm_ledger_after(ledger, &number, ROWS_AT_ONCE, &lines, r->err);
		if (!status && lines.failed)
			status = no_memory(r);
		if (!status && lines.len)
			status = take_lines(r, &lines);
	} while (!status && lines.len);
	tdm_bytes_release(&lines);
	tdm_ledger_close(ledger);
	return status;
}

// --- what is compared with what

static size_t count_signal(const struct tdm_traffic *t, const char *signal) {
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++)
		n += t->items[i].signal && !strcmp(t->items[i].signal, signal);
	return n;
}

// Scores of two signals are not on one scale: the one that was asked for, or that most requests have, stays.
static void choose_signal(struct reader *r) {
	struct tdm_traffic *t = r->t;
	size_t most = 0, n = 0, left = t->n;
	t->signal = r->o->signal;
	for (size_t i = 0; i < t->n && !r->o->signal && most < left; i++) {
		const char *signal = t->items[i].signal;
		if (!signal || (t->signal && !strcmp(signal, t->signal)) || (n = count_signal(t, signal)) <= most)
			continue;
		most = n;
		left = t->n - n;
		t->signal = signal;
	}
	for (n = 0, left = 0; left < t->n; left++) {
		const struct tdm_traffic_item *item = &t->items[left];
		bool is_other = item->signal && t->signal && strcmp(item->signal, t->signal) != 0;
		t->n_other += is_other;
		if (!is_other)
			t->items[n++] = *item;
	}
	t->n = n;
}

struct mean {
	double sum;
	size_t n;
};

static void add(struct mean *m, double value) {
	m->sum += isnan(value) ? 0 : value;
	m->n += !isnan(value);
}

static double mean_of(const struct mean *m) {
	return m->n ? m->sum / (double)m->n : (double)NAN;
}

static void sum_up(struct tdm_traffic *t) {
	struct mean keep = {0}, send = {0}, more = {0};
	t->threshold = (double)NAN;
	for (size_t i = 0; i < t->n; i++) {
		const struct tdm_traffic_item *item = &t->items[i];
		t->n_kept += item->kept;
		t->n_undecided += !item->signal;
		t->n_audited += item->audited != TDM_NOT_AUDITED;
		add(&keep, item->keep_cost);
		add(&send, item->send_cost);
		add(&more, item->send_cost - item->keep_cost);
		if (!isnan(item->threshold))
			t->threshold = item->threshold;
	}
	t->mean_keep = mean_of(&keep);
	t->mean_send = mean_of(&send);
	t->mean_more = mean_of(&more);
}

int tdm_traffic_read(const struct tdm_traffic_options *o, struct tdm_arena *arena, struct tdm_traffic *out,
                     struct tdm_error *err) {
	struct tdm_arena scratch;
	struct reader r = {.o = o, .arena = arena, .scratch = &scratch, .t = out, .err = err};
	*out = (struct tdm_traffic){.by = o->by};
	tdm_arena_init(&scratch, ARENA_LIMIT_BYTES);
	int status = read_rows(&r);
	tdm_arena_release(&scratch);
	if (status)
		return status;
	choose_signal(&r);
	sum_up(out);
	if (out->n == out->n_undecided)
		return tdm_fail(err, TDM_EVALUE,
		                "%s: %zu requests, none of them was decided by a score of %s against a threshold%s%s",
		                o->ledger, out->n_read, o->by, o->signal ? ", signal " : "", o->signal ? o->signal : "");
	return TDM_OK;
}
