// Summary: adds up the outcomes of a run. See summary.h. A new figure: a field of the outcome, a line here, one in
// report.c.
#include "eval/summary.h"
#include "assure/bounds.h"
#include <stdlib.h>
#include <string.h>

static void add(struct tdm_eval_share *s, bool counts, bool holds) {
	s->n += counts;
	s->k += counts && holds;
}

double tdm_eval_percent(struct tdm_eval_share s) {
	return s.n ? 100.0 * (double)s.k / (double)s.n : (double)NAN;
}

void tdm_eval_interval(struct tdm_eval_share s, double *low, double *high) {
	*low = *high = (double)NAN;
	if (s.n == 0)
		return;
	tdm_binomial_lower((int64_t)s.k, (int64_t)s.n, 0.025, low, NULL);
	tdm_binomial_upper((int64_t)s.k, (int64_t)s.n, 0.025, high, NULL);
	*low *= 100;
	*high *= 100;
}

static int by_value(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double tdm_eval_median(double *values, size_t n) {
	if (n == 0)
		return (double)NAN;
	qsort(values, n, sizeof *values, by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static int by_key(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

size_t tdm_eval_distinct(const struct tdm_eval *e) {
	size_t n = e->options.n_items, distinct = 0;
	uint64_t *keys = malloc(n * sizeof *keys);
	for (size_t i = 0; i < n && keys; i++)
		keys[i] = e->items[i].key;
	if (keys)
		qsort(keys, n, sizeof *keys, by_key);
	for (size_t i = 0; i < n && keys; i++)
		distinct += i == 0 || keys[i] != keys[i - 1];
	free(keys);
	return distinct;
}

static size_t baseline_index(const struct tdm_eval *e) {
	size_t i = 0;
	while (i < e->options.n_models && e->options.models[i] != e->options.baseline)
		i++;
	return i;
}

static void add_answer(struct tdm_eval_summary *s, const struct tdm_eval_item *item, const struct tdm_eval_outcome *o) {
	add(&s->right, true, o->right);
	add(&s->families[item->family], true, o->right);
	if (item->level >= 1 && item->level <= TDM_GYM_LEVELS)
		add(&s->levels[item->level - 1], true, o->right);
	s->failed += o->status && o->status != TDM_EFILTERED;
	s->mean_us += (double)o->us;
	s->cost += o->cost;
	add(&s->served, true, o->served_by_baseline);
	add(&s->called, true, o->called_baseline);
	s->baseline_calls += o->baseline_calls;
	add(&s->equal, true, o->equal);
	add(&s->refused_right, item->is_refuse, o->refused);
	add(&s->refused_wrong, !item->is_refuse, o->refused);
	s->drafted += o->drafted;
	s->accepted += o->accepted;
	s->passes += o->passes;
	s->verified += o->verified;
}

static void add_privacy(struct tdm_eval_summary *s, const struct tdm_eval_item *item,
                        const struct tdm_eval_outcome *o) {
	add(&s->leaked, item->has_protected, o->leaked);
	add(&s->exposed, item->has_protected, o->exposed);
	add(&s->restored, item->needs_protected, o->restored);
	s->values_restored += o->values_restored;
	s->values_missed += o->values_missed;
	s->values_damaged += o->values_damaged;
}

static void add_uses(const struct tdm_eval *e, size_t model, size_t i, struct tdm_eval_use *sum) {
	const struct tdm_eval_use *uses = &e->uses[(i * e->options.n_models + model) * e->n_sources];
	for (size_t s = 0; s < e->n_sources; s++) {
		sum[s].calls += uses[s].calls;
		sum[s].prompt_tokens += uses[s].prompt_tokens;
		sum[s].completion_tokens += uses[s].completion_tokens;
		sum[s].us += uses[s].us;
	}
}

// values: scratch for one number per item.
static void add_times(const struct tdm_eval *e, size_t model, double *values, struct tdm_eval_summary *out) {
	size_t n = e->options.n_items, base = baseline_index(e);
	for (size_t i = 0; i < n; i++)
		values[i] = (double)tdm_eval_outcome(e, i, model)->us;
	out->median_us = tdm_eval_median(values, n);
	double base_us = 0, base_cost = 0, us = out->mean_us;
	out->mean_us /= (double)n;
	out->speed_median = out->speed_sum = out->cost_ratio = (double)NAN;
	if (base == e->options.n_models)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct tdm_eval_outcome *b = tdm_eval_outcome(e, i, base), *o = tdm_eval_outcome(e, i, model);
		base_us += (double)b->us;
		base_cost += b->cost;
		values[i] = (double)(b->us > 0 ? b->us : 1) / (double)(o->us > 0 ? o->us : 1);
	}
	out->speed_median = tdm_eval_median(values, n);
	out->speed_sum = us > 0 ? base_us / us : (double)NAN;
	out->cost_ratio = base_cost > 0 ? out->cost / base_cost : (double)NAN;
}

int tdm_eval_summarise(const struct tdm_eval *e, size_t model, struct tdm_arena *arena, struct tdm_eval_summary *out,
                       struct tdm_error *err) {
	const struct tdm_model *m = e->options.models[model];
	double *values = malloc(e->options.n_items * sizeof *values);
	*out = (struct tdm_eval_summary){.model = m->name, .kind = m->kind ? m->kind->name : ""};
	out->families = tdm_arena_array(arena, e->n_families, sizeof *out->families);
	out->uses = tdm_arena_array(arena, e->n_sources + 1, sizeof *out->uses);
	if (!values || !out->families || !out->uses) {
		free(values);
		return tdm_fail(err, TDM_ENOMEM, "eval: no memory for the summary of model %s", m->name);
	}
	for (size_t i = 0; i < e->options.n_items; i++) {
		add_answer(out, &e->items[i], tdm_eval_outcome(e, i, model));
		add_privacy(out, &e->items[i], tdm_eval_outcome(e, i, model));
		add_uses(e, model, i, out->uses);
	}
	for (size_t s = 0; s < e->n_sources; s++)
		out->has_covered |= e->covered[model * e->n_sources + s];
	add_times(e, model, values, out);
	free(values);
	return TDM_OK;
}

int tdm_eval_summaries(const struct tdm_eval *e, struct tdm_arena *arena, struct tdm_eval_summary **out,
                       struct tdm_error *err) {
	*out = tdm_arena_array(arena, e->options.n_models, sizeof **out);
	if (!*out)
		return tdm_fail(err, TDM_ENOMEM, "eval: no memory for the summaries");
	int status = TDM_OK;
	for (size_t m = 0; m < e->options.n_models && !status; m++)
		status = tdm_eval_summarise(e, m, arena, &(*out)[m], err);
	return status;
}
