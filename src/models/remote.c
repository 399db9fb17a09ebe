// Remote: a model behind an OpenAI-compatible endpoint, over libcurl. This is the only file that knows curl.
//
// The rule it protects: every byte that leaves goes through send_request(), which first asks every scan on the run's
// egress chain about the final bytes, then counts them in the record, and only then lets curl have them. The raw body
// of a client is never forwarded: what goes out is written anew from the request. The key is in no log and no sentence.
//
// Always streamed. Connections are kept in a stack under `lock`; one is used by one call at a time, and thrown away
// unless its answer was read to the end. A cancelled run closes its connection within POLL_MS.
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "models/attempt.h"
#include "models/breaker.h"
#include "models/form.h"
#include "models/sources.h"
#include "models/upstream.h"
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define POLL_MS 20
#define N_IDLE_LIMIT 16
#define KEY_LIMIT_BYTES 8192
#define BODY_LIMIT_BYTES ((size_t)64 << 20)
#define GRACE_FINISHED_US 1000000 // after finish_reason: for the usage; after [DONE]: for the end of the answer
#define GRACE_DONE_US 100000
#define RATE_WINDOW_US 20000000 // slower than RATE_BYTES in this time: the upstream is stuck
#define RATE_BYTES 160

struct options {
	const char *url, *model, *key;
	int64_t timeout_ms, connect_timeout_ms, max_tokens;
	double temperature;
	struct tdm_strings forward;
	bool breaker;
};

struct line { // one connection
	CURLM *multi;
	CURL *easy;
	struct line *next;
};

struct remote {
	struct tdm_model model;
	struct options options;
	const char *url, *host;
	struct curl_slist *headers; // with the key
	struct tdm_breaker breaker;
	pthread_mutex_t lock;
	struct line *idle;
	int n_idle;
};

// --- connections

static void line_free(struct line *line) {
	if (!line)
		return;
	curl_easy_cleanup(line->easy);
	curl_multi_cleanup(line->multi);
	free(line);
}

static struct line *line_new(void) {
	struct line *line = calloc(1, sizeof *line);
	if (!line)
		return NULL;
	line->multi = curl_multi_init();
	line->easy = curl_easy_init();
	if (line->multi && line->easy)
		return line;
	line_free(line);
	return NULL;
}

static struct line *line_take(struct remote *r) {
	pthread_mutex_lock(&r->lock);
	struct line *line = r->idle;
	if (line) {
		r->idle = line->next;
		r->n_idle--;
	}
	pthread_mutex_unlock(&r->lock);
	return line ? line : line_new();
}

static void line_give(struct remote *r, struct line *line) {
	pthread_mutex_lock(&r->lock);
	bool room = r->n_idle < N_IDLE_LIMIT;
	if (room) {
		line->next = r->idle;
		r->idle = line;
		r->n_idle++;
	}
	pthread_mutex_unlock(&r->lock);
	if (!room)
		line_free(line);
}

// --- what is asked

static void write_string(struct tdm_bytes *b, const char *name, const char *text) {
	tdm_bytes_puts(b, name);
	tdm_bytes_json(b, text, strlen(text));
}

static void write_calls(struct tdm_bytes *b, const struct tdm_message *m) {
	for (size_t i = 0; i < m->n_calls; i++) {
		write_string(b, i ? "},{\"id\":" : ",\"tool_calls\":[{\"id\":", m->calls[i].id);
		write_string(b, ",\"type\":\"function\",\"function\":{\"name\":", m->calls[i].name);
		tdm_bytes_puts(b, ",\"arguments\":");
		tdm_bytes_json(b, m->calls[i].arguments, m->calls[i].len);
		tdm_bytes_putc(b, '}');
	}
	if (m->n_calls)
		tdm_bytes_puts(b, "}]");
}

