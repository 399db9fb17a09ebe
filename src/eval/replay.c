// Replay: see replay.h. What is replayed is chosen first, then scores and policies are worked out, then the bands.
#include "eval/replay.h"
#include "base/random.h"
#include "eval/grade.h"
#include "eval/replay_scores.h"
#include "models/gate.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAME 1e-9   // shares that differ by less are equal
#define N_FIGURES 4 // of a policy: accuracy, share, price, loss

const char *const tdm_replay_measures[TDM_N_REPLAY_MEASURES] = {"APGR",  "CPT20", "CPT50", "CPT80",
                                                                "AUROC", "AURC",  "E-AURC"};

static int no_memory(struct tdm_error *err) {
	return tdm_fail(err, TDM_ENOMEM, "out of memory for the replay");
}

// --- items

static bool has_correct(const struct tdm_outcomes *o, size_t model) {
	for (size_t i = 0; i < o->n_items; i++)
		if (!isnan(tdm_outcome_at(o, i, model)->correct))
			return true;
	return false;
}

// One grader for all: when one of the models has no correctness of its own, nobody's is taken.
static int grade(struct tdm_replay_items *items, struct tdm_error *err) {
	const struct tdm_replay_options *p = items->options;
	items->graded = !has_correct(items->table, p->large);
	for (size_t k = 0; k < p->n_small; k++)
		items->graded |= !has_correct(items->table, p->small[k]);
	const char **answers = NULL, **gold = NULL;
	int status = TDM_OK;
	if (items->graded || p->n_small > 1)
		status = tdm_grade_answers(items->table, p->grader, items->arena, &answers, err);
	if (!status && items->graded)
		status = tdm_grade_gold(items->table, p->grader, items->arena, &gold, err);
	items->answers = answers;
	items->gold = gold;
	return status;
}

static const char *answer_of(const struct tdm_replay_items *items, size_t i, size_t model) {
	return items->answers[items->numbers[i] * items->table->n_models + model];
}

static bool is_right(const struct tdm_replay_items *items, size_t i, const char *answer) {
	return answer && !strcmp(answer, items->gold[items->numbers[i]]);
}

static double quality_of(const struct tdm_replay_items *items, size_t i, size_t model) {
	if (items->graded)
		return is_right(items, i, answer_of(items, i, model));
	return tdm_outcome_at(items->table, items->numbers[i], model)->correct;
}

static bool is_known(const struct tdm_replay_items *items, size_t number, size_t model) {
	const struct tdm_outcome *cell = tdm_outcome_at(items->table, number, model);
	return items->graded ? cell->is_there : !isnan(cell->correct);
}

// An empty reply is a wrong one; a reply that nobody recorded is unknown.
static int choose_items(struct tdm_replay_items *items, struct tdm_error *err) {
	const struct tdm_replay_options *p = items->options;
	size_t *numbers = tdm_arena_array(items->arena, items->table->n_items + 1, sizeof *numbers);
	if (!numbers)
		return no_memory(err);
	for (size_t i = 0; i < items->table->n_items; i++) {
		size_t missing = is_known(items, i, p->large) ? SIZE_MAX : p->large;
		for (size_t k = 0; k < p->n_small; k++)
			if (!is_known(items, i, p->small[k]))
				missing = p->small[k];
		if (missing == SIZE_MAX)
			numbers[items->n++] = i;
		else if (!p->incomplete)
			return tdm_fail(err, TDM_EVALUE,
			                "item \"%s\" has no outcome of %s; such items are left out with --incomplete",
			                items->table->items[i].id, items->table->models[missing]);
	}
	items->numbers = numbers;
	return items->n ? TDM_OK : tdm_fail(err, TDM_EVALUE, "no item has an outcome of every model that is replayed");
}

static int cost_of(const struct tdm_replay_items *items, size_t i, size_t model, double price, double *out,
                   struct tdm_error *err) {
	double cost = tdm_outcome_at(items->table, items->numbers[i], model)->cost;
	if (!isnan(price))
		cost = price;
	else if (isnan(cost))
		return tdm_fail(err, TDM_EVALUE,
		                "item \"%s\" has no cost of %s; --small-price and --large-price give one to all",
		                items->table->items[items->numbers[i]].id, items->table->models[model]);
	*out += cost;
	return TDM_OK;
}

