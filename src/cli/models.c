// `tandem models`: the tree of the settings, or the kinds that a tree may use.
#include "cli/app.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "cli/show.h"
#include "models/local/local.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct options {
	const char *config;
	bool kinds;
};

static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, offsetof(struct options, config), NULL, 0, 0, NULL, "settings file"},
    {"kinds", TDM_OPT_BOOL, offsetof(struct options, kinds), "no", 0, 0, NULL, "list the kinds instead"},
};

static void print_caps(unsigned can) {
	static const char *const names[] = {"text", "logprobs", "score", "embed", "step", "tools"};
	for (size_t i = 0; i < TDM_COUNT(names); i++)
		if (can & 1u << i)
			printf(" %s", names[i]);
}

static void print_kind(const struct tdm_kind *k) {
	static const char *const goals[] = {"source", "quality", "cost", "privacy", "trust"};
	printf("%s: %s\n", k->name, k->summary);
	printf("  goal: %s", k->goal == TDM_GOAL_NONE && k->family != TDM_SOURCE ? "all" : goals[k->goal]);
	if (k->leaf)
		printf(", leaf %s", k->leaf);
	if (k->source)
		printf(" (%s)", k->source);
	printf("\n");
	for (size_t i = 0; i < k->n_roles; i++) {
		const struct tdm_role *r = &k->roles[i];
		printf("  role   %-16s %s; must be able to do:", r->name, r->help ? r->help : "");
		print_caps(r->needs);
		printf("\n");
	}
	for (size_t i = 0; i < k->n_options; i++) {
		const struct tdm_option *o = &k->options[i];
		printf("  option %-16s %s%s%s%s%s%s\n", o->name, o->help ? o->help : "", o->choices ? " (" : "",
		       o->choices ? o->choices : "", o->choices ? ")" : "", o->standard ? "; default " : "",
		       o->standard ? o->standard : "");
	}
}

static void print_model(const struct tdm_model *m, int depth, const char *role) {
	const struct tdm_engine_info *info = tdm_local_info(m);
	printf("%*s%s%s%s (%s)", depth * 2, "", role ? role : "", role ? ": " : "", m->name, m->kind->name);
	if (info)
		printf(" %s, %.2fM parameters, %d tokens of context, %s kernels", info->architecture,
		       (double)info->n_parameters / 1e6, info->context, info->kernels);
	printf(" can:");
	print_caps(m->can);
	if (m->leaves)
		printf("; leaves this machine");
	printf("\n");
	for (size_t i = 0; i < m->n_parts; i++)
		print_model(m->parts[i], depth + 1, m->part_roles[i]);
}

void tdm_show_models(const struct tdm_tree *tree) {
	struct tdm_model *const *models;
	size_t n = tdm_tree_models(tree, &models);
	for (size_t i = 0; i < n; i++)
		print_model(models[i], 0, NULL);
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	if (o->kinds) {
		for (size_t i = 0; tdm_kinds[i]; i++)
			print_kind(tdm_kinds[i]);
		return TDM_OK;
	}
	struct tdm_app app;
	int status = tdm_app_open(call->arena, o->config, &app, call->error);
	if (status)
		return status;
	tdm_show_models(app.tree);
	tdm_app_close(&app);
	return TDM_OK;
}

const struct tdm_command tdm_command_models = {
    .name = "models",
    .summary = "the models of the settings as a tree; --kinds: what a tree may use",
    .group = "use",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
