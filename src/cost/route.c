// route: decides from the request alone, before anyone answers, whether the small model is good enough for it.
//
// The rule it protects: the decision is a pure function of the last user message (and, for `random`, of run->seed), and
// the record says which score met which threshold. The large score keeps: small iff score >= threshold.
//
// With `stay` it is one of all user messages of the conversation: every change of the model loses what the other one
// has read of it (its prompt cache), so a turn goes where the turn before went unless its score passes the threshold by
// that much. The turns are read again each time: nothing is remembered, and every replica decides alike.
//
// Scorers: linear (models/predict/linear.h, fitted by learn/fit on answers to the gym), those of a router's file
// (models/predict/router.h, fitted by learn/router_fit on a table of outcomes), and controls that every report compares
// them with: length (minus the bytes), random, always_small, always_large. A new scorer: a row in `scorers`, a choice
// in the options.
//
// A router of the file knows two or many models: small, then those between, then large; its score is how likely an
// answer of small does for one of large. A request whose words it has hardly seen is not decided: large answers.
#include "cost/kinds.h"
#include "cost/route.h"
#include "base/random.h"
#include "models/certified.h"
#include "models/gate.h"
#include "models/predict/linear.h"
#include "models/predict/router.h"
#include <string.h>

struct options {
	int scorer;
	const char *weights, *certificate, *signer;
	double threshold, rate, stay, audit, spend, willingness_to_pay, familiar, undecided;
};

struct route {
	struct tdm_model model;
	struct options o;
	struct tdm_linear *weights; // NULL: none were named
	double threshold;           // in force
	struct tdm_certified *certified;
	struct tdm_model *small, *large;
	struct tdm_router *router;                            // of the scorers from `quality` on
	double familiar;                                      // the least in force
	struct tdm_model *models[TDM_ROUTER_MODELS], *reader; // reader: whose vectors the router reads; NULL: none
	size_t n_models;
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
    {"linear", score_linear},
    {"length", score_length},
    {"random", score_random},
    {"always_small", score_small},
    {"always_large", score_large},
    {"quality", NULL},
    {"gap", NULL},
    {"knn", NULL},
    {"similarity", NULL},
    {"mf", NULL},
};
enum { LINEAR, LENGTH, RANDOM, SMALL, LARGE, FITTED };

struct turn { // what came of one
	double score, threshold;
	struct tdm_model *chosen;
	bool keep; // anything but large
	const char *why;
	double familiar, quality, cost; // of the chosen, by a router
};

// A request without a vector is not decided: large answers it.
static int look(const struct route *r, struct tdm_run *run, const struct tdm_seen *seen, struct tdm_router_look *out) {
	struct tdm_router_sight sight = {.text = seen->question, .n = seen->n_question};
	int width = 0;
	if (r->router->width > 0) {
		int status = tdm_router_vector(r->router->reads, run, r->reader, seen->question, seen->n_question,
		                               &sight.vector, &width);
		if (status)
			return status;
		if (width != r->router->width)
			return tdm_fail(&run->error, TDM_ECONFIG, "%s: vectors of %s have %d numbers, its router was fitted on %d",
			                r->model.name, r->reader->name, width, r->router->width);
	}
	return tdm_router_judge(r->router, &sight, run->arena, out);
}

static int decide_fitted(const struct route *r, struct tdm_run *run, const struct tdm_seen *seen, struct turn *t) {
	struct tdm_router_look seen_now = {.good = {0}};
	struct tdm_router_policy policy = {t->threshold, r->o.willingness_to_pay, r->familiar};
	bool undecided = true;
	size_t choice = r->n_models - 1;
	int status = look(r, run, seen, &seen_now);
	if (status && !tdm_gate_may_replace(status))
		return status;
	if (status)
		tdm_error_clear(&run->error);
	else
		choice = (size_t)tdm_router_choose(r->router, &seen_now, &policy, &undecided);
	t->score = status ? (double)NAN : seen_now.good[0];
	t->familiar = seen_now.familiar;
	t->quality = seen_now.quality[choice];
	t->cost = seen_now.cost[choice];
	t->keep = choice + 1 < r->n_models;
	t->chosen = r->models[choice];
	t->why = status ? "undecided, no vector" : undecided ? "undecided" : NULL;
	return TDM_OK;
}

static int decide(const struct route *r, struct tdm_run *run, const struct tdm_seen *seen, double threshold,
                  struct turn *t) {
	*t = (struct turn){.threshold = threshold};
	if (r->o.scorer >= FITTED)
		return decide_fitted(r, run, seen, t);
	t->score = scorers[r->o.scorer].score(r, run, seen);
	t->keep = tdm_gate_accepts(t->score, threshold);
	t->chosen = t->keep ? r->small : r->large;
	return TDM_OK;
}

