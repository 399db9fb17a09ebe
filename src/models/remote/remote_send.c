// Remote, sending: the one way out of this machine.
//
// The rule it protects: every byte that leaves goes through send_request(), which first asks every scan on the run's
// egress chain about the final bytes, then counts them in the record, and only then hands them to http.c. The raw body
// of a client is never forwarded: what goes out is written anew from the request. The key is in no log and no sentence.
#include "base/clock.h"
#include "ledger/metric.h"
#include "models/policies/attempt.h"
#include "models/remote/remote.h"
#include "models/sources.h"
#include "models/spans.h"

#define GRACE_FINISHED_US 1000000 // after the reason of the end: for the usage; after [DONE]: for the end of the answer
#define GRACE_DONE_US 100000
#define SLOW_READER_US 50000
#define FAR_US (3000 * (int64_t)TDM_HTTP_PATIENT_MS) // a limit that need not be looked at yet

struct transfer {
	const struct tdm_remote_ask *ask;
	struct tdm_remote *remote;
	struct tdm_run *run;
	struct tdm_upstream upstream;
	struct tdm_http_post post;
	int64_t started_us, last_us, window_us; // last_us: of the last byte, 0 = none yet
	int64_t token_us;                       // of the last piece
	size_t window_bytes, seen_bytes;        // seen_bytes: of the answer, at token_us
	bool sent;                              // allowed to leave
};

static int on_bytes(void *arg, const char *bytes, size_t n) {
	struct transfer *t = arg;
	struct tdm_upstream *u = &t->upstream;
	t->last_us = tdm_now_us();
	t->window_bytes += n;
	if (t->ask->whole && t->post.http == 200 && !t->post.is_encoded) {
		tdm_bytes_add(t->ask->whole, bytes, n);
		return t->ask->whole->failed ? TDM_EBADBODY : TDM_OK;
	}
	u->is_encoded = t->post.is_encoded;
	struct tdm_batch *batch = t->run->batch;
	if (batch)
		batch->hold(batch, true);
	int status = tdm_upstream_feed(u, t->post.http, bytes, n);
	if (batch)
		batch->hold(batch, false);
	int64_t came_us = t->last_us;
	t->last_us = tdm_now_us();
	if (t->last_us - came_us > SLOW_READER_US) // whoever reads was slow, and the upstream waited for it
		t->window_us = 0;
	if (u->n_answer_bytes + u->calls.n_bytes > t->seen_bytes) {
		t->seen_bytes = u->n_answer_bytes + u->calls.n_bytes;
		t->token_us = t->last_us;
	}
	return status;
}

static int timed_out(struct transfer *t, const char *what) {
	return tdm_fail(&t->run->error, TDM_EUPTIME, "model %s: the upstream %s in time", t->remote->model.name, what);
}

// limit 0: there is none.
static bool is_over(int64_t since_us, int64_t now_us, int64_t limit_ms) {
	return limit_ms > 0 && now_us - since_us > limit_ms * 1000;
}

static int watch_pieces(struct transfer *t, int64_t now_us) {
	const struct tdm_remote_options *o = &t->remote->options;
	if (t->ask->whole)
		return TDM_OK;
	if (!t->token_us && is_over(t->started_us, now_us, o->first_token_ms))
		return timed_out(t, "did not begin its words");
	if (t->token_us && is_over(t->token_us, now_us, o->token_ms))
		return timed_out(t, "did not go on with its words");
	return TDM_OK;
}

static int watch_rate(struct transfer *t, int64_t now_us) {
	const struct tdm_remote_options *o = &t->remote->options;
	if (t->window_us && now_us - t->window_us <= o->rate_window_ms * 1000)
		return TDM_OK;
	int64_t least = o->min_rate * o->rate_window_ms / 1000;
	if (t->window_us && (int64_t)t->window_bytes < least)
		return timed_out(t, "did not send enough");
	t->window_us = now_us;
	t->window_bytes = 0;
	return TDM_OK;
}

static bool is_far(int64_t since_us, int64_t now_us, int64_t limit_ms) {
	return limit_ms <= 0 || since_us + limit_ms * 1000 - now_us > FAR_US;
}

// Whether nothing can become due in a while, but for a flag of the run's.
static bool is_patient(const struct transfer *t, int64_t now_us) {
	const struct tdm_remote_options *o = &t->remote->options;
	const struct tdm_run *run = t->run;
	if (run->hook || run->begin || t->upstream.done || t->upstream.finished)
		return false;
	if (run->deadline_us && run->deadline_us - now_us < FAR_US)
		return false;
	return is_far(t->token_us ? t->token_us : t->started_us, now_us, t->token_us ? o->token_ms : o->first_token_ms) &&
	       is_far(t->last_us ? t->last_us : t->started_us, now_us, t->last_us ? o->idle_ms : o->timeout_ms) &&
	       is_far(0, 0, o->rate_window_ms);
}

