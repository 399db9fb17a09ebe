// Tool words: tools, calls and what tools say, as words in a conversation, for models that know text alone.
//
// The form is the one that Hermes, Qwen 2.5, Qwen 3 and SmolLM3 were trained on: tools as JSON lines between <tools>
// marks in the system's turn, a call as JSON between <tool_call> marks, a tool's answer between <tool_response> marks
// in the user's turn. Everything lives in run->arena.
#pragma once
#include "models/model.h"

#define TDM_CALL_OPENS "<tool_call>"
#define TDM_CALL_CLOSES "</tool_call>"

struct tdm_call_read { // of the words of a call
	const char *name, *arguments;
	size_t len; // of the arguments: JSON text
};

// The request without tools: its messages as words, its tools in the system's turn, and where a call is demanded
// (tdm_toolwords_demands) and forms are possible, a form that is a call and nothing else.
int tdm_toolwords_request(struct tdm_run *run, const struct tdm_request *request, bool can_form,
                          struct tdm_request *out);
bool tdm_toolwords_demands(const struct tdm_request *request);
// {"name": "...", "arguments": {...}}, with white space around it. False: it is no call of one of these tools.
bool tdm_toolwords_read(struct tdm_run *run, const struct tdm_toolbox *tools, const char *text, size_t n,
                        struct tdm_call_read *out);
