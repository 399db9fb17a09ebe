// choose: picks one of its arms for each request, by the objective that travels with it.
//
// The rules it protects. A condition (privacy, trust, max_cost, and with `strict` the latency) is never traded for
// anything: an arm that cannot meet one is dropped, and tightening a bound never brings an arm back. With a front
// (front.h) the cheapest certified policy that promises the wanted quality ranks the arms, found from the objective
// alone and never from the text; the first arm that is not dropped answers, and if that is not the policy's own choice
// the receipt says `uncertified` and why. A policy whose promise was withdrawn is passed by. Without any that promises
// enough the model in role `fallback` answers, or nobody: it fails closed. Without a front the order of the arms,
// their price or their risk is the policy, and nothing is promised. A request that is drawn to be explored, so that the
// outcomes of other arms stay known, goes to one that fits, each equally likely; never one that wishes a quality, or is
// strict.
//
// What an arm can promise is read from its tree: nothing leaves, or everything that leaves passes a mask (a mask works
// at the level of the objective when that is higher than its own); every source is behind a guard. The cost is an upper
// estimate: the request at four bytes a token and max_tokens of answer, on the dearest source of the arm.
#include "choose/front_file.h"
#include "choose/kinds.h"
#include "models/policies/attempt.h"
#include "models/certified.h"
#include "models/gate.h"
#include "models/promise.h"
#include "models/sources.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_ARMS = TDM_FRONT_ARMS, ANSWER_TOKENS = 512 }; // an answer's length when the request sets no limit
enum { MOST_TRUST = 1 };                                  // trust that a guard gives: both sides are looked at

struct options {
	int prefer;
	const char *front, *signer;
	double quality, audit, explore, risk;
};
enum { BY_ORDER, BY_COST, BY_RISK };

struct choose {
	struct tdm_model model;
	struct options o;
	struct tdm_model *arms[MOST_ARMS], *fallback; // fallback: NULL = none
	size_t n;
	struct tdm_front *front; // NULL: nothing is promised
	struct tdm_certified *promises[TDM_FRONT_POLICIES];
	double errors[TDM_FRONT_POLICIES]; // that they promise
	int n_promises;
};

// --- what an arm can meet

static bool is_kind(const struct tdm_model *m, const char *name) {
	return m->kind && !strcmp(m->kind->name, name);
}

// Is there a way through the tree to a source without passing `kind`?
static bool avoids(const struct tdm_model *m, const char *kind) {
	if (is_kind(m, kind))
		return false;
	for (size_t i = 0; i < m->n_parts; i++)
		if (avoids(m->parts[i], kind))
			return true;
	return m->n_parts == 0;
}

static bool meets_privacy(const struct tdm_model *arm, const struct tdm_objective *o) {
	return o->privacy <= 0 || !tdm_leaves_below(arm, o->privacy);
}

