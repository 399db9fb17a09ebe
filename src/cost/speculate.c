// speculate: the small model drafts tokens, the large one verifies all of them in one pass; the answer is the large
// one's own, byte for byte at temperature 0 and in distribution otherwise (verify.h).
//
// The rule it protects: exactness. p and q pass through the same transform; q is recorded as it was when it drew the
// token; nothing of a rejected draft survives in either session; every random number is used once, from streams of its
// own for draft, acceptance and replacement. "Exact" is with respect to the target's logits in verification passes.
//
// Work is not repeated: the draft does not evaluate its last token unless the target kept it (it then catches up in one
// pass), the target evaluates the pending token together with the drafts, and no step allocates.
//
// The opening: while the target reads the prompt, the draft, on a thread of its own, reads it too and drafts the
// beginning of the answer, which the target then verifies in the last pass over its prompt. A short answer needs no
// other pass.
#include "cost/follow.h"
#include "cost/kinds.h"
#include "cost/lookup.h"
#include "cost/verify.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "ledger/metric.h"
#include "models/joint.h"
#include "models/keeper.h"
#include "models/together.h"
#include "models/writer.h"
#include <stdio.h>
#include <string.h>

enum { GAMMA_MAX = 24 };
enum { FROM_MODEL, FROM_LOOKUP, FROM_LEARNED, FROM_RECYCLE, FROM_ALL }; // in the order of the option
enum { TENANTS = 16 };                                                  // whose traffic is kept in mind

struct options {
	int64_t gamma, opening, most, habit_bytes;
	bool adaptive, ahead;
	double min_prob;
	int from;
};

struct speculate {
	struct tdm_model model;
	struct options o;
	struct tdm_follow_kind guesses; // of lookup; of drafts the pace
	struct tdm_model *target, *draft;
};

struct side { // one session and what it has done
	struct tdm_session *session;
	int seen; // answer tokens it has evaluated
	int64_t passes, us;
};

// What the draft does while the target verifies: it takes its draft for accepted, guesses the target's own token after
// it, and drafts on. For answers without chance and form: nothing is drawn that could be for nothing.
struct ahead {
	struct tdm_apart apart;
	bool is_on;
	atomic_bool is_enough; // the target has come back: what there is will do
	int32_t guess, drafted[GAMMA_MAX];
	int n;
};

struct answer {
	struct tdm_run *run;
	struct speculate *kind;
	const struct tdm_request *asked;
	struct tdm_request request; // with the limit of the answer
	struct side target, draft;
	struct tdm_sampling sampling;
	bool is_greedy;
	struct tdm_rng draw, accept, replace;
	int n_vocab, gamma;
	bool is_timed, is_off; // gamma is chosen by time; the draft is left alone
	struct tdm_pace pace;
	int tried;       // gamma of the draft that is there
	int32_t *tokens; // of the answer so far (the target has not evaluated the last one), with room for a draft
	int n_tokens;
	int32_t drafted[GAMMA_MAX];
	int n_drafted;
	double path;     // how likely all of it is, as the draft sees it
	bool is_drafted; // the draft for the next step is there
	struct ahead ahead;
	int64_t all_drafted, all_accepted;
	int64_t accepted_at[GAMMA_MAX]; // by their place in a draft
	int64_t prompt_us;
	float *p, *q; // the target's row in work; one row for each drafted token
	struct tdm_writer *writer;
	struct tdm_keeper *keeper; // of the wanted form: masks the rows of both sides alike
	int failed;                // status of a row that could not be masked
	struct tdm_apart apart;    // the draft's opening
	bool is_opened;            // it is over
	int opened;                // its status
	int64_t waited_us;         // for it
};

static int append(struct side *side, struct tdm_run *run, const int32_t *tokens, int n) {
	int64_t start_us = tdm_now_us();
	int status = side->session->ops->eval(side->session, run, tokens, NULL, n);
	side->us += tdm_now_us() - start_us;
	side->passes++;
	if (status == TDM_OK)
		side->seen += n;
	return status;
}

