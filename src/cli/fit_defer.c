#include "cli/fit_defer.h"
#include "base/file.h"
#include "eval/run.h"
#include "learn/fit_probe.h"
#include <stdio.h>
#include <string.h>

enum { FOLDS = 5, ITEM_BYTES = 64 << 20 };

struct fit {
	const struct tdm_fit_defer *o;
	struct tdm_model *small, *large;
	struct tdm_probe_data data;
};

static int add_item(struct fit *f, size_t i, struct tdm_error *err) {
	struct tdm_eval_options test = {.seed = f->o->seed};
	struct tdm_arena arena;
	struct tdm_gym_item item;
	struct tdm_run run;
	tdm_arena_init(&arena, ITEM_BYTES);
	int status = tdm_eval_item(&test, i, &arena, &item, err);
	if (!status)
		status = tdm_run_init(&run, &arena, f->o->seed);
	if (!status) {
		struct tdm_message message = {.from = TDM_FROM_USER, .text = item.prompt, .len = strlen(item.prompt)};
		struct tdm_request request;
		tdm_request_init(&request);
		request.messages = &message;
		request.n_messages = 1;
		int most = f->o->max_tokens > 0 ? f->o->max_tokens : 256;
		status = tdm_probe_data_add(&f->data, &run, f->small, f->large, &request, most,
		                            (int)(item.key / TDM_GYM_TEST_ONE_IN % FOLDS));
		if (status)
			tdm_fail(err, status, "tandem fit: %s", run.error.text);
	}
	tdm_arena_release(&arena);
	return status;
}

static void show(const char *name, const struct tdm_probe_report *r) {
	printf("%-28s  %8zu  %8.1f  %8.4f  %8.4f  %8.4f\n", name, r->n, 100 * (double)r->n_differ / (double)r->n, r->area,
	       r->area_entropy, r->area_margin);
}

static int write_probe(const struct tdm_probe *p, const char *path, struct tdm_error *err) {
	struct tdm_bytes text;
	tdm_bytes_init(&text, (size_t)4 << 20);
	tdm_probe_write(p, &text);
	int status = text.failed ? tdm_fail(err, TDM_ENOMEM, "tandem fit: no memory for the probe")
	                         : tdm_file_write(path, text.data, text.len, err);
	tdm_bytes_release(&text);
	return status;
}

// What is written was fitted on the other folds, with the quantiles of one that it has not seen.
static int fit(struct fit *f, struct tdm_arena *arena, struct tdm_error *err) {
	struct tdm_probe probe = {0}, signs = {0};
	struct tdm_probe_report with = {0}, without = {0};
	int status = tdm_fit_probe(&f->data, 0, false, f->o->l2, arena, &signs, &without, err);
	if (!status)
		status = tdm_fit_probe(&f->data, 0, true, f->o->l2, arena, &probe, &with, err);
	if (status)
		return status;
	printf("where %s would write another token than %s; areas under the ROC curve on a fifth left out\n",
	       f->large->name, f->small->name);
	printf("%-28s  %8s  %8s  %8s  %8s  %8s\n", "probe over", "tokens", "other, %", "probe", "entropy", "margin");
	show("the distribution", &without);
	show("and the hidden state", &with);
	const struct tdm_probe *best = with.area >= without.area ? &probe : &signs;
	printf("\nshare of tokens for %s  threshold\n", f->large->name);
	for (int percent = 5; percent <= 40; percent += percent < 20 ? 5 : 10)
		printf("%20d %%  %9.4f\n", percent, tdm_linear_threshold(best->quantiles, percent / 100.0));
	return f->o->out ? write_probe(best, f->o->out, err) : TDM_OK;
}

int tdm_fit_defer(const struct tdm_fit_defer *o, const struct tdm_app *app, struct tdm_arena *arena,
                  struct tdm_error *err) {
	struct fit f = {.o = o};
	int status = tdm_app_model(app, o->small, &f.small, err);
	if (!status)
		status = tdm_app_model(app, o->large, &f.large, err);
	if (!status && !(f.small->can & f.large->can & TDM_CAN_STEP))
		status = tdm_fail(err, TDM_EVALUE, "tandem fit: a probe needs two local models, %s and %s are not both",
		                  f.small->name, f.large->name);
	for (size_t i = 0; i < o->n && !status; i++)
		status = add_item(&f, i, err);
	if (!status)
		status = fit(&f, arena, err);
	tdm_probe_data_release(&f.data);
	return status;
}
