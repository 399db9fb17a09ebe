// Upstream: reads what an OpenAI-compatible server answers to a streamed chat completion, and repairs or refuses it.
// No network here: bytes in, events out. The rule it protects: a stream that did not say how it ended is an error,
// never a stop (api sheet, "Reading upstreams").
#pragma once
#include "models/calls.h"
#include "models/sse.h"

struct tdm_upstream {
	const char *author; // name of the model, in events and sentences
	struct tdm_run *run;
	struct tdm_sink *sink;
	struct tdm_result *result; // finish, tokens and mean_logprob are filled
	const char *upstream_model;
	struct tdm_sse sse;
	struct tdm_calls calls;
	struct tdm_bytes body; // of an answer that is no stream
	enum { TDM_BODY_UNKNOWN, TDM_BODY_STREAM, TDM_BODY_OTHER } shape;
	bool finished, done, ending, has_usage, wants_logprobs; // finished: finish_reason seen; done: [DONE] seen
	size_t n_answer_bytes;
	int64_t n_logprobs;
	double sum_logprob;
	int status; // TDM_OK, TDM_SINK_ENOUGH, or the first failure
};

void tdm_upstream_init(struct tdm_upstream *u, const char *author, struct tdm_run *run,
                       const struct tdm_request *request, struct tdm_sink *sink, struct tdm_result *result);
void tdm_upstream_release(struct tdm_upstream *u);
// Bytes of the body of an answer with HTTP status `http`. Anything but TDM_OK: stop reading.
int tdm_upstream_feed(struct tdm_upstream *u, int http, const char *bytes, size_t n);
// Counts by estimate where the upstream gave none; tdm_upstream_end does it too.
void tdm_upstream_estimate(struct tdm_upstream *u, const struct tdm_request *request);
// The body is over. TDM_OK, or the failure with run->error set. Fills what is missing in the result.
int tdm_upstream_end(struct tdm_upstream *u, int http, const struct tdm_request *request);
