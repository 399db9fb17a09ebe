// Bounds: who asks, and what its key may spend. A key's limits and budgets are an account (models/account.h) like those
// of the kinds limit and budget; only where their numbers come from differs.
#include "base/clock.h"
#include "serve/formats/format.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define MINUTE_US INT64_C(60000000)
#define LEAVE_AFTER_US INT64_C(60000000) // a place whose holder died comes back so long after its longest request

// --- who

// The same decision whatever carries the key. Two of one header are one too many: which one counts is anybody's guess.
static const char *given_key(const struct tdm_exchange *x) {
	const char *bearer = tdm_exchange_header(x, "authorization");
	if (tdm_exchange_header_twice(x, "authorization") || tdm_exchange_header_twice(x, "x-api-key"))
		return NULL;
	if (bearer && !strncasecmp(bearer, "Bearer ", 7))
		return bearer + 7;
	return tdm_exchange_header(x, "x-api-key");
}

int tdm_authenticate(struct tdm_call_context *c) {
	if (!tdm_keys_none(c->setup->keys))
		return tdm_keys_find(c->setup->keys, given_key(c->x), &c->who, &c->error);
	c->who = (struct tdm_who){.admin = tdm_exchange_is_local(c->x)};
	return TDM_OK;
}

void tdm_bounds_tighten(const struct tdm_call_context *c, struct tdm_objective *o) {
	const struct tdm_key *key = c->who.key;
	if (!key)
		return;
	o->privacy = o->privacy < key->privacy ? (int)key->privacy : o->privacy;
	o->trust = o->trust < key->trust ? (int)key->trust : o->trust;
	if (key->max_cost > 0 && !(o->max_cost <= key->max_cost)) // also when it is NaN
		o->max_cost = key->max_cost;
}

// --- what it may spend

static void add(struct tdm_call_context *c, const char *what, int64_t limit, struct tdm_quota q) {
	struct tdm_account *a = c->account;
	q.key = tdm_arena_printf(c->arena, "key:%s:%s", c->who.key->id, what);
	q.limit = limit;
	if (limit > 0 && q.meter == TDM_METER_WINDOW)
		q.metric = tdm_arena_printf(c->arena, "%s %s", a->who, what);
	if (limit > 0 && q.key)
		a->quotas[a->n++] = q;
}

static struct tdm_account *make_account(struct tdm_call_context *c) {
	const struct tdm_key *key = c->who.key;
	struct tdm_account *a = c->account = tdm_arena_alloc(c->arena, sizeof *a);
	if (!a)
		return NULL;
	a->shared = tdm_tree_shared(c->setup->tree);
	a->who = tdm_arena_printf(c->arena, "key %s", key->name);
	a->answer_tokens = key->answer_tokens;
	add(c, "requests", key->requests_per_minute,
	    (struct tdm_quota){
	        .unit = TDM_UNIT_REQUESTS, .meter = TDM_METER_RATE, .period_us = MINUTE_US, .when_down = TDM_DOWN_LOCAL});
	add(c, "minute", key->tokens_per_minute,
	    (struct tdm_quota){
	        .unit = TDM_UNIT_TOKENS, .meter = TDM_METER_RATE, .period_us = MINUTE_US, .when_down = TDM_DOWN_LOCAL});
	add(c, "places", key->concurrency,
	    (struct tdm_quota){.unit = TDM_UNIT_PLACES,
	                       .meter = TDM_METER_SLOTS,
	                       .period_us = c->setup->settings.timeout_s * 1000000 + LEAVE_AFTER_US,
	                       .when_down = TDM_DOWN_LOCAL});
	struct tdm_quota budget = {
	    .meter = TDM_METER_WINDOW, .window = (enum tdm_budget_window)key->window, .when_down = TDM_DOWN_CLOSED};
	budget.unit = TDM_UNIT_TOKENS;
	add(c, "tokens", key->tokens, budget);
	budget.unit = TDM_UNIT_MONEY;
	add(c, "money", tdm_money(key->money), budget);
	return a->who ? a : NULL;
}

// --- headers

static void put_header(struct tdm_exchange *x, const char *family, const char *what, const char *unit,
                       const char *value) {
	char name[64];
	bool is_messages = family[0] == 'a'; // anthropic-ratelimit-requests-limit, x-ratelimit-limit-requests
	snprintf(name, sizeof name, "%s-%s-%s", family, is_messages ? unit : what, is_messages ? what : unit);
	tdm_exchange_set(x, name, value);
}

static void tell(struct tdm_call_context *c, const struct tdm_quota *q, int64_t units) {
	static const char openai[] = "x-ratelimit", messages[] = "anthropic-ratelimit";
	const char *unit = q->unit == TDM_UNIT_TOKENS ? "tokens" : "requests";
	bool is_messages = c->format == &tdm_format_messages;
	int64_t rest = units < 0 ? 0 : units; // debts are waited for, and shown by the wait
	char limit[32], left[32], wait[32], when[32];
	double full_s = (double)(q->limit - units) * (double)q->period_us / (double)q->limit / 1e6;
	time_t at = (time_t)(tdm_wall_us() / 1000000 + (int64_t)full_s + 1);
	struct tm tm;
	snprintf(limit, sizeof limit, "%lld", (long long)q->limit);
	snprintf(left, sizeof left, "%lld", (long long)rest);
	snprintf(wait, sizeof wait, "%.3gs", full_s);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
	put_header(c->x, openai, "limit", unit, limit);
	put_header(c->x, openai, "remaining", unit, left);
	put_header(c->x, openai, "reset", unit, wait);
	if (!is_messages)
		return;
	put_header(c->x, messages, "limit", unit, limit);
	put_header(c->x, messages, "remaining", unit, left);
	put_header(c->x, messages, "reset", unit, when);
}

// Of a request that was refused nothing was taken: what is left is asked for. A store that says nothing is not waited
// for twice.
static void tell_refused(struct tdm_call_context *c) {
	const struct tdm_account *a = c->account;
	for (size_t i = 0; i < a->n; i++) {
		const struct tdm_quota *q = &a->quotas[i];
		struct tdm_claim claim = {.key = q->key, .meter = q->meter, .limit = q->limit, .period_us = q->period_us};
		struct tdm_error err = {0};
		int64_t left;
		if (q->meter != TDM_METER_RATE)
			continue;
		if (tdm_shared_left(a->shared, &claim, &left, &err))
			return;
		tell(c, q, left);
	}
}

// --- one request

int tdm_bounds_enter(struct tdm_call_context *c, struct tdm_run *run) {
	run->tenant = run->record->tenant = c->who.tenant;
	if (!c->who.key)
		return TDM_OK;
	if (!make_account(c))
		return tdm_fail(&c->error, TDM_ENOMEM, "the request does not fit its memory limit");
	int status = tdm_account_enter(c->account, &c->visit, &c->error);
	if (status == TDM_ERATE)
		tell_refused(c);
	if (status)
		return status;
	for (size_t i = 0; i < c->visit.n; i++)
		if (c->visit.claims[i].meter == TDM_METER_RATE)
			tell(c, &c->account->quotas[c->visit.quotas[i]], c->visit.claims[i].left);
	if (c->account->n)
		run->accounts = c->account;
	return TDM_OK;
}

void tdm_bounds_leave(struct tdm_call_context *c) {
	if (c->account)
		tdm_account_leave(c->account, &c->visit);
}