static int fill_items(struct tdm_replay_items *items, struct tdm_error *err) {
	const struct tdm_replay_options *p = items->options;
	size_t n = items->n;
	double *values = tdm_arena_array(items->arena, 5 * n, sizeof *values);
	int status = values ? TDM_OK : no_memory(err);
	for (size_t i = 0; i < n && !status; i++) {
		values[i] = quality_of(items, i, p->small[0]);
		values[n + i] = quality_of(items, i, p->large);
		status = cost_of(items, i, p->small[0], p->small_price, &values[2 * n + i], err);
		values[4 * n + i] = values[2 * n + i];
		for (size_t k = 1; k < p->n_small && !status; k++)
			status = cost_of(items, i, p->small[k], p->small_price, &values[4 * n + i], err);
		if (!status)
			status = cost_of(items, i, p->large, p->large_price, &values[3 * n + i], err);
	}
	items->weak = values;
	items->strong = values + n;
	items->weak_cost = values + 2 * n;
	items->strong_cost = values + 3 * n;
	items->tier_cost = values + 4 * n;
	return status;
}

// --- scores

static void measure(const struct tdm_ranking *r, const uint32_t *counts, struct tdm_routing *curve,
                    double out[TDM_N_REPLAY_MEASURES]) {
	struct tdm_risk_coverage risk;
	tdm_routing_curve(r, counts, curve);
	tdm_risk_coverage(r, counts, &risk);
	out[TDM_APGR] = tdm_apgr(curve);
	out[TDM_CPT20] = tdm_cpt(curve, 0.2);
	out[TDM_CPT50] = tdm_cpt(curve, 0.5);
	out[TDM_CPT80] = tdm_cpt(curve, 0.8);
	out[TDM_AUROC] = tdm_auroc(r, counts);
	out[TDM_AURC] = risk.aurc;
	out[TDM_EXCESS] = risk.excess;
}

static int compare(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	if (isnan(x) || isnan(y))
		return isnan(x) - isnan(y); // behind all numbers
	return x < y ? -1 : x > y;
}

// The middle 95 % of samples, which are sorted. A measure that some resamples do not have has no band.
static void set_band(double *samples, size_t n, struct tdm_band *out) {
	qsort(samples, n, sizeof *samples, compare);
	out->low = out->high = (double)NAN;
	if (n < 2 || isnan(samples[n - 1]))
		return;
	out->low = samples[(size_t)(0.025 * (double)(n - 1) + 0.5)];
	out->high = samples[(size_t)(0.975 * (double)(n - 1) + 0.5)];
}

// Many random routers: the mean of each measure and of the curve, and where 95 % of single routers lie.
static int replay_random(const struct tdm_replay_items *items, struct tdm_replay_score *s, struct tdm_error *err) {
	size_t n = items->options->n_random;
	double *samples = tdm_arena_array(items->arena, n * TDM_N_REPLAY_MEASURES, sizeof *samples);
	if (!samples)
		return no_memory(err);
	struct tdm_routing sum = {0};
	for (size_t run = 0; run < n; run++) {
		struct tdm_arena scratch;
		struct tdm_replay_items mine = *items;
		struct tdm_ranking r;
		double values[TDM_N_REPLAY_MEASURES];
		const double *scores;
		tdm_arena_init(&scratch, (size_t)1 << 30);
		mine.arena = run ? &scratch : items->arena;
		int status = tdm_replay_score_values(&mine, "random", run, &scores, NULL, err);
		if (!status)
			status = tdm_ranking_make(scores, items->weak, items->strong, items->n, mine.arena, &r, err);
		if (!status) {
			measure(&r, NULL, &s->curve, values);
			s->ranking = run ? s->ranking : r;
		}
		tdm_arena_release(&scratch);
		if (status)
			return status;
		for (size_t m = 0; m < TDM_N_REPLAY_MEASURES; m++)
			samples[m * n + run] = values[m];
		for (size_t j = 0; j < TDM_CURVE_POINTS; j++) {
			sum.share[j] += s->curve.share[j] / (double)n;
			sum.quality[j] += s->curve.quality[j] / (double)n;
		}
	}
	memcpy(s->curve.share, sum.share, sizeof sum.share);
	memcpy(s->curve.quality, sum.quality, sizeof sum.quality);
	for (size_t m = 0; m < TDM_N_REPLAY_MEASURES; m++) {
		for (size_t run = 0; run < n; run++)
			s->measures[m].value += samples[m * n + run] / (double)n;
		set_band(samples + m * n, n, &s->measures[m]);
	}
	return TDM_OK;
}

