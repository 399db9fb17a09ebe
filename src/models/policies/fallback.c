// fallback: the first of its models that can answer does. The next one is asked when a model failed before anything of
// its answer went out; what a policy refused (privacy, a filter) and what the client ended is nobody else's to answer.
// What a guard refused is, where `on` says content_filter: the next model may be one that is let say more, or less.
#include "ledger/metric.h"
#include "models/gate.h"
#include "models/sources.h"
#include "models/errand.h"

enum { MOST_MODELS = 16 };

struct options {
	const struct tdm_value *on;
	struct tdm_hold hold;
};

struct fallback {
	struct tdm_runner runner;
	struct options o;
	struct tdm_strings on;
	struct tdm_model *models[MOST_MODELS];
	size_t n;
};

static bool can_take(const struct tdm_model *m, const struct tdm_errand *e) {
	return e->needs != TDM_CAN_TEXT || !tdm_wants_tools(e->request) || (m->can & TDM_CAN_TOOLS);
}

// A model at home in the place of one elsewhere loses quality; a request that makes quality a condition forbids that.
static bool may_lose(const struct tdm_run *run, const struct tdm_model *from, const struct tdm_model *to) {
	bool loses = from->leaves && !to->leaves && !isnan(run->objective.quality);
	if (loses && !run->objective.strict)
		tdm_record_warn(run->record, "objective_missed", "quality", "a model at home answered for one that failed");
	return !loses || !run->objective.strict;
}

static bool may_follow(const struct fallback *f, const struct tdm_run *run, int status) {
	bool named = tdm_on_names(&f->on, &run->error, status);
	return status == TDM_EFILTERED ? named : tdm_gate_may_replace(status) && (!f->on.n || named);
}

// The next model from i on that can take the request; n when none can.
static size_t next_of(const struct fallback *f, size_t i, const struct tdm_errand *e) {
	while (i < f->n && !can_take(f->models[i], e))
		i++;
	return i;
}

static int answer(struct tdm_runner *runner, struct tdm_run *run, const struct tdm_errand *asked) {
	const struct fallback *f = (const struct fallback *)runner;
	struct tdm_errand e = *asked;
	size_t at = next_of(f, 0, &e);
	bool shown;
	e.hold = &f->o.hold;
	for (;;) {
		int status = tdm_errand_try(&e, f->models[at], run, &shown);
		size_t next = next_of(f, at + 1, &e);
		if (!status || shown || next == f->n || !may_follow(f, run, status) || tdm_run_check(run) ||
		    !may_lose(run, f->models[at], f->models[next]) || !tdm_attempt_again(run, f->models[next]))
			return status;
		tdm_gate_record(run, &f->runner.model, f->models[next]->name, "failed", (double)NAN, (double)NAN, "%s after %s",
		                tdm_status_info(status)->code, f->models[at]->name);
		tdm_metric_add(TDM_METRIC_FALLBACKS, 1,
		               TDM_LABELS(f->models[at]->name, f->models[next]->name, tdm_status_info(status)->code));
		at = next;
	}
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {TDM_RUNNER_OPS};
	struct fallback *f = tdm_build_model(b, sizeof *f, &ops, TDM_ERRANDS | TDM_CAN_LOGPROBS);
	if (!f)
		return TDM_ENOMEM;
	f->runner.way = answer;
	f->o = *(const struct options *)options;
	f->n = tdm_build_roles(b, "models", f->models, MOST_MODELS);
	unsigned any = 0;
	for (size_t i = 0; i < f->n; i++) {
		f->runner.model.can &= f->models[i]->can;
		any |= f->models[i]->can;
	}
	f->runner.model.can |= any & TDM_CAN_TOOLS; // those that cannot are passed over
	*out = &f->runner.model;
	int status = tdm_errand_check(b, &f->runner.model);
	return status ? status : tdm_on_read(b, f->o.on, &f->on);
}

static const struct tdm_role roles[] = {
    {"models", 0, 2, MOST_MODELS, "in the order in which they are asked"},
};

static const struct tdm_option table[] = {
    {"on", TDM_OPT_VALUE, offsetof(struct options, on), NULL, 0, 0, NULL,
     "which failures: HTTP statuses of the upstream (429, 5xx) and codes (upstream_timeout); absent: all but refusals"},
    TDM_HOLD_OPTIONS(struct options, hold),
};

const struct tdm_kind tdm_kind_fallback = {
    .name = "fallback",
    .summary = "the next model when one fails before it has said anything",
    .family = TDM_POLICY,
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