static void write_messages(struct tdm_bytes *b, const struct tdm_request *rq) {
	static const char *const roles[] = {"system", "user", "assistant", "tool"};
	tdm_bytes_puts(b, ",\"messages\":[");
	for (size_t i = 0; i < rq->n_messages; i++) {
		const struct tdm_message *m = &rq->messages[i];
		// What a tool says without a word about the call that it answers goes as the user's.
		bool is_loose = m->from == TDM_FROM_TOOL && !m->call_id;
		tdm_bytes_printf(b, "%s{\"role\":\"%s\",\"content\":", i ? "," : "", roles[is_loose ? TDM_FROM_USER : m->from]);
		if (m->n_calls && !m->len)
			tdm_bytes_puts(b, "null");
		else
			tdm_bytes_json(b, m->text, m->len);
		write_calls(b, m);
		if (m->from == TDM_FROM_TOOL && m->call_id)
			write_string(b, ",\"tool_call_id\":", m->call_id);
		tdm_bytes_putc(b, '}');
	}
	tdm_bytes_putc(b, ']');
}

static void write_tool(struct tdm_bytes *b, const struct tdm_tool *t) {
	write_string(b, "{\"type\":\"function\",\"function\":{\"name\":", t->name);
	if (t->description)
		write_string(b, ",\"description\":", t->description);
	if (t->parameters) {
		tdm_bytes_puts(b, ",\"parameters\":");
		tdm_bytes_add(b, t->parameters, t->len);
	}
	tdm_bytes_puts(b, t->strict ? ",\"strict\":true}}" : "}}");
}

static void write_tools(struct tdm_bytes *b, const struct tdm_toolbox *tools) {
	static const char *const choices[] = {"auto", "none", "required"};
	if (!tools->n)
		return;
	tdm_bytes_puts(b, ",\"tools\":[");
	for (size_t i = 0; i < tools->n; i++) {
		if (i)
			tdm_bytes_putc(b, ',');
		write_tool(b, &tools->items[i]);
	}
	tdm_bytes_putc(b, ']');
	if (tools->choice == TDM_TOOLS_ONE) {
		write_string(b, ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":", tools->chosen);
		tdm_bytes_puts(b, "}}");
	} else if (tools->choice != TDM_TOOLS_AUTO) {
		tdm_bytes_printf(b, ",\"tool_choice\":\"%s\"", choices[tools->choice]);
	}
	if (tools->one_call)
		tdm_bytes_puts(b, ",\"parallel_tool_calls\":false");
}

static void write_number(struct tdm_bytes *b, const char *name, double value) {
	tdm_bytes_printf(b, ",\"%s\":", name);
	tdm_bytes_number(b, value);
}

// Shortest decimal of a float: 0.7 and not 0.69999998807907104.
static double plain(float value) {
	char text[32];
	struct tdm_bytes b;
	tdm_bytes_init(&b, sizeof text);
	tdm_bytes_printf(&b, "%.7g", (double)value);
	double out = b.failed ? (double)value : strtod(b.data, NULL);
	tdm_bytes_release(&b);
	return out;
}

static bool forwards(const struct options *o, const char *name) {
	for (size_t i = 0; i < o->forward.n; i++)
		if (!strcmp(o->forward.items[i], name))
			return true;
	return false;
}

// Draws of one request are told apart; the first has the seed as the client said it.
static int64_t seed_of(const struct tdm_run *run, const struct tdm_request *rq) {
	return rq->draw ? (int64_t)((run->seed + rq->draw * 0x9E3779B97F4A7C15u) & INT64_MAX) : (int64_t)run->seed;
}

// What is no part of the interface that everybody has goes to those who are said to know it.
static void write_extensions(struct tdm_bytes *b, const struct options *o, const struct tdm_request *rq) {
	if (rq->top_k >= 0 && forwards(o, "top_k"))
		tdm_bytes_printf(b, ",\"top_k\":%d", rq->top_k);
	if (rq->min_p >= 0 && forwards(o, "min_p"))
		write_number(b, "min_p", plain(rq->min_p));
	if (rq->repeat_penalty > 0 && forwards(o, "repeat_penalty"))
		write_number(b, "repeat_penalty", plain(rq->repeat_penalty));
}

