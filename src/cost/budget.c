// budget: what the model inside may spend in a window, for all or for each tenant, in money, tokens and calls.
//
// Every call of a source below takes the most it may cost before it is made and gives the rest back after
// (models/account.h), so that samples, judges, repetitions and fallbacks count like the first call, and requests that
// come at once spend no more than there is. What is spent is refused with 402, or answered by `then`.
#include "cost/kinds.h"
#include "models/account.h"
#include "models/policies/attempt.h"
#include "models/gate.h"
#include <string.h>

struct options {
	double money;
	int64_t tokens, calls, answer_tokens;
	int window, per, when_down;
};

struct budget {
	struct tdm_model model;
	struct options o;
	struct tdm_model *inner, *then;
	struct tdm_shared *shared;
	const char *who, *metrics[3]; // of money, tokens, calls
};

static void add(const struct budget *b, struct tdm_run *run, struct tdm_account *a, const char *what,
                const char *metric, enum tdm_unit unit, int64_t limit) {
	const char *tenant = b->o.per && run->tenant ? run->tenant : "";
	struct tdm_quota q = {.unit = unit,
	                      .meter = TDM_METER_WINDOW,
	                      .window = (enum tdm_budget_window)b->o.window,
	                      .when_down = (enum tdm_when_down)b->o.when_down,
	                      .limit = limit};
	if (!b->o.per) // what tenants have left is theirs
		q.metric = metric;
	q.key = tdm_arena_printf(run->arena, "budget:%s:%s:%s", b->model.name, what, tenant);
	if (limit > 0 && q.key)
		a->quotas[a->n++] = q;
}

static int ask_then(const struct budget *b, struct tdm_run *run, const struct tdm_request *request,
                    struct tdm_sink *sink, struct tdm_result *result) {
	tdm_gate_record(run, &b->model, b->then->name, "spent", (double)NAN, (double)NAN, NULL);
	tdm_error_clear(&run->error);
	return tdm_generate(b->then, run, request, sink, result);
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct budget *b = (const struct budget *)m;
	struct tdm_account a = {
	    .shared = b->shared, .who = b->who, .answer_tokens = b->o.answer_tokens, .next = run->accounts};
	bool shown = false;
	add(b, run, &a, "money", b->metrics[0], TDM_UNIT_MONEY, tdm_money(b->o.money));
	add(b, run, &a, "tokens", b->metrics[1], TDM_UNIT_TOKENS, b->o.tokens);
	add(b, run, &a, "calls", b->metrics[2], TDM_UNIT_CALLS, b->o.calls);
	run->accounts = &a;
	int status = tdm_attempt(b->inner, run, request, NULL, sink, result, &shown);
	run->accounts = a.next;
	bool spent = status == TDM_EQUOTA && atomic_load(&a.denied) && !shown;
	bool can = b->then && (!tdm_wants_tools(request) || (b->then->can & TDM_CAN_TOOLS));
	return spent && can ? ask_then(b, run, request, sink, result) : status;
}

// A source without a price would be free, which nobody means who sets a budget for what leaves this machine.
static const struct tdm_model *without_price(const struct tdm_model *m) {
	const struct tdm_model *found = NULL;
	if (m->kind && m->kind->family == TDM_SOURCE && m->leaves && m->price.in + m->price.out <= 0)
		found = m;
	for (size_t i = 0; i < m->n_parts && !found; i++)
		found = without_price(m->parts[i]);
	return found;
}

static int check(const struct tdm_build *b, const struct options *o, const struct tdm_model *inner) {
	if (!(o->money > 0) && !o->tokens && !o->calls)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected money, tokens or calls above 0", b->where);
	const struct tdm_model *free_one = o->money > 0 ? without_price(inner) : NULL;
	if (free_one)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: money bounds nothing of model %s, which has no price", b->where,
		                free_one->name);
	return TDM_OK;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct tdm_model *inner = tdm_build_role(b, "inner");
	unsigned passed = TDM_CAN_LOGPROBS | TDM_CAN_TOOLS;
	struct budget *m = tdm_build_model(b, sizeof *m, &ops, TDM_CAN_TEXT | (inner->can & passed));
	if (!m)
		return TDM_ENOMEM;
	m->o = *(const struct options *)options;
	m->inner = inner;
	m->then = tdm_build_role(b, "then");
	m->shared = b->state;
	m->who = tdm_arena_printf(b->arena, "model %s", b->name);
	static const char *const units[] = {"money", "tokens", "calls"};
	for (size_t i = 0; i < TDM_COUNT(units); i++)
		m->metrics[i] = tdm_arena_printf(b->arena, "model %s %s", b->name, units[i]);
	int status = check(b, &m->o, inner);
	*out = status ? NULL : &m->model;
	return status || m->who ? status : TDM_ENOMEM;
}

static const struct tdm_role roles[] = {
    {"inner", TDM_CAN_TEXT, 1, 1, "the model whose sources are paid from the budget"},
    {"then", TDM_CAN_TEXT, 0, 1, "answers when the budget is spent; absent: 402"},
};

#define AT(name) offsetof(struct options, name)
static const struct tdm_option table[] = {
    {"money", TDM_OPT_NUMBER, AT(money), "0", 0, 9e6, NULL, "in the currency of the prices; 0 = no bound"},
    {"tokens", TDM_OPT_INT, AT(tokens), "0", 0, 1000000000000000, NULL, "of prompts and answers; 0 = no bound"},
    {"calls", TDM_OPT_INT, AT(calls), "0", 0, 1000000000000000, NULL, "of sources; 0 = no bound"},
    {"window", TDM_OPT_CHOICE, AT(window), "month", 0, 0, TDM_WINDOW_NAMES, "in which it may be spent, in UTC"},
    {"per", TDM_OPT_CHOICE, AT(per), "all", 0, 0, "all|tenant", "whose spending counts together"},
    {"answer_tokens", TDM_OPT_INT, AT(answer_tokens), "4096", 1, 10000000, NULL,
     "reserved for an answer whose request states no longest"},
    {"when_down", TDM_OPT_CHOICE, AT(when_down), "closed", 0, 0, TDM_WHEN_DOWN_NAMES,
     "when the shared state does not answer: no bound, 503, or the bound in this process alone"},
};

const struct tdm_kind tdm_kind_budget = {
    .name = "budget",
    .summary = "bounds what the model inside may spend in a window",
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