static int forget(struct side *side, int seen) {
	if (seen >= side->seen)
		return TDM_OK;
	side->seen = seen;
	return side->session->ops->rewind(side->session, side->session->prompt_tokens + seen);
}

// The row after the answer so far and `extra` drafted tokens, without what the wanted form excludes.
static const float *keep_form(struct answer *a, const float *logits, int extra) {
	memcpy(a->tokens + a->n_tokens, a->drafted, (size_t)extra * sizeof(int32_t));
	const float *row = tdm_keeper_row(a->keeper, a->tokens, a->n_tokens + extra, logits);
	if (!row)
		a->failed = a->run->error.status;
	return row ? row : logits;
}

// The distribution after the answer so far and `extra` drafted tokens. Without sampling and penalty the logits
// themselves will do: only their largest is looked at.
static const float *transform(struct answer *a, const float *logits, int extra, float *probs) {
	if (a->sampling.temperature <= 0 && a->sampling.repeat_penalty == 1)
		return logits;
	tdm_sampling_probs(&a->sampling, logits, a->n_vocab, a->tokens, a->n_tokens + extra, probs);
	return probs;
}

// Lowers *path, how likely all of a draft is, by its next token, the most likely one with the logit `top`; false where
// it falls below min_prob: the next row of the target's pass would then cost more than it gains.
static bool go_on(const struct answer *a, const float *logits, float top, double *path) {
	double least = a->kind->o.min_prob;
	if (least > 0)
		*path /= tdm_exp_sum(logits, a->n_vocab, top);
	return *path >= least;
}

// Chooses the next drafted token from the draft's logits; false when the draft is not sure enough to go on. That
// depends on the tokens before only, never on the token drawn, so it does not disturb exactness.
static bool propose(struct answer *a, const float *logits) {
	float *row = a->q + (size_t)(a->is_greedy ? 0 : a->n_drafted) * a->n_vocab;
	logits = keep_form(a, logits, a->n_drafted);
	const float *q = transform(a, logits, a->n_drafted, row);
	int32_t best = tdm_argmax(q, a->n_vocab);
	float top = logits[q == logits ? best : tdm_argmax(logits, a->n_vocab)];
	if (!go_on(a, logits, top, &a->path))
		return false;
	a->drafted[a->n_drafted++] = a->is_greedy ? best : tdm_verify_draw(q, a->n_vocab, tdm_rng_double(&a->draw));
	return true;
}

// Keeps at most n drafted tokens; of the last one the draft then has no row.
static int clip(struct answer *a, int n) {
	if (a->n_drafted <= n)
		return TDM_OK;
	a->n_drafted = n;
	return forget(&a->draft, a->n_tokens + (n > 0 ? n - 1 : 0));
}

// As many of `gamma` tokens after an answer of n as the token limit and the draft's context leave room for.
static int fitting(const struct answer *a, int n, int gamma) {
	const struct tdm_session *d = a->draft.session;
	int left = a->request.max_tokens - n - 1, room = d->context - d->prompt_tokens - n + 1;
	if (a->request.max_tokens > 0 && gamma > left)
		gamma = left;
	if (gamma > room)
		gamma = room;
	return gamma > 0 ? gamma : 0;
}

// At most gamma tokens after the answer so far. run: of the thread that drafts.
static int make_draft(struct answer *a, struct tdm_run *run, int gamma) {
	struct tdm_session *s = a->draft.session;
	int behind = a->n_tokens - a->draft.seen, row = behind > 0 ? behind - 1 : 0, status = TDM_OK;
	a->n_drafted = 0;
	a->path = 1;
	gamma = fitting(a, a->n_tokens, gamma);
	if (gamma == 0)
		return TDM_OK;
	if (behind > 0)
		status = append(&a->draft, run, a->tokens + a->draft.seen, behind);
	while (status == TDM_OK && propose(a, s->ops->logits(s, row))) {
		const int32_t *newest = &a->drafted[a->n_drafted - 1];
		if (a->n_drafted == gamma || s->ops->is_end(s, *newest))
			break;
		status = append(&a->draft, run, newest, 1);
		row = 0;
	}
	return status;
}

// --- ahead

