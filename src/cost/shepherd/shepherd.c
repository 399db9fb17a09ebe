// shepherd: the large model writes a part of the answer, its beginning, a sketch or its skeleton, and the small one
// writes the rest; or it only reads the question, and the small one writes with what it made of it.
//
// The rule it protects: the large model is asked for as much as was planned and no more. A gate may say that no help is
// needed; how much is asked for is a share of the answer's expected length, a number of tokens, or what a predictor
// finds worth its price. A hint of no tokens is the small model alone, one as long as the answer the large one alone.
//
// Here are the kind's row, the gate and the plan; hint.c has the beginning, points.c sketch and skeleton, states.c the
// states. A new part: a row in `parts`, a choice.
#include "cost/shepherd/shepherd.h"
#include "base/clock.h"
#include "cost/kinds.h"
#include "models/gate.h"
#include "models/local/local.h"
#include "models/promise.h"
#include "models/sources.h"
#include <stdio.h>

const char *const tdm_part_names[] = {"prefix", "sketch", "skeleton", "states"};
static int (*const parts[])(struct tdm_herd *h) = {tdm_herd_prefix, tdm_herd_points, tdm_herd_points, tdm_herd_states};

// --- what all parts share

void tdm_herd_warn_out(struct tdm_herd *h, const struct tdm_model *m, int status) {
	const struct tdm_model *other = m == h->c->large ? h->c->small : h->c->large;
	const char *code = tdm_status_info(status)->code;
	char *text =
	    tdm_arena_printf(h->run->record->arena, "model %s is out (%s): model %s goes on", m->name, code, other->name);
	tdm_record_warn(h->run->record, "model_out", m->name, text ? text : code);
	tdm_error_clear(&h->run->error);
	h->one_is_out = true;
}

bool tdm_herd_can_pay(struct tdm_herd *h, struct tdm_model *m, double calls) {
	struct tdm_objective outer = h->run->objective;
	if (isnan(outer.max_cost))
		return true;
	h->run->objective = (struct tdm_objective){.quality = NAN};
	h->run->objective.max_cost = (outer.max_cost - tdm_record_cost(h->run->record)) / calls;
	bool can = tdm_check_objective(m, h->request, h->run) == TDM_OK;
	h->run->objective = outer;
	tdm_error_clear(&h->run->error);
	return can;
}

struct begun { // notes that words came; they may come from another thread
	struct tdm_sink sink;
	struct tdm_begin begin;
};

static int begun_put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct begun *b = (struct begun *)sink;
	atomic_store_explicit(&b->begin.began, true, memory_order_relaxed);
	return sink->next->put(sink->next, event);
}

int tdm_herd_ask_large(struct tdm_herd *h, const struct tdm_request *asked, struct tdm_sink *sink,
                       struct tdm_result *result) {
	int64_t wait_us = h->c->o.wait_ms * 1000;
	struct begun b = {.sink = {begun_put, sink}, .begin = {.outer = h->run->begin}};
	b.begin.until_us = wait_us ? tdm_now_us() + wait_us : 0;
	h->run->begin = wait_us ? &b.begin : b.begin.outer;
	int status = tdm_generate(h->c->large, h->run, asked, &b.sink, result);
	h->run->begin = b.begin.outer;
	if (status != TDM_EDEADLINE || !wait_us || atomic_load(&b.begin.began))
		return status;
	tdm_error_clear(&h->run->error);
	int over = tdm_run_check(h->run); // the request's own end is the end
	return over ? over
	            : tdm_fail(&h->run->error, TDM_EUPTIME, "model %s: it did not begin to answer in time",
	                       h->c->large->name);
}

