// Plot: charts as SVG. See plot.h. Colours are told apart also by people who do not see all of them (the palette of
// Okabe and Ito, 2008); every chart says with words what its axes are.
#include "eval/plot.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define LEFT 64.0 // room for the y axis' numbers and its label
#define RIGHT 20.0
#define TOP 70.0 // title and legend
#define BOTTOM 64.0
#define LETTER 6.6 // about the width of a letter of 12 px
#define MOST_LABELS 64

static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
                                      "#56b4e9", "#8a7f00", "#5b5b5b", "#7f3fbf", "#000000"};
#define N_COLOURS (sizeof colours / sizeof *colours)

struct axes { // the rectangle between them, and the values at its edges
	double left, top, right, bottom;
	double x_max, y_min, y_max;
};

// --- marks

static void put_text(struct tdm_bytes *out, const char *text) {
	for (const char *c = text; *c; c++) {
		if (*c == '<')
			tdm_bytes_puts(out, "&lt;");
		else if (*c == '&')
			tdm_bytes_puts(out, "&amp;");
		else if ((unsigned char)*c >= 32)
			tdm_bytes_putc(out, *c);
	}
}

// anchor: start, middle or end. extra: further attributes, may be empty.
static void put_words(struct tdm_bytes *out, double x, double y, const char *anchor, const char *extra,
                      const char *words) {
	tdm_bytes_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>", x, y, anchor, extra);
	put_text(out, words);
	tdm_bytes_puts(out, "</text>\n");
}

static void put_line(struct tdm_bytes *out, double x1, double y1, double x2, double y2, const char *colour) {
	tdm_bytes_printf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2,
	                 colour);
}

static void put_box(struct tdm_bytes *out, double x, double y, double width, double height, const char *colour) {
	tdm_bytes_printf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, width,
	                 height, colour);
}

// --- axes

double tdm_plot_step(double top, int n) {
	if (!(top > 0) || n < 1)
		return 1;
	double rough = top / n, unit = pow(10, floor(log10(rough)));
	double times = rough / unit;
	return unit * (times <= 1 ? 1 : times <= 2 ? 2 : times <= 5 ? 5 : 10);
}

static double at_x(const struct axes *a, double value) {
	return a->left + (a->right - a->left) * value / a->x_max;
}

static double at_y(const struct axes *a, double value) {
	return a->bottom - (a->bottom - a->top) * (value - a->y_min) / (a->y_max - a->y_min);
}

static struct axes make_axes(const struct tdm_plot_frame *f, double x_max, double y_min, double y_max) {
	struct axes a = {f->x + LEFT, f->y + TOP, f->x + f->width - RIGHT, f->y + f->height - BOTTOM, 1, 0, 1};
	a.x_max = x_max > 0 ? x_max : 1;
	a.y_min = y_min;
	a.y_max = y_max > y_min ? y_max : y_min + 1;
	return a;
}

static void put_number(struct tdm_bytes *out, double x, double y, const char *anchor, double value) {
	tdm_bytes_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%g</text>\n", x, y, anchor, value);
}

static void put_y_axis(struct tdm_bytes *out, const struct axes *a, const char *label) {
	double step = tdm_plot_step(a->y_max - a->y_min, 5), x = a->left - 46, y = (a->top + a->bottom) / 2;
	for (double v = ceil(a->y_min / step) * step; v <= a->y_max + step / 1e6; v += step) {
		put_line(out, a->left, at_y(a, v), a->right, at_y(a, v), "#dddddd");
		put_number(out, a->left - 6, at_y(a, v) + 4, "end", v);
	}
	put_line(out, a->left, a->top, a->left, a->bottom, "#444444");
	tdm_bytes_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" transform=\"rotate(-90 %.1f %.1f)\">", x,
	                 y, x, y);
	put_text(out, label);
	tdm_bytes_puts(out, "</text>\n");
}

static void put_x_axis(struct tdm_bytes *out, const struct axes *a, const char *label) {
	double step = tdm_plot_step(a->x_max, 6);
	put_line(out, a->left, a->bottom, a->right, a->bottom, "#444444");
	for (int i = 0; i * step <= a->x_max * (1 + 1e-9); i++) {
		put_line(out, at_x(a, i * step), a->bottom, at_x(a, i * step), a->bottom + 5, "#444444");
		put_number(out, at_x(a, i * step), a->bottom + 19, "middle", i * step);
	}
	put_words(out, (a->left + a->right) / 2, a->bottom + 42, "middle", "", label);
}

