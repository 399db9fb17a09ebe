// Latch: what a conversation has shown of the small model: after so many escalations it stays with the last model,
// until so many answers of the small one would have been kept (confirmations). And what a tenant may escalate at all.
#pragma once
#include "cost/cascade/cascade.h"

struct tdm_latch {
	char key[160];
	int escalations, confirmations; // in a row
};

// Reads the state of the request's conversation: its objective.session, else its messages up to the first of the user.
// What the shared state does not tell is as if nothing had been.
void tdm_latch_open(struct tdm_latch *l, const struct tdm_cascade *c, struct tdm_run *run,
                    const struct tdm_request *request);
bool tdm_latch_holds(const struct tdm_latch *l, const struct tdm_cascade *c);
void tdm_latch_save(struct tdm_latch *l, const struct tdm_cascade *c, struct tdm_run *run);
// Takes one escalation of the tenant's. TDM_OK, or TDM_EQUOTA with run->error set; a state that is down takes none.
int tdm_escalation_take(const struct tdm_cascade *c, struct tdm_run *run);
