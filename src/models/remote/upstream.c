// Upstream: what all dialects have in common: the shape of the body, errors in any shape, words, calls and tokens on
// their way to the sink, the end and the counts. Every repair of api.md's table is one function here or in the file of
// the dialect; a new shape of error is a line in read_error or class_of.
#include "models/remote/upstream.h"
#include "base/log.h"
#include "base/text.h"
#include "models/remote/dialect.h"
#include "models/sources.h"
#include "models/stop.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BODY_LIMIT_BYTES ((size_t)64 << 10)
#define EVENT_ARENA_BYTES ((size_t)64 << 20)
#define MESSAGE_LIMIT_BYTES 300
#define HELD_LIMIT_BYTES ((size_t)1 << 20)

static int on_event(void *arg, const char *data, size_t n);

void tdm_upstream_init(struct tdm_upstream *u, const struct tdm_dialect *dialect, const char *author,
                       struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                       struct tdm_result *result) {
	*u = (struct tdm_upstream){.dialect = dialect, .author = author, .run = run, .sink = sink, .result = result};
	u->request = request;
	u->prompt_tokens = u->output_tokens = u->cached_tokens = u->thought_tokens = -1;
	tdm_sse_init(&u->sse, on_event, u);
	tdm_arena_init(&u->event, EVENT_ARENA_BYTES);
	tdm_bytes_init(&u->body, BODY_LIMIT_BYTES);
	tdm_bytes_init(&u->held, HELD_LIMIT_BYTES);
	tdm_calls_init(&u->calls, run, sink, author);
}

void tdm_upstream_release(struct tdm_upstream *u) {
	tdm_sse_release(&u->sse);
	tdm_arena_release(&u->event);
	tdm_bytes_release(&u->body);
	tdm_bytes_release(&u->held);
	tdm_calls_release(&u->calls);
}

// --- failures

struct fault { // what an error body says
	const char *message, *code, *type;
	int http; // a status inside the body; 0 = none
};

// An error as a text or as a map of its own.
static struct fault read_fault(const struct tdm_value *error) {
	struct fault f = {0};
	if (error->type == TDM_STRING)
		return (struct fault){.message = error->text};
	f.message = tdm_get_string(error, "message");
	f.code = tdm_get_string(error, "code");
	f.type = tdm_get_string(error, "type");
	f.http = (int)tdm_get_number(error, "code", tdm_get_number(error, "status", 0));
	return f;
}

static bool read_error(const struct tdm_value *body, struct fault *f) {
	const struct tdm_value *error = tdm_get(body, "error");
	const char *object = tdm_get_string(body, "object");
	*f = (struct fault){0};
	if (!error && object && !strcmp(object, "error"))
		error = body; // {"object":"error","message":...}
	if (error)
		*f = read_fault(error);
	return error != NULL;
}

static bool says(const char *text, const char *const *words, size_t n) {
	for (size_t i = 0; text && i < n; i++)
		if (strcasestr(text, words[i]))
			return true;
	return false;
}

static bool is_about_context(const struct fault *f) {
	static const char *const words[] = {"context_length", "context length",  "maximum context",    "context window",
	                                    "context size",   "too many tokens", "prompt is too long", "exceed_context"};
	size_t n = sizeof words / sizeof words[0];
	return says(f->code, words, n) || says(f->message, words, n) || says(f->type, words, n);
}

static int class_of_http(int http) {
	if (http == 401 || http == 402 || http == 403)
		return TDM_EUPAUTH;
	if (http == 408 || http == 504)
		return TDM_EUPTIME;
	if (http == 429)
		return TDM_ERATE;
	return http >= 400 && http < 500 ? TDM_EREJECTED : TDM_EUPSTREAM;
}

static int class_of(const struct fault *f, int http) {
	static const char *const auth[] = {"authentication", "invalid_api_key", "permission", "billing"},
	                         *const rate[] = {"rate_limit"}, *const request[] = {"invalid_request"};
	int status = class_of_http(http != 200 ? http : f->http);
	if ((status == TDM_EREJECTED || http == 200) && is_about_context(f))
		return TDM_ECONTEXT;
	if (http != 200 || f->http >= 400)
		return status;
	if (says(f->type, auth, 4) || says(f->code, auth, 4))
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
	u->run->error.upstream_http = http != 200 ? http : f->http;
	if (http != 200)
		return tdm_fail(&u->run->error, status, "model %s: the upstream answered HTTP %d%s%.*s", u->author, http,
		                n ? ": " : "", (int)n, n ? message : "");
	return tdm_fail(&u->run->error, status, "model %s: the upstream answered with an error%s%.*s", u->author,
	                n ? ": " : "", (int)n, n ? message : "");
}