static bool meets_trust(const struct tdm_model *arm, const struct tdm_objective *o) {
	return o->trust <= 0 || (o->trust <= MOST_TRUST && !avoids(arm, "guard"));
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

struct view {                                   // of the arms that a request sees; the last one is the fallback
	const char *dropped[MOST_ARMS + 1];         // because; NULL: it may answer
	double cost[MOST_ARMS + 1];                 // at most
	double risk[MOST_ARMS + 1];                 // of a leak; NaN = not estimated
	size_t n_private, n_trusted, n_paid, n_fit; // that can call wanted tools and meet privacy; also trust; cost; all
	double least_cost;                          // of those that meet privacy and trust
	double least_risk;                          // of those that were dropped for it
	struct tdm_front_view expected;
	bool has_expected, is_late; // is_late: no arm keeps the wished latency, and none was dropped for it
};

// The first condition that the arm does not meet.
static const char *failing(const struct choose *c, size_t arm, const struct tdm_model *m, const struct tdm_objective *o,
                           const struct tdm_request *request, double cost, double risk) {
	double slow_ms = c->front && arm < c->n ? c->front->arms[arm].slow_ms : (double)NAN;
	if (tdm_wants_tools(request) && !(m->can & TDM_CAN_TOOLS))
		return "tools";
	if (!meets_privacy(m, o))
		return "privacy";
	if (risk > c->o.risk)
		return "risk";
	if (!meets_trust(m, o))
		return "trust";
	if (cost > o->max_cost)
		return "max_cost";
	return o->max_latency_ms && slow_ms > (double)o->max_latency_ms ? "max_latency_ms" : NULL;
}

static bool is_over_latency(const char *dropped) {
	return dropped && !strcmp(dropped, "max_latency_ms");
}

// A latency that is only wished for drops no arm when no other one is left.
static void forgive_latency(const struct choose *c, const struct tdm_objective *o, struct view *v) {
	if (v->n_fit || o->strict)
		return;
	for (size_t i = 0; i < c->n; i++)
		if (is_over_latency(v->dropped[i])) {
			v->dropped[i] = NULL;
			v->is_late = true;
			v->n_fit++;
		}
}

static bool is_but(const char *dropped, const char *reason) {
	return !dropped || strcmp(dropped, reason) != 0;
}

// An arm that fails a condition meets those that are asked before.
static void count_arm(struct view *v, size_t i, bool is_arm) {
	const char *why = v->dropped[i];
	bool is_private = is_but(why, "tools") && is_but(why, "privacy") && is_but(why, "risk");
	bool is_trusted = is_private && is_but(why, "trust");
	v->n_private += is_private;
	v->n_trusted += is_trusted;
	v->n_paid += is_trusted && (!why || is_over_latency(why));
	v->n_fit += !why && is_arm;
	if (is_trusted)
		v->least_cost = fmin(v->least_cost, v->cost[i]);
	if (!is_but(why, "risk"))
		v->least_risk = fmin(v->least_risk, v->risk[i]);
}

static void look(const struct choose *c, struct tdm_run *run, const struct tdm_request *request, struct view *v) {
	const struct tdm_objective *o = &run->objective;
	bool estimates = c->o.risk < 1 || c->o.prefer == BY_RISK;
	*v = (struct view){.least_cost = INFINITY, .least_risk = INFINITY};
	for (size_t i = 0; i < c->n + (c->fallback != NULL); i++) {
		struct tdm_model *m = i < c->n ? c->arms[i] : c->fallback;
		v->cost[i] = estimate(m, request);
		v->risk[i] = estimates ? tdm_leak_risk(m, run, request) : (double)NAN;
		v->dropped[i] = failing(c, i, m, o, request, v->cost[i], v->risk[i]);
		count_arm(v, i, i < c->n);
	}
	forgive_latency(c, o, v);
}

static int refuse(const struct choose *c, struct tdm_run *run, const struct view *v) {
	const struct tdm_objective *o = &run->objective;
	if (v->n_private == 0 && v->least_risk <= 1)
		return tdm_fail(&run->error, TDM_EPRIVACY,
		                "%s: every model to choose from would let a private value leave with a probability of %.2f or "
		                "more, by estimate, and %.2f is allowed (risk)",
		                c->model.name, v->least_risk, c->o.risk);
	if (v->n_private == 0)
		return tdm_fail(
		    &run->error, TDM_EPRIVACY,
		    o->privacy == 4
		        ? "%s: privacy %d lets nothing leave this machine, but every model to choose from sends bytes out"
		        : "%s: privacy %d needs a mask that hides so much before anything leaves, but no model to choose from "
		          "has one",
		    c->model.name, o->privacy);
	if (v->n_trusted == 0)
		return tdm_fail(&run->error, TDM_EOBJECTIVE, "%s: no model to choose from gives trust %d", c->model.name,
		                o->trust);
	if (v->n_paid == 0)
		return tdm_fail(&run->error, TDM_EOBJECTIVE, "%s: max_cost %g is below the least estimate, %g", c->model.name,
		                o->max_cost, v->least_cost);
	return tdm_fail(&run->error, TDM_EOBJECTIVE, "%s: no model to choose from answers within %lld ms as a rule",
	                c->model.name, (long long)o->max_latency_ms);
}

// --- which policy

struct turn {             // what came of one
	int order[MOST_ARMS]; // the arms, the first choice first
	int policy;           // -1: none, the order is of the settings
	const struct tdm_certified *promise;
	bool is_asked_for; // the request wishes a quality itself
	bool is_explored;
};

static double least_quality(const struct choose *c, const struct tdm_objective *o) {
	return isnan(o->quality) ? c->o.quality : fmax(o->quality, c->o.quality);
}

// The cheapest policy that promises an error of at most `error`, in `order` of cost. Those that were withdrawn are
// passed by, with a note. -1: none.
static int cheapest_promise(const struct choose *c, struct tdm_run *run, double error) {
	bool tried[TDM_FRONT_POLICIES] = {false};
	for (;;) {
		int best = -1;
		for (int i = 0; i < c->n_promises; i++)
			if (!tried[i] && c->errors[i] <= error + 1e-12 &&
			    (best < 0 || c->front->policies[i].cost < c->front->policies[best].cost))
				best = i;
		if (best < 0)
			return -1;
		const char *state = tdm_certified_state(c->promises[best]);
		if (!strcmp(state, "valid"))
			return best;
		tried[best] = true;
		tdm_certified_mark(c->promises[best], run, false);
		tdm_record_warn(run->record, !strcmp(state, "expired") ? "certificate_expired" : "certificate_suspended", NULL,
		                "a promise was withdrawn: the next one that promises enough is in force");
	}
}

// What the predictor expects of each arm; without one the table's means.
static int expect(const struct choose *c, struct tdm_run *run, const struct tdm_request *request, struct view *v) {
	struct tdm_seen seen = tdm_seen_question(request);
	struct tdm_router_sight sight = {.text = seen.question, .n = seen.n_question};
	struct tdm_router_look found = {.good = {0}};
	if (c->front->predictor && tdm_router_judge(c->front->predictor, &sight, run->arena, &found))
		return tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory for a prediction", c->model.name);
	tdm_front_see(c->front, c->front->predictor ? &found : NULL, &v->expected);
	v->has_expected = true;
	return TDM_OK;
}

static void order_by_settings(const struct choose *c, const struct view *v, struct turn *t) {
	const double *by = c->o.prefer == BY_RISK ? v->risk : v->cost;
	for (int i = 0; i < (int)c->n; i++) {
		int at = i;
		for (; at > 0 && c->o.prefer != BY_ORDER && by[i] < by[t->order[at - 1]]; at--)
			t->order[at] = t->order[at - 1];
		t->order[at] = i;
	}
}

// No promise is as tight as wished: where that is a condition nobody answers, else the fallback, else what is safest.
static int find_policy(const struct choose *c, struct tdm_run *run, struct turn *t) {
	double quality = least_quality(c, &run->objective);
	bool must = run->objective.strict && t->is_asked_for;
	t->policy = cheapest_promise(c, run, 1 - quality);
	if (t->policy >= 0 || (c->fallback && !must))
		return TDM_OK;
	for (int i = 0; i < c->n_promises && t->policy < 0 && !must; i++)
		if (!strcmp(tdm_certified_state(c->promises[i]), "valid"))
			t->policy = i;
	if (t->policy < 0)
		return tdm_fail(&run->error, TDM_EOBJECTIVE, "%s: no policy in force promises a quality of %g%s", c->model.name,
		                quality, must ? "" : ", and there is no fallback");
	tdm_record_warn(run->record, "objective_missed", "quality", "no policy promises as much: the safest one answers");
	return TDM_OK;
}

static size_t draw_below(size_t n) {
	size_t drawn = 0;
	for (size_t i = 1; i < n; i++)
		if (tdm_certified_toss(1.0 / (double)(i + 1)))
			drawn = i;
	return drawn;
}

// One of the arms that fit comes first, each equally likely; the others stay in order behind it.
static void explore(const struct choose *c, struct tdm_run *run, const struct view *v, struct turn *t) {
	if (t->is_asked_for || run->objective.strict || v->n_fit < 2 || !tdm_certified_toss(c->o.explore))
		return;
	size_t left = draw_below(v->n_fit), at = 0;
	while (v->dropped[t->order[at]] || left-- > 0)
		at++;
	int drawn = t->order[at];
	memmove(t->order + 1, t->order, at * sizeof *t->order);
	t->order[0] = drawn;
	t->is_explored = true;
}

static int rank(const struct choose *c, struct tdm_run *run, const struct tdm_request *request, struct view *v,
                struct turn *t) {
	*t = (struct turn){.policy = -1, .is_asked_for = !isnan(run->objective.quality)};
	order_by_settings(c, v, t);
	int status = c->front ? expect(c, run, request, v) : TDM_OK;
	if (!status && c->front)
		status = find_policy(c, run, t);
	if (status || (c->front && t->policy < 0))
		return status;
	if (t->policy >= 0) {
		t->promise = c->promises[t->policy];
		tdm_front_rank(c->front, &c->front->policies[t->policy], &v->expected, t->order);
	}
	explore(c, run, v, t);
	return TDM_OK;
}

// --- the record

static void put_arm(struct tdm_bytes *b, const struct tdm_model *m, const struct view *v, size_t i, bool has_expected) {
	tdm_bytes_join(b, b->len ? "; " : "", m->name, ":");
	if (has_expected) {
		tdm_bytes_printf(b, " quality %.3f cost %.3g", v->expected.quality[i], v->expected.cost[i]);
		if (!isnan(v->expected.ms[i]))
			tdm_bytes_printf(b, " %.3g ms", v->expected.ms[i]);
	}
	tdm_bytes_printf(b, " at most %.3g", v->cost[i]);
	if (!isnan(v->risk[i]))
		tdm_bytes_printf(b, " risk %.3g", v->risk[i]);
	if (v->dropped[i])
		tdm_bytes_join(b, ", dropped: ", v->dropped[i], "");
}

// Of every arm what was expected of it and why it was dropped.
static const char *describe(const struct choose *c, struct tdm_run *run, const struct view *v, const struct turn *t,
                            const char *uncertified) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, (size_t)64 << 10);
	for (size_t i = 0; i < c->n; i++)
		put_arm(&b, c->arms[i], v, i, v->has_expected);
	if (c->fallback)
		put_arm(&b, c->fallback, v, c->n, false);
	tdm_bytes_printf(&b, "; %zu of %zu fit", v->n_fit, c->n);
	if (t->is_explored)
		tdm_bytes_printf(&b, "; explored with probability %g, 1 of %zu", c->o.explore, v->n_fit);
	if (t->policy >= 0)
		tdm_bytes_join(&b, "; policy ", tdm_certified_of(t->promise)->lambda, "");
	if (uncertified)
		tdm_bytes_join(&b, "; uncertified: ", uncertified, "");
	const char *text = b.failed ? NULL : tdm_arena_copy(run->record->arena, b.data, b.len);
	tdm_bytes_release(&b);
	return text;
}

