// Local: a model whose weights run in this process.
#pragma once
#include "engine/engine.h"
#include "models/model.h"

// Its engine; NULL when the model is not of kind local.
struct tdm_engine *tdm_local_engine(const struct tdm_model *m);
// What its engine says of itself; NULL when the model is not of kind local.
const struct tdm_engine_info *tdm_local_info(const struct tdm_model *m);

// Sessions of local models. The first empties its session and gives the hidden state of every token of the prompt, as
// prompt() would read it, of the session's layers: *states [prompt_tokens][width], to be freed with free(). The second
// is tdm_seq_add: vectors [n][width] outlive the session.
int tdm_local_states(struct tdm_session *s, struct tdm_run *run, const struct tdm_request *request, float **states);
void tdm_local_add(struct tdm_session *s, const float *vectors, int n);
