// tools: lets a model that knows text alone call tools: a file in this process, or an upstream without tool calls.
//
// Tools go in as words, and calls come out of words (toolwords.h). While the answer streams, only what may be the
// beginning of a call is held back. A demanded call (tool_choice required, or one by name) is a form where the model
// can keep to forms, so that it cannot fail; what is no call of a given tool goes out as the words that it is.
#include "models/collect.h"
#include "models/sources.h"
#include "models/policies/toolwords.h"
#include <string.h>

#define ANSWER_LIMIT_BYTES ((size_t)16 << 20)

struct tools {
	struct tdm_model model;
	struct tdm_model *inner;
};

struct held {
	struct tdm_event event;
	struct held *next;
};

struct listener {
	struct tdm_sink sink;
	struct tdm_run *run;
	const struct tdm_toolbox *tools;
	const char *author;
	bool is_form, is_inside; // the whole answer is a call; between the marks of one
	struct tdm_bytes text;   // of the held events, or of the call
	struct held *held, **last;
	int n_calls;
};

static bool is_space(const char *text, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (!strchr(" \t\r\n", text[i]) || !text[i])
			return false;
	return true;
}

static void drop_held(struct listener *l) {
	l->held = NULL;
	l->last = &l->held;
	tdm_bytes_clear(&l->text);
}

// The held events as they came. White space between calls belongs to the calls.
static int put_held(struct listener *l) {
	int status = TDM_OK;
	if (!l->n_calls || !is_space(l->text.data ? l->text.data : "", l->text.len))
		for (struct held *h = l->held; h && status == TDM_OK; h = h->next)
			status = l->sink.next->put(l->sink.next, &h->event);
	drop_held(l);
	return status;
}

static int put_words(struct listener *l, const char *text, size_t n) {
	return l->n_calls && is_space(text, n) ? TDM_OK : tdm_put_text(l->sink.next, l->author, text, n);
}

static int put_call(struct listener *l, const struct tdm_call_read *call) {
	char *id = tdm_arena_alloc(l->run->arena, TDM_ID_BYTES);
	struct tdm_event e = {.piece = TDM_PIECE_CALL,
	                      .text = call->name,
	                      .len = strlen(call->name),
	                      .call_id = id,
	                      .author = l->author,
	                      .token = -1,
	                      .logprob = NAN};
	if (!id)
		return tdm_fail(&l->run->error, TDM_ENOMEM, "out of memory for a call");
	tdm_make_id(id, "call_");
	l->n_calls++;
	int status = l->sink.next->put(l->sink.next, &e);
	if (status)
		return status;
	e.piece = TDM_PIECE_ARGUMENTS;
	e.text = call->arguments;
	e.len = call->len;
	e.call_id = NULL;
	return l->sink.next->put(l->sink.next, &e);
}

// The words between two marks, or of a whole answer that is a call.
static int end_call(struct listener *l, const char *text, size_t n) {
	struct tdm_call_read call;
	bool is_one_more = l->tools->one_call && l->n_calls;
	if (is_one_more)
		return TDM_SINK_ENOUGH;
	if (tdm_toolwords_read(l->run, l->tools, text, n, &call))
		return put_call(l, &call);
	int status = l->is_form ? TDM_OK : put_words(l, TDM_CALL_OPENS, strlen(TDM_CALL_OPENS));
	if (!status)
		status = put_words(l, text, n);
	return status || l->is_form ? status : put_words(l, TDM_CALL_CLOSES, strlen(TDM_CALL_CLOSES));
}

// Bytes at the end of the text that may begin a mark.
static size_t begun(const struct tdm_bytes *text) {
	size_t n = strlen(TDM_CALL_OPENS) - 1;
	for (n = n < text->len ? n : text->len; n; n--)
		if (!memcmp(text->data + text->len - n, TDM_CALL_OPENS, n))
			return n;
	return 0;
}

static int look(struct listener *l);

static int look_inside(struct listener *l) {
	const char *end = l->text.data ? strstr(l->text.data, TDM_CALL_CLOSES) : NULL;
	if (!end)
		return TDM_OK;
	size_t n = (size_t)(end - l->text.data);
	int status = end_call(l, l->text.data, n);
	tdm_bytes_drop(&l->text, n + strlen(TDM_CALL_CLOSES));
	l->is_inside = false;
	return status;
}

// The mark that opens a call is in the held text: what is before it are words.
static int open_call(struct listener *l, size_t at) {
	int status = put_words(l, l->text.data, at);
	l->held = NULL;
	l->last = &l->held;
	tdm_bytes_drop(&l->text, at + strlen(TDM_CALL_OPENS));
	l->is_inside = true;
	return status;
}

// What follows a call in the same event has no event of its own.
static int keep_rest(struct listener *l) {
	struct held *h = tdm_arena_alloc(l->run->arena, sizeof *h);
	const char *text = tdm_arena_copy(l->run->arena, l->text.data ? l->text.data : "", l->text.len);
	if (!h || !text)
		return tdm_fail(&l->run->error, TDM_ENOMEM, "out of memory for an answer");
	*h = (struct held){.event = {.text = text, .len = l->text.len, .author = l->author, .token = -1, .logprob = NAN}};
	l->held = h;
	l->last = &h->next;
	return TDM_OK;
}

