// Report: the table on the terminal. A new row: a line in `rows`.
//
// The rule it protects: a figure that does not apply is a dash, never a zero.
#include "eval/report.h"
#include <stdio.h>
#include <string.h>

#define CELL_BYTES 24
#define LABEL_WIDTH 30
#define LEAST_WIDTH 10

struct column {
	const struct tdm_eval *e;
	const struct tdm_eval_summary *s;
	size_t model;
};

static void put_dash(char cell[CELL_BYTES]) {
	snprintf(cell, CELL_BYTES, "-");
}

static void put_share(char cell[CELL_BYTES], struct tdm_eval_share s) {
	if (s.n)
		snprintf(cell, CELL_BYTES, "%.1f", tdm_eval_percent(s));
	else
		put_dash(cell);
}

static void put_count(char cell[CELL_BYTES], struct tdm_eval_share s) {
	if (s.n)
		snprintf(cell, CELL_BYTES, "%zu/%zu", s.k, s.n);
	else
		put_dash(cell);
}

static void put_number(char cell[CELL_BYTES], double value, const char *unit, int digits) {
	if (isnan(value))
		put_dash(cell);
	else
		snprintf(cell, CELL_BYTES, "%.*f%s", digits, value, unit);
}

// --- the rows

static void all_right(char cell[CELL_BYTES], const struct column *c) {
	put_share(cell, c->s->right);
}
static void interval(char cell[CELL_BYTES], const struct column *c) {
	double low, high;
	tdm_eval_interval(c->s->right, &low, &high);
	snprintf(cell, CELL_BYTES, "%.1f-%.1f", low, high);
}
static void served(char cell[CELL_BYTES], const struct column *c) {
	put_share(cell, c->e->options.baseline ? c->s->served : (struct tdm_eval_share){0});
}
static void called(char cell[CELL_BYTES], const struct column *c) {
	put_share(cell, c->e->options.baseline ? c->s->called : (struct tdm_eval_share){0});
}
static void mean_ms(char cell[CELL_BYTES], const struct column *c) {
	put_number(cell, c->s->mean_us / 1000, "", 2);
}
static void median_ms(char cell[CELL_BYTES], const struct column *c) {
	put_number(cell, c->s->median_us / 1000, "", 2);
}
static void speed_median(char cell[CELL_BYTES], const struct column *c) {
	put_number(cell, c->s->speed_median, "x", 2);
}
static void speed_sum(char cell[CELL_BYTES], const struct column *c) {
	put_number(cell, c->s->speed_sum, "x", 2);
}
static void cost(char cell[CELL_BYTES], const struct column *c) {
	put_number(cell, c->s->cost / (double)c->e->options.n_items * 1000, "", 4);
}
static void cost_ratio(char cell[CELL_BYTES], const struct column *c) {
	put_number(cell, 100 * c->s->cost_ratio, "", 1);
}
static void equal(char cell[CELL_BYTES], const struct column *c) {
	put_count(cell, c->e->options.baseline ? c->s->equal : (struct tdm_eval_share){0});
}
static void acceptance(char cell[CELL_BYTES], const struct column *c) {
	put_share(cell, (struct tdm_eval_share){(size_t)c->s->accepted, (size_t)c->s->drafted});
}
static void drafted(char cell[CELL_BYTES], const struct column *c) {
	put_count(cell, (struct tdm_eval_share){(size_t)c->s->accepted, (size_t)c->s->drafted});
}
static void per_pass(char cell[CELL_BYTES], const struct column *c) {
	put_number(cell, c->s->passes ? (double)c->s->verified / (double)c->s->passes : (double)NAN, "", 2);
}
static void leaked(char cell[CELL_BYTES], const struct column *c) {
	put_count(cell, c->s->has_covered ? c->s->leaked : (struct tdm_eval_share){0});
}
static void exposed(char cell[CELL_BYTES], const struct column *c) {
	put_count(cell, c->s->exposed);
}
static void restored(char cell[CELL_BYTES], const struct column *c) {
	put_count(cell, c->s->restored);
}
// What the masks found of their own marks in answers: put back, out of those found or missed.
static void marks(char cell[CELL_BYTES], const struct column *c) {
	int64_t all = c->s->values_restored + c->s->values_missed + c->s->values_damaged;
	put_count(cell, (struct tdm_eval_share){(size_t)c->s->values_restored, (size_t)all});
}
static void refused_right(char cell[CELL_BYTES], const struct column *c) {
	put_count(cell, c->s->refused_right);
}
static void refused_wrong(char cell[CELL_BYTES], const struct column *c) {
	put_count(cell, c->s->refused_wrong);
}
static void failed(char cell[CELL_BYTES], const struct column *c) {
	snprintf(cell, CELL_BYTES, "%zu", c->s->failed);
}

