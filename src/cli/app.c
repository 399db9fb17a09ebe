// App: finds the settings, builds the tree, finds a model in it.
#include "cli/app.h"
#include "base/file.h"
#include "cli/embedded.h"
#include "cli/kinds.h"
#include <string.h>
#include <unistd.h>

#define SETTINGS_LIMIT_BYTES ((size_t)1 << 20)

static int read_file(struct tdm_arena *arena, const char *path, struct tdm_app *app, struct tdm_error *err) {
	struct tdm_bytes bytes;
	int status = tdm_file_read(path, SETTINGS_LIMIT_BYTES, &bytes, err);
	if (status)
		return status;
	app->settings_text = tdm_arena_copy(arena, bytes.data ? bytes.data : "", bytes.len);
	app->settings_bytes = bytes.len;
	app->settings_name = tdm_arena_string(arena, path);
	tdm_bytes_release(&bytes);
	return app->settings_text ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "%s: out of memory", path);
}

int tdm_app_settings(struct tdm_arena *arena, const char *config, struct tdm_app *app, struct tdm_error *err) {
	memset(app, 0, sizeof *app);
	if (!config && access("tandem.yaml", R_OK) == 0)
		config = "tandem.yaml";
	if (config)
		return read_file(arena, config, app, err);
	app->settings_text = tdm_embedded("tandem.yaml", &app->settings_bytes);
	app->settings_name = "embedded tandem.yaml";
	return TDM_OK;
}

static const char *folder_of(struct tdm_arena *arena, const char *path) {
	const char *slash = strrchr(path, '/');
	return slash ? tdm_arena_copy(arena, path, (size_t)(slash - path)) : ".";
}

int tdm_app_read(struct tdm_arena *arena, const char *config, struct tdm_app *app, struct tdm_error *err) {
	int status = tdm_app_settings(arena, config, app, err);
	if (status)
		return status;
	return tdm_tree_read(app->settings_name, folder_of(arena, app->settings_name), app->settings_text,
	                     app->settings_bytes, tdm_kinds, tdm_embedded, &app->tree, err);
}

int tdm_app_open(struct tdm_arena *arena, const char *config, struct tdm_app *app, struct tdm_error *err) {
	int status = tdm_app_read(arena, config, app, err);
	if (!status)
		status = tdm_tree_build(app->tree, NULL, err);
	if (status)
		tdm_app_close(app);
	return status;
}

void tdm_app_close(struct tdm_app *app) {
	tdm_tree_close(app->tree);
	app->tree = NULL;
}

static int unknown_model(const struct tdm_app *app, const char *name, struct tdm_error *err) {
	struct tdm_model *const *models;
	const char *names[256];
	size_t n = tdm_tree_models(app->tree, &models), n_names = 0;
	for (size_t i = 0; i < n && n_names < 256; i++)
		names[n_names++] = models[i]->name;
	const char *near = tdm_nearest(name, names, n_names);
	return tdm_fail(err, TDM_EMODEL, "%s: there is no model \"%s\"%s%s%s; tandem models lists them", app->settings_name,
	                name, near ? " (nearest: \"" : "", near ? near : "", near ? "\")" : "");
}

int tdm_app_model(const struct tdm_app *app, const char *name, struct tdm_model **out, struct tdm_error *err) {
	struct tdm_model *const *models;
	if (!name || !*name)
		name = tdm_get_string(tdm_tree_section(app->tree, "serve"), "default");
	if (!name && tdm_tree_models(app->tree, &models))
		name = models[0]->name;
	*out = name ? tdm_tree_model(app->tree, name) : NULL;
	return *out ? TDM_OK : unknown_model(app, name ? name : "", err);
}
