// Replay of a ledger: see replay_ledger.h.
#include "cli/replay_ledger.h"
#include "base/clock.h"
#include "eval/traffic.h"
#include <math.h>

#define ARENA_LIMIT_BYTES ((size_t)8 << 30)
#define DAY_S ((int64_t)86400)

static const double tenths[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};

static int tell(const struct tdm_command_call *call, const struct tdm_traffic *t, const struct tdm_traffic_plan *plan,
                struct tdm_bytes *text, struct tdm_bytes *json) {
	int status = tdm_traffic_table(t, plan, text, call->error);
	return status || !json ? status : tdm_traffic_json(t, plan, json, call->error);
}

int tdm_replay_ledger(const struct tdm_command_call *call, const struct tdm_ledger_replay *o,
                      struct tdm_outcomes *labels, size_t small, size_t large, bool *pays_both, struct tdm_bytes *text,
                      struct tdm_bytes *json) {
	struct tdm_traffic_options options = {.ledger = o->ledger, .by = o->by, .signal = o->signal};
	struct tdm_traffic_plan plan = {.thresholds = o->thresholds, .shares = o->shares};
	struct tdm_traffic t;
	struct tdm_arena arena;
	plan.prices.small = o->small_price >= 0 ? o->small_price : (double)NAN;
	plan.prices.large = o->large_price >= 0 ? o->large_price : (double)NAN;
	plan.n_thresholds = o->n_thresholds;
	plan.n_shares = o->n_shares;
	if (!plan.n_shares && !plan.n_thresholds) {
		plan.shares = tenths;
		plan.n_shares = sizeof tenths / sizeof *tenths;
	}
	if (o->days > 0)
		options.since_s = tdm_wall_us() / 1000000 - o->days * DAY_S;
	tdm_arena_init(&arena, ARENA_LIMIT_BYTES);
	int status = tdm_traffic_read(&options, &arena, &t, call->error);
	if (!status)
		status = tell(call, &t, &plan, text, json);
	if (!status && labels)
		status = tdm_traffic_join(&t, &plan.prices, labels, small, large, call->error);
	*pays_both = !status && t.pays_both;
	tdm_arena_release(&arena);
	return status;
}
