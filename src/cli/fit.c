// `tandem fit`: learns where the small model is right, and finds the thresholds of route and cascade.
//
// The small and the large model answer test items of a seed of its own. From their outcomes come the weights of the
// linear scorer (a file for kind route) and, for the scorer and for the small model's mean log-probability (kind
// cascade), the threshold that keeps most items with the small model while the mixture is within --slack of the large
// one. The scorer's threshold is found with scores of weights that were fitted without the item (FOLDS parts, equal
// items in the same part), else it would look better than it is.
#include "base/file.h"
#include "cli/app.h"
#include "cli/command.h"
#include "eval/curve.h"
#include "eval/run.h"
#include "learn/fit.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDS 5
#define FILE_LIMIT_BYTES ((size_t)64 << 20)
enum { SMALL, LARGE };

struct options {
	const char *config, *small, *large, *out, *curve;
	int64_t seed, n, avoid_seed, avoid_n, jobs, max_tokens;
	double l2, slack;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file"},
    {"small", TDM_OPT_STRING, AT(small), "small", 0, 0, NULL, "the model that is asked first"},
    {"large", TDM_OPT_STRING, AT(large), "large", 0, 0, NULL, "the model for the rest"},
    {"seed", TDM_OPT_INT, AT(seed), "4001", 0, 9e15, NULL, "of the items; another one than those of evaluations"},
    {"n", TDM_OPT_INT, AT(n), "4800", FOLDS, 1e6, NULL, "items"},
    {"avoid-seed", TDM_OPT_INT, AT(avoid_seed), "2027", 0, 9e15, NULL, "of an evaluation: items in common are counted"},
    {"avoid-n", TDM_OPT_INT, AT(avoid_n), "600", 0, 1e6, NULL, "items of that evaluation"},
    {"l2", TDM_OPT_NUMBER, AT(l2), "0.001", 1e-9, 1e6, NULL, "penalty on the weights"},
    {"slack", TDM_OPT_NUMBER, AT(slack), "0.5", 0, 100, NULL, "points of accuracy that a threshold may cost"},
    {"out", TDM_OPT_STRING, AT(out), NULL, 0, 0, NULL, "file for the weights"},
    {"curve", TDM_OPT_STRING, AT(curve), NULL, 0, 0, NULL, "file for the points of both curves, tab-separated"},
    {"jobs", TDM_OPT_INT, AT(jobs), "1", 1, 256, NULL, "items at the same time"},
    {"max-tokens", TDM_OPT_INT, AT(max_tokens), "256", 0, 1 << 20, NULL, "of an answer; 0: the model's own limit"},
};

struct fit {
	const struct tdm_command_call *call;
	const struct options *o;
	struct tdm_eval eval;
	struct tdm_fit_text *texts, *others; // one per item; others: room for the texts of a fold's fit
	struct tdm_linear *weights;
	struct tdm_curve_item *routed, *cascaded;
	struct tdm_curve route, cascade;
	struct tdm_bytes tsv;
};

// --- items and outcomes

static int answer(struct fit *f, const struct tdm_app *app) {
	struct tdm_model *models[2];
	struct tdm_progress progress;
	struct tdm_error *err = f->call->error;
	struct tdm_eval_options run = {.seed = (uint64_t)f->o->seed, .n_items = (size_t)f->o->n, .models = models};
	run.n_models = 2;
	run.max_tokens = (int)f->o->max_tokens;
	run.n_jobs = (int)f->o->jobs;
	run.logprobs = true;
	run.progress = &progress;
	int status = tdm_app_model(app, f->o->small, &models[SMALL], err);
	if (!status)
		status = tdm_app_model(app, f->o->large, &models[LARGE], err);
	if (status)
		return status;
	tdm_progress_start(&progress, "answering", "items", run.n_items);
	status = tdm_eval_run(&run, &f->eval, err);
	tdm_progress_end(&progress);
	f->eval.options.models = NULL; // they were this function's
	return status;
}

static int failed_model(const struct fit *f) {
	for (size_t m = 0; m < 2; m++)
		if (f->eval.failures[m][0])
			return tdm_fail(f->call->error, TDM_EVALUE, "tandem fit: %s", f->eval.failures[m]);
	return TDM_OK;
}

