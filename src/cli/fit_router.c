// `tandem fit-router`: makes the file of a router (models/predict/router.h) from tables of outcomes (eval/outcomes.h):
// what several models answered to the same items, how right that was and what it cost. No model is asked, but for what
// the router reads beside the text: vectors by an embedding model of the tree (--embedder), or what the small model
// computes before it answers (--hidden, --logits).
//
// The rule it protects: what it prints about a router is measured on items that the router did not see. Every item is
// judged by a router of the other parts (--folds), and the controls that any router has to beat stand beside it: the
// bytes of the text, and the table of groups, which is made of the same other parts.
#include "base/file.h"
#include "base/random.h"
#include "cli/app.h"
#include "cli/command.h"
#include "eval/measure.h"
#include "eval/outcomes.h"
#include "learn/router_fit.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT_BYTES ((size_t)128 << 20)
#define ROOM_BYTES ((size_t)2 << 30)
enum { MOST_RESAMPLES = 10000, TEXTS_IN_A_CALL = 64, CONTROLS = 3 };

struct options {
	const char *config, *embedder, *hidden, *logits, *out;
	struct tdm_strings models, names, costs;
	int scorer, others, loss;
	int64_t neighbours, rank, epochs, folds, seed, resamples;
	double l2, rate;
	bool show_group;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"scorer", TDM_OPT_CHOICE, AT(scorer), "quality", 0, 0, "quality|gap|knn|similarity|mf", "what is fitted"},
    {"models", TDM_OPT_LIST, AT(models), NULL, 0, 0, NULL,
     "of the table, the cheapest first, the strong one last; absent: all, in the table's order"},
    {"names", TDM_OPT_LIST, AT(names), NULL, 0, 0, NULL, "ROLE=COLUMN, such as prompt=question or correct:big=gpt_ok"},
    {"others", TDM_OPT_CHOICE, AT(others), "keep", 0, 0, "keep|correct|cost",
     "columns without a role: kept, or each a model's value of that"},
    {"costs", TDM_OPT_LIST, AT(costs), NULL, 0, 0, NULL,
     "of an answer of each model, where the table has none; absent: 1 for the last, 0 for the others"},
    {"show-group", TDM_OPT_BOOL, AT(show_group), "no", 0, 0, NULL, "the item's group is the first line of its text"},
    {"embedder", TDM_OPT_STRING, AT(embedder), NULL, 0, 0, NULL, "model of the settings whose vectors are read"},
    {"hidden", TDM_OPT_STRING, AT(hidden), NULL, 0, 0, NULL,
     "local model of the settings, the route's small one, whose state at the end of the question is read"},
    {"logits", TDM_OPT_STRING, AT(logits), NULL, 0, 0, NULL, "the same, but only how sure it is of its first token"},
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file, for --embedder, --hidden and --logits"},
    {"loss", TDM_OPT_CHOICE, AT(loss), "log", 0, 0, "log|square", "quality: of a prediction"},
    {"l2", TDM_OPT_NUMBER, AT(l2), "2", 0, 1e9, NULL,
     "quality, gap: penalty on the weights, against the sum of losses; 0: found on a fifth of the items of each fit"},
    {"neighbours", TDM_OPT_INT, AT(neighbours), "40", 1, 256, NULL, "knn: items that are asked"},
    {"rank", TDM_OPT_INT, AT(rank), "64", 1, 1024, NULL, "mf: factors"},
    {"epochs", TDM_OPT_INT, AT(epochs), "20", 1, 1000, NULL, "mf: times that every pair is seen"},
    {"rate", TDM_OPT_NUMBER, AT(rate), "0.0003", 1e-8, 1, NULL, "mf: of learning"},
    {"folds", TDM_OPT_INT, AT(folds), "5", 2, 100, NULL, "parts of the cross-validation"},
    {"seed", TDM_OPT_INT, AT(seed), "1", 0, 9e15, NULL, "of the parts, of mf, of the bands"},
    {"resamples", TDM_OPT_INT, AT(resamples), "1000", 0, MOST_RESAMPLES, NULL, "of the items, for the 95 % bands"},
    {"out", TDM_OPT_STRING, AT(out), NULL, 0, 0, NULL, "file for the router"},
};