static void record(const struct choose *c, struct tdm_run *run, const struct view *v, const struct turn *t, size_t arm,
                   const char *uncertified) {
	struct tdm_decision d = {.by = c->model.name, .kind = c->model.kind ? c->model.kind->name : NULL};
	d.choice = arm < c->n ? c->arms[arm]->name : c->fallback->name;
	d.signal = t->policy >= 0 ? "quality" : arm == c->n ? "fallback" : "cost";
	d.score = arm == c->n ? (double)NAN : t->policy >= 0 ? v->expected.quality[arm] : v->cost[arm];
	d.threshold = t->policy >= 0 ? (double)NAN : run->objective.max_cost;
	d.detail = describe(c, run, v, t, uncertified);
	tdm_record_decision(run->record, &d);
	if (t->promise)
		tdm_certified_mark(t->promise, run, !uncertified);
	if (uncertified)
		tdm_record_warn(run->record, "uncertified", NULL,
		                "not the certified policy's choice answers: its promise does not hold for this answer");
	if (v->is_late)
		tdm_record_warn(run->record, "objective_missed", "max_latency_ms",
		                "no model to choose from answers as soon as that as a rule");
}

// --- one request

// Why the arm at that place of the order is not the policy's own choice; NULL: it is.
static const char *reason(const struct choose *c, struct tdm_run *run, const struct view *v, const struct turn *t,
                          int place) {
	int first = t->order[0];
	if (t->policy >= 0 && t->is_explored)
		return "explored";
	if (place == 0 || t->policy < 0)
		return NULL;
	const char *why = v->dropped[first] ? v->dropped[first] : "failed";
	return tdm_arena_printf(run->record->arena, "%s %s", c->arms[first]->name, why);
}

