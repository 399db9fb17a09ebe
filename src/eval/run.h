// Run: every model answers every item of a test, side by side, and what came of each answer is kept.
//
// The models take turns item by item, in an order that rotates, so that whatever the machine does meanwhile falls on
// all of them alike and their times can be compared. Answers are greedy. Equal seeds give equal outcomes, times
// aside; with a mask only if its settings name a `key`, because else its marks are drawn anew in every process.
//
// Privacy is measured where it counts: on the bytes that a source receives, below every wrapper (run->tap). A protected
// value counts as received also when its letter case and separators were changed.
#pragma once
#include "base/progress.h"
#include "eval/gym.h"
#include "models/kind.h"
#include "models/logprobs.h"

struct tdm_eval_options {
	uint64_t seed;
	size_t n_items;
	const char *const *families; // names; none = all
	size_t n_families;
	struct tdm_model *const *models;
	size_t n_models;
	const struct tdm_model *baseline; // one of `models`; NULL = nothing is compared
	int max_tokens;                   // of an answer; 0 = the model's own limit
	int n_jobs;                       // items answered at the same time; more than 1 disturbs the times
	bool logprobs;                    // ask for log-probabilities (those below are then known)
	bool keep_answers;                // the texts, in the outcomes
	bool warm_up;                     // each model answers one uncounted question first
	struct tdm_progress *progress;    // started by the caller with n_items; NULL = silent
};

struct tdm_eval_item {
	size_t family; // index in tdm_eval.families
	int level;
	uint64_t key;
	bool is_refuse;       // the right answer is to decline
	bool has_protected;   // the prompt contains protected values
	bool needs_protected; // a right answer contains one
};

struct tdm_eval_outcome { // of one model on one item
	int status;           // TDM_OK, or what the model failed with (a refusal of a guard included)
	bool right;
	bool refused;  // it declined: filtered, or the words of a refusal
	bool equal;    // byte for byte the baseline's answer
	bool leaked;   // a protected value reached a source that only masks lead to
	bool exposed;  // a protected value reached another source
	bool left;     // a protected value reached a source that is not on this machine
	bool restored; // the protected values that a right answer needs are in the answer
	bool served_by_baseline, called_baseline;
	int64_t us;
	double cost, mean_logprob; // mean_logprob: NAN when unknown
	double score, threshold;   // of the model's own first decision; NAN: it made none that has them
	struct tdm_logprobs logprobs;
	const char *answer; // with keep_answers; else NULL
	size_t n_answer;
	int64_t baseline_calls;
	int64_t drafted, accepted, passes, verified; // speculation; passes of the target, tokens it wrote in them
	int64_t values_restored, values_missed, values_damaged; // of masks
};

struct tdm_eval_use { // of one source by one model on one item
	int64_t calls, prompt_tokens, completion_tokens, us;
};

struct tdm_eval {
	struct tdm_arena arena;
	struct tdm_eval_options options; // its lists are borrowed from the caller
	const char **families;
	size_t n_families;
	const struct tdm_model **sources; // of all evaluated trees
	size_t n_sources;
	bool *covered; // [model][source]: every way to the source leads through a mask
	struct tdm_eval_item *items;
	struct tdm_eval_outcome *outcomes; // [item][model]
	struct tdm_eval_use *uses;         // [item][model][source]
	char (*failures)[512];             // per model: the sentence of its first failure; empty = none
};

// On failure *out needs no release. Errors: TDM_EVALUE for an unknown family, TDM_ENOMEM; what a model fails with is an
// outcome, not an error.
int tdm_eval_run(const struct tdm_eval_options *options, struct tdm_eval *out, struct tdm_error *err);
void tdm_eval_release(struct tdm_eval *e);
// Item number i of the test that the options describe; the same item as in a test of all families. Strings in arena.
int tdm_eval_item(const struct tdm_eval_options *options, size_t i, struct tdm_arena *arena, struct tdm_gym_item *out,
                  struct tdm_error *err);

static inline const struct tdm_eval_outcome *tdm_eval_outcome(const struct tdm_eval *e, size_t item, size_t model) {
	return &e->outcomes[item * e->options.n_models + model];
}