static int draft_ahead(void *arg, struct tdm_run *run) {
	struct answer *a = arg;
	double path = 1;
	struct ahead *h = &a->ahead;
	struct tdm_session *s = a->draft.session;
	int n = a->n_tokens + a->n_drafted, status = TDM_OK, gamma = fitting(a, n + 1, a->gamma);
	if (a->draft.seen < n)
		status = append(&a->draft, run, &a->drafted[a->n_drafted - 1], 1);
	if (status != TDM_OK)
		return status;
	h->guess = tdm_argmax(s->ops->logits(s, 0), a->n_vocab);
	const int32_t *newest = &h->guess;
	while (h->n < gamma && !s->ops->is_end(s, *newest) && !atomic_load_explicit(&h->is_enough, memory_order_relaxed)) {
		status = append(&a->draft, run, newest, 1);
		if (status != TDM_OK)
			break;
		const float *logits = s->ops->logits(s, 0);
		int32_t best = tdm_argmax(logits, a->n_vocab);
		if (!go_on(a, logits, logits[best], &path))
			break;
		h->drafted[h->n] = best;
		newest = &h->drafted[h->n++];
	}
	return status;
}

// run: of the thread that starts it.
static void start_ahead(struct answer *a, const struct tdm_run *run) {
	bool is_plain = a->is_greedy && a->sampling.repeat_penalty == 1 && !a->keeper;
	struct tdm_session *d = a->draft.session;
	a->ahead.is_on = a->kind->o.ahead && is_plain && a->n_drafted > 0 &&
	                 fitting(a, a->n_tokens + a->n_drafted + 1, 1) > 0 &&
	                 !d->ops->is_end(d, a->drafted[a->n_drafted - 1]);
	a->ahead.n = 0;
	atomic_store_explicit(&a->ahead.is_enough, false, memory_order_relaxed);
	if (a->ahead.is_on)
		tdm_apart_start(&a->ahead.apart, run, draft_ahead, a);
}

// After the target's pass, whatever came of it. True: the guess holds a draft.
static bool stop_ahead(struct answer *a) {
	atomic_store_explicit(&a->ahead.is_enough, true, memory_order_relaxed);
	bool is_good = a->ahead.is_on && tdm_apart_cancel(&a->ahead.apart);
	a->ahead.is_on = false;
	return is_good;
}

// --- verification

static const float *target_row(void *context, int i) {
	struct answer *a = context;
	const float *logits = a->target.session->ops->logits(a->target.session, i);
	return transform(a, keep_form(a, logits, i), i, a->p);
}

static struct tdm_verified verify(struct answer *a) {
	struct tdm_chain chain = {a->n_vocab, a->n_drafted, a->drafted, a->q, target_row, a};
	if (a->is_greedy)
		return tdm_verify_greedy(&chain);
	double accept[GAMMA_MAX];
	for (int i = 0; i < a->n_drafted; i++)
		accept[i] = tdm_rng_double(&a->accept);
	return tdm_verify_chain(&chain, accept, tdm_rng_double(&a->replace));
}

// One more token of the answer, with the target's logits of `row`.
static int emit(struct answer *a, int32_t token, int row) {
	const struct tdm_session_ops *ops = a->target.session->ops;
	a->tokens[a->n_tokens++] = token;
	return tdm_writer_token(a->writer, token, ops->logits(a->target.session, row), NULL);
}

// Sampled answers must not depend on time: equal seeds give equal answers. Greedy ones are what they are.
static void adapt_by_time(struct answer *a, int accepted) {
	static const struct tdm_guess all = {.n = GAMMA_MAX};
	bool was_cut = fitting(a, a->n_tokens - 1 - accepted, a->tried) < a->tried;
	if (a->tried > 0 && !was_cut)
		tdm_pace_kept(&a->pace, 0, a->tried, accepted);
	a->gamma = a->is_off ? 0 : tdm_pace_choose(&a->pace, &all, GAMMA_MAX);
}

