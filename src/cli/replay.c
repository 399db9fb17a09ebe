// `tandem replay`: recorded outcomes through a route or a cascade, without calling a model: of a table, or of the
// project's own ledger (replay_ledger.h), where tables are labels of its requests.
#include "base/file.h"
#include "cli/command.h"
#include "cli/replay_ledger.h"
#include "cli/replay_routes.h"
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
	struct tdm_strings small, scores, at, thresholds, columns, routes;
	const char *large, *others, *out, *svg, *labels, *config, *ledger, *by, *signal;
	int answers;
	bool cascade, incomplete, plot;
	double agree, small_price, large_price, gate_price;
	int64_t seed, resamples, random, days;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"small", TDM_OPT_LIST, AT(small), "small", 0, 0, NULL,
     "the small model; several, with commas: a cascade by their agreement"},
    {"large", TDM_OPT_STRING, AT(large), "large", 0, 0, NULL, "the large model"},
    {"scores", TDM_OPT_LIST, AT(scores), NULL, 0, 0, NULL,
     "large = rather the large model: columns (-NAME turns one), or length, digits, prior, oracle, random"},
    {"routes", TDM_OPT_LIST, AT(routes), NULL, 0, 0, NULL,
     "routes of the settings, each a score: what it decides of the prompts, by the code that serves"},
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file, for --routes"},
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
    {"ledger", TDM_OPT_STRING, AT(ledger), NULL, 0, 0, NULL,
     "a file or postgresql://..., as serve.ledger: its decisions are replayed; tables are labels then, item is the "
     "request's id"},
    {"by", TDM_OPT_STRING, AT(by), NULL, 0, 0, NULL, "of the ledger: the route or cascade whose decisions they are"},
    {"signal", TDM_OPT_STRING, AT(signal), NULL, 0, 0, NULL,
     "of the ledger: what the scores are; absent: that of most requests"},
    {"days", TDM_OPT_INT, AT(days), "0", 0, 36500, NULL, "of the ledger: the last ones; 0 = all"},
    {"small-price", TDM_OPT_NUMBER, AT(small_price), "-1", -1, 1e12, NULL,
     "of an item; -1: the table's cost, 1 where it has none; of a ledger: what nobody paid, -1: the mean of what was"},
    {"large-price", TDM_OPT_NUMBER, AT(large_price), "-1", -1, 1e12, NULL,
     "of an item; -1: the table's cost, 50 where it has none; of a ledger: as before"},
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
	bool is_given = (o->small_price >= 0 || o->large_price >= 0) && !o->ledger;
	out->small_price = out->large_price = (double)NAN;
	if ((is_there && !is_given) || o->ledger)
		return;
	out->small_price = o->small_price >= 0 ? o->small_price : 1;
	out->large_price = o->large_price >= 0 ? o->large_price : 50;
}

static int choose_numbers(const struct tdm_command_call *call, struct tdm_replay_options *out) {
	const struct options *o = call->options;
	static const char *const recorded[] = {"score"};
	*out = (struct tdm_replay_options){.scores = o->scores.items, .n_scores = o->scores.n};
	if (o->ledger && !o->scores.n) {
		out->scores = recorded;
		out->n_scores = 1;
	}
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
	return status;
}

