// One step: the draft's tokens behind the last one in one pass of the target, which is then verified (verify.h).
//
// Work is not repeated: the target evaluates the pending token together with the drafts, and no step allocates.
//
// The opening: while the target reads the prompt, the draft, on a thread of its own, reads it too and drafts the
// beginning of the answer, which the target then verifies in the last pass over its prompt. A short answer needs no
// other pass.
#include "cost/speculate/bush.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "ledger/metric.h"
#include "models/local/joint.h"
#include "models/keeper.h"
#include "models/local/writer.h"
#include <stdio.h>
#include <string.h>

int tdm_draft_emit(struct tdm_drafted *a, int32_t token, int row) {
	const struct tdm_session_ops *ops = a->target.session->ops;
	a->tokens[a->n_tokens++] = token;
	return tdm_writer_token(a->writer, token, ops->logits(a->target.session, row), NULL);
}

void tdm_draft_choose(struct tdm_drafted *a) {
	int most = a->kind->nodes ? (int)a->kind->nodes : TDM_DRAFT_MOST;
	a->gamma = a->is_off ? 0 : tdm_pace_choose(&a->pace, &(struct tdm_guess){.n = most}, most);
}

void tdm_draft_timed(struct tdm_drafted *a, int n, int64_t made_us, int64_t pass_us) {
	tdm_pace_pass(&a->pace, 1 + n, pass_us);
	if (a->tried > 0 && tdm_draft_fitting(a, a->n_tokens, a->tried) == a->tried)
		tdm_pace_made(&a->pace, a->tried, n, made_us);
}

// Sampled answers must not depend on time: equal seeds give equal answers. Greedy ones are what they are.
static void adapt_by_time(struct tdm_drafted *a, int accepted) {
	bool was_cut = tdm_draft_fitting(a, a->n_tokens - 1 - accepted, a->tried) < a->tried;
	if (a->tried > 0 && !was_cut)
		tdm_pace_kept(&a->pace, 0, a->tried, accepted);
	tdm_pace_held(&a->pace, a->n_drafted, accepted);
	tdm_draft_choose(a);
}

static void adapt(struct tdm_drafted *a, int accepted) {
	if (a->is_timed)
		adapt_by_time(a, accepted);
	if (a->is_timed || !a->kind->adaptive || a->n_drafted == 0)
		return;
	if (accepted < a->n_drafted)
		a->gamma = a->gamma > 1 ? a->gamma - 1 : 1;
	else if (a->n_drafted >= a->gamma)
		a->gamma = a->gamma + 2 < TDM_DRAFT_MOST ? a->gamma + 2 : TDM_DRAFT_MOST;
}

static const char *drafter_of(const struct tdm_drafted *a) {
	return a->kind->draft ? a->kind->draft->name : a->kind->target->name;
}

// Verifies what the target has just evaluated, emits, and brings both sessions back to what the answer holds.
// TDM_SINK_ENOUGH when it has ended.
static int settle(struct tdm_drafted *a, bool is_ahead) {
	struct tdm_verified v = tdm_draft_verify(a);
	int before = a->n_tokens, status = a->failed;
	a->all_drafted += a->n_drafted;
	a->all_accepted += v.accepted;
	for (int i = 0; i < v.accepted; i++)
		a->accepted_at[i]++;
	for (int i = 0; status == TDM_OK && i <= v.accepted; i++) {
		tdm_writer_drafter(a->writer, i < v.accepted ? drafter_of(a) : NULL);
		status = tdm_draft_emit(a, i < v.accepted ? a->drafted[i] : v.next, i);
	}
	if (status == TDM_OK)
		status = tdm_side_forget(&a->target, before + v.accepted);
	adapt(a, v.accepted);
	a->is_drafted = is_ahead && v.accepted == a->n_drafted && v.next == a->ahead.guess;
	if (status != TDM_OK || !a->is_drafted)
		return status == TDM_OK ? tdm_side_forget(&a->draft, before + v.accepted) : status;
	a->n_drafted = a->ahead.n;
	memcpy(a->drafted, a->ahead.drafted, sizeof a->drafted);
	return TDM_OK;
}

