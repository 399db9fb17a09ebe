// Chat completions, reading: the JSON body of POST /v1/chat/completions into the internal request. Tolerant: unknown
// fields are ignored, null equals absent, "100.0" is an integer; exact: a wrong type or a value out of range is
// TDM_EVALUE naming the field, and nothing is coerced.
#pragma once
#include "base/value.h"
#include "models/model.h"
#include "serve/formats/prompts.h"

enum { TDM_MOST_CHOICES = 8, TDM_MOST_ANSWERS = 128 }; // of one prompt, of one request

struct tdm_chat_request {
	const char *model; // NULL = the default
	struct tdm_request request;
	bool stream, include_usage, has_seed;
	bool older_tools; // functions instead of tools: the answer has the older shape too
	uint64_t seed;
	int n;                      // choices, of all prompts
	struct tdm_prompts prompts; // of completions; n 0: a conversation
	int n_each;                 // choices of each prompt
	bool echoes, only_echoes;   // the prompts come back; nothing follows them
	struct tdm_objective objective;
	// Responses only
	const char *echo; // the request's settings as JSON members, for the answer
	bool store;       // the answer and `input` are to be kept
	bool may_drop;    // a conversation that does not fit may lose its oldest turns
	const struct tdm_value *input;
};

// What the formats of OpenAI share, with *out as it is before anything was read: everything but the prompt, the form
// and the tools.
int tdm_read_common(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out);
// record receives warnings (parameter_ignored ...). Everything returned lives in the arena or the value.
int tdm_chat_read(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
                  struct tdm_chat_request *out, struct tdm_error *err);
// The request's wishes, also from headers: fields only ever tighten. name: as in the body ("privacy"), text: the
// header's value.
int tdm_objective_header(struct tdm_arena *arena, const char *name, const char *text, struct tdm_objective *o,
                         struct tdm_error *err);
// The `tandem` member of a body (NULL = absent). An unknown field is TDM_EVALUE with the nearest name.
int tdm_objective_read(const struct tdm_value *tandem, struct tdm_objective *o, struct tdm_error *err);
void tdm_objective_init(struct tdm_objective *o);