static int choose(const struct tdm_command_call *call, const struct tdm_outcomes *table,
                  struct tdm_replay_options *out) {
	int status = choose_numbers(call, out);
	if (!status)
		status = choose_models(call, table, out);
	if (!status)
		choose_prices(call->options, table, out);
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

static int save_labels(const struct tdm_command_call *call, const struct tdm_replay *r) {
	const struct options *o = call->options;
	struct tdm_bytes text;
	if (!o->labels)
		return TDM_OK;
	tdm_bytes_init(&text, REPORT_LIMIT_BYTES);
	tdm_replay_labels(r, &text);
	int status = print_or_save(&text, o->labels, call->error);
	tdm_bytes_release(&text);
	return status;
}

static int save_curves(const struct tdm_command_call *call, const struct tdm_replay *r) {
	const struct options *o = call->options;
	struct tdm_bytes text;
	if (!o->svg)
		return TDM_OK;
	tdm_bytes_init(&text, REPORT_LIMIT_BYTES);
	int status = tdm_replay_plot(r, true, &text, call->error);
	if (!status)
		status = print_or_save(&text, o->svg, call->error);
	tdm_bytes_release(&text);
	return status;
}

static int report(const struct tdm_command_call *call, const struct tdm_replay *r,
                  const struct tdm_replay_options *replayed, struct tdm_bytes *text, struct tdm_bytes *json) {
	const struct options *o = call->options;
	tdm_replay_table(r, replayed, text);
	if (o->plot && replayed->n_scores)
		tdm_bytes_putc(text, '\n');
	int status = o->plot ? tdm_replay_plot(r, false, text, call->error) : TDM_OK;
	if (!status)
		tdm_replay_json(r, replayed, json);
	if (!status)
		status = save_labels(call, r);
	return status ? status : save_curves(call, r);
}

// Everything a run works on, so that it can be given back in one place.
struct work {
	struct tdm_outcomes table;
	struct tdm_arena arena;
	struct tdm_bytes text, json;
	bool has_table;
};

static int replay_table(const struct tdm_command_call *call, struct work *w, struct tdm_replay_options *replayed) {
	struct tdm_replay r;
	int status = tdm_replay_run(&w->table, replayed, &w->arena, &r, call->error);
	return status ? status : report(call, &r, replayed, &w->text, &w->json);
}

// Without labels what the ledger knows is all there is.
static int replay_decisions(const struct tdm_command_call *call, struct work *w, struct tdm_replay_options *replayed) {
	const struct options *o = call->options;
	struct tdm_ledger_replay how = {.ledger = o->ledger, .by = o->by, .signal = o->signal, .days = o->days};
	how.small_price = o->small_price;
	how.large_price = o->large_price;
	how.thresholds = replayed->thresholds;
	how.n_thresholds = replayed->n_thresholds;
	how.shares = replayed->shares;
	how.n_shares = replayed->n_shares;
	tdm_bytes_puts(&w->json, "{\"ledger\":");
	size_t n = w->has_table ? w->table.n_items : 0;
	int status =
	    tdm_replay_ledger(call, &how, w->has_table ? &w->table : NULL, replayed->n_small ? replayed->small[0] : 0,
	                      replayed->large, &replayed->cascade, &w->text, &w->json);
	if (!status && w->has_table) {
		tdm_bytes_printf(&w->text, "\n%zu of %zu labelled items are requests of the ledger\n", w->table.n_items, n);
		tdm_bytes_puts(&w->json, ",\n\"labelled\":");
		status = replay_table(call, w, replayed);
	}
	tdm_bytes_puts(&w->json, "}\n");
	return status;
}

// Their scores stand behind those that were named.
static int add_routes(const struct tdm_command_call *call, struct work *w, struct tdm_replay_options *replayed) {
	const struct options *o = call->options;
	size_t n = replayed->n_scores;
	const char **names = tdm_arena_array(call->arena, n + o->routes.n, sizeof *names);
	double *own = tdm_arena_array(call->arena, n + o->routes.n, sizeof *own);
	if (!names || !own)
		return tdm_fail(call->error, TDM_ENOMEM, "tandem replay: out of memory");
	for (size_t i = 0; i < n; i++) {
		names[i] = replayed->scores[i];
		own[i] = (double)NAN;
	}
	for (size_t i = 0; i < o->routes.n; i++)
		names[n + i] = o->routes.items[i];
	replayed->scores = names;
	replayed->own = own;
	replayed->n_scores += o->routes.n;
	return tdm_replay_routes(call, o->config, &o->routes, &w->table, own + n);
}

static int read_labels(const struct tdm_command_call *call, struct work *w, struct tdm_replay_options *replayed) {
	const struct options *o = call->options;
	struct tdm_outcomes_options names = {o->columns.items, o->columns.n, o->others};
	if (!call->n_operands)
		return choose_numbers(call, replayed);
	int status = tdm_outcomes_read(call->operands, call->n_operands, &names, &w->table, call->error);
	w->has_table = !status;
	if (!status)
		status = choose(call, &w->table, replayed);
	return status || !o->routes.n ? status : add_routes(call, w, replayed);
}

static int check_outputs(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	bool has_score = o->scores.n || o->routes.n || o->ledger;
	if (o->svg && (!call->n_operands || !has_score))
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem replay: --svg draws scores; expected a table and --scores too");
	if (o->labels && (!call->n_operands || (!has_score && o->small.n < 2)))
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem replay: --labels needs a score: expected --scores, or several models in --small");
	return TDM_OK;
}

static int check_call(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	if (o->routes.n && !call->n_operands)
		return tdm_fail(call->error, TDM_EVALUE, "tandem replay: --routes are asked about the prompts of a table");
	if (o->ledger && !o->by)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem replay: --ledger needs --by, the route or cascade that decided");
	if (!o->ledger && (o->by || o->signal || o->days))
		return tdm_fail(call->error, TDM_EVALUE, "tandem replay: --by, --signal and --days are of a --ledger");
	if (!call->n_operands && !o->ledger)
		return tdm_fail(call->error, TDM_EVALUE, "tandem replay: expected a table of outcomes, or --ledger");
	return check_outputs(call);
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_replay_options replayed;
	struct work w = {.has_table = false};
	int status = check_call(call);
	if (status)
		return status;
	tdm_arena_init(&w.arena, ARENA_LIMIT_BYTES);
	tdm_bytes_init(&w.text, REPORT_LIMIT_BYTES);
	tdm_bytes_init(&w.json, REPORT_LIMIT_BYTES);
	status = read_labels(call, &w, &replayed);
	if (!status)
		status = o->ledger ? replay_decisions(call, &w, &replayed) : replay_table(call, &w, &replayed);
	if (!status)
		status = print_or_save(&w.text, NULL, call->error);
	if (!status && o->out)
		status = print_or_save(&w.json, o->out, call->error);
	tdm_bytes_release(&w.json);
	tdm_bytes_release(&w.text);
	tdm_arena_release(&w.arena);
	if (w.has_table)
		tdm_outcomes_release(&w.table);
	return status;
}

const struct tdm_command tdm_command_replay = {
    .name = "replay",
    .summary = "recorded outcomes through a route or a cascade, without calling a model",
    .operands = "[TABLE...]",
    .group = "measure",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