static void adapt(struct answer *a, int accepted) {
	if (a->is_timed)
		adapt_by_time(a, accepted);
	if (a->is_timed || !a->kind->o.adaptive || a->n_drafted == 0)
		return;
	if (accepted < a->n_drafted)
		a->gamma = a->gamma > 1 ? a->gamma - 1 : 1;
	else if (a->n_drafted >= a->gamma)
		a->gamma = a->gamma + 2 < GAMMA_MAX ? a->gamma + 2 : GAMMA_MAX;
}

// Verifies what the target has just evaluated, emits, and brings both sessions back to what the answer holds.
// TDM_SINK_ENOUGH when it has ended.
static int settle(struct answer *a, bool is_ahead) {
	struct tdm_verified v = verify(a);
	int before = a->n_tokens, status = a->failed;
	a->all_drafted += a->n_drafted;
	a->all_accepted += v.accepted;
	for (int i = 0; i < v.accepted; i++)
		a->accepted_at[i]++;
	for (int i = 0; status == TDM_OK && i <= v.accepted; i++) {
		tdm_writer_drafter(a->writer, i < v.accepted ? a->kind->draft->name : NULL);
		status = emit(a, i < v.accepted ? a->drafted[i] : v.next, i);
	}
	if (status == TDM_OK)
		status = forget(&a->target, before + v.accepted);
	adapt(a, v.accepted);
	a->is_drafted = is_ahead && v.accepted == a->n_drafted && v.next == a->ahead.guess;
	if (status != TDM_OK || !a->is_drafted)
		return status == TDM_OK ? forget(&a->draft, before + v.accepted) : status;
	a->n_drafted = a->ahead.n;
	memcpy(a->drafted, a->ahead.drafted, sizeof a->drafted);
	return TDM_OK;
}

static int step(struct answer *a) {
	int32_t batch[GAMMA_MAX + 1];
	const struct tdm_session *t = a->target.session;
	int room = t->context - t->prompt_tokens - a->n_tokens, status = tdm_run_check(a->run);
	int64_t start_us = tdm_now_us();
	if (!a->is_drafted)
		a->tried = a->gamma;
	if (status == TDM_OK && !a->is_drafted)
		status = make_draft(a, a->run, a->gamma < room ? a->gamma : room);
	if (status == TDM_OK)
		status = clip(a, room);
	batch[0] = a->tokens[a->n_tokens - 1];
	memcpy(batch + 1, a->drafted, (size_t)a->n_drafted * sizeof(int32_t));
	if (status != TDM_OK)
		return status;
	start_ahead(a, a->run);
	status = append(&a->target, a->run, batch, 1 + a->n_drafted);
	bool is_ahead = stop_ahead(a);
	if (status == TDM_OK && a->is_timed)
		tdm_pace_pass(&a->pace, 1 + a->tried, tdm_now_us() - start_us);
	return status == TDM_OK ? settle(a, is_ahead) : status;
}

// --- the opening

// The draft's part, on its own thread. A form is kept on the caller's thread only, so then it does not draft yet.
static int open_draft(void *arg, struct tdm_run *run) {
	struct answer *a = arg;
	struct side *d = &a->draft;
	int64_t start_us = tdm_now_us();
	int status = d->session->ops->prompt(d->session, run, a->asked, NULL);
	d->us += tdm_now_us() - start_us;
	d->passes++;
	if (status == TDM_OK && !a->keeper)
		status = make_draft(a, run, (int)a->kind->o.opening);
	if (status == TDM_OK)
		start_ahead(a, run);
	return status;
}

// What the target asks for before the last pass over its prompt.
static int opening_tokens(void *context, int32_t *tokens, int cap) {
	struct answer *a = context;
	int64_t start_us = tdm_now_us();
	a->is_opened = true;
	a->opened = tdm_apart_join(&a->apart, a->run);
	if (a->opened == TDM_OK && a->keeper)
		a->opened = make_draft(a, a->run, (int)a->kind->o.opening);
	if (a->n_drafted > cap)
		stop_ahead(a);
	if (a->opened == TDM_OK)
		a->opened = clip(a, cap);
	if (a->opened != TDM_OK)
		a->n_drafted = 0;
	memcpy(tokens, a->drafted, (size_t)a->n_drafted * sizeof *tokens);
	a->waited_us = tdm_now_us() - start_us;
	return a->n_drafted;
}

