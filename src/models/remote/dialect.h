// Dialect: what a remote endpoint speaks: how a request is written for it, and what one event of its stream means. One
// row and one file each; remote.c lists them. A dialect knows no connection and no kind: bytes and values alone.
#pragma once
#include "base/option.h"
#include "models/remote/upstream.h"

enum tdm_knows { // settings of a request that a dialect has a field for; what it has none for is warned about
	TDM_KNOWS_STOP = 1,
	TDM_KNOWS_SEED = 2,
	TDM_KNOWS_TOP_K = 4,
	TDM_KNOWS_MIN_P = 8,
	TDM_KNOWS_REPEAT_PENALTY = 16,
	TDM_KNOWS_LOGPROBS = 32,
};

struct tdm_asking { // what a remote's settings say about its requests
	const char *model;
	int64_t max_tokens; // 0 = the upstream's
	double temperature; // negative = the upstream's
	unsigned forward;   // enum tdm_knows, beyond what the dialect knows
	const char *prompt; // that the upstream made of the messages (tdm_dialect.prompt_path); NULL = none
	size_t n_prompt;
};

struct tdm_dialect {
	const char *name;
	const char *path; // of the endpoint, behind the version (/v1) unless is_root
	bool is_root;
	const char *key_header, *key_prefix; // the header that carries the key, and what stands before it there
	const char *header;                  // a further line; NULL = none
	const char *prompt_path;             // where messages become a prompt first; NULL = not needed
	bool takes_raw;                      // prompts that are no conversation
	unsigned can, knows;                 // enum tdm_cap, enum tdm_knows
	// Error: TDM_ECAPABILITY with run->error, for what the dialect has no words for. `out` failed: too large.
	int (*write)(struct tdm_bytes *out, const struct tdm_asking *a, struct tdm_run *run, const struct tdm_request *rq);
	// One event of the stream, which is a map without an error. TDM_OK, or what tdm_upstream_... returned.
	int (*read)(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event);
};
extern const struct tdm_dialect tdm_dialect_openai, tdm_dialect_completions, tdm_dialect_responses,
    tdm_dialect_anthropic, tdm_dialect_llama;

// --- for the files of dialects

#define TDM_CHOICES_LIMIT 128

void tdm_write_string(struct tdm_bytes *b, const char *before, const char *text); // before, then text as JSON
void tdm_write_number(struct tdm_bytes *b, const char *name, double value);       // ,"name":value
void tdm_write_float(struct tdm_bytes *b, const char *name, float value);         // the shortest that reads back
void tdm_write_stop(struct tdm_bytes *b, const char *name, const struct tdm_request *rq);
void tdm_write_sampling(struct tdm_bytes *b, const struct tdm_asking *a, const struct tdm_request *rq); // two settings
void tdm_write_forwarded(struct tdm_bytes *b, const struct tdm_asking *a, const struct tdm_request *rq);
int64_t tdm_most_tokens(const struct tdm_asking *a, const struct tdm_request *rq); // 0 = not said
double tdm_temperature(const struct tdm_asking *a, const struct tdm_request *rq);  // negative = not said
int64_t tdm_seed_of(const struct tdm_run *run, const struct tdm_request *rq);
// A call's arguments as a JSON object: text that is none becomes the member `text` of one.
void tdm_write_object(struct tdm_bytes *b, const char *text, size_t n);
void tdm_write_messages(struct tdm_bytes *b, const struct tdm_request *rq);     // ,"messages":[...] of a chat
void tdm_write_transcript(struct tdm_bytes *out, const struct tdm_request *rq); // a conversation as one text
// Which tools may or must be called; before and after: around the name of the only one.
void tdm_write_choice(struct tdm_bytes *b, const struct tdm_toolbox *tools, const char *before, const char *after);
void tdm_read_usage(struct tdm_upstream *u, const struct tdm_value *event); // its model and its usage, where it has any
// The logprobs of a completion as tdm_upstream_tokens takes them.
struct tdm_value tdm_completions_entries(struct tdm_arena *arena, const struct tdm_value *logprobs);
// What is asked for and the dialect cannot say.
int tdm_cannot(struct tdm_run *run, const char *param, const char *what);