static void write_form(struct tdm_bytes *b, const struct tdm_form *form) {
	if (form->kind == TDM_GRAMMAR_JSON) {
		tdm_bytes_puts(b, ",\"response_format\":{\"type\":\"json_object\"}");
		return;
	}
	tdm_bytes_puts(b, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":");
	const char *name = form->name ? form->name : "answer";
	tdm_bytes_json(b, name, strlen(name));
	tdm_bytes_puts(b, form->strict ? ",\"strict\":true,\"schema\":" : ",\"schema\":");
	tdm_bytes_add(b, form->text, form->len);
	tdm_bytes_puts(b, "}}");
}

static void write_settings(struct tdm_bytes *b, const struct options *o, const struct tdm_request *rq) {
	int64_t max_tokens = rq->max_tokens > 0 ? rq->max_tokens : o->max_tokens;
	if (max_tokens > 0)
		tdm_bytes_printf(b, ",\"max_tokens\":%lld", (long long)max_tokens);
	if (rq->temperature >= 0 || o->temperature >= 0)
		write_number(b, "temperature", rq->temperature >= 0 ? plain(rq->temperature) : o->temperature);
	if (rq->top_p >= 0)
		write_number(b, "top_p", plain(rq->top_p));
	for (size_t i = 0; i < rq->n_stop; i++) {
		tdm_bytes_puts(b, i ? "," : ",\"stop\":[");
		tdm_bytes_json(b, rq->stop[i], strlen(rq->stop[i]));
	}
	if (rq->n_stop)
		tdm_bytes_putc(b, ']');
	if (rq->logprobs)
		tdm_bytes_printf(b, ",\"logprobs\":true,\"top_logprobs\":%d", rq->top_logprobs);
}

static void write_request(struct tdm_bytes *b, const struct options *o, const struct tdm_run *run,
                          const struct tdm_request *rq) {
	tdm_bytes_puts(b, "{\"model\":");
	tdm_bytes_json(b, o->model, strlen(o->model));
	write_messages(b, rq);
	write_tools(b, &rq->tools);
	write_settings(b, o, rq);
	write_extensions(b, o, rq);
	if (rq->wants_seed)
		tdm_bytes_printf(b, ",\"seed\":%lld", (long long)seed_of(run, rq));
	if (tdm_form_is_json(rq->form))
		write_form(b, rq->form);
	tdm_bytes_puts(b, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
}

static void warn_ignored(struct tdm_run *run, const struct options *o, const struct tdm_request *rq) {
	static const char text[] = "the setting is not part of the upstream's interface";
	if (rq->top_k > 0 && !forwards(o, "top_k"))
		tdm_record_warn(run->record, "parameter_ignored", "top_k", text);
	if (rq->min_p > 0 && !forwards(o, "min_p"))
		tdm_record_warn(run->record, "parameter_ignored", "min_p", text);
	if (rq->repeat_penalty > 0 && rq->repeat_penalty != 1 && !forwards(o, "repeat_penalty"))
		tdm_record_warn(run->record, "parameter_ignored", "repeat_penalty", text);
}

// --- one transfer

struct transfer {
	struct remote *remote;
	struct tdm_run *run;
	struct tdm_upstream *upstream;
	struct line *line;
	int64_t started_us, last_us, window_us; // last_us: of the last byte, 0 = none yet
	size_t window_bytes;
	int64_t retry_after_ms; // that the upstream asks for; 0 = none
	int http;
	CURLcode code;
	bool sent, answered; // sent: allowed to leave; answered: a status line has come
};

static size_t on_bytes(char *bytes, size_t size, size_t n, void *arg) {
	struct transfer *t = arg;
	long http = 0;
	curl_easy_getinfo(t->line->easy, CURLINFO_RESPONSE_CODE, &http);
	t->http = (int)http;
	t->last_us = tdm_now_us();
	t->window_bytes += size * n;
	return tdm_upstream_feed(t->upstream, t->http, bytes, size * n) ? 0 : size * n;
}

static bool has_name(const char *line, size_t n, const char *name) {
	size_t length = strlen(name);
	return n > length && !strncasecmp(line, name, length);
}

// retry-after-ms: milliseconds; retry-after: seconds, or a date. The first is the finer one and counts.
static size_t on_header(char *line, size_t size, size_t n, void *arg) {
	struct transfer *t = arg;
	char text[64];
	const char *value = memchr(line, ':', n);
	bool is_ms = has_name(line, n, "retry-after-ms:");
	if (!value || (!is_ms && (t->retry_after_ms || !has_name(line, n, "retry-after:"))))
		return n;
	snprintf(text, sizeof text, "%.*s", (int)(line + n - value - 1), value + 1);
	double wait = strtod(text, NULL) * (is_ms ? 1 : 1000);
	time_t date = wait > 0 ? -1 : curl_getdate(text, NULL);
	if (date > 0)
		wait = ((double)date - (double)tdm_wall_us() / 1e6) * 1000;
	if (wait > 0)
		t->retry_after_ms = wait < 86400000 ? (int64_t)ceil(wait) : 86400000;
	return n;
}

static void set_up(struct transfer *t, const struct tdm_bytes *body) {
	const struct remote *r = t->remote;
	CURL *e = t->line->easy;
	curl_easy_reset(e); // keeps the connections
	curl_easy_setopt(e, CURLOPT_URL, r->url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->headers);
	curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
	curl_easy_setopt(e, CURLOPT_POSTFIELDS, body->data);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1"); // an own server needs no proxy
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)r->options.connect_timeout_ms);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
}