int tdm_upstream_bad(struct tdm_upstream *u, const char *what) {
	// A last piece that cannot be read was cut off, not wrong.
	if (u->ending)
		return tdm_fail(&u->run->error, TDM_ETRUNCATED, "model %s: the upstream's stream ended inside an event",
		                u->author);
	return tdm_fail(&u->run->error, TDM_EBADBODY, "model %s: the upstream sent %s", u->author, what);
}

// --- what an event says

static int put_event(struct tdm_upstream *u, const char *text, size_t n, struct tdm_event event) {
	event.text = text;
	event.len = n;
	event.author = u->author;
	event.token = -1;
	u->n_answer_bytes += n;
	return n ? u->sink->put(u->sink, &event) : TDM_OK;
}

// Does the dialect leave it to us to end at stop strings?
static bool stops_here(const struct tdm_upstream *u) {
	return u->request->n_stop && !(u->dialect->knows & TDM_KNOWS_STOP);
}

// Sends what can hold no stop string; final: all that is held. Ends the answer at the first one.
static int put_until_stop(struct tdm_upstream *u, bool final) {
	size_t safe = 0;
	const char *stop = tdm_stop_find(u->request->stop, u->request->n_stop, u->held.data ? u->held.data : "",
	                                 u->held.len, final, &safe);
	int status = put_event(u, u->held.data, safe, (struct tdm_event){.logprob = NAN});
	tdm_bytes_drop(&u->held, safe);
	if (status || !stop)
		return status;
	tdm_bytes_clear(&u->held);
	u->finished = u->done = true;
	u->result->finish = TDM_FINISH_STOP;
	u->result->stop = stop;
	return TDM_SINK_ENOUGH;
}

// Words that come inside a call follow it; thoughts that do are dropped.
int tdm_upstream_text(struct tdm_upstream *u, const char *text, size_t n) {
	if (tdm_calls_hold(&u->calls, text, n))
		return TDM_OK;
	if (!stops_here(u))
		return put_event(u, text, n, (struct tdm_event){.logprob = NAN});
	tdm_bytes_add(&u->held, text, n);
	return u->held.failed ? tdm_upstream_bad(u, "a line that is too long") : put_until_stop(u, false);
}

