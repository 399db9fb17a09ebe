// deadline: how long its model may take, for the first words and for all of them. The limits join those of the request:
// the sooner one counts. What is late is a failure of the model, which another one may follow, while nothing was said;
// after that the answer ends where it is, as one that became too long, unless the request is strict.
#include "base/clock.h"
#include "models/sources.h"

struct options {
	int64_t ms, first_ms;
};

struct deadline {
	struct tdm_model model;
	struct options o;
	struct tdm_model *inner;
};

struct late {
	struct tdm_sink sink;
	struct tdm_begin begin; // the words may come from another thread (hedging)
};

static int64_t sooner(int64_t a, int64_t b) {
	return !a ? b : !b || a < b ? a : b;
}

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct late *l = (struct late *)sink;
	atomic_store_explicit(&l->begin.began, true, memory_order_relaxed);
	return sink->next->put(sink->next, event);
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct deadline *d = (const struct deadline *)m;
	int64_t now_us = tdm_now_us(), outer_us = run->deadline_us;
	struct late l = {.sink = {put, sink}, .begin = {.until_us = now_us + d->o.first_ms * 1000, .outer = run->begin}};
	run->deadline_us = sooner(outer_us, d->o.ms ? now_us + d->o.ms * 1000 : 0);
	run->begin = d->o.first_ms ? &l.begin : l.begin.outer;
	int status = tdm_generate(d->inner, run, request, &l.sink, result);
	run->deadline_us = outer_us;
	run->begin = l.begin.outer;
	if (status != TDM_EDEADLINE)
		return status;
	tdm_error_clear(&run->error);
	if ((status = tdm_run_check(run))) // who called is late too
		return status;
	if (!atomic_load_explicit(&l.begin.began, memory_order_relaxed))
		return tdm_fail(&run->error, TDM_EUPTIME, "model %s: it did not begin to answer within its deadline", m->name);
	if (run->objective.strict)
		return tdm_fail(&run->error, TDM_EUPTIME, "model %s: its deadline passed in the middle of an answer", m->name);
	tdm_record_warn(run->record, "objective_missed", "deadline", "the answer was ended where its deadline passed");
	result->finish = TDM_FINISH_LENGTH;
	return TDM_OK;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct tdm_model *inner = tdm_build_role(b, "inner");
	unsigned passed = TDM_CAN_LOGPROBS | TDM_CAN_TOOLS;
	struct deadline *d = tdm_build_model(b, sizeof *d, &ops, TDM_CAN_TEXT | (inner->can & passed));
	if (!d)
		return TDM_ENOMEM;
	d->o = *(const struct options *)options;
	d->inner = inner;
	*out = &d->model;
	return d->o.ms || d->o.first_ms ? TDM_OK
	                                : tdm_fail(b->error, TDM_ECONFIG, "%s: expected ms, first_ms or both", b->where);
}

static const struct tdm_role roles[] = {{"inner", TDM_CAN_TEXT, 1, 1, "the model that has to hurry"}};

#define AT(name) offsetof(struct options, name)
static const struct tdm_option table[] = {
    {"ms", TDM_OPT_INT, AT(ms), "0", 0, 86400000, NULL, "for the whole answer, ms; 0 = no limit"},
    {"first_ms", TDM_OPT_INT, AT(first_ms), "0", 0, 86400000, NULL, "until its first words, ms; 0 = no limit"},
};

const struct tdm_kind tdm_kind_deadline = {
    .name = "deadline",
    .summary = "a limit on how long its model may take",
    .family = TDM_POLICY,
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
