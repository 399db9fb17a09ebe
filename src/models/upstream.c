// Upstream: chunks of a chat completion to events. Every repair of api.md's table is one function here; a new shape of
// error is a line in read_error or error_class.
#include "models/upstream.h"
#include "base/text.h"
#include "base/value.h"
#include "models/sources.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BODY_LIMIT_BYTES ((size_t)64 << 10)
#define EVENT_ARENA_BYTES ((size_t)64 << 20)
#define MESSAGE_LIMIT_BYTES 300
#define N_CHOICES_LIMIT 128

static int on_event(void *arg, const char *data, size_t n);

void tdm_upstream_init(struct tdm_upstream *u, const char *author, struct tdm_run *run,
                       const struct tdm_request *request, struct tdm_sink *sink, struct tdm_result *result) {
	*u = (struct tdm_upstream){.author = author, .run = run, .sink = sink, .result = result};
	u->wants_logprobs = request->logprobs;
	tdm_sse_init(&u->sse, on_event, u);
	tdm_bytes_init(&u->body, BODY_LIMIT_BYTES);
	tdm_calls_init(&u->calls, run, sink, author);
}

void tdm_upstream_release(struct tdm_upstream *u) {
	tdm_sse_release(&u->sse);
	tdm_bytes_release(&u->body);
	tdm_calls_release(&u->calls);
}

// --- failures

struct fault { // what an error body says
	const char *message, *code, *type;
	int http; // a status inside the body; 0 = none
};

static bool read_error(const struct tdm_value *body, struct fault *f) {
	const struct tdm_value *error = tdm_get(body, "error");
	const char *object = tdm_get_string(body, "object");
	*f = (struct fault){0};
	if (!error && object && !strcmp(object, "error"))
		error = body; // {"object":"error","message":...}
	if (!error)
		return false;
	if (error->type == TDM_STRING) {
		f->message = error->text;
		return true;
	}
	f->message = tdm_get_string(error, "message");
	f->code = tdm_get_string(error, "code");
	f->type = tdm_get_string(error, "type");
	f->http = (int)tdm_get_number(error, "code", tdm_get_number(error, "status", 0));
	return true;
}

static bool says(const char *text, const char *const *words, size_t n) {
	for (size_t i = 0; text && i < n; i++)
		if (strcasestr(text, words[i]))
			return true;
	return false;
}

static bool is_about_context(const struct fault *f) {
	static const char *const words[] = {"context_length", "context length",  "maximum context",   "context window",
	                                    "context size",   "too many tokens", "prompt is too long"};
	size_t n = sizeof words / sizeof words[0];
	return says(f->code, words, n) || says(f->message, words, n) || says(f->type, words, n);
}

static int class_of_http(int http) {
	if (http == 401 || http == 403)
		return TDM_EUPAUTH;
	if (http == 408 || http == 504)
		return TDM_EUPTIME;
	if (http == 429)
		return TDM_ERATE;
	return http >= 400 && http < 500 ? TDM_EREJECTED : TDM_EUPSTREAM;
}

static int class_of(const struct fault *f, int http) {
	static const char *const auth[] = {"authentication", "invalid_api_key", "permission"},
	                         *const rate[] = {"rate_limit"}, *const request[] = {"invalid_request"};
	int status = class_of_http(http != 200 ? http : f->http);
	if ((status == TDM_EREJECTED || http == 200) && is_about_context(f))
		return TDM_ECONTEXT;
	if (http != 200 || f->http >= 400)
		return status;
	if (says(f->type, auth, 3) || says(f->code, auth, 3))
		return TDM_EUPAUTH;
	if (says(f->type, rate, 1) || says(f->code, rate, 1))
		return TDM_ERATE;
	return says(f->type, request, 1) ? TDM_EREJECTED : TDM_EUPSTREAM;
}

// Only a refused request shows the upstream's words: those of other failures may quote a key or an address.
static int fail_with(struct tdm_upstream *u, const struct fault *f, int http) {
	int status = class_of(f, http);
	size_t n = 0, step;
	uint32_t c;
	const char *message = status == TDM_EREJECTED || status == TDM_ECONTEXT ? f->message : NULL;
	for (size_t length = message ? strlen(message) : 0;
	     n < length && (step = tdm_utf8_next(message + n, length - n, &c)) + n <= MESSAGE_LIMIT_BYTES;)
		n += step;
	if (http != 200)
		return tdm_fail(&u->run->error, status, "model %s: the upstream answered HTTP %d%s%.*s", u->author, http,
		                n ? ": " : "", (int)n, n ? message : "");
	return tdm_fail(&u->run->error, status, "model %s: the upstream answered with an error%s%.*s", u->author,
	                n ? ": " : "", (int)n, n ? message : "");
}

