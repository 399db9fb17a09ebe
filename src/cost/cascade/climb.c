// Climb: one request of a cascade, from tier to tier.
//
// The rule it protects: an answer is held and replayed with every event as it was, or dropped (its calls are marked
// discarded); the last model streams live. What went out stays: with hold: sentence a sentence goes out only when it
// was accepted, and the next model continues behind it. A model that fails is followed by the next one, unless somebody
// refused the request.
#include "base/clock.h"
#include "cost/cascade/cascade.h"
#include "cost/cascade/latch.h"
#include "cost/cascade/sentence.h"
#include "models/policies/attempt.h"
#include "models/gate.h"
#include "models/promise.h"
#include "models/sources.h"
#include <stdio.h>
#include <string.h>

#define SHOWN_LIMIT_BYTES ((size_t)4 << 20)
#define SPARE_US 20000 // before a deadline, for a held answer to go out

struct climb {
	const struct tdm_cascade *c;
	struct tdm_run *run;
	const struct tdm_request *request;
	struct tdm_request asked; // of the next tier
	struct tdm_sink *sink;
	struct tdm_result *result;
	struct tdm_evidence held;  // of the last tier that was asked; not when !has_held
	bool has_held, has_answer; // has_answer: it did answer
	struct tdm_latch latch;
	bool latched, escalated, kept;
	struct tdm_bytes shown; // sentences that went out
	int n_shown;            // their pieces
	int64_t prompt_tokens;  // of the tier that said them
};

// The calls of an answer that was not used, or was used after all.
static void mark(const struct tdm_said *said, const char *before, const char *after) {
	struct tdm_call *c = said->from == said->end ? NULL : *said->from;
	for (; c; c = &c->next == said->end ? NULL : c->next)
		if (!strcmp(c->status, before))
			c->status = after;
}

static void drop(struct climb *k) {
	if (!k->has_held)
		return;
	for (int i = 0; i < k->held.n_others; i++)
		tdm_said_release(&k->held.others[i]);
	tdm_said_release(&k->held.own);
	k->has_held = k->has_answer = false;
}

// The decision, apart from how its evidence came about.
static bool keeps(const struct tdm_cascade *c, const struct tdm_tier *tier, const struct tdm_evidence *e) {
	return e->by_count ? c->meta[e->agree] : tdm_gate_accepts(e->score, tier->threshold);
}

double tdm_cascade_calibrated(const struct tdm_cascade *c, double score) {
	return c->calibrates ? 1 / (1 + exp(-(c->platt[0] * score + c->platt[1]))) : score;
}

static void note(struct climb *k, const char *choice, const char *signal, const char *detail) {
	tdm_gate_record(k->run, &k->c->model, choice, signal, (double)NAN, (double)NAN, detail ? "%s" : NULL, detail);
}

// --- what a decision leaves in the record

static void record(struct climb *k, const struct tdm_tier *tier, const struct tdm_evidence *e, double raw,
                   const char *choice, int status) {
	const char *model = tier == k->c->tiers ? "" : tier->model->name; // of the first one the receipt's rows tell
	const char *signal = e->failed_check ? "check" : tier->gate->name, *mark_of = *model ? ": " : "";
	if (status != TDM_OK)
		tdm_gate_record(k->run, &k->c->model, choice, "failed", (double)NAN, (double)NAN, "%s%s%s",
		                tdm_status_info(status)->code, *model ? " of " : "", model);
	else if (k->c->calibrates && !isnan(raw))
		tdm_gate_record(k->run, &k->c->model, choice, signal, e->score, tier->threshold, "%s%s%s%sraw %.6g", model,
		                mark_of, e->detail, *e->detail ? ", " : "", raw);
	else if (*e->detail || *model)
		tdm_gate_record(k->run, &k->c->model, choice, signal, e->score, tier->threshold, "%s%s%s", model,
		                *e->detail ? mark_of : "", e->detail);
	else
		tdm_gate_record(k->run, &k->c->model, choice, signal, e->score, tier->threshold, NULL);
}

