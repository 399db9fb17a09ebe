// Same: is a model's answer another one's, byte by byte? With whatever else a request may want: a form, stop strings,
// log-probabilities, a penalty. Text, ending, counts and every number are compared by their bits.
#pragma once
#include "models/model.h"

enum tdm_same_wish {
	TDM_SAME_PLAIN,
	TDM_SAME_SCHEMA,
	TDM_SAME_STOP,
	TDM_SAME_LOGPROBS,
	TDM_SAME_PENALTY,
	TDM_SAME_ALL
};
#define TDM_SAME_WISHES "plain|schema|stop|logprobs|penalty|all"

struct tdm_same_case {
	struct tdm_model *model;
	int64_t n, n_different, tokens;
	int64_t drafted, accepted; // of the calls that say so
	int64_t first;             // how many had been the same before the first that was not
};

struct tdm_same_options {
	struct tdm_model *target;
	enum tdm_same_wish wish;
	const char *prompt;
	uint64_t seed;
	float temperature; // 0, or any for models that promise the target's own draws
};

// Asks the target and then each of the models; adds to the cases. Error: of a model, with its sentence.
int tdm_same_test(const struct tdm_same_options *o, struct tdm_same_case *cases, size_t n, struct tdm_error *err);
