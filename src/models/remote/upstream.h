// Upstream: reads what a server answers to a request for a stream, in any dialect, and repairs or refuses it. No
// network here: bytes in, events out. The rule it protects: a stream that did not say how it ended is an error, never a
// stop (api sheet, "Reading upstreams").
#pragma once
#include "base/value.h"
#include "models/remote/calls.h"
#include "models/remote/mend.h"
#include "models/remote/sse.h"

struct tdm_dialect;

struct tdm_upstream {
	const struct tdm_dialect *dialect;
	const char *author; // name of the model, in events and sentences
	struct tdm_run *run;
	struct tdm_sink *sink;
	struct tdm_result *result; // finish, tokens and mean_logprob are filled
	const struct tdm_request *request;
	const char *upstream_model;
	struct tdm_sse sse;
	struct tdm_calls calls;
	struct tdm_mend mend;
	struct tdm_arena event; // of the present event
	struct tdm_bytes body;  // of an answer that is no stream
	struct tdm_bytes held;  // words that may begin a stop string, for a dialect that has none
	enum { TDM_BODY_UNKNOWN, TDM_BODY_STREAM, TDM_BODY_OTHER } shape;
	bool finished, done, ending, has_usage; // finished: how the answer ended is known; done: nothing may follow
	bool is_encoded;                        // set by who reads the headers: compressed unasked
	size_t n_answer_bytes, n_dropped;       // n_dropped: events after the end
	double prompt_tokens, output_tokens, cached_tokens, thought_tokens; // as far as told; negative = not yet
	int64_t n_logprobs;
	double sum_logprob;
	int status; // TDM_OK, TDM_SINK_ENOUGH, or the first failure
};

void tdm_upstream_init(struct tdm_upstream *u, const struct tdm_dialect *dialect, const char *author,
                       struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                       struct tdm_result *result);
void tdm_upstream_release(struct tdm_upstream *u);
// Bytes of the body of an answer with HTTP status `http`. Anything but TDM_OK: stop reading.
int tdm_upstream_feed(struct tdm_upstream *u, int http, const char *bytes, size_t n);
// Counts by estimate where the upstream gave none; tdm_upstream_end does it too.
void tdm_upstream_estimate(struct tdm_upstream *u);
// The body is over. TDM_OK, or the failure with run->error set. Fills what is missing in the result.
int tdm_upstream_end(struct tdm_upstream *u, int http);

// --- for dialects: what an event says. Each returns TDM_OK, what the sink returned, or a failure.

int tdm_upstream_text(struct tdm_upstream *u, const char *text, size_t n);
int tdm_upstream_thought(struct tdm_upstream *u, const char *text, size_t n);
// Text with {token, logprob, top_logprobs: [{token, logprob}]} of each of its tokens.
int tdm_upstream_tokens(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *content,
                        const struct tdm_value *entries);
int tdm_upstream_calls(struct tdm_upstream *u, const struct tdm_value *pieces); // in OpenAI's shape, see calls.h
// A piece of the call `index`; each of id, name and arguments may be NULL.
int tdm_upstream_call(struct tdm_upstream *u, int64_t index, const char *id, const char *name,
                      const struct tdm_value *arguments);
// reason: of the dialect's; NULL-ended rows say what each means, an unknown one counts as stop.
struct tdm_reason {
	const char *reason;
	enum tdm_finish finish;
};
int tdm_upstream_finish(struct tdm_upstream *u, const struct tdm_reason *known, const char *reason);
void tdm_upstream_stopped_by(struct tdm_upstream *u, const char *stop); // NULL is fine
void tdm_upstream_model(struct tdm_upstream *u, const char *name);      // likewise
// Negative: not told. cached: part of the prompt's. Told several times: the last counts.
void tdm_upstream_usage(struct tdm_upstream *u, double prompt, double output, double cached);
void tdm_upstream_thought_tokens(struct tdm_upstream *u, double n); // of the output's; before its usage
int tdm_upstream_bad(struct tdm_upstream *u, const char *what);     // "the upstream sent <what>"
// {message, code, type} or a string: an error that the upstream told inside its stream.
int tdm_upstream_fault(struct tdm_upstream *u, const struct tdm_value *error);
// The class of an HTTP status and an error's words that came with it. body: the answer's; NULL = not JSON.
int tdm_upstream_refused(struct tdm_upstream *u, int http, const struct tdm_value *body);
