// Report as JSON: version 1. One object per model with its totals, one list per item with the outcome of every model in
// the order of `models`. Names, numbers and codes only.
#include "eval/report.h"
#include <math.h>
#include <string.h>

static void put_key(struct tdm_bytes *out, const char *key) {
	if (out->len && !strchr("{[", out->data[out->len - 1]))
		tdm_bytes_putc(out, ',');
	tdm_bytes_json(out, key, strlen(key));
	tdm_bytes_putc(out, ':');
}

static void put_text(struct tdm_bytes *out, const char *key, const char *text) {
	put_key(out, key);
	if (text)
		tdm_bytes_json(out, text, strlen(text));
	else
		tdm_bytes_puts(out, "null");
}

static void put_number(struct tdm_bytes *out, const char *key, double value) {
	put_key(out, key);
	tdm_bytes_number(out, value);
}

static void put_bool(struct tdm_bytes *out, const char *key, bool value) {
	put_key(out, key);
	tdm_bytes_puts(out, value ? "true" : "false");
}

// With the exact 95 % interval of the share, in percent.
static void put_counts(struct tdm_bytes *out, struct tdm_eval_share s) {
	double low, high;
	tdm_eval_interval(s, &low, &high);
	tdm_bytes_printf(out, "{\"k\":%zu,\"n\":%zu", s.k, s.n);
	put_number(out, "low", low);
	put_number(out, "high", high);
	tdm_bytes_putc(out, '}');
}

static void put_share(struct tdm_bytes *out, const char *key, struct tdm_eval_share s) {
	put_key(out, key);
	put_counts(out, s);
}

static void put_uses(struct tdm_bytes *out, const struct tdm_eval *e, const struct tdm_eval_use *uses) {
	put_key(out, "sources");
	tdm_bytes_putc(out, '{');
	for (size_t i = 0; i < e->n_sources; i++) {
		if (!uses[i].calls)
			continue;
		put_key(out, e->sources[i]->name);
		tdm_bytes_printf(out, "{\"calls\":%lld,\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"us\":%lld}",
		                 (long long)uses[i].calls, (long long)uses[i].prompt_tokens,
		                 (long long)uses[i].completion_tokens, (long long)uses[i].us);
	}
	tdm_bytes_putc(out, '}');
}

static void put_accuracy(struct tdm_bytes *out, const struct tdm_eval *e, const struct tdm_eval_summary *s) {
	put_share(out, "right", s->right);
	put_key(out, "families");
	tdm_bytes_putc(out, '{');
	for (size_t f = 0; f < e->n_families; f++)
		put_share(out, e->families[f], s->families[f]);
	tdm_bytes_puts(out, "}");
	put_key(out, "levels");
	tdm_bytes_putc(out, '[');
	for (int level = 0; level < TDM_GYM_LEVELS; level++) {
		tdm_bytes_puts(out, level ? "," : "");
		put_counts(out, s->levels[level]);
	}
	tdm_bytes_putc(out, ']');
	put_number(out, "failed", (double)s->failed);
}

static void put_effort(struct tdm_bytes *out, const struct tdm_eval_summary *s) {
	put_number(out, "mean_us", s->mean_us);
	put_number(out, "median_us", s->median_us);
	put_number(out, "speed_median", s->speed_median);
	put_number(out, "speed_sum", s->speed_sum);
	put_number(out, "cost", s->cost);
	put_number(out, "cost_ratio", s->cost_ratio);
	put_share(out, "served_by_baseline", s->served);
	put_share(out, "called_baseline", s->called);
	put_number(out, "baseline_calls", (double)s->baseline_calls);
	put_share(out, "equal", s->equal);
	put_number(out, "drafted", (double)s->drafted);
	put_number(out, "accepted", (double)s->accepted);
	put_number(out, "passes", (double)s->passes);
	put_number(out, "verified", (double)s->verified);
}

static void put_safety(struct tdm_bytes *out, const struct tdm_eval_summary *s) {
	put_bool(out, "masked_source", s->has_covered);
	put_share(out, "leaked", s->leaked);
	put_share(out, "exposed", s->exposed);
	put_share(out, "restored", s->restored);
	put_number(out, "values_restored", (double)s->values_restored);
	put_number(out, "values_missed", (double)s->values_missed);
	put_number(out, "values_damaged", (double)s->values_damaged);
	put_share(out, "refused_right", s->refused_right);
	put_share(out, "refused_wrong", s->refused_wrong);
}

static void put_model(struct tdm_bytes *out, const struct tdm_eval *e, const struct tdm_eval_summary *s, size_t m) {
	tdm_bytes_puts(out, m ? ",\n{" : "\n{");
	put_text(out, "model", s->model);
	put_text(out, "kind", s->kind);
	put_accuracy(out, e, s);
	put_effort(out, s);
	put_safety(out, s);
	put_text(out, "first_failure", e->failures[m][0] ? e->failures[m] : NULL);
	put_uses(out, e, s->uses);
	tdm_bytes_putc(out, '}');
}

static void put_outcome(struct tdm_bytes *out, const struct tdm_eval_outcome *o) {
	tdm_bytes_putc(out, '{');
	put_bool(out, "right", o->right);
	if (o->status)
		put_text(out, "error", tdm_status_info(o->status)->code);
	if (o->refused)
		put_bool(out, "refused", true);
	if (o->leaked)
		put_bool(out, "leaked", true);
	put_bool(out, "called_baseline", o->called_baseline);
	put_bool(out, "served_by_baseline", o->served_by_baseline);
	put_bool(out, "equal", o->equal);
	put_number(out, "us", (double)o->us);
	put_number(out, "cost", o->cost);
	put_number(out, "mean_logprob", o->mean_logprob);
	if (!isnan(o->score))
		put_number(out, "score", o->score);
	tdm_bytes_putc(out, '}');
}

static void put_item(struct tdm_bytes *out, const struct tdm_eval *e, size_t i) {
	const struct tdm_eval_item *item = &e->items[i];
	tdm_bytes_puts(out, i ? ",\n{" : "\n{");
	put_text(out, "family", e->families[item->family]);
	put_number(out, "level", item->level);
	tdm_bytes_printf(out, ",\"key\":\"%016llx\",\"outcomes\":[", (unsigned long long)item->key);
	for (size_t m = 0; m < e->options.n_models; m++) {
		if (m)
			tdm_bytes_putc(out, ',');
		put_outcome(out, tdm_eval_outcome(e, i, m));
	}
	tdm_bytes_puts(out, "]}");
}

void tdm_report_json(const struct tdm_eval *e, const struct tdm_eval_summary *summaries, const char *settings,
                     struct tdm_bytes *out) {
	tdm_bytes_putc(out, '{');
	put_number(out, "version", 1);
	put_text(out, "test", "gym");
	put_number(out, "seed", (double)e->options.seed);
	put_number(out, "n", (double)e->options.n_items);
	put_number(out, "distinct", (double)tdm_eval_distinct(e));
	put_text(out, "baseline", e->options.baseline ? e->options.baseline->name : NULL);
	put_text(out, "settings", settings);
	tdm_bytes_puts(out, ",\"models\":[");
	for (size_t m = 0; m < e->options.n_models; m++)
		put_model(out, e, &summaries[m], m);
	tdm_bytes_puts(out, "],\n\"items\":[");
	for (size_t i = 0; i < e->options.n_items; i++)
		put_item(out, e, i);
	tdm_bytes_puts(out, "]}\n");
}
