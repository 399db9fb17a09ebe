// `tandem config`: every setting with its effective value and where it comes from.
#include "cli/app.h"
#include "cli/command.h"
#include "cli/kinds.h"
#include "cli/show.h"
#include "ledger/shared_settings.h"
#include "serve/settings.h"
#include "serve/watch/telemetry.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct options {
	const char *config;
};

static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, offsetof(struct options, config), NULL, 0, 0, NULL, "settings file"},
};

static const struct tdm_kind *find_kind(const char *name) {
	for (size_t i = 0; name && tdm_kinds[i]; i++)
		if (!strcmp(tdm_kinds[i]->name, name))
			return tdm_kinds[i];
	return NULL;
}

static void print_value(const struct tdm_value *v) {
	struct tdm_bytes json;
	tdm_bytes_init(&json, 1 << 16);
	tdm_value_write(&json, v);
	printf("%s", json.data ? json.data : "");
	tdm_bytes_release(&json);
}

static void print_option(const struct tdm_app *app, const struct tdm_value *map, const struct tdm_option *o) {
	const struct tdm_value *given = tdm_get(map, o->name);
	printf("  %s: ", o->name);
	if (!given) {
		printf("%s  # default\n", o->standard ? o->standard : "not set");
		return;
	}
	print_value(given);
	printf("  # %s line %d\n", app->settings_name, given->line);
}

static void print_options(const struct tdm_app *app, const struct tdm_value *map, const struct tdm_option *table,
                          size_t n) {
	for (size_t i = 0; i < n; i++)
		print_option(app, map, &table[i]);
}

static void print_model(const struct tdm_app *app, const char *name, const struct tdm_value *map) {
	const char *kind_name = tdm_get_string(map, "kind");
	const struct tdm_kind *kind = find_kind(kind_name);
	printf("model %s: %s  # %s line %d\n", name, kind_name ? kind_name : "?", app->settings_name, map->line);
	for (size_t i = 0; kind && i < kind->n_roles; i++) {
		const struct tdm_value *role = tdm_get(map, kind->roles[i].name);
		if (!role)
			continue;
		printf("  %s: ", kind->roles[i].name);
		print_value(role);
		printf("  # role, line %d\n", role->line);
	}
	if (kind)
		print_options(app, map, kind->options, kind->n_options);
	const struct tdm_value *price = tdm_get(map, "price");
	if (price) {
		printf("  price: ");
		print_value(price);
		printf("  # per million tokens, line %d\n", price->line);
	}
}

int tdm_show_settings(struct tdm_arena *arena, const struct tdm_app *app, struct tdm_error *err) {
	static const struct {
		const char *name;
		const struct tdm_option *table;
		const size_t *n;
	} sections[] = {
	    {"serve", tdm_serve_options, &tdm_n_serve_options},
	    {"state", tdm_shared_settings, &tdm_n_shared_settings},
	    {"log", tdm_log_options, &tdm_n_log_options},
	    {"telemetry", tdm_telemetry_options, &tdm_n_telemetry_options},
	};
	struct tdm_value *root;
	int status = tdm_yaml_parse(arena, app->settings_name, app->settings_text, app->settings_bytes, &root, err);
	if (status)
		return status;
	const struct tdm_value *models = tdm_get(root, "models");
	printf("settings: %s (%s)\n", app->settings_name, tdm_tree_hash(app->tree));
	for (size_t i = 0; models && i < models->n; i++)
		print_model(app, models->keys[i], &models->items[i]);
	for (size_t i = 0; i < TDM_COUNT(sections); i++) {
		printf("%s:\n", sections[i].name);
		print_options(app, tdm_get(root, sections[i].name), sections[i].table, *sections[i].n);
	}
	return TDM_OK;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_app app;
	int status = tdm_app_open(call->arena, o->config, &app, call->error); // the whole file is checked first
	if (status)
		return status;
	status = tdm_show_settings(call->arena, &app, call->error);
	tdm_app_close(&app);
	return status;
}

const struct tdm_command tdm_command_config = {
    .name = "config",
    .summary = "every setting with its value and where it comes from",
    .group = "serve",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
