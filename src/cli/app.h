// App: what every command that answers needs: the settings made into a tree, and a run for one question.
#pragma once
#include "models/tree.h"

struct tdm_app {
	struct tdm_tree *tree;
	const char *settings_name; // "tandem.yaml", or "embedded tandem.yaml"
	const char *settings_text;
	size_t settings_bytes;
};

// config: path of a settings file; NULL = ./tandem.yaml when it exists, else the embedded one. Strings live in the
// arena.
int tdm_app_settings(struct tdm_arena *arena, const char *config, struct tdm_app *app, struct tdm_error *err);
int tdm_app_read(struct tdm_arena *arena, const char *config, struct tdm_app *app,
                 struct tdm_error *err); // and the tree, no model of it made: tdm_tree_build
int tdm_app_open(struct tdm_arena *arena, const char *config, struct tdm_app *app,
                 struct tdm_error *err); // and the tree
void tdm_app_close(struct tdm_app *app);
// name NULL or empty = serve.default, or the first model. Error: TDM_EMODEL with the nearest name.
int tdm_app_model(const struct tdm_app *app, const char *name, struct tdm_model **out, struct tdm_error *err);