// Both prompts and the beginning of the answer.
static int start(struct answer *a) {
	struct tdm_session *t = a->target.session;
	int32_t unasked[1];
	int64_t start_us = tdm_now_us();
	if (!a->is_off)
		tdm_apart_start(&a->apart, a->run, open_draft, a);
	a->is_opened = a->is_off;
	int status = t->ops->prompt(t, a->run, a->asked, a->is_off ? NULL : &(struct tdm_tail){opening_tokens, a});
	a->target.us += tdm_now_us() - start_us - a->waited_us;
	a->prompt_us = a->target.us;
	a->target.passes++;
	if (!a->is_opened) { // the target failed, or takes no tail
		struct tdm_error error = a->run->error;
		opening_tokens(a, unasked, 0);
		if (status != TDM_OK)
			a->run->error = error;
	}
	a->target.seen = a->n_drafted;
	bool is_ahead = stop_ahead(a);
	if (status == TDM_OK)
		status = a->opened;
	return status == TDM_OK ? settle(a, is_ahead) : status;
}

static int open_side(struct side *side, struct tdm_model *m, struct tdm_run *run) {
	return m->ops->open(m, run, &side->session);
}

static int allocate(struct answer *a, struct tdm_sink *sink) {
	const struct tdm_session *t = a->target.session;
	size_t n = (size_t)a->n_vocab;
	a->tokens = tdm_arena_array(a->run->arena, (size_t)t->context + GAMMA_MAX + 2, sizeof(int32_t));
	a->p = tdm_arena_array(a->run->arena, n, sizeof(float));
	a->q = tdm_arena_array(a->run->arena, a->is_greedy ? n : n * GAMMA_MAX, sizeof(float));
	a->writer = tdm_writer_new(a->run, &a->request, a->target.session, sink, t->model->name);
	if (a->tokens && a->p && a->q && a->writer)
		return TDM_OK;
	return tdm_fail(&a->run->error, TDM_ENOMEM, "%s: no memory for drafts over %d tokens of vocabulary",
	                a->kind->model.name, a->n_vocab);
}

static int prepare(struct answer *a, const struct tdm_request *request, struct tdm_sink *sink) {
	struct tdm_run *run = a->run;
	int status = open_side(&a->target, a->kind->target, run);
	if (status == TDM_OK)
		status = open_side(&a->draft, a->kind->draft, run);
	if (status == TDM_OK)
		status = tdm_joint_check(run, a->kind->model.name, a->target.session, a->draft.session);
	if (status != TDM_OK)
		return status;
	a->n_vocab = a->target.session->n_vocab;
	a->gamma = (int)a->kind->o.gamma;
	a->request = tdm_joint_request(request, a->target.session);
	a->sampling = tdm_joint_sampling(request, a->target.session);
	a->is_greedy = a->sampling.temperature <= 0;
	a->is_timed = a->is_greedy && a->kind->o.adaptive;
	tdm_follow_learned(&a->kind->guesses, &a->pace);
	a->is_off = a->is_timed && tdm_pace_is_off(&a->pace, 0, GAMMA_MAX);
	tdm_rng_stream(&a->draw, run->seed, "speculate.draft", request->draw);
	tdm_rng_stream(&a->accept, run->seed, "speculate.accept", request->draw);
	tdm_rng_stream(&a->replace, run->seed, "speculate.replace", request->draw);
	a->asked = request;
	status = allocate(a, sink);
	return status == TDM_OK ? tdm_keeper_open(run, request, a->target.session, &a->keeper) : status;
}

// written: tokens of the answer that was sent; an end token is drawn but not written.
// How much longer the passes of the target alone would have taken, for as many tokens; 0 = it cannot be said.
static double speedup_of(const struct answer *a) {
	int64_t passes = a->target.passes - 1, verify_us = a->target.us - a->prompt_us; // without the one of the prompt
	if (passes <= 0 || verify_us <= 0)
		return 0;
	double pass_us = (double)verify_us / (double)passes;
	return pass_us * (double)(a->n_tokens - 1) / (double)(verify_us + a->draft.us);
}

