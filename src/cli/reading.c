// Reading: file, options, models, setup, in this order; the first fault ends it with its sentence. The rule it
// protects: what `check` calls good starts, and what starts has been checked whole.
#include "cli/reading.h"
#include "cli/show.h"
#include <stdio.h>
#include <string.h>

#define SETTINGS_LIMIT_BYTES ((size_t)64 << 20)

void tdm_reading_close(struct tdm_reading *r) {
	tdm_app_close(&r->app);
	tdm_arena_release(&r->arena);
}

int tdm_reading_open(const struct tdm_given *given, struct tdm_reading *r, struct tdm_error *err) {
	tdm_arena_init(&r->arena, SETTINGS_LIMIT_BYTES);
	int status = tdm_app_read(&r->arena, given->config, &r->app, err);
	if (!status) {
		const char *where = tdm_arena_printf(&r->arena, "%s: serve", r->app.settings_name);
		status = tdm_options_read(&r->arena, where, tdm_tree_section(r->app.tree, "serve"), tdm_serve_options,
		                          tdm_n_serve_options, NULL, &r->settings, sizeof r->settings, err);
		where = tdm_arena_printf(&r->arena, "%s: log", r->app.settings_name);
		if (!status)
			status = tdm_options_read(&r->arena, where, tdm_tree_section(r->app.tree, "log"), tdm_log_options,
			                          tdm_n_log_options, NULL, &r->log, sizeof r->log, err);
	}
	if (given->listen)
		r->settings.listen = given->listen;
	if (given->ledger)
		r->settings.ledger = given->ledger;
	if (status)
		tdm_reading_close(r);
	return status;
}

int tdm_reading_make(struct tdm_reading *r, struct tdm_tree_watch *watch, struct tdm_setup **out,
                     struct tdm_error *err) {
	int status = tdm_tree_build(r->app.tree, watch, err);
	if (!status)
		return tdm_setup_new(&r->arena, r->app.tree, &r->settings, out, err);
	tdm_reading_close(r);
	return status;
}

int tdm_reading_check(struct tdm_reading *r, bool explain, struct tdm_error *err) {
	struct tdm_app app = r->app; // for what is printed: its strings live in the setup
	struct tdm_setup *setup = NULL;
	int status = tdm_reading_make(r, NULL, &setup, err);
	if (!status)
		status = tdm_serve_check(&setup->settings, err);
	if (!status && explain)
		status = tdm_show_settings(&setup->arena, &app, err);
	if (!status && explain)
		tdm_show_models(app.tree);
	if (!status)
		printf("%s is good: %s\n", app.settings_name, tdm_tree_hash(app.tree));
	tdm_setup_close(setup);
	return status;
}
