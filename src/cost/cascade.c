// cascade: the models are asked in their order; a gate looks at each one's answer and keeps it or asks the next one.
//
// The rule it protects: nothing goes out until the decision is made, and then the words of one model only: an answer is
// held and replayed with every event as it was, or dropped (its calls are marked discarded); the last model streams
// live. A model that fails is followed by the next one, unless somebody refused the request.
//
// What weighs an answer is a row in gates.c. A new way to climb: `climb`, and an option here.
#include "cost/cascade.h"
#include "cost/kinds.h"
#include "models/attempt.h"
#include "models/gate.h"
#include "models/promise.h"

struct climb { // of one request, from tier to tier
	const struct tdm_cascade *c;
	struct tdm_run *run;
	const struct tdm_request *request;
	struct tdm_sink *sink;
	struct tdm_result *result;
	struct tdm_evidence held; // of the last tier that answered; not when !has_held
	bool has_held;
};

// The calls from `from` up to the one before `end` answered for nothing; or for something after all.
static void mark(const struct tdm_said *said, const char *before, const char *after) {
	for (struct tdm_call *c = said->from == said->end ? NULL : *said->from; c;
	     c = &c->next == said->end ? NULL : c->next)
		if (!strcmp(c->status, before))
			c->status = after;
}

static void drop(struct climb *k) {
	if (!k->has_held)
		return;
	for (int i = 0; i < k->held.n_others; i++)
		tdm_said_release(&k->held.others[i]);
	tdm_said_release(&k->held.own);
	k->has_held = false;
}

// The decision, apart from how its evidence came about.
static bool keeps(const struct tdm_cascade *c, const struct tdm_tier *tier, const struct tdm_evidence *e) {
	return e->by_count ? c->meta[e->agree] : tdm_gate_accepts(e->score, tier->threshold);
}

static double calibrated(const struct tdm_cascade *c, double score) {
	return c->calibrates ? 1 / (1 + exp(-(c->platt[0] * score + c->platt[1]))) : score;
}

static void record(struct climb *k, const struct tdm_tier *tier, const struct tdm_evidence *e, double raw,
                   const char *choice, int status) {
	const char *model = tier == k->c->tiers ? "" : tier->model->name; // of the first one the receipt's rows tell
	if (status != TDM_OK)
		tdm_gate_record(k->run, &k->c->model, choice, "failed", (double)NAN, (double)NAN, "%s%s%s",
		                tdm_status_info(status)->code, *model ? " of " : "", model);
	else if (k->c->calibrates && !isnan(raw))
		tdm_gate_record(k->run, &k->c->model, choice, tier->gate->name, e->score, tier->threshold, "%s%s%s%sraw %.6g",
		                model, *model ? ": " : "", e->detail, *e->detail ? ", " : "", raw);
	else if (*e->detail || *model)
		tdm_gate_record(k->run, &k->c->model, choice, tier->gate->name, e->score, tier->threshold, "%s%s%s", model,
		                *model && *e->detail ? ": " : "", e->detail);
	else
		tdm_gate_record(k->run, &k->c->model, choice, tier->gate->name, e->score, tier->threshold, NULL);
}

// Asks a tier and weighs its answer, which is held. A filtered answer is somebody's refusal: it stands.
static int judge(struct climb *k, const struct tdm_tier *tier, bool *keep) {
	struct tdm_evidence *e = &k->held;
	drop(k);
	*e = (struct tdm_evidence){.score = (double)NAN, .reply = &e->own};
	k->has_held = true;
	int status = tdm_cascade_ask(tier->gate, tier->model, k->run, k->request, &e->own, &e->certainty);
	bool is_refusal = status == TDM_OK && e->own.result.finish == TDM_FINISH_FILTER;
	if (status == TDM_OK && !is_refusal)
		status = tier->gate->weigh(k->c, tier, k->run, k->request, e);
	double raw = e->score;
	e->score = calibrated(k->c, raw);
	*keep = status == TDM_OK && (is_refusal || keeps(k->c, tier, e));
	if (status != TDM_OK && !tdm_gate_may_replace(status))
		return status;
	record(k, tier, e, raw, *keep ? "keep" : "escalate", status);
	if (!*keep || e->reply != &e->own)
		mark(&e->own, "ok", "discarded");
	tdm_error_clear(&k->run->error);
	return TDM_OK;
}

