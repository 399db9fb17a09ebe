// Report as a picture: what is right in each family, and what the models cost against what they know.
#include "eval/plot.h"
#include "eval/report.h"

#define WIDTH 1180.0
#define BARS_HEIGHT 420.0
#define POINTS_HEIGHT 460.0

static int put_bars(const struct tdm_eval *e, const struct tdm_eval_summary *s, struct tdm_arena *arena,
                    const char *const *names, struct tdm_bytes *out) {
	size_t n_groups = e->n_families + 1, n = e->options.n_models;
	const char **groups = tdm_arena_array(arena, n_groups, sizeof *groups);
	double *values = tdm_arena_array(arena, n_groups * n, sizeof *values);
	if (!groups || !values)
		return TDM_ENOMEM;
	for (size_t g = 0; g < n_groups; g++) {
		groups[g] = g < e->n_families ? e->families[g] : "all";
		for (size_t m = 0; m < n; m++)
			values[g * n + m] = tdm_eval_percent(g < e->n_families ? s[m].families[g] : s[m].right);
	}
	struct tdm_plot_bars chart = {.title = "Right answers by family", .y_label = "right, %", .groups = groups};
	chart.n_groups = n_groups;
	chart.series = names;
	chart.n_series = n;
	chart.values = values;
	chart.top = 100;
	tdm_plot_bars(out, &(struct tdm_plot_frame){0, 0, WIDTH, BARS_HEIGHT}, &chart);
	return TDM_OK;
}

static int put_points(const struct tdm_eval *e, const struct tdm_eval_summary *s, struct tdm_arena *arena,
                      const char *const *names, struct tdm_bytes *out) {
	size_t n = e->options.n_models;
	double *x = tdm_arena_array(arena, n, sizeof *x), *y = tdm_arena_array(arena, n, sizeof *y), least = 100;
	double *low = tdm_arena_array(arena, n, sizeof *low), *high = tdm_arena_array(arena, n, sizeof *high);
	if (!x || !y || !low || !high)
		return TDM_ENOMEM;
	for (size_t m = 0; m < n; m++) {
		x[m] = s[m].cost / (double)e->options.n_items * 1000;
		y[m] = tdm_eval_percent(s[m].right);
		tdm_eval_interval(s[m].right, &low[m], &high[m]);
		least = y[m] < least ? y[m] : least;
	}
	struct tdm_plot_points chart = {
	    .title = "Cost and right answers, with exact 95 % intervals", .y_label = "right, %", .names = names};
	chart.x_label = "cost of 1000 items, in the currency of the settings";
	chart.x = x;
	chart.y = y;
	chart.low = low;
	chart.high = high;
	chart.n = n;
	chart.bottom = least > 20 ? 10 * floor((least - 5) / 10) : 0;
	chart.top = 100;
	tdm_plot_points(out, &(struct tdm_plot_frame){0, BARS_HEIGHT, WIDTH, POINTS_HEIGHT}, &chart);
	return TDM_OK;
}

int tdm_report_svg(const struct tdm_eval *e, const struct tdm_eval_summary *summaries, struct tdm_bytes *out,
                   struct tdm_error *err) {
	struct tdm_arena arena;
	tdm_arena_init(&arena, (size_t)16 << 20);
	const char **names = tdm_arena_array(&arena, e->options.n_models, sizeof *names);
	int status = names ? TDM_OK : TDM_ENOMEM;
	for (size_t m = 0; m < e->options.n_models && names; m++)
		names[m] = e->options.models[m]->name;
	tdm_plot_start(out, WIDTH, BARS_HEIGHT + POINTS_HEIGHT);
	if (!status)
		status = put_bars(e, summaries, &arena, names, out);
	if (!status)
		status = put_points(e, summaries, &arena, names, out);
	tdm_plot_end(out);
	tdm_arena_release(&arena);
	return status ? tdm_fail(err, status, "eval: no memory for the picture") : TDM_OK;
}
