// Promise: whether a model can keep what a request's objective demands, asked before anything runs.
#pragma once
#include "models/model.h"

#define TDM_STANDARD_MAX_TOKENS 512 // of a model that is asked without a limit

// The highest level of tandem.privacy at which text may leave behind a mask. Levels 2 and 3 also promise persons,
// addresses, organisations and places, which no recogniser here finds: a model that leaves cannot keep them.
#define TDM_MASK_KEEPS 1

// TDM_OK, TDM_EPRIVACY or TDM_EOBJECTIVE with run->error set. privacy, trust and max_cost are conditions.
int tdm_check_objective(const struct tdm_model *m, const struct tdm_request *request, struct tdm_run *run);
