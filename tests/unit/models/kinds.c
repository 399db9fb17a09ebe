#include "kinds.h"
#include <stdio.h>

int n_destroyed;
char destroyed[8][32];

struct pass {
	struct tdm_model model;
	struct tdm_model *inner;
};
struct pass_options {
	int64_t samples;
	const char *label;
};

static int pass_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                         struct tdm_sink *sink, struct tdm_result *result) {
	return tdm_generate(((struct pass *)m)->inner, run, request, sink, result);
}

static void pass_destroy(struct tdm_model *m) {
	if (n_destroyed < 8)
		snprintf(destroyed[n_destroyed], sizeof destroyed[0], "%s", m->name);
	n_destroyed++;
}

static const struct tdm_model_ops pass_ops = {.generate = pass_generate, .destroy = pass_destroy};

static int pass_create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	struct pass *p = tdm_build_model(b, sizeof *p, &pass_ops, TDM_CAN_TEXT);
	if (!p)
		return TDM_ENOMEM;
	p->inner = tdm_build_role(b, "inner");
	p->model.leaves |= b->kind->goal == TDM_GOAL_PRIVACY;
	*out = &p->model;
	return TDM_OK;
}

static const struct tdm_option pass_options[] = {
    {"samples", TDM_OPT_INT, offsetof(struct pass_options, samples), "3", 1, 9, NULL, "number of samples"},
    {"label", TDM_OPT_STRING, offsetof(struct pass_options, label), NULL, 0, 0, NULL, "a word"},
};
static const struct tdm_role pass_roles[] = {{"inner", TDM_CAN_TEXT, 1, 1, "the model that answers"}};
static const struct tdm_role need_roles[] = {{"inner", TDM_CAN_TEXT | TDM_CAN_STEP, 1, 1, "a model with sessions"}};
static const struct tdm_role many_roles[] = {{"inner", TDM_CAN_TEXT, 2, 3, "the members"},
                                             {"judge", TDM_CAN_TEXT, 0, 1, "decides"}};

#define KIND(n, f, g, r)                                                                                          \
	{                                                                                                             \
		.name = n, .family = f, .goal = g, .roles = r, .n_roles = TDM_COUNT(r), .options = pass_options,          \
		.n_options = TDM_COUNT(pass_options), .options_bytes = sizeof(struct pass_options), .create = pass_create \
	}
static const struct tdm_kind pass = KIND("pass", TDM_POLICY, TDM_GOAL_NONE, pass_roles);
static const struct tdm_kind need = KIND("need", TDM_STRATEGY, TDM_GOAL_COST, need_roles);
static const struct tdm_kind many = KIND("many", TDM_STRATEGY, TDM_GOAL_QUALITY, many_roles);
static const struct tdm_kind far = KIND("far", TDM_POLICY, TDM_GOAL_PRIVACY, pass_roles);

const struct tdm_kind *const test_kinds[] = {
    &tdm_kind_script, &tdm_kind_local, &tdm_kind_remote, &pass, &need, &many, &far, NULL};
