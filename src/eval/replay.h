// Replay: recorded outcomes through a route or a cascade; no model is called.
//
// Scores rank the items for the large model and give a routing curve; policies say of every item which model answers,
// and what that costs. Bands: 95 % by resampling items with one seed; every score and policy sees the same resamples,
// so that their differences are paired.
#pragma once
#include "eval/measure.h"
#include "eval/outcomes.h"

#define TDM_REPLAY_SMALL 16 // models of the small tier, at most

struct tdm_replay_options {
	const size_t *small; // models of the small tier: several make a cascade by agreement; the first one is routed
	size_t n_small, large;
	const char *const
	    *scores; // names of columns, or length, digits, prior, oracle, random; "-NAME": large = small model
	size_t n_scores;
	const double *shares; // of the large model, at which every score becomes a policy
	size_t n_shares;
	const double *thresholds; // at which every score becomes a policy
	size_t n_thresholds;
	const double *own; // NULL, or of every score a threshold of its own, which becomes a policy; NAN: none
	double small_price, large_price; // per item, where the table has no cost; NAN: cost must be there
	double gate_price;               // per item of every score and cascade
	double agree;                    // least share of equal answers that is kept, 0..1
	int grader;                      // grade.h
	bool cascade;                    // scores are known after the small answer, which is always paid
	bool incomplete;                 // items without an outcome of one of the models are left out
	uint64_t seed;
	size_t n_resamples, n_random;
};

enum tdm_replay_measure {
	TDM_APGR,
	TDM_CPT20,
	TDM_CPT50,
	TDM_CPT80,
	TDM_AUROC,
	TDM_AURC,
	TDM_EXCESS,
	TDM_N_REPLAY_MEASURES
};
extern const char *const tdm_replay_measures[TDM_N_REPLAY_MEASURES]; // their names

struct tdm_band {
	double value, low, high; // NAN where not defined
};

struct tdm_replay_score {
	const char *name;
	struct tdm_ranking ranking;                      // random: of the first run
	struct tdm_routing curve;                        // random: the mean of all runs
	struct tdm_band measures[TDM_N_REPLAY_MEASURES]; // random: mean and 95 % of the runs, not of resamples
	struct tdm_band against;                         // APGR less that of the first score, paired; not for random
	const double
	    *keep; // per item, as a gate sees it: the small answer is kept from a threshold on; NULL: not such a score
	bool is_random;
};

struct tdm_replay_policy {
	const char *name;
	const double *quality, *cost, *strong;        // per item; strong: 1 where the large model answers
	struct tdm_band accuracy, share, price, loss; // loss: accuracy of the large model less this one's, paired
	double pgr, ibc, ibc_lift;
	double chance;               // accuracy of a router that tosses a coin and pays as much
	size_t n_kept, n_kept_right; // cascade by agreement; else 0
	bool is_agreement;
};

struct tdm_replay_label { // what `tandem certify` finds a threshold from
	const char *item;
	double score;        // larger = rather kept: the share that agrees; or minus the first score
	double small, large; // quality of the answer that would be kept, and of the large model's
};

struct tdm_replay {
	size_t n_items, n_left_out, n_either, n_large_only, n_small_only;
	const char *small, *large;
	bool graded, priced;       // correctness by grader and gold; costs from prices
	struct tdm_routing models; // weak and strong
	struct tdm_replay_score *scores;
	size_t n_scores;
	struct tdm_replay_policy *policies;
	size_t n_policies;
	struct tdm_replay_label *labels; // one per item; NULL without scores and with one small model
};

// Everything lives in arena. Errors: TDM_EVALUE with the column or item that is missing, TDM_ENOMEM.
int tdm_replay_run(const struct tdm_outcomes *o, const struct tdm_replay_options *options, struct tdm_arena *arena,
                   struct tdm_replay *out, struct tdm_error *err);
