// Writer: tokens in, events out. The rule kept here: the text that leaves is the same however it was cut into tokens:
// whole characters, nothing of a stop string, bytes that are no UTF-8 as U+FFFD.
//
// Tokens wait in `held` until all their bytes are safe, so that each keeps its own logprob; tokens that share a
// character leave as one event.
#include "models/local/writer.h"
#include "base/text.h"
#include "models/stop.h"
#include <string.h>

struct held {
	size_t end; // in writer.text; begins where the one before ends
	int32_t token;
	const char *author, *drafter;
	struct tdm_scored scored; // whose text is the vocabulary's
};

struct tdm_writer {
	struct tdm_run *run;
	const struct tdm_request *request;
	struct tdm_session *session;
	struct tdm_sink *sink;
	const char *author;
	char *text;
	size_t n_text, text_cap;
	struct held *held;
	size_t n_held, held_cap;
	int64_t n_tokens, n_logprobs;
	double sum_logprob;
	bool ended;
	enum tdm_finish finish;
	const char *stop;             // the stop string that was found; NULL = none yet
	const struct tdm_scored *end; // the token that ended it
	const char *drafter;          // of the tokens that come
};

struct tdm_writer *tdm_writer_new(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *session,
                                  struct tdm_sink *sink, const char *author) {
	struct tdm_writer *w = tdm_arena_alloc(run->arena, sizeof *w);
	if (!w) {
		tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory to write the answer", author);
		return NULL;
	}
	// Whoever stops without a reason of its own stopped because there was no room.
	*w = (struct tdm_writer){run, request, session, sink, author, .finish = TDM_FINISH_LENGTH};
	return w;
}

static int no_memory(struct tdm_writer *w) {
	return tdm_fail(&w->run->error, TDM_ENOMEM, "model %s: the answer needs more memory than it may use", w->author);
}

// Room for `need` items in an arena's array that grows by doubling.
static void *grow(struct tdm_arena *arena, void *items, size_t n, size_t *cap, size_t need, size_t item_bytes) {
	if (need <= *cap)
		return items;
	size_t larger = need < 64 ? 128 : 2 * need;
	void *out = tdm_arena_array(arena, larger, item_bytes);
	if (!out)
		return NULL;
	if (n)
		memcpy(out, items, n * item_bytes);
	*cap = larger;
	return out;
}

// --- what a token adds

// The best k tokens of the logits, by insertion into a short sorted list; ties go to the lower id.
static int best_tokens(const float *logits, int n_vocab, int k, int32_t *best) {
	int n = 0;
	for (int32_t i = 0; i < n_vocab; i++) {
		int at = n;
		while (at > 0 && logits[best[at - 1]] < logits[i])
			at--;
		if (at == k)
			continue;
		n += n < k;
		memmove(best + at + 1, best + at, sizeof *best * (size_t)(n - at - 1));
		best[at] = i;
	}
	return n;
}

bool tdm_scored_fill(struct tdm_run *run, struct tdm_session *session, int top, const float *logits, int32_t token,
                     struct tdm_scored *out) {
	int32_t best[TDM_TOP_LOGPROBS];
	*out = (struct tdm_scored){.logprob = NAN};
	out->len = session->ops->piece(session, token, &out->text);
	if (!logits)
		return true;
	out->logprob = tdm_log_softmax_at(logits, session->n_vocab, token);
	if (top <= 0)
		return true;
	int k = best_tokens(logits, session->n_vocab, top < TDM_TOP_LOGPROBS ? top : TDM_TOP_LOGPROBS, best);
	struct tdm_alternative *list = tdm_arena_array(run->arena, (size_t)k, sizeof *list);
	for (int i = 0; list && i < k; i++) {
		list[i].len = session->ops->piece(session, best[i], &list[i].text);
		list[i].logprob = tdm_log_softmax_at(logits, session->n_vocab, best[i]);
	}
	out->alternatives = list;
	out->n_alternatives = k;
	return list != NULL;
}

static int hold(struct tdm_writer *w, int32_t token, const float *logits, const char *author) {
	struct held h = {.token = token, .author = author ? author : w->author, .drafter = w->drafter};
	if (!tdm_scored_fill(w->run, w->session, w->request->logprobs ? w->request->top_logprobs : 0, logits, token,
	                     &h.scored))
		return no_memory(w);
	if (logits) {
		w->sum_logprob += (double)h.scored.logprob;
		w->n_logprobs++;
	}
	w->n_tokens++;
	size_t n = h.scored.len;
	if (n == 0)
		return TDM_OK;
	char *text = grow(w->run->arena, w->text, w->n_text, &w->text_cap, w->n_text + n, 1);
	struct held *held = grow(w->run->arena, w->held, w->n_held, &w->held_cap, w->n_held + 1, sizeof *held);
	if (!text || !held)
		return no_memory(w);
	w->text = text;
	w->held = held;
	memcpy(text + w->n_text, h.scored.text, n);
	h.end = w->n_text += n;
	held[w->n_held++] = h;
	return TDM_OK;
}

// --- what leaves

