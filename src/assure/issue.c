#include "assure/issue.h"
#include "assure/conformal.h"
#include "base/decimal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST_STEPS 100000
#define DAY_US ((int64_t)86400 * 1000000)
#define BINS 10

const char *const tdm_risk_names[TDM_N_RISKS] = {"joint", "selective", "class", "net"};

static const char *decimal(struct tdm_arena *arena, double value, int digits) {
	char out[TDM_DECIMAL_BYTES];
	if (isinf(value))
		return value > 0 ? "inf" : "-inf";
	size_t n = tdm_decimal_write(out, digits ? tdm_decimal_round(value, digits) : value);
	return tdm_arena_copy(arena, out, n);
}

static int check_columns(const struct tdm_issue *issue, const struct tdm_labels *table, struct tdm_error *err) {
	if (issue->risk == TDM_RISK_NET && !table->net.n)
		return tdm_fail(err, TDM_EVALUE, "certificate: net counts gains too: expected columns small and large");
	if (issue->each_group && !table->group)
		return tdm_fail(err, TDM_EVALUE, "certificate: a promise for every group needs a column group");
	return TDM_OK;
}

static int check(const struct tdm_issue *issue, const struct tdm_labels *table, struct tdm_error *err) {
	if (issue->bound == TDM_BOUND_NORMAL)
		return tdm_fail(err, TDM_EVALUE,
		                "certificate: the normal approximation promises nothing; expected another bound");
	if (issue->risk < 0 || issue->risk >= TDM_N_RISKS || issue->procedure >= TDM_N_PROCEDURES || issue->starts < 1 ||
	    issue->steps < 1 || issue->steps > MOST_STEPS || issue->days < 1)
		return tdm_fail(err, TDM_EVALUE,
		                "certificate: expected a known risk and procedure, 1 to %d steps and days from 1", MOST_STEPS);
	if (!(issue->from > issue->to) || !isfinite(issue->from - issue->to))
		return tdm_fail(err, TDM_EVALUE, "certificate: thresholds go down: from %g is expected above to %g",
		                issue->from, issue->to);
	if (table->least > issue->from || table->most < issue->to)
		return tdm_fail(err, TDM_EVALUE,
		                "certificate: no score is within the thresholds %g to %g; scores go from %g to %g: expected "
		                "other ends of the grid",
		                issue->from, issue->to, table->least, table->most);
	return TDM_OK;
}

// Of the scores in ten equal parts of the grid: the mean loss of keeping, and how many there are.
static const char *reliability(struct tdm_arena *arena, const struct tdm_issue *issue, const struct tdm_losses *items) {
	double sum[BINS] = {0}, width = (issue->from - issue->to) / BINS;
	size_t n[BINS] = {0};
	const char *text = "";
	for (size_t i = 0; i < items->n; i++) {
		int bin = (int)fmax(0, fmin(BINS - 1, floor((items->gate[i] - issue->to) / width)));
		sum[bin] += items->loss[i];
		n[bin]++;
	}
	for (int i = 0; i < BINS && text; i++)
		if (n[i])
			text = tdm_arena_printf(arena, "%s%s[\"%s\",\"%s\",%zu]", text, *text ? "," : "",
			                        decimal(arena, issue->to + width * (i + 0.5), 6),
			                        decimal(arena, sum[i] / (double)n[i], 4), n[i]);
	return text ? tdm_arena_printf(arena, "[%s]", text) : NULL;
}

static const char *sentence(struct tdm_arena *arena, const struct tdm_issue *issue, bool has_next) {
	static const char *const of[] = {"over all requests, the mean loss from staying local",
	                                 "among the requests that stay local, the mean loss",
	                                 "of the requests with a loss, the share that stays local",
	                                 "over all requests, what the large model is better by, less what it is worse by,"};
	const char *what = has_next && issue->risk == TDM_RISK_JOINT
	                       ? "over all requests, the mean loss against the large model, passed on or not,"
	                       : of[issue->risk];
	return tdm_arena_printf(arena, "%s%s is at most %s, with confidence 1 - %s",
	                        issue->each_group ? "in every group: " : "", what, issue->epsilon, issue->delta);
}

