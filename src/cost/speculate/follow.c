// One step: a guess, cut to what is worth its place, behind the last token in one pass; then the target walks down the
// tree as far as the tokens that it chooses are in it. New sources of guesses are lines of look().
#include "cost/speculate/follow.h"
#include "cost/speculate/lookup.h"
#include "base/clock.h"
#include "ledger/metric.h"
#include "models/align.h"
#include "models/local/joint.h"
#include "models/keeper.h"
#include "models/local/writer.h"
#include <stdio.h>
#include <string.h>

struct follow {
	struct tdm_run *run;
	struct tdm_follow_kind *kind;
	struct tdm_request request; // with the limit of the answer
	struct tdm_session *target;
	struct tdm_sampling sampling;
	struct tdm_rng rng;
	struct tdm_writer *writer;
	struct tdm_keeper *keeper;
	float *probs;
	int32_t *text, *tokens; // prompt and answer; the answer in it, of which the target has not evaluated the last one
	int n_text, n_tokens;
	struct tdm_guess guess;
	struct tdm_pace pace;
	struct tdm_watch watch;
	struct tdm_dictation *dictation; // NULL: guesses are not of a text
	int64_t written_us;              // that texts took
	int64_t passes, target_us, prompt_us, guessed, kept, kept_at[TDM_GUESS_MOST];
};

// Where each source's sorts begin; a short run in the text says less than what was learned.
enum { SORT_LOOKUP = 0, SORT_LEARNED = TDM_LOOKUP_LONGEST, SORT_RECYCLE = SORT_LEARNED + TDM_HABIT_RUN - 1, LONG = 2 };
enum { WORTH = 64 }; // tokens: a text that takes longer than they do is not waited for

static bool guess_from(struct follow *f, enum tdm_guess_from from) {
	const struct tdm_follow_kind *k = f->kind;
	int n = f->n_text + f->n_tokens, first = SORT_LOOKUP;
	f->guess.n = 0;
	if (!(k->from & from))
		return false;
	if (from == TDM_FROM_LOOKUP)
		tdm_lookup(f->text, n, k->most, &f->guess);
	if (from == TDM_FROM_LEARNED) {
		tdm_habits_follow(k->habits, f->run->tenant, f->text, n, k->most, &f->guess);
		first = SORT_LEARNED;
	}
	if (from == TDM_FROM_RECYCLE) {
		tdm_habits_branch(k->habits, f->run->tenant, f->text[n - 1], k->most, &f->guess);
		first = SORT_RECYCLE;
	}
	f->guess.sort += first;
	return f->guess.n > 0;
}

static void look(struct follow *f) {
	bool is_long = guess_from(f, TDM_FROM_LOOKUP) && f->guess.sort >= SORT_LOOKUP + LONG;
	if (!is_long && !guess_from(f, TDM_FROM_LEARNED) && !guess_from(f, TDM_FROM_LOOKUP))
		guess_from(f, TDM_FROM_RECYCLE);
	tdm_watch_start(&f->watch, &f->guess);
}

// As many tokens of a guess as limit and context leave room for.
static int room(const struct follow *f) {
	int left = f->request.max_tokens - f->n_tokens - 1;
	int n = f->target->context - f->target->prompt_tokens - f->n_tokens;
	if (f->request.max_tokens > 0 && n > left)
		n = left;
	return n > 0 ? n : 0;
}

// Takes the next token of the answer from the row of a node (-1: of the last token) of the last pass, in which the
// first n of the guess were; *next: the node that has come true. TDM_SINK_ENOUGH when it was the last one.
static int take(struct follow *f, int n, int node, int *next) {
	int row = 1 + node;
	const float *logits = f->target->ops->logits(f->target, row);
	const float *kept = tdm_keeper_row(f->keeper, f->tokens, f->n_tokens, logits);
	if (!kept)
		return f->run->error.status;
	int32_t token = tdm_joint_choose(&f->sampling, kept, f->target->n_vocab, f->tokens, f->n_tokens, f->probs, &f->rng);
	if (f->kind->from & TDM_FROM_RECYCLE && f->n_text + f->n_tokens > 0)
		tdm_habits_rank(f->kind->habits, f->run->tenant, f->text[f->n_text + f->n_tokens - 1], logits,
		                f->target->n_vocab);
	f->tokens[f->n_tokens++] = token;
	tdm_watch_token(&f->watch, &f->pace, token);
	*next = tdm_guess_child(&f->guess, n, node, token);
	if (f->dictation && !tdm_dictation_hear(f->dictation, token))
		return tdm_fail(&f->run->error, TDM_ENOMEM, "%s: no memory for the answer's text", f->kind->name);
	if (f->dictation)
		tdm_writer_drafter(f->writer, *next >= 0 ? f->kind->writer->name : NULL);
	return tdm_writer_token(f->writer, token, logits, NULL);
}

