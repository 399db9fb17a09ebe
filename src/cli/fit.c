// `tandem fit`: learns when the small model's answer will do, and finds the thresholds of route and cascade.
//
// The small and the large model answer test items of a seed of their own. From the outcomes come the weights of a
// linear scorer (models/predict/linear.h). For route it sees the question and learns whether the small model is right;
// for cascade it sees the small model's answer too and learns whether asking the large model would not help: where both
// are wrong, a call is wasted. The thresholds of the scorer and of the small model's mean log-probability are those
// that keep most items with the small model while the mixture is within --slack of the large one.
//
// Scores of items that the weights were fitted on look better than they are. So thresholds are found on items of
// another seed (--curve-seed), or with scores of weights that were fitted without the item (FOLDS parts, equal items in
// the same part).
#include "base/file.h"
#include "cli/app.h"
#include "cli/command.h"
#include "cli/fit_defer.h"
#include "eval/curve.h"
#include "eval/run.h"
#include "learn/fit.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDS 5
#define NO_FOLD FOLDS
#define FILE_LIMIT_BYTES ((size_t)64 << 20)
enum { SMALL, LARGE };
enum { ROUTE, CASCADE, DEFER };

struct options {
	const char *config, *small, *large, *out, *curve;
	int target;
	int64_t seed, n, curve_seed, curve_n, avoid_seed, avoid_n, jobs, max_tokens;
	double l2, slack;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file"},
    {"for", TDM_OPT_CHOICE, AT(target), "route", 0, 0, "route|cascade|defer", "the kind whose weights are made"},
    {"small", TDM_OPT_STRING, AT(small), "small", 0, 0, NULL, "the model that is asked first"},
    {"large", TDM_OPT_STRING, AT(large), "large", 0, 0, NULL, "the model for the rest"},
    {"seed", TDM_OPT_INT, AT(seed), "4001", 0, 9e15, NULL, "of the items; another one than those of evaluations"},
    {"n", TDM_OPT_INT, AT(n), "4800", FOLDS, 1e6, NULL, "items"},
    {"curve-seed", TDM_OPT_INT, AT(curve_seed), "0", 0, 9e15, NULL,
     "of the items that thresholds are found on; 0: the same ones, each scored by weights fitted without it"},
    {"curve-n", TDM_OPT_INT, AT(curve_n), "4800", 1, 1e6, NULL, "items of --curve-seed"},
    {"avoid-seed", TDM_OPT_INT, AT(avoid_seed), "2027", 0, 9e15, NULL, "of an evaluation: items in common are counted"},
    {"avoid-n", TDM_OPT_INT, AT(avoid_n), "600", 0, 1e6, NULL, "items of that evaluation"},
    {"l2", TDM_OPT_NUMBER, AT(l2), "0.001", 1e-9, 1e6, NULL, "penalty on the weights"},
    {"slack", TDM_OPT_NUMBER, AT(slack), "0.5", 0, 100, NULL, "points of accuracy that a threshold may cost"},
    {"out", TDM_OPT_STRING, AT(out), NULL, 0, 0, NULL, "file for the weights"},
    {"curve", TDM_OPT_STRING, AT(curve), NULL, 0, 0, NULL, "file for the points of both curves, tab-separated"},
    {"jobs", TDM_OPT_INT, AT(jobs), "1", 1, 256, NULL, "items at the same time"},
    {"max-tokens", TDM_OPT_INT, AT(max_tokens), "256", 0, 1 << 20, NULL, "of an answer; 0: the model's own limit"},
};

struct sample { // items of one seed and what came of them
	struct tdm_eval eval;
	struct tdm_fit_item *items;
	struct tdm_curve_item *by_scorer, *by_logprob;
};

struct fit {
	const struct tdm_command_call *call;
	const struct options *o;
	enum tdm_reads reads;
	struct sample made, other;   // the items of the fit; those of --curve-seed, else empty
	struct sample *shown;        // the one that thresholds are found on
	struct tdm_fit_item *chosen; // room for the items of one fit
	struct tdm_linear *weights;
	struct tdm_curve scorer, logprob;
	struct tdm_bytes tsv;
};

// --- items and outcomes

static int answer(struct fit *f, const struct tdm_app *app, int64_t seed, int64_t n, struct tdm_eval *out) {
	struct tdm_model *models[2];
	struct tdm_progress progress;
	struct tdm_error *err = f->call->error;
	struct tdm_eval_options run = {.seed = (uint64_t)seed, .n_items = (size_t)n, .models = models, .n_models = 2};
	run.max_tokens = (int)f->o->max_tokens;
	run.n_jobs = (int)f->o->jobs;
	run.logprobs = run.keep_answers = true;
	run.progress = &progress;
	int status = tdm_app_model(app, f->o->small, &models[SMALL], err);
	if (!status)
		status = tdm_app_model(app, f->o->large, &models[LARGE], err);
	if (status)
		return status;
	tdm_progress_start(&progress, "answering", "items", run.n_items);
	status = tdm_eval_run(&run, out, err);
	tdm_progress_end(&progress);
	out->options.models = NULL; // they were this function's
	for (size_t m = 0; m < 2 && !status; m++)
		if (out->failures[m][0])
			status = tdm_fail(err, TDM_EVALUE, "tandem fit: %s", out->failures[m]);
	return status;
}

