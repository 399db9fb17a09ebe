// Spans: which models of the tree a request went through, when, and what came of it; for telemetry, and only where
// somebody wants it (run->spans). Numbers and names of the configuration, never text.
#pragma once
#include "models/model.h"
#include <pthread.h>

#define TDM_MOST_SPANS 64 // of one request; what is beyond is counted

struct tdm_span {
	const struct tdm_model *model;
	const char *purpose, *upstream_model, *error; // error: the status' code; NULL = none
	int parent;                                   // its index; -1 = the request itself
	int64_t started_us, first_us, ended_us;       // tdm_now_us; first: its first piece, 0 = none came
	int64_t prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, n_pieces;
	bool has_usage, is_text; // is_text: it was asked for words, not for a score or a vector
	enum tdm_finish finish;
	int max_tokens, top_k; // as they were asked for: 0 and negative = not
	float temperature, top_p;
	uint64_t seed;
	bool has_seed;
};

struct tdm_spans {
	pthread_mutex_t lock; // parts of a request run beside each other
	struct tdm_span items[TDM_MOST_SPANS];
	int n, n_lost;
	uint8_t trace_id[16], parent_id[8]; // parent: of the client's traceparent; zero = none
	uint64_t first_id;                  // of the request's own span; the others' follow from it
	uint8_t flags;
};

void tdm_spans_init(struct tdm_spans *s); // new identifiers
void tdm_spans_release(struct tdm_spans *s);
// Goes on with a client's trace (W3C traceparent). False: it is none.
bool tdm_spans_continue(struct tdm_spans *s, const char *traceparent);
void tdm_span_id(const struct tdm_spans *s, int index, char out[17]); // -1 = the request's own
// "traceparent: ..." of what the run is in now.
void tdm_spans_header(const struct tdm_run *run, char out[80]);

// Around one generate(): `begin` takes the place of the sink, so that the first piece is seen.
struct tdm_span_watch {
	struct tdm_sink sink;
	struct tdm_run *run;
	int index, before;
};
struct tdm_sink *tdm_span_begin(struct tdm_span_watch *w, struct tdm_run *run, const struct tdm_model *m,
                                const struct tdm_request *request, struct tdm_sink *sink);
void tdm_span_end(struct tdm_span_watch *w, int status, const struct tdm_result *result);
// A source was called: what it used goes to the span that it is in, or is a span of its own.
void tdm_span_called(struct tdm_run *run, const struct tdm_model *m, const struct tdm_call *call, int64_t started_us);