static int bad_body(struct tdm_upstream *u, const char *what) {
	// A last piece that cannot be read was cut off, not wrong.
	if (u->ending)
		return tdm_fail(&u->run->error, TDM_ETRUNCATED, "model %s: the upstream's stream ended inside an event",
		                u->author);
	return tdm_fail(&u->run->error, TDM_EBADBODY, "model %s: the upstream sent %s", u->author, what);
}

// --- one chunk

static int put_event(struct tdm_upstream *u, const struct tdm_value *text, struct tdm_event event) {
	event.text = text->text;
	event.len = text->len;
	event.author = u->author;
	event.token = -1;
	u->n_answer_bytes += text->len;
	return text->len ? u->sink->put(u->sink, &event) : TDM_OK;
}

// Words that come inside a call follow it; thoughts that do are dropped.
static int put(struct tdm_upstream *u, enum tdm_piece piece, const struct tdm_value *text) {
	if (tdm_calls_hold(&u->calls, text->text, piece == TDM_PIECE_TEXT ? text->len : 0))
		return TDM_OK;
	return put_event(u, text, (struct tdm_event){.piece = piece, .logprob = NAN});
}

// Do the tokens of the logprobs, joined, make the content?
static bool tokens_make(const struct tdm_value *entries, const struct tdm_value *content) {
	size_t at = 0;
	for (size_t i = 0; i < entries->n; i++) {
		const struct tdm_value *token = tdm_get(&entries->items[i], "token");
		if (!token || token->type != TDM_STRING || token->len > content->len - at ||
		    memcmp(content->text + at, token->text, token->len) != 0)
			return false;
		at += token->len;
	}
	return at == content->len;
}

static int read_alternatives(struct tdm_arena *arena, const struct tdm_value *entry, struct tdm_alternative **out) {
	const struct tdm_value *top = tdm_get(entry, "top_logprobs");
	int n = 0;
	*out = NULL;
	if (!top || top->type != TDM_LIST || !(*out = tdm_arena_array(arena, top->n, sizeof **out)))
		return 0;
	for (size_t i = 0; i < top->n; i++) {
		const struct tdm_value *token = tdm_get(&top->items[i], "token");
		if (token && token->type == TDM_STRING)
			(*out)[n++] = (struct tdm_alternative){token->text, token->len,
			                                       (float)tdm_get_number(&top->items[i], "logprob", (double)NAN)};
	}
	return n;
}

// A chunk with logprobs: one event per token where the tokens are whole characters, else one for all of them.
static int put_tokens(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *content,
                      const struct tdm_value *entries) {
	double sum = 0;
	struct tdm_alternative *alternatives;
	for (size_t i = 0; i < entries->n; i++)
		sum += tdm_get_number(&entries->items[i], "logprob", (double)NAN);
	u->sum_logprob += sum;
	u->n_logprobs += (int64_t)entries->n;
	if (!tokens_make(entries, content))
		return put_event(u, content, (struct tdm_event){.logprob = (float)sum});
	int status = TDM_OK;
	for (size_t i = 0; i < entries->n && !status; i++) {
		const struct tdm_value *entry = &entries->items[i];
		struct tdm_event event = {.logprob = (float)tdm_get_number(entry, "logprob", (double)NAN)};
		event.n_alternatives = read_alternatives(arena, entry, &alternatives);
		event.alternatives = alternatives;
		status = put_event(u, tdm_get(entry, "token"), event);
	}
	return status;
}

static int read_content(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *choice) {
	const struct tdm_value *content = tdm_get(tdm_get(choice, "delta"), "content");
	const struct tdm_value *entries = tdm_get(tdm_get(choice, "logprobs"), "content");
	if (!content || content->type != TDM_STRING || content->len == 0)
		return TDM_OK;
	if (u->wants_logprobs && entries && entries->type == TDM_LIST && entries->n && !u->calls.n)
		return put_tokens(u, arena, content, entries);
	return put(u, TDM_PIECE_TEXT, content);
}

static int read_thought(struct tdm_upstream *u, const struct tdm_value *delta) {
	static const char *const names[] = {"reasoning_content", "reasoning", "thinking"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct tdm_value *thought = tdm_get(delta, names[i]);
		if (thought && thought->type == TDM_STRING && thought->len)
			return put(u, TDM_PIECE_THOUGHT, thought);
	}
	return TDM_OK;
}

static int judge_calls(struct tdm_upstream *u, int status, const char *why) {
	return status == TDM_EBADBODY ? bad_body(u, why) : status;
}