// --- what the next tier is asked

static struct tdm_message *copied(struct climb *k, size_t more) {
	struct tdm_message *list = tdm_arena_array(k->run->arena, k->request->n_messages + more, sizeof *list);
	if (list)
		memcpy(list, k->request->messages, k->request->n_messages * sizeof *list);
	return list;
}

static int no_memory(struct climb *k) {
	return tdm_fail(&k->run->error, TDM_ENOMEM, "%s: no memory for the question to the next model", k->c->model.name);
}

static const char *joined(struct climb *k, const struct tdm_words *parts, size_t n, size_t *len) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, (size_t)64 << 20);
	for (size_t i = 0; i < n; i++)
		tdm_bytes_add(&b, parts[i].text, parts[i].len);
	const char *text = b.failed ? NULL : tdm_arena_copy(k->run->arena, b.data, b.len);
	*len = b.len;
	tdm_bytes_release(&b);
	return text;
}

// Behind what went out: the beginning of the answer, which is to be continued.
static int continue_shown(struct climb *k) {
	size_t n = k->request->n_messages;
	struct tdm_message *list = copied(k, 1);
	if (!list)
		return no_memory(k);
	bool has_prefill = list[n - 1].from == TDM_FROM_ASSISTANT;
	struct tdm_message *last = &list[has_prefill ? n - 1 : n];
	struct tdm_words parts[] = {{has_prefill ? last->text : "", has_prefill ? last->len : 0},
	                            {k->shown.data, k->shown.len}};
	*last = (struct tdm_message){.from = TDM_FROM_ASSISTANT};
	if (!(last->text = joined(k, parts, 2, &last->len)))
		return no_memory(k);
	k->asked.messages = list;
	k->asked.n_messages = n + !has_prefill;
	if (k->asked.max_tokens)
		k->asked.max_tokens = k->request->max_tokens > k->n_shown ? k->request->max_tokens - k->n_shown : 1;
	return TDM_OK;
}

// In the user's words, so that a draft has no more say than the question that it came from.
static int show_draft(struct climb *k) {
	static const char before[] = "\n\nA first draft of the answer, which may be wrong:\n";
	const struct tdm_bytes *draft = &k->held.own.words.text;
	size_t i = k->request->n_messages;
	struct tdm_message *list = copied(k, 0);
	if (!list)
		return no_memory(k);
	while (i && list[i - 1].from != TDM_FROM_USER)
		i--;
	if (!i)
		return TDM_OK;
	struct tdm_words parts[] = {
	    {list[i - 1].text, list[i - 1].len}, {before, sizeof before - 1}, {draft->data, draft->len}};
	if (!(list[i - 1].text = joined(k, parts, 3, &list[i - 1].len)))
		return no_memory(k);
	k->asked.messages = list;
	return TDM_OK;
}

static int prepare(struct climb *k) {
	k->asked = *k->request;
	if (k->shown.len)
		return continue_shown(k);
	bool has_draft = k->has_answer && k->held.own.words.text.len && !k->request->raw;
	return k->c->o.hand_over && has_draft ? show_draft(k) : TDM_OK;
}

// --- a tier whose whole answer is weighed

static int check(struct climb *k, struct tdm_evidence *e) {
	const struct tdm_bytes *text = &e->own.words.text;
	int status = tdm_checks_run(&k->c->checks, k->run, text->data ? text->data : "", text->len, &e->failed_check);
	if (status == TDM_OK && e->failed_check) {
		e->score = 0;
		snprintf(e->detail, sizeof e->detail, "no %s", e->failed_check);
	}
	return status;
}

static int weigh(struct climb *k, const struct tdm_tier *tier, struct tdm_evidence *e, double *raw) {
	int status = k->c->checks.any ? check(k, e) : TDM_OK;
	if (status != TDM_OK || e->failed_check)
		return status;
	status = tier->gate->weigh(k->c, tier, k->run, &k->asked, e);
	*raw = e->score;
	e->score = tdm_cascade_calibrated(k->c, e->score);
	return status;
}

