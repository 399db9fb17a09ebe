// Replay's inner parts: the items that are replayed, and the scores that rank them. Only replay.c includes this file.
#pragma once
#include "eval/replay.h"

struct tdm_replay_items {
	const struct tdm_outcomes *table;
	const struct tdm_replay_options *options;
	struct tdm_arena *arena;
	size_t n;
	const size_t *numbers;                    // in the table
	const char *const *answers, *const *gold; // grade.h; NULL when not needed
	bool graded;
	const double *weak, *strong;           // quality
	const double *weak_cost, *strong_cost; // of the first model of the small tier
	const double *tier_cost;               // of all its models together
};

// The values of a score, one per replayed item, large = rather the large model. keep (may be NULL): of a column that
// keeps, what the gate is asked, else NULL. `run` numbers the draws of "random". Error: TDM_EVALUE, TDM_ENOMEM.
int tdm_replay_score_values(const struct tdm_replay_items *items, const char *name, uint64_t run, const double **out,
                            const double **keep, struct tdm_error *err);