static void put_title(struct tdm_bytes *out, const struct tdm_plot_frame *f, const char *title) {
	put_words(out, f->x + LEFT, f->y + 24, "start", " font-size=\"15\" font-weight=\"bold\"", title);
}

void tdm_plot_start(struct tdm_bytes *out, double width, double height) {
	tdm_bytes_printf(out,
	                 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f "
	                 "%.0f\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222222\">\n",
	                 width, height, width, height);
	put_box(out, 0, 0, width, height, "#ffffff");
}

void tdm_plot_end(struct tdm_bytes *out) {
	tdm_bytes_puts(out, "</svg>\n");
}

// --- bars

static void put_legend(struct tdm_bytes *out, const struct axes *a, const char *const *series, size_t n) {
	double x = a->left;
	for (size_t s = 0; s < n; s++) {
		put_box(out, x, a->top - 31, 11, 11, colours[s % N_COLOURS]);
		put_words(out, x + 16, a->top - 21, "start", "", series[s]);
		x += 34 + LETTER * (double)strlen(series[s]);
	}
}

void tdm_plot_bars(struct tdm_bytes *out, const struct tdm_plot_frame *frame, const struct tdm_plot_bars *c) {
	struct axes a = make_axes(frame, (double)c->n_groups, 0, c->top);
	put_title(out, frame, c->title);
	put_legend(out, &a, c->series, c->n_series);
	put_y_axis(out, &a, c->y_label);
	double group = (a.right - a.left) / (double)c->n_groups, width = group * 0.84 / (double)c->n_series;
	for (size_t g = 0; g < c->n_groups; g++) {
		double x = a.left + group * ((double)g + 0.08);
		for (size_t s = 0; s < c->n_series; s++) {
			double value = c->values[g * c->n_series + s];
			if (!isnan(value))
				put_box(out, x + width * (double)s, at_y(&a, value), width * 0.92, a.bottom - at_y(&a, value),
				        colours[s % N_COLOURS]);
		}
		put_words(out, a.left + group * ((double)g + 0.5), a.bottom + 19, "middle", "", c->groups[g]);
	}
	put_line(out, a.left, a.bottom, a.right, a.bottom, "#444444");
}

// --- points

struct label {
	double x, y, width; // left end of the base line
};

static bool overlap(const struct label *a, const struct label *b) {
	return a->x < b->x + b->width && b->x < a->x + a->width && fabs(a->y - b->y) < 13;
}

// A free place near the point: beside it, above, below, then further and further away.
static struct label place(const struct axes *a, double x, double y, const char *name, const struct label *taken,
                          size_t n) {
	double width = LETTER * (double)strlen(name);
	struct label at = {x + 9, y + 4, width};
	for (int i = 0; i < 24; i++) {
		bool right = i % 2 == 0, is_free = true;
		int row = (i / 2 + 1) / 2 * (i / 2 % 2 ? 1 : -1);
		at = (struct label){right ? x + 9 : x - 9 - width, y + 4 + 14.0 * row, width};
		if (at.x < a->left || at.x + width > a->right + RIGHT || at.y > a->bottom - 2 || at.y < a->top - 20)
			continue;
		for (size_t k = 0; k < n && is_free; k++)
			is_free = !overlap(&at, &taken[k]);
		if (is_free)
			break;
	}
	return at;
}

static void put_point(struct tdm_bytes *out, const struct axes *a, const struct tdm_plot_points *c, size_t i) {
	const char *colour = colours[i % N_COLOURS];
	double x = at_x(a, c->x[i]);
	if (c->low && c->high)
		put_line(out, x, at_y(a, fmax(c->low[i], a->y_min)), x, at_y(a, fmin(c->high[i], a->y_max)), colour);
	tdm_bytes_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\" fill=\"%s\"/>\n", x, at_y(a, c->y[i]), colour);
}

static double largest(const double *values, size_t n) {
	double top = 0;
	for (size_t i = 0; i < n; i++)
		top = values[i] > top ? values[i] : top;
	return top;
}

