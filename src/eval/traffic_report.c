// Traffic's figures: what a threshold makes of the recorded requests, as a table and as JSON, and the join with labels.
#include "assure/bounds.h"
#include "eval/replay_report.h"
#include "eval/traffic.h"
#include "models/gate.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HALF_MISS 0.025 // on either side of a band of 95 %

// --- one threshold

// The price of the item when it is sent on (else kept). *known: it was paid, not estimated.
static double price_of(const struct tdm_traffic *t, const struct tdm_traffic_item *item,
                       const struct tdm_traffic_prices *p, bool sent, bool *known) {
	double have = sent ? item->send_cost : item->keep_cost;
	double small = isnan(p->small) ? t->mean_keep : p->small, large = isnan(p->large) ? t->mean_send : p->large;
	*known = !isnan(have);
	if (*known)
		return have;
	if (!sent)
		return small;
	if (!t->pays_both)
		return large;
	return (isnan(item->keep_cost) ? small : item->keep_cost) + (isnan(p->large) ? t->mean_more : p->large);
}

void tdm_traffic_replay(const struct tdm_traffic *t, const struct tdm_traffic_prices *p, double threshold,
                        struct tdm_traffic_policy *out) {
	double n = (double)t->n, n_kept = 0;
	*out = (struct tdm_traffic_policy){.threshold = threshold, .is_audited = true};
	out->low = out->high = (double)NAN;
	for (size_t i = 0; i < t->n; i++) {
		const struct tdm_traffic_item *item = &t->items[i];
		bool keeps = tdm_gate_accepts(item->score, threshold), known;
		double price = price_of(t, item, p, !keeps, &known);
		out->cost += price / n;
		out->estimated += known ? 0 : price / n;
		n_kept += keeps;
		out->is_audited &= !keeps || item->kept;
		out->n_audited += keeps && item->audited != TDM_NOT_AUDITED;
		out->n_differ += keeps && item->audited == TDM_DIFFERS;
	}
	out->share = n_kept / n;
	if (!out->is_audited || !out->n_audited)
		return;
	tdm_binomial_lower((int64_t)out->n_differ, (int64_t)out->n_audited, HALF_MISS, &out->low, NULL);
	tdm_binomial_upper((int64_t)out->n_differ, (int64_t)out->n_audited, HALF_MISS, &out->high, NULL);
}

static int descending(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x < y) - (x > y);
}

int tdm_traffic_threshold(const struct tdm_traffic *t, double share, double *threshold, struct tdm_error *err) {
	double *scores = calloc(t->n + 1, sizeof *scores);
	size_t n = 0, wanted = (size_t)(share * (double)t->n + 0.5);
	if (!scores)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for %zu scores", t->n);
	for (size_t i = 0; i < t->n; i++)
		if (!isnan(t->items[i].score))
			scores[n++] = t->items[i].score;
	qsort(scores, n, sizeof *scores, descending);
	*threshold = !wanted ? INFINITY : wanted > n ? -INFINITY : scores[wanted - 1];
	free(scores);
	return TDM_OK;
}

// --- all of a plan

typedef void put_fn(const struct tdm_traffic *t, const char *name, const struct tdm_traffic_policy *row,
                    struct tdm_bytes *out);

static int put_all(const struct tdm_traffic *t, const struct tdm_traffic_plan *plan, put_fn *put, struct tdm_bytes *out,
                   struct tdm_error *err) {
	struct tdm_traffic_policy row;
	int status = TDM_OK;
	tdm_traffic_replay(t, &plan->prices, -INFINITY, &row);
	put(t, "all kept", &row, out);
	for (size_t i = 0; i < plan->n_shares && !status; i++) {
		double threshold;
		status = tdm_traffic_threshold(t, 1 - plan->shares[i], &threshold, err);
		if (status)
			return status;
		tdm_traffic_replay(t, &plan->prices, threshold, &row);
		put(t, "share", &row, out);
	}
	for (size_t i = 0; i < plan->n_thresholds; i++) {
		tdm_traffic_replay(t, &plan->prices, plan->thresholds[i], &row);
		put(t, "threshold", &row, out);
	}
	tdm_traffic_replay(t, &plan->prices, t->threshold, &row);
	put(t, "the last in force", &row, out);
	tdm_traffic_replay(t, &plan->prices, INFINITY, &row);
	put(t, "none kept", &row, out);
	return status;
}

