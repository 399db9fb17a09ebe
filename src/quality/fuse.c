// fuse: one next-token distribution from several models with one vocabulary, token by token (models/local/lockstep.h).
//
// Rules, on raw logits: average (sum of weight * probability, or of weight * logit = product of powers, with space
// log); contrast (2210.15097, 2309.09117: the first member is the expert, the second the amateur; among the tokens that
// the expert finds at least `plausibility` times as likely as its best, (1 + beta) expert - beta amateur). The rule it
// protects: a rule over equal members, or with beta 0, is the member itself: results stay on the scale of the first
// member's logits and are computed in double, so that rounding does not change a choice. A new rule: a row in `rules`,
// a choice.
#include "quality/kinds.h"
#include "models/local/joint.h"
#include "models/local/lockstep.h"

#define LEAST_LOGIT (-1e4) // an amateur's "never" must not make a token certain

struct options {
	int rule, space;
	const struct tdm_value *weights;
	double beta, plausibility;
};

struct fuse {
	struct tdm_model model;
	struct options o;
	struct tdm_model *members[TDM_LOCKSTEP_MAX];
	size_t n;
	double weights[TDM_LOCKSTEP_MAX]; // sum to 1
};

static double log_sum_exp(const float *z, int n) {
	double top = (double)z[tdm_argmax(z, n)], sum = 0;
	for (int i = 0; i < n; i++)
		sum += exp((double)z[i] - top);
	return top + log(sum);
}

// ln of the averaged probability, with the first member's normaliser added: the scale of its logits.
static void average(const void *settings, const float *const *logits, int n_members, int n_vocab, float *out) {
	const struct fuse *f = settings;
	double normaliser[TDM_LOCKSTEP_MAX];
	for (int m = 0; m < n_members; m++)
		normaliser[m] = log_sum_exp(logits[m], n_vocab);
	for (int i = 0; i < n_vocab; i++) {
		double sum = 0;
		for (int m = 0; m < n_members; m++)
			sum += f->weights[m] * exp((double)logits[m][i] - normaliser[m]);
		out[i] = (float)(log(sum) + normaliser[0]);
	}
}

static void average_logs(const void *settings, const float *const *logits, int n_members, int n_vocab, float *out) {
	const struct fuse *f = settings;
	for (int i = 0; i < n_vocab; i++) {
		double sum = 0;
		for (int m = 0; m < n_members; m++)
			if (f->weights[m] > 0)
				sum += f->weights[m] * (double)logits[m][i];
		out[i] = (float)sum;
	}
}

static void contrast(const void *settings, const float *const *logits, int n_members, int n_vocab, float *out) {
	const struct fuse *f = settings;
	const float *expert = logits[0], *amateur = logits[1];
	double least = (double)expert[tdm_argmax(expert, n_vocab)] + log(f->o.plausibility), beta = f->o.beta;
	for (int i = 0; i < n_vocab; i++) {
		double score = (1 + beta) * (double)expert[i] - beta * fmax((double)amateur[i], LEAST_LOGIT);
		out[i] = (double)expert[i] >= least ? (float)score : -INFINITY;
	}
}

static const struct rule {
	const char *name;
	tdm_lockstep_rule *apply;
} rules[] = {{"average", average}, {"contrast", contrast}, {"average of logs", average_logs}};
enum { AVERAGE, CONTRAST, AVERAGE_LOGS };

static const struct rule *rule_of(const struct fuse *f) {
	return &rules[f->o.rule == AVERAGE && f->o.space == 1 ? AVERAGE_LOGS : f->o.rule];
}

static int open_session(struct tdm_model *m, struct tdm_run *run, struct tdm_session **out) {
	struct fuse *f = (struct fuse *)m;
	return tdm_lockstep_open(m, f->members, f->n, rule_of(f)->apply, f, run, out);
}