static int step(struct tdm_drafted *a) {
	int32_t batch[TDM_DRAFT_MOST + 1];
	const struct tdm_session *t = a->target.session;
	int room = t->context - t->prompt_tokens - a->n_tokens, status = tdm_run_check(a->run);
	int64_t start_us = tdm_now_us(), made_us;
	if (!a->is_drafted)
		a->tried = a->gamma;
	if (status == TDM_OK && !a->is_drafted)
		status = tdm_draft_make(a, a->run, a->gamma < room ? a->gamma : room);
	if (status == TDM_OK)
		status = tdm_draft_clip(a, room);
	made_us = tdm_now_us() - start_us;
	batch[0] = a->tokens[a->n_tokens - 1];
	memcpy(batch + 1, a->drafted, (size_t)a->n_drafted * sizeof(int32_t));
	if (status != TDM_OK)
		return status;
	tdm_draft_ahead(a, a->run);
	status = tdm_side_append(&a->target, a->run, batch, NULL, 1 + a->n_drafted);
	bool is_ahead = tdm_draft_stop(a);
	if (status == TDM_OK && a->is_timed)
		tdm_draft_timed(a, a->n_drafted, made_us, tdm_now_us() - start_us - made_us);
	return status == TDM_OK ? settle(a, is_ahead) : status;
}

// --- the opening

// The draft's part, on its own thread. A form is kept on the caller's thread only, so then it does not draft yet.
static int open_draft(void *arg, struct tdm_run *run) {
	struct tdm_drafted *a = arg;
	struct tdm_side *d = &a->draft;
	int64_t start_us = tdm_now_us();
	int status = d->session->ops->prompt(d->session, run, a->asked, NULL);
	d->us += tdm_now_us() - start_us;
	d->passes++;
	if (status == TDM_OK && !a->keeper)
		status = tdm_draft_make(a, run, a->opening);
	if (status == TDM_OK)
		tdm_draft_ahead(a, run);
	return status;
}

// What the target asks for before the last pass over its prompt.
static int opening_tokens(void *context, int32_t *tokens, int cap) {
	struct tdm_drafted *a = context;
	int64_t start_us = tdm_now_us();
	a->is_opened = true;
	a->opened = tdm_apart_join(&a->apart, a->run);
	if (a->opened == TDM_OK && a->keeper)
		a->opened = tdm_draft_make(a, a->run, a->opening);
	if (a->n_drafted > cap)
		tdm_draft_stop(a);
	if (a->opened == TDM_OK)
		a->opened = tdm_draft_clip(a, cap);
	if (a->opened != TDM_OK)
		a->n_drafted = 0;
	memcpy(tokens, a->drafted, (size_t)a->n_drafted * sizeof *tokens);
	a->waited_us = tdm_now_us() - start_us;
	return a->n_drafted;
}

// The target's own first layers draft behind the prompt that the target has read.
static int start_within(struct tdm_drafted *a) {
	struct tdm_session *t = a->target.session;
	int64_t start_us = tdm_now_us();
	int status = t->ops->prompt(t, a->run, a->asked, NULL);
	a->target.us = a->prompt_us = tdm_now_us() - start_us;
	a->target.passes++;
	if (status == TDM_OK)
		status = t->ops->first(t, a->run, a->kind->layers, &a->draft.session);
	return status == TDM_OK ? settle(a, false) : status;
}

// The prompt is longer than the draft's context: the answer needs no draft.
static void go_alone(struct tdm_drafted *a) {
	struct tdm_session *d = a->draft.session;
	tdm_record_warn(a->run->record, "no_draft", NULL, "the prompt does not fit the draft's context");
	a->run->error = (struct tdm_error){0};
	a->opened = TDM_OK;
	a->is_off = true;
	a->draft.session = NULL;
	d->ops->close(d);
}

// Both prompts and the beginning of the answer.
static int start(struct tdm_drafted *a) {
	struct tdm_session *t = a->target.session;
	int32_t unasked[1];
	int64_t start_us = a->start_us = tdm_now_us();
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
	bool is_ahead = tdm_draft_stop(a);
	if (status == TDM_OK && a->opened == TDM_ECONTEXT)
		go_alone(a);
	if (status == TDM_OK)
		status = a->opened;
	return status == TDM_OK ? settle(a, is_ahead) : status;
}

static int open_side(struct tdm_side *side, struct tdm_model *m, struct tdm_run *run) {
	return m->ops->open(m, run, &side->session);
}

static bool allocate_bush(struct tdm_drafted *a, size_t n) {
	struct tdm_bush *b = a->bush = tdm_arena_array(a->run->arena, 1, sizeof *b);
	if (!b)
		return false;
	b->rest = n ? tdm_arena_array(a->run->arena, n, sizeof *b->rest) : NULL;
	b->left = n ? tdm_arena_array(a->run->arena, n, sizeof *b->left) : NULL;
	return n == 0 || (b->rest && b->left);
}