int tdm_upstream_thought(struct tdm_upstream *u, const char *text, size_t n) {
	if (tdm_calls_hold(&u->calls, text, 0))
		return TDM_OK;
	return put_event(u, text, n, (struct tdm_event){.piece = TDM_PIECE_THOUGHT, .logprob = NAN});
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
int tdm_upstream_tokens(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *content,
                        const struct tdm_value *entries) {
	double sum = 0;
	struct tdm_alternative *alternatives;
	if (!u->request->logprobs || !entries || entries->type != TDM_LIST || !entries->n || u->calls.n || stops_here(u))
		return tdm_upstream_text(u, content->text, content->len);
	for (size_t i = 0; i < entries->n; i++)
		sum += tdm_get_number(&entries->items[i], "logprob", (double)NAN);
	u->sum_logprob += sum;
	u->n_logprobs += (int64_t)entries->n;
	if (!tokens_make(entries, content))
		return put_event(u, content->text, content->len, (struct tdm_event){.logprob = (float)sum});
	int status = TDM_OK;
	for (size_t i = 0; i < entries->n && !status; i++) {
		const struct tdm_value *entry = &entries->items[i];
		struct tdm_event event = {.logprob = (float)tdm_get_number(entry, "logprob", (double)NAN)};
		event.n_alternatives = read_alternatives(arena, entry, &alternatives);
		event.alternatives = alternatives;
		const struct tdm_value *token = tdm_get(entry, "token");
		status = put_event(u, token->text, token->len, event);
	}
	return status;
}

static int judge_calls(struct tdm_upstream *u, int status, const char *why) {
	return status == TDM_EBADBODY ? tdm_upstream_bad(u, why) : status;
}

int tdm_upstream_calls(struct tdm_upstream *u, const struct tdm_value *pieces) {
	const char *why = "";
	int status = tdm_calls_put(&u->calls, pieces, &why);
	return judge_calls(u, status, why);
}

static struct tdm_value text_value(const char *text) {
	return text ? (struct tdm_value){.type = TDM_STRING, .text = text, .len = strlen(text)} : (struct tdm_value){0};
}

int tdm_upstream_call(struct tdm_upstream *u, int64_t index, const char *id, const char *name,
                      const struct tdm_value *arguments) {
	const char *function_keys[] = {"name", "arguments"}, *keys[] = {"index", "id", "function"};
	struct tdm_value inner[] = {text_value(name), arguments ? *arguments : (struct tdm_value){0}};
	struct tdm_value number = {.type = TDM_NUMBER, .is_integer = true, .integer = index, .number = (double)index};
	struct tdm_value function = {.type = TDM_MAP, .n = 2, .items = inner, .keys = function_keys};
	struct tdm_value items[] = {number, text_value(id), function};
	struct tdm_value piece = {.type = TDM_MAP, .n = 3, .items = items, .keys = keys};
	struct tdm_value list = {.type = TDM_LIST, .n = 1, .items = &piece};
	return tdm_upstream_calls(u, &list);
}

static void read_reason(struct tdm_upstream *u, const struct tdm_reason *known, const char *reason) {
	u->finished = true;
	u->result->finish = TDM_FINISH_STOP;
	for (; known->reason; known++)
		if (!strcmp(known->reason, reason)) {
			u->result->finish = known->finish;
			return;
		}
	tdm_record_warn(u->run->record, "parameter_ignored", "finish_reason",
	                "the upstream gave an unknown reason for the end; it counts as stop");
}

// Calls make the end: whatever the upstream calls it, somebody has to run them.
int tdm_upstream_finish(struct tdm_upstream *u, const struct tdm_reason *known, const char *reason) {
	const char *why = "";
	int status = stops_here(u) ? put_until_stop(u, true) : TDM_OK;
	if (status)
		return status;
	read_reason(u, known, reason);
	if (u->calls.n && u->result->finish == TDM_FINISH_STOP)
		u->result->finish = TDM_FINISH_CALLS;
	u->n_answer_bytes += u->calls.n_bytes;
	bool cut = u->result->finish == TDM_FINISH_LENGTH || u->result->finish == TDM_FINISH_FILTER;
	status = tdm_calls_end(&u->calls, cut, &why);
	return judge_calls(u, status, why);
}

void tdm_upstream_stopped_by(struct tdm_upstream *u, const char *stop) {
	for (size_t i = 0; stop && i < u->request->n_stop; i++)
		if (!strcmp(u->request->stop[i], stop))
			u->result->stop = u->request->stop[i];
}

void tdm_upstream_model(struct tdm_upstream *u, const char *name) {
	if (name && !u->upstream_model)
		u->upstream_model = tdm_arena_string(u->run->arena, name);
}

static bool is_count(double n) {
	return n >= 0 && n <= 1e12;
}

void tdm_upstream_usage(struct tdm_upstream *u, double prompt, double output, double cached) {
	u->prompt_tokens = is_count(prompt) ? prompt : u->prompt_tokens;
	u->output_tokens = is_count(output) ? output : u->output_tokens;
	u->cached_tokens = is_count(cached) ? cached : u->cached_tokens;
	if (u->prompt_tokens < 0 || u->output_tokens < 0)
		return;
	u->has_usage = true;
	u->result->prompt_tokens = (int64_t)u->prompt_tokens;
	u->result->completion_tokens = (int64_t)u->output_tokens;
	bool has_cached = u->cached_tokens > 0 && u->cached_tokens <= u->prompt_tokens;
	u->result->cached_tokens = has_cached ? (int64_t)u->cached_tokens : 0;
	bool has_thoughts = u->thought_tokens > 0 && u->thought_tokens <= u->output_tokens;
	u->result->reasoning_tokens = has_thoughts ? (int64_t)u->thought_tokens : 0;
}

void tdm_upstream_thought_tokens(struct tdm_upstream *u, double n) {
	u->thought_tokens = is_count(n) ? n : u->thought_tokens;
}

int tdm_upstream_fault(struct tdm_upstream *u, const struct tdm_value *error) {
	struct fault fault = read_fault(error);
	return fail_with(u, &fault, 200);
}

int tdm_upstream_refused(struct tdm_upstream *u, int http, const struct tdm_value *body) {
	struct fault fault = {0};
	bool known = body && read_error(body, &fault);
	if (body && !known && http != 200)
		fault.message =
		    tdm_get_string(body, "message") ? tdm_get_string(body, "message") : tdm_get_string(body, "detail");
	return known || http != 200 ? fail_with(u, &fault, http) : tdm_upstream_bad(u, "an answer that is no event stream");
}

// --- one event

static int read_event(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	struct fault fault;
	if (event->type != TDM_MAP)
		return tdm_upstream_bad(u, "an event that is no JSON object");
	if (read_error(event, &fault))
		return fail_with(u, &fault, 200);
	return u->dialect->read(u, arena, event);
}

// Parses the event; halves of characters that the upstream cut apart are joined on the way.
static int parse_event(struct tdm_upstream *u, struct tdm_arena *arena, const char *data, size_t n,
                       struct tdm_value **out) {
	struct tdm_bytes marked;
	tdm_bytes_init(&marked, 3 * n + 16);
	bool halved = memchr(data, '\\', n) && memmem(data, n, "\\u", 2) && tdm_mend_mark(data, n, &marked);
	int status = marked.failed ? TDM_ENOMEM
	             : halved      ? tdm_json_parse(arena, marked.data, marked.len, out, NULL)
	                           : tdm_json_parse(arena, data, n, out, NULL);
	if (!status && (halved || *u->mend.key) && !tdm_mend_join(&u->mend, arena, *out))
		status = TDM_ENOMEM;
	tdm_bytes_release(&marked);
	return status;
}

static int on_event(void *arg, const char *data, size_t n) {
	struct tdm_upstream *u = arg;
	struct tdm_value *event;
	u->n_dropped += u->done;
	if (u->done || n == 0)
		return TDM_OK;
	if (n == 6 && !memcmp(data, "[DONE]", 6)) {
		u->done = true;
		return TDM_OK;
	}
	int status = parse_event(u, &u->event, data, n, &event);
	status = status ? tdm_upstream_bad(u, "an event that is not JSON") : read_event(u, &u->event, event);
	tdm_arena_clear(&u->event);
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
	return status == TDM_EBADBODY && u->run->error.status == TDM_OK ? tdm_upstream_bad(u, "a line that is too long")
	                                                                : status;
}

int tdm_upstream_feed(struct tdm_upstream *u, int http, const char *bytes, size_t n) {
	if (u->status)
		return u->status;
	if (u->is_encoded && http == 200)
		return u->status = tdm_upstream_bad(u, "a compressed answer, which was not asked for");
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
	tdm_arena_init(&arena, EVENT_ARENA_BYTES);
	if (u->body.len)
		tdm_json_parse(&arena, u->body.data, u->body.len, &body, NULL);
	int status = tdm_upstream_refused(u, http, body);
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
		return tdm_upstream_bad(u, "an answer without events");
	return tdm_fail(&u->run->error, TDM_ETRUNCATED, "model %s: the upstream's stream ended without a finish_reason",
	                u->author);
}

void tdm_upstream_estimate(struct tdm_upstream *u) {
	if (u->n_logprobs)
		u->result->mean_logprob = u->sum_logprob / (double)u->n_logprobs;
	if (u->has_usage)
		return;
	u->result->prompt_tokens = tdm_estimate_tokens(tdm_request_bytes(u->request));
	u->result->completion_tokens = tdm_estimate_tokens(u->n_answer_bytes);
	u->result->estimated = true;
}

// What was repaired is counted in the log, never quoted.
static void log_repairs(const struct tdm_upstream *u) {
	if (u->n_dropped || u->sse.n_invalid || u->mend.n_alone)
		tdm_log(TDM_WARN, "upstream.repaired", u->run->record->id,
		        " model=%s dropped=%zu invalid_lines=%zu half_characters=%zu", u->author, u->n_dropped,
		        u->sse.n_invalid, u->mend.n_alone);
}

int tdm_upstream_end(struct tdm_upstream *u, int http) {
	int status = u->status;
	if (status == TDM_OK)
		status = u->shape == TDM_BODY_OTHER || http != 200 ? end_other(u, http) : end_stream(u);
	tdm_upstream_estimate(u);
	log_repairs(u);
	if (status >= 0 && !u->has_usage)
		tdm_record_warn(u->run->record, "usage_estimated", NULL,
		                "the upstream did not count tokens; the counts are estimates");
	return status < 0 ? status : TDM_OK;
}