static int ask(const struct choose *c, struct tdm_run *run, const struct tdm_request *request, const struct turn *t,
               size_t arm, bool is_certified, struct tdm_sink *sink, struct tdm_result *result) {
	struct tdm_model *m = arm < c->n ? c->arms[arm] : c->fallback;
	if (!is_certified || !t->promise)
		return tdm_generate(m, run, request, sink, result);
	return tdm_certified_generate(c->promises[t->policy], m, c->arms[c->n - 1], run, request, sink, result);
}

struct shown { // notes that something went out
	struct tdm_sink sink;
	bool any;
};

static int shown_put(struct tdm_sink *sink, const struct tdm_event *event) {
	((struct shown *)sink)->any = true;
	return sink->next->put(sink->next, event);
}

// The arms that fit, one after the other as long as they fail without a word.
static int answer(const struct choose *c, struct tdm_run *run, const struct tdm_request *request, const struct view *v,
                  const struct turn *t, struct tdm_sink *sink, struct tdm_result *result) {
	struct shown s = {.sink = {shown_put, sink}};
	int status = TDM_OK;
	bool asked = false;
	for (int place = 0; place < (int)c->n; place++) {
		size_t arm = (size_t)t->order[place];
		if (v->dropped[arm])
			continue;
		if (asked && !tdm_attempt_again(run, c->arms[arm]))
			return status;
		const char *why = reason(c, run, v, t, place);
		if (why && run->objective.strict && t->is_asked_for && !asked)
			return tdm_fail(&run->error, TDM_EOBJECTIVE,
			                "%s: the quality that is wished is promised by a policy whose "
			                "choice is forbidden: %s",
			                c->model.name, why);
		record(c, run, v, t, arm, why);
		status = ask(c, run, request, t, arm, !why, &s.sink, result);
		asked = true;
		if (status >= 0 || s.any || !tdm_gate_may_replace(status))
			return status;
		tdm_record_warn(run->record, "model_out", c->arms[arm]->name, "it failed: the next one was asked");
	}
	return asked ? status : refuse(c, run, v);
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct choose *c = (const struct choose *)m;
	struct view v;
	struct turn t;
	look(c, run, request, &v);
	if (!v.n_fit && !(c->fallback && !v.dropped[c->n]))
		return refuse(c, run, &v);
	int status = rank(c, run, request, &v, &t);
	if (status)
		return status;
	if ((!c->front || t.policy >= 0) && v.n_fit)
		return answer(c, run, request, &v, &t, sink, result);
	if (v.dropped[c->n]) // fail closed: no promise is in force, and who is to answer then may not
		return refuse(c, run, &v);
	const char *why = v.n_fit ? "no policy in force promises as much" : "no arm fits";
	record(c, run, &v, &t, c->n, c->front ? why : NULL);
	return ask(c, run, request, &t, c->n, false, sink, result);
}