static int look_outside(struct listener *l) {
	const char *mark = l->text.data ? strstr(l->text.data, TDM_CALL_OPENS) : NULL;
	if (mark)
		return open_call(l, (size_t)(mark - l->text.data));
	if (begun(&l->text) || (l->n_calls && is_space(l->text.data ? l->text.data : "", l->text.len)))
		return TDM_OK;
	return put_held(l);
}

static int look(struct listener *l) {
	for (;;) {
		bool was_inside = l->is_inside;
		int status = was_inside ? look_inside(l) : look_outside(l);
		if (status || l->is_inside == was_inside)
			return status;
		if (!l->is_inside && l->text.len && (status = keep_rest(l)))
			return status;
	}
}

static int put(struct tdm_sink *sink, const struct tdm_event *e) {
	struct listener *l = (struct listener *)sink;
	l->author = e->author;
	if (e->piece != TDM_PIECE_TEXT) {
		int status = l->is_inside || l->is_form ? TDM_OK : put_held(l);
		return status ? status : sink->next->put(sink->next, e);
	}
	if (!l->is_form && !l->is_inside) {
		struct held *h = tdm_arena_alloc(l->run->arena, sizeof *h);
		if (!h || !tdm_event_copy(l->run->arena, e, &h->event))
			return tdm_fail(&l->run->error, TDM_ENOMEM, "out of memory for an answer");
		h->next = NULL;
		*l->last = h;
		l->last = &h->next;
	}
	tdm_bytes_add(&l->text, e->text, e->len);
	if (l->text.failed)
		return tdm_fail(&l->run->error, TDM_ETOOLARGE, "a tool call is longer than %zu bytes", ANSWER_LIMIT_BYTES);
	return l->is_form ? TDM_OK : look(l);
}

// What is left when the answer is over: words, or a call without its last mark, which is whole or is words.
static int end(struct listener *l, const struct tdm_result *result) {
	struct tdm_call_read call;
	if (!l->is_form && !l->is_inside)
		return put_held(l);
	if (result->finish != TDM_FINISH_LENGTH && tdm_toolwords_read(l->run, l->tools, l->text.data, l->text.len, &call))
		return put_call(l, &call);
	int status = l->is_inside ? put_words(l, TDM_CALL_OPENS, strlen(TDM_CALL_OPENS)) : TDM_OK;
	return status ? status : put_words(l, l->text.data ? l->text.data : "", l->text.len);
}

static int check(struct tdm_run *run, const struct tools *t, const struct tdm_request *request) {
	if (request->form && tdm_wants_tools(request))
		return tdm_fail_param(&run->error, TDM_ECAPABILITY, TDM_FORM_FIELD,
		                      "model %s can keep an answer to a form or call tools, not both: %s knows text alone",
		                      t->model.name, t->inner->name);
	return TDM_OK;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct tools *t = (const struct tools *)m;
	struct tdm_request words;
	bool can_form = t->inner->can & TDM_CAN_FORM;
	int status = check(run, t, request);
	if (!status)
		status = tdm_toolwords_request(run, request, can_form, &words);
	if (status || !tdm_wants_tools(request))
		return status ? status : tdm_generate(t->inner, run, &words, sink, result);
	struct listener l = {.sink = {put, sink},
	                     .run = run,
	                     .tools = &request->tools,
	                     .author = t->inner->name,
	                     .is_form = can_form && tdm_toolwords_demands(request)};
	l.last = &l.held;
	tdm_bytes_init(&l.text, ANSWER_LIMIT_BYTES);
	status = tdm_generate(t->inner, run, &words, &l.sink, result);
	if (!status)
		status = end(&l, result);
	if (l.n_calls && result->finish == TDM_FINISH_STOP)
		result->finish = TDM_FINISH_CALLS;
	tdm_bytes_release(&l.text);
	return status == TDM_SINK_ENOUGH ? TDM_OK : status;
}

static int count(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, int64_t *n) {
	const struct tools *t = (const struct tools *)m;
	struct tdm_request words;
	bool is_estimate;
	int status = tdm_toolwords_request(run, request, false, &words);
	return status ? status : tdm_count_prompt(t->inner, run, &words, n, &is_estimate);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate, .count = count};
	struct tdm_model *inner = tdm_build_role(b, "inner");
	unsigned passed = TDM_CAN_LOGPROBS | TDM_CAN_FORM;
	struct tools *t = tdm_build_model(b, sizeof *t, &ops, TDM_CAN_TEXT | TDM_CAN_TOOLS | (inner->can & passed));
	if (!t)
		return TDM_ENOMEM;
	t->inner = inner;
	*out = &t->model;
	return TDM_OK;
}

static const struct tdm_role roles[] = {{"inner", TDM_CAN_TEXT, 1, 1, "the model that knows text alone"}};

const struct tdm_kind tdm_kind_tools = {
    .name = "tools",
    .summary = "lets a model that knows text alone call tools, in words that many were trained on",
    .family = TDM_POLICY,
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .create = create,
};
