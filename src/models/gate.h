// Gate: a score against a threshold, the same everywhere: larger is better, a tie accepts, an unknown score never does.
// And the row that a choice leaves in the record.
#pragma once
#include "models/model.h"

bool tdm_gate_accepts(double score, double threshold);
// detail: printf format of further numbers, or NULL; never text of a user.
void tdm_gate_record(struct tdm_run *run, const struct tdm_model *by, const char *choice, const char *signal,
                     double score, double threshold, const char *detail, ...) __attribute__((format(printf, 7, 8)));
// May another model take over after this failure? Not when the run itself is over, and not when somebody refused the
// request: asking elsewhere would be a way around the refusal.
bool tdm_gate_may_replace(int status);