static int read_item(const struct fit *f, struct sample *s, size_t i) {
	struct tdm_gym_item item;
	int status = tdm_eval_item(&s->eval.options, i, &s->eval.arena, &item, f->call->error);
	if (status)
		return status;
	const struct tdm_eval_outcome *small = tdm_eval_outcome(&s->eval, i, SMALL);
	bool large_right = tdm_eval_outcome(&s->eval, i, LARGE)->right;
	s->items[i].seen =
	    (struct tdm_seen){item.prompt, strlen(item.prompt), small->answer, small->n_answer, small->logprobs};
	s->items[i].label = small->right || (f->reads == TDM_READS_ANSWER && !large_right);
	s->by_logprob[i] = (struct tdm_curve_item){small->mean_logprob, small->right, large_right};
	s->by_scorer[i] = (struct tdm_curve_item){(double)NAN, small->right, large_right};
	return TDM_OK;
}

static int read_items(struct fit *f, struct sample *s) {
	size_t n = s->eval.options.n_items;
	int status = TDM_OK;
	s->items = tdm_arena_array(&s->eval.arena, n, sizeof *s->items);
	s->by_scorer = tdm_arena_array(&s->eval.arena, n, sizeof *s->by_scorer);
	s->by_logprob = tdm_arena_array(&s->eval.arena, n, sizeof *s->by_logprob);
	if (!s->items || !s->by_scorer || !s->by_logprob)
		return tdm_fail(f->call->error, TDM_ENOMEM, "tandem fit: no memory for %zu items", n);
	for (size_t i = 0; i < n && !status; i++)
		status = read_item(f, s, i);
	return status;
}