static int put_valid(struct tdm_writer *w, struct tdm_event *event) {
	if (event->len == 0)
		return TDM_OK;
	if (!tdm_utf8_valid(event->text, event->len)) {
		char *valid = tdm_arena_alloc(w->run->arena, 3 * event->len);
		size_t n = 0;
		uint32_t c;
		if (!valid)
			return no_memory(w);
		for (size_t at = 0; at < event->len;) {
			at += tdm_utf8_next(event->text + at, event->len - at, &c);
			n += tdm_utf8_put(valid + n, c);
		}
		event->text = valid;
		event->len = n;
	}
	return w->sink->put(w->sink, event);
}

// How many of the first held tokens leave together: those up to the first end of a character. 0: none is complete.
static size_t group_size(const struct tdm_writer *w, size_t limit, bool all) {
	for (size_t i = 0; i < w->n_held; i++) {
		size_t end = w->held[i].end;
		if (end >= limit && all)
			return i + 1;
		if (end > limit)
			return 0;
		if (tdm_utf8_partial(w->text, end) == 0)
			return i + 1;
	}
	return 0;
}

static void drop(struct tdm_writer *w, size_t n_held) {
	size_t bytes = w->held[n_held - 1].end;
	w->n_text -= bytes;
	w->n_held -= n_held;
	memmove(w->text, w->text + bytes, w->n_text);
	memmove(w->held, w->held + n_held, w->n_held * sizeof *w->held);
	for (size_t i = 0; i < w->n_held; i++)
		w->held[i].end -= bytes;
}

// The tokens of an event that its text does not tell apart.
static int tell_parts(struct tdm_writer *w, size_t n, struct tdm_event *event) {
	bool is_plain = n == 1 && (event->token < 0 || tdm_utf8_valid(event->text, event->len));
	if (is_plain || !w->request->logprobs)
		return TDM_OK;
	struct tdm_scored *parts = tdm_arena_array(w->run->arena, n, sizeof *parts);
	if (!parts)
		return no_memory(w);
	for (size_t i = 0; i < n; i++)
		parts[i] = w->held[i].scored;
	event->parts = parts;
	event->n_parts = (int)n;
	return TDM_OK;
}

// Sends the tokens inside text[0..limit); all: also a token or a character that is cut there.
static int send(struct tdm_writer *w, size_t limit, bool all) {
	size_t n;
	while (limit > 0 && (n = group_size(w, limit, all))) {
		const struct held *last = &w->held[n - 1];
		size_t end = last->end;
		struct tdm_event event = {.text = w->text, .len = end < limit ? end : limit, .author = last->author};
		event.drafter = last->drafter;
		event.token = n == 1 && end <= limit ? last->token : -1;
		for (size_t i = 0; i < n; i++)
			event.logprob += w->held[i].scored.logprob;
		if (n == 1) {
			event.alternatives = last->scored.alternatives;
			event.n_alternatives = last->scored.n_alternatives;
		}
		int status = tell_parts(w, n, &event);
		if (!status)
			status = put_valid(w, &event);
		if (status)
			return status;
		drop(w, n);
		limit -= end < limit ? end : limit;
	}
	return TDM_OK;
}

static int end_with(struct tdm_writer *w, enum tdm_finish finish) {
	w->ended = true;
	w->finish = finish;
	return TDM_SINK_ENOUGH;
}

// Nothing that is held will be sent.
static int end_and_forget(struct tdm_writer *w, enum tdm_finish finish) {
	w->n_text = w->n_held = 0;
	return end_with(w, finish);
}

// Sends what is safe; final: everything up to a stop string.
static int send_safe(struct tdm_writer *w, bool final) {
	size_t safe;
	const char *found = tdm_stop_find(w->request->stop, w->request->n_stop, w->text, w->n_text, final, &safe);
	int status = send(w, safe, found || final);
	w->stop = found;
	if (status < 0)
		return status;
	return found || status ? end_and_forget(w, TDM_FINISH_STOP) : TDM_OK;
}

void tdm_writer_drafter(struct tdm_writer *w, const char *drafter) {
	w->drafter = drafter;
}

static int tell_end(struct tdm_writer *w, int32_t token, const float *logits) {
	struct tdm_scored *end = w->request->logprobs && logits ? tdm_arena_alloc(w->run->arena, sizeof *end) : NULL;
	if (end && tdm_scored_fill(w->run, w->session, w->request->top_logprobs, logits, token, end))
		w->end = end;
	return end_with(w, TDM_FINISH_STOP);
}

int tdm_writer_token(struct tdm_writer *w, int32_t token, const float *logits, const char *author) {
	if (w->ended)
		return TDM_SINK_ENOUGH;
	if (w->session->ops->is_end(w->session, token))
		return tell_end(w, token, logits);
	int status = hold(w, token, logits, author);
	if (!status)
		status = send_safe(w, false);
	if (!status && w->request->max_tokens > 0 && w->n_tokens >= w->request->max_tokens)
		status = end_with(w, TDM_FINISH_LENGTH);
	return status;
}

int tdm_writer_end(struct tdm_writer *w, struct tdm_result *result) {
	int status = send_safe(w, true);
	result->finish = w->finish;
	result->stop = w->finish == TDM_FINISH_STOP ? w->stop : NULL;
	result->completion_tokens = w->n_tokens;
	result->prompt_tokens = w->session->prompt_tokens;
	result->cached_tokens = w->session->cached_tokens;
	result->mean_logprob = w->n_logprobs ? w->sum_logprob / (double)w->n_logprobs : (double)NAN;
	result->served = w->author;
	result->end = w->end;
	return status < 0 ? status : TDM_OK;
}