static int serve_held(struct climb *k) {
	struct tdm_trim trim;
	tdm_trim_init(&trim, k->run->arena, k->request, k->sink);
	*k->result = k->held.reply->result;
	return tdm_collect_replay(&k->held.reply->words, &trim.sink);
}

static int ask_last(struct climb *k) {
	const struct tdm_tier *last = &k->c->tiers[k->c->n - 1];
	return tdm_generate(last->model, k->run, k->request, k->sink, k->result);
}

static int climb(struct climb *k) {
	for (size_t i = 0; i + 1 < k->c->n; i++) {
		bool keep = false;
		int status = judge(k, &k->c->tiers[i], &keep);
		if (status != TDM_OK)
			return status;
		if (keep)
			return serve_held(k);
	}
	return ask_last(k);
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct climb k = {
	    .c = (const struct tdm_cascade *)m, .run = run, .request = request, .sink = sink, .result = result};
	if (tdm_wants_tools(request)) { // no gate can weigh a call
		tdm_gate_record(run, m, "escalate", "tools", (double)NAN, (double)NAN, NULL);
		return ask_last(&k);
	}
	if (!tdm_certified_holds(k.c->certified, run)) {
		tdm_gate_record(run, m, "escalate", "certificate", (double)NAN, (double)NAN, NULL);
		return ask_last(&k);
	}
	int status = climb(&k);
	drop(&k);
	return status;
}

// --- the settings

static int check_threshold(const struct tdm_build *b, const struct tdm_cascade *c, const struct tdm_tier *t) {
	double least = c->calibrates ? 0 : t->gate->least, most = c->calibrates ? INFINITY : t->gate->most;
	if (t->threshold >= least && t->threshold <= most)
		return TDM_OK;
	if (isinf(least))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: threshold is %s for gate %s: expected 0 or less, such as -0.1",
		                b->where, t->gate->of == tdm_certainty_entropy ? "minus an entropy" : "a mean log-probability",
		                t->gate->name);
	return tdm_fail(b->error, TDM_ECONFIG, "%s: threshold of gate %s is expected to be from %g on%s", b->where,
	                t->gate->name, least, most < 2 ? ", and at most 1" : "");
}

static int check_tier(const struct tdm_build *b, const struct tdm_cascade *c, const struct tdm_tier *t) {
	if (t->gate->needs_logprobs && !(t->model->can & TDM_CAN_LOGPROBS))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: gate %s needs log-probabilities, which model %s does not give",
		                b->where, t->gate->name, t->model->name);
	if (!strcmp(t->gate->name, "scorer") && !c->o.weights)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: gate scorer needs weights: a path, or embedded:cascade", b->where);
	return check_threshold(b, c, t);
}

// Number i of a setting that is one number or a list of n of them.
static int number_at(const struct tdm_build *b, const char *key, const struct tdm_value *v, size_t i, size_t n,
                     double *out) {
	const struct tdm_value *item = v && v->type == TDM_LIST ? (v->n == n ? &v->items[i] : NULL) : v;
	if (!v)
		return TDM_OK;
	if (!item || item->type != TDM_NUMBER)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s: expected a number, or a list of %zu of them", b->where, key, n);
	*out = item->number;
	return TDM_OK;
}

static int read_tier(const struct tdm_build *b, struct tdm_cascade *c, size_t i) {
	const struct tdm_strings *names = &c->o.gate;
	struct tdm_tier *t = &c->tiers[i];
	if (names->n != 1 && names->n != c->n - 1)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: gate: expected one, or one for each model but the last (%zu)",
		                b->where, c->n - 1);
	const char *name = names->items[names->n == 1 ? 0 : i];
	t->gate = tdm_gate_find(name);
	if (!t->gate)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: unknown gate \"%s\"; expected %s", b->where, name, tdm_gate_names);
	t->threshold = isnan(t->gate->standard) ? 1 : t->gate->standard;
	int status = number_at(b, "threshold", c->o.threshold, i, c->n - 1, &t->threshold);
	return status ? status : check_tier(b, c, t);
}

