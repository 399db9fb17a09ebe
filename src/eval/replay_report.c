// Replay's report: see replay_report.h.
#include "eval/replay_report.h"
#include "eval/plot.h"
#include <math.h>
#include <string.h>

// --- tables

static double percent(size_t k, size_t n) {
	return n ? 100 * (double)k / (double)n : (double)NAN;
}

// Rounded half up, as published tables round, whatever the binary form of a half.
static double rounded(double value, double unit) {
	return floor(value * unit + 0.5 + 1e-9) / unit;
}

static void put_value(struct tdm_bytes *out, double value, double scale, int digits) {
	if (isnan(value))
		tdm_bytes_puts(out, "       -");
	else
		tdm_bytes_printf(out, "%8.*f", digits, rounded(value * scale, pow(10, digits)));
}

static void put_band(struct tdm_bytes *out, const struct tdm_band *b, double scale, int digits) {
	double unit = pow(10, digits);
	put_value(out, b->value, scale, digits);
	if (isnan(b->low))
		tdm_bytes_puts(out, "                   ");
	else
		tdm_bytes_printf(out, " [%7.*f,%7.*f] ", digits, rounded(b->low * scale, unit), digits,
		                 rounded(b->high * scale, unit));
}

static void put_head(const struct tdm_replay *r, const struct tdm_replay_options *o, struct tdm_bytes *out) {
	tdm_bytes_printf(out, "%zu items", r->n_items);
	if (r->n_left_out)
		tdm_bytes_printf(out, ", %zu left out", r->n_left_out);
	tdm_bytes_printf(out, "; small %s, large %s\n", r->small, r->large);
	tdm_bytes_printf(
	    out, "right: small %.2f %%, large %.2f %%, either %.2f %%, large only %.2f %%, small only %.2f %%\n",
	    rounded(100 * r->models.weak, 100), rounded(100 * r->models.strong, 100), percent(r->n_either, r->n_items),
	    percent(r->n_large_only, r->n_items), percent(r->n_small_only, r->n_items));
	if (r->graded)
		tdm_bytes_puts(out, "right or wrong by the table's gold answers and one grader for all models\n");
	if (r->priced)
		tdm_bytes_printf(out, "prices per item: small %g, large %g, gate %g\n", o->small_price, o->large_price,
		                 o->gate_price);
	tdm_bytes_printf(out, "in brackets 95 %% of %zu paired resamples of the items, seed %llu\n", o->n_resamples,
	                 (unsigned long long)o->seed);
}

static void put_scores(const struct tdm_replay *r, const struct tdm_replay_options *o, struct tdm_bytes *out) {
	tdm_bytes_printf(out, "\n%-22s%8s%19s%8s%8s%20s%8s%8s%8s%8s\n", "score", "APGR", "", "CPT20", "CPT50", "", "CPT80",
	                 "AUROC", "AURC", "E-AURC");
	for (size_t i = 0; i < r->n_scores; i++) {
		const struct tdm_replay_score *s = &r->scores[i];
		tdm_bytes_printf(out, "%-22s", s->name);
		put_band(out, &s->measures[TDM_APGR], 1, 4);
		put_value(out, s->measures[TDM_CPT20].value, 100, 2);
		put_band(out, &s->measures[TDM_CPT50], 100, 2);
		put_value(out, s->measures[TDM_CPT80].value, 100, 2);
		for (int m = TDM_AUROC; m <= TDM_EXCESS; m++)
			put_value(out, s->measures[m].value, 1, 4);
		tdm_bytes_putc(out, '\n');
	}
	for (size_t i = 0; i < r->n_scores; i++)
		if (r->scores[i].is_random)
			tdm_bytes_printf(out, "random: the mean of %zu routers; in brackets 95 %% of single ones\n", o->n_random);
	for (size_t i = 1; i < r->n_scores; i++)
		if (!isnan(r->scores[i].against.value)) {
			tdm_bytes_printf(out, "APGR of %s less that of %s:", r->scores[i].name, r->scores[0].name);
			put_band(out, &r->scores[i].against, 1, 4);
			tdm_bytes_putc(out, '\n');
		}
}

