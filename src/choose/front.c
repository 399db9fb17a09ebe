#include "choose/front.h"
#include "assure/procedure.h"
#include "base/decimal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PRICES = 48, WAITS = 7, MOST_CANDIDATES = TDM_FRONT_ARMS + (PRICES + 1) * (WAITS + 1) };
const char *const tdm_front_estimators[3] = {"table", "knn", "linear"};

// --- a policy

void tdm_front_see(const struct tdm_front *f, const struct tdm_router_look *look, struct tdm_front_view *out) {
	for (int a = 0; a < f->n_arms; a++) {
		out->quality[a] = look ? look->quality[a] : f->arms[a].quality;
		out->cost[a] = look ? look->cost[a] : f->arms[a].cost;
		out->ms[a] = f->arms[a].ms;
	}
}

static double worth(const struct tdm_front_policy *p, const struct tdm_front_view *v, int arm) {
	double ms = p->wait > 0 && !isnan(v->ms[arm]) ? v->ms[arm] : 0;
	return v->quality[arm] - p->price * v->cost[arm] - p->wait * ms;
}

static bool is_before(const struct tdm_front_policy *p, const struct tdm_front_view *v, int a, int b) {
	double x = worth(p, v, a), y = worth(p, v, b);
	if (p->arm >= 0 && (a == p->arm || b == p->arm))
		return a == p->arm;
	return x > y || (x == y && v->cost[a] < v->cost[b]);
}