static int read_texts(struct fit *f) {
	size_t n = f->eval.options.n_items;
	f->texts = tdm_arena_array(&f->eval.arena, n, sizeof *f->texts);
	f->others = tdm_arena_array(&f->eval.arena, n, sizeof *f->others);
	f->routed = tdm_arena_array(&f->eval.arena, n, sizeof *f->routed);
	f->cascaded = tdm_arena_array(&f->eval.arena, n, sizeof *f->cascaded);
	f->weights = tdm_arena_alloc(&f->eval.arena, sizeof *f->weights);
	if (!f->texts || !f->others || !f->routed || !f->cascaded || !f->weights)
		return tdm_fail(f->call->error, TDM_ENOMEM, "tandem fit: no memory for %zu items", n);
	for (size_t i = 0; i < n; i++) {
		struct tdm_gym_item item;
		int status = tdm_eval_item(&f->eval.options, i, &f->eval.arena, &item, f->call->error);
		if (status)
			return status;
		const struct tdm_eval_outcome *small = tdm_eval_outcome(&f->eval, i, SMALL);
		f->texts[i] = (struct tdm_fit_text){item.prompt, strlen(item.prompt), small->right};
		f->cascaded[i] =
		    (struct tdm_curve_item){small->mean_logprob, small->right, tdm_eval_outcome(&f->eval, i, LARGE)->right};
		f->routed[i] = f->cascaded[i];
	}
	return TDM_OK;
}

