// Model: the one interface. Everything that answers is a model.
//
// A model takes a request and streams an answer into a sink. Sources answer by themselves (local, remote, script),
// policies wrap one model (mask, guard), strategies combine several (cascade, route, speculate, fuse, guide). All
// implement the same few functions, so they nest, and the settings file is the diagram of the collaboration.
//
// Ownership: what you receive is borrowed for the call; what you return comes from run->arena or outlives you.
// Threads: a model is immutable after creation and may be called from many threads; a run belongs to one thread, except
// `cancelled` and `given_up`, which anybody may set. The end of an answer is generate() returning.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include "ledger/record.h"
#include "models/event.h"
#include "models/request.h"
#include "models/session.h"
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>

enum tdm_cap {
	TDM_CAN_TEXT = 1,     // generate
	TDM_CAN_LOGPROBS = 2, // events carry token and logprob
	TDM_CAN_SCORE = 4,    // score
	TDM_CAN_EMBED = 8,    // embed
	TDM_CAN_STEP = 16,    // open: sessions with full logits and rewind
	TDM_CAN_TOOLS = 32,   // tool calls
	TDM_CAN_FORM = 64,    // sources: answers of a wanted form (struct tdm_form)
	TDM_CAN_ECHO = 128,   // tokens of a raw prompt with their logprobs (struct tdm_echo)
};

// One scan of the final bytes that are about to leave the machine. A mask pushes its own before it calls its inner
// model and pops it after; remote's single send function asks every one on the chain. Fails closed: anything but TDM_OK
// sends nothing.
struct tdm_egress {
	int (*scan)(struct tdm_egress *self, const char *bytes, size_t n, struct tdm_error *err);
	struct tdm_egress *next;
};

// An observer of what sources really receive, below every wrapper: the evaluator looks for protected values there.
// Several threads of one run may show it something at the same time.
struct tdm_model;
struct tdm_spans;
struct tdm_value;
struct tdm_tap {
	void (*saw)(struct tdm_tap *self, const struct tdm_model *source, const char *bytes, size_t n);
	// NULL = not wanted. What a source is asked, whole; then each piece that it says, with what asked gave for it.
	void *(*asked)(struct tdm_tap *self, const struct tdm_model *source, const struct tdm_request *request);
	void (*said)(struct tdm_tap *self, void *call, const struct tdm_event *event);
};

// Called by tdm_run_check, on the run's thread, each time somebody asks: for what must not wait for the next piece.
struct tdm_run_hook {
	void (*look)(struct tdm_run_hook *self);
	struct tdm_run_hook *next;
};

// Until when the first words of an answer must have come. Whoever puts them says so, from any thread.
struct tdm_begin {
	int64_t until_us; // monotonic
	atomic_bool began;
	const struct tdm_begin *outer; // that of who called; NULL = none
};

struct tdm_account;

// Who writes an answer as it comes may be told that more pieces follow at once, so that they leave together. Calls are
// paired; any thread.
struct tdm_batch {
	void (*hold)(struct tdm_batch *self, bool held);
};

struct tdm_run { // one request on its way through the tree
	struct tdm_arena *arena;
	struct tdm_error error;
	struct tdm_record *record;
	const atomic_bool *cancelled;  // NULL = never
	const atomic_bool *given_up;   // likewise, by who called: nobody waits for this part of a request any more
	int64_t deadline_us;           // monotonic; 0 = none
	const struct tdm_begin *begin; // NULL = none
	uint64_t seed;                 // everything random comes from it
	struct tdm_objective objective;
	const char *tenant;
	int n_retries;    // calls of upstreams that were repeated for it
	bool is_repeated; // the client has asked before: no call of an upstream is repeated for it
	struct tdm_egress *egress;
	struct tdm_tap *tap;          // NULL = nobody looks
	struct tdm_account *accounts; // what its calls are paid from (account.h); NULL = nothing bounds it
	const struct tdm_run
	    *paid;               // itself while tdm_generate pays for the source that it asks: a copy made meanwhile is not
	struct tdm_spans *spans; // NULL = nobody wants them (models/spans.h)
	int span;                // of those, which one the run is in; -1 = none
	struct tdm_batch *batch; // NULL = nobody writes as it comes
	struct tdm_run_hook *hook; // NULL = none; a part that runs on a thread of its own has none
};
// Prepares a run on the caller's memory: a record in the arena, the seed as given. TDM_OK or TDM_ENOMEM.
int tdm_run_init(struct tdm_run *run, struct tdm_arena *arena, uint64_t seed);
// TDM_OK, or TDM_EGONE / TDM_EDEADLINE with run->error set. Cheap; ask between tokens.
int tdm_run_check(struct tdm_run *run);
// Shows every message's text to run->tap: tdm_generate does it for sources, and they do it in score() and prompt().
void tdm_run_saw(struct tdm_run *run, const struct tdm_model *source, const struct tdm_request *request);

