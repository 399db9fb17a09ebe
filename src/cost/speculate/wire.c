// One step: a draft behind the answer so far, one call that verifies it, what came true into the sink. What the
// upstream wished for instead of the first token that did not come true begins the next draft. Where a step brings
// nothing, the next one sends no draft: then the upstream writes one token itself. Where that brings nothing either, or
// where time runs away, the answer is asked for plainly, and of it follows what has not left yet; if it were another
// answer, that is an error and no splice.
#include "cost/speculate/wire.h"
#include "base/clock.h"
#include "base/text.h"
#include "cost/speculate/echoed.h"
#include "cost/speculate/scribe.h"
#include "models/remote/dialect.h"
#include "models/sources.h"
#include "models/stop.h"
#include <string.h>

#define REFUSED_US (600 * (int64_t)1000000) // how long an upstream that did not echo is not asked to again
enum { CALL_LIMIT_BYTES = 1 << 28, TEXT_LIMIT_BYTES = 1 << 26, LIKELY_TOKENS = 256, BRINGS = 2 };
enum { WORTH = 64 }; // tokens: a draft that takes longer than a plain answer of so many is not waited for

struct token {  // of the answer, that came true
	size_t end; // in wire.text
	struct tdm_scored scored;
	bool is_drafted;
};

struct wire {
	struct tdm_run *run;
	struct tdm_wire_kind *kind;
	const struct tdm_request *request;
	struct tdm_sink *sink;
	struct tdm_result *result;
	struct tdm_message message;
	struct tdm_raw raw;
	struct tdm_request context; // as a prompt that is continued, for who drafts
	struct tdm_bytes text;      // the context, and the answer as far as it is verified
	size_t n_context, sent;     // in text; of it, what has left
	struct tdm_bytes draft;
	size_t n_wish; // of it, what the upstream wished for
	struct token *tokens;
	size_t *ends; // of tokens, for the judge
	int n_tokens, cap, n_sent, limit;
	struct tdm_scribe *scribe;
	struct tdm_trip trip;
	bool is_bare; // the next step sends no draft
	int n_losses;
	const char *why; // it is asked plainly
	double sum_logprob;
	int64_t calls, drafted, accepted;
};

// --- what leaves

static int put_token(struct wire *w, const struct token *t, size_t to) {
	struct tdm_event event = {.text = w->text.data + w->sent,
	                          .len = to - w->sent,
	                          .author = w->kind->target->name,
	                          .drafter = t->is_drafted ? w->kind->draft->name : NULL,
	                          .token = -1,
	                          .logprob = t->scored.logprob};
	if (w->request->logprobs) {
		event.alternatives = t->scored.alternatives;
		event.n_alternatives = t->scored.n_alternatives;
	}
	w->sent = to;
	return event.len ? w->sink->put(w->sink, &event) : TDM_OK;
}

// Everything that no stop string can begin in; final: no more text follows. TDM_SINK_ENOUGH: the answer has ended.
static int send_safe(struct wire *w, bool final) {
	size_t safe, n = w->text.len - w->sent;
	const char *found = tdm_stop_find(w->request->stop, w->request->n_stop, w->text.data + w->sent, n, final, &safe);
	size_t to = w->sent + safe;
	int status = TDM_OK;
	while (!status && w->n_sent < w->n_tokens && w->sent < to) {
		const struct token *t = &w->tokens[w->n_sent];
		bool is_whole = t->end <= to;
		if (!is_whole && !found)
			break;
		status = put_token(w, t, is_whole ? t->end : to);
		w->n_sent += is_whole;
	}
	if (found)
		w->result->stop = found;
	return status ? status : found ? TDM_SINK_ENOUGH : TDM_OK;
}

static int no_memory(struct wire *w) {
	return tdm_fail(&w->run->error, TDM_ENOMEM, "%s: no memory for the answer", w->kind->name);
}

