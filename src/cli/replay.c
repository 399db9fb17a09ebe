// `tandem replay`: recorded outcomes through a route or a cascade, without calling a model.
#include "base/file.h"
#include "cli/command.h"
#include "eval/grade.h"
#include "eval/replay_report.h"
#include "eval/table.h"
#include "models/kind.h"
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#define REPORT_LIMIT_BYTES ((size_t)64 << 20)
#define ARENA_LIMIT_BYTES ((size_t)8 << 30)

struct options {
	struct tdm_strings small, scores, at, thresholds, columns;
	const char *large, *others, *out, *svg, *labels;
	int answers;
	bool cascade, incomplete, plot;
	double agree, small_price, large_price, gate_price;
	int64_t seed, resamples, random;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"small", TDM_OPT_LIST, AT(small), "small", 0, 0, NULL,
     "the small model; several, with commas: a cascade by their agreement"},
    {"large", TDM_OPT_STRING, AT(large), "large", 0, 0, NULL, "the large model"},
    {"scores", TDM_OPT_LIST, AT(scores), NULL, 0, 0, NULL,
     "large = rather the large model: columns (-NAME turns one), or length, digits, prior, oracle, random"},
    {"at", TDM_OPT_LIST, AT(at), NULL, 0, 0, NULL, "percent of items that each score sends to the large model"},
    {"thresholds", TDM_OPT_LIST, AT(thresholds), NULL, 0, 0, NULL,
     "of each score: the large model answers from there on"},
    {"cascade", TDM_OPT_BOOL, AT(cascade), "no", 0, 0, NULL,
     "scores come after the small answer, which is always paid"},
    {"agree", TDM_OPT_NUMBER, AT(agree), "1", 0, 2, NULL, "share of the small models that must say the same"},
    {"answers", TDM_OPT_CHOICE, AT(answers), "number", 0, 0, TDM_GRADERS, "how answers are read and compared"},
    {"columns", TDM_OPT_LIST, AT(columns), NULL, 0, 0, NULL, "ROLE=COLUMN, with commas: how the table calls them"},
    {"others", TDM_OPT_STRING, AT(others), NULL, 0, 0, NULL,
     "correct, answer, output or cost: every column without a role is a model's"},
    {"incomplete", TDM_OPT_BOOL, AT(incomplete), "no", 0, 0, NULL, "leave items out that lack an outcome"},
    {"small-price", TDM_OPT_NUMBER, AT(small_price), "-1", -1, 1e12, NULL,
     "of an item; -1: the table's cost, 1 where it has none"},
    {"large-price", TDM_OPT_NUMBER, AT(large_price), "-1", -1, 1e12, NULL,
     "of an item; -1: the table's cost, 50 where it has none"},
    {"gate-price", TDM_OPT_NUMBER, AT(gate_price), "0", 0, 1e12, NULL,
     "of an item: what a score or a comparison costs"},
    {"resamples", TDM_OPT_INT, AT(resamples), "2000", 0, 100000, NULL, "of the items, for bands"},
    {"random", TDM_OPT_INT, AT(random), "200", 1, 100000, NULL, "random routers behind the score random"},
    {"seed", TDM_OPT_INT, AT(seed), "1", 0, 9e15, NULL, "of resamples and random routers"},
    {"plot", TDM_OPT_BOOL, AT(plot), "no", 0, 0, NULL, "the curves in letters, below the tables"},
    {"svg", TDM_OPT_STRING, AT(svg), NULL, 0, 0, NULL, "file for the curves as a picture"},
    {"labels", TDM_OPT_STRING, AT(labels), NULL, 0, 0, NULL,
     "file for the items' scores and outcomes, for tandem certify: of the agreement, or of the first score"},
    {"out", TDM_OPT_STRING, AT(out), NULL, 0, 0, NULL, "file for the figures as JSON"},
};

static int read_numbers(const struct tdm_command_call *call, const char *name, const struct tdm_strings *list,
                        double scale, const double **out) {
	double *values = tdm_arena_array(call->arena, list->n + 1, sizeof *values);
	if (!values)
		return tdm_fail(call->error, TDM_ENOMEM, "tandem replay: out of memory");
	for (size_t i = 0; i < list->n; i++) {
		if (!tdm_table_number(list->items[i], &values[i]))
			return tdm_fail(call->error, TDM_EVALUE, "tandem replay: --%s: \"%s\" is not a number", name,
			                list->items[i]);
		values[i] *= scale;
		if (scale != 1 && (values[i] < 0 || values[i] > 1))
			return tdm_fail(call->error, TDM_EVALUE, "tandem replay: --%s: \"%s\": expected 0 to 100", name,
			                list->items[i]);
	}
	*out = values;
	return TDM_OK;
}

static int choose_models(const struct tdm_command_call *call, const struct tdm_outcomes *table,
                         struct tdm_replay_options *out) {
	const struct options *o = call->options;
	size_t *small = tdm_arena_array(call->arena, TDM_REPLAY_SMALL, sizeof *small);
	if (!small)
		return tdm_fail(call->error, TDM_ENOMEM, "tandem replay: out of memory");
	if (!o->small.n || o->small.n > TDM_REPLAY_SMALL)
		return tdm_fail(call->error, TDM_EVALUE, "tandem replay: --small: expected 1 to %d models", TDM_REPLAY_SMALL);
	int status = tdm_outcomes_model(table, o->large, &out->large, call->error);
	for (size_t i = 0; i < o->small.n && !status; i++) {
		status = tdm_outcomes_model(table, o->small.items[i], &small[i], call->error);
		for (size_t k = 0; k < i && !status; k++)
			if (small[k] == small[i])
				return tdm_fail(call->error, TDM_EVALUE, "tandem replay: --small names %s twice", o->small.items[i]);
	}
	out->small = small;
	out->n_small = o->small.n;
	return status;
}

