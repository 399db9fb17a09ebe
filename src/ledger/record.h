// Record: what one request did. Filled while it runs by the one thread that owns the run, written once at the end as
// the receipt. Parts of a request that run beside each other have records of their own, which are joined. The rule it
// protects: names, numbers, types and codes only; never text of a prompt or an answer, nor a masked value. Strings are
// borrowed from the configuration or from the record's arena. Wire form: receipt.h.
#pragma once
#include "base/arena.h"
#include "base/random.h"
#include <stdbool.h>
#include <stdint.h>

enum tdm_state { TDM_RUNNING, TDM_COMPLETE, TDM_INCOMPLETE, TDM_REFUSED, TDM_FAILED, TDM_CANCELLED };
const char *tdm_state_name(enum tdm_state state);

struct tdm_call { // one call of one source model, also failed and unused ones
	const char *model, *purpose,
	    *status; // purpose: answer draft verify sample judge guard; status: ok discarded failed cancelled
	const char *upstream_model; // NULL unless the upstream named another
	int64_t prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens;
	bool estimated;                    // the counts are our own estimate
	double cost;                       // in the configured currency
	int64_t us;                        // duration
	int attempt;                       // 1 = first try
	int64_t drafted, accepted, passes; // speculation: tokens proposed and kept, passes of the target
	struct tdm_call *next;
};

struct tdm_decision {                                 // one choice of one strategy
	const char *by, *kind, *choice, *signal, *detail; // detail: further numbers as text, may be NULL
	double score, threshold;                          // NaN = none
	struct tdm_decision *next;
};

struct tdm_verdict {                         // one look of one guard
	const char *by, *stage, *verdict, *rule; // stage: input output; verdict: pass flag block error; rule may be NULL
	double score;
	int64_t us; // duration
	struct tdm_verdict *next;
};

struct tdm_warning {
	const char *code, *param, *message;
	struct tdm_warning *next;
};

struct tdm_count { // entities masked, per type; destinations
	const char *name;
	int64_t n;
	struct tdm_count *next;
};

struct tdm_leak {     // one private value that the far side was shown, in whatever form
	const char *type; // its row
	const char *as;   // token, mark, clear
	char hash[17];    // keyed, of the value in its conversation
	int64_t n;        // times
	struct tdm_leak *next;
};

struct tdm_left { // what left the machine
	int64_t requests, bytes;
	struct tdm_count *to, *entities;
	int level;
	const char *method; // none mask sketch rewrite delegate perturb
	int64_t restored, missed_restores, damaged;
	double risk;              // that a private value left in clear, as a mask estimates it; NaN = none did
	const char *conversation; // keyed hash; NULL = no mask was in the way
	struct tdm_leak *leaks;
};

struct tdm_objective {        // api.md 9.1; levels only ever tighten
	double quality, max_cost; // NaN = none
	int64_t max_latency_ms;   // 0 = none
	int privacy, trust;       // 0 = no wish
	bool strict;
	const char *session; // NULL = none
	int receipt;         // 0 full, 1 id, 2 none
	double similarity;   // a near question's answer will do from this cosine on; 0 = none will
	bool trace;          // every piece of a stream names its author
	bool seen;           // the answer shows what its models were asked, and what they said
};

struct tdm_under {                    // a promise in force
	const char *id, *epsilon, *delta; // decimals
	bool held;                        // false: it was suspended or over, and nothing was kept under it
	struct tdm_under *next;
};

struct tdm_record {
	struct tdm_arena *arena;
	char id[TDM_ID_BYTES], request_id[80];
	enum tdm_state state;
	int64_t created_us, created_wall_us; // monotonic, wall clock
	const char *tenant, *endpoint, *requested, *served;
	struct tdm_objective objective;
	uint64_t seed;
	struct tdm_call *calls, **last_call;
	struct tdm_decision *decisions, **last_decision;
	struct tdm_verdict *verdicts, **last_verdict;
	struct tdm_warning *warnings, **last_warning;
	struct tdm_under *certificates; // in the order in which they were met
	struct tdm_left left;
	double baseline_cost; // the price of the answer on the dearest model of the tree
	const char *currency, *cache, *error_code, *config_hash;
	int64_t queue_us, first_us, total_us, model_us; // model_us: inside sources; overhead = total - model
	char request_hash[80], answer_hash[80];         // keyed hashes, "hmac-sha256:..."
};

void tdm_record_init(struct tdm_record *r, struct tdm_arena *arena); // makes the id, sets the times
// Each copies *item into the arena and appends it; the returned row may be filled further until the run ends. NULL when
// out of memory (then the record misses that row).
struct tdm_call *tdm_record_call(struct tdm_record *r, const struct tdm_call *item);
struct tdm_decision *tdm_record_decision(struct tdm_record *r, const struct tdm_decision *item);
struct tdm_verdict *tdm_record_verdict(struct tdm_record *r, const struct tdm_verdict *item);
void tdm_record_certificate(struct tdm_record *r, const struct tdm_under *item); // once per id
void tdm_record_warn(struct tdm_record *r, const char *code, const char *param,
                     const char *message); // once per code, param
void tdm_record_count(struct tdm_record *r, struct tdm_count **list, const char *name,
                      int64_t n); // adds to the row of name
// One more time that the value was shown; once per type, form and hash.
void tdm_record_leak(struct tdm_record *r, const char *type, const char *as, const char hash[17], int64_t n);
// What a part of the request did, on a record of its own, goes behind what r has: its rows, which stay where they are,
// its counts, and its time in sources where that is longer: parts run beside each other.
void tdm_record_join(struct tdm_record *r, const struct tdm_record *part);
double tdm_record_cost(const struct tdm_record *r);