static void count(const struct answer *a) {
	const char *name = a->kind->target->name;
	double speedup = speedup_of(a);
	for (int i = 0; i < GAMMA_MAX && a->accepted_at[i]; i++) {
		char position[12];
		snprintf(position, sizeof position, "%d", i);
		tdm_metric_add(TDM_METRIC_ACCEPTED_AT, (double)a->accepted_at[i], TDM_LABELS(name, position));
	}
	if (speedup > 0)
		tdm_metric_set(TDM_METRIC_SPEEDUP, speedup, TDM_LABELS(name));
}

static void record(struct answer *a, int status, int64_t written) {
	struct tdm_record *r = a->run->record;
	if (!a->target.session || !a->draft.session)
		return;
	struct tdm_call *c = tdm_joint_record(a->run, a->target.session, "verify", status, written, a->target.us);
	if (c) {
		c->passes = a->target.passes;
		c->drafted = a->all_drafted;
		c->accepted = a->all_accepted;
	}
	c = a->is_off ? NULL : tdm_joint_record(a->run, a->draft.session, "draft", status, a->all_drafted, a->draft.us);
	if (c)
		c->passes = a->draft.passes;
	double share = a->all_drafted ? (double)a->all_accepted / (double)a->all_drafted : NAN;
	struct tdm_decision d = {
	    .by = a->kind->model.name,
	    .kind = "speculate",
	    .choice = "exact",
	    .signal = "accepted",
	    .score = share,
	    .threshold = NAN,
	    .detail = tdm_arena_printf(r->arena, "draft model, %lld passes, %d tokens, %lld of %lld drafted accepted",
	                               (long long)a->target.passes, a->n_tokens, (long long)a->all_accepted,
	                               (long long)a->all_drafted),
	};
	tdm_record_decision(r, &d);
	count(a);
}

static bool has_room(const struct answer *a) {
	const struct tdm_session *t = a->target.session;
	return t->prompt_tokens + a->n_tokens <= t->context;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct answer a = {.run = run, .kind = (struct speculate *)m};
	tdm_metric_add(TDM_METRIC_DRAFTING, 1, TDM_LABELS(a.kind->target->name));
	int status = prepare(&a, request, sink);
	if (status == TDM_OK)
		status = start(&a);
	while (status == TDM_OK && has_room(&a))
		status = step(&a);
	if (a.is_timed)
		tdm_follow_learn(&a.kind->guesses, &a.pace);
	if (status >= 0)
		status = tdm_writer_end(a.writer, result);
	record(&a, status, status == TDM_OK ? result->completion_tokens : a.n_tokens);
	tdm_metric_add(TDM_METRIC_DRAFTING, -1, TDM_LABELS(a.kind->target->name));
	tdm_keeper_close(a.keeper);
	if (a.draft.session)
		a.draft.session->ops->close(a.draft.session);
	if (a.target.session)
		a.target.session->ops->close(a.target.session);
	return status;
}

static int generate_by_guess(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                             struct tdm_sink *sink, struct tdm_result *result) {
	struct speculate *s = (struct speculate *)m;
	tdm_metric_add(TDM_METRIC_DRAFTING, 1, TDM_LABELS(s->target->name));
	int status = tdm_follow(&s->guesses, run, request, sink, result);
	tdm_metric_add(TDM_METRIC_DRAFTING, -1, TDM_LABELS(s->target->name));
	return status;
}

static void destroy(struct tdm_model *m) {
	tdm_follow_release(&((struct speculate *)m)->guesses);
}

static int check(const struct tdm_build *b, const struct speculate *s) {
	if (s->o.from == FROM_MODEL && !s->draft)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: from: model needs a model in the role draft", b->where);
	if (s->o.from != FROM_MODEL && s->draft)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: a draft was given, which is asked with from: model alone",
		                b->where);
	return TDM_OK;
}