static int last_turn(const struct route *r, struct tdm_run *run, const struct tdm_request *request, struct turn *t) {
	struct tdm_seen seen = tdm_seen_question(request);
	bool first = true;
	int status = TDM_OK;
	if (r->o.stay <= 0)
		return decide(r, run, &seen, r->threshold, t);
	for (size_t i = 0; i < request->n_messages && !status; i++) {
		const struct tdm_message *m = &request->messages[i];
		if (m->from != TDM_FROM_USER)
			continue;
		seen = (struct tdm_seen){.question = m->text, .n_question = m->len};
		status = decide(r, run, &seen, first ? r->threshold : r->threshold + (t->keep ? -r->o.stay : r->o.stay), t);
		first = false;
	}
	return first ? decide(r, run, &seen, r->threshold, t) : status;
}

static void record(const struct route *r, struct tdm_run *run, const struct turn *t) {
	double threshold = isfinite(t->threshold) && r->o.willingness_to_pay <= 0 ? t->threshold : (double)NAN;
	double score = isfinite(t->score) ? t->score : (double)NAN;
	const char *name = scorers[r->o.scorer].name;
	bool stayed = isfinite(t->score) && t->keep != tdm_gate_accepts(t->score, r->threshold);
	if (r->o.scorer < FITTED)
		tdm_gate_record(run, &r->model, t->chosen->name, name, score, threshold, stayed ? "stays" : NULL);
	else
		tdm_gate_record(run, &r->model, t->chosen->name, name, score, threshold,
		                "%s%sfamiliar %.3f of at least %.3f, quality %.4g, price %.4g", t->why ? t->why : "",
		                t->why ? ": " : "", t->familiar, r->familiar, t->quality, t->cost);
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
	struct turn t;
	int status = last_turn(r, run, request, &t);
	if (status)
		return status;
	record(r, run, &t);
	return tdm_certified_generate(r->certified, t.chosen, r->large, run, request, sink, result);
}

int tdm_route_view(struct tdm_model *m, struct tdm_run *run, const char *text, size_t n, struct tdm_route_view *out) {
	const struct route *r = (const struct route *)m;
	struct tdm_seen seen = {.question = text, .n_question = n};
	struct turn t;
	if (m->kind != &tdm_kind_route)
		return tdm_fail(&run->error, TDM_EVALUE, "%s is no route", m->name);
	int status = decide(r, run, &seen, r->threshold, &t);
	out->score = t.why ? (double)NAN : t.score;
	out->threshold = r->o.willingness_to_pay > 0 ? (double)NAN : r->threshold;
	return status;
}

// The threshold in force: the one that is set, or the one that the wished share of requests reaches.
static int set_threshold(const struct tdm_build *b, struct route *r) {
	const struct options *o = &r->o;
	r->threshold = o->threshold;
	if (o->scorer == SMALL || o->scorer == LARGE)
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
	bool is_other = r->o.scorer == SMALL || r->o.scorer == LARGE || r->o.stay > 0 || r->o.rate >= 0 ||
	                r->o.spend >= 0 || r->o.willingness_to_pay > 0;
	if (r->o.certificate && is_other)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: a certificate is of a threshold alone; expected a scorer and no rate, stay, spend or "
		                "willingness_to_pay",
		                b->where);
	int status = tdm_certified_open(b, &r->model, r->o.certificate, r->o.signer, &r->certified);
	if (r->certified)
		r->threshold = tdm_certified_threshold(r->certified);
	return status ? status : tdm_certified_watch(b, &r->model, r->o.audit, &r->certified);
}

static void set_fitted_threshold(struct route *r) {
	const struct options *o = &r->o;
	r->threshold = o->threshold;
	if (o->rate >= 0)
		r->threshold = tdm_linear_threshold(r->router->by_score, o->rate);
	else if (o->spend >= 0)
		r->threshold = tdm_router_threshold_by_spend(r->router, o->spend);
	r->familiar = o->undecided > 0 ? tdm_linear_threshold(r->router->by_familiar, 1 - o->undecided) : o->familiar;
}

static int find_reader(const struct tdm_build *b, struct route *r) {
	enum tdm_router_reads reads = r->router->reads;
	if (reads == TDM_ROUTER_READS_TEXT)
		return TDM_OK;
	r->reader = reads == TDM_ROUTER_READS_VECTOR ? tdm_build_role(b, "embedder") : r->small;
	if (!r->reader)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s reads vectors: it expects a model in role \"embedder\"",
		                b->where, r->o.weights);
	if (reads != TDM_ROUTER_READS_VECTOR && !(r->small->can & TDM_CAN_STEP))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: %s reads what %s computes, which that model does not show: a local one can", b->where,
		                r->o.weights, r->small->name);
	return TDM_OK;
}

