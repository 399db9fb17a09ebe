// Together: the prompts of several sessions at the same time, so that a strategy over models waits for the slowest one
// and not for their sum.
#pragma once
#include "models/model.h"

enum { TDM_TOGETHER_MAX = 8 };

// prompt() of sessions[0..n-1], each on a thread of its own; the caller's thread takes the first one. us (may be NULL):
// microseconds of each. The status is that of the first session that failed, with its error in run->error; the others
// are prompted then all the same. n is at most TDM_TOGETHER_MAX.
int tdm_together_prompt(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *const *sessions,
                        int n, int64_t *us);
