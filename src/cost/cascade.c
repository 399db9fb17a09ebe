// cascade: the small model answers first; a gate looks at its answer and keeps it or asks the large one.
//
// The rule it protects: nothing goes out until the decision is made, and then the words of one model only: the small
// one's answer is held and replayed with every event as it was, or dropped (its call is marked discarded) and the large
// one streams live. A small model that fails is replaced, unless somebody refused the request.
//
// Gates: logprob (mean ln p of the small answer's tokens), agreement (share of `samples` further draws that say the
// same as the answer at temperature 0; 2407.02348) and scorer (models/linear.h over question and answer: the
// probability that the large model would not do better, fitted by learn/fit; 2305.05176). A new gate: a row in `gates`,
// a choice in the options.
#include "cost/kinds.h"
#include "models/answer.h"
#include "models/collect.h"
#include "models/gate.h"
#include "models/linear.h"
#include <string.h>

#define ANSWER_LIMIT_BYTES ((size_t)4 << 20)
#define DRAWS_PER_REQUEST 1024 // random streams of one draw of a request: its own and those of its samples

struct options {
	int gate, how;
	const char *weights;
	double threshold, temperature;
	int64_t samples;
};

struct cascade {
	struct tdm_model model;
	struct options o;
	struct tdm_linear *weights; // NULL: the gate is another one
	struct tdm_model *small, *large;
};

// The small model's answer and what was found out about it.
struct evidence {
	const struct tdm_collect *answer;
	const struct tdm_result *result;
	double score; // larger = better; NaN = unknown
	int agree, asked;
};

// The decision, apart from how its evidence came about.
static bool keeps(const struct options *o, const struct evidence *e) {
	return tdm_gate_accepts(e->score, o->threshold);
}

static int weigh_logprob(const struct cascade *c, struct tdm_run *run, const struct tdm_request *request,
                         struct evidence *e) {
	e->score = e->result->mean_logprob;
	if (isnan(e->score))
		e->score = tdm_collect_mean(e->answer);
	return TDM_OK;
}

static int ask_sample(const struct cascade *c, struct tdm_run *run, const struct tdm_request *request,
                      const struct tdm_bytes *answer, bool *same) {
	struct tdm_collect sample;
	struct tdm_result result;
	tdm_collect_init(&sample, ANSWER_LIMIT_BYTES, NULL, NULL);
	int status = tdm_generate(c->small, run, request, &sample.sink, &result);
	*same = status == TDM_OK && tdm_answer_same(answer->data, answer->len, sample.text.data, sample.text.len,
	                                            (enum tdm_answer_type)c->o.how);
	tdm_collect_release(&sample);
	return status;
}

static int weigh_agreement(const struct cascade *c, struct tdm_run *run, const struct tdm_request *request,
                           struct evidence *e) {
	struct tdm_request sample = *request;
	sample.temperature = (float)c->o.temperature;
	sample.purpose = "sample";
	sample.logprobs = false;
	for (e->asked = 0; e->asked < c->o.samples; e->asked++) {
		bool same = false;
		sample.draw = request->draw * DRAWS_PER_REQUEST + (uint64_t)e->asked + 1;
		int status = ask_sample(c, run, &sample, &e->answer->text, &same);
		if (status != TDM_OK)
			return status;
		e->agree += same;
	}
	e->score = (double)e->agree / (double)e->asked;
	return TDM_OK;
}

// An answer without log-probabilities, or without a word, is unknown to the scorer.
static int weigh_scorer(const struct cascade *c, struct tdm_run *run, const struct tdm_request *request,
                        struct evidence *e) {
	struct tdm_seen seen = tdm_seen_question(request);
	if (!e->answer->logprobs.n)
		return TDM_OK;
	seen.answer = e->answer->text.data;
	seen.n_answer = e->answer->text.len;
	seen.logprobs = e->answer->logprobs;
	e->score = tdm_linear_score(c->weights, &seen);
	return TDM_OK;
}

static const struct gate {
	const char *signal;
	int (*weigh)(const struct cascade *c, struct tdm_run *run, const struct tdm_request *request, struct evidence *e);
	bool is_greedy; // the answer that is judged is the one at temperature 0
	bool needs_logprobs;
} gates[] = {
    {"logprob", weigh_logprob, false, true},
    {"agreement", weigh_agreement, true, false},
    {"scorer", weigh_scorer, false, true},
};
enum { LOGPROB, AGREEMENT, SCORER };

static int ask_small(const struct cascade *c, struct tdm_run *run, const struct tdm_request *request,
                     struct tdm_collect *answer, struct tdm_result *result) {
	struct tdm_request asked = *request;
	asked.logprobs = request->logprobs || gates[c->o.gate].needs_logprobs;
	if (gates[c->o.gate].is_greedy)
		asked.temperature = 0;
	return tdm_generate(c->small, run, &asked, &answer->sink, result);
}

// The calls from `from` up to the one before `end` answered for nothing.
static void discard(struct tdm_call *from, struct tdm_call **end) {
	for (struct tdm_call *c = from; c; c = &c->next == end ? NULL : c->next)
		if (!strcmp(c->status, "ok"))
			c->status = "discarded";
}