struct tdm_kind;

struct tdm_look { // what a guard found in a text
	bool flagged;
	const char *rule;              // the category, NULL = none
	double score;                  // 0..1: the judge's, or 1 where a phrase was found
	const char *const *categories; // all that it knows
	size_t n_categories;
};

struct tdm_words { // a text that is not the caller's to free
	const char *text;
	size_t len;
};

struct tdm_model_ops {
	int (*generate)(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
	                struct tdm_result *result);
	// ln p(text | request) for each of n continuations, and its number of tokens (n_tokens may be NULL). NULL without
	// TDM_CAN_SCORE.
	int (*score)(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, const char *const *texts,
	             size_t n, double *logprobs, int *n_tokens);
	// out: *width floats in run->arena, length 1. NULL without TDM_CAN_EMBED.
	int (*embed)(struct tdm_model *m, struct tdm_run *run, const char *text, size_t len, const float **out, int *width);
	// The same for n of them at once, all of one width. A model has one of the two; one that has embed is asked text
	// by text.
	int (*embed_all)(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n,
	                 const float **out, int *width);
	// *n: tokens of the prompt as it would be read. NULL: this model does not know.
	int (*count)(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, int64_t *n);
	// A text as a guard sees what goes in, whatever its settings say. NULL: it guards nothing.
	int (*look)(struct tdm_model *m, struct tdm_run *run, const char *text, size_t len, struct tdm_look *out);
	int (*open)(struct tdm_model *m, struct tdm_run *run, struct tdm_session **out); // NULL without TDM_CAN_STEP
	// The estimated probability that a private value of the request would leave in clear. NULL: that of its parts.
	int (*risk)(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, double *out);
	// What an earlier process let leave: the part "left" of a receipt, before the first request. For who remembers.
	void (*recall)(struct tdm_model *m, const struct tdm_value *left);
	void (*destroy)(struct tdm_model *m); // NULL = nothing to free
};

struct tdm_price {
	double in, out; // per million tokens, in the configured currency
};

struct tdm_run_end { // how a run ended
	int status;
	enum tdm_finish finish;
	int64_t prompt_tokens, completion_tokens; // of the served answer
	struct tdm_price dearest;                 // of the tree: what the answer would have cost without collaboration
	bool shown;                               // some of the answer has reached the client already
};
// Ends the record of a run: its one terminal state, the error's code, the baseline, the time since the record was made.
void tdm_run_close(struct tdm_run *run, const struct tdm_run_end *end);

struct tdm_model { // first member of every implementation
	const struct tdm_model_ops *ops;
	const char *name;
	const struct tdm_kind *kind;
	const struct tdm_value *settings; // the mapping that it was made of; NULL = none
	unsigned can;                     // enum tdm_cap
	struct tdm_price price;           // sources; strategies leave it 0
	struct tdm_model **parts;         // the models it uses, in role order
	const char **part_roles;          // their role names
	size_t n_parts;
	const struct tdm_certified *certified; // the promise that its threshold is under; NULL = none
	bool cuts_vectors;                     // sources: the first numbers of its vectors are vectors themselves
	int hides;                             // masks: the highest level of tandem.privacy that they can hide; else 0
	bool remembers;                        // what earlier processes did counts too (ops->recall)
	bool hidden, leaves;                   // leaves: calling it sends bytes off this machine (itself or through a part)
};

// Checks TDM_CAN_TEXT and the run, clears *result, then calls the model. The way to call a model.
int tdm_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                 struct tdm_result *result);
// Checks TDM_CAN_EMBED and the run, then asks the model for the vector of a text. The way to do it.
int tdm_embed(struct tdm_model *m, struct tdm_run *run, const char *text, size_t len, const float **out, int *width);
// The same for n of them, all of one width, in as few calls as the model needs.
int tdm_embed_all(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n, const float **out,
                  int *width);
// Checks TDM_CAN_SCORE and the run, then lets the model judge texts (tdm_model_ops.score).
int tdm_score(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, const char *const *texts,
              size_t n, double *logprobs, int *n_tokens);
// Tokens of the prompt, by the first model from m downwards that knows; *estimated: none does.
int tdm_count_prompt(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, int64_t *n,
                     bool *estimated);