static bool has_cost(const struct tdm_outcomes *table, size_t model) {
	for (size_t i = 0; i < table->n_items; i++)
		if (!isnan(tdm_outcome_at(table, i, model)->cost))
			return true;
	return false;
}

// Both prices or none: costs of a table and of a command line are not mixed unawares.
static void choose_prices(const struct options *o, const struct tdm_outcomes *table, struct tdm_replay_options *out) {
	bool is_there = has_cost(table, out->large);
	for (size_t k = 0; k < out->n_small; k++)
		is_there = is_there && has_cost(table, out->small[k]);
	bool is_given = o->small_price >= 0 || o->large_price >= 0;
	out->small_price = out->large_price = (double)NAN;
	if (is_there && !is_given)
		return;
	out->small_price = o->small_price >= 0 ? o->small_price : 1;
	out->large_price = o->large_price >= 0 ? o->large_price : 50;
}

static int choose(const struct tdm_command_call *call, const struct tdm_outcomes *table,
                  struct tdm_replay_options *out) {
	const struct options *o = call->options;
	*out = (struct tdm_replay_options){.scores = o->scores.items, .n_scores = o->scores.n};
	out->n_shares = o->at.n;
	out->n_thresholds = o->thresholds.n;
	out->agree = o->agree;
	out->grader = o->answers;
	out->cascade = o->cascade;
	out->incomplete = o->incomplete;
	out->gate_price = o->gate_price;
	out->seed = (uint64_t)o->seed;
	out->n_resamples = (size_t)o->resamples;
	out->n_random = (size_t)o->random;
	int status = read_numbers(call, "at", &o->at, 0.01, &out->shares);
	if (!status)
		status = read_numbers(call, "thresholds", &o->thresholds, 1, &out->thresholds);
	if (!status)
		status = choose_models(call, table, out);
	if (!status)
		choose_prices(o, table, out);
	return status;
}

static int print_or_save(const struct tdm_bytes *text, const char *path, struct tdm_error *err) {
	if (text->failed)
		return tdm_fail(err, TDM_ENOMEM, "tandem replay: no memory for the report");
	if (path)
		return tdm_file_write(path, text->data ? text->data : "", text->len, err);
	fwrite(text->data, 1, text->len, stdout);
	return TDM_OK;
}

static int report(const struct tdm_command_call *call, const struct tdm_replay *r,
                  const struct tdm_replay_options *replayed) {
	const struct options *o = call->options;
	struct tdm_bytes text;
	tdm_bytes_init(&text, REPORT_LIMIT_BYTES);
	tdm_replay_table(r, replayed, &text);
	if (o->plot && o->scores.n)
		tdm_bytes_putc(&text, '\n');
	int status = o->plot ? tdm_replay_plot(r, false, &text, call->error) : TDM_OK;
	if (!status)
		status = print_or_save(&text, NULL, call->error);
	tdm_bytes_clear(&text);
	if (!status && o->out) {
		tdm_replay_json(r, replayed, &text);
		status = print_or_save(&text, o->out, call->error);
	}
	tdm_bytes_clear(&text);
	if (!status && o->labels) {
		tdm_replay_labels(r, &text);
		status = print_or_save(&text, o->labels, call->error);
	}
	tdm_bytes_clear(&text);
	if (!status && o->svg && !(status = tdm_replay_plot(r, true, &text, call->error)))
		status = print_or_save(&text, o->svg, call->error);
	tdm_bytes_release(&text);
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_outcomes_options names = {o->columns.items, o->columns.n, o->others};
	struct tdm_outcomes table;
	struct tdm_replay_options replayed;
	struct tdm_replay r;
	struct tdm_arena arena;
	if (!call->n_operands)
		return tdm_fail(call->error, TDM_EVALUE, "tandem replay: expected a table of outcomes");
	if (o->svg && !o->scores.n)
		return tdm_fail(call->error, TDM_EVALUE, "tandem replay: --svg draws scores; expected --scores too");
	if (o->labels && !o->scores.n && o->small.n < 2)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem replay: --labels needs a score: expected --scores, or several models in --small");
	int status = tdm_outcomes_read(call->operands, call->n_operands, &names, &table, call->error);
	if (status)
		return status;
	tdm_arena_init(&arena, ARENA_LIMIT_BYTES);
	status = choose(call, &table, &replayed);
	if (!status)
		status = tdm_replay_run(&table, &replayed, &arena, &r, call->error);
	if (!status)
		status = report(call, &r, &replayed);
	tdm_arena_release(&arena);
	tdm_outcomes_release(&table);
	return status;
}

const struct tdm_command tdm_command_replay = {
    .name = "replay",
    .summary = "recorded outcomes through a route or a cascade, without calling a model",
    .operands = "TABLE...",
    .group = "measure",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
