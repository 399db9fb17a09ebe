// Plot: charts as SVG, written by hand: grouped bars, named points over two axes, and lines, which a terminal can show
// too. Units: pixels; y grows downward.
#pragma once
#include "base/bytes.h"

struct tdm_plot_frame { // where a chart goes; its axes lie inside, with room for titles and labels
	double x, y, width, height;
};

struct tdm_plot_bars {
	const char *title, *y_label;
	const char *const *groups;
	size_t n_groups;
	const char *const *series;
	size_t n_series;
	const double *values; // [group][series]; NAN = no bar
	double top;           // end of the y axis, which begins at 0
};

struct tdm_plot_points {
	const char *title, *x_label, *y_label;
	const char *const *names;
	const double *x, *y;      // x >= 0
	const double *low, *high; // of y; NULL = no intervals
	size_t n;
	double bottom, top; // of the y axis; the x axis begins at 0
};

struct tdm_plot_lines {
	const char *title, *x_label, *y_label;
	const char *const *series;
	size_t n_series, n;  // lines, and points of each
	const double *x, *y; // [series][point]; x >= 0
	double right;        // end of the x axis, which begins at 0
	double bottom, top;  // of the y axis
};

void tdm_plot_start(struct tdm_bytes *out, double width, double height);
void tdm_plot_bars(struct tdm_bytes *out, const struct tdm_plot_frame *frame, const struct tdm_plot_bars *chart);
void tdm_plot_points(struct tdm_bytes *out, const struct tdm_plot_frame *frame, const struct tdm_plot_points *chart);
void tdm_plot_lines(struct tdm_bytes *out, const struct tdm_plot_frame *frame, const struct tdm_plot_lines *chart);
// The same chart in letters, 17 lines of 70 columns and what they mean.
void tdm_plot_text(struct tdm_bytes *out, const struct tdm_plot_lines *chart);
void tdm_plot_end(struct tdm_bytes *out);
// The distance of ticks for an axis from 0 to top with about n of them: 1, 2 or 5 times a power of ten.
double tdm_plot_step(double top, int n);
