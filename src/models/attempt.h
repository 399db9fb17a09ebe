// Attempt: one call of a model that another may follow: retry, fallback and pool are made of it.
//
// The rules they protect: a call is repeated only while nothing of its answer has been put, so answers are never
// spliced; repetitions of all kinds share one budget, at most 2 for a request and one for ten calls of the last minute
// (but 5 in any case, as many failures as open a breaker), so that an upstream in trouble is not buried; nothing waits
// beyond the deadline.
#pragma once
#include "models/model.h"

// tdm_generate; *shown: something of the answer went into the sink, or the sink wanted no more.
int tdm_attempt(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                struct tdm_result *result, bool *shown);
bool tdm_is_transient(int status); // the same call may succeed a little later: a busy or broken upstream
// Takes one from the budget, if the next call leaves this machine and the last one (run->error) was made; clears its
// error. False: none left.
bool tdm_attempt_again(struct tdm_run *run, const struct tdm_model *next);
void tdm_attempt_count(void); // a call was sent to an upstream
// Waits, noticing a client that leaves. TDM_OK, TDM_EGONE, or TDM_EDEADLINE at once when it would wait beyond it.
int tdm_run_wait(struct tdm_run *run, int64_t us);