struct fit {
	const struct tdm_command_call *call;
	const struct options *o;
	struct tdm_outcomes table;
	struct tdm_arena room;
	struct tdm_router_options how;
	size_t models[TDM_ROUTER_MODELS], n; // columns of the table; items
	struct tdm_router_item *items;
	const char **groups;
	int *fold;
	struct tdm_router_look *looks;
	size_t n_left_out;
};

static int no_memory(const struct fit *f) {
	return tdm_fail(f->call->error, TDM_ENOMEM, "tandem fit-router: no memory for %zu items", f->table.n_items);
}

// --- items

static int choose_models(struct fit *f) {
	static const char *names[TDM_ROUTER_MODELS];
	size_t n = f->o->models.n ? f->o->models.n : f->table.n_models;
	if (n < 2 || n > TDM_ROUTER_MODELS)
		return tdm_fail(f->call->error, TDM_EVALUE,
		                "tandem fit-router: expected 2 to %d models with outcomes, found %zu; see --names and --others",
		                TDM_ROUTER_MODELS, n);
	for (size_t m = 0; m < n; m++) {
		f->models[m] = m;
		int status = f->o->models.n
		                 ? tdm_outcomes_model(&f->table, f->o->models.items[m], &f->models[m], f->call->error)
		                 : TDM_OK;
		if (status)
			return status;
		names[m] = f->table.models[f->models[m]];
	}
	if (f->o->costs.n && f->o->costs.n != n)
		return tdm_fail(f->call->error, TDM_EVALUE, "tandem fit-router: %zu models need as many --costs, not %zu", n,
		                f->o->costs.n);
	f->how.n_models = (int)n;
	f->how.models = names;
	return TDM_OK;
}

static int read_cost(const struct fit *f, size_t m, double cell, double *out) {
	char *end = NULL;
	*out = m + 1 == (size_t)f->how.n_models;
	if (!isnan(cell))
		*out = cell;
	else if (f->o->costs.n) {
		*out = strtod(f->o->costs.items[m], &end);
		if (end == f->o->costs.items[m] || *end || !(*out >= 0) || isinf(*out))
			return tdm_fail(f->call->error, TDM_EVALUE, "tandem fit-router: --costs %s: expected a number from 0 on",
			                f->o->costs.items[m]);
	}
	return TDM_OK;
}

static int add_item(struct fit *f, size_t i) {
	const struct tdm_outcome_item *from = &f->table.items[i];
	size_t models = (size_t)f->how.n_models;
	struct tdm_router_item *to = &f->items[f->n];
	double *quality = tdm_arena_array(&f->room, 2 * models, sizeof *quality), *cost = quality + models;
	if (!quality)
		return no_memory(f);
	for (size_t m = 0; m < models; m++) {
		const struct tdm_outcome *cell = tdm_outcome_at(&f->table, i, f->models[m]);
		quality[m] = cell->correct;
		int status = read_cost(f, m, cell->cost, &cost[m]);
		if (status)
			return status;
		if (isnan(quality[m]) || !from->prompt) {
			f->n_left_out++;
			return TDM_OK;
		}
	}
	to->text = from->prompt;
	if (f->o->show_group && from->group)
		to->text = tdm_arena_printf(&f->room, "%s\n%s", from->group, from->prompt);
	if (!to->text)
		return no_memory(f);
	to->n = strlen(to->text);
	to->quality = quality;
	to->cost = cost;
	f->groups[f->n++] = from->group;
	return TDM_OK;
}

static int read_items(struct fit *f) {
	int status = choose_models(f);
	if (status)
		return status;
	f->items = tdm_arena_array(&f->room, f->table.n_items, sizeof *f->items);
	f->groups = tdm_arena_array(&f->room, f->table.n_items, sizeof *f->groups);
	f->fold = tdm_arena_array(&f->room, f->table.n_items, sizeof *f->fold);
	f->looks = tdm_arena_array(&f->room, f->table.n_items, sizeof *f->looks);
	if (!f->items || !f->groups || !f->fold || !f->looks)
		return no_memory(f);
	for (size_t i = 0; i < f->table.n_items && !status; i++)
		status = add_item(f, i);
	if (!status && f->n < (size_t)f->how.folds)
		status =
		    tdm_fail(f->call->error, TDM_EVALUE,
		             "tandem fit-router: %zu items with a prompt and an outcome of every model; --folds %d need more",
		             f->n, f->how.folds);
	return status;
}

