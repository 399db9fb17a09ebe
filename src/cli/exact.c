// `tandem exact`: whether a model keeps another one's distribution, by chi-square tests on sampled answers.
#include "eval/exact.h"
#include "cli/app.h"
#include "cli/command.h"
#include "eval/gym.h"
#include <stddef.h>
#include <stdio.h>

struct options {
	const char *config, *target, *model;
	int64_t seed, draws, prompts;
	double temperature, alpha;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file"},
    {"target", TDM_OPT_STRING, AT(target), "large", 0, 0, NULL, "the model whose distribution it is"},
    {"model", TDM_OPT_STRING, AT(model), "speculate", 0, 0, NULL, "the model that promises to keep it"},
    {"prompts", TDM_OPT_INT, AT(prompts), "6", 1, 1000, NULL, "questions of the gym's test split"},
    {"draws", TDM_OPT_INT, AT(draws), "3000", 200, 1e7, NULL, "sampled answers to each"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "1", 0.01, 2, NULL, "of the sampling"},
    {"alpha", TDM_OPT_NUMBER, AT(alpha), "0.001", 1e-9, 0.5, NULL, "how often an exact model may be refused"},
    {"seed", TDM_OPT_INT, AT(seed), "1", 0, 9e15, NULL, "of questions and answers"},
};

static int test_prompt(const struct tdm_command_call *call, struct tdm_exact_options *test, uint64_t index,
                       double *least, int *n_tests) {
	struct tdm_gym_item item;
	struct tdm_exact_position positions[TDM_EXACT_POSITIONS];
	int status = tdm_gym_item(call->arena, test->seed, index, TDM_GYM_TEST, NULL, &item, call->error);
	test->prompt = item.prompt;
	if (!status)
		status = tdm_exact_test(test, positions, call->error);
	for (int i = 0; i < TDM_EXACT_POSITIONS && !status; i++) {
		if (positions[i].n_bins < 2)
			continue;
		printf("%-14s token %d: %6d answers, %3d bins, chi-square %8.2f, tail %.4f\n", item.family, i + 1,
		       positions[i].n_draws, positions[i].n_bins, positions[i].chi_square, positions[i].tail);
		*least = positions[i].tail < *least ? positions[i].tail : *least;
		++*n_tests;
	}
	return status;
}

static int test_all(const struct tdm_command_call *call, const struct tdm_app *app) {
	const struct options *o = call->options;
	struct tdm_exact_options test = {
	    .seed = (uint64_t)o->seed, .n_draws = (int)o->draws, .temperature = (float)o->temperature};
	double least = 1;
	int n_tests = 0, status = tdm_app_model(app, o->target, &test.target, call->error);
	if (!status)
		status = tdm_app_model(app, o->model, &test.model, call->error);
	for (int64_t i = 0; i < o->prompts && !status; i++)
		status = test_prompt(call, &test, (uint64_t)i, &least, &n_tests);
	if (status)
		return status;
	if (!n_tests)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem exact: no position had two bins; more draws or a higher "
		                "temperature are needed");
	printf("%d tests, least tail %.5f, refused below %.6f\n", n_tests, least, o->alpha / n_tests);
	if (least < o->alpha / n_tests)
		return tdm_fail(call->error, TDM_EINTERNAL, "%s does not keep the distribution of %s", test.model->name,
		                test.target->name);
	printf("%s keeps the distribution of %s, as far as %lld draws can tell\n", test.model->name, test.target->name,
	       (long long)o->draws);
	return TDM_OK;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_app app;
	int status = tdm_app_open(call->arena, o->config, &app, call->error);
	if (status)
		return status;
	status = test_all(call, &app);
	tdm_app_close(&app);
	return status;
}

const struct tdm_command tdm_command_exact = {
    .name = "exact",
    .summary = "whether a model keeps another one's distribution",
    .group = "measure",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
