// Encoded: scores of texts by the classes of an encoder, for the model of its file.
#pragma once
#include "engine/engine.h"
#include "models/model.h"

struct tdm_encoded {
	struct tdm_engine *engine;
	const char *name; // of the model, for sentences
	struct tdm_run *run;
	struct tdm_result *result; // tokens that were read
};

// The classes of the request's last message. Where the file names them, each text must be one of the names, and its
// score is ln p of that class. Where it does not, there is one, which ranks: each text is read behind the message, and
// its score is ln p that it belongs there (the logistic function of the logit). n_tokens may be NULL.
// Error: TDM_EVALUE for a name that is none, TDM_ECONTEXT, TDM_ENOMEM, TDM_EGONE.
int tdm_encoded_score(const struct tdm_encoded *e, const struct tdm_request *request, const char *const *texts,
                      size_t n, double *logprobs, int *n_tokens);