// Asked every TDM_HTTP_POLL_MS, unless it is patient. TDM_OK: go on; TDM_SINK_ENOUGH: the answer is whole, the
// connection is not waited for.
static int watch(void *arg) {
	struct transfer *t = arg;
	const struct tdm_remote_options *o = &t->remote->options;
	int64_t now_us = tdm_now_us(), quiet_us = now_us - t->last_us;
	int status = tdm_run_check(t->run);
	t->post.patient = is_patient(t, now_us);
	if (status)
		return status;
	if (t->upstream.done && quiet_us > GRACE_DONE_US)
		return TDM_SINK_ENOUGH;
	if (t->upstream.finished)
		return quiet_us > GRACE_FINISHED_US ? TDM_SINK_ENOUGH : TDM_OK;
	status = watch_pieces(t, now_us);
	if (status)
		return status;
	if (!t->last_us)
		return is_over(t->started_us, now_us, o->timeout_ms) ? timed_out(t, "did not begin to answer") : TDM_OK;
	if (is_over(t->last_us, now_us, o->idle_ms))
		return timed_out(t, "did not go on");
	return watch_rate(t, now_us);
}

static void count_left(struct transfer *t, int sign) {
	struct tdm_record *record = t->run->record;
	record->left.requests += sign;
	record->left.bytes += sign * (int64_t)t->ask->body->len;
	tdm_record_count(record, &record->left.to, t->remote->host, sign);
}

// The one way out of this machine. Counted before it is sent, and taken back only when nothing can have left.
static int send_request(struct transfer *t) {
	for (struct tdm_egress *e = t->run->egress; e; e = e->next) {
		int status = e->scan(e, t->post.body, t->post.n, &t->run->error);
		if (status)
			tdm_metric_add(TDM_METRIC_BLOCKED, 1, TDM_LABELS(t->remote->model.name));
		if (status) // fails closed, whatever it returned
			return tdm_fail(&t->run->error, status < 0 ? status : TDM_EEGRESS,
			                "model %s: the request was not allowed to leave this machine", t->remote->model.name);
	}
	t->sent = true;
	tdm_attempt_count();
	count_left(t, 1);
	char traceparent[80];
	if (t->run->spans && t->remote->options.trace) {
		tdm_spans_header(t->run, traceparent);
		t->post.extra = traceparent;
	}
	int status = tdm_http_send(t->remote->http, &t->post);
	t->post.extra = NULL;
	if (!t->post.left)
		count_left(t, -1);
	else
		tdm_metric_add(TDM_METRIC_EGRESS, (double)t->post.n, TDM_LABELS(t->remote->model.name));
	return status;
}

// --- what came of it

static int failed_connection(struct transfer *t) {
	const char *name = t->remote->model.name, *host = t->remote->host;
	struct tdm_error *err = &t->run->error;
	switch (t->post.end) {
	case TDM_HTTP_SLOW:
		return tdm_fail(err, TDM_EUPTIME, "model %s: no connection to %s in time", name, host);
	case TDM_HTTP_NO_HOST:
		return tdm_fail(err, TDM_EUPSTREAM, "model %s: the host %s is not known", name, host);
	case TDM_HTTP_REFUSED:
		return tdm_fail(err, TDM_EUPSTREAM, "model %s: nothing answers at %s", name, host);
	case TDM_HTTP_NO_FILES:
		return tdm_fail(err, TDM_ENOMEM, "model %s: no file descriptor is left for a connection to %s", name, host);
	case TDM_HTTP_UNTRUSTED:
		return tdm_fail(err, TDM_EUPSTREAM, "model %s: no trustworthy TLS connection to %s: %s", name, host,
		                t->post.why);
	default:
		return tdm_fail(err, TDM_EUPSTREAM, "model %s: the connection to %s failed: %s", name, host, t->post.why);
	}
}

static int cut_off(struct transfer *t) {
	return tdm_fail(&t->run->error, TDM_ETRUNCATED, "model %s: the upstream's stream was cut off",
	                t->remote->model.name);
}

static int judge_whole(struct transfer *t) {
	if (t->ask->whole->failed)
		return tdm_upstream_bad(&t->upstream, "an answer that is too long");
	if (t->post.http == 200 && !t->post.is_encoded)
		return t->post.end == TDM_HTTP_WELL ? TDM_OK : cut_off(t);
	return tdm_upstream_end(&t->upstream, t->post.http);
}

// status: of the sending and waiting. Whatever the connection did, a complete answer counts and an incomplete one
// fails.
static int judge(struct transfer *t, int status) {
	struct tdm_upstream *u = &t->upstream;
	if (status < 0) {
		tdm_upstream_estimate(u);
		return status;
	}
	bool whole = t->post.end == TDM_HTTP_WELL || u->finished || u->status;
	if (!t->post.http && !whole)
		return failed_connection(t);
	if (t->ask->whole)
		return judge_whole(t);
	if (!whole && t->post.http == 200) {
		tdm_upstream_estimate(u);
		return cut_off(t);
	}
	return tdm_upstream_end(u, t->post.http);
}

static void record_call(struct transfer *t, int status, int attempt) {
	struct tdm_call *call = tdm_source_called(&t->remote->model, t->run, t->ask->request, "answer", t->started_us,
	                                          status, t->upstream.result);
	if (!call)
		return;
	call->attempt = attempt;
	call->upstream_model = t->upstream.upstream_model;
}