static int read_votes(const struct tdm_build *b, struct tdm_cascade *c) {
	const struct tdm_value *v = c->o.votes;
	for (size_t i = 0; i <= c->n_voters; i++) {
		c->votes[i] = 1;
		if (v && v->type != TDM_LIST)
			return tdm_fail(b->error, TDM_ECONFIG, "%s: votes: expected a list of %zu numbers", b->where,
			                c->n_voters + 1);
		int status = number_at(b, "votes", v, i, c->n_voters + 1, &c->votes[i]);
		if (status)
			return status;
		if (!(c->votes[i] > 0))
			return tdm_fail(b->error, TDM_ECONFIG, "%s: votes: expected numbers above 0", b->where);
	}
	return TDM_OK;
}

static int read_meta(const struct tdm_build *b, struct tdm_cascade *c) {
	const struct tdm_value *v = c->o.meta;
	c->has_meta = v != NULL;
	if (v && (v->type != TDM_LIST || v->n != (size_t)c->o.samples + 1))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: meta: expected a list of %zu times yes or no: whether to keep an answer that 0, 1, ... of "
		                "the samples say yes to",
		                b->where, (size_t)c->o.samples + 1);
	for (size_t i = 0; v && i < v->n; i++) {
		if (v->items[i].type != TDM_BOOL && v->items[i].type != TDM_STRING)
			return tdm_fail(b->error, TDM_ECONFIG, "%s: meta: expected yes or no", b->where);
		c->meta[i] = v->items[i].type == TDM_BOOL ? v->items[i].truth : !strcmp(v->items[i].text, "yes");
	}
	return TDM_OK;
}

static int read_platt(const struct tdm_build *b, struct tdm_cascade *c) {
	const struct tdm_value *v = c->o.platt;
	c->calibrates = v != NULL;
	if (v && (v->type != TDM_LIST || v->n != 2 || v->items[0].type != TDM_NUMBER || v->items[1].type != TDM_NUMBER))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: platt: expected two numbers [a, b]", b->where);
	for (size_t i = 0; v && i < 2; i++)
		c->platt[i] = v->items[i].number;
	return TDM_OK;
}

// The tiers: `models`, or `small` and `large`.
static int read_models(const struct tdm_build *b, struct tdm_cascade *c) {
	struct tdm_model *models[TDM_MOST_TIERS], *small = tdm_build_role(b, "small"), *large = tdm_build_role(b, "large");
	c->n = tdm_build_roles(b, "models", models, TDM_MOST_TIERS);
	if (c->n && (small || large))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected either models, or small and large", b->where);
	if (!c->n && !(small && large))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: kind cascade expects a model in role \"%s\" (or a list in \"models\")", b->where,
		                small ? "large" : "small");
	if (!c->n) {
		models[c->n++] = small;
		models[c->n++] = large;
	}
	if (c->n < 2)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: models: expected at least 2", b->where);
	c->model.can = TDM_CAN_TEXT | TDM_CAN_LOGPROBS | (models[c->n - 1]->can & TDM_CAN_TOOLS);
	for (size_t i = 0; i < c->n; i++) {
		c->tiers[i].model = models[i];
		c->model.can &= models[i]->can | ~(unsigned)TDM_CAN_LOGPROBS;
	}
	c->n_voters = tdm_build_roles(b, "voters", c->voters, TDM_MOST_VOTERS);
	c->verifier = tdm_build_role(b, "verifier");
	return TDM_OK;
}

static bool has_gate(const struct tdm_cascade *c, const char *name) {
	for (size_t i = 0; i + 1 < c->n; i++)
		if (!strcmp(c->tiers[i].gate->name, name))
			return true;
	return false;
}

