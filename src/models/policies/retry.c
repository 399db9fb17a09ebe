// retry: asks its model again when the upstream was busy or broken, before anything of an answer has gone out.
//
// The wait is what the upstream asked for, or a random time below base * 2^attempt (full jitter); a wait longer than
// cap_ms or the deadline is not waited for. How many repetitions there may be in all: attempt.h.
#include "base/clock.h"
#include "base/random.h"
#include "ledger/metric.h"
#include "models/sources.h"
#include "models/errand.h"

struct options {
	int64_t attempts, base_ms, cap_ms;
	const struct tdm_value *on;
	struct tdm_hold hold;
};

struct retry {
	struct tdm_runner runner;
	struct options o;
	struct tdm_strings on;
	struct tdm_model *inner;
};

// Microseconds before the next attempt; -1: longer than anybody should wait.
static int64_t wait_of(const struct retry *r, const struct tdm_run *run, int attempt) {
	struct tdm_rng rng;
	int64_t asked_ms = run->error.retry_after_ms, most_ms = r->o.base_ms << (attempt < 16 ? attempt : 16);
	if (asked_ms > 0)
		return asked_ms <= r->o.cap_ms ? asked_ms * 1000 : -1;
	tdm_rng_stream(&rng, run->seed, "retry", (uint64_t)attempt);
	return (int64_t)(tdm_rng_double(&rng) * (double)(most_ms < r->o.cap_ms ? most_ms : r->o.cap_ms) * 1000);
}

static bool may_help(const struct retry *r, const struct tdm_run *run, int status) {
	return r->on.n ? tdm_on_names(&r->on, &run->error, status) : tdm_is_transient(status);
}

static int answer(struct tdm_runner *runner, struct tdm_run *run, const struct tdm_errand *asked) {
	const struct retry *r = (const struct retry *)runner;
	struct tdm_errand e = *asked;
	bool shown;
	e.hold = &r->o.hold;
	int status = tdm_errand_try(&e, r->inner, run, &shown);
	for (int attempt = 0; attempt < r->o.attempts && status && !shown && may_help(r, run, status); attempt++) {
		int64_t wait_us = wait_of(r, run, attempt);
		bool is_late = run->deadline_us && tdm_now_us() + wait_us >= run->deadline_us;
		if (wait_us < 0 || is_late || !tdm_attempt_again(run, r->inner))
			return status;
		tdm_metric_add(TDM_METRIC_RETRIES, 1, TDM_LABELS(r->inner->name, tdm_status_info(status)->code));
		status = tdm_run_wait(run, wait_us);
		if (status)
			return status;
		status = tdm_errand_try(&e, r->inner, run, &shown);
	}
	return status;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {TDM_RUNNER_OPS};
	struct tdm_model *inner = tdm_build_role(b, "inner");
	unsigned passed = TDM_ERRANDS | TDM_CAN_LOGPROBS | TDM_CAN_TOOLS;
	struct retry *r = tdm_build_model(b, sizeof *r, &ops, inner->can & passed);
	if (!r)
		return TDM_ENOMEM;
	r->runner.way = answer;
	r->o = *(const struct options *)options;
	r->inner = inner;
	*out = &r->runner.model;
	int status = tdm_errand_check(b, &r->runner.model);
	return status ? status : tdm_on_read(b, r->o.on, &r->on);
}

static const struct tdm_role roles[] = {{"inner", 0, 1, 1, "the model that is asked again"}};

#define AT(name) offsetof(struct options, name)
static const struct tdm_option table[] = {
    {"attempts", TDM_OPT_INT, AT(attempts), "2", 0, 10, NULL, "most repetitions; a request has 2 in all"},
    {"base_ms", TDM_OPT_INT, AT(base_ms), "250", 1, 60000, NULL,
     "longest wait before the first one, ms; then twice that"},
    {"on", TDM_OPT_VALUE, AT(on), NULL, 0, 0, NULL,
     "which failures: HTTP statuses of the upstream (429, 5xx) and codes (upstream_timeout); absent: those that pass"},
    TDM_HOLD_OPTIONS(struct options, hold),
    {"cap_ms", TDM_OPT_INT, AT(cap_ms), "8000", 1, 60000, NULL, "longest wait of all, ms"},
};

const struct tdm_kind tdm_kind_retry = {
    .name = "retry",
    .summary = "asks again when an upstream was busy or broken",
    .family = TDM_POLICY,
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
