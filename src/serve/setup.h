// Setup: what one reading of the settings gave. It never changes; a reload makes another one beside it, and every
// request keeps the one that it began with until it has ended. The server closes the older ones when nobody is left in
// them.
#pragma once
#include "models/tree.h"
#include "serve/keys.h"
#include "serve/settings.h"
#include "serve/watch/telemetry.h"
#include <stdatomic.h>

struct tdm_setup {
	struct tdm_arena arena; // of the strings of its settings
	struct tdm_tree *tree;
	struct tdm_serve_settings settings;
	struct tdm_telemetry_settings telemetry;
	struct tdm_model *standard; // the default model
	char fingerprint[32];
	struct tdm_keys *keys;   // who may ask
	int64_t made_s;          // seconds since 1970
	atomic_size_t n_running; // requests that keep it
	struct tdm_setup *next;  // of those that were replaced
};

// Takes arena and tree, also when it fails; settings: read from the tree into that arena. Error: TDM_ECONFIG.
int tdm_setup_new(struct tdm_arena *arena, struct tdm_tree *tree, const struct tdm_serve_settings *settings,
                  struct tdm_setup **out, struct tdm_error *err);
void tdm_setup_close(struct tdm_setup *s); // nobody keeps it; NULL is fine
