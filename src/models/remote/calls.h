// Calls: the tool calls of one answer, as pieces of any order and shape that upstreams send, put in order: one call
// ends before the next begins, every call has a name, an id of its own and arguments that are JSON.
//
// Which call a piece belongs to (api sheet, "Reading upstreams"): the same id is the same call, a new id a new one;
// without an id the index tells; without both it is the last call. The first id and the first name of a call count.
#pragma once
#include "base/bytes.h"
#include "base/random.h"
#include "base/value.h"
#include "models/model.h"

#define TDM_CALLS_LIMIT 64 // of one answer

struct tdm_called {           // one call
	char *upstream_id, *name; // NULL = not known yet
	char id[72];              // that goes out
	int64_t index;            // the upstream's; -1 = none
	struct tdm_bytes arguments;
	size_t sent; // of the arguments, bytes
	bool begun;  // its name was sent
};

struct tdm_calls {
	struct tdm_run *run;
	struct tdm_sink *sink;
	const char *author;
	struct tdm_called *items; // in order of first appearance, in run->arena
	int n, at;                // at: the one that is being sent; those after it wait
	struct tdm_bytes later;   // words that came inside a call: they follow the calls
	size_t n_bytes;           // of names and arguments
};

void tdm_calls_init(struct tdm_calls *c, struct tdm_run *run, struct tdm_sink *sink, const char *author);
void tdm_calls_release(struct tdm_calls *c);
// A list of pieces in OpenAI's shape: {index, id, function: {name, arguments}}, arguments a string or an object.
// TDM_OK, what the sink returned, or TDM_EBADBODY with *why (not run->error) when it cannot be put in order.
int tdm_calls_put(struct tdm_calls *c, const struct tdm_value *pieces, const char **why);
// Keeps text that comes while a call is unfinished; false: none is, and the text may go out now.
bool tdm_calls_hold(struct tdm_calls *c, const char *text, size_t n);
// The answer is over. cut: for its length or by a filter, so that the last arguments may be incomplete. As for put.
int tdm_calls_end(struct tdm_calls *c, bool cut, const char **why);