static int replay_score(const struct tdm_replay_items *items, struct tdm_replay_score *s, struct tdm_error *err) {
	double values[TDM_N_REPLAY_MEASURES];
	const double *scores;
	s->is_random = !strcmp(s->name, "random");
	s->against = (struct tdm_band){(double)NAN, (double)NAN, (double)NAN};
	if (s->is_random)
		return replay_random(items, s, err);
	int status = tdm_replay_score_values(items, s->name, 0, &scores, &s->keep, err);
	if (!status)
		status = tdm_ranking_make(scores, items->weak, items->strong, items->n, items->arena, &s->ranking, err);
	if (status)
		return status;
	measure(&s->ranking, NULL, &s->curve, values);
	for (size_t m = 0; m < TDM_N_REPLAY_MEASURES; m++)
		s->measures[m].value = values[m];
	return TDM_OK;
}

// --- policies

struct plan { // of a policy, while it is filled
	struct tdm_replay_policy *policy;
	double *quality, *cost, *strong;
};

static int add_policy(const struct tdm_replay_items *items, struct tdm_replay *out, const char *name, struct plan *plan,
                      struct tdm_error *err) {
	double *values = tdm_arena_array(items->arena, 3 * items->n, sizeof *values);
	if (!values || !name)
		return no_memory(err);
	*plan = (struct plan){&out->policies[out->n_policies++], values, values + items->n, values + 2 * items->n};
	*plan->policy =
	    (struct tdm_replay_policy){.name = name, .quality = plan->quality, .cost = plan->cost, .strong = plan->strong};
	return TDM_OK;
}

// The item with this share of the large model; small: what is paid although the large one answers.
static void take(const struct tdm_replay_items *items, const struct plan *plan, size_t i, double share, bool both) {
	plan->strong[i] = share;
	plan->quality[i] = (1 - share) * items->weak[i] + share * items->strong[i];
	plan->cost[i] = (both ? 1 : 1 - share) * items->weak_cost[i] + share * items->strong_cost[i];
}

static int add_fixed(const struct tdm_replay_items *items, struct tdm_replay *out, struct tdm_error *err) {
	static const char *const names[] = {"always small", "always large", "random, half", "oracle"};
	static const double shares[] = {0, 1, 0.5, 0};
	for (size_t p = 0; p < 4; p++) {
		struct plan plan;
		int status = add_policy(items, out, names[p], &plan, err);
		if (status)
			return status;
		for (size_t i = 0; i < items->n; i++)
			take(items, &plan, i, p < 3 ? shares[p] : items->strong[i] > items->weak[i], false);
	}
	return TDM_OK;
}

static int add_threshold(const struct tdm_replay_items *items, struct tdm_replay *out, const struct tdm_replay_score *s,
                         double threshold, const char *name, struct tdm_error *err) {
	struct plan plan;
	int status = add_policy(items, out, name, &plan, err);
	for (size_t k = 0; k < items->n && !status; k++) {
		size_t i = s->ranking.place[k];
		bool is_large = s->keep ? !tdm_gate_accepts(s->keep[i], threshold) : s->ranking.score[k] >= threshold;
		take(items, &plan, i, is_large, items->options->cascade);
		plan.cost[i] += items->options->gate_price;
	}
	return status;
}