static int embed_some(struct fit *f, struct tdm_model *model, struct tdm_run *run, size_t first, size_t n) {
	struct tdm_words texts[TEXTS_IN_A_CALL];
	const float *vectors[TEXTS_IN_A_CALL];
	for (size_t k = 0; k < n; k++)
		texts[k] = (struct tdm_words){f->items[first + k].text, f->items[first + k].n};
	int status = tdm_embed_all(model, run, texts, n, vectors, &f->how.width);
	for (size_t k = 0; k < n && !status; k++)
		f->items[first + k].vector = vectors[k];
	return status;
}

// States, one by one.
static int look_at_some(struct fit *f, struct tdm_model *model, struct tdm_run *run, size_t first, size_t n) {
	int status = TDM_OK;
	for (size_t k = first; k < first + n && !status; k++)
		status = tdm_router_vector(f->how.reads, run, model, f->items[k].text, f->items[k].n, &f->items[k].vector,
		                           &f->how.width);
	return status;
}

static int read_vectors(struct fit *f, const char *name, struct tdm_model *model) {
	struct tdm_run run;
	int status = TDM_OK;
	bool embeds = f->how.reads == TDM_ROUTER_READS_VECTOR;
	if (!embeds && !(model->can & TDM_CAN_STEP))
		return tdm_fail(f->call->error, TDM_EVALUE,
		                "tandem fit-router: %s does not show what it computes; expected a local model", name);
	for (size_t i = 0; i < f->n && !status; i += TEXTS_IN_A_CALL) {
		size_t n = f->n - i < TEXTS_IN_A_CALL ? f->n - i : TEXTS_IN_A_CALL;
		status = tdm_run_init(&run, &f->room, (uint64_t)f->o->seed);
		if (!status)
			status = embeds ? embed_some(f, model, &run, i, n) : look_at_some(f, model, &run, i, n);
		if (status)
			status = tdm_fail(f->call->error, status, "tandem fit-router: %s: %s", name, run.error.text);
	}
	if (!status && f->how.width > TDM_ROUTER_WIDTH)
		status = tdm_fail(f->call->error, TDM_EVALUE, "tandem fit-router: vectors of %d numbers; at most %d are read",
		                  f->how.width, TDM_ROUTER_WIDTH);
	return status;
}

static int read_more_than_text(struct fit *f) {
	const struct options *o = f->o;
	const char *name = o->embedder ? o->embedder : o->hidden ? o->hidden : o->logits;
	struct tdm_app app;
	struct tdm_model *model = NULL;
	if ((o->embedder != NULL) + (o->hidden != NULL) + (o->logits != NULL) > 1)
		return tdm_fail(f->call->error, TDM_EVALUE,
		                "tandem fit-router: expected one of --embedder, --hidden and --logits");
	if (!name)
		return TDM_OK;
	f->how.reads = o->embedder ? TDM_ROUTER_READS_VECTOR
	               : o->hidden ? TDM_ROUTER_READS_HIDDEN
	                           : TDM_ROUTER_READS_LOGITS;
	int status = tdm_app_open(f->call->arena, o->config, &app, f->call->error);
	if (status)
		return status;
	status = tdm_app_model(&app, name, &model, f->call->error);
	if (!status)
		status = read_vectors(f, name, model);
	tdm_app_close(&app);
	return status;
}

// --- what it is worth

struct judged { // one way to rank items: by the router, or by a control
	const char *name;
	double *score; // the larger the rather the strong model
	struct tdm_ranking ranking;
	double *areas; // of every resample
};

// For each item the mean advantage of the strong model in its group, over the items of other parts.
static void rank_by_group(const struct fit *f, double *out) {
	for (size_t i = 0; i < f->n; i++) {
		double sum = 0, count = 0;
		for (size_t k = 0; k < f->n; k++)
			if (f->fold[k] != f->fold[i] && !strcmp(f->groups[k], f->groups[i])) {
				sum += f->items[k].quality[f->how.n_models - 1] - f->items[k].quality[0];
				count++;
			}
		out[i] = count > 0 ? sum / count : 0;
	}
}