static int by_key(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

// How many of this fit's items are also items of the evaluation that is to be avoided.
static int count_common(const struct fit *f, size_t *common) {
	struct tdm_eval_options avoid = {.seed = (uint64_t)f->o->avoid_seed};
	size_t n = (size_t)f->o->avoid_n;
	uint64_t *keys = calloc(n + 1, sizeof *keys);
	int status = keys ? TDM_OK : tdm_fail(f->call->error, TDM_ENOMEM, "tandem fit: no memory for %zu keys", n);
	for (size_t i = 0; i < n && !status; i++) {
		struct tdm_arena arena;
		struct tdm_gym_item item;
		tdm_arena_init(&arena, FILE_LIMIT_BYTES);
		status = tdm_eval_item(&avoid, i, &arena, &item, f->call->error);
		keys[i] = status ? 0 : item.key;
		tdm_arena_release(&arena);
	}
	*common = 0;
	if (!status)
		qsort(keys, n, sizeof *keys, by_key);
	for (size_t i = 0; i < f->eval.options.n_items && !status; i++)
		*common += bsearch(&f->eval.items[i].key, keys, n, sizeof *keys, by_key) != NULL;
	free(keys);
	return status;
}

// --- the scorer

// Scores the items of one fold with weights fitted on the others.
static int score_fold(struct fit *f, uint64_t fold) {
	size_t n = f->eval.options.n_items, n_others = 0;
	float features[TDM_N_FEATURES];
	for (size_t i = 0; i < n; i++)
		if (f->eval.items[i].key / TDM_GYM_TEST_ONE_IN % FOLDS != fold)
			f->others[n_others++] = f->texts[i];
	int status = tdm_fit_logistic(f->others, n_others, f->o->l2, f->weights, NULL, f->call->error);
	for (size_t i = 0; i < n && !status; i++)
		if (f->eval.items[i].key / TDM_GYM_TEST_ONE_IN % FOLDS == fold) {
			tdm_features(f->texts[i].text, f->texts[i].n, features);
			f->routed[i].score = tdm_linear_score(f->weights, features);
		}
	return status;
}

static int by_score(const void *a, const void *b) {
	double x = ((const struct tdm_curve_item *)a)->score, y = ((const struct tdm_curve_item *)b)->score;
	return (x > y) - (x < y);
}

// Area under the ROC curve of the scores: how often a right one is above a wrong one, ties counting half.
static double area(const struct tdm_curve_item *items, size_t n, struct tdm_arena *arena) {
	struct tdm_curve_item *sorted = tdm_arena_array(arena, n, sizeof *sorted);
	double wrong = 0, right = 0, above = 0;
	if (!sorted)
		return (double)NAN;
	memcpy(sorted, items, n * sizeof *items);
	qsort(sorted, n, sizeof *sorted, by_score);
	for (size_t i = 0, end; i < n; i = end) {
		double more_wrong = 0, more_right = 0;
		for (end = i; end < n && sorted[end].score == sorted[i].score; end++)
			*(sorted[end].small_right ? &more_right : &more_wrong) += 1;
		above += more_right * (wrong + more_wrong / 2);
		wrong += more_wrong;
		right += more_right;
		end += end == i; // an unknown score equals nothing
	}
	return above / (wrong * right);
}

static int fit_scorer(struct fit *f) {
	struct tdm_fit_report report;
	size_t n = f->eval.options.n_items;
	int status = TDM_OK;
	for (uint64_t fold = 0; fold < FOLDS && !status; fold++)
		status = score_fold(f, fold);
	if (!status)
		status = tdm_fit_logistic(f->texts, n, f->o->l2, f->weights, &report, f->call->error);
	if (status)
		return status;
	printf("scorer: log-loss %.4f, right side of 0.5 %.1f %% after %d steps", report.loss, 100 * report.accuracy,
	       report.steps);
	if (isnan(report.area))
		printf("; one class only, nothing to tell apart\n");
	else
		printf("; area %.4f on its own items, %.4f on items left out\n", report.area,
		       area(f->routed, n, &f->eval.arena));
	if (!f->o->out)
		return TDM_OK;
	struct tdm_bytes text;
	tdm_bytes_init(&text, FILE_LIMIT_BYTES);
	tdm_linear_write(f->weights, &text);
	status = text.failed ? tdm_fail(f->call->error, TDM_ENOMEM, "tandem fit: no memory for the weights")
	                     : tdm_file_write(f->o->out, text.data, text.len, f->call->error);
	tdm_bytes_release(&text);
	return status;
}

// --- the curves

static void show_point(const struct tdm_curve_point *p) {
	printf("  %10.5g  %8.1f  %10.2f\n", p->threshold, 100 * p->kept, 100 * p->accuracy);
}

static void show_curve(struct fit *f, const char *name, const struct tdm_curve *c) {
	const struct tdm_curve_point *chosen = tdm_curve_choose(c, f->o->slack / 100);
	printf("\n%s: keeps most within %g points of %s: threshold %.6g, kept %.1f %%, right %.2f %% (%s alone %.2f %%)\n",
	       name, f->o->slack, f->o->large, chosen->threshold, 100 * chosen->kept, 100 * chosen->accuracy, f->o->large,
	       100 * c->points[0].accuracy);
	printf("   threshold   kept, %%    right, %%\n");
	for (int tenth = 0; tenth <= 10; tenth++)
		show_point(tdm_curve_at(c, tenth / 10.0));
	for (size_t i = 0; i < c->n; i++)
		tdm_bytes_printf(&f->tsv, "%s\t%.9g\t%.6f\t%.6f\n", name, c->points[i].threshold, c->points[i].kept,
		                 c->points[i].accuracy);
}

static int make_curves(struct fit *f) {
	size_t n = f->eval.options.n_items;
	struct tdm_error *err = f->call->error;
	int status = tdm_curve_make(f->cascaded, n, &f->eval.arena, &f->cascade, err);
	if (!status)
		status = tdm_curve_make(f->routed, n, &f->eval.arena, &f->route, err);
	if (status)
		return status;
	tdm_bytes_init(&f->tsv, FILE_LIMIT_BYTES);
	tdm_bytes_puts(&f->tsv, "by\tthreshold\tkept\tright\n");
	show_curve(f, "cascade, mean log-probability", &f->cascade);
	show_curve(f, "route, linear", &f->route);
	if (f->o->curve)
		status = f->tsv.failed ? tdm_fail(err, TDM_ENOMEM, "tandem fit: no memory for the curves")
		                       : tdm_file_write(f->o->curve, f->tsv.data, f->tsv.len, err);
	tdm_bytes_release(&f->tsv);
	return status;
}

static int fit(struct fit *f) {
	size_t common, n = f->eval.options.n_items;
	int status = failed_model(f);
	if (!status)
		status = read_texts(f);
	if (!status)
		status = count_common(f, &common);
	if (status)
		return status;
	printf("%zu items of seed %lld; %zu of them are also among the %lld of seed %lld\n", n, (long long)f->o->seed,
	       common, (long long)f->o->avoid_n, (long long)f->o->avoid_seed);
	status = fit_scorer(f);
	return status ? status : make_curves(f);
}

static int run(const struct tdm_command_call *call) {
	struct fit f = {.call = call, .o = call->options};
	struct tdm_app app;
	int status = tdm_app_open(call->arena, f.o->config, &app, call->error);
	if (status)
		return status;
	status = answer(&f, &app);
	if (!status) {
		status = fit(&f);
		tdm_eval_release(&f.eval);
	}
	tdm_app_close(&app);
	return status;
}

const struct tdm_command tdm_command_fit = {
    .name = "fit",
    .summary = "the weights of a router, and the thresholds of route and cascade",
    .group = "make",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