int tdm_herd_note(const struct tdm_herd *h, struct tdm_run *run, const char *before, const struct tdm_words *quoted,
                  const char *after, struct tdm_request *request) {
	size_t n = request->n_messages, at = n;
	struct tdm_message *list = tdm_arena_array(run->arena, n, sizeof *list);
	struct tdm_bytes b;
	while (at && request->messages[at - 1].from != TDM_FROM_USER)
		at--;
	if (!list)
		return tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory for a note", h->c->model.name);
	memcpy(list, request->messages, n * sizeof *list);
	struct tdm_message *last = &list[at ? at - 1 : n - 1];
	tdm_bytes_init(&b, (size_t)64 << 20);
	tdm_bytes_add(&b, last->text, last->len);
	tdm_bytes_puts(&b, before);
	if (quoted)
		tdm_bytes_json(&b, quoted->text, quoted->len);
	tdm_bytes_puts(&b, after);
	last->text = b.failed ? NULL : tdm_arena_copy(run->arena, b.data, b.len);
	last->len = b.len;
	tdm_bytes_release(&b);
	request->messages = list;
	return last->text ? TDM_OK : tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory for a note", h->c->model.name);
}

// --- one model alone

static void mark_draft(struct tdm_herd *h, const char *status) {
	struct tdm_call *c = h->draft.from == h->draft.end ? NULL : *h->draft.from;
	for (; c; c = &c->next == h->draft.end ? NULL : c->next)
		if (strcmp(c->status, "failed") != 0)
			c->status = status;
}

static int serve_draft(struct tdm_herd *h) {
	struct tdm_trim trim;
	mark_draft(h, "ok");
	tdm_trim_init(&trim, h->run->arena, h->request, &h->seam.sink);
	*h->result = h->draft.result;
	return tdm_collect_replay(&h->draft.words, &trim.sink);
}

static int ask_alone(struct tdm_herd *h, struct tdm_model *m) {
	int status = m == h->c->small && h->has_draft ? serve_draft(h)
	                                              : tdm_generate(m, h->run, h->request, &h->seam.sink, h->result);
	h->written += h->result->completion_tokens;
	if (m == h->c->large)
		h->by_large += h->result->completion_tokens;
	h->authors[0] = m;
	h->prompt_tokens = h->result->prompt_tokens;
	h->choice = m->name;
	return status;
}

int tdm_herd_alone(struct tdm_herd *h, struct tdm_model *m) {
	struct tdm_model *other = m == h->c->large ? h->c->small : h->c->large;
	int status = ask_alone(h, m);
	bool shown = h->seam.shown.len || h->seam.held.len;
	if (status >= 0 || shown || h->one_is_out || !tdm_gate_may_replace(status) || !tdm_herd_can_pay(h, other, 1) ||
	    (tdm_wants_tools(h->request) && !(other->can & TDM_CAN_TOOLS)))
		return status;
	tdm_herd_warn_out(h, m, status);
	h->why = m == h->c->small ? "small failed" : "large failed";
	return ask_alone(h, other);
}

// --- the gate

enum { NO_GATE, BY_QUESTION, BY_ANSWER };
static const struct {
	const char *name;
	int looks_at;
	bool needs_weights;
} gates[] = {
    {"none", NO_GATE, false},    {"linear", BY_QUESTION, true}, {"logprob", BY_ANSWER, false},
    {"least", BY_ANSWER, false}, {"margin", BY_ANSWER, false},  {"entropy", BY_ANSWER, false},
    {"scorer", BY_ANSWER, true},
};

static double score_draft(const struct tdm_herd *h, const struct tdm_certainty *certainty) {
	struct tdm_seen seen = tdm_seen_question(h->request);
	if (h->c->gate->of)
		return h->c->gate->of(certainty);
	if (!h->draft.words.logprobs.n)
		return (double)NAN;
	seen.answer = h->draft.words.text.data;
	seen.n_answer = h->draft.words.text.len;
	seen.logprobs = h->draft.words.logprobs;
	return tdm_linear_score(h->c->scorer, &seen);
}

// The small one answers, held: how sure is it? One that fails, or is filtered, is not sure of anything.
static int ask_draft(struct tdm_herd *h) {
	struct tdm_certainty certainty = {0};
	int status = tdm_cascade_ask(h->c->gate, h->c->small, h->run, h->request, &h->draft, &certainty);
	h->has_draft = status == TDM_OK && h->draft.words.n;
	if (h->has_draft)
		h->score = score_draft(h, &certainty);
	if (status == TDM_OK || !tdm_gate_may_replace(status))
		return status;
	tdm_error_clear(&h->run->error);
	return TDM_OK;
}