// One try. *again: nothing of an answer came, so a second one on a new connection may help.
static int try_once(const struct tdm_remote_ask *a, const struct tdm_http_headers *headers, int attempt, bool *again) {
	struct transfer t = {.ask = a, .remote = a->remote, .run = a->run, .started_us = tdm_now_us()};
	t.post = (struct tdm_http_post){.url = a->url, .headers = headers, .body = a->body->data, .n = a->body->len};
	t.post.fresh = attempt > 1;
	t.post.bytes = on_bytes;
	t.post.watch = watch;
	t.post.stops[0] = a->run->cancelled;
	t.post.stops[1] = a->run->given_up;
	t.post.patient = is_patient(&t, t.started_us);
	t.post.arg = &t;
	tdm_upstream_init(&t.upstream, a->remote->dialect, a->remote->model.name, a->run, a->request, a->sink, a->result);
	int status = send_request(&t);
	*again = !status && t.sent && t.post.may_repeat;
	status = judge(&t, status);
	if (status)
		a->run->error.retry_after_ms = t.post.retry_after_ms;
	if (t.sent && !a->whole) // what was not allowed to leave is no call
		record_call(&t, status, attempt);
	*again = *again && status;
	tdm_upstream_release(&t.upstream);
	return status;
}

static int try_twice(const struct tdm_remote_ask *a, const struct tdm_http_headers *headers) {
	bool again = true;
	int status = TDM_OK;
	for (int attempt = 1; again && attempt <= 2; attempt++) {
		if (status)
			tdm_error_clear(&a->run->error); // of the first try
		status = try_once(a, headers, attempt, &again);
	}
	return status;
}

// --- keys

static int no_key(const struct tdm_remote_ask *a, int64_t wait_us) {
	struct tdm_error *err = &a->run->error;
	const char *name = a->remote->model.name;
	tdm_error_clear(err); // that of the last key
	int status = a->remote->keys.n > 1
	                 ? tdm_fail(err, TDM_EEXHAUSTED, "model %s: the upstream refuses all of its keys for now", name)
	                 : tdm_fail(err, TDM_ERATE, "model %s: the upstream asked for a pause, which is not over", name);
	err->retry_after_ms = wait_us / 1000 + 1;
	return status;
}

struct shown { // whether something of the answer went out
	struct tdm_sink sink;
	bool is;
};

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	((struct shown *)sink)->is = true;
	return sink->next->put(sink->next, event);
}

// With the keys in turn, until one is not refused: what a refusal costs comes from the budget of repetitions.
static int try_keys(const struct tdm_remote_ask *asked) {
	struct tdm_remote *r = asked->remote;
	struct shown shown = {.sink = {put, asked->sink}};
	struct tdm_remote_ask a = *asked;
	int64_t wait_us;
	int status = TDM_OK;
	a.sink = asked->sink ? &shown.sink : NULL;
	for (;;) {
		int i = tdm_keys_take(&r->keys, tdm_now_us(), &wait_us);
		if (i < 0)
			return no_key(&a, wait_us);
		if (status && !tdm_attempt_again(a.run, &r->model))
			return status;
		status = try_twice(&a, r->keys.items[i].headers);
		bool slows = r->keys.n > 1 || r->options.breaker;
		tdm_keys_end(&r->keys, i, tdm_now_us(), status, slows ? a.run->error.retry_after_ms : 0);
		bool refused = status == TDM_EUPAUTH || status == TDM_ERATE;
		if (!refused || shown.is || r->keys.n == 1)
			return status;
	}
}

// --- the breaker

static enum tdm_breaker_end end_of(int status) {
	if (status == TDM_OK || status == TDM_EREJECTED || status == TDM_ECONTEXT)
		return TDM_BREAKER_WELL; // it answers
	bool is_broken = status == TDM_EUPSTREAM || status == TDM_EUPTIME || status == TDM_ETRUNCATED;
	return is_broken ? TDM_BREAKER_FAILED : TDM_BREAKER_NEITHER;
}

int tdm_remote_send(const struct tdm_remote_ask *a) {
	struct tdm_remote *r = a->remote;
	if (!r->options.breaker)
		return try_keys(a);
	enum tdm_breaker_pass pass = tdm_breaker_admit(&r->breaker, tdm_now_us());
	if (pass == TDM_BREAKER_OPEN) {
		int status = tdm_fail(&a->run->error, TDM_EEXHAUSTED,
		                      "model %s: its upstream failed %d times in a row and is left alone for a moment",
		                      r->model.name, TDM_BREAKER_FAILURES);
		a->run->error.retry_after_ms = tdm_breaker_wait_us(&r->breaker, tdm_now_us()) / 1000 + 1;
		return status;
	}
	int status = try_keys(a);
	tdm_breaker_end(&r->breaker, tdm_now_us(), pass, end_of(status));
	if (pass == TDM_BREAKER_PROBE || end_of(status) == TDM_BREAKER_FAILED)
		tdm_metric_set(TDM_METRIC_CIRCUIT, tdm_breaker_is_open(&r->breaker), TDM_LABELS(r->model.name));
	return status;
}
