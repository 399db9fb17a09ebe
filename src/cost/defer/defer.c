// defer: the small model writes; where it is in doubt, the large one writes: single tokens, words, or steps.
//
// The rule it protects: the large model is asked where it is needed and nowhere else (relay.h), and what decides is a
// pure function of one number (doubt.h). unit token and span: the small model's doubt about its next token; from
// `threshold` on the large one writes at least `stay` tokens (span: and to the end of the word), and gives the pen back
// below `release` of the threshold, by the small one's doubt or by its own (back). unit step: the small one writes a
// step, a line; the large one reads it in one pass, and its doubt is its mean surprise, - ln p per token; a step that
// is refused is taken back before anybody sees it, and the large one writes it. Threshold +infinity: the small model
// alone; -infinity: the large one alone.
//
// A new unit: a row in `units`, a choice.
#include "cost/defer/doubt.h"
#include "cost/kinds.h"
#include "cost/defer/relay.h"
#include "models/gate.h"
#include "models/local/joint.h"
#include "models/predict/probe.h"
#include "models/local/writer.h"
#include <string.h>

struct options {
	int unit, signal, back;
	const char *weights;
	double threshold, release, share;
	int64_t stay, first, max_step_tokens;
};
enum { TOKEN, SPAN, STEP };
enum { PROBE = TDM_N_DOUBTS }; // the signal after those of doubt.h

struct defer {
	struct tdm_model model;
	struct options o;
	struct tdm_pen_rule rule;
	struct tdm_probe *probe; // NULL: the signal is another one
	struct tdm_model *small, *large;
};

struct answer {
	struct tdm_relay relay;
	const struct defer *kind;
	struct tdm_pen pen;
	double sum;        // of doubts
	int64_t n_doubts;  // of these
	int64_t steps;     // begun
	int64_t rewritten; // of these, by the large one after the small one
	float *rows;       // unit step: the small one's row of each token of a step
	float *before;     // and the large one's of its first
};

// --- token and span

// The probe's score: of the row that is chosen from, and the hidden state it was made from.
static double ask_probe(struct answer *a, enum tdm_relay_who who, const float *row) {
	const struct tdm_probe *p = a->kind->probe;
	const struct tdm_relay_side *side = &a->relay.sides[who];
	struct tdm_session *s = side->session;
	const float *hidden = p->width == s->width ? s->ops->hidden(s, side->row) : NULL;
	if (p->width == 0 || hidden)
		return tdm_probe_score(p, row, a->relay.n_vocab, hidden);
	a->relay.fatal = tdm_fail(&a->relay.run->error, TDM_ECONFIG,
	                          "%s: the probe reads a hidden state of %d numbers, which model %s does not show",
	                          a->kind->model.name, p->width, side->model->name);
	return (double)NAN;
}

static double doubt_of(struct answer *a, enum tdm_relay_who who) {
	struct tdm_relay *r = &a->relay;
	const float *row = tdm_relay_row(r, who);
	const float *kept = row ? tdm_relay_keep_form(r, row) : NULL;
	if (!kept)
		return (double)NAN;
	const struct options *o = &a->kind->o;
	double doubt = o->signal == PROBE ? ask_probe(a, who, kept) : tdm_doubt(o->signal, kept, r->n_vocab);
	a->sum += doubt;
	a->n_doubts++;
	return doubt;
}

// Does the large one's next token begin a word? Then the span it was asked for is over.
static bool is_at_word(struct answer *a) {
	struct tdm_relay *r = &a->relay;
	struct tdm_session *s = r->sides[TDM_RELAY_LARGE].session;
	const char *text = "";
	const float *row = tdm_relay_row(r, TDM_RELAY_LARGE);
	const float *kept = row ? tdm_relay_keep_form(r, row) : NULL;
	if (!kept)
		return true;
	int32_t best = tdm_argmax(kept, r->n_vocab);
	size_t n = s->ops->piece(s, best, &text);
	return n == 0 || s->ops->is_end(s, best) || strchr(" \n\t", text[0]) != NULL;
}

// Moves the pen, if it is time to. A side may be out afterwards.
static void decide(struct answer *a) {
	const struct defer *d = a->kind;
	struct tdm_pen *pen = &a->pen;
	if (a->relay.n < d->rule.first)
		tdm_pen_force(pen, true);
	if (!tdm_pen_asks(&d->rule, pen, a->relay.n))
		return;
	if (pen->is_large && d->o.unit == SPAN && !is_at_word(a))
		return;
	bool by_large = pen->is_large && d->o.back == TDM_RELAY_LARGE;
	double doubt = doubt_of(a, by_large ? TDM_RELAY_LARGE : TDM_RELAY_SMALL);
	if (!isnan(doubt))
		tdm_pen_decide(&d->rule, pen, doubt);
}

