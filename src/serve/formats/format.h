// Format: one wire format as a table: how a request is read, how an answer is written, whole and as a stream. Between
// the two everything is the same for all of them, so that no format can pass by a mask, a guard or the ledger.
#pragma once
#include "serve/formats/chat_read.h"
#include "serve/formats/chat_write.h"

struct tdm_stream { // what a format remembers of one choice while it streams
	int index;
	int n_calls;          // that began
	int n_blocks;         // that began; the last one is open
	enum tdm_piece piece; // of the open block
	struct tdm_shown shown;
	struct tdm_bytes same; // what every event begins with
	// Formats that say everything again at the end of a block, and of the answer:
	int n_events, n_logprobs;    // that were numbered; entries in logprobs
	char item_id[TDM_ID_BYTES];  // of the open block
	char call_id[80];            // of a call
	struct tdm_bytes name, text; // of a call; of the open block: words, thoughts or arguments
	struct tdm_bytes logprobs;   // of the open block: JSON, comma separated
	struct tdm_bytes output;     // the blocks that ended, likewise
	struct tdm_bytes kept;       // the whole answer, if it is to be stored
};

struct tdm_call_context;

struct tdm_format {
	const char *endpoint, *id_prefix;
	const char *ping; // what a silent stream gets
	// Before read, NULL for none: what the body refers to and the server has kept is put into it.
	int (*resolve)(struct tdm_call_context *c, struct tdm_record *record, struct tdm_value *body,
	               struct tdm_error *err);
	int (*read)(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
	            struct tdm_chat_request *out, struct tdm_error *err);
	// After the model was found; NULL: nothing depends on it.
	int (*fit)(struct tdm_arena *arena, const struct tdm_model *model, struct tdm_record *record,
	           struct tdm_chat_request *out, struct tdm_error *err);
	// Of a stream, in this order: begin, pieces, finish of each choice (receipt: of the last one), end.
	void (*begin)(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s);
	void (*piece)(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s, const struct tdm_event *e,
	              bool logprobs);
	void (*finish)(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
	               const struct tdm_result *result, const struct tdm_chat_usage *usage, const char *receipt);
	void (*end)(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_usage *usage,
	            const char *receipt);
	// Of an answer that is kept: the log-probabilities of a piece. NULL: the format has none.
	void (*score)(struct tdm_chat_choice *choice, const struct tdm_event *e);
	void (*whole)(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_choice *choices, int n,
	              const struct tdm_chat_usage *usage, const char *receipt);
	void (*error)(struct tdm_bytes *out, const struct tdm_error *err, const char *request_id, const char *receipt);
	// The last of a stream that fails, also of one that has not begun.
	void (*fail)(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
	             const struct tdm_error *err, const char *request_id, const char *receipt);
	// The answer as it went out, for who asks for it again; NULL for none.
	void (*keep)(struct tdm_call_context *c, const struct tdm_chat_request *request, const char *answer, size_t n);
};

extern const struct tdm_format tdm_format_chat, tdm_format_messages, tdm_format_responses, tdm_format_completions;