// --- the settings

static int check_arms(const struct tdm_build *b, const struct choose *c) {
	const struct tdm_front *f = c->front;
	bool same = (size_t)f->n_arms == c->n;
	for (int i = 0; same && i < f->n_arms; i++)
		same = !strcmp(f->arms[i].name, c->arms[i]->name);
	return same ? TDM_OK
	            : tdm_fail(b->error, TDM_ECONFIG,
	                       "%s: the front %s was made for other arms, or in another order: make it again", b->where,
	                       c->o.front);
}

static bool exists(const struct tdm_build *b, const char *file) {
	const char *path = file[0] == '/' || !b->folder ? file : tdm_arena_printf(b->arena, "%s/%s", b->folder, file);
	return path && access(path, F_OK) == 0;
}

// The certificate of policy i: of this front, and of this policy.
static int open_promise(const struct tdm_build *b, struct choose *c, int i, const char *file, const char *hash) {
	int status = tdm_certified_add(b, &c->model, file, c->o.signer, &c->promises[i]);
	if (status)
		return status;
	const struct tdm_certificate *of = tdm_certified_of(c->promises[i]);
	const char *text = tdm_front_text(b->arena, c->front, &c->front->policies[i]);
	if (!text || strcmp(of->grid_hash, hash) != 0 || strcmp(of->lambda, text) != 0)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: the certificate %s is of another front than %s", b->where, file,
		                c->o.front);
	c->errors[i] = strtod(of->epsilon, NULL);
	return tdm_certified_watch(b, &c->model, c->o.audit, &c->promises[i]);
}