// *alone: no help is needed. A draft that somebody filtered is a refusal, and stands.
static int look(struct tdm_herd *h, bool *alone) {
	const struct tdm_shepherd *c = h->c;
	int kind = gates[c->o.gate].looks_at, status = TDM_OK;
	struct tdm_seen seen = tdm_seen_question(h->request);
	if (kind == BY_QUESTION)
		h->score = tdm_linear_score(c->scorer, &seen);
	else if (kind == BY_ANSWER)
		status = ask_draft(h);
	*alone = kind != NO_GATE && tdm_gate_accepts(h->score, c->threshold);
	*alone |= h->has_draft && h->draft.result.finish == TDM_FINISH_FILTER;
	if (h->has_draft && !*alone)
		mark_draft(h, "discarded");
	return status;
}

// --- how much is asked for

// The predictor's models are hints of growing length: the first that is good enough, or the one that is worth most.
static int predict(struct tdm_herd *h) {
	const struct tdm_shepherd *c = h->c;
	struct tdm_seen seen = tdm_seen_question(h->request);
	struct tdm_router_sight sight = {.text = seen.question, .n = seen.n_question};
	struct tdm_router_policy policy = {.threshold = c->o.good, .willingness_to_pay = c->o.willingness_to_pay};
	struct tdm_router_look found = {.good = {0}};
	bool undecided;
	if (tdm_router_judge(c->predictor, &sight, h->run->arena, &found))
		return tdm_fail(&h->run->error, TDM_ENOMEM, "%s: no memory for a prediction", c->model.name);
	int choice = tdm_router_choose(c->predictor, &found, &policy, &undecided);
	h->wanted = c->hints[choice];
	h->quality = found.quality[choice];
	return TDM_OK;
}

static int plan(struct tdm_herd *h) {
	const struct tdm_shepherd_options *o = &h->c->o;
	if (o->part == TDM_PART_STATES)
		return TDM_OK;
	h->expected = h->has_draft ? h->draft.result.completion_tokens : o->expected;
	if (h->c->predictor)
		return predict(h);
	h->wanted = o->tokens >= 0  ? o->tokens
	            : o->share >= 1 ? TDM_WHOLE_ANSWER
	                            : (int64_t)ceil(o->share * (double)h->expected);
	return TDM_OK;
}

// --- the record

// The dearest source that the large model may ask.
static struct tdm_price dearest(const struct tdm_model *m) {
	struct tdm_price best = m->price;
	for (size_t i = 0; i < m->n_parts; i++) {
		struct tdm_price p = dearest(m->parts[i]);
		if (p.in + p.out > best.in + best.out)
			best = p;
	}
	return best;
}

static void record(const struct tdm_herd *h) {
	const struct tdm_shepherd *c = h->c;
	bool has_gate = c->o.gate != NO_GATE;
	struct tdm_price price = dearest(c->large);
	double cost = tdm_record_cost(h->run->record) - h->cost_before;
	double alone = ((double)h->prompt_tokens * price.in + (double)h->written * price.out) / 1e6;
	char wanted[80] = "";
	if (c->o.part == TDM_PART_STATES)
		snprintf(wanted, sizeof wanted, "none wanted");
	else if (h->wanted == TDM_WHOLE_ANSWER)
		snprintf(wanted, sizeof wanted, "all wanted");
	else if (c->predictor)
		snprintf(wanted, sizeof wanted, "%lld wanted, right with %.3f", (long long)h->wanted, h->quality);
	else
		snprintf(wanted, sizeof wanted, "%lld wanted of %lld expected", (long long)h->wanted, (long long)h->expected);
	tdm_gate_record(h->run, &c->model, h->choice, gates[c->o.gate].name, h->score,
	                has_gate ? c->threshold : (double)NAN,
	                "%s%s%slarge wrote %lld tokens (%s), share %.3f; cost %.3g, large alone %.3g", h->why ? h->why : "",
	                h->why ? ": " : "", h->detail, (long long)h->by_large, wanted,
	                h->written ? (double)h->by_large / (double)h->written : 0.0, cost, alone);
}

