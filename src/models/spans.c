// Spans: kept in one array per request, under its lock. The rule it protects: who looks does not change what is seen;
// a request without room for more spans goes on without them.
#include "models/spans.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/random.h"
#include "models/kind.h"
#include <stdio.h>
#include <string.h>

void tdm_spans_init(struct tdm_spans *s) {
	memset(s, 0, sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	tdm_system_random(s->trace_id, sizeof s->trace_id);
	tdm_system_random(&s->first_id, sizeof s->first_id);
	s->flags = 1;
}

void tdm_spans_release(struct tdm_spans *s) {
	pthread_mutex_destroy(&s->lock);
}

static bool read_hex(const char *text, uint8_t *out, size_t n) {
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *high = strchr(digits, text[2 * i]), *low = strchr(digits, text[2 * i + 1]);
		out[i] = (uint8_t)((high - digits) << 4 | (low - digits));
		any |= out[i] != 0;
	}
	return any;
}

// 00-<32 digits>-<16 digits>-<2 digits>; later versions may go on after another dash.
static bool looks_right(const char *text) {
	static const char form[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
	for (size_t i = 0; form[i]; i++)
		if (form[i] == '-' ? text[i] != '-' : !text[i] || !strchr("0123456789abcdef", text[i]))
			return false;
	return !text[55] || (strncmp(text, "00", 2) != 0 && text[55] == '-');
}

bool tdm_spans_continue(struct tdm_spans *s, const char *text) {
	uint8_t trace[16], parent[8], flags;
	if (!text || !looks_right(text) || !strncmp(text, "ff", 2))
		return false;
	if (!read_hex(text + 3, trace, sizeof trace) || !read_hex(text + 36, parent, sizeof parent))
		return false;
	read_hex(text + 53, &flags, 1);
	memcpy(s->trace_id, trace, sizeof trace);
	memcpy(s->parent_id, parent, sizeof parent);
	s->flags = flags & 1;
	return true;
}

void tdm_span_id(const struct tdm_spans *s, int index, char out[17]) {
	uint64_t id = s->first_id + (uint64_t)(index + 1) * 0x9e3779b97f4a7c15u;
	snprintf(out, 17, "%016llx", (unsigned long long)(id ? id : 1));
}

void tdm_spans_header(const struct tdm_run *run, char out[80]) {
	char trace[33], span[17];
	tdm_hex(run->spans->trace_id, sizeof run->spans->trace_id, trace);
	tdm_span_id(run->spans, run->span, span);
	snprintf(out, 80, "traceparent: 00-%s-%s-%02x", trace, span, run->spans->flags);
}

// A new one inside the one that the run is in; -1: no room.
static int add(struct tdm_run *run, const struct tdm_model *m, int64_t started_us) {
	struct tdm_spans *s = run->spans;
	pthread_mutex_lock(&s->lock);
	int at = s->n < TDM_MOST_SPANS ? s->n++ : -1;
	s->n_lost += at < 0;
	pthread_mutex_unlock(&s->lock);
	if (at >= 0)
		s->items[at] = (struct tdm_span){.model = m, .parent = run->span, .started_us = started_us};
	return at;
}

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct tdm_span_watch *w = (struct tdm_span_watch *)sink;
	struct tdm_span *span = &w->run->spans->items[w->index];
	if (!span->n_pieces++)
		span->first_us = tdm_now_us();
	return sink->next->put(sink->next, event);
}

struct tdm_sink *tdm_span_begin(struct tdm_span_watch *w, struct tdm_run *run, const struct tdm_model *m,
                                const struct tdm_request *request, struct tdm_sink *sink) {
	*w = (struct tdm_span_watch){.sink = {put, sink}, .run = run, .index = -1};
	if (!run->spans)
		return sink;
	w->before = run->span;
	w->index = add(run, m, tdm_now_us());
	if (w->index < 0)
		return sink;
	struct tdm_span *span = &run->spans->items[w->index];
	span->is_text = true;
	span->max_tokens = request->max_tokens;
	span->temperature = request->temperature;
	span->top_p = request->top_p;
	span->top_k = request->top_k;
	span->seed = run->seed;
	span->has_seed = request->wants_seed;
	run->span = w->index;
	return &w->sink;
}

void tdm_span_end(struct tdm_span_watch *w, int status, const struct tdm_result *result) {
	if (w->index < 0)
		return;
	struct tdm_span *span = &w->run->spans->items[w->index];
	w->run->span = w->before;
	span->ended_us = tdm_now_us();
	span->finish = result->finish;
	span->error = status < 0 ? tdm_status_info(status)->code : NULL;
	if (span->has_usage || span->model->n_parts)
		return;
	span->prompt_tokens = result->prompt_tokens;
	span->completion_tokens = result->completion_tokens;
}

void tdm_span_called(struct tdm_run *run, const struct tdm_model *m, const struct tdm_call *call, int64_t started_us) {
	if (!run->spans)
		return;
	struct tdm_span *in = run->span >= 0 ? &run->spans->items[run->span] : NULL;
	bool is_own = in && in->model == m && !in->has_usage;
	int at = is_own ? run->span : add(run, m, started_us);
	if (at < 0)
		return;
	struct tdm_span *span = &run->spans->items[at];
	span->purpose = call->purpose;
	span->has_usage = true;
	span->prompt_tokens = call->prompt_tokens;
	span->completion_tokens = call->completion_tokens;
	span->cached_tokens = call->cached_tokens;
	span->reasoning_tokens = call->reasoning_tokens;
	span->ended_us = tdm_now_us();
	if (!is_own && !strcmp(call->status, "failed"))
		span->error = "failed";
}
