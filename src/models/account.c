// Account: claims on the shared state, made of an account's bounds and of what a call may use at most.
#include "models/account.h"
#include "ledger/metric.h"
#include "base/clock.h"
#include "base/log.h"
#include "models/sources.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)
#define BYTES_AROUND_A_MESSAGE 32 // what a template puts around it, as tokens, at most
#define MOST_MONEY (INT64_C(1) << 53)
#define WAIT_FOR_A_PLACE_MS 1000

int64_t tdm_money(double amount) {
	double nano = ceil(amount * 1e9 - 1e-6);
	return nano <= 0 ? 0 : nano >= (double)MOST_MONEY ? MOST_MONEY : (int64_t)nano;
}

// --- windows

static int64_t month_number(int64_t wall_us, int64_t *left_us) {
	time_t now_s = (time_t)(wall_us / 1000000);
	struct tm tm;
	gmtime_r(&now_s, &tm);
	struct tm next = {.tm_year = tm.tm_year + tm.tm_mon / 11, .tm_mon = (tm.tm_mon + 1) % 12, .tm_mday = 1};
	*left_us = (int64_t)timegm(&next) * 1000000 - wall_us;
	return (int64_t)tm.tm_year * 12 + tm.tm_mon;
}

int64_t tdm_window_number(enum tdm_budget_window w, int64_t wall_us, int64_t *left_us) {
	static const int64_t lengths_us[] = {HOUR_US, DAY_US, 7 * DAY_US};
	if (w == TDM_WINDOW_MONTH)
		return month_number(wall_us, left_us);
	if (w == TDM_WINDOW_TOTAL) {
		*left_us = 0;
		return 0;
	}
	int64_t since_us = wall_us + (w == TDM_WINDOW_WEEK ? 3 * DAY_US : 0); // 1970 began on a Thursday
	*left_us = lengths_us[w] - since_us % lengths_us[w];
	return since_us / lengths_us[w];
}

static struct tdm_claim claim_of(const struct tdm_account *a, const struct tdm_quota *q, int64_t amount) {
	struct tdm_claim c = {
	    .key = q->key, .meter = q->meter, .limit = q->limit, .amount = amount, .period_us = q->period_us};
	if (q->meter == TDM_METER_WINDOW)
		c.window = tdm_window_number(q->window, a->wall_us ? a->wall_us() : tdm_wall_us(), &c.period_us);
	return c;
}

// --- sentences

static int too_often(const struct tdm_account *a, const struct tdm_quota *q, const struct tdm_denial *d,
                     struct tdm_error *err) {
	int status;
	if (q->meter == TDM_METER_SLOTS)
		status =
		    tdm_fail(err, TDM_ERATE, "%s: %lld requests are under way, as many as may be", a->who, (long long)q->limit);
	else
		status = tdm_fail(err, TDM_ERATE, "%s: more than %lld %s in %lld s", a->who, (long long)q->limit,
		                  q->unit == TDM_UNIT_TOKENS ? "tokens" : "requests", (long long)(q->period_us / 1000000));
	if (err && status == err->status)
		err->retry_after_ms = d->wait_us > 0 ? (d->wait_us + 999) / 1000 : WAIT_FOR_A_PLACE_MS;
	return status;
}

static int spent(const struct tdm_account *a, const struct tdm_quota *q, const struct tdm_claim *c,
                 const struct tdm_denial *d, struct tdm_error *err) {
	static const char *const windows[] = {"an hour", "a day", "a week", "a month", "all time"};
	static const char *const units[] = {[TDM_UNIT_CALLS] = " calls", [TDM_UNIT_TOKENS] = " tokens"};
	double scale = q->unit == TDM_UNIT_MONEY ? 1e9 : 1;
	const char *unit = q->unit == TDM_UNIT_MONEY ? "" : units[q->unit];
	char anew[64] = "";
	if (c->period_us > 0)
		snprintf(anew, sizeof anew, "; it begins anew in %lld min", (long long)(c->period_us / 60000000 + 1));
	return tdm_fail(err, TDM_EQUOTA, "%s: of a budget of %.9g%s for %s %.9g is left, and this call may need %.9g%s",
	                a->who, (double)q->limit / scale, unit, windows[q->window], (double)d->left / scale,
	                (double)c->amount / scale, anew);
}

// How much of a budget is left.
static void show(const char *metric, const struct tdm_claim *c, int64_t left) {
	if (metric && c->limit > 0)
		tdm_metric_set(TDM_METRIC_BUDGET, left > 0 ? (double)left / (double)c->limit : 0, TDM_LABELS(metric));
}