static void fill(struct tdm_arena *arena, const struct tdm_issue *issue, const struct tdm_labels *table,
                 const struct tdm_risk_claim *claim, const struct tdm_control *found, struct tdm_certificate *c) {
	char time[TDM_TIME_BYTES];
	*c = (struct tdm_certificate){.version = 1, .subject = issue->subject, .loss = issue->loss};
	c->claim = sentence(arena, issue, table->has_next);
	c->risk = tdm_risk_names[issue->risk];
	c->loss_source = issue->loss_source;
	c->epsilon = issue->epsilon;
	c->delta = issue->delta;
	c->procedure = tdm_procedure_names[issue->procedure];
	c->starts = issue->starts;
	c->bound = tdm_bound_names[claim->bound];
	c->n = (int64_t)table->items.n;
	c->k = (int64_t)found->n_bad;
	c->duplicates = (int64_t)table->n_duplicates;
	c->p_value = decimal(arena, found->p_value, 6);
	c->upper = decimal(arena, found->upper, 6);
	c->lambda = decimal(arena, found->threshold, 0);
	c->share_local = decimal(arena, (double)found->n_kept / (double)table->items.n, 6);
	c->groups = issue->each_group ? tdm_arena_printf(arena, "each of %zu", table->n_groups) : "marginal";
	c->auditable_share = "1.0";
	c->grid_from = decimal(arena, issue->from, 0);
	c->grid_to = decimal(arena, issue->to, 0);
	c->grid_steps = issue->steps;
	c->order_hash = tdm_arena_string(arena, table->order_hash);
	c->data_hash = tdm_arena_string(arena, table->data_hash);
	c->split_seed = (int64_t)issue->seed;
	c->dedup = "normalised_text";
	c->models = issue->models;
	c->prompts = issue->prompts;
	c->gate = issue->gate;
	c->config = issue->config;
	c->code = issue->code;
	c->reliability = reliability(arena, issue, &table->items);
	c->assumption = "future requests are exchangeable with the calibration items";
	tdm_certificate_time(issue->issued_us, time);
	c->issued = tdm_arena_string(arena, time);
	tdm_certificate_time(issue->issued_us + issue->days * DAY_US, time);
	c->expires = tdm_arena_string(arena, time);
}

static const char *hash_grid(struct tdm_arena *arena, const double *grid, size_t n) {
	struct tdm_bytes text;
	char hash[72], number[TDM_DECIMAL_BYTES];
	tdm_bytes_init(&text, (n + 1) * TDM_DECIMAL_BYTES);
	for (size_t j = 0; j < n; j++) {
		tdm_bytes_add(&text, number, tdm_decimal_write(number, grid[j]));
		tdm_bytes_putc(&text, '\n');
	}
	tdm_labels_hash(text.data, text.len, hash);
	const char *out = text.failed ? NULL : tdm_arena_string(arena, hash);
	tdm_bytes_release(&text);
	return out;
}

static int read_claim(const struct tdm_issue *issue, const struct tdm_labels *table, struct tdm_risk_claim *out,
                      struct tdm_error *err) {
	struct tdm_fraction epsilon, delta;
	int status = tdm_fraction_read(issue->epsilon, &epsilon, err);
	if (!status)
		status = tdm_fraction_read(issue->delta, &delta, err);
	if (status)
		return status;
	*out = (struct tdm_risk_claim){.risk = issue->risk, .procedure = issue->procedure, .bound = issue->bound};
	out->n_starts = (size_t)issue->starts;
	out->epsilon = (double)epsilon.over / (double)epsilon.under;
	out->delta = (double)delta.over / (double)delta.under;
	if (out->bound == TDM_BOUND_AUTO)
		out->bound = table->is_graded || issue->risk == TDM_RISK_NET ? TDM_BOUND_BETTING : TDM_BOUND_BINOMIAL;
	return TDM_OK;
}