static int allocate(struct tdm_drafted *a, struct tdm_sink *sink) {
	const struct tdm_session *t = a->target.session;
	bool is_plain = a->is_greedy && !tdm_accept_mixes(a->kind->accept);
	size_t n = (size_t)a->n_vocab;
	a->tokens = tdm_arena_array(a->run->arena, (size_t)t->context + TDM_DRAFT_MOST + 2, sizeof(int32_t));
	a->p = tdm_arena_array(a->run->arena, n, sizeof(float));
	a->q = tdm_arena_array(a->run->arena, (is_plain ? 1 : TDM_DRAFT_MOST + 1) * n, sizeof(float));
	a->writer = tdm_writer_new(a->run, &a->request, a->target.session, sink, t->model->name);
	bool has_bush = a->kind->nodes == 0 || allocate_bush(a, is_plain ? 0 : n);
	if (a->tokens && a->p && a->q && a->writer && has_bush)
		return TDM_OK;
	return tdm_fail(&a->run->error, TDM_ENOMEM, "%s: no memory for drafts over %d tokens of vocabulary", a->kind->name,
	                a->n_vocab);
}

// A draft of another vocabulary takes and gives the target's tokens.
static int open_draft_side(struct tdm_drafted *a) {
	int status = open_side(&a->draft, a->kind->draft, a->run);
	if (status != TDM_OK || !a->kind->map)
		return status;
	return tdm_align_open(a->run, a->kind->map, a->draft.session, a->target.session, &a->draft.session);
}

// Whether there is to be a draft at all, and what of it while the prompt is read.
static void choose_opening(struct tdm_drafted *a) {
	struct tdm_follow_kind *paces = a->kind->paces;
	int most = (int)a->kind->opening, run = tdm_pace_run(&a->pace, most);
	a->opening = run > 0 ? run : a->gamma < most ? a->gamma : most;
	for (size_t i = 0; i < a->asked->n_messages; i++)
		a->prompt_bytes += a->asked->messages[i].len;
	// elsewhere what is said would depend on it, or the draft has read the prompt already
	if (!a->is_timed || tdm_accept_mixes(a->kind->accept) || !a->kind->draft) {
		a->opening = most;
		return;
	}
	pthread_mutex_lock(&paces->lock);
	a->is_off = !tdm_worth_ask(&paces->worth, a->prompt_bytes);
	pthread_mutex_unlock(&paces->lock);
}

static void learn_worth(struct tdm_drafted *a) {
	struct tdm_follow_kind *paces = a->kind->paces;
	tdm_follow_learn(paces, &a->pace);
	if (!a->kind->draft)
		return;
	pthread_mutex_lock(&paces->lock);
	tdm_worth_tell(&paces->worth, a->prompt_bytes, !a->is_off, &a->pace, a->n_tokens, a->prompt_us,
	               tdm_now_us() - a->start_us);
	pthread_mutex_unlock(&paces->lock);
}

// The draft is opened where it is asked, and until it is known that it goes with the target.
static int open_both(struct tdm_drafted *a) {
	struct tdm_run *run = a->run;
	int status = open_side(&a->target, a->kind->target, run);
	if (status != TDM_OK)
		return status;
	a->n_vocab = a->target.session->n_vocab;
	a->gamma = (int)a->kind->gamma;
	a->request = tdm_joint_request(a->asked, a->target.session);
	a->sampling = tdm_joint_sampling(a->asked, a->target.session);
	a->is_greedy = a->sampling.temperature <= 0;
	a->is_timed = a->is_greedy && a->kind->adaptive;
	tdm_follow_learned(a->kind->paces, &a->pace);
	choose_opening(a);
	if (!a->kind->draft || (a->is_off && tdm_pace_run(&a->pace, 1) > 0))
		return TDM_OK;
	status = open_draft_side(a);
	return status == TDM_OK ? tdm_joint_check(run, a->kind->name, a->target.session, a->draft.session) : status;
}

static int prepare(struct tdm_drafted *a, const struct tdm_request *request, struct tdm_sink *sink) {
	struct tdm_run *run = a->run;
	a->asked = request;
	int status = open_both(a);
	if (status != TDM_OK)
		return status;
	tdm_rng_stream(&a->draw, run->seed, "speculate.draft", request->draw);
	tdm_rng_stream(&a->accept, run->seed, "speculate.accept", request->draw);
	tdm_rng_stream(&a->replace, run->seed, "speculate.replace", request->draw);
	status = allocate(a, sink);
	return status == TDM_OK ? tdm_keeper_open(run, request, a->target.session, &a->keeper) : status;
}