// One call row for each member, and what the rule changed.
static void record(const struct fuse *f, struct tdm_run *run, const struct tdm_session *session, const char *purpose,
                   int status, int64_t tokens) {
	const struct tdm_lockstep_stats *stats = tdm_lockstep_stats(session);
	const char *detail = "largest differs from";
	for (size_t m = 0; m < f->n; m++) {
		struct tdm_call *c = tdm_joint_record(run, tdm_lockstep_member(session, m), purpose ? purpose : "answer",
		                                      status, tokens, stats->us / (int64_t)f->n);
		if (c)
			c->passes = stats->passes;
		if (detail)
			detail = tdm_arena_printf(run->record->arena, "%s%s %s %lld of %lld", detail, m ? "," : "",
			                          f->members[m]->name, (long long)stats->differs[m], (long long)stats->rows);
	}
	struct tdm_decision d = {.by = f->model.name, .kind = "fuse", .choice = rule_of(f)->name, .detail = detail};
	d.signal = f->o.rule == CONTRAST ? "beta" : "weight of the first";
	d.score = f->o.rule == CONTRAST ? f->o.beta : f->weights[0];
	d.threshold = (double)NAN;
	tdm_record_decision(run->record, &d);
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct tdm_session *session = NULL;
	int status = open_session(m, run, &session);
	if (status != TDM_OK)
		return status;
	status = tdm_joint_decode(run, request, session, m->name, sink, result);
	record((struct fuse *)m, run, session, request->purpose, status, result->completion_tokens);
	session->ops->close(session);
	return status;
}

static int read_weights(const struct tdm_build *b, struct fuse *f) {
	const struct tdm_value *list = f->o.weights;
	double sum = 0;
	if (list && (list->type != TDM_LIST || list->n != f->n))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: weights are expected to be a list of %zu numbers, one per member",
		                b->where, f->n);
	for (size_t m = 0; m < f->n; m++) {
		double w = list ? list->items[m].number : 1;
		if ((list && list->items[m].type != TDM_NUMBER) || !(w >= 0) || isinf(w))
			return tdm_fail(b->error, TDM_ECONFIG, "%s: weight %zu is expected to be a number of 0 or more", b->where,
			                m + 1);
		sum += f->weights[m] = w;
	}
	if (sum <= 0)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: at least one weight is expected to be above 0", b->where);
	for (size_t m = 0; m < f->n; m++)
		f->weights[m] /= sum;
	return TDM_OK;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate, .open = open_session};
	struct fuse *f = tdm_build_model(b, sizeof *f, &ops, TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_STEP);
	if (!f)
		return TDM_ENOMEM;
	f->o = *(const struct options *)options;
	f->n = tdm_build_roles(b, "members", f->members, TDM_LOCKSTEP_MAX);
	*out = &f->model;
	if (f->o.rule == CONTRAST && f->n != 2)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: rule contrast takes two members, the expert and the amateur, not %zu", b->where, f->n);
	if (f->o.rule == CONTRAST && f->o.weights)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: rule contrast has no weights; it has beta", b->where);
	return read_weights(b, f);
}

static const struct tdm_role roles[] = {
    {"members", TDM_CAN_STEP, 2, TDM_LOCKSTEP_MAX, "models with one vocabulary; the first leads"},
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option table[] = {
    {"rule", TDM_OPT_CHOICE, AT(rule), "average", 0, 0, "average|contrast", "how logits are combined"},
    {"space", TDM_OPT_CHOICE, AT(space), "prob", 0, 0, "prob|log", "what is averaged: probabilities or logarithms"},
    {"weights", TDM_OPT_VALUE, AT(weights), NULL, 0, 0, NULL, "one number per member; equal when absent (average)"},
    {"beta", TDM_OPT_NUMBER, AT(beta), "0.5", 0, 10, NULL, "how much of the amateur is taken away (contrast)"},
    {"plausibility", TDM_OPT_NUMBER, AT(plausibility), "0.1", 1e-9, 1, NULL,
     "least probability relative to the expert's best (contrast)"},
};

const struct tdm_kind tdm_kind_fuse = {
    .name = "fuse",
    .summary = "several models with one vocabulary write one text, token by token",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_QUALITY,
    .leaf = "A2a",
    .source = "arXiv 2404.11531, 2210.15097",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