static void put_policies(const struct tdm_replay *r, struct tdm_bytes *out) {
	tdm_bytes_printf(out, "\n%-22s%8s%19s%8s%20s%8s%9s%9s%11s%9s\n", "policy", "right %", "", "large %", "", "cost",
	                 "random %", "PGR", "IBC", "dIBC %");
	for (size_t i = 0; i < r->n_policies; i++) {
		const struct tdm_replay_policy *p = &r->policies[i];
		tdm_bytes_printf(out, "%-22s", p->name);
		put_band(out, &p->accuracy, 100, 2);
		put_band(out, &p->share, 100, 2);
		tdm_bytes_printf(out, "%8.4g ", p->price.value);
		put_value(out, p->chance, 100, 2);
		tdm_bytes_putc(out, ' ');
		put_value(out, p->pgr, 1, 3);
		if (isnan(p->ibc))
			tdm_bytes_printf(out, "%11s%9s\n", "-", "-");
		else
			tdm_bytes_printf(out, "%11.4g%9.1f\n", p->ibc, rounded(p->ibc_lift, 10) + 0.0);
	}
	for (size_t i = 0; i < r->n_policies; i++) {
		const struct tdm_replay_policy *p = &r->policies[i];
		if (!p->is_agreement)
			continue;
		size_t escalated = r->n_items - p->n_kept;
		tdm_bytes_printf(out,
		                 "%s: %.0f right = %.2f %%; escalated %zu = %.1f %%; kept %zu, of them %zu right = %.2f %%\n",
		                 p->name, rounded(p->accuracy.value * (double)r->n_items, 1),
		                 rounded(100 * p->accuracy.value, 100), escalated, rounded(percent(escalated, r->n_items), 10),
		                 p->n_kept, p->n_kept_right, rounded(percent(p->n_kept_right, p->n_kept), 100));
		tdm_bytes_printf(out, "%s: the large model alone is better by", p->name);
		put_band(out, &p->loss, 100, 2);
		tdm_bytes_puts(out, "points\n");
	}
}

void tdm_replay_table(const struct tdm_replay *r, const struct tdm_replay_options *o, struct tdm_bytes *out) {
	put_head(r, o, out);
	if (r->n_scores)
		put_scores(r, o, out);
	put_policies(r, out);
}

// --- JSON

static void put_json_band(struct tdm_bytes *out, const char *name, const struct tdm_band *b) {
	tdm_bytes_printf(out, "\"%s\":[", name);
	tdm_bytes_number(out, b->value);
	tdm_bytes_putc(out, ',');
	tdm_bytes_number(out, b->low);
	tdm_bytes_putc(out, ',');
	tdm_bytes_number(out, b->high);
	tdm_bytes_puts(out, "],");
}

static void put_json_number(struct tdm_bytes *out, const char *name, double value) {
	tdm_bytes_printf(out, "\"%s\":", name);
	tdm_bytes_number(out, value);
}

static void put_json_points(struct tdm_bytes *out, const char *name, const double *values) {
	tdm_bytes_printf(out, "\"%s\":[", name);
	for (size_t j = 0; j < TDM_CURVE_POINTS; j++) {
		if (j)
			tdm_bytes_putc(out, ',');
		tdm_bytes_number(out, values[j]);
	}
	tdm_bytes_putc(out, ']');
}

static void put_json_score(struct tdm_bytes *out, const struct tdm_replay_score *s) {
	tdm_bytes_puts(out, "{\"score\":");
	tdm_bytes_json(out, s->name, strlen(s->name));
	tdm_bytes_putc(out, ',');
	for (int m = 0; m < TDM_N_REPLAY_MEASURES; m++)
		put_json_band(out, tdm_replay_measures[m], &s->measures[m]);
	put_json_band(out, "against_first", &s->against);
	put_json_points(out, "share", s->curve.share);
	tdm_bytes_putc(out, ',');
	put_json_points(out, "quality", s->curve.quality);
	tdm_bytes_putc(out, '}');
}

static void put_json_policy(struct tdm_bytes *out, const struct tdm_replay_policy *p) {
	tdm_bytes_puts(out, "{\"policy\":");
	tdm_bytes_json(out, p->name, strlen(p->name));
	tdm_bytes_putc(out, ',');
	put_json_band(out, "accuracy", &p->accuracy);
	put_json_band(out, "large_share", &p->share);
	put_json_band(out, "cost", &p->price);
	put_json_band(out, "loss", &p->loss);
	put_json_number(out, "random_at_equal_cost", p->chance);
	tdm_bytes_putc(out, ',');
	put_json_number(out, "PGR", p->pgr);
	tdm_bytes_putc(out, ',');
	put_json_number(out, "IBC", p->ibc);
	tdm_bytes_putc(out, ',');
	put_json_number(out, "dIBC", p->ibc_lift);
	if (p->is_agreement)
		tdm_bytes_printf(out, ",\"kept\":%zu,\"kept_right\":%zu", p->n_kept, p->n_kept_right);
	tdm_bytes_putc(out, '}');
}

