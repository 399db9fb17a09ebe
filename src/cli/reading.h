// Reading: the settings file on its way to a setup of the server, the same for `serve`, its reloads, and `check`.
#pragma once
#include "serve/setup.h"
#include "cli/app.h"

struct tdm_given { // on the command line; NULL = as the file says
	const char *config, *listen, *ledger;
};

struct tdm_reading {
	struct tdm_arena arena;
	struct tdm_app app;
	struct tdm_serve_settings settings;
	struct tdm_log_settings log;
};

// The file, its serve and its log section; no model is made. On failure nothing is left.
int tdm_reading_open(const struct tdm_given *given, struct tdm_reading *r, struct tdm_error *err);
// Makes the models and the setup. Takes the reading, also when it fails.
int tdm_reading_make(struct tdm_reading *r, struct tdm_tree_watch *watch, struct tdm_setup **out,
                     struct tdm_error *err);
void tdm_reading_close(struct tdm_reading *r); // one that nobody has taken
// All that a start would check, and one line that says so; explain: every setting with its value and its place, and the
// models as a tree. Takes the reading.
int tdm_reading_check(struct tdm_reading *r, bool explain, struct tdm_error *err);