// Who writes the next token, and from which row of its own. NULL: relay.fatal.
static const float *find_row(struct answer *a, enum tdm_relay_who *who) {
	struct tdm_relay *r = &a->relay;
	const float *row = NULL;
	while (!row && r->fatal == TDM_OK) { // twice when one fails
		if (tdm_relay_is_in(r, TDM_RELAY_SMALL) && tdm_relay_is_in(r, TDM_RELAY_LARGE))
			decide(a);
		if (!tdm_relay_is_in(r, TDM_RELAY_SMALL) || !tdm_relay_is_in(r, TDM_RELAY_LARGE))
			tdm_pen_force(&a->pen, tdm_relay_is_in(r, TDM_RELAY_LARGE));
		*who = a->pen.is_large ? TDM_RELAY_LARGE : TDM_RELAY_SMALL;
		if (r->fatal == TDM_OK)
			row = tdm_relay_row(r, *who);
	}
	return r->fatal == TDM_OK ? row : NULL;
}

static int write_token(struct answer *a) {
	struct tdm_relay *r = &a->relay;
	enum tdm_relay_who who = TDM_RELAY_SMALL;
	const float *row = find_row(a, &who);
	if (!row || tdm_relay_choose(r, who, row) < 0)
		return r->fatal;
	a->pen.held++;
	return tdm_relay_send(r, row);
}

// --- step

static bool is_step_end(struct answer *a) {
	struct tdm_relay *r = &a->relay;
	struct tdm_session *s = r->sides[r->by_large[r->n - 1]].session;
	const char *text = "";
	size_t n = s->ops->piece(s, r->tokens[r->n - 1], &text);
	return s->ops->is_end(s, r->tokens[r->n - 1]) || (n && memchr(text, '\n', n));
}

static bool is_at_limit(const struct tdm_relay *r, int start, int64_t most) {
	int limit = r->request.max_tokens;
	return r->n - start >= most || r->n >= r->cap || (limit > 0 && r->n >= limit);
}

// Can it read all tokens so far, so that it has a row for one more?
static bool has_room(const struct tdm_relay *r, enum tdm_relay_who who) {
	const struct tdm_session *s = r->sides[who].session;
	return s->prompt_tokens + r->n <= s->context;
}

// The small one's step, not sent yet. It may be cut: the small one is out, or relay.fatal.
static int draft_step(struct answer *a) {
	struct tdm_relay *r = &a->relay;
	int start = r->n, status = TDM_OK;
	do {
		const float *row = tdm_relay_row(r, TDM_RELAY_SMALL);
		if (!row)
			return r->fatal;
		memcpy(a->rows + (size_t)(r->n - start) * (size_t)r->n_vocab, row, (size_t)r->n_vocab * sizeof *row);
		if (tdm_relay_choose(r, TDM_RELAY_SMALL, row) < 0)
			return r->fatal;
		status = tdm_run_check(r->run);
	} while (status == TDM_OK && !is_step_end(a) && has_room(r, TDM_RELAY_SMALL) &&
	         !is_at_limit(r, start, a->kind->o.max_step_tokens));
	return status;
}

// The large one reads tokens[start..n): its mean surprise. false: it is out.
static bool weigh_step(struct answer *a, int start, double *doubt) {
	struct tdm_relay *r = &a->relay;
	const struct tdm_relay_side *large = &r->sides[TDM_RELAY_LARGE];
	struct tdm_session *s = large->session;
	double sum = 0;
	if (!large->is_prompted && !tdm_relay_read(r, TDM_RELAY_LARGE, 0))
		return false;
	int seen = large->seen;
	if (seen == start)
		memcpy(a->before, s->ops->logits(s, large->row), (size_t)r->n_vocab * sizeof *a->before);
	if (!tdm_relay_read(r, TDM_RELAY_LARGE, r->n - 1))
		return false;
	if (seen < start)
		memcpy(a->before, s->ops->logits(s, start - 1 - seen), (size_t)r->n_vocab * sizeof *a->before);
	for (int i = start; i < r->n; i++) {
		const float *row = i == start ? a->before : s->ops->logits(s, i - 1 - seen);
		sum -= (double)tdm_log_softmax_at(row, r->n_vocab, r->tokens[i]);
	}
	*doubt = sum / (r->n - start);
	a->sum += *doubt;
	a->n_doubts++;
	return true;
}

