// Keeper: keeps an answer to the form that the request wants, token by token. Everything that decodes from a session
// asks it for the row to choose from: local, the joint loop, speculation on both sides.
//
// It is told the whole answer so far each time and finds out itself what was added or taken back, so that drafts and
// rewinds need no care. Log-probabilities stay those of the model's own row.
#pragma once
#include "models/model.h"

struct tdm_keeper;

// *out is NULL when the request wants no form. Error: TDM_ECAPABILITY when the session's tokens are not known,
// TDM_EVALUE for a form that cannot be kept, both with the request's field.
int tdm_keeper_open(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *session,
                    struct tdm_keeper **out);
void tdm_keeper_close(struct tdm_keeper *k); // NULL is fine
// The row after the answer tokens[0..n): logits, with -INFINITY for every token that may not come next; valid until the
// next call. Without a keeper: logits. NULL: an error, in the run.
const float *tdm_keeper_row(struct tdm_keeper *k, const int32_t *tokens, int n, const float *logits);