// written: tokens of the answer that was sent; an end token is drawn but not written.
// How much longer the passes of the target alone would have taken, for as many tokens; 0 = it cannot be said.
static double speedup_of(const struct tdm_drafted *a) {
	int64_t passes = a->target.passes - 1, verify_us = a->target.us - a->prompt_us; // without the one of the prompt
	if (passes <= 0 || verify_us <= 0)
		return 0;
	double pass_us = (double)verify_us / (double)passes;
	return pass_us * (double)(a->n_tokens - 1) / (double)(verify_us + a->draft.us);
}

static void count(const struct tdm_drafted *a) {
	const char *name = a->kind->target->name;
	double speedup = speedup_of(a);
	for (int i = 0; i < TDM_DRAFT_MOST && a->accepted_at[i]; i++) {
		char position[12];
		snprintf(position, sizeof position, "%d", i);
		tdm_metric_add(TDM_METRIC_ACCEPTED_AT, (double)a->accepted_at[i], TDM_LABELS(name, position));
	}
	if (speedup > 0)
		tdm_metric_set(TDM_METRIC_SPEEDUP, speedup, TDM_LABELS(name));
}

static const char *leeway_of(const struct tdm_drafted *a) {
	enum tdm_accept accept = a->kind->accept;
	if (accept == TDM_ACCEPT_EXACT)
		return "";
	const char *rule = tdm_accept_name(accept), *text;
	if (tdm_accept_mixes(accept))
		text = tdm_arena_printf(a->run->record->arena, ", accept %s, alpha %g", rule, a->kind->alpha);
	else
		text = tdm_arena_printf(a->run->record->arena, ", accept %s", rule);
	return text ? text : "";
}

static const char *source_of(const struct tdm_drafted *a) {
	const char *text = a->kind->nodes ? "trees of a draft model" : NULL;
	if (!a->kind->draft)
		text = tdm_arena_printf(a->run->record->arena, "first %d layers, %lld passes of them", a->kind->layers,
		                        (long long)a->draft.passes);
	return text ? text : "draft model";
}

static void record(struct tdm_drafted *a, int status, int64_t written) {
	struct tdm_record *r = a->run->record;
	bool is_within = !a->kind->draft; // then the draft is no model of its own, with a price
	if (!a->target.session || (!a->draft.session && !is_within && !a->is_off))
		return;
	struct tdm_call *c = tdm_joint_record(a->run, a->target.session, "verify", status, written, a->target.us);
	if (c) {
		c->passes = a->target.passes;
		c->drafted = a->all_drafted;
		c->accepted = a->all_accepted;
	}
	c = a->is_off || is_within
	        ? NULL
	        : tdm_joint_record(a->run, a->draft.session, "draft", status, a->all_drafted, a->draft.us);
	if (c)
		c->passes = a->draft.passes;
	double share = a->all_drafted ? (double)a->all_accepted / (double)a->all_drafted : NAN;
	struct tdm_decision d = {
	    .by = a->kind->name,
	    .kind = "speculate",
	    .choice = tdm_guarantee(a->kind->accept, a->is_greedy),
	    .signal = "accepted",
	    .score = share,
	    .threshold = NAN,
	    .detail = tdm_arena_printf(r->arena, "%s, %lld passes, %d tokens, %lld of %lld drafted accepted%s",
	                               source_of(a), (long long)a->target.passes, a->n_tokens, (long long)a->all_accepted,
	                               (long long)a->all_drafted, leeway_of(a)),
	};
	tdm_record_decision(r, &d);
	count(a);
}

static bool has_room(const struct tdm_drafted *a) {
	const struct tdm_session *t = a->target.session;
	return t->prompt_tokens + a->n_tokens <= t->context;
}

int tdm_drafted(const struct tdm_drafted_kind *k, struct tdm_run *run, const struct tdm_request *request,
                struct tdm_sink *sink, struct tdm_result *result) {
	struct tdm_drafted a = {.run = run, .kind = k};
	int status = prepare(&a, request, sink);
	if (status == TDM_OK)
		status = k->draft ? start(&a) : start_within(&a);
	while (status == TDM_OK && has_room(&a))
		status = a.bush ? tdm_bush_step(&a) : step(&a);
	if (a.is_timed && status >= 0)
		learn_worth(&a);
	if (status >= 0)
		status = tdm_writer_end(a.writer, result);
	record(&a, status, status == TDM_OK ? result->completion_tokens : a.n_tokens);
	tdm_keeper_close(a.keeper);
	if (a.draft.session)
		a.draft.session->ops->close(a.draft.session);
	if (a.target.session)
		a.target.session->ops->close(a.target.session);
	return status;
}
