// Latch: two counts per conversation in the shared state, for a day after their last change. A lost update between two
// requests of one conversation at once costs one count.
#include "cost/cascade/latch.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "models/account.h"
#include <stdio.h>

#define LIFE_US INT64_C(86400000000)

// A session's name, or the beginning of the conversation, of one tenant.
static void write_conversation(struct tdm_bytes *b, struct tdm_run *run, const struct tdm_request *request) {
	tdm_bytes_puts(b, run->tenant ? run->tenant : "");
	tdm_bytes_putc(b, 0);
	if (run->objective.session) {
		tdm_bytes_puts(b, run->objective.session);
		return;
	}
	for (size_t i = 0; i < request->n_messages; i++) {
		tdm_bytes_named(b, "\n", (int64_t)request->messages[i].len);
		tdm_bytes_add(b, request->messages[i].text, request->messages[i].len);
		if (request->messages[i].from == TDM_FROM_USER)
			return;
	}
}

static void make_key(struct tdm_latch *l, const struct tdm_cascade *c, struct tdm_run *run,
                     const struct tdm_request *request) {
	struct tdm_bytes b;
	uint8_t digest[TDM_SHA256_BYTES];
	tdm_bytes_init(&b, (size_t)64 << 20);
	write_conversation(&b, run, request);
	tdm_sha256(b.data, b.len, digest);
	tdm_bytes_release(&b);
	size_t at = (size_t)snprintf(l->key, sizeof l->key, "latch:%.60s:", c->model.name);
	for (size_t i = 0; i < sizeof digest && at + 3 < sizeof l->key; i++)
		at += (size_t)snprintf(l->key + at, sizeof l->key - at, "%02x", digest[i]);
}

void tdm_latch_open(struct tdm_latch *l, const struct tdm_cascade *c, struct tdm_run *run,
                    const struct tdm_request *request) {
	struct tdm_bytes value;
	struct tdm_error why = {0};
	bool found = false;
	*l = (struct tdm_latch){0};
	if (!c->o.latch)
		return;
	make_key(l, c, run, request);
	tdm_bytes_init(&value, 64);
	if (tdm_shared_get(c->shared, l->key, &value, &found, &why) == TDM_OK && found && value.data)
		sscanf(value.data, "%d %d", &l->escalations, &l->confirmations);
	tdm_bytes_release(&value);
}

bool tdm_latch_holds(const struct tdm_latch *l, const struct tdm_cascade *c) {
	return c->o.latch && l->escalations >= c->o.latch;
}

void tdm_latch_save(struct tdm_latch *l, const struct tdm_cascade *c, struct tdm_run *run) {
	struct tdm_error why = {0};
	char text[32];
	if (!c->o.latch)
		return;
	int n = snprintf(text, sizeof text, "%d %d", l->escalations, l->confirmations);
	if (tdm_shared_set(c->shared, l->key, text, (size_t)n, LIFE_US, &why))
		tdm_record_warn(run->record, "latch_lost", NULL, "the shared state did not keep the latch of the conversation");
}

int tdm_escalation_take(const struct tdm_cascade *c, struct tdm_run *run) {
	struct tdm_claim claim = {.meter = TDM_METER_WINDOW, .limit = c->o.escalations, .amount = 1};
	struct tdm_denial denial;
	struct tdm_error why = {0};
	if (!c->o.escalations)
		return TDM_OK;
	claim.window = tdm_window_number((enum tdm_budget_window)c->o.window, tdm_wall_us(), &claim.period_us);
	claim.key = tdm_arena_printf(run->arena, "escalations:%s:%s", c->model.name, run->tenant ? run->tenant : "");
	if (!claim.key)
		return tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory for a claim", c->model.name);
	int status = tdm_shared_claim(c->shared, &claim, 1, &denial, &why);
	if (status == TDM_ESTATE)
		status = tdm_shared_claim_local(c->shared, &claim, 1, &denial);
	if (status == TDM_OK)
		return TDM_OK;
	tdm_log(TDM_WARN, "cascade.escalations_spent", run->record->id, " model=%s limit=%lld", c->model.name,
	        (long long)c->o.escalations);
	tdm_record_warn(run->record, "escalations_spent", NULL, "the escalations of this window are spent");
	return tdm_fail(&run->error, TDM_EQUOTA, "model %s: all %lld escalations of this window are spent", c->model.name,
	                (long long)c->o.escalations);
}