void tdm_replay_json(const struct tdm_replay *r, const struct tdm_replay_options *o, struct tdm_bytes *out) {
	tdm_bytes_printf(out, "{\"items\":%zu,\"left_out\":%zu,\"small\":", r->n_items, r->n_left_out);
	tdm_bytes_json(out, r->small, strlen(r->small));
	tdm_bytes_puts(out, ",\"large\":");
	tdm_bytes_json(out, r->large, strlen(r->large));
	tdm_bytes_printf(out, ",\"resamples\":%zu,\"seed\":%llu,\"graded\":%s,", o->n_resamples,
	                 (unsigned long long)o->seed, r->graded ? "true" : "false");
	put_json_number(out, "small_accuracy", r->models.weak);
	tdm_bytes_putc(out, ',');
	put_json_number(out, "large_accuracy", r->models.strong);
	tdm_bytes_puts(out, ",\"scores\":[");
	for (size_t i = 0; i < r->n_scores; i++) {
		tdm_bytes_puts(out, i ? ",\n" : "\n");
		put_json_score(out, &r->scores[i]);
	}
	tdm_bytes_puts(out, "],\"policies\":[");
	for (size_t i = 0; i < r->n_policies; i++) {
		tdm_bytes_puts(out, i ? ",\n" : "\n");
		put_json_policy(out, &r->policies[i]);
	}
	tdm_bytes_puts(out, "]}\n");
}

// --- plots

int tdm_replay_plot(const struct tdm_replay *r, bool svg, struct tdm_bytes *out, struct tdm_error *err) {
	struct tdm_arena arena;
	tdm_arena_init(&arena, (size_t)16 << 20);
	const char **names = tdm_arena_array(&arena, r->n_scores + 1, sizeof *names);
	double *x = tdm_arena_array(&arena, 2 * (r->n_scores + 1) * TDM_CURVE_POINTS, sizeof *x);
	int status = names && x ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "out of memory for the plot");
	double low = 100 * fmin(r->models.weak, r->models.strong), high = 100 * fmax(r->models.weak, r->models.strong);
	double *y = x + (r->n_scores + 1) * TDM_CURVE_POINTS;
	for (size_t i = 0; i < r->n_scores && !status; i++) {
		names[i] = r->scores[i].name;
		for (size_t j = 0; j < TDM_CURVE_POINTS; j++) {
			double at = 100 * r->scores[i].curve.quality[j];
			x[i * TDM_CURVE_POINTS + j] = 100 * r->scores[i].curve.share[j];
			y[i * TDM_CURVE_POINTS + j] = at;
			low = fmin(low, at);
			high = fmax(high, at);
		}
	}
	struct tdm_plot_lines lines = {"Replay of recorded outcomes",
	                               "answered by the large model, %",
	                               "right, %",
	                               names,
	                               r->n_scores,
	                               TDM_CURVE_POINTS,
	                               x,
	                               y,
	                               100,
	                               low,
	                               high};
	struct tdm_plot_frame frame = {0, 0, 760, 460};
	if (!status && r->n_scores && svg) {
		tdm_plot_start(out, frame.width, frame.height);
		tdm_plot_lines(out, &frame, &lines);
		tdm_plot_end(out);
	} else if (!status && r->n_scores) {
		tdm_plot_text(out, &lines);
	}
	tdm_arena_release(&arena);
	return status;
}

void tdm_replay_labels(const struct tdm_replay *r, struct tdm_bytes *out) {
	static const char header[] = "item\tscore\tsmall\tlarge\n";
	if (r->labels)
		tdm_bytes_puts(out, header);
	for (size_t i = 0; r->labels && i < r->n_items; i++) {
		const struct tdm_replay_label *l = &r->labels[i];
		tdm_bytes_join(out, "", l->item, "\t");
		tdm_bytes_number(out, l->score);
		tdm_bytes_putc(out, '\t');
		tdm_bytes_number(out, l->small);
		tdm_bytes_putc(out, '\t');
		tdm_bytes_number(out, l->large);
		tdm_bytes_putc(out, '\n');
	}
}
