// Show: what a settings file comes to, for people: config.c and models.c.
#pragma once
#include "cli/app.h"

int tdm_show_settings(struct tdm_arena *arena, const struct tdm_app *app, struct tdm_error *err); // every option
void tdm_show_models(const struct tdm_tree *tree);                                                // as a tree