// --- one request

// Words that a form, a raw prompt or calls are made of cannot be divided between two models. With states the small one
// writes them all.
static bool is_divisible(const struct tdm_herd *h) {
	const struct tdm_request *request = h->request;
	if (h->c->o.part == TDM_PART_STATES)
		return !tdm_wants_tools(request) && !(request->raw && request->raw->echo);
	return h->wanted == 0 || (!tdm_wants_tools(request) && !request->form && !request->raw);
}

static int answer(struct tdm_herd *h) {
	bool alone = false;
	int status = tdm_wants_tools(h->request) ? TDM_OK : look(h, &alone);
	if (status == TDM_OK && !alone)
		status = plan(h);
	if (status)
		return status;
	if (alone)
		return tdm_herd_alone(h, h->c->small);
	if (is_divisible(h))
		return parts[h->c->o.part](h);
	h->why = "not divisible";
	return tdm_herd_alone(h, h->c->large);
}

static void finish(struct tdm_herd *h) {
	struct tdm_result *r = h->result;
	const struct tdm_model *a = h->authors[0], *b = h->authors[1];
	bool both = a && b && a != b;
	r->prompt_tokens = h->prompt_tokens;
	r->completion_tokens = h->written;
	r->served = both ? h->c->model.name : b ? b->name : a ? a->name : r->served;
	if (b && h->c->o.part != TDM_PART_STATES)
		r->mean_logprob = (double)NAN;
	if (h->seam.stop) {
		r->finish = TDM_FINISH_STOP;
		r->stop = h->seam.stop;
	}
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct tdm_herd h = {.c = (const struct tdm_shepherd *)m, .run = run, .request = request, .result = result};
	h.score = h.quality = (double)NAN;
	h.choice = m->name;
	h.cost_before = tdm_record_cost(run->record);
	tdm_seam_init(&h.seam, request, sink);
	int status = answer(&h);
	if (status >= 0)
		status = tdm_seam_end(&h.seam);
	if (status == TDM_OK)
		finish(&h);
	record(&h);
	if (h.draft.words.last)
		tdm_said_release(&h.draft);
	tdm_seam_release(&h.seam);
	return status;
}

// --- the settings

static int read_gate(const struct tdm_build *b, struct tdm_shepherd *c) {
	const struct tdm_value *threshold = c->o.threshold;
	const char *name = gates[c->o.gate].name;
	int kind = gates[c->o.gate].looks_at;
	if (kind == NO_GATE)
		return threshold || c->o.weights
		           ? tdm_fail(b->error, TDM_ECONFIG, "%s: threshold and weights belong to a gate, such as gate: linear",
		                      b->where)
		           : TDM_OK;
	if (!threshold || threshold->type != TDM_NUMBER)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: gate %s needs a threshold, a number", b->where, name);
	c->threshold = threshold->number;
	if (kind == BY_ANSWER && !(c->small->can & TDM_CAN_LOGPROBS))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: gate %s needs log-probabilities, which model %s does not give",
		                b->where, name, c->small->name);
	if (kind == BY_ANSWER)
		c->gate = tdm_gate_find(name);
	if (!gates[c->o.gate].needs_weights)
		return c->o.weights ? tdm_fail(b->error, TDM_ECONFIG, "%s: gate %s needs no weights", b->where, name) : TDM_OK;
	if (!c->o.weights)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: gate %s needs weights: a path, or embedded:%s", b->where, name,
		                kind == BY_ANSWER ? "cascade" : "route");
	return tdm_linear_open(b, c->o.weights, kind == BY_ANSWER ? TDM_READS_ANSWER : TDM_READS_QUESTION, &c->scorer);
}