// small, those between, large, as many as the router was fitted on; the embedder where it reads vectors.
static int create_fitted(const struct tdm_build *b, struct route *r) {
	if (!r->o.weights)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: scorer %s needs weights: a file of tandem fit-router", b->where,
		                scorers[r->o.scorer].name);
	int status = tdm_router_open(b, r->o.weights, &r->router);
	if (status)
		return status;
	if (strcmp(tdm_router_names[r->router->scorer], scorers[r->o.scorer].name) != 0)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s holds scorer %s, not %s", b->where, r->o.weights,
		                tdm_router_names[r->router->scorer], scorers[r->o.scorer].name);
	r->models[0] = r->small;
	r->n_models = 2 + tdm_build_roles(b, "between", r->models + 1, TDM_ROUTER_MODELS - 2);
	if (r->n_models != (size_t)r->router->n_models)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s was fitted on %d models (the cheapest first), here are %zu",
		                b->where, r->o.weights, r->router->n_models, r->n_models);
	r->models[r->n_models - 1] = r->large;
	status = find_reader(b, r);
	if (status)
		return status;
	set_fitted_threshold(r);
	return TDM_OK;
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
	if (r->o.scorer >= FITTED) {
		int status = create_fitted(b, r);
		return status ? status : open_certificate(b, r);
	}
	if (tdm_build_roles(b, "between", r->models, TDM_ROUTER_MODELS) > 0)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: scorer %s knows two models; with some between them a scorer of "
		                "tandem fit-router is needed",
		                b->where, scorers[r->o.scorer].name);
	if (r->o.spend >= 0 || r->o.willingness_to_pay > 0 || r->o.familiar > 0 || r->o.undecided > 0)
		return tdm_fail(
		    b->error, TDM_ECONFIG,
		    "%s: spend, willingness_to_pay, familiar and undecided are of a router's file; scorer %s has none",
		    b->where, scorers[r->o.scorer].name);
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
    {"between", TDM_CAN_TEXT, 0, TDM_ROUTER_MODELS - 2, "the models between them, the cheaper the earlier"},
    {"embedder", TDM_CAN_EMBED, 0, 1, "makes the vectors that a router was fitted on"},
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option table[] = {
    {"scorer", TDM_OPT_CHOICE, AT(scorer), "linear", 0, 0,
     "linear|length|random|always_small|always_large|quality|gap|knn|similarity|mf",
     "what the last user message is judged by"},
    {"weights", TDM_OPT_STRING, AT(weights), NULL, 0, 0, NULL, "file of the scorer (tandem fit), or embedded:route"},
    {"threshold", TDM_OPT_NUMBER, AT(threshold), "0.5", 0, 0, NULL,
     "small from this score on: probability (linear), that it does for large (quality, gap, knn, similarity, mf), "
     "minus "
     "the bytes (length), 0..1 (random)"},
    {"stay", TDM_OPT_NUMBER, AT(stay), "0", 0, 1e9, NULL,
     "by how much a score must pass the threshold to change the model within a conversation; 0 = turns are on their "
     "own"},
    {"rate", TDM_OPT_NUMBER, AT(rate), "-1", -1, 1, NULL, "instead: share of requests for small, 0..1; -1 = not set"},
    TDM_CERTIFIED_OPTIONS(AT(certificate), AT(signer)),
    {"audit", TDM_OPT_NUMBER, AT(audit), "0", 0, 1, NULL,
     "share of the requests whose kept answers are compared with the large model's; a certificate, whose loss is "
     "differs then, is suspended by what that shows"},
    {"spend", TDM_OPT_NUMBER, AT(spend), "-1", -1, 1, NULL,
     "instead: the mean price as a share of that of large alone, as it was on the items of the fit; -1 = not set"},
    {"willingness_to_pay", TDM_OPT_NUMBER, AT(willingness_to_pay), "0", 0, 1e9, NULL,
     "instead of a threshold: what a right answer is worth, in the unit of the table's costs; 0 = not set"},
    {"familiar", TDM_OPT_NUMBER, AT(familiar), "0", 0, 1, NULL,
     "least share of a request's words that the fit has seen; below it is undecided and large answers; 0 = never"},
    {"undecided", TDM_OPT_NUMBER, AT(undecided), "0", 0, 1, NULL,
     "instead: the share of requests like those of the fit that may be undecided; 0 = not set"},
};

const struct tdm_kind tdm_kind_route = {
    .name = "route",
    .summary = "one look at the request, then the small or the large model answers it",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_COST,
    .leaf = "B3a",
    .source = "arXiv 2406.18665, 2404.14618, 2502.03261",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
