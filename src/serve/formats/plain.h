// Plain: an endpoint that answers with one JSON object and nothing streamed: embeddings, rerank, moderations.
#pragma once
#include "serve/entry.h"
#include "serve/formats/prompts.h"

struct tdm_plain {
	struct tdm_call_context *c;
	struct tdm_run run;
	struct tdm_reader reader;     // of this request
	const struct tdm_value *body; // an object
	const char *name;             // of the model, as the client has it; NULL = the default
	struct tdm_objective objective;
	struct tdm_model *model;
	struct tdm_prompts texts; // what is sent to the model
	struct tdm_bytes answer;  // the object up to its last members, without its end
	bool has_usage;           // the answer has one
	void *own;                // the endpoint's
};

struct tdm_plain_kind {
	const char *endpoint;
	int (*read)(struct tdm_plain *p); // fields of the body, into texts and own
	int (*work)(struct tdm_plain *p); // asks p->model, writes p->answer
};

// Everything of a request from its begin to its answer. Error of read and work: in run.error.
void tdm_plain_handle(struct tdm_call_context *c, const struct tdm_plain_kind *kind);