static int timed_out(struct transfer *t, const char *what) {
	return tdm_fail(&t->run->error, TDM_EUPTIME, "model %s: the upstream %s in time", t->remote->model.name, what);
}

// Asked every POLL_MS. TDM_OK: go on; TDM_SINK_ENOUGH: the answer is whole, the connection is not waited for.
static int watch(struct transfer *t) {
	int64_t now_us = tdm_now_us(), quiet_us = now_us - t->last_us;
	int status = tdm_run_check(t->run);
	if (status)
		return status;
	if (!t->last_us)
		return now_us - t->started_us > t->remote->options.timeout_ms * 1000 ? timed_out(t, "did not begin to answer")
		                                                                     : TDM_OK;
	if (t->upstream->done && quiet_us > GRACE_DONE_US)
		return TDM_SINK_ENOUGH;
	if (t->upstream->finished)
		return quiet_us > GRACE_FINISHED_US ? TDM_SINK_ENOUGH : TDM_OK;
	if (quiet_us > t->remote->options.timeout_ms * 1000)
		return timed_out(t, "did not go on");
	if (!t->window_us || now_us - t->window_us > RATE_WINDOW_US) {
		if (t->window_us && t->window_bytes < RATE_BYTES)
			return timed_out(t, "did not send enough");
		t->window_us = now_us;
		t->window_bytes = 0;
	}
	return TDM_OK;
}

static int wait_for_answer(struct transfer *t) {
	int running = 1, status = TDM_OK, n;
	long http = 0;
	t->code = CURLE_FAILED_INIT;
	if (curl_multi_add_handle(t->line->multi, t->line->easy) != CURLM_OK)
		return TDM_OK; // told by `code`
	while (running && !status) {
		if (curl_multi_perform(t->line->multi, &running) != CURLM_OK)
			break;
		if (running && !(status = watch(t)))
			curl_multi_poll(t->line->multi, NULL, 0, POLL_MS, NULL);
	}
	for (const CURLMsg *m; (m = curl_multi_info_read(t->line->multi, &n));)
		t->code = m->data.result;
	curl_easy_getinfo(t->line->easy, CURLINFO_RESPONSE_CODE, &http);
	t->http = (int)http;
	t->answered = http != 0;
	curl_multi_remove_handle(t->line->multi, t->line->easy); // closes a connection in use
	return status;
}

