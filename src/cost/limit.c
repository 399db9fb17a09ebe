// limit: bounds how often and how many at a time the model inside is asked, so that an upstream's own limits are not
// run into, and one that has just failed is not trampled down when it comes back.
//
// Requests and tokens are token buckets that fill in a minute; places are held from the call to its end. Who finds no
// room waits up to wait_ms for it, in the order of luck, and is refused then: 429 with the time after which it may
// help. After a failure of the model inside only one place is given; they come back evenly within ramp_ms.
#include "base/clock.h"
#include "cost/kinds.h"
#include "models/account.h"
#include "models/policies/attempt.h"
#include <string.h>

#define MINUTE_US INT64_C(60000000)
#define LONGEST_HOLD_US INT64_C(3600000000) // then the place of a process that died comes back
#define LOOK_AGAIN_US INT64_C(20000)

struct options {
	int64_t requests_per_minute, tokens_per_minute, concurrency, wait_ms, ramp_ms;
	int per, when_down;
};

struct limit {
	struct tdm_model model;
	struct options o;
	struct tdm_model *inner;
	struct tdm_shared *shared;
	const char *who;
	atomic_int_least64_t failed_us; // monotonic; 0 = it has not
};

static void add(struct limit *l, struct tdm_run *run, struct tdm_account *a, const char *what, int64_t limit,
                struct tdm_quota q) {
	const char *tenant = l->o.per && run->tenant ? run->tenant : "";
	q.key = tdm_arena_printf(run->arena, "limit:%s:%s:%s", l->model.name, what, tenant);
	q.limit = limit;
	q.when_down = (enum tdm_when_down)l->o.when_down;
	if (limit > 0 && q.key)
		a->quotas[a->n++] = q;
}

static int64_t places_now(struct limit *l) {
	int64_t failed_us = atomic_load(&l->failed_us), since_us = tdm_now_us() - failed_us, all = l->o.concurrency;
	if (!failed_us || since_us >= l->o.ramp_ms * 1000)
		return all;
	return 1 + (all - 1) * since_us / (l->o.ramp_ms * 1000);
}

static void make_account(struct limit *l, struct tdm_run *run, struct tdm_account *a) {
	a->shared = l->shared;
	a->who = l->who;
	add(l, run, a, "requests", l->o.requests_per_minute,
	    (struct tdm_quota){.unit = TDM_UNIT_REQUESTS, .meter = TDM_METER_RATE, .period_us = MINUTE_US});
	add(l, run, a, "tokens", l->o.tokens_per_minute,
	    (struct tdm_quota){.unit = TDM_UNIT_TOKENS, .meter = TDM_METER_RATE, .period_us = MINUTE_US});
	add(l, run, a, "places", l->o.concurrency > 0 ? places_now(l) : 0,
	    (struct tdm_quota){.unit = TDM_UNIT_PLACES, .meter = TDM_METER_SLOTS, .period_us = LONGEST_HOLD_US});
}

// Enters, or waits for room as long as it may.
static int enter(struct limit *l, struct tdm_run *run, struct tdm_account *a, struct tdm_visit *visit) {
	int64_t until_us = tdm_now_us() + l->o.wait_ms * 1000;
	for (;;) {
		int status = tdm_account_enter(a, visit, &run->error);
		int64_t asked_us = run->error.retry_after_ms * 1000, now_us = tdm_now_us();
		bool is_place = status == TDM_ERATE && asked_us >= 1000000 && l->o.concurrency > 0;
		int64_t wait_us = is_place || asked_us > LOOK_AGAIN_US ? LOOK_AGAIN_US : asked_us + 1000;
		if (status != TDM_ERATE || now_us + wait_us > until_us)
			return status;
		tdm_error_clear(&run->error);
		if ((status = tdm_run_wait(run, wait_us)))
			return status;
		a->n = 0; // there may be more places by now
		make_account(l, run, a);
	}
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct limit *l = (struct limit *)m;
	struct tdm_account a = {.next = run->accounts};
	struct tdm_visit visit;
	make_account(l, run, &a);
	int status = enter(l, run, &a, &visit);
	if (status)
		return status;
	run->accounts = &a;
	status = tdm_generate(l->inner, run, request, sink, result);
	run->accounts = a.next;
	tdm_account_leave(&a, &visit);
	if (tdm_is_transient(status) && !atomic_load(&a.denied)) // its own refusals are no failures
		atomic_store(&l->failed_us, tdm_now_us());
	return status;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct tdm_model *inner = tdm_build_role(b, "inner");
	unsigned passed = TDM_CAN_LOGPROBS | TDM_CAN_TOOLS;
	struct limit *l = tdm_build_model(b, sizeof *l, &ops, TDM_CAN_TEXT | (inner->can & passed));
	if (!l)
		return TDM_ENOMEM;
	l->o = *(const struct options *)options;
	l->inner = inner;
	l->shared = b->state;
	l->who = tdm_arena_printf(b->arena, "model %s", b->name);
	if (!l->o.requests_per_minute && !l->o.tokens_per_minute && !l->o.concurrency)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: expected requests_per_minute, tokens_per_minute or concurrency above 0", b->where);
	*out = &l->model;
	return l->who ? TDM_OK : TDM_ENOMEM;
}

static const struct tdm_role roles[] = {{"inner", TDM_CAN_TEXT, 1, 1, "the model that is asked less often"}};

#define AT(name) offsetof(struct options, name)
static const struct tdm_option table[] = {
    {"requests_per_minute", TDM_OPT_INT, AT(requests_per_minute), "0", 0, 1000000000, NULL, "0 = no bound"},
    {"tokens_per_minute", TDM_OPT_INT, AT(tokens_per_minute), "0", 0, 1000000000000, NULL,
     "of prompts and answers; 0 = no bound"},
    {"concurrency", TDM_OPT_INT, AT(concurrency), "0", 0, 1000000, NULL, "calls at the same time; 0 = no bound"},
    {"per", TDM_OPT_CHOICE, AT(per), "all", 0, 0, "all|tenant", "whose requests count together"},
    {"wait_ms", TDM_OPT_INT, AT(wait_ms), "0", 0, 600000, NULL, "longest wait for room before 429, ms"},
    {"ramp_ms", TDM_OPT_INT, AT(ramp_ms), "0", 0, 600000, NULL,
     "time in which the places come back after a failure of the model inside, ms"},
    {"when_down", TDM_OPT_CHOICE, AT(when_down), "local", 0, 0, TDM_WHEN_DOWN_NAMES,
     "when the shared state does not answer: no bound, 503, or the bound in this process alone"},
};

const struct tdm_kind tdm_kind_limit = {
    .name = "limit",
    .summary = "bounds rate, tokens and concurrency of the model inside",
    .family = TDM_POLICY,
    .goal = TDM_GOAL_COST,
    .leaf = "B3a",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
