// fallback: the first of its models that can answer does. The next one is asked when a model failed before anything of
// its answer went out; what a policy refused (privacy, a filter) and what the client ended is nobody else's to answer.
#include "ledger/metric.h"
#include "models/attempt.h"
#include "models/gate.h"
#include "models/sources.h"

enum { MOST_MODELS = 16 };

struct fallback {
	struct tdm_model model;
	struct tdm_model *models[MOST_MODELS];
	size_t n;
};

static bool can_take(const struct tdm_model *m, const struct tdm_request *request) {
	return !tdm_wants_tools(request) || (m->can & TDM_CAN_TOOLS);
}

// The next model from i on that can take the request; n when none can.
static size_t next_of(const struct fallback *f, size_t i, const struct tdm_request *request) {
	while (i < f->n && !can_take(f->models[i], request))
		i++;
	return i;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct fallback *f = (const struct fallback *)m;
	size_t at = next_of(f, 0, request);
	bool shown;
	for (;;) {
		int status = tdm_attempt(f->models[at], run, request, sink, result, &shown);
		size_t next = next_of(f, at + 1, request);
		if (!status || shown || next == f->n || !tdm_gate_may_replace(status) || tdm_run_check(run) ||
		    !tdm_attempt_again(run, f->models[next]))
			return status;
		tdm_gate_record(run, m, f->models[next]->name, "failed", (double)NAN, (double)NAN, "%s after %s",
		                tdm_status_info(status)->code, f->models[at]->name);
		tdm_metric_add(TDM_METRIC_FALLBACKS, 1,
		               TDM_LABELS(f->models[at]->name, f->models[next]->name, tdm_status_info(status)->code));
		at = next;
	}
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct fallback *f = tdm_build_model(b, sizeof *f, &ops, TDM_CAN_TEXT | TDM_CAN_LOGPROBS);
	if (!f)
		return TDM_ENOMEM;
	f->n = tdm_build_roles(b, "models", f->models, MOST_MODELS);
	unsigned any = 0;
	for (size_t i = 0; i < f->n; i++) {
		f->model.can &= f->models[i]->can | TDM_CAN_TEXT;
		any |= f->models[i]->can;
	}
	f->model.can |= any & TDM_CAN_TOOLS; // those that cannot are passed over
	*out = &f->model;
	return TDM_OK;
}

static const struct tdm_role roles[] = {
    {"models", TDM_CAN_TEXT, 2, MOST_MODELS, "in the order in which they are asked"},
};

const struct tdm_kind tdm_kind_fallback = {
    .name = "fallback",
    .summary = "the next model when one fails before it has said anything",
    .family = TDM_POLICY,
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options_bytes = 1,
    .create = create,
};