static int make_rankings(struct fit *f, struct judged *out, size_t *n) {
	bool grouped = true;
	double *weak = tdm_arena_array(&f->room, f->n, sizeof *weak),
	       *strong = tdm_arena_array(&f->room, f->n, sizeof *weak);
	for (size_t i = 0; i < f->n; i++)
		grouped = grouped && f->groups[i];
	*n = grouped ? CONTROLS : CONTROLS - 1;
	for (size_t k = 0; k < *n; k++) {
		out[k].name = k == 0 ? tdm_router_names[f->how.scorer] : k == 1 ? "length" : "group";
		out[k].score = tdm_arena_array(&f->room, f->n, sizeof *out[k].score);
		out[k].areas = tdm_arena_array(&f->room, MOST_RESAMPLES, sizeof *out[k].areas);
		if (!out[k].score || !out[k].areas || !weak || !strong)
			return no_memory(f);
	}
	for (size_t i = 0; i < f->n; i++) {
		weak[i] = f->items[i].quality[0];
		strong[i] = f->items[i].quality[f->how.n_models - 1];
		out[0].score[i] = 1 - f->looks[i].good[0];
		out[1].score[i] = (double)f->items[i].n;
	}
	if (grouped)
		rank_by_group(f, out[2].score);
	int status = TDM_OK;
	for (size_t k = 0; k < *n && !status; k++)
		status = tdm_ranking_make(out[k].score, weak, strong, f->n, &f->room, &out[k].ranking, f->call->error);
	return status;
}