static const struct row {
	const char *label; // %s: the name of the baseline; NULL = an empty line
	void (*put)(char cell[CELL_BYTES], const struct column *c);
} rows[] = {
    {"right, all, %%", all_right},
    {"exact 95 %% interval", interval},
    {NULL, NULL},
    {"answers by %s, %%", served},
    {"items with a call of %s, %%", called},
    {"cost of 1000 items", cost},
    {"cost against %s, %%", cost_ratio},
    {"time, mean ms", mean_ms},
    {"time, median ms", median_ms},
    {"speed against %s, median", speed_median},
    {"speed against %s, sums", speed_sum},
    {NULL, NULL},
    {"equal to %s", equal},
    {"drafted tokens accepted", drafted},
    {"acceptance, %%", acceptance},
    {"tokens in a pass", per_pass},
    {NULL, NULL},
    {"leaks behind a mask", leaked},
    {"values seen in the clear", exposed},
    {"needed values in the answer", restored},
    {"marks of masks put back", marks},
    {"harmful requests refused", refused_right},
    {"others refused", refused_wrong},
    {"failures", failed},
};

// --- lines

static int width_of(const struct tdm_eval *e) {
	size_t width = LEAST_WIDTH;
	for (size_t m = 0; m < e->options.n_models; m++)
		width = strlen(e->options.models[m]->name) > width ? strlen(e->options.models[m]->name) : width;
	return (int)width + 1;
}

static void put_label(struct tdm_bytes *out, const struct tdm_eval *e, const char *format) {
	const char *name = e->options.baseline ? e->options.baseline->name : "the baseline";
	size_t from = out->len;
	for (const char *c = format; *c; c++) {
		if (*c == '%' && c[1] == 's')
			tdm_bytes_puts(out, name);
		else
			tdm_bytes_putc(out, *c);
		c += *c == '%';
	}
	while (out->len - from < LABEL_WIDTH && !out->failed)
		tdm_bytes_putc(out, ' ');
}

static void put_row(struct tdm_bytes *out, const struct tdm_eval *e, const struct tdm_eval_summary *s,
                    const struct row *row) {
	char cell[CELL_BYTES];
	if (row->label)
		put_label(out, e, row->label);
	for (size_t m = 0; m < e->options.n_models && row->label; m++) {
		row->put(cell, &(struct column){e, &s[m], m});
		tdm_bytes_printf(out, "%*s", width_of(e), cell);
	}
	tdm_bytes_putc(out, '\n');
}

static void put_families(struct tdm_bytes *out, const struct tdm_eval *e, const struct tdm_eval_summary *s) {
	char cell[CELL_BYTES];
	for (size_t f = 0; f < e->n_families; f++) {
		put_label(out, e, e->families[f]);
		for (size_t m = 0; m < e->options.n_models; m++) {
			put_share(cell, s[m].families[f]);
			tdm_bytes_printf(out, "%*s", width_of(e), cell);
		}
		tdm_bytes_putc(out, '\n');
	}
	for (int level = 0; level < TDM_GYM_LEVELS; level++) {
		tdm_bytes_printf(out, "level %d%*s", level + 1, LABEL_WIDTH - 7, "");
		for (size_t m = 0; m < e->options.n_models; m++) {
			put_share(cell, s[m].levels[level]);
			tdm_bytes_printf(out, "%*s", width_of(e), cell);
		}
		tdm_bytes_putc(out, '\n');
	}
}

static void put_tokens(struct tdm_bytes *out, const struct tdm_eval *e, const struct tdm_eval_summary *s) {
	char cell[CELL_BYTES];
	for (size_t i = 0; i < 2 * e->n_sources; i++) {
		size_t from = out->len;
		tdm_bytes_printf(out, "tokens of %s, %s", e->sources[i / 2]->name, i % 2 ? "written" : "read");
		while (out->len - from < LABEL_WIDTH && !out->failed)
			tdm_bytes_putc(out, ' ');
		for (size_t m = 0; m < e->options.n_models; m++) {
			const struct tdm_eval_use *use = &s[m].uses[i / 2];
			snprintf(cell, sizeof cell, "%lld", (long long)(i % 2 ? use->completion_tokens : use->prompt_tokens));
			tdm_bytes_printf(out, "%*s", width_of(e), use->calls ? cell : "-");
		}
		tdm_bytes_putc(out, '\n');
	}
}

static void put_failures(struct tdm_bytes *out, const struct tdm_eval *e) {
	for (size_t m = 0; m < e->options.n_models; m++)
		if (e->failures[m][0])
			tdm_bytes_printf(out, "first failure of %s: %s\n", e->options.models[m]->name, e->failures[m]);
}

void tdm_report_table(const struct tdm_eval *e, const struct tdm_eval_summary *summaries, struct tdm_bytes *out) {
	tdm_bytes_printf(out, "gym, test split, seed %llu: %zu items (%zu different), right in %%\n\n",
	                 (unsigned long long)e->options.seed, e->options.n_items, tdm_eval_distinct(e));
	tdm_bytes_printf(out, "%-*s", LABEL_WIDTH, "family");
	for (size_t m = 0; m < e->options.n_models; m++)
		tdm_bytes_printf(out, "%*s", width_of(e), e->options.models[m]->name);
	tdm_bytes_putc(out, '\n');
	put_families(out, e, summaries);
	for (size_t i = 0; i < TDM_COUNT(rows); i++)
		put_row(out, e, summaries, &rows[i]);
	tdm_bytes_putc(out, '\n');
	put_tokens(out, e, summaries);
	put_failures(out, e);
}
