// Promise: whether a model can keep what a request's objective demands, asked before anything runs.
#pragma once
#include "models/model.h"

#define TDM_STANDARD_MAX_TOKENS 512 // of a model that is asked without a limit

// Whether text can leave this machine through m without having passed a mask that can hide a level of tandem.privacy.
// At 4 nothing may leave. Levels 2 and 3 also want persons, addresses, organisations and places hidden, for which a
// mask needs its tagger; how many of these are found is measured (docs/masking.md), not proved.
bool tdm_leaves_below(const struct tdm_model *m, int level);

// The estimated probability that text of the request leaves through m with a private value in clear, on its riskiest
// way: 0 where nothing leaves, 1 where no mask is in the way. Takes as long as the masks take to look.
double tdm_leak_risk(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request);

// TDM_OK, TDM_EPRIVACY or TDM_EOBJECTIVE with run->error set. privacy, trust and max_cost are conditions.
int tdm_check_objective(const struct tdm_model *m, const struct tdm_request *request, struct tdm_run *run);