static int refuse(struct tdm_account *a, const struct tdm_quota *q, const struct tdm_claim *c,
                  const struct tdm_denial *d, struct tdm_error *err) {
	atomic_store(&a->denied, true);
	show(q->metric, c, d->left);
	return q->meter == TDM_METER_WINDOW ? spent(a, q, c, d, err) : too_often(a, q, d, err);
}

// --- claims, and what to do when nobody answers

struct bound { // of a claim
	struct tdm_account *account;
	const struct tdm_quota *quota;
};

// The claims that are bounded in this process stay, at the front.
static size_t keep_local(struct tdm_claim *claims, struct bound *bounds, size_t n) {
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (bounds[i].quota->when_down == TDM_DOWN_LOCAL) {
			claims[kept] = claims[i];
			bounds[kept++] = bounds[i];
		}
	return kept;
}

static int take(struct tdm_shared *shared, struct tdm_claim *claims, struct bound *bounds, size_t *n,
                struct tdm_error *err) {
	struct tdm_denial denial;
	struct tdm_error why = {0};
	int status = tdm_shared_claim(shared, claims, *n, &denial, &why);
	if (status == TDM_ESTATE) {
		for (size_t i = 0; i < *n; i++)
			if (bounds[i].quota->when_down == TDM_DOWN_CLOSED)
				return tdm_fail(err, TDM_ESTATE, "%s: its bounds cannot be looked up now: %s", bounds[i].account->who,
				                why.text);
		*n = keep_local(claims, bounds, *n);
		status = tdm_shared_claim_local(shared, claims, *n, &denial);
	}
	if (status == TDM_ERATE)
		return refuse(bounds[denial.claim].account, bounds[denial.claim].quota, &claims[denial.claim], &denial, err);
	return status ? tdm_fail(err, status, "%s", why.text) : TDM_OK;
}

static void give(struct tdm_shared *shared, const struct tdm_claim *claims, size_t n, const int64_t *used) {
	struct tdm_error why = {0};
	if (tdm_shared_settle(shared, claims, n, used, &why)) // stays taken: nothing is spent twice
		tdm_log(TDM_WARN, "unsettled", NULL, " why=\"%s\"", why.text);
}

// --- the entry

static bool is_of_entry(const struct tdm_quota *q) {
	return q->unit == TDM_UNIT_REQUESTS || q->unit == TDM_UNIT_PLACES ||
	       (q->unit == TDM_UNIT_TOKENS && q->meter == TDM_METER_RATE); // who owes waits
}

int tdm_account_enter(struct tdm_account *a, struct tdm_visit *visit, struct tdm_error *err) {
	struct bound bounds[TDM_MOST_QUOTAS];
	visit->n = 0;
	for (size_t i = 0; i < a->n; i++) {
		if (!is_of_entry(&a->quotas[i]))
			continue;
		bounds[visit->n] = (struct bound){a, &a->quotas[i]};
		visit->claims[visit->n++] = claim_of(a, &a->quotas[i], a->quotas[i].unit != TDM_UNIT_TOKENS);
	}
	int status = visit->n ? take(a->shared, visit->claims, bounds, &visit->n, err) : TDM_OK;
	for (size_t i = 0; i < visit->n; i++)
		visit->quotas[i] = (size_t)(bounds[i].quota - a->quotas);
	if (status)
		visit->n = 0;
	return status;
}

void tdm_account_leave(struct tdm_account *a, struct tdm_visit *visit) {
	for (size_t i = 0; i < visit->n; i++)
		if (visit->claims[i].meter == TDM_METER_SLOTS)
			give(a->shared, &visit->claims[i], 1, &(int64_t){0});
	visit->n = 0;
}

// --- calls of sources

struct most {                       // what a call may use
	int64_t prompt, answer, stated; // tokens; stated: of the answer by its request, 0 = not stated
	int64_t likely;                 // of the prompt
};

// No tokenizer makes more tokens of a text than it has bytes.
static struct most most_of(const struct tdm_request *request) {
	struct most m = {0};
	size_t bytes = tdm_request_bytes(request) + (request->form ? request->form->len : 0);
	m.prompt = (int64_t)(bytes + (request->n_messages + request->tools.n + 1) * BYTES_AROUND_A_MESSAGE);
	m.likely = tdm_estimate_tokens(bytes);
	m.stated = request->max_tokens;
	return m;
}

