// Replay of routes: see replay_routes.h.
#include "cli/replay_routes.h"
#include "cli/app.h"
#include "cost/route.h"
#include <math.h>
#include <string.h>

#define ITEM_BYTES ((size_t)64 << 20) // of what one decision needs

static int judge(const struct tdm_command_call *call, struct tdm_model *route, const struct tdm_outcome_item *item,
                 struct tdm_route_view *out) {
	struct tdm_arena arena;
	struct tdm_run run;
	if (!item->prompt)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem replay: item \"%s\" has no prompt, which routes are asked about", item->id);
	tdm_arena_init(&arena, ITEM_BYTES);
	int status = tdm_run_init(&run, &arena, 0);
	if (status)
		tdm_fail(call->error, status, "tandem replay: no memory for a decision");
	if (!status && (status = tdm_route_view(route, &run, item->prompt, strlen(item->prompt), out)))
		tdm_fail(call->error, status, "tandem replay: %s", run.error.text);
	tdm_arena_release(&arena);
	return status;
}

static int add_route(const struct tdm_command_call *call, const struct tdm_app *app, const char *name,
                     struct tdm_outcomes *table, double *threshold) {
	struct tdm_model *route = NULL;
	double *values = tdm_arena_array(&table->arena, table->n_items + 1, sizeof *values);
	const char *column = tdm_arena_string(&table->arena, name);
	int status = values && column ? tdm_app_model(app, name, &route, call->error)
	                              : tdm_fail(call->error, TDM_ENOMEM, "tandem replay: out of memory");
	for (size_t i = 0; i < table->n_items && !status; i++) {
		struct tdm_route_view view;
		status = judge(call, route, &table->items[i], &view);
		values[i] = view.score;
		*threshold = view.threshold;
	}
	return status ? status : tdm_outcomes_keep(table, column, values, call->error);
}

int tdm_replay_routes(const struct tdm_command_call *call, const char *config, const struct tdm_strings *routes,
                      struct tdm_outcomes *table, double *thresholds) {
	struct tdm_app app;
	int status = tdm_app_open(call->arena, config, &app, call->error);
	if (status)
		return status;
	for (size_t i = 0; i < routes->n && !status; i++) {
		thresholds[i] = (double)NAN;
		status = add_route(call, &app, routes->items[i], table, &thresholds[i]);
	}
	tdm_app_close(&app);
	return status;
}
