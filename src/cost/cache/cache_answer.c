// Answer of a cache: numbers of eight bytes, texts with their length and a NUL; a zero byte ends the events and begins
// the result. Read with every bound checked: a shared store holds what others wrote. A change of the form: FORM.
#include "cost/cache/cache_answer.h"
#include <string.h>

#define FORM 1
#define NO_TEXT UINT32_MAX

static void put_number(struct tdm_bytes *out, int64_t number) {
	tdm_bytes_add(out, &number, sizeof number);
}

static void put_real(struct tdm_bytes *out, double number) {
	tdm_bytes_add(out, &number, sizeof number);
}

static void put_text(struct tdm_bytes *out, const char *text, size_t n) {
	uint32_t size = text ? (uint32_t)n : NO_TEXT;
	tdm_bytes_add(out, &size, sizeof size);
	if (!text)
		return;
	tdm_bytes_add(out, text, n);
	tdm_bytes_putc(out, 0);
}

static void put_string(struct tdm_bytes *out, const char *text) {
	put_text(out, text, text ? strlen(text) : 0);
}

void tdm_cache_write_event(struct tdm_bytes *out, const struct tdm_event *e) {
	tdm_bytes_putc(out, FORM);
	put_number(out, e->piece);
	put_text(out, e->text, e->len);
	put_string(out, e->call_id);
	put_string(out, e->author);
	put_number(out, e->token);
	put_real(out, (double)e->logprob);
	put_number(out, e->n_alternatives);
	for (int i = 0; i < e->n_alternatives; i++) {
		put_text(out, e->alternatives[i].text, e->alternatives[i].len);
		put_real(out, (double)e->alternatives[i].logprob);
	}
}

void tdm_cache_write_result(struct tdm_bytes *out, const struct tdm_result *r) {
	tdm_bytes_putc(out, 0);
	put_number(out, r->finish);
	put_number(out, r->prompt_tokens);
	put_number(out, r->completion_tokens);
	put_number(out, r->cached_tokens);
	put_number(out, r->reasoning_tokens);
	put_number(out, r->estimated);
	put_string(out, r->stop);
	put_string(out, r->served);
	put_real(out, r->mean_logprob);
}

// --- reading

struct reader {
	const char *at, *end;
	bool failed;
};

static void take(struct reader *r, void *out, size_t n) {
	if (r->failed || (size_t)(r->end - r->at) < n) {
		r->failed = true;
		memset(out, 0, n);
		return;
	}
	memcpy(out, r->at, n);
	r->at += n;
}

static int64_t take_number(struct reader *r) {
	int64_t number;
	take(r, &number, sizeof number);
	return number;
}

static double take_real(struct reader *r) {
	double number;
	take(r, &number, sizeof number);
	return number;
}

static const char *take_text(struct reader *r, size_t *n) {
	uint32_t size;
	take(r, &size, sizeof size);
	*n = 0;
	if (r->failed || size == NO_TEXT)
		return NULL;
	if ((size_t)(r->end - r->at) <= size || r->at[size]) {
		r->failed = true;
		return NULL;
	}
	const char *text = r->at;
	r->at += (size_t)size + 1;
	*n = size;
	return text;
}

static void take_event(struct reader *r, struct tdm_arena *arena, struct tdm_event *e) {
	size_t n;
	int64_t piece = take_number(r);
	e->piece = (enum tdm_piece)piece;
	e->text = take_text(r, &e->len);
	e->call_id = take_text(r, &n);
	e->author = take_text(r, &n);
	e->token = (int32_t)take_number(r);
	e->logprob = (float)take_real(r);
	int64_t n_alternatives = take_number(r);
	r->failed |= piece < 0 || piece > TDM_PIECE_ARGUMENTS || !e->text || n_alternatives < 0 || n_alternatives > 4096;
	if (r->failed || !n_alternatives)
		return;
	struct tdm_alternative *list = tdm_arena_array(arena, (size_t)n_alternatives, sizeof *list);
	r->failed |= !list;
	for (int64_t i = 0; !r->failed && i < n_alternatives; i++) {
		list[i].text = take_text(r, &list[i].len);
		list[i].logprob = (float)take_real(r);
		r->failed |= !list[i].text;
	}
	e->alternatives = list;
	e->n_alternatives = (int)n_alternatives;
}

static void take_result(struct reader *r, const struct tdm_request *request, struct tdm_result *out) {
	size_t n;
	int64_t finish = take_number(r);
	*out = (struct tdm_result){.finish = (enum tdm_finish)finish};
	out->prompt_tokens = take_number(r);
	out->completion_tokens = take_number(r);
	out->cached_tokens = take_number(r);
	out->reasoning_tokens = take_number(r);
	out->estimated = take_number(r) != 0;
	const char *stop = take_text(r, &n);
	out->served = take_text(r, &n);
	out->mean_logprob = take_real(r);
	for (size_t i = 0; stop && i < request->n_stop; i++)
		if (!strcmp(stop, request->stop[i]))
			out->stop = request->stop[i];
	r->failed |= finish < 0 || finish > TDM_FINISH_CALLS || r->at != r->end;
}

static bool next_event(struct reader *r, struct tdm_arena *arena, struct tdm_event *e) {
	char form = 0;
	*e = (struct tdm_event){.token = -1};
	take(r, &form, 1);
	r->failed |= form != 0 && form != FORM;
	if (r->failed || !form)
		return false;
	take_event(r, arena, e);
	return !r->failed;
}

// All of it is read once before anything is put: half an answer is none.
bool tdm_cache_replay(struct tdm_run *run, const struct tdm_request *request, const char *data, size_t n,
                      struct tdm_sink *sink, struct tdm_result *result, int *status) {
	struct tdm_event event;
	struct tdm_result whole;
	const char *copy = tdm_arena_copy(run->arena, data, n); // names and texts of the answer live as long as the request
	struct reader r = {copy, copy ? copy + n : NULL, !copy};
	while (next_event(&r, run->arena, &event))
		;
	if (!r.failed)
		take_result(&r, request, &whole);
	if (r.failed)
		return false;
	*result = whole;
	*status = TDM_OK;
	r = (struct reader){copy, copy + n, false};
	while (!*status && next_event(&r, run->arena, &event))
		*status = sink->put(sink, &event);
	if (*status == TDM_SINK_ENOUGH)
		*status = TDM_OK;
	return true;
}