// Asks a tier and weighs its answer, which is held. A filtered answer is somebody's refusal: it stands.
static int judge(struct climb *k, const struct tdm_tier *tier, bool *keep) {
	struct tdm_evidence *e = &k->held;
	double raw = (double)NAN;
	drop(k);
	*e = (struct tdm_evidence){.score = (double)NAN, .reply = &e->own};
	k->has_held = true;
	int status = tdm_cascade_ask(tier->gate, tier->model, k->run, &k->asked, &e->own, &e->certainty);
	bool is_refusal = status == TDM_OK && e->own.result.finish == TDM_FINISH_FILTER;
	k->has_answer = status == TDM_OK && e->own.words.n;
	if (status == TDM_OK && !is_refusal)
		status = weigh(k, tier, e, &raw);
	*keep = status == TDM_OK && (is_refusal || (!e->failed_check && keeps(k->c, tier, e)));
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

// --- a tier whose sentences go out one by one

static bool streams(const struct climb *k, const struct tdm_tier *tier) {
	return k->c->o.hold == TDM_HOLD_SENTENCE && tier->gate->of && !k->latched && !k->request->form && !k->request->raw;
}

static void record_sentences(struct climb *k, const struct tdm_tier *tier, const struct tdm_sentences *s,
                             const char *choice, int status) {
	struct tdm_evidence e = {.score = s->score};
	snprintf(e.detail, sizeof e.detail, "%d sentences out", s->n);
	record(k, tier, &e, (double)NAN, choice, status);
}

// The answer's result, where earlier tiers said its beginning.
static void add_shown(struct climb *k) {
	if (!k->n_shown)
		return;
	k->result->completion_tokens += k->n_shown;
	k->result->prompt_tokens = k->prompt_tokens;
	k->result->mean_logprob = (double)NAN;
}

static int stream(struct climb *k, const struct tdm_tier *tier, bool *done) {
	struct tdm_sentences s;
	struct tdm_trim trim;
	struct tdm_said said = {.from = k->run->record->last_call};
	struct tdm_request asked = k->asked;
	asked.logprobs = true;
	if (asked.top_logprobs < tier->gate->tops)
		asked.top_logprobs = tier->gate->tops;
	drop(k);
	tdm_trim_init(&trim, k->run->arena, k->request, k->sink);
	tdm_sentences_init(&s, k->c, tier, k->run->arena, &k->shown, &trim.sink);
	int status = tdm_generate(tier->model, k->run, &asked, &s.sink, k->result);
	said.end = k->run->record->last_call;
	if (status == TDM_OK)
		status = tdm_sentences_end(&s, k->result->finish == TDM_FINISH_FILTER);
	if (status > 0) // who reads wants no more, or the last sentence did not pass
		status = TDM_OK;
	*done = status == TDM_OK && !s.rejected;
	if (status == TDM_OK || tdm_gate_may_replace(status)) {
		record_sentences(k, tier, &s, *done ? "keep" : "escalate", status);
		if (!s.n)
			mark(&said, "ok", "discarded");
		if (*done)
			add_shown(k);
		else if (s.n && !k->n_shown)
			k->prompt_tokens = k->result->prompt_tokens;
		k->n_shown += *done ? 0 : s.n_pieces;
		tdm_error_clear(&k->run->error);
		status = TDM_OK;
	}
	tdm_sentences_release(&s);
	return status;
}

// --- the last tier

// What the objective's max_cost leaves after what was spent must pay for one call of the tier.
static int pay(struct climb *k, const struct tdm_tier *tier) {
	struct tdm_objective outer = k->run->objective;
	if (isnan(outer.max_cost))
		return TDM_OK;
	k->run->objective =
	    (struct tdm_objective){.quality = NAN, .max_cost = outer.max_cost - tdm_record_cost(k->run->record)};
	int status = tdm_check_objective(tier->model, &k->asked, k->run);
	k->run->objective = outer;
	return status;
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

static bool can_keep(const struct climb *k) {
	return k->c->o.otherwise == TDM_OTHERWISE_KEEP && k->has_answer && !k->shown.len;
}

// Until when it must begin, where there is an answer to go back to; 0 = no such limit.
static int64_t until(const struct climb *k) {
	int64_t now_us = tdm_now_us(), wait_us = k->c->o.wait_ms ? now_us + k->c->o.wait_ms * 1000 : 0;
	int64_t deadline_us = k->run->deadline_us ? k->run->deadline_us - SPARE_US : 0;
	if (!can_keep(k))
		return 0;
	return !wait_us || (deadline_us && deadline_us < wait_us) ? deadline_us : wait_us;
}

static int ask_last(struct climb *k, bool *shown) {
	const struct tdm_tier *last = &k->c->tiers[k->c->n - 1];
	struct begun b = {.sink = {begun_put, k->sink}, .begin = {.until_us = until(k), .outer = k->run->begin}};
	k->run->begin = b.begin.until_us ? &b.begin : b.begin.outer;
	int status = tdm_generate(last->model, k->run, &k->asked, &b.sink, k->result);
	k->run->begin = b.begin.outer;
	*shown = atomic_load_explicit(&b.begin.began, memory_order_relaxed);
	if (status == TDM_OK)
		add_shown(k);
	if (status != TDM_EDEADLINE || *shown || !b.begin.until_us)
		return status;
	tdm_error_clear(&k->run->error);
	int over = tdm_run_check(k->run); // the request's own end is the end
	return over ? over
	            : tdm_fail(&k->run->error, TDM_EUPTIME, "model %s: it did not begin to answer in time",
	                       last->model->name);
}

// The answer that no gate kept, because there is no other one.
static int fall_back(struct climb *k, int status) {
	if (!can_keep(k) || !tdm_gate_may_replace(status))
		return status;
	note(k, "keep", "otherwise", tdm_status_info(status)->code);
	tdm_record_warn(k->run->record, "not_escalated", NULL, "the next model could not answer: a weaker answer was kept");
	tdm_error_clear(&k->run->error);
	mark(k->held.reply, "discarded", "ok");
	return serve_held(k);
}

static int finish(struct climb *k) {
	bool shown = false;
	int status = prepare(k);
	if (status == TDM_OK)
		status = pay(k, &k->c->tiers[k->c->n - 1]);
	if (status == TDM_OK)
		status = ask_last(k, &shown);
	return status < 0 && !shown ? fall_back(k, status) : status;
}

// --- what a kept answer is held against

static int ask_again(struct climb *k, struct tdm_collect *words) {
	struct tdm_request asked = *k->request;
	struct tdm_result result;
	asked.purpose = "judge";
	asked.logprobs = false;
	asked.top_logprobs = 0;
	return tdm_generate(k->c->tiers[k->c->n - 1].model, k->run, &asked, &words->sink, &result);
}

// The client has its answer: what fails here changes nothing of it.
static void audit(struct climb *k) {
	struct tdm_collect other;
	const struct tdm_bytes *kept = &k->held.reply->words.text;
	if (!tdm_certified_toss(k->c->o.audit) || pay(k, &k->c->tiers[k->c->n - 1])) {
		tdm_error_clear(&k->run->error);
		return;
	}
	tdm_collect_init(&other, TDM_ANSWER_LIMIT_BYTES, NULL, NULL);
	int status = ask_again(k, &other);
	bool same =
	    tdm_answer_same(kept->data, kept->len, other.text.data, other.text.len, (enum tdm_answer_type)k->c->o.how);
	if (status == TDM_OK) {
		tdm_gate_record(k->run, &k->c->model, same ? "agrees" : "differs", "audit", same, (double)NAN, NULL);
		tdm_certified_note(k->c->certified, !same);
	} else
		note(k, "unknown", "audit", tdm_status_info(status)->code);
	tdm_error_clear(&k->run->error);
	tdm_collect_release(&other);
}

// --- from tier to tier

// An answer passed. With the latch closed it is a confirmation, and served only when there are enough of them.
static bool confirms(struct climb *k) {
	if (!k->latched)
		return true;
	bool enough = ++k->latch.confirmations >= k->c->o.confirmations;
	tdm_gate_record(k->run, &k->c->model, enough ? "keep" : "escalate", "latch", k->latch.confirmations,
	                (double)k->c->o.confirmations, NULL);
	if (!enough)
		mark(k->held.reply, "ok", "discarded");
	return enough;
}

static void escalate(struct climb *k) {
	k->latch.escalations += k->latch.escalations < 1000000;
	k->latch.confirmations = 0;
	tdm_latch_save(&k->latch, k->c, k->run);
}

static int keep(struct climb *k) {
	if (!confirms(k)) {
		tdm_latch_save(&k->latch, k->c, k->run);
		int spent = tdm_escalation_take(k->c, k->run);
		return spent ? fall_back(k, spent) : finish(k);
	}
	if (k->latch.escalations) {
		k->latch.escalations = k->latch.confirmations = 0;
		tdm_latch_save(&k->latch, k->c, k->run);
	}
	int status = serve_held(k);
	k->kept = status == TDM_OK;
	if (k->kept && k->c->o.audit > 0)
		audit(k);
	return status;
}

// One tier but the last. *done: the answer is complete.
static int step(struct climb *k, const struct tdm_tier *tier, bool *done) {
	bool good = false;
	int status = prepare(k);
	if (status == TDM_OK && tier != k->c->tiers && (status = pay(k, tier))) {
		note(k, "skip", "cost", tier->model->name);
		tdm_error_clear(&k->run->error);
		return TDM_OK;
	}
	if (status == TDM_OK && streams(k, tier))
		return stream(k, tier, done);
	if (status == TDM_OK)
		status = judge(k, tier, &good);
	if (status != TDM_OK || !good)
		return status;
	*done = true;
	return keep(k);
}

// The first time that a request goes on, its tenant must have an escalation left.
static int go_on(struct climb *k) {
	if (k->escalated)
		return TDM_OK;
	k->escalated = true;
	escalate(k);
	return tdm_escalation_take(k->c, k->run);
}

static int climb(struct climb *k) {
	for (size_t i = 0; i + 1 < k->c->n; i++) {
		bool done = false;
		int status = step(k, &k->c->tiers[i], &done);
		if (status != TDM_OK || done)
			return status;
		if ((status = go_on(k)))
			return fall_back(k, status);
	}
	return finish(k);
}

int tdm_cascade_climb(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                      struct tdm_sink *sink, struct tdm_result *result) {
	struct climb k = {.c = (const struct tdm_cascade *)m, .run = run, .request = request, .asked = *request};
	bool shown;
	k.sink = sink;
	k.result = result;
	if (tdm_wants_tools(request)) { // no gate can weigh a call
		note(&k, "escalate", "tools", NULL);
		return ask_last(&k, &shown);
	}
	if (!tdm_certified_holds(k.c->certified, run)) {
		note(&k, "escalate", "certificate", NULL);
		return ask_last(&k, &shown);
	}
	tdm_bytes_init(&k.shown, SHOWN_LIMIT_BYTES);
	tdm_latch_open(&k.latch, k.c, run, request);
	k.latched = tdm_latch_holds(&k.latch, k.c);
	int status = climb(&k);
	if (status == TDM_OK && !k.kept && k.c->o.audit > 0 && tdm_certified_toss(k.c->o.audit))
		tdm_certified_note(k.c->certified,
		                   0); // the large model answered: nothing is lost, and it costs nothing to know
	drop(&k);
	tdm_bytes_release(&k.shown);
	return status;
}