// Of a share of the items that goes to the large model.
static double threshold_of(const struct tdm_replay_items *items, const struct tdm_replay_score *s, double share) {
	size_t n_strong = (size_t)(share * (double)items->n + 0.5);
	if (s->keep)
		return n_strong < items->n ? -s->ranking.score[items->n - n_strong - 1] : INFINITY;
	return n_strong ? s->ranking.score[items->n - n_strong] : INFINITY;
}

static int add_thresholds(const struct tdm_replay_items *items, struct tdm_replay *out,
                          const struct tdm_replay_score *s, struct tdm_error *err) {
	const struct tdm_replay_options *o = items->options;
	double own = o->own ? o->own[s - out->scores] : (double)NAN;
	int status =
	    isnan(own) ? TDM_OK
	               : add_threshold(items, out, s, own, tdm_arena_printf(items->arena, "%s as it is set", s->name), err);
	for (size_t k = 0; k < o->n_thresholds && !status; k++)
		status = add_threshold(
		    items, out, s, o->thresholds[k],
		    tdm_arena_printf(items->arena, s->keep ? "%s keeps from %g" : "%s >= %g", s->name, o->thresholds[k]), err);
	for (size_t k = 0; k < o->n_shares && !status; k++)
		status = add_threshold(items, out, s, threshold_of(items, s, o->shares[k]),
		                       tdm_arena_printf(items->arena, "%s, %g %%", s->name, 100 * o->shares[k]), err);
	return status;
}

// The most frequent answer of the small tier: of equally frequent ones the first. Returns how often; *model gave it.
static size_t majority(const struct tdm_replay_items *items, size_t i, size_t *model) {
	const struct tdm_replay_options *o = items->options;
	size_t best = 0;
	for (size_t a = 0; a < o->n_small; a++) {
		const char *answer = answer_of(items, i, o->small[a]);
		size_t n = 0;
		for (size_t b = 0; answer && b < o->n_small; b++) {
			const char *other = answer_of(items, i, o->small[b]);
			n += other && !strcmp(answer, other);
		}
		if (n > best) {
			best = n;
			*model = o->small[a];
		}
	}
	return best;
}

static int add_agreement(const struct tdm_replay_items *items, struct tdm_replay *out, struct tdm_error *err) {
	const struct tdm_replay_options *o = items->options;
	struct plan plan;
	int status = add_policy(items, out, tdm_arena_printf(items->arena, "agreement >= %g", o->agree), &plan, err);
	if (status)
		return status;
	plan.policy->is_agreement = true;
	for (size_t i = 0; i < items->n; i++) {
		size_t model = o->small[0], n = majority(items, i, &model);
		bool kept = n > 0 && (double)n / (double)o->n_small >= o->agree - SAME;
		take(items, &plan, i, !kept, true);
		plan.cost[i] += items->tier_cost[i] - items->weak_cost[i] + o->gate_price;
		if (kept) {
			plan.quality[i] = quality_of(items, i, model);
			plan.policy->n_kept++;
			plan.policy->n_kept_right += plan.quality[i] >= 0.5;
		}
	}
	return TDM_OK;
}

static double mean(const double *values, const uint32_t *counts, size_t n) {
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += counts ? counts[i] * values[i] : values[i];
	return sum / (double)n;
}

static void figures(const struct tdm_replay_items *items, const struct tdm_replay_policy *p, const uint32_t *counts,
                    double out[N_FIGURES]) {
	out[0] = mean(p->quality, counts, items->n);
	out[1] = mean(p->strong, counts, items->n);
	out[2] = mean(p->cost, counts, items->n);
	out[3] = mean(items->strong, counts, items->n) - out[0];
}