// The calls of a delta; an older shape has one, without an id.
static int read_calls(struct tdm_upstream *u, const struct tdm_value *delta) {
	const struct tdm_value *calls = tdm_get(delta, "tool_calls"), *old = tdm_get(delta, "function_call");
	const char *why = "", *key = "function";
	struct tdm_value function = old ? *old : (struct tdm_value){0};
	struct tdm_value call = {.type = TDM_MAP, .n = 1, .items = &function, .keys = &key};
	struct tdm_value list = {.type = TDM_LIST, .n = 1, .items = &call};
	if (!calls && !old)
		return TDM_OK;
	int status = tdm_calls_put(&u->calls, calls ? calls : &list, &why);
	return judge_calls(u, status, why);
}

static int read_delta(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *choice) {
	const struct tdm_value *delta = tdm_get(choice, "delta");
	int status = read_thought(u, delta);
	if (!status)
		status = read_content(u, arena, choice);
	return status ? status : read_calls(u, delta);
}

static void read_finish(struct tdm_upstream *u, const char *reason) {
	static const struct {
		const char *reason;
		enum tdm_finish finish;
	} known[] = {
	    {"stop", TDM_FINISH_STOP},       {"length", TDM_FINISH_LENGTH},      {"content_filter", TDM_FINISH_FILTER},
	    {"tool_calls", TDM_FINISH_STOP}, {"function_call", TDM_FINISH_STOP}, {"eos", TDM_FINISH_STOP},
	    {"end_turn", TDM_FINISH_STOP}};
	u->finished = true;
	u->result->finish = TDM_FINISH_STOP;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (!strcmp(known[i].reason, reason)) {
			u->result->finish = known[i].finish;
			return;
		}
	tdm_record_warn(u->run->record, "parameter_ignored", "finish_reason",
	                "the upstream gave an unknown reason for the end; it counts as stop");
}

// Calls make the end: whatever the upstream calls it, somebody has to run them.
static int end_answer(struct tdm_upstream *u, const char *reason) {
	const char *why = "";
	read_finish(u, reason);
	if (u->calls.n && u->result->finish == TDM_FINISH_STOP)
		u->result->finish = TDM_FINISH_CALLS;
	u->n_answer_bytes += u->calls.n_bytes;
	bool cut = u->result->finish == TDM_FINISH_LENGTH || u->result->finish == TDM_FINISH_FILTER;
	int status = tdm_calls_end(&u->calls, cut, &why);
	return judge_calls(u, status, why);
}

static void read_usage(struct tdm_upstream *u, const struct tdm_value *usage) {
	double prompt = tdm_get_number(usage, "prompt_tokens", -1);
	double completion = tdm_get_number(usage, "completion_tokens", -1);
	if (prompt < 0 || completion < 0 || prompt > 1e12 || completion > 1e12)
		return;
	u->has_usage = true;
	u->result->prompt_tokens = (int64_t)prompt;
	u->result->completion_tokens = (int64_t)completion;
	double cached = tdm_get_number(tdm_get(usage, "prompt_tokens_details"), "cached_tokens", 0);
	u->result->cached_tokens = cached >= 0 && cached <= prompt ? (int64_t)cached : 0;
}

static int read_choices(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *choices) {
	if (choices->type != TDM_LIST || choices->n > N_CHOICES_LIMIT)
		return bad_body(u, "choices that are no list of at most 128");
	for (size_t i = 0; i < choices->n; i++) {
		const struct tdm_value *choice = &choices->items[i];
		if (tdm_get_number(choice, "index", 0) != 0 || u->finished)
			continue; // one choice was asked for, and nothing belongs to it after its end
		int status = read_delta(u, arena, choice);
		if (status)
			return status;
		if (tdm_get_string(choice, "finish_reason"))
			status = end_answer(u, tdm_get_string(choice, "finish_reason"));
		if (status)
			return status;
	}
	return TDM_OK;
}

static int read_chunk(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *chunk) {
	struct fault fault;
	if (chunk->type != TDM_MAP)
		return bad_body(u, "an event that is no JSON object");
	if (read_error(chunk, &fault))
		return fail_with(u, &fault, 200);
	if (!u->upstream_model && tdm_get_string(chunk, "model"))
		u->upstream_model = tdm_arena_string(u->run->arena, tdm_get_string(chunk, "model"));
	if (tdm_get(chunk, "usage"))
		read_usage(u, tdm_get(chunk, "usage"));
	return tdm_get(chunk, "choices") ? read_choices(u, arena, tdm_get(chunk, "choices")) : TDM_OK;
}