static int ascending(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

// The share of resamples in which the router is above a control, then the areas of each sorted. Resamples in which the
// models do not differ are left out of it.
static int resample(struct fit *f, struct judged *list, size_t n, double *above) {
	uint32_t *counts = tdm_arena_array(&f->room, f->n, sizeof *counts);
	struct tdm_routing curve;
	struct tdm_rng rng;
	if (!counts)
		return no_memory(f);
	tdm_rng_stream(&rng, (uint64_t)f->o->seed, "bands", 0);
	for (int64_t r = 0; r < f->o->resamples; r++) {
		memset(counts, 0, f->n * sizeof *counts);
		for (size_t i = 0; i < f->n; i++)
			counts[tdm_rng_below(&rng, f->n)]++;
		for (size_t k = 0; k < n; k++) {
			tdm_routing_curve(&list[k].ranking, counts, &curve);
			list[k].areas[r] = tdm_apgr(&curve);
			above[k] += (list[0].areas[r] > list[k].areas[r]) / (double)f->o->resamples;
		}
	}
	for (size_t k = 0; k < n && f->o->resamples; k++)
		qsort(list[k].areas, (size_t)f->o->resamples, sizeof *list[k].areas, ascending);
	return TDM_OK;
}

static void show_ranking(const struct fit *f, const struct judged *j, double above, bool is_control) {
	struct tdm_routing curve;
	size_t n = (size_t)f->o->resamples;
	tdm_routing_curve(&j->ranking, NULL, &curve);
	printf("%-12s %7.4f", j->name, tdm_apgr(&curve));
	if (n)
		printf("  %.4f-%.4f", j->areas[(size_t)(0.025 * (double)(n - 1))], j->areas[(size_t)(0.975 * (double)(n - 1))]);
	printf("  %6.2f  %6.2f", 100 * tdm_cpt(&curve, 0.5), 100 * tdm_cpt(&curve, 0.8));
	if (n && is_control)
		printf("   below in %.1f %% of the resamples", 100 * above);
	printf("\n");
}

static int show_rankings(struct fit *f) {
	struct judged list[CONTROLS] = {{0}};
	double above[CONTROLS] = {0};
	size_t n = 0;
	if (!f->o->resamples)
		printf("\n%-12s %7s  %6s  %6s\n", "ranking", "APGR", "CPT50", "CPT80");
	else
		printf("\n%-12s %7s  %-13s  %6s  %6s\n", "ranking", "APGR", "95 % band", "CPT50", "CPT80");
	int status = make_rankings(f, list, &n);
	if (!status)
		status = resample(f, list, n, above);
	for (size_t k = 0; k < n && !status; k++)
		show_ranking(f, &list[k], above[k], k > 0);
	return status;
}

static void show_policy(const struct fit *f, const struct tdm_router *r, int percent) {
	struct tdm_router_policy policy = {.threshold = tdm_linear_threshold(r->by_score, percent / 100.0)};
	double quality = 0, cost = 0, last = 0, kept = 0, n = (double)f->n;
	bool undecided;
	for (size_t i = 0; i < f->n; i++) {
		int m = tdm_router_choose(r, &f->looks[i], &policy, &undecided);
		quality += f->items[i].quality[m] / n;
		cost += f->items[i].cost[m];
		last += f->items[i].cost[r->n_models - 1];
		kept += (m == 0) / n;
	}
	printf("  %10.5g  %8.1f  %8.2f  %8.1f\n", policy.threshold, 100 * kept, 100 * quality,
	       last > 0 ? 100 * cost / last : 0);
}

static void show(const struct fit *f, const struct tdm_router *r) {
	printf("\n   threshold  first, %%  right, %%  price, %% of the last\n");
	for (int percent = 100; percent >= 0; percent -= 10)
		show_policy(f, r, percent);
}

static void show_models(const struct fit *f) {
	double best = 0, n = (double)f->n;
	printf("%zu items, %d parts", f->n, f->how.folds);
	printf(f->n_left_out ? "; %zu left out, without a prompt or an outcome of every model\n" : "\n", f->n_left_out);
	for (int m = 0; m < f->how.n_models; m++) {
		double quality = 0, cost = 0;
		for (size_t i = 0; i < f->n; i++) {
			quality += f->items[i].quality[m] / n;
			cost += f->items[i].cost[m] / n;
		}
		printf("  %-40s right %6.2f %%  price %.6g\n", f->how.models[m], 100 * quality, cost);
	}
	for (size_t i = 0; i < f->n; i++) {
		double most = 0;
		for (int m = 0; m < f->how.n_models; m++)
			most = fmax(most, f->items[i].quality[m]);
		best += most / n;
	}
	printf("  %-40s right %6.2f %%\n", "the best for each item", 100 * best);
}

// --- the whole

static int write_router(struct fit *f, const struct tdm_router *r) {
	struct tdm_bytes text;
	if (!f->o->out)
		return TDM_OK;
	tdm_bytes_init(&text, FILE_LIMIT_BYTES);
	tdm_router_write(r, &text);
	int status = text.failed ? tdm_fail(f->call->error, TDM_ENOMEM, "tandem fit-router: a file of more than 128 MiB")
	                         : tdm_file_write(f->o->out, text.data, text.len, f->call->error);
	tdm_bytes_release(&text);
	return status;
}

static int make_router(struct fit *f) {
	struct tdm_error *err = f->call->error;
	struct tdm_router *r = tdm_arena_alloc(&f->room, sizeof *r);
	if (!r)
		return no_memory(f);
	tdm_router_folds(f->items, f->n, &f->how, f->fold);
	int status = tdm_router_cross(f->items, f->n, f->fold, &f->how, f->looks, err);
	if (!status)
		status = tdm_router_fit(f->items, f->n, NULL, 0, &f->how, &f->room, r, err);
	if (!status)
		status = tdm_router_calibrate(r, f->items, f->looks, f->n, err);
	if (status)
		return status;
	show_models(f);
	status = show_rankings(f);
	if (!status)
		show(f, r);
	return status ? status : write_router(f, r);
}

static int fit(struct fit *f) {
	const struct options *o = f->o;
	f->how = (struct tdm_router_options){.scorer = (enum tdm_router_scorer)o->scorer,
	                                     .square = o->loss == 1,
	                                     .l2 = o->l2,
	                                     .neighbours = (int)o->neighbours,
	                                     .rank = (int)o->rank,
	                                     .epochs = (int)o->epochs,
	                                     .rate = o->rate,
	                                     .folds = (int)o->folds,
	                                     .seed = (uint64_t)o->seed};
	int status = read_items(f);
	if (!status)
		status = read_more_than_text(f);
	return status ? status : make_router(f);
}

static int run(const struct tdm_command_call *call) {
	static const char *const others[] = {NULL, "correct", "cost"};
	struct fit f = {.call = call, .o = call->options};
	struct tdm_outcomes_options how = {f.o->names.items, f.o->names.n, others[f.o->others]};
	if (call->n_operands == 0)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem fit-router: expected a table of outcomes; see docs/routing.md");
	int status = tdm_outcomes_read(call->operands, call->n_operands, &how, &f.table, call->error);
	if (status)
		return status;
	tdm_arena_init(&f.room, ROOM_BYTES);
	status = fit(&f);
	tdm_arena_release(&f.room);
	tdm_outcomes_release(&f.table);
	return status;
}

const struct tdm_command tdm_command_fit_router = {
    .name = "fit-router",
    .summary = "a router from a table of outcomes, with its cross-validated worth",
    .operands = "TABLE...",
    .group = "make",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
