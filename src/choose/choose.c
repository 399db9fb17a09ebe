// choose: picks one of its arms for each request, by the objective that travels with it.
//
// The rule it protects: a condition (privacy, trust, max_cost) is never traded for anything. An arm that cannot meet
// one is dropped; among the others the first in the listed order (or the cheapest) answers; when none is left the
// request is refused with the name of the bound. Tightening a bound never brings an arm back.
//
// What an arm can promise is read from its tree: nothing leaves, or everything that leaves passes a mask (a mask works
// at the level of the objective when that is higher than its own); every source is behind a guard. The cost is an upper
// estimate: the request at four bytes a token and max_tokens of answer, on the dearest source of the arm.
#include "choose/kinds.h"
#include "models/promise.h"
#include "models/gate.h"
#include "models/sources.h"
#include <string.h>

enum { MOST_ARMS = 16, ANSWER_TOKENS = 512 }; // an answer's length when the request sets no limit
enum { MOST_TRUST = 1 };                      // trust that a guard gives: both sides are looked at

struct options {
	int prefer;
};
enum { BY_ORDER, BY_COST };

struct choose {
	struct tdm_model model;
	struct options o;
	struct tdm_model *arms[MOST_ARMS];
	size_t n;
};

static bool is_kind(const struct tdm_model *m, const char *name) {
	return m->kind && !strcmp(m->kind->name, name);
}

// Is there a way through the tree to a source without passing `kind`? leaving: sources that stay here do not count.
static bool avoids(const struct tdm_model *m, const char *kind, bool leaving) {
	if (is_kind(m, kind) || (leaving && !m->leaves))
		return false;
	for (size_t i = 0; i < m->n_parts; i++)
		if (avoids(m->parts[i], kind, leaving))
			return true;
	return m->n_parts == 0;
}

static bool meets_privacy(const struct tdm_model *arm, const struct tdm_objective *o) {
	if (o->privacy <= 0 || !arm->leaves)
		return true;
	return o->privacy <= TDM_MASK_KEEPS && !avoids(arm, "mask", true);
}

static bool meets_trust(const struct tdm_model *arm, const struct tdm_objective *o) {
	return o->trust <= 0 || (o->trust <= MOST_TRUST && !avoids(arm, "guard", false));
}

// Of the dearest source that the arm may call.
static double estimate(const struct tdm_model *m, const struct tdm_request *request) {
	int64_t out = request->max_tokens > 0 ? request->max_tokens : ANSWER_TOKENS;
	double in = (double)tdm_estimate_tokens(tdm_request_bytes(request));
	double most = (in * m->price.in + (double)out * m->price.out) / 1e6;
	for (size_t i = 0; i < m->n_parts; i++)
		most = fmax(most, estimate(m->parts[i], request));
	return most;
}

struct view { // of the arms that a request sees
	bool fits[MOST_ARMS];
	double cost[MOST_ARMS];
	size_t n_private, n_trusted, n_fit; // that can call wanted tools and meet privacy; also trust; all
	double least_cost;                  // of those that meet privacy and trust
};

static void look(const struct choose *c, const struct tdm_objective *o, const struct tdm_request *request,
                 struct view *v) {
	*v = (struct view){.least_cost = INFINITY};
	for (size_t i = 0; i < c->n; i++) {
		bool is_able = !tdm_wants_tools(request) || (c->arms[i]->can & TDM_CAN_TOOLS);
		bool is_private = is_able && meets_privacy(c->arms[i], o);
		bool is_trusted = is_private && meets_trust(c->arms[i], o);
		v->cost[i] = estimate(c->arms[i], request);
		v->fits[i] = is_trusted && !(v->cost[i] > o->max_cost);
		v->n_private += is_private;
		v->n_trusted += is_trusted;
		v->n_fit += v->fits[i];
		if (is_trusted)
			v->least_cost = fmin(v->least_cost, v->cost[i]);
	}
}

// The index of the arm that answers; n when none fits.
static size_t decide(const struct options *o, const struct view *v, size_t n) {
	size_t best = n;
	for (size_t i = 0; i < n; i++)
		if (v->fits[i] && (best == n || (o->prefer == BY_COST && v->cost[i] < v->cost[best])))
			best = i;
	return best;
}

static int refuse(const struct choose *c, struct tdm_run *run, const struct view *v) {
	const struct tdm_objective *o = &run->objective;
	if (v->n_private == 0)
		return tdm_fail(
		    &run->error, TDM_EPRIVACY,
		    o->privacy > TDM_MASK_KEEPS
		        ? "%s: privacy %d lets nothing leave this machine, but every model to choose from sends bytes out"
		        : "%s: privacy %d needs a mask before anything leaves, but no model to choose from has one",
		    c->model.name, o->privacy);
	if (v->n_trusted == 0)
		return tdm_fail(&run->error, TDM_EOBJECTIVE, "%s: no model to choose from gives trust %d", c->model.name,
		                o->trust);
	return tdm_fail(&run->error, TDM_EOBJECTIVE, "%s: max_cost %g is below the least estimate, %g", c->model.name,
	                o->max_cost, v->least_cost);
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct choose *c = (const struct choose *)m;
	struct view v;
	look(c, &run->objective, request, &v);
	size_t best = decide(&c->o, &v, c->n);
	if (best == c->n)
		return refuse(c, run, &v);
	tdm_gate_record(run, m, c->arms[best]->name, "cost", v.cost[best], run->objective.max_cost,
	                "%zu of %zu fit: %zu keep privacy, %zu also trust", v.n_fit, c->n, v.n_private, v.n_trusted);
	return tdm_generate(c->arms[best], run, request, sink, result);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct choose *c = tdm_build_model(b, sizeof *c, &ops, TDM_CAN_TEXT | TDM_CAN_LOGPROBS);
	if (!c)
		return TDM_ENOMEM;
	c->o = *(const struct options *)options;
	c->n = tdm_build_roles(b, "arms", c->arms, MOST_ARMS);
	for (size_t i = 0; i < c->n; i++)
		c->model.can &= c->arms[i]->can | TDM_CAN_TEXT;
	for (size_t i = 0; i < c->n; i++) // one is enough: the others are no choice then
		c->model.can |= c->arms[i]->can & TDM_CAN_TOOLS;
	*out = &c->model;
	return TDM_OK;
}

static const struct tdm_role roles[] = {
    {"arms", TDM_CAN_TEXT, 1, MOST_ARMS, "models to choose from, the preferred one first"},
};

static const struct tdm_option table[] = {
    {"prefer", TDM_OPT_CHOICE, offsetof(struct options, prefer), "order", 0, 0, "order|cheapest",
     "which of the arms that fit: the first listed, or the cheapest by estimate"},
};

const struct tdm_kind tdm_kind_choose = {
    .name = "choose",
    .summary = "one of several models for each request, by what it asks of privacy, trust and cost",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_NONE,
    .leaf = "B3a",
    .source = "arXiv 2410.08014",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