static int on_event(void *arg, const char *data, size_t n) {
	struct tdm_upstream *u = arg;
	struct tdm_arena arena;
	struct tdm_value *chunk;
	if (u->done || (n == 0))
		return TDM_OK;
	if (n == 6 && !memcmp(data, "[DONE]", 6)) {
		u->done = true;
		return TDM_OK;
	}
	tdm_arena_init(&arena, EVENT_ARENA_BYTES);
	int status = tdm_json_parse(&arena, data, n, &chunk, NULL);
	status = status ? bad_body(u, "an event that is not JSON") : read_chunk(u, &arena, chunk);
	tdm_arena_release(&arena);
	return status;
}

// --- the body

// A stream begins with a field, a comment or a byte order mark; JSON, HTML and gzip begin otherwise.
static void find_shape(struct tdm_upstream *u, int http, const char *bytes, size_t n) {
	if (http != 200)
		u->shape = TDM_BODY_OTHER;
	for (size_t i = 0; i < n && u->shape == TDM_BODY_UNKNOWN; i++) {
		char c = bytes[i];
		if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
			continue;
		bool field = (c >= 'a' && c <= 'z') || c == ':' || (unsigned char)c == 0xEF;
		u->shape = field ? TDM_BODY_STREAM : TDM_BODY_OTHER;
	}
}

// The reader of lines has no sentence of its own.
static int line_limit(struct tdm_upstream *u, int status) {
	return status == TDM_EBADBODY && u->run->error.status == TDM_OK ? bad_body(u, "a line that is too long") : status;
}

int tdm_upstream_feed(struct tdm_upstream *u, int http, const char *bytes, size_t n) {
	if (u->status)
		return u->status;
	if (u->shape == TDM_BODY_UNKNOWN)
		find_shape(u, http, bytes, n);
	if (u->shape == TDM_BODY_OTHER) { // longer than any error needs to be: the rest is not read
		size_t room = BODY_LIMIT_BYTES - 1 - u->body.len;
		tdm_bytes_add(&u->body, bytes, n < room ? n : room);
		return TDM_OK;
	}
	u->status = line_limit(u, tdm_sse_feed(&u->sse, bytes, n));
	return u->status;
}

// What is no stream is an error with a class, or no answer at all.
static int end_other(struct tdm_upstream *u, int http) {
	struct tdm_arena arena;
	struct tdm_value *body = NULL;
	struct fault fault = {0};
	bool known = false;
	tdm_arena_init(&arena, EVENT_ARENA_BYTES);
	if (u->body.len && tdm_json_parse(&arena, u->body.data, u->body.len, &body, NULL) == TDM_OK)
		known = read_error(body, &fault);
	if (body && !known && http != 200)
		fault.message =
		    tdm_get_string(body, "message") ? tdm_get_string(body, "message") : tdm_get_string(body, "detail");
	int status = known || http != 200 ? fail_with(u, &fault, http) : bad_body(u, "an answer that is no event stream");
	tdm_arena_release(&arena);
	return status;
}

static int end_stream(struct tdm_upstream *u) {
	if (!u->finished) { // after the end nothing is looked at any more
		u->ending = true;
		u->status = line_limit(u, tdm_sse_end(&u->sse));
		if (u->status < 0)
			return u->status;
	}
	if (u->finished || u->status == TDM_SINK_ENOUGH)
		return TDM_OK;
	u->ending = false;
	if (u->sse.n_events == 0 && u->shape == TDM_BODY_STREAM)
		return bad_body(u, "an answer without events");
	return tdm_fail(&u->run->error, TDM_ETRUNCATED, "model %s: the upstream's stream ended without a finish_reason",
	                u->author);
}

void tdm_upstream_estimate(struct tdm_upstream *u, const struct tdm_request *request) {
	if (u->n_logprobs)
		u->result->mean_logprob = u->sum_logprob / (double)u->n_logprobs;
	if (u->has_usage)
		return;
	u->result->prompt_tokens = tdm_estimate_tokens(tdm_request_bytes(request));
	u->result->completion_tokens = tdm_estimate_tokens(u->n_answer_bytes);
	u->result->estimated = true;
}

int tdm_upstream_end(struct tdm_upstream *u, int http, const struct tdm_request *request) {
	int status = u->status;
	if (status == TDM_OK)
		status = u->shape == TDM_BODY_OTHER || http != 200 ? end_other(u, http) : end_stream(u);
	tdm_upstream_estimate(u, request);
	if (status >= 0 && !u->has_usage)
		tdm_record_warn(u->run->record, "usage_estimated", NULL,
		                "the upstream did not count tokens; the counts are estimates");
	return status < 0 ? status : TDM_OK;
}
