// Messages: the turns of a conversation. Included by tandem.h.
#pragma once
#include <stddef.h>

enum tdm_author { TDM_FROM_SYSTEM, TDM_FROM_USER, TDM_FROM_ASSISTANT, TDM_FROM_TOOL };

struct tdm_tool_call { // of a function that the program which asks can run
	const char *id, *name;
	const char *arguments; // JSON text
	size_t len;            // bytes
};

struct tdm_message { // what is not set is zero
	enum tdm_author from;
	const char *text;
	size_t len;                        // bytes
	const struct tdm_tool_call *calls; // of an assistant's turn
	size_t n_calls;
	const char *call_id; // of what a tool says: the call that it answers; NULL = not known
};
