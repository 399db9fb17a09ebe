// Joint: what everybody who decodes from sessions needs, in one place, so that a strategy over a model samples exactly
// as the model alone would: the settings of a request, the check that vocabularies agree, the row of the record.
#pragma once
#include "models/model.h"

// The request's settings, with the session's own ones where the request leaves them open (top_p, min_p and penalty of 0
// in `own` mean off). A penalty looks at the last repeat_window tokens of the answer, never at the prompt.
struct tdm_sampling tdm_joint_sampling(const struct tdm_request *request, const struct tdm_session *session);
// The request as a session answers it: max_tokens becomes the request's, else the session's own one.
struct tdm_request tdm_joint_request(const struct tdm_request *request, const struct tdm_session *session);
// The next token: the largest logit at temperature 0 without a penalty, else one draw. probs: n_vocab floats of
// scratch.
int32_t tdm_joint_choose(const struct tdm_sampling *s, const float *logits, int n_vocab, const int32_t *recent,
                         int n_recent, float *probs, struct tdm_rng *rng);
// TDM_OK, or TDM_ECONFIG with a sentence that names both models when their token ids are not interchangeable.
int tdm_joint_check(struct tdm_run *run, const char *who, const struct tdm_session *a, const struct tdm_session *b);
// Writes the call row of a session that a strategy used itself; status: of the run so far. NULL when out of memory.
struct tdm_call *tdm_joint_record(struct tdm_run *run, const struct tdm_session *session, const char *purpose,
                                  int status, int64_t completion_tokens, int64_t us);
const char *tdm_call_status(int status); // ok, cancelled, failed
// Answers the request from a session that was just opened: prompt, choose, write, evaluate. The plain loop, for
// sessions that are made of others. author: named in the events. Fills the result.
int tdm_joint_decode(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *session,
                     const char *author, struct tdm_sink *sink, struct tdm_result *result);