static void sum_policy(const struct tdm_replay_items *items, const struct tdm_replay *r, struct tdm_replay_policy *p) {
	double values[N_FIGURES], small_cost = mean(items->weak_cost, NULL, items->n),
	                          large_cost = mean(items->strong_cost, NULL, items->n);
	figures(items, p, NULL, values);
	p->accuracy.value = values[0];
	p->share.value = values[1];
	p->price.value = values[2];
	p->loss.value = values[3];
	p->pgr = tdm_pgr(&r->models, p->accuracy.value);
	p->ibc = tdm_ibc(p->accuracy.value, p->price.value, r->models.weak, small_cost);
	double bought = fmin(1, fmax(0, (p->price.value - small_cost) / (large_cost - small_cost)));
	p->chance = large_cost > small_cost ? r->models.weak + bought * (r->models.strong - r->models.weak) : (double)NAN;
	p->ibc_lift = tdm_ibc_lift(p->ibc, tdm_ibc(r->models.strong, large_cost, r->models.weak, small_cost));
}

// --- bands

static void resample(const struct tdm_replay_items *items, uint64_t run, uint32_t *counts) {
	struct tdm_rng rng;
	tdm_rng_stream(&rng, items->options->seed, "resample", run);
	memset(counts, 0, items->n * sizeof *counts);
	for (size_t i = 0; i < items->n; i++)
		counts[tdm_rng_below(&rng, items->n)]++;
}

struct samples { // [what][resample]
	double *scores, *against, *policies;
	uint32_t *counts;
	size_t n;
};

static void sample(const struct tdm_replay_items *items, const struct tdm_replay *r, const struct samples *s,
                   size_t run) {
	double first = (double)NAN, values[TDM_N_REPLAY_MEASURES], sums[N_FIGURES];
	struct tdm_routing curve;
	resample(items, run, s->counts);
	for (size_t k = 0; k < r->n_scores; k++) {
		if (r->scores[k].is_random)
			continue;
		measure(&r->scores[k].ranking, s->counts, &curve, values);
		first = k ? first : values[TDM_APGR];
		s->against[k * s->n + run] = values[TDM_APGR] - first;
		for (size_t m = 0; m < TDM_N_REPLAY_MEASURES; m++)
			s->scores[(k * TDM_N_REPLAY_MEASURES + m) * s->n + run] = values[m];
	}
	for (size_t k = 0; k < r->n_policies; k++) {
		figures(items, &r->policies[k], s->counts, sums);
		for (size_t m = 0; m < N_FIGURES; m++)
			s->policies[(k * N_FIGURES + m) * s->n + run] = sums[m];
	}
}

static void set_bands(struct tdm_replay *r, const struct samples *s) {
	for (size_t k = 0; k < r->n_scores; k++) {
		struct tdm_replay_score *score = &r->scores[k];
		if (score->is_random)
			continue;
		for (size_t m = 0; m < TDM_N_REPLAY_MEASURES; m++)
			set_band(s->scores + (k * TDM_N_REPLAY_MEASURES + m) * s->n, s->n, &score->measures[m]);
		if (k && !r->scores[0].is_random) {
			score->against.value = score->measures[TDM_APGR].value - r->scores[0].measures[TDM_APGR].value;
			set_band(s->against + k * s->n, s->n, &score->against);
		}
	}
	for (size_t k = 0; k < r->n_policies; k++) {
		struct tdm_replay_policy *p = &r->policies[k];
		struct tdm_band *bands[N_FIGURES] = {&p->accuracy, &p->share, &p->price, &p->loss};
		for (size_t m = 0; m < N_FIGURES; m++)
			set_band(s->policies + (k * N_FIGURES + m) * s->n, s->n, bands[m]);
	}
}

static int add_bands(const struct tdm_replay_items *items, struct tdm_replay *r, struct tdm_error *err) {
	struct samples s = {.n = items->options->n_resamples};
	s.scores = tdm_arena_array(items->arena, r->n_scores * TDM_N_REPLAY_MEASURES * s.n + 1, sizeof *s.scores);
	s.against = tdm_arena_array(items->arena, r->n_scores * s.n + 1, sizeof *s.against);
	s.policies = tdm_arena_array(items->arena, r->n_policies * N_FIGURES * s.n + 1, sizeof *s.policies);
	s.counts = tdm_arena_array(items->arena, items->n, sizeof *s.counts);
	if (!s.scores || !s.against || !s.policies || !s.counts)
		return no_memory(err);
	for (size_t run = 0; run < s.n; run++)
		sample(items, r, &s, run);
	set_bands(r, &s);
	return TDM_OK;
}