static int send_step(struct answer *a, int start) {
	struct tdm_relay *r = &a->relay;
	int status = TDM_OK;
	for (int i = start; i < r->n && status == TDM_OK; i++)
		status = tdm_relay_send(r, a->rows + (size_t)(i - start) * (size_t)r->n_vocab);
	return status;
}

// The large one writes a step; its first token from the row `before`, unless that is NULL. Where it fails in the
// middle, the small one goes on.
static int write_step(struct answer *a, const float *before) {
	struct tdm_relay *r = &a->relay;
	int start = r->n, status = TDM_OK;
	do {
		const float *row = before ? before : tdm_relay_row(r, TDM_RELAY_LARGE);
		before = NULL;
		if (!row)
			return r->fatal;
		if (tdm_relay_choose(r, TDM_RELAY_LARGE, row) < 0)
			return r->fatal;
		status = tdm_relay_send(r, row);
	} while (status == TDM_OK && !is_step_end(a) && !is_at_limit(r, start, a->kind->o.max_step_tokens));
	return status;
}

static int next_step(struct answer *a) {
	struct tdm_relay *r = &a->relay;
	int start = r->n;
	double doubt = -INFINITY;
	if (!tdm_relay_is_in(r, TDM_RELAY_SMALL) || !tdm_relay_is_in(r, TDM_RELAY_LARGE))
		return write_token(a);
	if (a->steps++ < a->kind->o.first)
		return write_step(a, NULL);
	int status = draft_step(a);
	if (!tdm_relay_is_in(r, TDM_RELAY_SMALL) && r->fatal == TDM_OK)
		return tdm_relay_rewind(r, start); // the large one takes over from there
	if (status != TDM_OK)
		return status;
	bool is_weighed = weigh_step(a, start, &doubt);
	if (r->fatal != TDM_OK)
		return r->fatal;
	if (!is_weighed || !(doubt >= a->kind->rule.take))
		return send_step(a, start);
	a->rewritten++;
	status = tdm_relay_rewind(r, start);
	return status == TDM_OK ? write_step(a, a->before) : status;
}

static const struct unit {
	const char *name, *signal; // signal: NULL = the one of the options
	int (*next)(struct answer *a);
} units[] = {{"token", NULL, write_token}, {"span", NULL, write_token}, {"step", "surprise", next_step}};

// --- the answer

static int prepare(struct answer *a) {
	const struct tdm_relay *r = &a->relay;
	if (a->kind->o.unit != STEP)
		return TDM_OK;
	size_t n = (size_t)r->n_vocab, most = (size_t)a->kind->o.max_step_tokens;
	a->before = tdm_arena_array(r->run->arena, n, sizeof *a->before);
	a->rows = tdm_arena_array(r->run->arena, n * most, sizeof *a->rows);
	if (a->before && a->rows)
		return TDM_OK;
	return tdm_fail(&r->run->error, TDM_ENOMEM, "%s: no memory for steps of %zu tokens", a->kind->model.name, most);
}

static void record(const struct answer *a) {
	const struct defer *d = a->kind;
	const struct tdm_relay_side *small = &a->relay.sides[TDM_RELAY_SMALL], *large = &a->relay.sides[TDM_RELAY_LARGE];
	const struct unit *unit = &units[d->o.unit];
	int64_t all = small->wrote + large->wrote;
	const char *choice = !large->wrote ? d->small->name : !small->wrote ? d->large->name : "both";
	double share = all ? 100 * (double)large->wrote / (double)all : 0;
	tdm_gate_record(
	    a->relay.run, &d->model, choice,
	    unit->signal ? unit->signal
	    : d->probe   ? "probe"
	                 : tdm_doubt_names[d->o.signal],
	    a->n_doubts ? a->sum / (double)a->n_doubts : (double)NAN, isfinite(d->rule.take) ? d->rule.take : (double)NAN,
	    "large wrote %lld of %lld tokens (%.1f %%), pen moved %lld times, %lld steps again; "
	    "filled in: small %lld in %lld passes, large %lld in %lld",
	    (long long)large->wrote, (long long)all, share, (long long)a->relay.switches, (long long)a->rewritten,
	    (long long)small->filled, (long long)small->fills, (long long)large->filled, (long long)large->fills);
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct defer *d = (const struct defer *)m;
	struct answer a = {.kind = d};
	struct tdm_relay *r = &a.relay;
	int status = tdm_relay_open(r, run, m, d->small, d->large, request, sink);
	if (status == TDM_OK)
		status = prepare(&a);
	bool is_ready = status == TDM_OK;
	while (status == TDM_OK)
		status = units[d->o.unit].next(&a);
	if (status >= 0)
		status = tdm_writer_end(r->writer, result);
	if (is_ready) {
		const struct tdm_relay_side *leader = &r->sides[r->sides[TDM_RELAY_SMALL].is_prompted ? 0 : 1];
		result->prompt_tokens = leader->session ? leader->session->prompt_tokens : 0;
		record(&a);
		tdm_relay_record(r, status);
	}
	tdm_relay_close(r);
	return status;
}