void tdm_plot_points(struct tdm_bytes *out, const struct tdm_plot_frame *frame, const struct tdm_plot_points *c) {
	struct axes a = make_axes(frame, largest(c->x, c->n) * 1.15, c->bottom, c->top);
	struct label labels[2 * MOST_LABELS];
	size_t n = c->n < MOST_LABELS ? c->n : MOST_LABELS;
	put_title(out, frame, c->title);
	put_y_axis(out, &a, c->y_label);
	put_x_axis(out, &a, c->x_label);
	for (size_t i = 0; i < c->n; i++)
		put_point(out, &a, c, i);
	for (size_t i = 0; i < n; i++) // no label over a point
		labels[i] = (struct label){at_x(&a, c->x[i]) - 6, at_y(&a, c->y[i]) + 4, 12};
	for (size_t i = 0; i < n; i++) {
		double x = at_x(&a, c->x[i]), y = at_y(&a, c->y[i]);
		labels[n + i] = place(&a, x, y, c->names[i], labels, n + i);
		const struct label *at = &labels[n + i];
		if (fabs(at->y - 4 - y) > 10)
			put_line(out, x, y, at->x > x ? at->x - 2 : at->x + at->width + 2, at->y - 4, "#aaaaaa");
		put_words(out, at->x, at->y, "start", "", c->names[i]);
	}
}

// --- lines

void tdm_plot_lines(struct tdm_bytes *out, const struct tdm_plot_frame *frame, const struct tdm_plot_lines *c) {
	struct axes a = make_axes(frame, c->right, c->bottom, c->top);
	put_title(out, frame, c->title);
	put_legend(out, &a, c->series, c->n_series);
	put_y_axis(out, &a, c->y_label);
	put_x_axis(out, &a, c->x_label);
	for (size_t s = 0; s < c->n_series; s++) {
		const double *x = c->x + s * c->n, *y = c->y + s * c->n;
		tdm_bytes_printf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"",
		                 colours[s % N_COLOURS]);
		for (size_t i = 0; i < c->n; i++)
			tdm_bytes_printf(out, "%s%.1f,%.1f", i ? " " : "", at_x(&a, x[i]), at_y(&a, y[i]));
		tdm_bytes_puts(out, "\"/>\n");
		for (size_t i = 0; i < c->n; i++)
			tdm_bytes_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n", at_x(&a, x[i]),
			                 at_y(&a, y[i]), colours[s % N_COLOURS]);
	}
}

// --- lines in a terminal

#define COLUMNS 61 // a column per sixtieth of the x axis
#define ROWS 17

static void draw_line(char grid[ROWS][COLUMNS], const struct axes *a, const double *x, const double *y, size_t n,
                      char mark) {
	for (size_t i = 1; i < n; i++)
		for (int step = 0; step <= COLUMNS; step++) {
			double t = (double)step / COLUMNS;
			int column = (int)lround(at_x(a, x[i - 1] + t * (x[i] - x[i - 1])));
			int row = (int)lround(at_y(a, y[i - 1] + t * (y[i] - y[i - 1])));
			if (column >= 0 && column < COLUMNS && row >= 0 && row < ROWS)
				grid[row][column] = grid[row][column] == ' ' || grid[row][column] == mark ? mark : '+';
		}
}

void tdm_plot_text(struct tdm_bytes *out, const struct tdm_plot_lines *c) {
	struct axes a = {0, 0, COLUMNS - 1, ROWS - 1, c->right, c->bottom, c->top > c->bottom ? c->top : c->bottom + 1};
	char grid[ROWS][COLUMNS];
	memset(grid, ' ', sizeof grid);
	for (size_t s = 0; s < c->n_series; s++)
		draw_line(grid, &a, c->x + s * c->n, c->y + s * c->n, c->n, (char)('a' + s % 26));
	tdm_bytes_printf(out, "%s\n", c->y_label);
	for (int row = 0; row < ROWS; row++) {
		bool is_labelled = row % 4 == 0;
		if (is_labelled)
			tdm_bytes_printf(out, "%8.2f |", a.y_max - (a.y_max - a.y_min) * row / (ROWS - 1));
		else
			tdm_bytes_puts(out, "         |");
		int n = COLUMNS;
		while (n && grid[row][n - 1] == ' ')
			n--;
		tdm_bytes_add(out, grid[row], (size_t)n);
		tdm_bytes_putc(out, '\n');
	}
	tdm_bytes_puts(out, "         +");
	for (int i = 0; i < COLUMNS; i++)
		tdm_bytes_putc(out, i % 12 ? '-' : '|');
	tdm_bytes_puts(out, "\n   ");
	for (int i = 0; i <= 5; i++)
		tdm_bytes_printf(out, i ? "%12g" : "%8g", c->right * i / 5);
	tdm_bytes_printf(out, "  %s\n", c->x_label);
	for (size_t s = 0; s < c->n_series; s++)
		tdm_bytes_printf(out, "  %c %s\n", (char)('a' + s % 26), c->series[s]);
	tdm_bytes_puts(out, "  + where lines meet\n");
}