static bool keep_scored(struct tdm_arena *arena, const struct tdm_scored *from, int top, struct tdm_scored *out) {
	int n = from->n_alternatives < top ? from->n_alternatives : top;
	struct tdm_alternative *list = n > 0 ? tdm_arena_array(arena, (size_t)n, sizeof *list) : NULL;
	*out = (struct tdm_scored){.logprob = from->logprob, .alternatives = list, .n_alternatives = list ? n : 0};
	for (int i = 0; list && i < n; i++) {
		list[i] = from->alternatives[i];
		list[i].text = tdm_arena_copy(arena, from->alternatives[i].text, from->alternatives[i].len);
		if (!list[i].text)
			return false;
	}
	return n <= 0 || list;
}

// One more token of the answer.
static int commit(struct wire *w, const struct tdm_scored *scored, bool is_drafted) {
	struct tdm_arena *arena = w->run->arena;
	if (w->n_tokens == w->cap) {
		int cap = 2 * w->cap + 64;
		struct token *tokens = tdm_arena_array(arena, (size_t)cap, sizeof *tokens);
		size_t *ends = tdm_arena_array(arena, (size_t)cap, sizeof *ends);
		if (!tokens || !ends)
			return no_memory(w);
		if (w->n_tokens) {
			memcpy(tokens, w->tokens, (size_t)w->n_tokens * sizeof *tokens);
			memcpy(ends, w->ends, (size_t)w->n_tokens * sizeof *ends);
		}
		w->tokens = tokens;
		w->ends = ends;
		w->cap = cap;
	}
	struct token *t = &w->tokens[w->n_tokens];
	tdm_bytes_add(&w->text, scored->text, scored->len);
	*t = (struct token){.end = w->text.len, .is_drafted = is_drafted};
	w->ends[w->n_tokens++] = t->end;
	w->sum_logprob += (double)scored->logprob;
	bool ok = keep_scored(arena, scored, w->request->logprobs ? w->request->top_logprobs : 0, &t->scored);
	return ok && !w->text.failed ? TDM_OK : no_memory(w);
}

// --- one step

static int n_left(const struct wire *w) {
	return w->limit - w->n_tokens;
}

// The next draft: what the upstream wished for, and about n tokens of who drafts.
static void make_draft(struct wire *w, int n) {
	struct tdm_written written = {0};
	int64_t worth_us = (int64_t)(w->trip.plain_us * WORTH);
	size_t wish = w->draft.len, had = w->text.len;
	w->n_wish = w->is_bare || n <= 0 ? 0 : wish;
	if (w->is_bare || n <= 0) {
		tdm_bytes_clear(&w->draft);
		return;
	}
	tdm_bytes_add(&w->text, w->draft.data ? w->draft.data : "", wish);
	if (!w->text.failed)
		tdm_scribe_write(w->scribe, w->run, w->text.data + w->n_context, w->text.len - w->n_context, n, worth_us,
		                 &written);
	if (written.len)
		tdm_bytes_add(&w->draft, written.text, written.len - tdm_utf8_partial(written.text, written.len));
	w->text.len = had;
	w->text.data[had] = 0;
}

// One call of the upstream, in memory of its own: its echo holds all of the context.
static int ask(struct wire *w, struct tdm_run *own, struct tdm_echo *echo, size_t *n_text) {
	struct tdm_result result = {0};
	struct tdm_raw raw = {.only_echo = true, .echo = echo};
	struct tdm_request rq = w->context;
	struct tdm_message message = w->message;
	size_t had = w->text.len;
	tdm_bytes_add(&w->text, w->draft.data ? w->draft.data : "", w->draft.len);
	if (w->text.failed)
		return no_memory(w);
	message.text = w->text.data;
	message.len = *n_text = w->text.len;
	rq.messages = &message;
	rq.raw = &raw;
	rq.purpose = "verify";
	w->calls++;
	int status = tdm_generate(w->kind->target, own, &rq, w->sink, &result);
	w->text.len = had; // the draft stays behind it, for the judge
	return status;
}