void tdm_front_rank(const struct tdm_front *f, const struct tdm_front_policy *p, const struct tdm_front_view *view,
                    int *order) {
	for (int i = 0; i < f->n_arms; i++) {
		int at = i;
		for (; at > 0 && is_before(p, view, i, order[at - 1]); at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
}

static const char *decimal(struct tdm_arena *arena, double value) {
	char out[TDM_DECIMAL_BYTES];
	return tdm_arena_copy(arena, out, tdm_decimal_write(out, value));
}

const char *tdm_front_text(struct tdm_arena *arena, const struct tdm_front *f, const struct tdm_front_policy *p) {
	if (p->arm >= 0)
		return tdm_arena_printf(arena, "arm %s", f->arms[p->arm].name);
	const char *price = decimal(arena, p->price), *wait = decimal(arena, p->wait);
	return price && wait ? tdm_arena_printf(arena, "price %s wait %s", price, wait) : NULL;
}

// --- the front

struct candidate {
	struct tdm_front_policy policy;
	uint64_t choices;              // hash of what it chooses for every item
	double risks[TDM_FRONT_RISKS]; // means on the items of tuning
	bool beaten;
};

static void measure(const struct tdm_front *f, const struct tdm_front_items *items, struct candidate *c) {
	int order[TDM_FRONT_ARMS];
	double n = (double)items->n;
	c->policy.error = c->policy.cost = 0;
	c->policy.ms = items->ms ? 0 : (double)NAN;
	c->choices = 14695981039346656037u;
	for (int k = 0; k < TDM_FRONT_RISKS; k++)
		c->risks[k] = 0;
	for (size_t i = 0; i < items->n; i++) {
		tdm_front_rank(f, &c->policy, &items->views[i], order);
		size_t at = i * (size_t)f->n_arms + (size_t)order[0];
		c->policy.error += items->loss[at] / n;
		c->policy.cost += items->cost[at] / n;
		c->policy.ms += items->ms ? items->ms[at] / n : 0;
		c->choices = (c->choices ^ (uint64_t)order[0]) * 1099511628211u;
		for (int k = 0; k < TDM_FRONT_RISKS; k++)
			c->risks[k] += f->most[k] > 0 ? items->risks[k][at] / n : 0;
	}
}

// Half of what it may have: who is at the border on the items of tuning cannot be shown to be below it on others, and
// the first policy that fails ends the test.
static bool keeps_to(const struct tdm_front *f, const struct candidate *c) {
	for (int k = 0; k < TDM_FRONT_RISKS; k++)
		if (f->most[k] > 0 && c->risks[k] > f->most[k] / 2)
			return false;
	return true;
}

static bool no_worse(double a, double b) {
	return isnan(a) || isnan(b) || a <= b;
}

static bool beats(const struct tdm_front_policy *a, const struct tdm_front_policy *b) {
	bool better = a->error < b->error || a->cost < b->cost || a->ms < b->ms;
	return better && a->error <= b->error && a->cost <= b->cost && no_worse(a->ms, b->ms);
}

static int safest_first(const void *x, const void *y) {
	const struct tdm_front_policy *a = x, *b = y;
	if (a->error != b->error)
		return a->error > b->error ? 1 : -1;
	return (a->cost < b->cost) - (a->cost > b->cost);
}

// Every arm alone, and with a predictor every price of cost and of time, in the scale of the dearest arm.
static size_t propose(const struct tdm_front *f, const struct tdm_front_items *items, struct candidate *out) {
	double dearest = 0, slowest = 0;
	size_t n = 0;
	for (int a = 0; a < f->n_arms; a++) {
		out[n++].policy = (struct tdm_front_policy){.arm = a};
		dearest = fmax(dearest, f->arms[a].cost);
		slowest = fmax(slowest, items->ms ? f->arms[a].ms : 0);
	}
	for (int k = 0; f->estimator != TDM_FRONT_TABLE && k <= PRICES; k++)
		for (int w = 0; w <= (slowest > 0 ? WAITS : 0); w++) {
			struct tdm_front_policy *p = &out[n++].policy;
			*p = (struct tdm_front_policy){.arm = -1};
			p->price = k && dearest > 0 ? tdm_decimal_round(exp2(-10 + k / 4.0) / dearest, 6) : 0;
			p->wait = w ? tdm_decimal_round(exp2(-8 + w) / slowest, 6) : 0;
		}
	return n;
}

static void drop_beaten(struct candidate *list, size_t n) {
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n && !list[i].beaten; k++) {
			const struct tdm_front_policy *a = &list[k].policy, *b = &list[i].policy;
			bool same = a->error == b->error && a->cost == b->cost && (a->ms == b->ms || isnan(a->ms));
			list[i].beaten = k != i && (beats(a, b) || (same && k < i));
		}
}

// At most so many as there is room for, evenly over the order; the first and the last stay.
static void keep(struct tdm_front *f, const struct tdm_front_policy *list, size_t n) {
	size_t kept = n < TDM_FRONT_POLICIES ? n : TDM_FRONT_POLICIES;
	for (size_t i = 0; i < kept; i++)
		f->policies[i] = list[kept > 1 ? i * (n - 1) / (kept - 1) : 0];
	f->n_policies = (int)kept;
}

int tdm_front_make(struct tdm_front *f, const struct tdm_front_items *tuning, struct tdm_arena *arena,
                   struct tdm_error *err) {
	struct candidate *list = tdm_arena_array(arena, MOST_CANDIDATES, sizeof *list);
	struct tdm_front_policy *left = tdm_arena_array(arena, MOST_CANDIDATES, sizeof *left);
	size_t n_left = 0;
	if (!list || !left)
		return tdm_fail(err, TDM_ENOMEM, "front: no memory for %d policies", MOST_CANDIDATES);
	if (!tuning->n || f->n_arms < 1)
		return tdm_fail(err, TDM_EVALUE, "front: expected items to find policies on, and arms");
	size_t n = propose(f, tuning, list);
	size_t n_kept = 0;
	for (size_t i = 0; i < n; i++) {
		measure(f, tuning, &list[i]);
		if (keeps_to(f, &list[i]))
			list[n_kept++] = list[i];
	}
	n = n_kept;
	if (!n)
		return tdm_fail(err, TDM_EVALUE,
		                "front: every policy leaks or harms more on the items of tuning than it may; expected an arm "
		                "that does not, or more to be allowed");
	drop_beaten(list, n);
	for (size_t i = 0; i < n; i++)
		if (!list[i].beaten)
			left[n_left++] = list[i].policy;
	qsort(left, n_left, sizeof *left, safest_first);
	keep(f, left, n_left);
	return TDM_OK;
}

// --- the promise

struct found { // of a policy on the items of calibration
	double *loss, *cost, *risks[TDM_FRONT_RISKS];
	double scale; // a cost of 1 is so much
	bool is_graded, is_free;
};

static void follow(const struct tdm_front *f, int policy, const struct tdm_front_items *items, struct found *out,
                   struct tdm_front_verdict *v) {
	int order[TDM_FRONT_ARMS];
	for (size_t i = 0; i < items->n; i++) {
		tdm_front_rank(f, &f->policies[policy], &items->views[i], order);
		size_t at = i * (size_t)f->n_arms + (size_t)order[0];
		out->loss[i] = items->loss[at];
		out->cost[i] = out->scale > 0 ? fmin(1, items->cost[at] / out->scale) : 0;
		out->is_graded |= out->loss[i] > 0 && out->loss[i] < 1;
		v->n_others += order[0] + 1 != f->n_arms;
		v->n_bad += out->loss[i] > 0;
		v->error += out->loss[i] / (double)items->n;
		v->cost += items->cost[at] / (double)items->n;
		for (int k = 0; k < TDM_FRONT_RISKS; k++) {
			out->risks[k][i] = f->most[k] > 0 ? items->risks[k][at] : 0;
			v->risks[k] += out->risks[k][i] / (double)items->n;
		}
	}
}

static enum tdm_bound bound_of(const double *x, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (x[i] > 0 && x[i] < 1)
			return TDM_BOUND_BETTING;
	return TDM_BOUND_BINOMIAL;
}

// The p-value of "it breaks one of its promises": the largest of those of each.
static int joint(const struct tdm_front *f, const struct found *found, size_t n, double level, double delta,
                 const struct tdm_front_verdict *v, double *p, struct tdm_error *err) {
	double all[2 + TDM_FRONT_RISKS] = {0};
	double most = isnan(v->most_cost) || found->scale <= 0 ? 1 : v->most_cost / found->scale;
	int status = found->is_free ? TDM_OK : tdm_pvalue(v->bound, found->loss, n, level, delta, &all[0], err);
	if (!status && most < 1)
		status = tdm_pvalue(TDM_BOUND_BETTING, found->cost, n, most, delta, &all[1], err);
	for (int k = 0; k < TDM_FRONT_RISKS && !status; k++)
		if (f->most[k] > 0)
			status = tdm_pvalue(bound_of(found->risks[k], n), found->risks[k], n, f->most[k], delta, &all[2 + k], err);
	*p = tdm_joint_pvalue(all, 2 + TDM_FRONT_RISKS);
	return status;
}

static int test(const struct tdm_front *f, int policy, const struct tdm_front_items *items,
                const struct tdm_front_claim *claim, struct found *found, double *p, struct tdm_front_verdict *v,
                struct tdm_error *err) {
	const struct tdm_front_policy *of = &f->policies[policy];
	*v = (struct tdm_front_verdict){.level = -1, .p_value = 1, .most_cost = (double)NAN};
	found->is_graded = false;
	found->is_free = claim->is_free && of->arm == f->n_arms - 1;
	follow(f, policy, items, found, v);
	if (claim->margin > 0)
		v->most_cost = tdm_decimal_round(of->cost * (1 + claim->margin), 6);
	v->bound = found->is_graded ? TDM_BOUND_BETTING : TDM_BOUND_BINOMIAL;
	int status = tdm_upper(v->bound, found->loss, items->n, claim->delta, &v->upper, err);
	for (int l = 0; l < claim->n_levels && !status; l++)
		status = joint(f, found, items->n, claim->levels[l], claim->delta, v, &p[l * f->n_policies + policy], err);
	if (found->is_free)
		v->upper = 0;
	return status;
}

// Each level is a fixed sequence of its own; a policy keeps the least error that it was accepted for.
static void accept(const struct tdm_front *f, const struct tdm_front_claim *claim, const double *p, bool *rejected,
                   struct tdm_front_verdict *out) {
	for (int l = 0; l < claim->n_levels; l++) {
		const double *at = p + l * f->n_policies;
		tdm_procedure_reject(TDM_FIXED_SEQUENCE, at, (size_t)f->n_policies, claim->delta, 1, rejected);
		for (int i = 0; i < f->n_policies; i++)
			if (rejected[i] && (out[i].level < 0 || claim->levels[l] < claim->levels[out[i].level])) {
				out[i].level = l;
				out[i].p_value = at[i];
			}
	}
}

static double largest(const double *x, size_t n) {
	double most = 0;
	for (size_t i = 0; i < n; i++)
		most = fmax(most, x[i]);
	return most;
}

int tdm_front_certify(const struct tdm_front *f, const struct tdm_front_items *calibration,
                      const struct tdm_front_claim *claim, double most, struct tdm_arena *arena,
                      struct tdm_front_verdict *out, struct tdm_error *err) {
	size_t n = calibration->n;
	struct found found = {.loss = tdm_arena_array(arena, n, sizeof(double)),
	                      .cost = tdm_arena_array(arena, n, sizeof(double))};
	bool has_room = true;
	for (int k = 0; k < TDM_FRONT_RISKS; k++)
		has_room = (found.risks[k] = tdm_arena_array(arena, n, sizeof(double))) && has_room;
	double *p = tdm_arena_array(arena, (size_t)(f->n_policies * claim->n_levels), sizeof *p);
	bool *rejected = tdm_arena_array(arena, (size_t)f->n_policies, sizeof *rejected);
	int status = TDM_OK;
	if (!has_room || !found.loss || !found.cost || !p || !rejected)
		return tdm_fail(err, TDM_ENOMEM, "front: no memory for %zu items", n);
	if (!n)
		return tdm_fail(err, TDM_EVALUE, "front: expected items to test policies on");
	found.scale = isnan(most) ? largest(calibration->cost, n * (size_t)f->n_arms) : most;
	for (int i = 0; i < f->n_policies && !status; i++)
		status = test(f, i, calibration, claim, &found, p, &out[i], err);
	if (!status)
		accept(f, claim, p, rejected, out);
	return status;
}
