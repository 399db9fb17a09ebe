// Cascade, inside: what cascade.c (the settings), climb.c (one request, tier by tier) and gates.c (what weighs an
// answer) share.
#pragma once
#include "cost/cascade/certainty.h"
#include "cost/cascade/checks.h"
#include "cost/cascade/vote.h"
#include "models/certified.h"
#include "models/predict/linear.h"

enum { TDM_MOST_TIERS = 8, TDM_MOST_VOTERS = 8, TDM_MOST_VERDICTS = 64 };
#define TDM_ANSWER_LIMIT_BYTES ((size_t)4 << 20)

struct tdm_cascade_options {
	struct tdm_strings gate, prompts;
	const struct tdm_value *threshold, *votes, *platt, *meta;
	const char *weights, *certificate, *signer;
	int how, hold, otherwise, window;
	bool hand_over;
	double temperature, audit;
	int64_t samples, parallel, wait_ms, latch, confirmations, escalations;
	struct tdm_check_options checks;
};
enum { TDM_HOLD_ANSWER, TDM_HOLD_SENTENCE };
enum { TDM_OTHERWISE_REFUSE, TDM_OTHERWISE_KEEP };

struct tdm_tier {
	struct tdm_model *model;
	const struct tdm_gate *gate; // NULL: the last one
	double threshold;
};

struct tdm_cascade {
	struct tdm_model model;
	struct tdm_cascade_options o;
	struct tdm_linear *scorer; // NULL: no gate is one
	struct tdm_certified *certified;
	struct tdm_model *verifier; // NULL: each model verifies its own answers
	struct tdm_tier tiers[TDM_MOST_TIERS];
	struct tdm_model *voters[TDM_MOST_VOTERS];
	size_t n, n_voters;
	double votes[TDM_MOST_VOTERS + 1]; // weight of the tier's own answer, then of the voters'
	double platt[2];
	bool calibrates;
	bool meta[TDM_MOST_VERDICTS + 1]; // by the number of yes
	bool has_meta;
	struct tdm_checks checks;
	struct tdm_shared *shared; // of latches and escalations
};

struct tdm_said { // an answer that is held
	struct tdm_collect words;
	struct tdm_result result;
	struct tdm_call **from, **end; // of the record: the calls behind it
};

// A tier's answer and what was found out about it.
struct tdm_evidence {
	struct tdm_said own;
	struct tdm_certainty certainty;
	double score; // larger = better; NaN = unknown
	int agree, asked, groups;
	bool by_count;           // the choice follows from how many agree, not from the score
	struct tdm_said *others; // [n_others]; of a vote
	int n_others;
	const struct tdm_said *reply; // what is served when the answer is kept
	const char *failed_check;     // NULL: none
	char detail[96];
};

struct tdm_gate {
	const char *name;
	int (*weigh)(const struct tdm_cascade *c, const struct tdm_tier *tier, struct tdm_run *run,
	             const struct tdm_request *request, struct tdm_evidence *e);
	double standard;                             // threshold; NaN = must be set
	double least, most;                          // of a threshold, without a calibration
	double (*of)(const struct tdm_certainty *c); // of a part of an answer too; NULL: of whole answers alone
	bool is_greedy;                              // the answer that is judged is the one at temperature 0
	bool needs_logprobs;
	int tops; // alternatives that it needs
};

const struct tdm_gate *tdm_gate_find(const char *name); // NULL: there is none
extern const char tdm_gate_names[];                     // "a, b or c"
// Asks a model of the request and holds what it says; alternatives and log-probabilities as the gate needs them.
int tdm_cascade_ask(const struct tdm_gate *gate, struct tdm_model *m, struct tdm_run *run,
                    const struct tdm_request *request, struct tdm_said *said, struct tdm_certainty *certainty);
void tdm_said_release(struct tdm_said *s);
double tdm_cascade_calibrated(const struct tdm_cascade *c, double score);
int tdm_cascade_climb(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                      struct tdm_sink *sink, struct tdm_result *result);
