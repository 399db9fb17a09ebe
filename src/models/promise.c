// Promise: whether the model that was asked for can keep what the request's objective demands. privacy, trust and
// max_cost are conditions: a request that cannot be served within them is refused before anything runs.
#include "models/promise.h"
#include "models/kind.h"
#include <math.h>
#include <string.h>

#define BYTES_PER_TOKEN 2 // a safe lower bound for the length of a prompt in tokens

static bool is_kind(const struct tdm_model *m, const char *name) {
	return m->kind && !strcmp(m->kind->name, name);
}

bool tdm_leaves_below(const struct tdm_model *m, int level) {
	if (!m->leaves || (m->hides && m->hides >= level))
		return false;
	if (!m->n_parts)
		return true;
	for (size_t i = 0; i < m->n_parts; i++)
		if (tdm_leaves_below(m->parts[i], level))
			return true;
	return false;
}

double tdm_leak_risk(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request) {
	double most = 0;
	if (!m->leaves)
		return 0;
	if (m->ops->risk) {
		bool is_known = m->ops->risk(m, run, request, &most) == TDM_OK;
		if (!is_known)
			run->error = (struct tdm_error){0};
		return is_known ? most : 1;
	}
	for (size_t i = 0; i < m->n_parts; i++)
		most = fmax(most, tdm_leak_risk(m->parts[i], run, request));
	return m->n_parts ? most : 1;
}

static int check_privacy(const struct tdm_model *m, int level, struct tdm_error *err) {
	if (!level || !tdm_leaves_below(m, level))
		return TDM_OK;
	if (level == 4)
		return tdm_fail_param(err, TDM_EPRIVACY, "tandem.privacy", "tandem.privacy: %s may send text off this machine",
		                      m->name);
	if (!tdm_leaves_below(m, 1))
		return tdm_fail_param(err, TDM_EPRIVACY, "tandem.privacy",
		                      "tandem.privacy: %s may send text off this machine behind a mask that does not recognise "
		                      "persons, which level %d hides; expected one with detect: [rules, tagger]",
		                      m->name, level);
	return tdm_fail_param(err, TDM_EPRIVACY, "tandem.privacy",
	                      "tandem.privacy: %s may send text off this machine unmasked", m->name);
}

// Whether every answer passes a guard.
static bool is_guarded(const struct tdm_model *m) {
	if (is_kind(m, "guard"))
		return true;
	for (size_t i = 0; i < m->n_parts; i++)
		if (!is_guarded(m->parts[i]))
			return false;
	return m->n_parts > 0;
}

// The most that one call of every source below m can cost.
static double cost_bound(const struct tdm_model *m, double prompt_tokens, double completion_tokens) {
	double sum = (m->price.in * prompt_tokens + m->price.out * completion_tokens) / 1e6;
	for (size_t i = 0; i < m->n_parts; i++)
		sum += cost_bound(m->parts[i], prompt_tokens, completion_tokens);
	return sum;
}

static int check_cost(const struct tdm_model *m, const struct tdm_request *request, struct tdm_run *run) {
	double bytes = 0;
	for (size_t i = 0; i < request->n_messages; i++)
		bytes += (double)request->messages[i].len;
	double most = request->max_tokens ? request->max_tokens : TDM_STANDARD_MAX_TOKENS;
	double bound = cost_bound(m, bytes / BYTES_PER_TOKEN + 64, most);
	if (bound <= run->objective.max_cost)
		return TDM_OK;
	return tdm_fail_param(
	    &run->error, TDM_EOBJECTIVE, "tandem.max_cost",
	    "tandem.max_cost: %s may cost up to %.6g, more than the %.6g allowed; lower max_tokens or ask a "
	    "cheaper model",
	    m->name, bound, run->objective.max_cost);
}

int tdm_check_objective(const struct tdm_model *m, const struct tdm_request *request, struct tdm_run *run) {
	const struct tdm_objective *o = &run->objective;
	bool chooses = is_kind(m, "choose"); // it looks at the objective itself, arm by arm
	int status = chooses ? TDM_OK : check_privacy(m, o->privacy, &run->error);
	if (status)
		return status;
	if (o->trust >= 2)
		return tdm_fail_param(&run->error, TDM_EOBJECTIVE, "tandem.trust",
		                      "tandem.trust: %s checks no claims and has no certificate; expected a level of at most 1",
		                      m->name);
	if (o->trust && !is_guarded(m))
		return tdm_fail_param(&run->error, TDM_EOBJECTIVE, "tandem.trust", "tandem.trust: %s has no guard", m->name);
	return o->max_cost == o->max_cost && !chooses ? check_cost(m, request, run) : TDM_OK;
}
