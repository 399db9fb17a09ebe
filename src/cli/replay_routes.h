// Routes of the settings as scores of a replay: the code that serves judges the prompts of a table.
#pragma once
#include "cli/command.h"
#include "eval/outcomes.h"

// Adds a score that keeps for each route, under its name; thresholds[i]: the one in force there (outcomes.h, NAN:
// none). Error: one sentence (no such route, an item without a prompt, a model that fails).
int tdm_replay_routes(const struct tdm_command_call *call, const char *config, const struct tdm_strings *routes,
                      struct tdm_outcomes *table, double *thresholds);