static int open_front(const struct tdm_build *b, struct choose *c) {
	char hash[72];
	int status = tdm_front_open(b, c->o.front, &c->front, hash);
	if (!status)
		status = check_arms(b, c);
	while (!status && c->n_promises < c->front->n_policies) {
		const char *file = tdm_arena_printf(b->arena, "%s.%d", c->o.front, c->n_promises + 1);
		if (!file || !exists(b, file))
			break;
		status = open_promise(b, c, c->n_promises, file, hash);
		c->n_promises += status == TDM_OK;
	}
	return status;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct choose *c = tdm_build_model(b, sizeof *c, &ops, TDM_CAN_TEXT | TDM_CAN_LOGPROBS);
	if (!c)
		return TDM_ENOMEM;
	c->o = *(const struct options *)options;
	c->n = tdm_build_roles(b, "arms", c->arms, MOST_ARMS);
	c->fallback = tdm_build_role(b, "fallback");
	*out = &c->model;
	for (size_t i = 0; i < b->n_parts; i++)
		c->model.can &= b->parts[i]->can | TDM_CAN_TEXT;
	for (size_t i = 0; i < b->n_parts; i++) // one is enough: the others are no choice then
		c->model.can |= b->parts[i]->can & TDM_CAN_TOOLS;
	if (!c->o.front && (c->o.signer || c->o.audit > 0 || c->o.quality > 0))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: quality, signer and audit belong to a front", b->where);
	return c->o.front ? open_front(b, c) : TDM_OK;
}

static const struct tdm_role roles[] = {
    {"arms", TDM_CAN_TEXT, 1, MOST_ARMS,
     "models to choose from, the preferred one first; with a front the best one last"},
    {"fallback", TDM_CAN_TEXT, 0, 1, "answers where no policy in force promises enough, or no arm fits"},
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option table[] = {
    {"prefer", TDM_OPT_CHOICE, AT(prefer), "order", 0, 0, "order|cheapest|safest",
     "which of the arms that fit: the first listed, the cheapest by estimate, or the one with the least risk; a front "
     "decides instead"},
    {"front", TDM_OPT_STRING, AT(front), NULL, 0, 0, NULL,
     "file of policies, made by tandem certify-front, with its certificates beside it"},
    {"quality", TDM_OPT_NUMBER, AT(quality), "0", 0, 1, NULL,
     "least quality that a request without a wish gets: 1 less the error that a policy promises"},
    {"signer", TDM_OPT_STRING, AT(signer), NULL, 0, 0, NULL,
     "public key, 64 hexadecimal digits, that must have signed the certificates; absent = any"},
    {"audit", TDM_OPT_NUMBER, AT(audit), "0", 0, 1, NULL,
     "share of the answers that are compared with the last arm's; needs a front whose loss is differs"},
    {"explore", TDM_OPT_NUMBER, AT(explore), "0", 0, 0.05, NULL,
     "share of the requests without a wished quality that go to any arm that fits, under no promise, so that the "
     "ledger "
     "knows what the others would answer"},
    {"risk", TDM_OPT_NUMBER, AT(risk), "1", 0, 1, NULL,
     "how likely an arm may be, by the estimate of its masks, to let a private value leave in clear; 1 = any"},
};

const struct tdm_kind tdm_kind_choose = {
    .name = "choose",
    .summary = "one of several models for each request, by what it asks of quality, privacy, trust, cost and time",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_NONE,
    .leaf = "B3a",
    .source = "arXiv 2410.08014, 2110.01052",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
