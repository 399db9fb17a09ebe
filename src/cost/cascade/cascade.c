// cascade: the models are asked in their order; a gate looks at each one's answer and keeps it or asks the next one.
//
// Here are the kind's row and its settings; climb.c takes a request from tier to tier, gates.c weighs answers. A new
// gate: a row in gates.c. A new option: a row in `table`, and its help in docs/cascade.md.
#include "cost/cascade/cascade.h"
#include "cost/kinds.h"
#include "models/account.h"

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

static int check_others(const struct tdm_build *b, const struct tdm_cascade *c) {
	bool by_sentence = false;
	for (size_t i = 0; i + 1 < c->n; i++)
		by_sentence |= c->tiers[i].gate->of != NULL;
	if (c->o.hold == TDM_HOLD_SENTENCE && !by_sentence)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: hold: sentence needs a gate that looks at tokens: logprob, least, margin or entropy",
		                b->where);
	if (c->o.hold == TDM_HOLD_SENTENCE && c->checks.any)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: hold: sentence lets parts out, and checks need whole answers",
		                b->where);
	if (has_gate(c, "check") && !c->checks.any)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: gate check needs schema, number, pattern or command", b->where);
	if ((c->o.latch || c->o.escalations) && !c->shared)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: latch and escalations need a shared state", b->where);
	return TDM_OK;
}

// What is promised is one threshold between two models, and about every answer that is kept.
static int open_certificate(const struct tdm_build *b, struct tdm_cascade *c) {
	if (c->o.certificate && (c->n != 2 || c->has_meta))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: a certificate is of one threshold between two models; expected two models and no meta",
		                b->where);
	if (c->o.certificate && (c->o.hold == TDM_HOLD_SENTENCE || c->o.otherwise == TDM_OTHERWISE_KEEP))
		return tdm_fail(
		    b->error, TDM_ECONFIG,
		    "%s: a certificate is of whole answers that passed: hold: sentence and otherwise: keep serve others",
		    b->where);
	int status = tdm_certified_open(b, &c->model, c->o.certificate, c->o.signer, &c->certified);
	if (c->certified)
		c->tiers[0].threshold = tdm_certified_threshold(c->certified);
	if (!status && c->certified)
		status = tdm_certified_watch(b, &c->model, c->o.audit, &c->certified);
	return status;
}

static void destroy(struct tdm_model *m) {
	tdm_checks_release(&((struct tdm_cascade *)m)->checks);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = tdm_cascade_climb, .destroy = destroy};
	struct tdm_cascade *c = tdm_build_model(b, sizeof *c, &ops, TDM_CAN_TEXT);
	if (!c)
		return TDM_ENOMEM;
	c->o = *(const struct tdm_cascade_options *)options;
	c->shared = b->state;
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
	if (!status)
		status = tdm_checks_make(b, &c->o.checks, &c->checks);
	if (!status && (status = check_others(b, c)))
		destroy(&c->model);
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
     "what an answer is judged by: agreement, vote, logprob, least, margin, entropy, check, self or scorer; one, or a "
     "list of "
     "one for each model but the last"},
    {"threshold", TDM_OPT_VALUE, AT(threshold), NULL, 0, 0, NULL,
     "kept from this score on; one number, or a list like gate's: share of the draws (agreement: 1, vote: 0.6), mean "
     "or "
     "least ln p, such as -0.1 (logprob, least), mean p of the first token less the second (margin), minus the mean "
     "entropy (entropy), share of yes (self: 1), probability that the next model would not do better (scorer)"},
    {"platt", TDM_OPT_VALUE, AT(platt), NULL, 0, 0, NULL,
     "[a, b]: scores become 1 / (1 + exp(-(a score + b))), a probability, before the threshold"},
    {"weights", TDM_OPT_STRING, AT(weights), NULL, 0, 0, NULL, "file of the scorer, or embedded:cascade (scorer)"},
    {"samples", TDM_OPT_INT, AT(samples), "3", 1, TDM_MOST_VERDICTS, NULL,
     "draws beside the answer (agreement, vote), verdicts (self)"},
    {"parallel", TDM_OPT_INT, AT(parallel), "4", 1, 64, NULL, "draws or verdicts that are asked for at a time"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "0.7", 0, 5, NULL, "of the samples and verdicts"},
    {"prompts", TDM_OPT_LIST, AT(prompts), NULL, 0, 0, NULL,
     "instructions that the draws get in turn, so that they think in several ways (agreement, vote)"},
    {"votes", TDM_OPT_VALUE, AT(votes), NULL, 0, 0, NULL,
     "list of weights: of the tier's own answer, then of each of the voters; absent: all the same"},
    {"how", TDM_OPT_CHOICE, AT(how), "text", 0, 0, TDM_ANSWER_TYPES,
     "what counts as the same answer (agreement, vote)"},
    {"meta", TDM_OPT_VALUE, AT(meta), NULL, 0, 0, NULL,
     "list of yes or no instead of a threshold: whether to keep an answer with 0, 1, ... samples times yes (self)"},
    {"schema", TDM_OPT_VALUE, AT(checks.schema), NULL, 0, 0, NULL,
     "JSON schema that an answer must keep to, whatever the gate"},
    {"number", TDM_OPT_VALUE, AT(checks.number), NULL, 0, 0, NULL,
     "[least, most]: an answer must contain a number, and its last one must be between them"},
    {"pattern", TDM_OPT_STRING, AT(checks.pattern), NULL, 0, 0, NULL,
     "regular expression that must find a match in an answer"},
    {"command", TDM_OPT_LIST, AT(checks.command), NULL, 0, 0, NULL,
     "whole path of a program and its words: run without a shell, with the answer as its input; it must end with 0"},
    {"command_ms", TDM_OPT_INT, AT(checks.command_ms), "2000", 1, 600000, NULL, "longest time of the command, ms"},
    {"command_bytes", TDM_OPT_INT, AT(checks.command_bytes), "536870912", 1048576, 1099511627776, NULL,
     "most memory of the command"},
    {"hold", TDM_OPT_CHOICE, AT(hold), "answer", 0, 0, "answer|sentence",
     "what is held until it is accepted: the whole answer, or each sentence by its own certainty"},
    {"hand_over", TDM_OPT_BOOL, AT(hand_over), "no", 0, 0, NULL,
     "the next model is shown the answer that was not kept, as a draft"},
    {"otherwise", TDM_OPT_CHOICE, AT(otherwise), "refuse", 0, 0, "refuse|keep",
     "when the last model fails or cannot be paid: its error, or the last answer of the others, with a warning"},
    {"wait_ms", TDM_OPT_INT, AT(wait_ms), "0", 0, 86400000, NULL,
     "how long the last model may take to begin where otherwise: keep has an answer, ms; 0 = until the deadline"},
    {"latch", TDM_OPT_INT, AT(latch), "0", 0, 1000000, NULL,
     "escalations in a row after which a conversation stays with the last model; 0 = never"},
    {"confirmations", TDM_OPT_INT, AT(confirmations), "3", 1, 1000000, NULL,
     "answers in a row that would have been kept, until such an answer is kept again (latch)"},
    {"escalations", TDM_OPT_INT, AT(escalations), "0", 0, 1000000000000, NULL,
     "most requests of a tenant that go on to a next model, in a window; 0 = no bound"},
    {"window", TDM_OPT_CHOICE, AT(window), "day", 0, 0, TDM_WINDOW_NAMES, "of the escalations, in UTC"},
    {"audit", TDM_OPT_NUMBER, AT(audit), "0", 0, 1, NULL,
     "share of the kept answers that the last model answers too, to be compared by `how`"},
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