static int commit_all(struct wire *w, const struct tdm_judged *j) {
	int status = TDM_OK;
	size_t drafted = 0;
	w->drafted += j->n_drafted - (j->n_drafted > 0 && w->n_wish > 0);
	for (int i = 0; i < j->n && !status && n_left(w) > 0; i++) {
		drafted += j->tokens[i].len;
		status = commit(w, &j->tokens[i], drafted > w->n_wish);
		w->accepted += drafted > w->n_wish;
	}
	if (!status && j->next && n_left(w) > 0)
		status = commit(w, j->next, false);
	return status;
}

// What the next draft begins with, or whether there can be one.
static void look_ahead(struct wire *w, const struct tdm_judged *j, bool is_moved) {
	bool was_bare = w->draft.len == 0;
	tdm_bytes_clear(&w->draft);
	if (j->wish)
		tdm_bytes_add(&w->draft, j->wish, j->n_wish);
	w->is_bare = !j->wish && !j->next;
	if (!is_moved && w->n_wish > 0) // what it wished for was not what it writes
		w->is_bare = true;
	if (!is_moved && was_bare)
		w->why = "what the upstream writes cannot be told from its echo";
}

static int take(struct wire *w, const struct tdm_judged *j) {
	int before = w->n_tokens, status = commit_all(w, j);
	if (status)
		return status;
	bool is_end = j->is_end && n_left(w) > 0, is_over = is_end || n_left(w) == 0;
	if (!is_over)
		look_ahead(w, j, w->n_tokens > before);
	status = send_safe(w, is_over);
	if (status < 0 || (!status && !is_over))
		return status;
	w->result->finish = is_end || status ? TDM_FINISH_STOP : TDM_FINISH_LENGTH;
	return TDM_SINK_ENOUGH;
}

static int judge(struct wire *w, const struct tdm_echo *echo, size_t n_text) {
	struct tdm_echoed e = {echo, w->text.data, n_text, w->n_context, w->ends, w->n_tokens};
	struct tdm_judged j = tdm_echoed_judge(&e);
	if (j.fits && w->n_tokens == 0)
		w->result->prompt_tokens = j.n_context;
	if (j.fits)
		return take(w, &j);
	if (w->draft.len == 0)
		w->why = "the upstream splits its own words otherwise than it wrote them";
	w->is_bare = true; // the draft may have joined the last word
	tdm_bytes_clear(&w->draft);
	return TDM_OK;
}

static int step(struct wire *w) {
	struct tdm_run own = *w->run;
	struct tdm_arena arena;
	struct tdm_echo echo = {0};
	size_t n_text = 0;
	int most = w->kind->most, before = w->n_tokens;
	int64_t start_us = tdm_now_us();
	make_draft(w, most < n_left(w) ? most : n_left(w) - 1);
	tdm_arena_init(&arena, CALL_LIMIT_BYTES);
	own.arena = &arena;
	int status = ask(w, &own, &echo, &n_text);
	int64_t us = tdm_now_us() - start_us;
	if (!status)
		status = judge(w, &echo, n_text);
	else
		w->run->error = own.error;
	if (status >= 0)
		tdm_trip_made(&w->trip, us, w->n_tokens - before);
	tdm_arena_release(&arena);
	w->n_losses = w->kind->adaptive && tdm_trip_loses(&w->trip) ? w->n_losses + 1 : 0;
	if (!status && w->n_losses >= TDM_TRIP_LOSSES)
		w->why = "it has turned out to take longer than a plain answer";
	return status;
}

// --- a plain answer

struct rest { // of a plain answer, behind what has left already
	struct tdm_sink sink;
	struct wire *wire;
	size_t at, n; // of n bytes; how many have come again
};

// Without the tokens that have left already.
static void cut_event(struct tdm_event *e, size_t n) {
	while (e->n_parts > 0 && e->parts->len <= n) {
		e->text += e->parts->len;
		e->len -= e->parts->len;
		n -= e->parts->len;
		e->logprob -= e->parts->logprob;
		e->parts++;
		e->n_parts--;
	}
	e->text += n;
	e->len -= n;
}