// --- labels

static void label_by_agreement(const struct tdm_replay_items *items, size_t i, struct tdm_replay_label *l) {
	const struct tdm_replay_options *o = items->options;
	size_t model = o->small[0], n = majority(items, i, &model);
	l->score = (double)n / (double)o->n_small;
	l->small = n ? quality_of(items, i, model) : 0;
}

static int add_labels(const struct tdm_replay_items *items, struct tdm_replay *out, struct tdm_error *err) {
	const struct tdm_replay_options *o = items->options;
	const double *scores = NULL;
	if (o->n_small < 2 && !o->n_scores)
		return TDM_OK;
	int status = o->n_small < 2 ? tdm_replay_score_values(items, o->scores[0], 0, &scores, NULL, err) : TDM_OK;
	out->labels = status ? NULL : tdm_arena_array(items->arena, items->n, sizeof *out->labels);
	if (!status && !out->labels)
		return no_memory(err);
	for (size_t i = 0; i < items->n && !status; i++) {
		struct tdm_replay_label *l = &out->labels[i];
		l->item = items->table->items[items->numbers[i]].id;
		l->large = items->strong[i];
		if (o->n_small < 2)
			*l = (struct tdm_replay_label){l->item, -scores[i], items->weak[i], l->large};
		else
			label_by_agreement(items, i, l);
	}
	return status;
}

// --- from outside

static void count_items(const struct tdm_replay_items *items, struct tdm_replay *out) {
	const struct tdm_outcomes *o = items->table;
	out->n_items = items->n;
	out->n_left_out = o->n_items - items->n;
	out->small = o->models[items->options->small[0]];
	out->large = o->models[items->options->large];
	out->graded = items->graded;
	for (size_t i = 0; i < items->n; i++) {
		bool weak = items->weak[i] >= 0.5, strong = items->strong[i] >= 0.5;
		out->n_either += weak || strong;
		out->n_large_only += strong && !weak;
		out->n_small_only += weak && !strong;
	}
	out->models.weak = mean(items->weak, NULL, items->n);
	out->models.strong = mean(items->strong, NULL, items->n);
}

static int add_policies(const struct tdm_replay_items *items, struct tdm_replay *out, struct tdm_error *err) {
	const struct tdm_replay_options *o = items->options;
	size_t most = 5 + out->n_scores * (1 + o->n_shares + o->n_thresholds);
	out->policies = tdm_arena_array(items->arena, most, sizeof *out->policies);
	if (!out->policies)
		return no_memory(err);
	int status = add_fixed(items, out, err);
	if (!status && o->n_small > 1)
		status = add_agreement(items, out, err);
	for (size_t k = 0; k < out->n_scores && !status; k++)
		if (!out->scores[k].is_random)
			status = add_thresholds(items, out, &out->scores[k], err);
	for (size_t k = 0; k < out->n_policies && !status; k++)
		sum_policy(items, out, &out->policies[k]);
	return status;
}

int tdm_replay_run(const struct tdm_outcomes *o, const struct tdm_replay_options *options, struct tdm_arena *arena,
                   struct tdm_replay *out, struct tdm_error *err) {
	struct tdm_replay_items items = {.table = o, .options = options, .arena = arena};
	*out = (struct tdm_replay){.priced = !isnan(options->small_price)};
	int status = grade(&items, err);
	if (!status)
		status = choose_items(&items, err);
	if (!status)
		status = fill_items(&items, err);
	if (status)
		return status;
	count_items(&items, out);
	out->scores = tdm_arena_array(arena, options->n_scores + 1, sizeof *out->scores);
	if (!out->scores)
		return no_memory(err);
	for (; out->n_scores < options->n_scores && !status; out->n_scores++) {
		out->scores[out->n_scores].name = options->scores[out->n_scores];
		status = replay_score(&items, &out->scores[out->n_scores], err);
	}
	if (!status)
		status = add_policies(&items, out, err);
	if (!status)
		status = add_labels(&items, out, err);
	return status ? status : add_bands(&items, out, err);
}