static void count_left(struct transfer *t, const struct tdm_bytes *body, int sign) {
	struct tdm_record *record = t->run->record;
	record->left.requests += sign;
	record->left.bytes += sign * (int64_t)body->len;
	tdm_record_count(record, &record->left.to, t->remote->host, sign);
}

// Failures before the first byte of a request could be written.
static bool never_left(CURLcode code) {
	return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
	       code == CURLE_PEER_FAILED_VERIFICATION;
}

// The one way out of this machine. Counted before it is sent, and taken back only when nothing can have left.
static int send_request(struct transfer *t, const struct tdm_bytes *body) {
	for (struct tdm_egress *e = t->run->egress; e; e = e->next) {
		int status = e->scan(e, body->data, body->len, &t->run->error);
		if (status) // fails closed, whatever it returned
			return tdm_fail(&t->run->error, status < 0 ? status : TDM_EEGRESS,
			                "model %s: the request was not allowed to leave this machine", t->remote->model.name);
	}
	t->sent = true;
	tdm_attempt_count();
	count_left(t, body, 1);
	set_up(t, body);
	int status = wait_for_answer(t);
	if (never_left(t->code))
		count_left(t, body, -1);
	return status;
}

// --- what came of it

static int failed_connection(struct transfer *t) {
	const char *name = t->remote->model.name, *host = t->remote->host;
	struct tdm_error *err = &t->run->error;
	switch (t->code) {
	case CURLE_OPERATION_TIMEDOUT:
		return tdm_fail(err, TDM_EUPTIME, "model %s: no connection to %s in time", name, host);
	case CURLE_COULDNT_RESOLVE_HOST:
		return tdm_fail(err, TDM_EUPSTREAM, "model %s: the host %s is not known", name, host);
	case CURLE_COULDNT_CONNECT:
		return tdm_fail(err, TDM_EUPSTREAM, "model %s: nothing answers at %s", name, host);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CONNECT_ERROR:
		return tdm_fail(err, TDM_EUPSTREAM, "model %s: no trustworthy TLS connection to %s: %s", name, host,
		                curl_easy_strerror(t->code));
	default:
		return tdm_fail(err, TDM_EUPSTREAM, "model %s: the connection to %s failed: %s", name, host,
		                curl_easy_strerror(t->code));
	}
}

// status: of the sending and waiting. Whatever the connection did, a complete answer counts and an incomplete one
// fails.
static int judge(struct transfer *t, const struct tdm_request *rq, int status) {
	struct tdm_upstream *u = t->upstream;
	if (status < 0) {
		tdm_upstream_estimate(u, rq);
		return status;
	}
	bool whole = t->code == CURLE_OK || u->finished || u->status;
	if (!t->answered && !whole)
		return failed_connection(t);
	if (!whole && t->http == 200) {
		tdm_upstream_estimate(u, rq);
		return tdm_fail(&t->run->error, TDM_ETRUNCATED, "model %s: the upstream's stream was cut off",
		                t->remote->model.name);
	}
	return tdm_upstream_end(u, t->http, rq);
}

static void record_call(struct transfer *t, const struct tdm_request *rq, int status, int attempt) {
	struct tdm_call *call =
	    tdm_source_called(&t->remote->model, t->run, rq, "answer", t->started_us, status, t->upstream->result);
	if (!call)
		return;
	call->attempt = attempt;
	call->upstream_model = t->upstream->upstream_model;
}

static bool may_help_again(const struct transfer *t) {
	static const CURLcode codes[] = {CURLE_COULDNT_CONNECT, CURLE_COULDNT_RESOLVE_HOST, CURLE_GOT_NOTHING,
	                                 CURLE_SEND_ERROR, CURLE_RECV_ERROR};
	for (size_t i = 0; t->sent && !t->answered && i < sizeof codes / sizeof codes[0]; i++)
		if (t->code == codes[i])
			return true;
	return false;
}

