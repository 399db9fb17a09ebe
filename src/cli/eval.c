// `tandem eval gym`: every model answers the items of a test that no model was trained on; the figures as a table, as
// JSON and as a picture.
#include "base/file.h"
#include "cli/app.h"
#include "cli/command.h"
#include "eval/report.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define REPORT_LIMIT_BYTES ((size_t)1 << 30)

struct options {
	const char *config, *baseline, *out, *svg, *table, *labels, *labels_of;
	struct tdm_strings models, families;
	int64_t seed, n, jobs, max_tokens;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file"},
    {"models", TDM_OPT_LIST, AT(models), NULL, 0, 0, NULL,
     "names, with commas between them; absent: all that are listed"},
    {"seed", TDM_OPT_INT, AT(seed), "1", 0, 9e15, NULL, "of the items; equal seeds give equal items"},
    {"n", TDM_OPT_INT, AT(n), "600", 1, 1e7, NULL, "items"},
    {"families", TDM_OPT_LIST, AT(families), NULL, 0, 0, NULL, "families of the gym; absent: all"},
    {"baseline", TDM_OPT_STRING, AT(baseline), NULL, 0, 0, NULL,
     "the model that others are compared with; absent: large, if it is among the models"},
    {"out", TDM_OPT_STRING, AT(out), NULL, 0, 0, NULL, "file for the JSON"},
    {"svg", TDM_OPT_STRING, AT(svg), NULL, 0, 0, NULL, "file for the picture"},
    {"table", TDM_OPT_STRING, AT(table), NULL, 0, 0, NULL,
     "file for the outcomes with their questions, as replay and fit-router read them"},
    {"labels", TDM_OPT_STRING, AT(labels), NULL, 0, 0, NULL,
     "file for the scores and outcomes of one model's gate, for tandem certify"},
    {"labels-of", TDM_OPT_STRING, AT(labels_of), "cascade", 0, 0, NULL,
     "that model; the two it chooses between and the baseline must be evaluated too"},
    {"jobs", TDM_OPT_INT, AT(jobs), "1", 1, 256, NULL, "items at the same time; more than 1 disturbs the times"},
    {"max-tokens", TDM_OPT_INT, AT(max_tokens), "256", 0, 1 << 20, NULL, "of an answer; 0: the model's own limit"},
};

static int named_models(const struct tdm_app *app, const struct tdm_strings *names, struct tdm_model **out,
                        struct tdm_error *err) {
	for (size_t i = 0; i < names->n; i++) {
		int status = tdm_app_model(app, names->items[i], &out[i], err);
		if (status)
			return status;
		for (size_t k = 0; k < i; k++)
			if (out[k] == out[i])
				return tdm_fail(err, TDM_EVALUE, "tandem eval: model %s is named twice", out[i]->name);
	}
	return TDM_OK;
}

static int choose_models(const struct tdm_command_call *call, const struct tdm_app *app, struct tdm_eval_options *out) {
	const struct options *o = call->options;
	struct tdm_model *const *all;
	size_t n_all = tdm_tree_models(app->tree, &all), n = 0;
	struct tdm_model **models = tdm_arena_array(call->arena, n_all + o->models.n, sizeof(struct tdm_model *));
	if (!models)
		return tdm_fail(call->error, TDM_ENOMEM, "tandem eval: out of memory");
	for (size_t i = 0; i < n_all && !o->models.n; i++)
		if (!all[i]->hidden)
			models[n++] = all[i];
	out->models = models;
	out->n_models = n + o->models.n;
	return named_models(app, &o->models, models, call->error);
}

static int choose_baseline(const struct tdm_command_call *call, struct tdm_eval_options *out) {
	const struct options *o = call->options;
	const char *name = o->baseline ? o->baseline : "large";
	for (size_t i = 0; i < out->n_models; i++)
		if (!strcmp(out->models[i]->name, name))
			out->baseline = out->models[i];
	if (o->baseline && !out->baseline)
		return tdm_fail(call->error, TDM_EVALUE, "tandem eval: the baseline %s is not among the models", name);
	return TDM_OK;
}

