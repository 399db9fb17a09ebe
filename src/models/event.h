// Event: an answer is a stream of pieces into a sink, and a result at its end, whatever format it goes out in.
#pragma once
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_alternative {
	const char *text;
	size_t len;
	float logprob;
};

struct tdm_scored {   // one token, and what its model said of it
	const char *text; // its bytes, which may end inside a character; none: a special token
	size_t len;
	float logprob; // NAN: not known
	const struct tdm_alternative *alternatives;
	int n_alternatives;
};

// The calls of an answer follow one another: a call's name, then the pieces of its arguments, which joined are JSON
// when the answer ends, unless it ends for its length. The next piece of another sort ends it.
enum tdm_piece { TDM_PIECE_TEXT, TDM_PIECE_THOUGHT, TDM_PIECE_CALL, TDM_PIECE_ARGUMENTS };

struct tdm_event { // one piece of an answer, never empty
	enum tdm_piece piece;
	const char *text; // whole UTF-8 characters; of TDM_PIECE_CALL: the name of the tool
	size_t len;
	const char *call_id;                        // of TDM_PIECE_CALL: 1 to 64 of [A-Za-z0-9_-], none twice in one answer
	const char *author;                         // name of the model that wrote it
	const char *drafter;                        // whose draft it is that the author took over; NULL = nobody's
	int32_t token;                              // -1 = unknown, or a piece of several tokens
	float logprob;                              // natural logarithm under the author's own distribution; NAN = unknown
	const struct tdm_alternative *alternatives; // best first; NULL unless asked for
	int n_alternatives;
	const struct tdm_scored *parts; // its tokens, where they are several (logprob is their sum) or no whole characters;
	int n_parts;                    // NULL: one token, or not known. Only where log-probabilities were asked for
};

#define TDM_SINK_ENOUGH 1 // what put returns to end the answer here, cleanly
// put returns TDM_OK, TDM_SINK_ENOUGH, or a negative status, which generate() then returns.
struct tdm_sink {
	int (*put)(struct tdm_sink *sink, const struct tdm_event *event);
	struct tdm_sink *next; // wrappers: where the transformed event goes
};

enum tdm_finish { TDM_FINISH_STOP, TDM_FINISH_LENGTH, TDM_FINISH_FILTER, TDM_FINISH_CALLS };

struct tdm_result {
	enum tdm_finish finish;
	int64_t prompt_tokens, completion_tokens; // of the served answer, once
	int64_t cached_tokens;                    // of the prompt, which were not computed again
	int64_t reasoning_tokens;                 // of the completion, which were thoughts; as far as told
	bool estimated;
	const char *stop;    // the stop string that ended it; NULL = none, or not known
	const char *served;  // name of the model whose words the client receives
	double mean_logprob; // of the served answer's tokens; NAN when unknown
	const struct tdm_scored
	    *end; // the token that ended it, where log-probabilities were asked for; NULL: none, or not known
};
