// route: decides from the request alone, before anyone answers, whether the small model is good enough for it.
//
// The rule it protects: the decision is a pure function of the last user message (and, for `random`, of run->seed), and
// the record says which score met which threshold. The large score keeps: small iff score >= threshold.
//
// With `stay` it is one of all user messages of the conversation: every change of the model loses what the other one
// has read of it (its prompt cache), so a turn goes where the turn before went unless its score passes the threshold by
// that much. The turns are read again each time: nothing is remembered, and every replica decides alike.
//
// Scorers: linear (models/linear.h, fitted by learn/fit), and controls that every report compares it with: length
// (minus the bytes), random, always_small, always_large. A new scorer: a row in `scorers`, a choice in the options.
#include "cost/kinds.h"
#include "base/random.h"
#include "models/certified.h"
#include "models/gate.h"
#include "models/linear.h"
#include <string.h>

struct options {
	int scorer;
	const char *weights, *certificate, *signer;
	double threshold, rate, stay, audit;
};

struct route {
	struct tdm_model model;
	struct options o;
	struct tdm_linear *weights; // NULL: none were named
	double threshold;           // in force
	struct tdm_certified *certified;
	struct tdm_model *small, *large;
};

static double score_linear(const struct route *r, const struct tdm_run *run, const struct tdm_seen *seen) {
	return tdm_linear_score(r->weights, seen);
}

static double score_length(const struct route *r, const struct tdm_run *run, const struct tdm_seen *seen) {
	return -(double)seen->n_question;
}

// Of the seed and the text, so that many requests under one seed do not all share one fate.
static double score_random(const struct route *r, const struct tdm_run *run, const struct tdm_seen *seen) {
	struct tdm_rng rng;
	uint64_t hash = 0;
	for (size_t i = 0; i < seen->n_question; i++)
		hash = hash * 1099511628211u + (unsigned char)seen->question[i] + 1;
	tdm_rng_stream(&rng, run->seed, "route", hash);
	return tdm_rng_double(&rng);
}

static double score_small(const struct route *r, const struct tdm_run *run, const struct tdm_seen *seen) {
	return INFINITY;
}

static double score_large(const struct route *r, const struct tdm_run *run, const struct tdm_seen *seen) {
	return -INFINITY;
}

static const struct scorer {
	const char *name;
	double (*score)(const struct route *r, const struct tdm_run *run, const struct tdm_seen *seen);
} scorers[] = {
    {"linear", score_linear},      {"length", score_length},      {"random", score_random},
    {"always_small", score_small}, {"always_large", score_large},
};
enum { LINEAR, LENGTH, RANDOM, SMALL, LARGE };

struct turn { // what came of one
	double score, threshold;
	bool keep;
};

static struct turn decide(const struct route *r, const struct tdm_run *run, const struct tdm_seen *seen,
                          double threshold) {
	struct turn t = {.score = scorers[r->o.scorer].score(r, run, seen), .threshold = threshold};
	t.keep = tdm_gate_accepts(t.score, threshold);
	return t;
}

static struct turn last_turn(const struct route *r, const struct tdm_run *run, const struct tdm_request *request) {
	struct tdm_seen seen = tdm_seen_question(request);
	struct turn t = {.threshold = r->threshold};
	bool first = true;
	if (r->o.stay <= 0)
		return decide(r, run, &seen, r->threshold);
	for (size_t i = 0; i < request->n_messages; i++) {
		const struct tdm_message *m = &request->messages[i];
		if (m->from != TDM_FROM_USER)
			continue;
		seen = (struct tdm_seen){.question = m->text, .n_question = m->len};
		t = decide(r, run, &seen, first ? r->threshold : r->threshold + (t.keep ? -r->o.stay : r->o.stay));
		first = false;
	}
	return first ? decide(r, run, &seen, r->threshold) : t;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct route *r = (const struct route *)m;
	if (tdm_wants_tools(request) && !(r->small->can & TDM_CAN_TOOLS)) {
		tdm_gate_record(run, m, r->large->name, "tools", (double)NAN, (double)NAN, NULL);
		return tdm_generate(r->large, run, request, sink, result);
	}
	if (!tdm_certified_holds(r->certified, run)) {
		tdm_gate_record(run, m, r->large->name, "certificate", (double)NAN, (double)NAN, NULL);
		return tdm_generate(r->large, run, request, sink, result);
	}
	struct turn t = last_turn(r, run, request);
	struct tdm_model *chosen = t.keep ? r->small : r->large;
	bool stayed = isfinite(t.score) && t.keep != tdm_gate_accepts(t.score, r->threshold);
	tdm_gate_record(run, m, chosen->name, scorers[r->o.scorer].name, isfinite(t.score) ? t.score : (double)NAN,
	                isfinite(t.threshold) ? t.threshold : (double)NAN, stayed ? "stays" : NULL);
	return tdm_certified_generate(r->certified, chosen, r->large, run, request, sink, result);
}