static void record(const struct cascade *c, struct tdm_run *run, const struct evidence *e, const char *choice,
                   int status) {
	const char *signal = gates[c->o.gate].signal;
	if (status != TDM_OK)
		tdm_gate_record(run, &c->model, choice, "failed", (double)NAN, (double)NAN, "%s",
		                tdm_status_info(status)->code);
	else if (e->asked)
		tdm_gate_record(run, &c->model, choice, signal, e->score, c->o.threshold, "%d/%d", e->agree, e->asked);
	else
		tdm_gate_record(run, &c->model, choice, signal, e->score, c->o.threshold, NULL);
}

// Asks the small model and weighs its answer. A filtered answer is somebody's refusal: it stands.
static int judge(const struct cascade *c, struct tdm_run *run, const struct tdm_request *request,
                 struct tdm_collect *answer, struct tdm_result *result, bool *keep) {
	struct evidence e = {.answer = answer, .result = result, .score = (double)NAN};
	struct tdm_call **from = run->record->last_call;
	int status = ask_small(c, run, request, answer, result);
	struct tdm_call **end = run->record->last_call;
	bool is_refusal = status == TDM_OK && result->finish == TDM_FINISH_FILTER;
	if (status == TDM_OK && !is_refusal)
		status = gates[c->o.gate].weigh(c, run, request, &e);
	*keep = status == TDM_OK && (is_refusal || keeps(&c->o, &e));
	if (status != TDM_OK && !tdm_gate_may_replace(status))
		return status;
	record(c, run, &e, *keep ? "keep" : "escalate", status);
	if (!*keep && from != end)
		discard(*from, end);
	tdm_error_clear(&run->error);
	return TDM_OK;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct cascade *c = (const struct cascade *)m;
	struct tdm_collect answer;
	bool keep = false;
	if (tdm_wants_tools(request)) { // no gate can weigh a call
		tdm_gate_record(run, m, "escalate", "tools", (double)NAN, (double)NAN, NULL);
		return tdm_generate(c->large, run, request, sink, result);
	}
	tdm_collect_init(&answer, ANSWER_LIMIT_BYTES, NULL, run->arena);
	int status = judge(c, run, request, &answer, result, &keep);
	if (status == TDM_OK)
		status = keep ? tdm_collect_replay(&answer, sink) : tdm_generate(c->large, run, request, sink, result);
	tdm_collect_release(&answer);
	return status;
}

static int check(const struct tdm_build *b, const struct options *o, const struct tdm_model *small) {
	if (gates[o->gate].needs_logprobs && !(small->can & TDM_CAN_LOGPROBS))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: gate %s needs log-probabilities, which model %s does not give",
		                b->where, gates[o->gate].signal, small->name);
	if (o->gate == LOGPROB && o->threshold > 0)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: threshold is a mean log-probability for gate logprob: expected 0 or less, such as -0.1",
		                b->where);
	if (o->gate == SCORER && !o->weights)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: gate scorer needs weights: a path, or embedded:cascade", b->where);
	return TDM_OK;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	const struct options *o = options;
	struct tdm_model *small = tdm_build_role(b, "small"), *large = tdm_build_role(b, "large");
	int status = check(b, o, small);
	if (status != TDM_OK)
		return status;
	unsigned can = TDM_CAN_TEXT | (small->can & large->can & TDM_CAN_LOGPROBS) | (large->can & TDM_CAN_TOOLS);
	struct cascade *c = tdm_build_model(b, sizeof *c, &ops, can);
	if (!c)
		return TDM_ENOMEM;
	c->o = *o;
	c->small = small;
	c->large = large;
	*out = &c->model;
	return o->gate == SCORER ? tdm_linear_open(b, o->weights, TDM_READS_ANSWER, &c->weights) : TDM_OK;
}

static const struct tdm_role roles[] = {
    {"small", TDM_CAN_TEXT, 1, 1, "answers first; gates logprob and scorer need its log-probabilities"},
    {"large", TDM_CAN_TEXT, 1, 1, "answers what the gate does not keep"},
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option table[] = {
    {"gate", TDM_OPT_CHOICE, AT(gate), "agreement", 0, 0, "logprob|agreement|scorer",
     "what the small answer is judged by"},
    {"weights", TDM_OPT_STRING, AT(weights), NULL, 0, 0, NULL, "file of the scorer, or embedded:cascade (scorer)"},
    {"threshold", TDM_OPT_NUMBER, AT(threshold), "1", 0, 0, NULL,
     "kept from this score on: share of the samples (agreement), mean ln p, such as -0.1 (logprob), probability that "
     "the "
     "large model would not do better, such as 0.9 (scorer)"},
    {"samples", TDM_OPT_INT, AT(samples), "3", 1, 64, NULL, "draws compared with the answer (agreement)"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "0.7", 0, 5, NULL, "of the samples (agreement)"},
    {"how", TDM_OPT_CHOICE, AT(how), "text", 0, 0, TDM_ANSWER_TYPES, "what counts as the same answer (agreement)"},
};

const struct tdm_kind tdm_kind_cascade = {
    .name = "cascade",
    .summary = "the small model answers; a gate keeps its answer or asks the large one",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_COST,
    .leaf = "B3a",
    .source = "arXiv 2407.02348, 2305.05176",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