// --- the table

static void put_row(const struct tdm_traffic *t, const char *name, const struct tdm_traffic_policy *row,
                    struct tdm_bytes *out) {
	tdm_bytes_printf(out, "%-18s %11.6g %8.2f ", name, row->threshold, 100 * row->share);
	if (isnan(row->cost))
		tdm_bytes_puts(out, "          -        -");
	else
		tdm_bytes_printf(out, "%11.4g %8.1f", row->cost, row->cost > 0 ? 100 * row->estimated / row->cost : 0);
	if (isnan(row->low))
		tdm_bytes_puts(out, "         -\n");
	else
		tdm_bytes_printf(out, "  %8.2f [%6.2f,%6.2f]  %zu of %zu\n",
		                 100 * (double)row->n_differ / (double)row->n_audited, 100 * row->low, 100 * row->high,
		                 row->n_differ, row->n_audited);
}

static void put_head(const struct tdm_traffic *t, struct tdm_bytes *out) {
	tdm_bytes_printf(out, "%zu receipts; %zu requests decided by %s (%s), %.2f %% of them kept\n", t->n_read, t->n,
	                 t->by, t->kind ? t->kind : "-", 100 * (double)t->n_kept / (double)t->n);
	tdm_bytes_printf(out, "score: %s; %zu without a score that counts, sent on at any threshold\n",
	                 t->signal ? t->signal : "-", t->n_undecided);
	tdm_bytes_printf(out, "left out: %zu without such a decision, %zu that failed, %zu with another score\n",
	                 t->n_without, t->n_unfinished, t->n_other);
	if (t->n_stayed)
		tdm_bytes_printf(out,
		                 "%zu stayed with the model of the turn before; other thresholds are replayed without that\n",
		                 t->n_stayed);
	tdm_bytes_printf(out, "cost: of a request, %s; estimated: what of it was not paid, by the mean of what was\n",
	                 t->currency ? t->currency : "no currency");
	tdm_bytes_printf(out, "differs: audited kept answers (%zu) that the large model answers otherwise\n", t->n_audited);
}

int tdm_traffic_table(const struct tdm_traffic *t, const struct tdm_traffic_plan *plan, struct tdm_bytes *out,
                      struct tdm_error *err) {
	put_head(t, out);
	tdm_bytes_printf(out, "\n%-18s %11s %8s %11s %8s %10s\n", "policy", "threshold", "kept %", "cost", "estim. %",
	                 "differs %");
	int status = put_all(t, plan, put_row, out, err);
	tdm_bytes_puts(out,
	               "\n- where the ledger has nothing to tell by: a price of neither model, no audit, or answers that "
	               "were not kept and so never audited.\nWhether an answer was right is not in a ledger: labels "
	               "say it, a table with item (the request's id)\nand correct:MODEL of both models.\n");
	return status;
}

// --- JSON

static void put_number(struct tdm_bytes *out, const char *key, double value) {
	tdm_bytes_printf(out, ",\"%s\":", key);
	tdm_bytes_number(out, value); // null where it is no number
}

static void put_json_row(const struct tdm_traffic *t, const char *name, const struct tdm_traffic_policy *row,
                         struct tdm_bytes *out) {
	tdm_bytes_printf(out, "%s\n{\"policy\":\"%s\"", out->data[out->len - 1] == '[' ? "" : ",", name);
	put_number(out, "threshold", row->threshold);
	put_number(out, "kept", row->share);
	put_number(out, "cost", row->cost);
	put_number(out, "estimated", row->estimated);
	tdm_bytes_printf(out, ",\"audited\":%zu,\"differ\":%zu", row->n_audited, row->n_differ);
	put_number(out, "low", row->low);
	put_number(out, "high", row->high);
	tdm_bytes_putc(out, '}');
}