// One of `hints`: a number of tokens, or all.
static bool read_hint(const struct tdm_value *v, int64_t *out) {
	if (v->type == TDM_STRING && !strcmp(v->text, "all")) {
		*out = TDM_WHOLE_ANSWER;
		return true;
	}
	*out = v->type == TDM_NUMBER && v->is_integer && v->integer >= 0 ? v->integer : -1;
	return *out >= 0;
}

static int read_hints(const struct tdm_build *b, struct tdm_shepherd *c) {
	const struct tdm_value *list = c->o.hints;
	if ((size_t)c->predictor->n_models != list->n)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s was fitted on %d models, and hints names %zu", b->where,
		                c->o.predictor, c->predictor->n_models, list->n);
	for (size_t i = 0; i < list->n; i++)
		if (!read_hint(&list->items[i], &c->hints[i]) || (i && c->hints[i] <= c->hints[i - 1]))
			return tdm_fail(b->error, TDM_ECONFIG, "%s: hints: expected growing numbers of tokens, the last may be all",
			                b->where);
	return TDM_OK;
}

static int read_predictor(const struct tdm_build *b, struct tdm_shepherd *c) {
	const struct tdm_value *list = c->o.hints;
	if (!c->o.predictor && !list)
		return TDM_OK;
	if (!c->o.predictor || !list || list->type != TDM_LIST)
		return tdm_fail(
		    b->error, TDM_ECONFIG,
		    "%s: predictor and hints come together: a file of tandem fit-router, and for each of its models "
		    "the tokens of its hint, such as [0, 2, 4, all]",
		    b->where);
	if (c->o.tokens >= 0)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected either tokens or a predictor", b->where);
	int status = tdm_router_open(b, c->o.predictor, &c->predictor);
	if (status)
		return status;
	if (c->predictor->reads != TDM_ROUTER_READS_TEXT)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: %s reads vectors; a predictor reads the text", b->where,
		                c->o.predictor);
	return read_hints(b, c);
}

// NULL: the engine of a model of another kind, which the projection refuses.
static bool share_tokens(const struct tdm_engine *a, const struct tdm_engine *b) {
	return !a || !b ||
	       (tdm_vocab_id(tdm_engine_vocab(a)) == tdm_vocab_id(tdm_engine_vocab(b)) &&
	        tdm_engine_chat(a) == tdm_engine_chat(b));
}

static int read_projection(const struct tdm_build *b, struct tdm_shepherd *c) {
	bool is_states = c->o.part == TDM_PART_STATES;
	if (is_states != (c->o.projection != NULL))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: part: states and projection come together: a file of tandem fit-states", b->where);
	if (!is_states)
		return TDM_OK;
	if (!share_tokens(tdm_local_engine(c->small), tdm_local_engine(c->large)))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: states need one vocabulary and one chat format, which models %s and %s do not share",
		                b->where, c->small->name, c->large->name);
	return tdm_projector_open(b, c->o.projection, c->small, c->large, &c->projector);
}

static void destroy(struct tdm_model *m) {
	tdm_projector_release(&((struct tdm_shepherd *)m)->projector);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate, .destroy = destroy};
	struct tdm_model *small = tdm_build_role(b, "small"), *large = tdm_build_role(b, "large");
	const struct tdm_shepherd_options *o = options;
	bool has_logprobs = o->part == TDM_PART_PREFIX || o->part == TDM_PART_STATES;
	unsigned both = has_logprobs ? TDM_CAN_LOGPROBS : 0;
	unsigned can = TDM_CAN_TEXT | (small->can & large->can & both) | (large->can & TDM_CAN_TOOLS);
	struct tdm_shepherd *c = tdm_build_model(b, sizeof *c, &ops, can);
	if (!c)
		return TDM_ENOMEM;
	c->o = *o;
	c->small = small;
	c->large = large;
	*out = &c->model;
	if (o->samples > 1 && !(small->can & TDM_CAN_LOGPROBS))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: samples are chosen by log-probabilities, which model %s does not give", b->where,
		                small->name);
	if (o->samples > 1 && has_logprobs)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: samples belong to part: sketch or skeleton", b->where);
	int status = read_gate(b, c);
	if (!status)
		status = read_predictor(b, c);
	return status ? status : read_projection(b, c);
}