// What is promised is one threshold between two models.
static int open_certificate(const struct tdm_build *b, struct tdm_cascade *c) {
	if (c->o.certificate && (c->n != 2 || c->has_meta))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: a certificate is of one threshold between two models; expected two models and no meta",
		                b->where);
	int status = tdm_certified_open(b, &c->model, c->o.certificate, c->o.signer, &c->certified);
	if (c->certified)
		c->tiers[0].threshold = tdm_certified_threshold(c->certified);
	return status;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct tdm_cascade *c = tdm_build_model(b, sizeof *c, &ops, TDM_CAN_TEXT);
	if (!c)
		return TDM_ENOMEM;
	c->o = *(const struct tdm_cascade_options *)options;
	int status = read_models(b, c);
	if (!status)
		status = read_votes(b, c);
	if (!status)
		status = read_meta(b, c);
	if (!status)
		status = read_platt(b, c);
	for (size_t i = 0; i + 1 < c->n && !status; i++)
		status = read_tier(b, c, i);
	if (!status && has_gate(c, "scorer"))
		status = tdm_linear_open(b, c->o.weights, TDM_READS_ANSWER, &c->scorer);
	if (!status)
		status = open_certificate(b, c);
	*out = status ? NULL : &c->model;
	return status;
}

static const struct tdm_role roles[] = {
    {"models", TDM_CAN_TEXT, 0, TDM_MOST_TIERS, "asked in this order; the last one answers what no gate keeps"},
    {"small", TDM_CAN_TEXT, 0, 1, "with large instead of models: answers first"},
    {"large", TDM_CAN_TEXT, 0, 1, "answers what the gate does not keep"},
    {"voters", TDM_CAN_TEXT, 0, TDM_MOST_VOTERS, "asked beside a tier's model instead of samples (agreement, vote)"},
    {"verifier", TDM_CAN_TEXT, 0, 1, "says whether an answer is right; absent: the model that gave it (self)"},
};

#define AT(field) offsetof(struct tdm_cascade_options, field)
static const struct tdm_option table[] = {
    {"gate", TDM_OPT_LIST, AT(gate), "agreement", 0, 0, NULL,
     "what an answer is judged by: agreement, vote, logprob, least, margin, entropy, self or scorer; one, or a list of "
     "one for each model but the last"},
    {"threshold", TDM_OPT_VALUE, AT(threshold), NULL, 0, 0, NULL,
     "kept from this score on; one number, or a list like gate's: share of the draws (agreement: 1, vote: 0.6), mean "
     "or "
     "least ln p, such as -0.1 (logprob, least), mean p of the first token less the second (margin), minus the mean "
     "entropy (entropy), share of yes (self: 1), probability that the next model would not do better (scorer)"},
    {"platt", TDM_OPT_VALUE, AT(platt), NULL, 0, 0, NULL,
     "[a, b]: scores become 1 / (1 + exp(-(a score + b))), a probability, before the threshold"},
    {"weights", TDM_OPT_STRING, AT(weights), NULL, 0, 0, NULL, "file of the scorer, or embedded:cascade (scorer)"},
    {"samples", TDM_OPT_INT, AT(samples), "3", 1, 64, NULL,
     "draws beside the answer (agreement, vote), verdicts (self)"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "0.7", 0, 5, NULL, "of the samples and verdicts"},
    {"prompts", TDM_OPT_LIST, AT(prompts), NULL, 0, 0, NULL,
     "instructions that the draws get in turn, so that they think in several ways (agreement, vote)"},
    {"votes", TDM_OPT_VALUE, AT(votes), NULL, 0, 0, NULL,
     "list of weights: of the tier's own answer, then of each of the voters; absent: all the same"},
    {"how", TDM_OPT_CHOICE, AT(how), "text", 0, 0, TDM_ANSWER_TYPES,
     "what counts as the same answer (agreement, vote)"},
    {"meta", TDM_OPT_VALUE, AT(meta), NULL, 0, 0, NULL,
     "list of yes or no instead of a threshold: whether to keep an answer with 0, 1, ... samples times yes (self)"},
    TDM_CERTIFIED_OPTIONS(AT(certificate), AT(signer)),
};

const struct tdm_kind tdm_kind_cascade = {
    .name = "cascade",
    .summary = "models answer in turn; a gate keeps an answer or asks the next one",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_COST,
    .leaf = "B3a",
    .source = "arXiv 2407.02348, 2305.05176, 2310.03094, 2310.12963",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct tdm_cascade_options),
    .create = create,
};