static int by_key(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

// Says how many of this fit's items are also among the first n of another seed.
static int show_common(const struct fit *f, uint64_t seed, size_t n) {
	struct tdm_eval_options avoid = {.seed = seed};
	size_t common = 0;
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
	if (!status)
		qsort(keys, n, sizeof *keys, by_key);
	for (size_t i = 0; i < f->made.eval.options.n_items && !status; i++)
		common += bsearch(&f->made.eval.items[i].key, keys, n, sizeof *keys, by_key) != NULL;
	free(keys);
	if (!status)
		printf("%zu items of seed %lld; %zu of them are also among the %zu of seed %llu\n",
		       f->made.eval.options.n_items, (long long)f->o->seed, common, n, (unsigned long long)seed);
	return status;
}

// --- the scorer

static bool is_in_fold(const struct sample *s, size_t i, uint64_t fold) {
	return s->eval.items[i].key / TDM_GYM_TEST_ONE_IN % FOLDS == fold;
}

// An answer without log-probabilities is never kept, so a scorer of answers need not know about it.
static bool is_scored(const struct fit *f, const struct sample *s, size_t i) {
	return f->reads == TDM_READS_QUESTION || s->items[i].seen.logprobs.n > 0;
}

// Fits the weights on the items outside one fold.
static int fit_without(struct fit *f, uint64_t fold, struct tdm_fit_report *report) {
	size_t n = 0;
	for (size_t i = 0; i < f->made.eval.options.n_items; i++)
		if (!is_in_fold(&f->made, i, fold) && is_scored(f, &f->made, i))
			f->chosen[n++] = f->made.items[i];
	return tdm_fit_logistic(f->reads, f->chosen, n, f->o->l2, f->weights, report, f->call->error);
}

// fold NO_FOLD: all.
static void score(struct fit *f, struct sample *s, uint64_t fold) {
	for (size_t i = 0; i < s->eval.options.n_items; i++)
		if ((fold == NO_FOLD || is_in_fold(s, i, fold)) && is_scored(f, s, i))
			s->by_scorer[i].score = tdm_linear_score(f->weights, &s->items[i].seen);
}

static int by_score(const void *a, const void *b) {
	double x = ((const struct tdm_curve_item *)a)->score, y = ((const struct tdm_curve_item *)b)->score;
	return (x > y) - (x < y);
}

// Area under the ROC curve of the scores: how often a right one is above a wrong one, ties counting half.
// for_route: a right one is one where the small model is right; else one where the large model would not help.
static double area(const struct tdm_curve_item *items, size_t n, bool for_route, struct tdm_arena *arena) {
	struct tdm_curve_item *sorted = tdm_arena_array(arena, n, sizeof *sorted);
	double wrong = 0, right = 0, above = 0;
	if (!sorted)
		return (double)NAN;
	memcpy(sorted, items, n * sizeof *items);
	qsort(sorted, n, sizeof *sorted, by_score);
	for (size_t i = 0, end; i < n; i = end) {
		double more_wrong = 0, more_right = 0;
		for (end = i; end < n && sorted[end].score == sorted[i].score; end++)
			*(sorted[end].small_right || (!for_route && !sorted[end].large_right) ? &more_right : &more_wrong) += 1;
		above += more_right * (wrong + more_wrong / 2);
		wrong += more_wrong;
		right += more_right;
		end += end == i; // an unknown score equals nothing
	}
	return above / (wrong * right);
}

static int fit_scorer(struct fit *f) {
	struct tdm_fit_report report;
	int status = TDM_OK;
	f->chosen = tdm_arena_array(&f->made.eval.arena, f->made.eval.options.n_items, sizeof *f->chosen);
	f->weights = tdm_arena_alloc(&f->made.eval.arena, sizeof *f->weights);
	if (!f->chosen || !f->weights)
		return tdm_fail(f->call->error, TDM_ENOMEM, "tandem fit: no memory for the weights");
	for (uint64_t fold = 0; f->shown == &f->made && fold < FOLDS && !status; fold++) {
		status = fit_without(f, fold, NULL);
		if (!status)
			score(f, &f->made, fold);
	}
	if (!status)
		status = fit_without(f, NO_FOLD, &report);
	if (status)
		return status;
	if (f->shown != &f->made)
		score(f, f->shown, NO_FOLD);
	printf("scorer: log-loss %.4f, right side of 0.5 %.1f %%", report.loss, 100 * report.accuracy);
	if (isnan(report.area))
		printf("; one class only, nothing to tell apart\n");
	else
		printf("; area %.4f on its own items, %.4f on items left out\n", report.area,
		       area(f->shown->by_scorer, f->shown->eval.options.n_items, f->reads == TDM_READS_QUESTION,
		            &f->shown->eval.arena));
	return TDM_OK;
}

static int write_weights(struct fit *f) {
	struct tdm_bytes text;
	if (!f->o->out)
		return TDM_OK;
	tdm_bytes_init(&text, FILE_LIMIT_BYTES);
	tdm_linear_write(f->weights, &text);
	int status = text.failed ? tdm_fail(f->call->error, TDM_ENOMEM, "tandem fit: no memory for the weights")
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
	struct sample *s = f->shown;
	size_t n = s->eval.options.n_items;
	struct tdm_error *err = f->call->error;
	int status = tdm_curve_make(s->by_logprob, n, &s->eval.arena, &f->logprob, err);
	if (!status)
		status = tdm_curve_make(s->by_scorer, n, &s->eval.arena, &f->scorer, err);
	if (status)
		return status;
	tdm_bytes_init(&f->tsv, FILE_LIMIT_BYTES);
	tdm_bytes_puts(&f->tsv, "by\tthreshold\tkept\tright\n");
	show_curve(f, "cascade, mean log-probability", &f->logprob);
	show_curve(f, f->o->target == CASCADE ? "cascade, scorer" : "route, linear", &f->scorer);
	if (f->o->curve)
		status = f->tsv.failed ? tdm_fail(err, TDM_ENOMEM, "tandem fit: no memory for the curves")
		                       : tdm_file_write(f->o->curve, f->tsv.data, f->tsv.len, err);
	tdm_bytes_release(&f->tsv);
	return status;
}

static int fit(struct fit *f) {
	int status = read_items(f, &f->made);
	if (!status && f->shown != &f->made)
		status = read_items(f, f->shown);
	if (!status)
		status = show_common(f, (uint64_t)f->o->avoid_seed, (size_t)f->o->avoid_n);
	if (!status && f->shown != &f->made)
		status = show_common(f, (uint64_t)f->o->curve_seed, (size_t)f->o->curve_n);
	if (!status)
		status = fit_scorer(f);
	if (!status)
		status = write_weights(f);
	return status ? status : make_curves(f);
}

static int run(const struct tdm_command_call *call) {
	struct fit f = {.call = call, .o = call->options, .shown = &f.made};
	struct tdm_app app;
	int status = tdm_app_open(call->arena, f.o->config, &app, call->error);
	if (status)
		return status;
	if (f.o->target == DEFER) {
		const struct options *o = f.o;
		status = tdm_fit_defer(&(struct tdm_fit_defer){o->small, o->large, o->out, (uint64_t)o->seed, (size_t)o->n,
		                                               (int)o->max_tokens, o->l2},
		                       &app, call->arena, call->error);
		tdm_app_close(&app);
		return status;
	}
	f.reads = f.o->target == CASCADE ? TDM_READS_ANSWER : TDM_READS_QUESTION;
	status = answer(&f, &app, f.o->seed, f.o->n, &f.made.eval);
	if (!status && f.o->curve_seed) {
		f.shown = &f.other;
		status = answer(&f, &app, f.o->curve_seed, f.o->curve_n, &f.other.eval);
	}
	if (!status)
		status = fit(&f);
	tdm_eval_release(&f.made.eval);
	tdm_eval_release(&f.other.eval);
	tdm_app_close(&app);
	return status;
}

const struct tdm_command tdm_command_fit = {
    .name = "fit",
    .summary = "the weights and the thresholds of route, cascade and defer",
    .group = "make",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