static int write_file(const char *path, const struct tdm_bytes *text, struct tdm_error *err) {
	if (text->failed)
		return tdm_fail(err, TDM_ENOMEM, "tandem eval: no memory for the report");
	return path ? tdm_file_write(path, text->data, text->len, err) : TDM_OK;
}

static int report(const struct tdm_command_call *call, const struct tdm_app *app, const struct tdm_eval *e) {
	const struct options *o = call->options;
	struct tdm_eval_summary *summaries;
	struct tdm_bytes text;
	int status = tdm_eval_summaries(e, call->arena, &summaries, call->error);
	if (status)
		return status;
	tdm_bytes_init(&text, REPORT_LIMIT_BYTES);
	tdm_report_table(e, summaries, &text);
	status = write_file(NULL, &text, call->error);
	if (!status)
		fwrite(text.data, 1, text.len, stdout);
	tdm_bytes_clear(&text);
	if (!status && o->out) {
		tdm_report_json(e, summaries, tdm_tree_hash(app->tree), &text);
		status = write_file(o->out, &text, call->error);
	}
	tdm_bytes_clear(&text);
	if (!status && o->labels &&
	    !(status = tdm_report_labels(e, tdm_tree_model(app->tree, o->labels_of), &text, call->error)))
		status = write_file(o->labels, &text, call->error);
	tdm_bytes_clear(&text);
	if (!status && o->svg && !(status = tdm_report_svg(e, summaries, &text, call->error)))
		status = write_file(o->svg, &text, call->error);
	tdm_bytes_clear(&text);
	if (!status && o->table && !(status = tdm_report_outcomes(e, &text, call->error)))
		status = write_file(o->table, &text, call->error);
	tdm_bytes_release(&text);
	return status;
}

static int check_labels(const struct tdm_command_call *call, const struct tdm_app *app) {
	const struct options *o = call->options;
	struct tdm_model *unused;
	return o->labels ? tdm_app_model(app, o->labels_of, &unused, call->error) : TDM_OK;
}

static int evaluate(const struct tdm_command_call *call, const struct tdm_app *app) {
	const struct options *o = call->options;
	struct tdm_progress progress;
	struct tdm_eval_options options_of_run = {.seed = (uint64_t)o->seed, .n_items = (size_t)o->n, .warm_up = true};
	struct tdm_eval e;
	options_of_run.families = o->families.items;
	options_of_run.n_families = o->families.n;
	options_of_run.max_tokens = (int)o->max_tokens;
	options_of_run.n_jobs = (int)o->jobs;
	options_of_run.keep_answers = o->table != NULL;
	options_of_run.progress = &progress;
	int status = choose_models(call, app, &options_of_run);
	if (!status)
		status = choose_baseline(call, &options_of_run);
	if (!status)
		status = check_labels(call, app);
	if (status)
		return status;
	tdm_progress_start(&progress, "gym", "items", (uint64_t)o->n);
	status = tdm_eval_run(&options_of_run, &e, call->error);
	tdm_progress_end(&progress);
	if (status)
		return status;
	status = report(call, app, &e);
	tdm_eval_release(&e);
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_app app;
	if (call->n_operands != 1 || strcmp(call->operands[0], "gym") != 0)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem eval: expected the test's name; there is one: tandem eval gym");
	int status = tdm_app_open(call->arena, o->config, &app, call->error);
	if (status)
		return status;
	status = evaluate(call, &app);
	tdm_app_close(&app);
	return status;
}

const struct tdm_command tdm_command_eval = {
    .name = "eval",
    .summary = "accuracy, cost, time, leaks and refusals of models, side by side",
    .operands = "gym",
    .group = "measure",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