// One try. *again: nothing of an answer came, so a second one on a new connection may help.
static int try_once(struct remote *r, struct tdm_run *run, const struct tdm_request *rq, const struct tdm_bytes *body,
                    struct tdm_sink *sink, struct tdm_result *result, int attempt, bool *again) {
	struct tdm_upstream upstream;
	struct transfer t = {.remote = r, .run = run, .upstream = &upstream, .started_us = tdm_now_us()};
	*again = false;
	t.line = attempt == 1 ? line_take(r) : line_new();
	if (!t.line)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for a connection", r->model.name);
	tdm_upstream_init(&upstream, r->model.name, run, rq, sink, result);
	int status = send_request(&t, body);
	*again = !status && may_help_again(&t);
	status = judge(&t, rq, status);
	if (status)
		run->error.retry_after_ms = t.retry_after_ms;
	if (t.sent) // what was not allowed to leave is no call
		record_call(&t, rq, status, attempt);
	if (status == TDM_OK && t.code == CURLE_OK)
		line_give(r, t.line);
	else
		line_free(t.line);
	tdm_upstream_release(&upstream);
	return status;
}

static int try_twice(struct remote *r, struct tdm_run *run, const struct tdm_request *rq, const struct tdm_bytes *body,
                     struct tdm_sink *sink, struct tdm_result *result) {
	bool again = true;
	int status = TDM_OK;
	for (int attempt = 1; again && attempt <= 2; attempt++) {
		if (status)
			tdm_error_clear(&run->error); // of the first try
		status = try_once(r, run, rq, body, sink, result, attempt, &again);
	}
	return status;
}

static enum tdm_breaker_end end_of(int status) {
	if (status == TDM_OK || status == TDM_EREJECTED || status == TDM_ECONTEXT)
		return TDM_BREAKER_WELL; // it answers
	bool is_broken = status == TDM_EUPSTREAM || status == TDM_EUPTIME || status == TDM_ETRUNCATED;
	return is_broken ? TDM_BREAKER_FAILED : TDM_BREAKER_NEITHER;
}

static int ask_unless_open(struct remote *r, struct tdm_run *run, const struct tdm_request *rq,
                           const struct tdm_bytes *body, struct tdm_sink *sink, struct tdm_result *result) {
	if (!r->options.breaker)
		return try_twice(r, run, rq, body, sink, result);
	enum tdm_breaker_pass pass = tdm_breaker_admit(&r->breaker, tdm_now_us());
	if (pass == TDM_BREAKER_OPEN) {
		int status = tdm_fail(&run->error, TDM_EEXHAUSTED,
		                      "model %s: its upstream failed %d times in a row and is left alone for a moment",
		                      r->model.name, TDM_BREAKER_FAILURES);
		run->error.retry_after_ms = tdm_breaker_wait_us(&r->breaker, tdm_now_us()) / 1000 + 1;
		return status;
	}
	int status = try_twice(r, run, rq, body, sink, result);
	tdm_breaker_end(&r->breaker, tdm_now_us(), pass, end_of(status));
	return status;
}

static int remote_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq,
                           struct tdm_sink *sink, struct tdm_result *result) {
	struct remote *r = (struct remote *)m;
	struct tdm_bytes body;
	if (rq->form && !tdm_form_is_json(rq->form))
		return tdm_fail_param(&run->error, TDM_ECAPABILITY, TDM_FORM_FIELD, TDM_CANNOT_FORM, m->name);
	tdm_bytes_init(&body, BODY_LIMIT_BYTES);
	write_request(&body, &r->options, run, rq);
	warn_ignored(run, &r->options, rq);
	int status = body.failed ? tdm_fail(&run->error, TDM_ETOOLARGE, "model %s: the request is larger than %zu MiB",
	                                    m->name, BODY_LIMIT_BYTES >> 20)
	                         : ask_unless_open(r, run, rq, &body, sink, result);
	tdm_bytes_release(&body);
	return status;
}

