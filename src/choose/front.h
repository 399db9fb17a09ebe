// Front: policies of choose, and how some of them come to be promised for.
//
// An arm is a model that may answer. A policy is a complete function from a request to an arm: always the same one, or
// the one that maximises quality - price * cost - wait * ms, as a predictor sees these in the request. What is promised
// is a policy and never an arm: arms that are safe on average can be unsafe on the requests that a chooser sends them.
//
// The rule it protects (Learn-then-Test along a front found on other items; arXiv 2110.01052): items of tuning make the
// front, those policies that no other one beats in error, cost and time at once, and its order from the safest to the
// riskiest; items of calibration, which nobody has looked at, test it in this order, and the first policy that fails
// ends it. P(any accepted policy breaks its promise) <= delta for each level of error. What leaks and what harms are
// conditions: a policy that comes near one on the items of tuning is no policy of the front, and those of calibration
// test it, with a p-value beside the others (front.c:joint). Another goal is one more of enum tdm_front_risk.
#pragma once
#include "assure/pvalue.h"
#include "models/predict/router.h"

enum { TDM_FRONT_ARMS = TDM_ROUTER_MODELS, TDM_FRONT_POLICIES = 32, TDM_FRONT_LEVELS = 8 };
enum tdm_front_estimator { TDM_FRONT_TABLE, TDM_FRONT_KNN, TDM_FRONT_LINEAR };
#define TDM_FRONT_ESTIMATORS "table|knn|linear"
extern const char *const tdm_front_estimators[3];

enum tdm_front_risk { TDM_FRONT_LEAK, TDM_FRONT_HARM, TDM_FRONT_RISKS }; // of an answer: it leaked, it harms
struct tdm_front_arm {                                                   // as it was on the items of tuning
	const char *name;
	double quality, cost, ms, slow_ms; // means; ms: NaN = not known; slow_ms: what 9 of 10 answers do not pass
};

struct tdm_front_policy {
	int arm;                // always this one; -1: by the predictor
	double price, wait;     // what a unit of the table's cost, and a millisecond, is worth in quality
	double error, cost, ms; // means on the items of tuning; ms NaN = not known
};

struct tdm_front {
	enum tdm_front_estimator estimator;
	struct tdm_front_arm arms[TDM_FRONT_ARMS];
	int n_arms;
	const struct tdm_router *predictor; // NULL: table
	struct tdm_front_policy policies[TDM_FRONT_POLICIES];
	int n_policies;               // from the safest to the riskiest
	double most[TDM_FRONT_RISKS]; // mean of a risk that a policy may have; 0 = any
	const char *loss, *predictor_hash;
};

// What an arm is expected to be like for one request: the predictor's view, or the table's means where `look` is NULL.
struct tdm_front_view {
	double quality[TDM_FRONT_ARMS], cost[TDM_FRONT_ARMS], ms[TDM_FRONT_ARMS];
};
void tdm_front_see(const struct tdm_front *f, const struct tdm_router_look *look, struct tdm_front_view *out);
// The arms in the policy's order, the best first; ties go to the cheaper one, then to the first. A pure function.
void tdm_front_rank(const struct tdm_front *f, const struct tdm_front_policy *p, const struct tdm_front_view *view,
                    int *order);
// "arm NAME", or "price P wait W": what a certificate says of a policy. In the arena; NULL when out of memory.
const char *tdm_front_text(struct tdm_arena *arena, const struct tdm_front *f, const struct tdm_front_policy *p);

struct tdm_front_items {
	size_t n;
	const double *loss, *cost, *ms;       // [item][arm]; ms NULL = not known
	const struct tdm_front_view *views;   // [item]
	const double *risks[TDM_FRONT_RISKS]; // [item][arm], 0..1; where front.most asks for them
};
// Sets the policies of the front whose arms, predictor, estimator and most are set. Error: TDM_EVALUE (no items, or no
// policy keeps to `most` on them), TDM_ENOMEM.
int tdm_front_make(struct tdm_front *f, const struct tdm_front_items *tuning, struct tdm_arena *arena,
                   struct tdm_error *err);

struct tdm_front_claim {
	double levels[TDM_FRONT_LEVELS]; // of error, falling or not; each is a sequence of its own
	int n_levels;
	double delta;
	double margin; // the mean cost is promised at (1 + margin) times that of tuning; 0 = it is not promised
	bool is_free;  // the loss of always the last arm is 0 by its definition, and needs no test
};

struct tdm_front_verdict { // of a policy
	int level;             // the least error that it was accepted for; -1: none
	double p_value, upper; // at that level; bound of its error at delta
	double most_cost;      // that is promised; NaN = none is
	size_t n_bad;          // items with a loss above 0
	size_t n_others;       // items that the last arm does not answer
	double error, cost;    // measured here
	double risks[TDM_FRONT_RISKS];
	enum tdm_bound bound;
};
// out: one per policy. A cost above `most` is counted as that; NaN = the largest of the items, for tests.
int tdm_front_certify(const struct tdm_front *f, const struct tdm_front_items *calibration,
                      const struct tdm_front_claim *claim, double most, struct tdm_arena *arena,
                      struct tdm_front_verdict *out, struct tdm_error *err);