static int open_probe(const struct tdm_build *b, struct defer *d) {
	const struct options *o = &d->o;
	if (o->signal != PROBE && (o->share > 0 || o->weights))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: share and weights belong to signal probe", b->where);
	if (o->signal != PROBE)
		return TDM_OK;
	if (!o->weights)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: signal probe needs weights, a path (tandem fit --for defer makes them)", b->where);
	if (o->unit == STEP || o->back == TDM_RELAY_LARGE)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: a probe knows the small model's tokens: expected unit token or span, and back: small",
		                b->where);
	return tdm_probe_open(b, o->weights, &d->probe);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct defer *d = tdm_build_model(b, sizeof *d, &ops, TDM_CAN_TEXT | TDM_CAN_LOGPROBS);
	if (!d)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	d->o = *(const struct options *)options;
	d->small = tdm_build_role(b, "small");
	d->large = tdm_build_role(b, "large");
	*out = &d->model;
	int status = open_probe(b, d);
	double take = d->probe && d->o.share > 0 ? tdm_linear_threshold(d->probe->quantiles, d->o.share) : d->o.threshold;
	d->rule = (struct tdm_pen_rule){take, take * d->o.release, d->o.first, d->o.stay};
	return status;
}

static const struct tdm_role roles[] = {
    {"small", TDM_CAN_STEP, 1, 1, "writes"},
    {"large", TDM_CAN_STEP, 1, 1, "writes where the small one is in doubt; the same vocabulary"},
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option table[] = {
    {"unit", TDM_OPT_CHOICE, AT(unit), "token", 0, 0, "token|span|step",
     "what the large one is asked for: a token, to the end of a word, or a line that the small one wrote badly"},
    {"signal", TDM_OPT_CHOICE, AT(signal), "entropy", 0, 0, TDM_DOUBTS "|probe",
     "the doubt about a token: entropy in nats, 1 - (p1 - p2), the logits as evidence, or a probe fitted on the pair "
     "(token, span)"},
    {"weights", TDM_OPT_STRING, AT(weights), NULL, 0, 0, NULL,
     "file of the probe, from tandem fit --for defer (probe)"},
    {"share", TDM_OPT_NUMBER, AT(share), "0", 0, 1, NULL,
     "of the tokens for the large one, instead of a threshold (probe); 0: the threshold"},
    {"threshold", TDM_OPT_NUMBER, AT(threshold), "0.45", 0, 0, NULL,
     "the large one writes from this doubt on; unit step: its mean - ln p of the step's tokens"},
    {"release", TDM_OPT_NUMBER, AT(release), "1", 0, 1, NULL,
     "it gives the pen back below this share of the threshold (token, span)"},
    {"stay", TDM_OPT_INT, AT(stay), "1", 1, 1 << 20, NULL, "tokens that it writes at least (token, span)"},
    {"back", TDM_OPT_CHOICE, AT(back), "small", 0, 0, "small|large",
     "whose doubt gives the pen back: large needs no pass of the small one meanwhile"},
    {"first", TDM_OPT_INT, AT(first), "0", 0, 1 << 20, NULL, "tokens or steps at the beginning for the large one"},
    {"max_step_tokens", TDM_OPT_INT, AT(max_step_tokens), "64", 1, 512, NULL, "a longer line is cut into steps (step)"},
};

const struct tdm_kind tdm_kind_defer = {
    .name = "defer",
    .summary = "the small model writes; the large one writes the tokens, words or steps that the small one doubts",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_COST,
    .leaf = "B3b",
    .source = "arXiv 2502.01976, 2505.21600, 2504.07891, 2507.17307",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
