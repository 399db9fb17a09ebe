// `tandem exact`: whether models keep another one's distribution, by chi-square tests on sampled answers, or its
// answers themselves, byte by byte.
#include "eval/exact.h"
#include "cli/app.h"
#include "cli/command.h"
#include "eval/gym.h"
#include "eval/same.h"
#include <stddef.h>
#include <stdio.h>

struct options {
	const char *config, *target;
	struct tdm_strings models;
	int64_t seed, draws, prompts, same;
	double temperature, alpha;
	bool sampled;
	int wish;
};

enum { MOST_MODELS = 32 };
static const char *const wishes[] = {"plain", "schema", "stop", "logprobs", "penalty", "all"}; // of enum tdm_same_wish

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file"},
    {"target", TDM_OPT_STRING, AT(target), "large", 0, 0, NULL, "the model whose distribution it is"},
    {"model", TDM_OPT_LIST, AT(models), "speculate", 0, 0, NULL,
     "the models that promise to keep it, separated by commas"},
    {"prompts", TDM_OPT_INT, AT(prompts), "6", 1, 1000, NULL, "questions of the gym's test split"},
    {"draws", TDM_OPT_INT, AT(draws), "3000", 200, 1e7, NULL, "sampled answers to each"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "1", 0.01, 2, NULL, "of the sampling"},
    {"same", TDM_OPT_INT, AT(same), "0", 0, 1e7, NULL,
     "instead: questions whose greedy answers must be the target's, byte by byte"},
    {"sampled", TDM_OPT_BOOL, AT(sampled), "no", 0, 0, NULL,
     "with same: sampled answers of the same seed, which guesses keep and drafts need not"},
    {"wish", TDM_OPT_CHOICE, AT(wish), "plain", 0, 0, TDM_SAME_WISHES,
     "with same: what the requests want besides: a JSON schema, stop strings, log-probabilities, a penalty"},
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

static int test_model(const struct tdm_command_call *call, struct tdm_exact_options *test) {
	const struct options *o = call->options;
	double least = 1, alpha = o->alpha / (double)o->models.n; // of one of them
	int n_tests = 0, status = TDM_OK;
	for (int64_t i = 0; i < o->prompts && !status; i++)
		status = test_prompt(call, test, (uint64_t)i, &least, &n_tests);
	if (status)
		return status;
	if (!n_tests)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem exact: no position had two bins; more draws or a higher "
		                "temperature are needed");
	printf("%d tests, least tail %.5f, refused below %.6f\n", n_tests, least, alpha / n_tests);
	if (least < alpha / n_tests)
		return tdm_fail(call->error, TDM_EINTERNAL, "%s does not keep the distribution of %s", test->model->name,
		                test->target->name);
	printf("%s keeps the distribution of %s, as far as %lld draws can tell\n", test->model->name, test->target->name,
	       (long long)o->draws);
	return TDM_OK;
}

static int test_all(const struct tdm_command_call *call, struct tdm_model *target, struct tdm_model *const *models) {
	const struct options *o = call->options;
	int status = TDM_OK;
	for (size_t i = 0; i < o->models.n && !status; i++) {
		struct tdm_exact_options test = {.target = target,
		                                 .model = models[i],
		                                 .seed = (uint64_t)o->seed,
		                                 .n_draws = (int)o->draws,
		                                 .temperature = (float)o->temperature};
		status = test_model(call, &test);
	}
	return status;
}

static int compare_one(const struct tdm_command_call *call, struct tdm_same_options *same, int64_t index,
                       struct tdm_same_case *cases) {
	const struct options *o = call->options;
	struct tdm_gym_item item;
	struct tdm_arena arena;
	tdm_arena_init(&arena, (size_t)1 << 24);
	int status = tdm_gym_item(&arena, same->seed, (uint64_t)index, TDM_GYM_TEST, NULL, &item, call->error);
	same->prompt = item.prompt;
	if (!status)
		status = tdm_same_test(same, cases, o->models.n, call->error);
	tdm_arena_release(&arena);
	return status;
}

static void show_case(const struct tdm_same_case *c, const char *wish) {
	double kept = c->drafted ? 100.0 * (double)c->accepted / (double)c->drafted : 0;
	printf("%-16s %-8s %6lld answers, %8lld tokens, %5.1f%% of %8lld drafted kept: %lld differ", c->model->name, wish,
	       (long long)c->n, (long long)c->tokens, kept, (long long)c->drafted, (long long)c->n_different);
	if (c->n_different)
		printf(", the first is question %lld", (long long)c->first);
	putchar('\n');
}

static int compare_all(const struct tdm_command_call *call, struct tdm_model *target, struct tdm_model *const *models) {
	const struct options *o = call->options;
	struct tdm_same_case cases[MOST_MODELS] = {0};
	struct tdm_same_options same = {.target = target,
	                                .wish = (enum tdm_same_wish)o->wish,
	                                .seed = (uint64_t)o->seed,
	                                .temperature = o->sampled ? (float)o->temperature : 0};
	int64_t n_different = 0;
	int status = TDM_OK;
	for (size_t i = 0; i < o->models.n; i++)
		cases[i].model = models[i];
	for (int64_t i = 0; i < o->same && !status; i++)
		status = compare_one(call, &same, i, cases);
	for (size_t i = 0; i < o->models.n; i++) {
		show_case(&cases[i], wishes[o->wish]);
		n_different += cases[i].n_different;
	}
	if (!status && n_different)
		status = tdm_fail(call->error, TDM_EINTERNAL, "%lld answers are not those of %s", (long long)n_different,
		                  target->name);
	return status;
}

static int test(const struct tdm_command_call *call, const struct tdm_app *app) {
	const struct options *o = call->options;
	struct tdm_model *target, *models[MOST_MODELS];
	int status = tdm_app_model(app, o->target, &target, call->error);
	if (o->models.n > MOST_MODELS)
		return tdm_fail(call->error, TDM_EVALUE, "tandem exact: at most %d models at a time", MOST_MODELS);
	for (size_t i = 0; i < o->models.n && !status; i++)
		status = tdm_app_model(app, o->models.items[i], &models[i], call->error);
	if (status)
		return status;
	return o->same ? compare_all(call, target, models) : test_all(call, target, models);
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_app app;
	int status = tdm_app_open(call->arena, o->config, &app, call->error);
	if (status)
		return status;
	status = test(call, &app);
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