// Walks through the pass over the last token and the first n of the guess; *node: the last one of it that came true.
static int walk(struct follow *f, int n, int *node) {
	int depth = 0;
	*node = -1;
	for (;;) {
		int next = -1, status = take(f, n, *node, &next);
		if (next >= 0) {
			f->kept++;
			f->kept_at[depth++]++;
			*node = next;
		}
		if (status != TDM_OK || next < 0)
			return status;
	}
}

static bool is_chain(const struct tdm_guess *g, int n) {
	for (int i = 0; i < n; i++)
		if (g->parents[i] != i - 1)
			return false;
	return true;
}

// The last token and the first n of the guess, in one pass, which took *us.
static int pass(struct follow *f, int n, int64_t *us) {
	int32_t tokens[TDM_GUESS_MOST + 1];
	int parents[TDM_GUESS_MOST + 1];
	tokens[0] = f->tokens[f->n_tokens - 1];
	parents[0] = -1;
	for (int i = 0; i < n; i++) {
		tokens[1 + i] = f->guess.tokens[i];
		parents[1 + i] = f->guess.parents[i] + 1;
	}
	int64_t start_us = tdm_now_us();
	int status = f->target->ops->eval(f->target, f->run, tokens, is_chain(&f->guess, n) ? NULL : parents, 1 + n);
	*us = tdm_now_us() - start_us;
	f->target_us += *us;
	f->passes++;
	f->guessed += n;
	return status;
}

// What did not come true goes: of a chain by a rewind, of a tree by what is kept.
static int settle(struct follow *f, int n, int node) {
	if (!is_chain(&f->guess, n)) {
		f->target->ops->keep(f->target, 1 + node);
		return TDM_OK;
	}
	int length = f->target->prompt_tokens + f->n_tokens - 1;
	return node + 1 < n ? f->target->ops->rewind(f->target, length) : TDM_OK;
}

static int step_by_guess(struct follow *f) {
	int n = room(f), node;
	look(f);
	if (f->kind->adaptive)
		n = tdm_pace_choose(&f->pace, &f->guess, n);
	else if (n > f->guess.n)
		n = f->guess.n;
	int64_t us = 0;
	int status = pass(f, n, &us);
	if (status != TDM_OK)
		return status;
	tdm_pace_pass(&f->pace, 1 + n, us);
	status = walk(f, n, &node);
	return status == TDM_OK ? settle(f, n, node) : status;
}

// A text takes time to write, so how long it may be is decided before; what it took counts as the pass's time. It is
// worth what as many tokens cost without it.
static int step_by_text(struct follow *f) {
	static const struct tdm_guess any = {.n = TDM_GUESS_MOST};
	int most = f->kind->most, left = room(f), tried, node;
	tried = f->kind->adaptive ? tdm_pace_choose(&f->pace, &any, most) : most;
	if (tdm_dictation_silence(f->dictation))
		tried = 0;
	int64_t start_us = tdm_now_us(), us = 0, kept = f->kept;
	int64_t worth_us = (int64_t)(tdm_pace_cost(&f->pace, 1) * WORTH);
	f->guess.n = 0;
	if (tried > 0 && left > 0)
		tdm_dictation_guess(f->dictation, f->run, tried < left ? tried : left, worth_us, &f->guess);
	f->written_us += tdm_now_us() - start_us;
	int status = pass(f, f->guess.n, &us);
	if (status == TDM_OK)
		tdm_pace_pass(&f->pace, 1 + tried, tdm_now_us() - start_us);
	if (status == TDM_OK)
		status = walk(f, f->guess.n, &node);
	if (tried > 0 && tried <= left)
		tdm_pace_kept(&f->pace, 0, tried, (int)(f->kept - kept));
	return status == TDM_OK ? settle(f, f->guess.n, node) : status;
}

static int step(struct follow *f) {
	int status = tdm_run_check(f->run);
	if (status != TDM_OK)
		return status;
	return f->dictation ? step_by_text(f) : step_by_guess(f);
}

static bool has_room(const struct follow *f) {
	return f->target->prompt_tokens + f->n_tokens <= f->target->context;
}

// The text of the prompt is where the target says what it holds; without that, guesses know the answer alone.
static void read_prompt(struct follow *f) {
	const struct tdm_session *t = f->target;
	if (t->ops->ids && t->ops->ids(f->target, f->text, t->prompt_tokens) >= t->prompt_tokens)
		f->n_text = t->prompt_tokens;
	f->tokens = f->text + f->n_text;
}

// A vocabulary may be long, so it is looked through once.
static int32_t end_of(struct follow *f) {
	int32_t end = atomic_load(&f->kind->end);
	if (end == 0)
		atomic_store(&f->kind->end, end = tdm_align_end(f->target) + 2);
	return end - 2;
}