static int put_rest(struct tdm_sink *sink, const struct tdm_event *event) {
	struct rest *r = (struct rest *)sink;
	struct wire *w = r->wire;
	size_t again = r->n - r->at;
	if (event->piece != TDM_PIECE_TEXT || again == 0)
		return sink->next->put(sink->next, event);
	size_t n = event->len < again ? event->len : again;
	if (memcmp(w->text.data + w->n_context + r->at, event->text, n) != 0)
		return tdm_fail(&w->run->error, TDM_EUPSTREAM,
		                "model %s: the upstream gave another answer when it was asked again", w->kind->target->name);
	r->at += n;
	struct tdm_event rest = *event;
	if (n == event->len)
		return TDM_OK;
	cut_event(&rest, n);
	return sink->next->put(sink->next, &rest);
}

static int ask_plainly(struct wire *w) {
	struct rest rest = {{put_rest, w->sink}, w, 0, w->sent - w->n_context};
	int64_t start_us = tdm_now_us();
	int status = tdm_generate(w->kind->target, w->run, w->request, &rest.sink, w->result);
	if (!status && rest.at < rest.n)
		status =
		    tdm_fail(&w->run->error, TDM_EUPSTREAM,
		             "model %s: the upstream gave a shorter answer when it was asked again", w->kind->target->name);
	if (!status)
		tdm_trip_plain(&w->trip, tdm_now_us() - start_us, w->result->completion_tokens);
	return status;
}

// --- whether

// The prompt that each call sends again against the tokens of the answer that it saves.
static bool is_too_dear(const struct wire *w) {
	const struct tdm_price *p = &w->kind->target->price;
	double n = w->limit < LIKELY_TOKENS ? w->limit : LIKELY_TOKENS, context = (double)tdm_estimate_tokens(w->n_context);
	double calls = n / (w->trip.tokens > 0 ? w->trip.tokens : BRINGS);
	double again = calls * (context + w->kind->most + n / 2) * p->in + calls * p->out;
	return again > w->kind->dearer * (context * p->in + n * p->out);
}

static const char *why_time(struct wire *w) {
	if (!w->kind->adaptive || tdm_trip_choose(&w->trip))
		return NULL;
	if (w->trip.plain_us <= 0)
		return "how long a plain answer takes is not known yet";
	return tdm_trip_loses(&w->trip) ? "it takes longer than a plain answer" : "a plain answer is timed again";
}

// Why it cannot or must not be, as far as the request says; NULL: it can.
static const char *why_not(struct wire *w) {
	const struct tdm_request *rq = w->request;
	double temperature = -1;
	int64_t most = 0, refused_us = atomic_load(&w->kind->refused_us);
	tdm_remote_own(w->kind->target, &temperature, &most);
	if (rq->temperature >= 0)
		temperature = (double)rq->temperature;
	w->limit = rq->max_tokens > 0 ? rq->max_tokens : (int)most;
	if (temperature != 0)
		return "only answers at temperature 0 can be verified";
	if (w->limit <= 0)
		return "how long the answer may be is not said";
	bool is_penal = rq->repeat_penalty > 0 && rq->repeat_penalty != 1;
	if (rq->form || tdm_wants_tools(rq) || is_penal)
		return "a form, tools or a penalty change what an echo says nothing of";
	if (rq->raw && (rq->raw->echo || rq->raw->only_echo || rq->n_messages == 0))
		return "the prompt is not a text alone";
	bool is_refused = refused_us && tdm_now_us() - refused_us < REFUSED_US;
	return is_refused ? "the upstream has not echoed a prompt" : NULL;
}

// --- the answer

