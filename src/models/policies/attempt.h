// Attempt: one call of a model that another may follow: retry, fallback and pool are made of it.
//
// The rules they protect: a call is repeated only while nothing of its answer has been put, so answers are never
// spliced; repetitions of all kinds share one budget, at most 2 for a request and one for ten calls of the last minute
// (but 5 in any case, as many failures as open a breaker), so that an upstream in trouble is not buried; nothing waits
// beyond the deadline.
#pragma once
#include "models/kind.h"

// How long the beginning of an answer is kept back, so that another model may still take over when the first one breaks
// off soon. Both bounds count: whichever comes first. Zero bytes: not at all.
struct tdm_hold {
	int64_t bytes, ms;
};
#define TDM_HOLD_OPTIONS(type, field)                                                                                \
	{"hold_bytes",                                                                                                   \
	 TDM_OPT_INT,                                                                                                    \
	 offsetof(type, field) + offsetof(struct tdm_hold, bytes),                                                       \
	 "0",                                                                                                            \
	 0,                                                                                                              \
	 1 << 18,                                                                                                        \
	 NULL,                                                                                                           \
	 "keep back so much of the beginning of an answer, so that it can be replaced when it breaks off; 0 = nothing"}, \
	{                                                                                                                \
		"hold_ms", TDM_OPT_INT, offsetof(type, field) + offsetof(struct tdm_hold, ms), "200", 1, 60000, NULL,        \
		    "and for so long at most, ms"                                                                            \
	}

// tdm_generate; *shown: something of the answer went into the sink, or the sink wanted no more. hold may be NULL.
int tdm_attempt(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                const struct tdm_hold *hold, struct tdm_sink *sink, struct tdm_result *result, bool *shown);
// Failures named by an option `on`: HTTP statuses of the upstream ("429", "5xx") and codes ("upstream_timeout").
bool tdm_on_names(const struct tdm_strings *on, const struct tdm_error *error, int status);
// The option as it stands in the settings (NULL = none) as words; TDM_ECONFIG for one that names nothing.
int tdm_on_read(const struct tdm_build *b, const struct tdm_value *option, struct tdm_strings *on);
bool tdm_is_transient(int status); // the same call may succeed a little later: a busy or broken upstream
// Takes one from the budget, if the next call leaves this machine and the last one (run->error) was made; clears its
// error. False: none left.
bool tdm_attempt_again(struct tdm_run *run, const struct tdm_model *next);
// Takes one for a call beside another one (hedging). False: none left.
bool tdm_attempt_beside(struct tdm_run *run, const struct tdm_model *next);
void tdm_attempt_count(void); // a call was sent to an upstream
// Waits, noticing a client that leaves. TDM_OK, TDM_EGONE, or TDM_EDEADLINE at once when it would wait beyond it.
int tdm_run_wait(struct tdm_run *run, int64_t us);
