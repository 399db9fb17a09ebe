// Entry: what every request to a model has in common, whatever its format. In this order: begin, wishes, aim, the
// model, close, receipt; then the answer.
#pragma once
#include "serve/formats/format.h"
#include "serve/server_parts.h"

// The run and its record in the arena of the request. Error: TDM_ENOMEM, or a bound of the key, TDM_ERATE or
// TDM_ESTATE; the request has been answered then.
int tdm_entry_begin(struct tdm_call_context *c, struct tdm_run *run, const char *endpoint);
// The wishes of x-tandem-* headers on top of those of the body.
int tdm_entry_wishes(struct tdm_call_context *c, struct tdm_objective *o, struct tdm_error *err);
// Finds the model that the client means, and sets the run's deadline and objective. run->seed is set before.
int tdm_entry_aim(struct tdm_call_context *c, struct tdm_run *run, const char *name, const struct tdm_objective *o,
                  struct tdm_model **out);
// Closes the record and writes it: end's dearest and shown are filled here; answer: for its keyed hash. The status of
// the request: a ledger that cannot be written is a failure of it.
int tdm_entry_close(struct tdm_call_context *c, struct tdm_run *run, struct tdm_run_end end, const void *answer,
                    size_t n);
// The receipt as the client wants it, in the arena; NULL for none.
const char *tdm_entry_receipt(struct tdm_call_context *c, const struct tdm_record *r);
// Headers at the commit; those of an answer that is not streamed.
void tdm_entry_commit(struct tdm_call_context *c, const struct tdm_record *r, const char *served);
void tdm_entry_figures(struct tdm_call_context *c, const struct tdm_record *r);
