// Hedge: a second model is asked when the first one has said nothing for a while; who says something first answers, the
// other one is given up. Nothing is spliced: only one of them ever reaches the sink.
#pragma once
#include "models/model.h"

struct tdm_hedge {
	struct tdm_model *first, *second;
	int64_t after_ms;
	// filled:
	bool asked; // the second one was; it costs one of the budget of repetitions (attempt.h)
	bool second_answered;
	bool shown; // something of an answer went into the sink
};
int tdm_hedge(struct tdm_hedge *h, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
              struct tdm_result *result);