static int64_t amount_of(const struct tdm_account *a, const struct tdm_quota *q, const struct tdm_model *source,
                         const struct most *m) {
	int64_t answer = m->stated > 0 ? m->stated : a->answer_tokens;
	if (q->unit == TDM_UNIT_CALLS)
		return 1;
	if (q->unit == TDM_UNIT_TOKENS) // a rate forgives: what was not foreseen is owed
		return q->meter == TDM_METER_RATE ? m->likely + m->stated : m->prompt + answer;
	if (q->unit == TDM_UNIT_MONEY)
		return tdm_money(((double)m->prompt * source->price.in + (double)answer * source->price.out) / 1e6);
	return 0;
}

static size_t count_quotas(const struct tdm_run *run) {
	size_t n = 0;
	for (const struct tdm_account *a = run->accounts; a; a = a->next)
		n += a->n;
	return n;
}

int tdm_spend_begin(struct tdm_run *run, const struct tdm_model *source, const struct tdm_request *request,
                    struct tdm_spending *s) {
	size_t most_n = count_quotas(run);
	*s = (struct tdm_spending){.rows = run->record->last_call};
	if (!most_n)
		return TDM_OK;
	struct most most = most_of(request);
	struct bound *bounds = tdm_arena_array(run->arena, most_n, sizeof *bounds);
	s->claims = tdm_arena_array(run->arena, most_n, sizeof *s->claims);
	s->units = tdm_arena_array(run->arena, most_n, sizeof *s->units);
	s->used = tdm_arena_array(run->arena, most_n, sizeof *s->used);
	s->metrics = tdm_arena_array(run->arena, most_n, sizeof *s->metrics);
	if (!bounds || !s->claims || !s->units || !s->used || !s->metrics)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for its budget", source->name);
	for (struct tdm_account *a = run->accounts; a; a = a->next)
		for (size_t i = 0; i < a->n; i++) {
			int64_t amount = amount_of(a, &a->quotas[i], source, &most);
			if (amount <= 0)
				continue;
			bounds[s->n] = (struct bound){a, &a->quotas[i]};
			s->claims[s->n++] = claim_of(a, &a->quotas[i], amount);
		}
	int status = s->n ? take(run->accounts->shared, s->claims, bounds, &s->n, &run->error) : TDM_OK;
	for (size_t i = 0; i < s->n; i++) {
		s->units[i] = bounds[i].quota->unit;
		s->metrics[i] = bounds[i].quota->metric;
	}
	if (status)
		s->n = 0;
	return status;
}

static int64_t used_of(enum tdm_unit unit, const struct tdm_call *row) {
	if (unit == TDM_UNIT_CALLS)
		return 1;
	return unit == TDM_UNIT_MONEY ? tdm_money(row->cost) : row->prompt_tokens + row->completion_tokens;
}

void tdm_spend_end(struct tdm_run *run, struct tdm_spending *s) {
	if (!s->n)
		return;
	for (const struct tdm_call *row = *s->rows; row; row = row->next)
		for (size_t i = 0; i < s->n; i++)
			s->used[i] += used_of(s->units[i], row);
	give(run->accounts->shared, s->claims, s->n, s->used);
	for (size_t i = 0; i < s->n; i++)
		show(s->metrics[i], &s->claims[i], s->claims[i].left + s->claims[i].amount - s->used[i]);
	s->n = 0;
}

int tdm_spend_check(struct tdm_run *run, const struct tdm_model *source, const struct tdm_request *request) {
	struct tdm_spending s;
	if (!run->accounts || run->paid == run)
		return TDM_OK;
	int status = tdm_spend_begin(run, source, request, &s);
	if (!status && s.n)
		give(run->accounts->shared, s.claims, s.n, s.used); // zeros
	return status;
}

static void charge_one(const struct tdm_account *a, const struct tdm_quota *q, const struct tdm_call *call) {
	struct tdm_claim claim = claim_of(a, q, 0);
	struct tdm_denial denial;
	int64_t used = used_of(q->unit, call);
	int status = tdm_shared_claim(a->shared, &claim, 1, &denial, NULL); // finds the window
	if (status == TDM_ESTATE && q->when_down == TDM_DOWN_LOCAL)
		status = tdm_shared_claim_local(a->shared, &claim, 1, &denial);
	if (status == TDM_ESTATE)
		return;
	give(a->shared, &claim, 1, &used);
	show(q->metric, &claim, claim.left - used);
}

void tdm_spend_charge(struct tdm_run *run, const struct tdm_call *call) {
	if (run->paid == run)
		return;
	for (const struct tdm_account *a = run->accounts; a; a = a->next)
		for (size_t i = 0; i < a->n; i++)
			if (a->quotas[i].unit >= TDM_UNIT_CALLS && used_of(a->quotas[i].unit, call) > 0)
				charge_one(a, &a->quotas[i], call);
}