// --- making one

static void remote_destroy(struct tdm_model *m) {
	struct remote *r = (struct remote *)m;
	while (r->idle) {
		struct line *line = r->idle;
		r->idle = line->next;
		line_free(line);
	}
	for (struct curl_slist *h = r->headers; h; h = h->next)
		tdm_wipe(h->data, strlen(h->data));
	curl_slist_free_all(r->headers);
	pthread_mutex_destroy(&r->lock);
	tdm_breaker_release(&r->breaker);
}

static const struct tdm_model_ops remote_ops = {.generate = remote_generate, .destroy = remote_destroy};

static bool ends_with_version(const char *url, size_t n) {
	size_t at = n;
	while (at > 0 && url[at - 1] >= '0' && url[at - 1] <= '9')
		at--;
	return at < n && at >= 2 && url[at - 1] == 'v' && url[at - 2] == '/';
}

static int read_url(const struct tdm_build *b, struct remote *r) {
	const char *url = r->options.url, *host = url ? strstr(url, "://") : NULL;
	if (!host || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected url: \"https://HOST/v1\"", b->where);
	host += 3;
	size_t n = strlen(url), n_host = strcspn(host, "/?#");
	if (n_host == 0 || memchr(host, '@', n_host) || strpbrk(host, "?# "))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: expected a url of scheme, host and path alone; a key goes into key: \"env:NAME\"",
		                b->where);
	while (url[n - 1] == '/')
		n--;
	bool whole = n > 17 && !strncmp(url + n - 17, "/chat/completions", 17);
	r->host = tdm_arena_copy(b->arena, host, n_host);
	r->url = tdm_arena_printf(b->arena, "%.*s%s%s", (int)n, url, whole || ends_with_version(url, n) ? "" : "/v1",
	                          whole ? "" : "/chat/completions");
	return r->host && r->url ? TDM_OK : tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for the url", b->where);
}

// The key's text in out: of an environment variable or of a file's first line. Keys do not stand in settings.
static int read_key(const struct tdm_build *b, const char *key, struct tdm_bytes *out) {
	tdm_bytes_init(out, KEY_LIMIT_BYTES);
	if (!strncmp(key, "env:", 4)) {
		const char *value = getenv(key + 4);
		if (!value)
			return tdm_fail(b->error, TDM_ECONFIG, "%s: the environment variable %s of its key is not set", b->where,
			                key + 4);
		tdm_bytes_puts(out, value);
	} else if (!strncmp(key, "file:", 5)) {
		const char *path =
		    key[5] == '/' || !b->folder ? key + 5 : tdm_arena_printf(b->arena, "%s/%s", b->folder, key + 5);
		struct tdm_error why = {0};
		int status = path ? tdm_file_read(path, KEY_LIMIT_BYTES, out, &why) : TDM_ENOMEM;
		if (status)
			return tdm_fail(b->error, TDM_ECONFIG, "%s: its key cannot be read: %s", b->where, why.text);
	} else {
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected key: \"env:NAME\" or \"file:PATH\", not the key itself",
		                b->where);
	}
	size_t n = out->data ? strcspn(out->data, "\r\n") : 0;
	if (out->failed || n == 0)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: its key is empty or too long", b->where);
	out->data[n] = 0;
	out->len = n;
	return TDM_OK;
}

static int read_forward(const struct tdm_build *b, const struct tdm_strings *names) {
	static const char *const known[] = {"top_k", "min_p", "repeat_penalty"};
	for (size_t i = 0; i < names->n; i++) {
		size_t k = 0;
		while (k < TDM_COUNT(known) && strcmp(names->items[i], known[k]) != 0)
			k++;
		if (k == TDM_COUNT(known))
			return tdm_fail(b->error, TDM_ECONFIG, "%s: forward: %s is none of top_k, min_p and repeat_penalty",
			                b->where, names->items[i]);
	}
	return TDM_OK;
}