static int start(struct follow *f, const struct tdm_request *request, struct tdm_sink *sink) {
	struct tdm_session *t = f->target;
	int64_t start_us = tdm_now_us();
	int unguessed;
	int status = t->ops->prompt(t, f->run, request, NULL);
	f->target_us = f->prompt_us = tdm_now_us() - start_us;
	f->passes = 1;
	if (status != TDM_OK)
		return status;
	f->request = tdm_joint_request(request, t);
	f->sampling = tdm_joint_sampling(request, t);
	tdm_rng_stream(&f->rng, f->run->seed, t->model->name, request->draw); // the target's own
	f->text = tdm_arena_array(f->run->arena, (size_t)t->context + TDM_GUESS_MOST + 2, sizeof *f->text);
	f->probs = tdm_arena_array(f->run->arena, (size_t)t->n_vocab, sizeof *f->probs);
	f->writer = tdm_writer_new(f->run, &f->request, t, sink, t->model->name);
	if (!f->text || !f->probs || !f->writer)
		return tdm_fail(&f->run->error, TDM_ENOMEM, "%s: no memory for an answer of %s", f->kind->name, t->model->name);
	read_prompt(f);
	if (f->kind->from & TDM_FROM_TEXT) {
		f->dictation = tdm_dictation_new(t, end_of(f), f->kind->writer, request, f->kind->min_prob);
		if (!f->dictation)
			return tdm_fail(&f->run->error, TDM_ENOMEM, "%s: no memory for drafts", f->kind->name);
	}
	status = tdm_keeper_open(f->run, request, t, &f->keeper);
	return status == TDM_OK ? take(f, 0, -1, &unguessed) : status;
}

// --- what is told of it

static void count(const struct follow *f) {
	const char *name = f->kind->target->name;
	double alone_us = tdm_pace_cost(&f->pace, 1) * (f->n_tokens - 1);
	double us = (double)(f->target_us - f->prompt_us + f->written_us);
	for (int i = 0; i < TDM_GUESS_MOST && f->kept_at[i]; i++) {
		char position[12];
		snprintf(position, sizeof position, "%d", i);
		tdm_metric_add(TDM_METRIC_ACCEPTED_AT, (double)f->kept_at[i], TDM_LABELS(name, position));
	}
	if (alone_us > 0 && us > 0)
		tdm_metric_set(TDM_METRIC_SPEEDUP, alone_us / us, TDM_LABELS(name));
}

static void record(struct follow *f, int status, int64_t written) {
	struct tdm_record *r = f->run->record;
	struct tdm_call *c = tdm_joint_record(f->run, f->target, "verify", status, written, f->target_us);
	if (c) {
		c->passes = f->passes;
		c->drafted = f->guessed;
		c->accepted = f->kept;
	}
	const char *why = f->dictation ? tdm_dictation_silence(f->dictation) : NULL;
	const char *from = f->dictation ? tdm_arena_printf(r->arena, "text of %s", f->kind->writer->name) : "guesses";
	struct tdm_decision d = {
	    .by = f->kind->name,
	    .kind = "speculate",
	    .choice = "exact",
	    .signal = "accepted",
	    .score = f->guessed ? (double)f->kept / (double)f->guessed : NAN,
	    .threshold = NAN,
	    .detail = tdm_arena_printf(r->arena, "%s, %lld passes, %d tokens, %lld of %lld guessed accepted%s%s", from,
	                               (long long)f->passes, f->n_tokens, (long long)f->kept, (long long)f->guessed,
	                               why ? "; no more drafts: " : "", why ? why : ""),
	};
	tdm_record_decision(r, &d);
	count(f);
}

void tdm_follow_learned(struct tdm_follow_kind *k, struct tdm_pace *out) {
	pthread_mutex_lock(&k->lock);
	*out = k->pace;
	pthread_mutex_unlock(&k->lock);
}

void tdm_follow_learn(struct tdm_follow_kind *k, const struct tdm_pace *pace) {
	pthread_mutex_lock(&k->lock);
	k->pace = *pace;
	pthread_mutex_unlock(&k->lock);
}

int tdm_follow(struct tdm_follow_kind *k, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
               struct tdm_result *result) {
	struct follow f = {.run = run, .kind = k};
	int status = k->target->ops->open(k->target, run, &f.target);
	if (status != TDM_OK)
		return status;
	tdm_follow_learned(k, &f.pace);
	status = start(&f, request, sink);
	while (status == TDM_OK && has_room(&f))
		status = step(&f);
	tdm_follow_learn(k, &f.pace);
	if (k->from & TDM_FROM_LEARNED && f.text)
		tdm_habits_read(k->habits, run->tenant, f.text, f.n_text + f.n_tokens, f.n_text);
	if (status >= 0)
		status = tdm_writer_end(f.writer, result);
	record(&f, status, status == TDM_OK ? result->completion_tokens : f.n_tokens);
	tdm_dictation_free(f.dictation, run, status);
	tdm_keeper_close(f.keeper);
	f.target->ops->close(f.target);
	return status;
}

void tdm_follow_init(struct tdm_follow_kind *k) {
	tdm_pace_init(&k->pace);
	pthread_mutex_init(&k->lock, NULL);
}

void tdm_follow_release(struct tdm_follow_kind *k) {
	tdm_habits_free(k->habits);
	pthread_mutex_destroy(&k->lock);
}