static int make_guesses(const struct tdm_build *b, struct speculate *s) {
	static const unsigned sources[] = {[FROM_LOOKUP] = TDM_FROM_LOOKUP,
	                                   [FROM_LEARNED] = TDM_FROM_LEARNED,
	                                   [FROM_RECYCLE] = TDM_FROM_RECYCLE,
	                                   [FROM_ALL] = TDM_FROM_LOOKUP | TDM_FROM_LEARNED | TDM_FROM_RECYCLE};
	s->guesses = (struct tdm_follow_kind){.name = s->model.name,
	                                      .target = s->target,
	                                      .from = sources[s->o.from],
	                                      .most = (int)s->o.most,
	                                      .adaptive = s->o.adaptive};
	if (s->guesses.from & (TDM_FROM_LEARNED | TDM_FROM_RECYCLE)) {
		s->guesses.habits = tdm_habits_new((size_t)s->o.habit_bytes, TENANTS);
		if (!s->guesses.habits)
			return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	}
	tdm_follow_init(&s->guesses);
	return TDM_OK;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops by_model = {.generate = generate, .destroy = destroy};
	static const struct tdm_model_ops by_guess = {.generate = generate_by_guess, .destroy = destroy};
	bool is_guess = ((const struct options *)options)->from != FROM_MODEL;
	const struct tdm_model_ops *ops = is_guess ? &by_guess : &by_model;
	struct speculate *s = tdm_build_model(b, sizeof *s, ops, TDM_CAN_TEXT | TDM_CAN_LOGPROBS);
	if (!s)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	s->o = *(const struct options *)options;
	s->target = tdm_build_role(b, "target");
	s->draft = tdm_build_role(b, "draft");
	int status = check(b, s);
	if (status != TDM_OK)
		return status;
	status = make_guesses(b, s);
	if (status != TDM_OK)
		return status;
	*out = &s->model;
	return TDM_OK;
}

static const struct tdm_role roles[] = {
    {"target", TDM_CAN_STEP, 1, 1, "the model whose answer it is"},
    {"draft", TDM_CAN_STEP, 0, 1, "a smaller model with the same vocabulary; not for guesses"},
};

static const struct tdm_option table[] = {
    {"from", TDM_OPT_CHOICE, offsetof(struct options, from), "model", 0, 0, "model|lookup|learned|recycle|all",
     "who drafts: a model; what followed the same tokens in the prompt and the answer so far, or in earlier answers to "
     "the tenant; a tree of the successors that the target ranked best; all three"},
    {"most", TDM_OPT_INT, offsetof(struct options, most), "16", 1, TDM_GUESS_MOST, NULL,
     "tokens of a guess (of lookup at most 16), of which as many are tried as measured time makes worth it"},
    {"gamma", TDM_OPT_INT, offsetof(struct options, gamma), "4", 1, GAMMA_MAX, NULL,
     "tokens drafted; with adaptive, in sampled answers at first"},
    {"habit_bytes", TDM_OPT_INT, offsetof(struct options, habit_bytes), "1048576", 4096, 1 << 28, NULL,
     "learned, recycle: memory for the traffic of one tenant; of at most 16 tenants"},
    {"opening", TDM_OPT_INT, offsetof(struct options, opening), "24", 0, GAMMA_MAX, NULL,
     "tokens drafted while the target reads the prompt"},
    {"adaptive", TDM_OPT_BOOL, offsetof(struct options, adaptive), "yes", 0, 0, NULL,
     "choose the number by measured time, down to none; in sampled answers of drafts, 2 more after a fully accepted "
     "draft, 1 less after a rejection"},
    {"ahead", TDM_OPT_BOOL, offsetof(struct options, ahead), "yes", 0, 0, NULL,
     "draft on while the target verifies, where a core is free"},
    {"min_prob", TDM_OPT_NUMBER, offsetof(struct options, min_prob), "0.5", 0, 1, NULL,
     "end a draft where all of it together is less likely than this"},
};

const struct tdm_kind tdm_kind_speculate = {
    .name = "speculate",
    .summary = "a small model drafts, a large one verifies; the answer is exactly the large one's, sooner",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_COST,
    .leaf = "B3c",
    .source = "arXiv 2211.17192, 2302.01318",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
