// Traffic: the decisions of one route or cascade as the ledger holds them (docs/receipt.md), and what other thresholds
// would have made of the same requests. No model is called, and no text is needed: the ledger has none.
//
// The rule it protects: what the ledger does not know is said and not made up. The score of every request is known
// whatever was chosen, so the shares are exact. The price of an answer that nobody asked for is estimated, by the mean
// of those that were, and the estimated part stands beside the sum. Whether a kept answer was good is known where it
// was audited, and only at thresholds that keep no more than was kept; of anything else only labels can tell. Whether a
// score keeps a request is asked of the gate that serves (models/gate.h).
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "eval/outcomes.h"
#include <stdbool.h>
#include <stdint.h>

struct tdm_traffic_options {
	const char *ledger; // as serve.ledger
	const char *by;     // the model that decided
	const char *signal; // of its scores; NULL: the one that most requests have
	int64_t since_s;    // seconds since 1970; 0 = all
};

enum tdm_audited { TDM_NOT_AUDITED, TDM_AGREES, TDM_DIFFERS };

struct tdm_traffic_item {
	const char *id;
	double score, threshold;     // NAN, NAN: no score could keep it (tools, a failed check, undecided, ...)
	double keep_cost, send_cost; // of the request when it is kept, and when it is not; NAN: it was not done so
	bool kept;
	enum tdm_audited audited;
	const char *signal; // NULL: without a score
};

struct tdm_traffic {
	const char *by, *kind, *signal, *currency;
	struct tdm_traffic_item *items;
	size_t n, n_kept, n_audited;
	size_t n_read, n_unfinished, n_undecided, n_without, n_other; // all receipts; of it: not complete; without a
	                                                              // score that counts; no row of it; another signal
	size_t n_stayed;                                              // their threshold knew the turn before
	bool pays_both;                                               // a cascade: the small answer is paid always
	double mean_keep, mean_send, mean_more; // of those that have them; NAN: none; more: of send less keep
	double threshold;                       // the last one in force
};

// Lives in arena. Errors: TDM_ELEDGER, TDM_EVALUE (no decision of that model), TDM_EFORMAT (a receipt that cannot be
// read), TDM_ENOMEM.
int tdm_traffic_read(const struct tdm_traffic_options *o, struct tdm_arena *arena, struct tdm_traffic *out,
                     struct tdm_error *err);

struct tdm_traffic_policy { // what a threshold makes of the requests
	double threshold;
	double share;               // that is kept
	double cost, estimated;     // of a request, and the estimated part of it; NAN: nothing to estimate by
	size_t n_audited, n_differ; // among the kept ones
	bool is_audited;            // all that it keeps was kept when it was recorded: the audits are a sample of it
	double low, high;           // 95 % of the share that differs, by Clopper and Pearson; NAN where nothing is known
};

struct tdm_traffic_prices { // of what the ledger does not know; NAN: the mean of what it knows
	double small, large;
};

void tdm_traffic_replay(const struct tdm_traffic *t, const struct tdm_traffic_prices *p, double threshold,
                        struct tdm_traffic_policy *out);
// The threshold at which this share of the requests is kept, as near as ties allow. Error: TDM_ENOMEM.
int tdm_traffic_threshold(const struct tdm_traffic *t, double share, double *threshold, struct tdm_error *err);

struct tdm_traffic_plan {
	struct tdm_traffic_prices prices;
	const double *thresholds, *shares; // shares of requests that are sent on
	size_t n_thresholds, n_shares;
};
// A row for each threshold and share of the plan, between those that keep all and nothing. Error: TDM_ENOMEM.
int tdm_traffic_table(const struct tdm_traffic *t, const struct tdm_traffic_plan *plan, struct tdm_bytes *out,
                      struct tdm_error *err);
int tdm_traffic_json(const struct tdm_traffic *t, const struct tdm_traffic_plan *plan, struct tdm_bytes *out,
                     struct tdm_error *err);
// Labels meet what the ledger knows: items of the table that are no request here are left out, the others get their
// score as column "score", which keeps, and their costs. Returns how many are left in table->n_items. Errors:
// TDM_EVALUE (none is), TDM_ENOMEM.
int tdm_traffic_join(const struct tdm_traffic *t, const struct tdm_traffic_prices *p, struct tdm_outcomes *table,
                     size_t small, size_t large, struct tdm_error *err);