static int find_threshold(const struct tdm_risk_claim *claim, const struct tdm_labels *table, bool each_group,
                          const double *grid, size_t n_grid, struct tdm_control *out, struct tdm_error *err) {
	struct tdm_losses items = claim->risk == TDM_RISK_NET ? table->net : table->items;
	if (each_group) {
		items.group = table->group;
		items.n_groups = table->n_groups;
	}
	int status = tdm_control_threshold(claim, &items, grid, n_grid, out, err);
	if (!status && table->has_next && out->at == n_grid)
		return tdm_fail(err, TDM_EVALUE,
		                "certificate: no threshold is shown to keep it, and what is passed on loses too: there is "
		                "nothing to promise");
	return status;
}

int tdm_issue_certificate(struct tdm_arena *arena, const struct tdm_issue *issue, const struct tdm_labels *table,
                          struct tdm_certificate *out, struct tdm_error *err) {
	struct tdm_risk_claim claim;
	struct tdm_control found;
	int status = check(issue, table, err);
	if (!status)
		status = check_columns(issue, table, err);
	if (!status)
		status = read_claim(issue, table, &claim, err);
	size_t n_grid = (size_t)issue->steps + 1;
	double *grid = status ? NULL : tdm_arena_array(arena, n_grid, sizeof *grid);
	if (!status && !grid)
		status = tdm_fail(err, TDM_ENOMEM, "certificate: out of memory");
	for (size_t j = 0; !status && j < n_grid; j++)
		grid[j] = issue->from - (issue->from - issue->to) * (double)j / (double)issue->steps;
	if (!status)
		status = find_threshold(&claim, table, issue->each_group, grid, n_grid, &found, err);
	if (status)
		return status;
	fill(arena, issue, table, &claim, &found, out);
	out->grid_hash = hash_grid(arena, grid, n_grid);
	if (!out->expires || !out->groups || !out->reliability || !out->claim || !out->grid_hash)
		return tdm_fail(err, TDM_ENOMEM, "certificate: out of memory");
	return TDM_OK;
}

static int place_of(const char *name, const char *const *names, int n) {
	int i = 0;
	while (i < n && strcmp(names[i], name) != 0)
		i++;
	return i;
}

int tdm_issue_again(const struct tdm_certificate *c, struct tdm_issue *out, struct tdm_error *err) {
	int risk = place_of(c->risk, tdm_risk_names, TDM_N_RISKS),
	    bound = place_of(c->bound, tdm_bound_names, TDM_N_BOUNDS);
	int procedure = place_of(c->procedure, tdm_procedure_names, TDM_N_PROCEDURES);
	*out = (struct tdm_issue){.epsilon = c->epsilon, .delta = c->delta, .subject = c->subject, .loss = c->loss};
	if (risk == TDM_N_RISKS || bound == TDM_N_BOUNDS || procedure == TDM_N_PROCEDURES ||
	    !tdm_labels_number(c->grid_from, strlen(c->grid_from), &out->from) ||
	    !tdm_labels_number(c->grid_to, strlen(c->grid_to), &out->to))
		return tdm_fail(err, TDM_ECONFIG, "certificate %s: its risk, bound, procedure or grid is not known here",
		                c->id);
	out->risk = (enum tdm_risk)risk;
	out->bound = (enum tdm_bound)bound;
	out->procedure = (enum tdm_procedure)procedure;
	out->each_group = strcmp(c->groups, "marginal") != 0;
	out->starts = c->starts;
	out->steps = c->grid_steps;
	out->seed = (uint64_t)c->split_seed;
	out->days = 1;
	out->loss_source = c->loss_source;
	return TDM_OK;
}