// The threshold in force: the one that is set, or the one that the wished share of requests reaches.
static int set_threshold(const struct tdm_build *b, struct route *r) {
	const struct options *o = &r->o;
	r->threshold = o->threshold;
	if (o->scorer >= SMALL)
		r->threshold = 0;
	else if (o->rate >= 0 && o->scorer == RANDOM)
		r->threshold = 1 - o->rate;
	else if (o->rate >= 0 && !r->weights)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: rate needs weights, whose file knows the spread of scores",
		                b->where);
	else if (o->rate >= 0)
		r->threshold =
		    tdm_linear_threshold(o->scorer == LINEAR ? r->weights->by_score : r->weights->by_length, o->rate);
	return TDM_OK;
}

// What is promised is one threshold for every turn: nothing else may decide.
static int open_certificate(const struct tdm_build *b, struct route *r) {
	if (r->o.certificate && (r->o.scorer >= SMALL || r->o.stay > 0 || r->o.rate >= 0))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: a certificate is of a threshold alone; expected no rate, no stay and a scorer", b->where);
	int status = tdm_certified_open(b, &r->model, r->o.certificate, r->o.signer, &r->certified);
	if (r->certified)
		r->threshold = tdm_certified_threshold(r->certified);
	return status ? status : tdm_certified_watch(b, r->certified, r->o.audit);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct tdm_model *small = tdm_build_role(b, "small"), *large = tdm_build_role(b, "large");
	unsigned can = TDM_CAN_TEXT | (small->can & large->can & TDM_CAN_LOGPROBS) | (large->can & TDM_CAN_TOOLS);
	struct route *r = tdm_build_model(b, sizeof *r, &ops, can);
	if (!r)
		return TDM_ENOMEM;
	r->o = *(const struct options *)options;
	r->small = small;
	r->large = large;
	*out = &r->model;
	if (r->o.weights) {
		int status = tdm_linear_open(b, r->o.weights, TDM_READS_QUESTION, &r->weights);
		if (status != TDM_OK)
			return status;
	} else if (r->o.scorer == LINEAR)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: scorer linear needs weights: a path, or embedded:route", b->where);
	int status = set_threshold(b, r);
	return status ? status : open_certificate(b, r);
}

static const struct tdm_role roles[] = {
    {"small", TDM_CAN_TEXT, 1, 1, "answers what it is likely to get right"},
    {"large", TDM_CAN_TEXT, 1, 1, "answers the rest"},
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option table[] = {
    {"scorer", TDM_OPT_CHOICE, AT(scorer), "linear", 0, 0, "linear|length|random|always_small|always_large",
     "what the last user message is judged by"},
    {"weights", TDM_OPT_STRING, AT(weights), NULL, 0, 0, NULL, "file of the scorer, or embedded:route"},
    {"threshold", TDM_OPT_NUMBER, AT(threshold), "0.5", 0, 0, NULL,
     "small from this score on: probability (linear), minus the bytes (length), 0..1 (random)"},
    {"stay", TDM_OPT_NUMBER, AT(stay), "0", 0, 1e9, NULL,
     "by how much a score must pass the threshold to change the model within a conversation; 0 = turns are on their "
     "own"},
    {"rate", TDM_OPT_NUMBER, AT(rate), "-1", -1, 1, NULL, "instead: share of requests for small, 0..1; -1 = not set"},
    TDM_CERTIFIED_OPTIONS(AT(certificate), AT(signer)),
    {"audit", TDM_OPT_NUMBER, AT(audit), "0", 0, 1, NULL,
     "share of the requests whose kept answers are compared with the large model's; needs a certificate whose loss is "
     "differs"},
};

const struct tdm_kind tdm_kind_route = {
    .name = "route",
    .summary = "one look at the request, then the small or the large model answers it",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_COST,
    .leaf = "B3a",
    .source = "arXiv 2406.18665, 2404.14618",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
