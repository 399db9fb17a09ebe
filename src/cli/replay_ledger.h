// Replay of a ledger: the part of `tandem replay` that reads decisions and not a table of outcomes.
#pragma once
#include "cli/command.h"
#include "eval/replay.h"

struct tdm_ledger_replay {
	const char *ledger, *by, *signal;
	int64_t days;                      // 0 = all
	double small_price, large_price;   // below 0: what the ledger's requests cost in the mean
	const double *thresholds, *shares; // replay.h
	size_t n_thresholds, n_shares;
};

// Reads, appends the table to *text and, where json is not NULL, the figures to it. Where labels is not NULL, joins it;
// *pays_both: the small answer is paid always. Error: one sentence.
int tdm_replay_ledger(const struct tdm_command_call *call, const struct tdm_ledger_replay *o,
                      struct tdm_outcomes *labels, size_t small, size_t large, bool *pays_both, struct tdm_bytes *text,
                      struct tdm_bytes *json);