int tdm_traffic_json(const struct tdm_traffic *t, const struct tdm_traffic_plan *plan, struct tdm_bytes *out,
                     struct tdm_error *err) {
	tdm_bytes_puts(out, "{\"by\":");
	tdm_bytes_json(out, t->by, strlen(t->by));
	tdm_bytes_puts(out, ",\"signal\":");
	tdm_bytes_json(out, t->signal, strlen(t->signal));
	tdm_bytes_printf(out,
	                 ",\"receipts\":%zu,\"requests\":%zu,\"kept\":%zu,\"audited\":%zu,\"undecided\":%zu,\"failed\":%zu,"
	                 "\"without\":%zu,\"other_signals\":%zu,\"stayed\":%zu",
	                 t->n_read, t->n, t->n_kept, t->n_audited, t->n_undecided, t->n_unfinished, t->n_without,
	                 t->n_other, t->n_stayed);
	put_number(out, "threshold", t->threshold);
	put_number(out, "mean_keep", t->mean_keep);
	put_number(out, "mean_send", t->mean_send);
	tdm_bytes_puts(out, ",\"policies\":[");
	int status = put_all(t, plan, put_json_row, out, err);
	tdm_bytes_puts(out, "]}");
	return status;
}

// --- labels

static int by_id(const void *a, const void *b) {
	return strcmp((*(const struct tdm_traffic_item *const *)a)->id, (*(const struct tdm_traffic_item *const *)b)->id);
}

static void set_costs(const struct tdm_traffic *t, const struct tdm_traffic_prices *p,
                      const struct tdm_traffic_item *item, struct tdm_outcome *small, struct tdm_outcome *large) {
	bool known;
	double keep = price_of(t, item, p, false, &known), send = price_of(t, item, p, true, &known);
	if (isnan(small->cost))
		small->cost = keep;
	if (isnan(large->cost))
		large->cost = t->pays_both ? send - keep : send;
}

// Item `from` of the table becomes its item `to`.
static void move_item(struct tdm_outcomes *table, size_t from, size_t to) {
	table->items[to] = table->items[from];
	memmove(tdm_outcome_at(table, to, 0), tdm_outcome_at(table, from, 0), table->n_models * sizeof *table->cells);
	for (size_t c = 0; c < table->n_columns; c++) {
		table->columns[c].values[to] = table->columns[c].values[from];
		table->columns[c].texts[to] = table->columns[c].texts[from];
	}
}

static int join(const struct tdm_traffic *t, const struct tdm_traffic_prices *p, struct tdm_outcomes *table,
                size_t small, size_t large, const struct tdm_traffic_item **sorted, double *scores) {
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++)
		sorted[i] = &t->items[i];
	qsort(sorted, t->n, sizeof *sorted, by_id);
	for (size_t i = 0; i < table->n_items; i++) {
		struct tdm_traffic_item key = {.id = table->items[i].id};
		const struct tdm_traffic_item *wanted = &key, **found = bsearch(&wanted, sorted, t->n, sizeof *sorted, by_id);
		if (!found)
			continue;
		move_item(table, i, n);
		scores[n] = (*found)->score;
		set_costs(t, p, *found, tdm_outcome_at(table, n, small), tdm_outcome_at(table, n, large));
		n++;
	}
	table->n_items = n;
	return n > 0;
}

int tdm_traffic_join(const struct tdm_traffic *t, const struct tdm_traffic_prices *p, struct tdm_outcomes *table,
                     size_t small, size_t large, struct tdm_error *err) {
	double *scores = tdm_arena_array(&table->arena, table->n_items + 1, sizeof *scores);
	const struct tdm_traffic_item **sorted = calloc(t->n + 1, sizeof *sorted);
	int status = TDM_OK;
	if (!scores || !sorted)
		status = tdm_fail(err, TDM_ENOMEM, "out of memory for the labels of requests");
	else if (!join(t, p, table, small, large, sorted, scores))
		status = tdm_fail(err, TDM_EVALUE, "no item of the labels is the id of a request that %s decided", t->by);
	else
		status = tdm_outcomes_keep(table, "score", scores, err);
	free(sorted);
	return status;
}
