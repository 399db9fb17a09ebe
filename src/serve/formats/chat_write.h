// Chat completions, writing: events of an answer as OpenAI's JSON, whole or as a stream of chunks.
//
// Order of a stream: of every choice a role chunk, content chunks, a finish chunk, mixed with those of the others (the
// very last one carries the receipt), the usage chunk when asked for, [DONE]. Without include_usage no chunk ever has
// empty `choices`.
#pragma once
#include "base/bytes.h"
#include "models/model.h"
#include "serve/formats/columns.h"
#include "serve/formats/prompts.h"

struct tdm_chat_head { // what all chunks of one answer share
	char id[TDM_ID_BYTES];
	int64_t created_s;
	const char *model, *fingerprint, *receipt_id;
	const char *echo;        // of the request, as JSON members; Responses only
	int64_t prompt_estimate; // tokens, before they are counted
	bool include_usage;
	bool older_tools; // calls as function_call
	bool store;       // the answer is to be kept
	bool trace;       // every piece names its author
};

struct tdm_chat_usage {
	int64_t prompt_tokens, completion_tokens, cached_tokens; // cached: of the prompt, by the first choice
	int64_t reasoning_tokens;                                // of the completion
};

// {"id":...,"object":object,... and "usage":{...}, without what follows.
void tdm_chat_put_head(struct tdm_bytes *out, const struct tdm_chat_head *h, const char *object);
void tdm_chat_put_usage(struct tdm_bytes *out, const struct tdm_chat_usage *u);
const char *tdm_finish_name(const struct tdm_chat_head *h, enum tdm_finish finish);
// One `data: {...}` event each, with its empty line.
// Who wrote a piece, where the client asks for that (tandem.trace): `before`, then {"author":...,"drafter":...}; else
// nothing. A field of an event that there is anyway: clients pass over it, which they do not with other types of
// events.
void tdm_chat_put_trace(struct tdm_bytes *out, const struct tdm_chat_head *h, const char *before,
                        const struct tdm_event *e);
void tdm_chat_chunk_usage(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_usage *u,
                          const char *receipt);
void tdm_chat_done(struct tdm_bytes *out);
// The entry of one event in logprobs.content; nothing for an event without a logprob. *n counts the entries.
void tdm_chat_logprob(struct tdm_bytes *out, const struct tdm_event *e, int *n);

struct tdm_shown { // completions: what is shown of a choice's prompt and tokens
	const struct tdm_prompt *prompt;
	const struct tdm_echo *echo; // its tokens; filled before the answer begins
	struct tdm_columns *columns; // of the answer's tokens
	bool is_echoed, has_logprobs;
};

struct tdm_chat_call {
	char *id, *name;
	struct tdm_bytes arguments;
	struct tdm_chat_call *next;
};
struct tdm_chat_choice {
	struct tdm_bytes text, thought;
	struct tdm_bytes logprobs; // JSON entries, comma separated
	int n_logprobs;            // entries
	bool has_logprobs;         // asked for, and there can be some
	struct tdm_shown shown;
	struct tdm_chat_call *calls;
	struct tdm_result result;
};
void tdm_chat_score(struct tdm_chat_choice *choice, const struct tdm_event *e); // into its logprobs
void tdm_chat_whole(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_choice *choices, int n,
                    const struct tdm_chat_usage *u, const char *receipt);
// {"error":{...},"tandem":receipt}; event: as one stream event.
void tdm_chat_error(struct tdm_bytes *out, const struct tdm_error *err, const char *receipt, bool event);

// For the writers of all formats: `before`, then a JSON string; no text (NULL) is null.
void tdm_put_string(struct tdm_bytes *out, const char *before, const char *text);
void tdm_put_bytes(struct tdm_bytes *out, const char *before, const struct tdm_bytes *text);
void tdm_put_receipt(struct tdm_bytes *out, const char *receipt); // as the member "tandem"; nothing for NULL