static const struct tdm_role roles[] = {
    {"small", TDM_CAN_TEXT, 1, 1, "writes the rest, and what needs no help"},
    {"large", TDM_CAN_TEXT, 1, 1, "writes the beginning, the sketch or the skeleton, or reads the question"},
};

#define AT(field) offsetof(struct tdm_shepherd_options, field)
static const struct tdm_option table[] = {
    {"part", TDM_OPT_CHOICE, AT(part), "prefix", 0, 0, "prefix|sketch|skeleton|states",
     "what the large model writes: the beginning, a few sentences that are made paragraphs, or a list of points; "
     "states: "
     "nothing, the small one reads its states of the question"},
    {"projection", TDM_OPT_STRING, AT(projection), NULL, 0, 0, NULL,
     "file of tandem fit-states for these two models (states)"},
    {"gate", TDM_OPT_CHOICE, AT(gate), "none", 0, 0, "none|linear|logprob|least|margin|entropy|scorer",
     "is help needed? none: always; linear: by the question; the others: by the small model's own answer, as in a "
     "cascade"},
    {"threshold", TDM_OPT_VALUE, AT(threshold), NULL, 0, 0, NULL,
     "of the gate's score: the small model answers alone from it on"},
    {"weights", TDM_OPT_STRING, AT(weights), NULL, 0, 0, NULL,
     "file of the scorer, embedded:route (linear) or embedded:cascade (scorer)"},
    {"share", TDM_OPT_NUMBER, AT(share), "0.2", 0, 1, NULL,
     "of the answer's expected length that the large model writes; 0: the small one alone, 1: the large one alone"},
    {"expected", TDM_OPT_INT, AT(expected), "32", 1, 1 << 20, NULL,
     "tokens of an answer, where no answer of the small model tells"},
    {"tokens", TDM_OPT_INT, AT(tokens), "-1", -1, 1 << 20, NULL, "instead of a share: tokens of a hint; -1 = not set"},
    {"predictor", TDM_OPT_STRING, AT(predictor), NULL, 0, 0, NULL,
     "instead: file of tandem fit-router over models that differ in their hint"},
    {"hints", TDM_OPT_VALUE, AT(hints), NULL, 0, 0, NULL,
     "list: the tokens of the hint of each model of the predictor, such as [0, 2, 4, all]"},
    {"good", TDM_OPT_NUMBER, AT(good), "0.5", 0, 1, NULL,
     "probability to do as well as the longest hint, from which a shorter one is taken (predictor)"},
    {"willingness_to_pay", TDM_OPT_NUMBER, AT(willingness_to_pay), "0", 0, 1e9, NULL,
     "instead: what a right answer is worth, in the unit of the table's costs (predictor); 0 = not set"},
    {"continues", TDM_OPT_CHOICE, AT(continues), "auto", 0, 0, "auto|yes|no",
     "can models continue a last message of the assistant? auto: those in this process; others get it quoted"},
    {"parallel", TDM_OPT_INT, AT(parallel), "4", 1, 64, NULL, "points that are written at a time"},
    {"samples", TDM_OPT_INT, AT(samples), "1", 1, 8, NULL,
     "of each point; the one of whose tokens the small model was surest is taken"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "0.7", 0, 5, NULL, "of the samples, where there are several"},
    {"points", TDM_OPT_INT, AT(points), "10", 1, 64, NULL, "at most; what is beyond belongs to the last one"},
    {"wait_ms", TDM_OPT_INT, AT(wait_ms), "0", 0, 86400000, NULL,
     "how long the large model may take to begin, before the small one goes on alone, ms; 0 = until the deadline"},
};

const struct tdm_kind tdm_kind_shepherd = {
    .name = "shepherd",
    .summary = "the large model writes a part of the answer, the small one the rest",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_COST,
    .leaf = "A1b",
    .source = "arXiv 2601.22132, 2501.09367, 2307.15337, 2402.16844",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct tdm_shepherd_options),
    .create = create,
};
