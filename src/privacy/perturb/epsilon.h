// Epsilon: what a conversation has spent of it, over all its requests to one model, kept in the shared state.
//
// The rule it protects: it is taken before anything is sent and stays taken; what cannot be counted is not sent.
#pragma once
#include "ledger/shared.h"
#include "models/model.h"

struct tdm_epsilon {
	double limit;    // of a conversation; 0 = it is only counted
	double spent;    // by the conversation, this request included; refused: without it
	bool is_refused; // the limit does not leave so much: nothing was taken
};
// name: of the model. The conversation is the tenant's session, without a name that of its first words. state NULL: a
// conversation is one request. TDM_OK, TDM_EGUARD or TDM_ENOMEM with run->error set.
int tdm_epsilon_spend(struct tdm_shared *state, struct tdm_run *run, const struct tdm_request *request,
                      const char *name, double amount, struct tdm_epsilon *e);