static int prepare(struct wire *w) {
	const struct tdm_request *rq = w->request;
	tdm_write_transcript(&w->text, rq);
	w->n_context = w->sent = w->text.len;
	char *context = tdm_arena_copy(w->run->arena, w->text.data ? w->text.data : "", w->text.len);
	if (w->text.failed || !context)
		return no_memory(w);
	if (w->n_context == 0) {
		w->why = "there is no prompt";
		return TDM_OK;
	}
	w->message = (struct tdm_message){.from = TDM_FROM_USER, .text = context, .len = w->n_context};
	tdm_request_init(&w->context);
	w->context.messages = &w->message;
	w->context.n_messages = 1;
	w->context.raw = &w->raw;
	w->context.temperature = 0;
	w->context.logprobs = true;
	w->context.top_logprobs =
	    rq->logprobs && rq->top_logprobs > 2 ? rq->top_logprobs : 2; // two that are alike are seen
	bool is_step = w->kind->draft->can & TDM_CAN_STEP;
	w->scribe = tdm_scribe_new(w->kind->draft, is_step ? &w->context : rq, w->kind->min_prob);
	return w->scribe ? TDM_OK : no_memory(w);
}

static bool is_refusal(int status) {
	return status == TDM_EBADBODY || status == TDM_EREJECTED || status == TDM_ECAPABILITY;
}

static int speculate(struct wire *w) {
	int status = TDM_OK;
	while (!status && !w->why) {
		status = tdm_run_check(w->run);
		if (!status)
			status = step(w);
	}
	if (status < 0 && is_refusal(status))
		atomic_store(&w->kind->refused_us, tdm_now_us());
	bool is_over = status == TDM_EGONE || status == TDM_EDEADLINE;
	if (status < 0 && !is_over && w->sent == w->n_context) { // nothing has left: it can be asked plainly
		w->why = tdm_arena_string(w->run->arena, w->run->error.text);
		tdm_error_clear(&w->run->error);
		status = TDM_OK;
	}
	return status;
}

static void record(struct wire *w) {
	struct tdm_record *r = w->run->record;
	const char *silence = w->scribe ? tdm_scribe_silence(w->scribe) : NULL;
	struct tdm_decision d = {
	    .by = w->kind->name,
	    .kind = "speculate",
	    .choice = w->why ? "plain" : "greedy-exact",
	    .signal = "accepted",
	    .score = w->drafted ? (double)w->accepted / (double)w->drafted : NAN,
	    .threshold = NAN,
	    .detail = tdm_arena_printf(r->arena, "across the wire, %lld calls, %d tokens verified%s%s%s%s",
	                               (long long)w->calls, w->n_tokens, w->why ? "; plainly: " : "", w->why ? w->why : "",
	                               silence ? "; no more drafts: " : "", silence ? silence : ""),
	};
	tdm_record_decision(r, &d);
}

int tdm_wire(struct tdm_wire_kind *k, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
             struct tdm_result *result) {
	struct wire w = {.run = run, .kind = k, .request = request, .sink = sink, .result = result};
	int status = TDM_OK;
	tdm_bytes_init(&w.text, TEXT_LIMIT_BYTES);
	tdm_bytes_init(&w.draft, TEXT_LIMIT_BYTES);
	pthread_mutex_lock(&k->lock);
	w.trip = k->trip;
	pthread_mutex_unlock(&k->lock);
	w.why = why_not(&w);
	if (!w.why)
		status = prepare(&w);
	if (!status && !w.why)
		w.why = is_too_dear(&w) ? "the prompts that are sent again cost more than is saved" : why_time(&w);
	if (!status && !w.why)
		status = speculate(&w);
	if (!status && w.why)
		status = ask_plainly(&w);
	if (status == TDM_SINK_ENOUGH) {
		result->completion_tokens = w.n_tokens;
		result->served = k->target->name;
		result->mean_logprob = w.n_tokens ? w.sum_logprob / w.n_tokens : (double)NAN;
		status = TDM_OK;
	}
	pthread_mutex_lock(&k->lock);
	k->trip = w.trip;
	pthread_mutex_unlock(&k->lock);
	record(&w);
	tdm_scribe_free(w.scribe, run, status);
	tdm_bytes_release(&w.text);
	tdm_bytes_release(&w.draft);
	return status;
}

void tdm_wire_init(struct tdm_wire_kind *k) {
	pthread_mutex_init(&k->lock, NULL);
}

void tdm_wire_release(struct tdm_wire_kind *k) {
	pthread_mutex_destroy(&k->lock);
}
