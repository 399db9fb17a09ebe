// Request: what is asked of a model, whatever format it came in.
#pragma once
#include "models/event.h"
#include "models/form.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_tool {                   // a function that the program which asks can run
	const char *name, *description; // description may be NULL
	const char *parameters;         // JSON schema as text; NULL = not stated
	size_t len;                     // of the schema, bytes
	bool strict;
};

enum tdm_tool_choice { TDM_TOOLS_AUTO, TDM_TOOLS_NONE, TDM_TOOLS_REQUIRED, TDM_TOOLS_ONE };
struct tdm_toolbox {
	const struct tdm_tool *items;
	size_t n;
	enum tdm_tool_choice choice;
	const char *chosen; // TDM_TOOLS_ONE: the name of the one that must be called
	bool one_call;      // at most one call in an answer
};

struct tdm_echo { // what a source with TDM_CAN_ECHO fills before the first event; allocated in run->arena
	const struct tdm_scored *tokens; // the first one has no log-probability
	int n;
	// Of an upstream, which writes a token whether it is wanted or not (0 elsewhere): those at tokens[n..], and
	// whether the answer ended with them by itself.
	int n_after;
	bool is_end;
};

// A prompt that is no conversation: the text of the one message is continued as it stands, without a chat format.
struct tdm_raw {
	const int32_t *tokens; // the prompt as tokens of the vocabulary vocab_id; NULL: the text is split
	int n_tokens;
	uint64_t vocab_id;
	bool only_echo;        // nothing is to be written
	struct tdm_echo *echo; // NULL = the prompt's tokens are not wanted
};

struct tdm_request {
	const struct tdm_message *messages; // a last message of the assistant is a prefill: continue it, do not repeat it
	size_t n_messages;
	int max_tokens;          // 0 = the model's own limit
	float temperature;       // negative = the model's own setting
	float top_p, min_p;      // negative = the model's own setting
	int top_k;               // negative = the model's own setting
	float repeat_penalty;    // 0 = the model's own setting
	const char *const *stop; // text before the first match is kept, the match removed
	size_t n_stop;
	bool logprobs;    // the caller wants logprobs in the answer
	int top_logprobs; // alternatives per token, 0..20
	uint64_t draw;    // which of several draws of the same request (n choices, samples): a random stream of its own
	const struct tdm_form *form; // NULL = any
	struct tdm_toolbox tools;
	bool wants_seed;           // the run's seed is the client's wish: an upstream may be told
	const struct tdm_raw *raw; // NULL = a conversation
	const char *purpose;       // what a source writes into its call record; NULL = "answer"
};
// No messages, every setting "the model's own", logprobs off.
void tdm_request_init(struct tdm_request *r);
// Whether the answer may call a tool, so that only a model that can do that may be asked.
bool tdm_wants_tools(const struct tdm_request *r);