static bool add_header(struct remote *r, const char *text) {
	struct curl_slist *list = curl_slist_append(r->headers, text);
	r->headers = list ? list : r->headers;
	return list != NULL;
}

static int add_headers(const struct tdm_build *b, struct remote *r) {
	struct tdm_bytes key, line;
	bool ok = add_header(r, "Content-Type: application/json") && add_header(r, "Accept: text/event-stream") &&
	          add_header(r, "Expect:"); // no round trip before the body
	int status = TDM_OK;
	if (ok && r->options.key) {
		status = read_key(b, r->options.key, &key);
		tdm_bytes_init(&line, KEY_LIMIT_BYTES + 64);
		if (!status) {
			tdm_bytes_printf(&line, "Authorization: Bearer %s", key.data);
			ok = !line.failed && add_header(r, line.data);
			tdm_wipe(line.data, line.len);
		}
		if (key.data)
			tdm_wipe(key.data, key.len);
		tdm_bytes_release(&line);
		tdm_bytes_release(&key);
	}
	return ok || status ? status : tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for its headers", b->where);
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void start_curl(void) {
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int remote_create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	struct remote *r =
	    tdm_build_model(b, sizeof *r, &remote_ops, TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_FORM | TDM_CAN_TOOLS);
	if (!r)
		return TDM_ENOMEM;
	r->options = *(const struct options *)options;
	r->model.leaves = true;
	if (!r->options.model)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected model: the upstream's name of the model", b->where);
	int status = read_url(b, r);
	if (!status)
		status = read_forward(b, &r->options.forward);
	if (status)
		return status;
	pthread_once(&curl_once, start_curl);
	if (pthread_mutex_init(&r->lock, NULL) != 0)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no lock", b->where);
	tdm_breaker_init(&r->breaker);
	status = add_headers(b, r);
	if (status)
		remote_destroy(&r->model);
	else
		*out = &r->model;
	return status;
}

#define AT(name) offsetof(struct options, name)
static const struct tdm_option remote_options[] = {
    {"url", TDM_OPT_STRING, AT(url), NULL, 0, 0, NULL, "base of the endpoint, such as https://api.example.com/v1"},
    {"model", TDM_OPT_STRING, AT(model), NULL, 0, 0, NULL, "the upstream's name of the model"},
    {"key", TDM_OPT_STRING, AT(key), NULL, 0, 0, NULL, "env:NAME or file:PATH; absent = no key"},
    {"timeout_ms", TDM_OPT_INT, AT(timeout_ms), "60000", 1, 3600000, NULL, "wait for the first and the next byte, ms"},
    {"connect_timeout_ms", TDM_OPT_INT, AT(connect_timeout_ms), "5000", 1, 600000, NULL, "wait for a connection, ms"},
    {"max_tokens", TDM_OPT_INT, AT(max_tokens), "0", 0, 1 << 24, NULL, "longest answer, tokens; 0 = the upstream's"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "-1", -1, 2, NULL, "negative = the upstream's own"},
    {"breaker", TDM_OPT_BOOL, AT(breaker), "yes", 0, 0, NULL,
     "leave the upstream alone after 5 failures in 10 s, but for a probe now and then"},
    {"forward", TDM_OPT_LIST, AT(forward), NULL, 0, 0, NULL,
     "settings that the upstream knows beyond the common ones: top_k, min_p, repeat_penalty"},
};

const struct tdm_kind tdm_kind_remote = {
    .name = "remote",
    .summary = "a model behind an OpenAI-compatible endpoint",
    .family = TDM_SOURCE,
    .options = remote_options,
    .n_options = TDM_COUNT(remote_options),
    .options_bytes = sizeof(struct options),
    .create = remote_create,
};
