// Writer: tokens of a session to events of a sink. Everything that decodes uses it (local, speculate, fuse), so that
// whole UTF-8 characters, stop strings, the token limit, end tokens and logprobs are right in one place.
//
// A token whose bytes end inside a character waits for the next one. Text that may begin a stop string is held back
// until it cannot; a matched stop string is removed and the text before it kept.
#pragma once
#include "models/model.h"

struct tdm_writer;
// author: name written into the events. Allocates in run->arena. NULL when out of memory (run->error set).
struct tdm_writer *tdm_writer_new(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *session,
                                  struct tdm_sink *sink, const char *author);
// One token that was chosen from `logits` (n_vocab raw logits; NULL = no logprob), written by author (NULL = the
// writer's). Returns TDM_OK to go on, TDM_SINK_ENOUGH when the answer has ended (end token, stop string, limit, or the
// sink said so), or a negative status.
int tdm_writer_token(struct tdm_writer *w, int32_t token, const float *logits, const char *author);
// The tokens that follow are drafts of this model, which the author has taken over; NULL: they are not.
void tdm_writer_drafter(struct tdm_writer *w, const char *drafter);
// What the logits say of a token, with the `top` best ones: at most TDM_TOP_LOGPROBS. Allocates in run->arena. False:
// no memory.
#define TDM_TOP_LOGPROBS 20
bool tdm_scored_fill(struct tdm_run *run, struct tdm_session *session, int top, const float *logits, int32_t token,
                     struct tdm_scored *out);
// Sends what is held, fills finish, completion_tokens, prompt_tokens, mean_logprob, served.
int tdm_writer_end(struct tdm_writer *w, struct tdm_result *result);
