// Telemetry: the queue and the thread that sends. The lock guards the queue and the figures; a request holds it for as
// long as it takes to append its bytes, and is never made to wait for the network.
//
// A batch that the collector refuses for a moment (429, 502, 503, 504, or no connection) is sent again twice, then
// dropped and counted (tandem_telemetry_items_total{result="lost"}).
#include "base/clock.h"
#include "base/log.h"
#include "ledger/metric.h"
#include "models/remote/http.h"
#include "serve/watch/telemetry_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_LIMIT_BYTES ((size_t)4 << 20)
#define BATCH_BYTES ((size_t)256 << 10) // sent before its time
#define N_TRIES 3
#define TRY_WAIT_US 500000
#define SEND_LIMIT_US 5000000
#define CLOSE_LIMIT_US 2000000

#define AT(field) offsetof(struct tdm_telemetry_settings, field)
const struct tdm_option tdm_telemetry_options[] = {
    {"otlp", TDM_OPT_STRING, AT(otlp), NULL, 0, 0, NULL,
     "base URL of an OpenTelemetry collector, such as http://127.0.0.1:4318; absent = off"},
    {"names", TDM_OPT_CHOICE, AT(names), "current", 0, 0, "current|next",
     "of the GenAI conventions; OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental selects next"},
    {"batch_ms", TDM_OPT_INT, AT(batch_ms), "1000", 10, 60000, NULL, "longest wait of a span before it is sent, ms"},
    {"figures_ms", TDM_OPT_INT, AT(figures_ms), "60000", 100, 3600000, NULL, "between two sendings of figures, ms"},
};
const size_t tdm_n_telemetry_options = sizeof tdm_telemetry_options / sizeof tdm_telemetry_options[0];

struct tdm_telemetry {
	struct tdm_telemetry_settings settings;
	char *spans_url, *figures_url;
	struct tdm_http *http;
	struct tdm_http_headers *headers;
	int64_t started_ns;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock; // guards what follows
	pthread_cond_t wake;
	struct tdm_bytes waiting; // spans, a comma behind each
	int64_t n_waiting;
	struct tdm_figures *figures;
	bool closing;
	int64_t close_us; // when the thread gives up
};

int tdm_telemetry_read(struct tdm_arena *arena, const char *where, const struct tdm_value *section,
                       struct tdm_telemetry_settings *out, struct tdm_error *err) {
	const char *opted = getenv("OTEL_SEMCONV_STABILITY_OPT_IN");
	char host[300];
	int status = tdm_options_read(arena, where, section, tdm_telemetry_options, tdm_n_telemetry_options, NULL, out,
	                              sizeof *out, err);
	if (!status && out->otlp && !tdm_http_url_is_plain(out->otlp, host, sizeof host, err))
		return tdm_fail(err, TDM_ECONFIG, "%s: otlp: expected a url of scheme, host and path alone", where);
	if (opted && strstr(opted, "gen_ai_latest_experimental"))
		out->names = 1;
	return status;
}

// --- sending

static int64_t limit_of(struct tdm_telemetry *t) {
	pthread_mutex_lock(&t->lock);
	int64_t limit = t->closing ? t->close_us : INT64_MAX;
	pthread_mutex_unlock(&t->lock);
	return limit;
}

struct post {
	struct tdm_telemetry *t;
	int64_t until_us;
};

static int skip_bytes(void *arg, const char *bytes, size_t n) {
	return TDM_OK;
}

static int watch(void *arg) {
	const struct post *p = arg;
	int64_t limit = limit_of(p->t);
	return tdm_now_us() > (limit < p->until_us ? limit : p->until_us) ? TDM_EDEADLINE : TDM_OK;
}

// HTTP status; 0: no answer.
static int post_once(struct tdm_telemetry *t, const char *url, const struct tdm_bytes *body) {
	struct post p = {t, tdm_now_us() + SEND_LIMIT_US};
	struct tdm_http_post post = {.url = url,
	                             .headers = t->headers,
	                             .body = body->data,
	                             .n = body->len,
	                             .bytes = skip_bytes,
	                             .watch = watch,
	                             .arg = &p};
	tdm_http_send(t->http, &post);
	return post.end == TDM_HTTP_WELL ? post.http : 0;
}

static bool may_try_again(int http) {
	return !http || http == 429 || http == 502 || http == 503 || http == 504;
}

static bool post_body(struct tdm_telemetry *t, const char *url, const struct tdm_bytes *body) {
	int http = 0;
	for (int i = 0; i < N_TRIES && !body->failed; i++) {
		http = post_once(t, url, body);
		if (!may_try_again(http) || tdm_now_us() > limit_of(t) - TRY_WAIT_US)
			break;
		if (i + 1 < N_TRIES)
			nanosleep(&(struct timespec){.tv_nsec = TRY_WAIT_US * 1000}, NULL);
	}
	if (http / 100 != 2)
		tdm_log(TDM_WARN, "telemetry.lost", NULL, " url=%s status=%d bytes=%zu", url, http, body->len);
	return http / 100 == 2;
}

static void put_resource(struct tdm_bytes *out, const char *kind, const char *scope) {
	tdm_bytes_printf(out, "{\"resource%s\":[{\"resource\":{\"attributes\":[", kind);
	tdm_otlp_text(out, "service.name", "tandem");
	tdm_otlp_text(out, "telemetry.sdk.name", "tandem");
	tdm_otlp_text(out, "telemetry.sdk.language", "c");
	tdm_otlp_end(out, ']');
	tdm_bytes_printf(out, "},\"scope%s\":[{\"scope\":{\"name\":\"tandem\"},\"%s\":[", kind, scope);
}

static void count(const char *signal, bool sent, int64_t n) {
	tdm_metric_add(TDM_METRIC_TELEMETRY, (double)n, TDM_LABELS(signal, sent ? "sent" : "lost"));
}

static void send_spans(struct tdm_telemetry *t, struct tdm_bytes *spans, int64_t n) {
	struct tdm_bytes body;
	tdm_bytes_init(&body, 2 * QUEUE_LIMIT_BYTES);
	put_resource(&body, "Spans", "spans");
	tdm_bytes_add(&body, spans->data, spans->len);
	tdm_otlp_end(&body, ']');
	tdm_bytes_puts(&body, "}]}]}");
	count("spans", post_body(t, t->spans_url, &body), n);
	tdm_bytes_release(&body);
}

static void send_figures(struct tdm_telemetry *t) {
	struct tdm_bytes body;
	tdm_bytes_init(&body, 2 * QUEUE_LIMIT_BYTES);
	put_resource(&body, "Metrics", "metrics");
	pthread_mutex_lock(&t->lock);
	bool any = tdm_figures_write(&body, t->figures, t->started_ns);
	pthread_mutex_unlock(&t->lock);
	tdm_otlp_end(&body, ']');
	tdm_bytes_puts(&body, "}]}]}");
	if (any)
		count("figures", post_body(t, t->figures_url, &body), 1);
	tdm_bytes_release(&body);
}

// --- the thread

static struct timespec at_us(int64_t us) {
	return (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
}

// Takes what waits, when its time has come or there is much of it. The number of spans.
static int64_t take(struct tdm_telemetry *t, struct tdm_bytes *out, int64_t until_us, bool *closing) {
	struct timespec until = at_us(until_us);
	pthread_mutex_lock(&t->lock);
	while (!t->closing && t->waiting.len < BATCH_BYTES && !pthread_cond_timedwait(&t->wake, &t->lock, &until))
		;
	*out = t->waiting;
	int64_t n = t->n_waiting;
	tdm_bytes_init(&t->waiting, QUEUE_LIMIT_BYTES);
	t->n_waiting = 0;
	*closing = t->closing;
	pthread_mutex_unlock(&t->lock);
	return n;
}

static void *send_loop(void *context) {
	struct tdm_telemetry *t = context;
	int64_t figures_us = tdm_now_us() + t->settings.figures_ms * 1000;
	for (bool closing = false; !closing;) {
		struct tdm_bytes spans;
		int64_t next_us = tdm_now_us() + t->settings.batch_ms * 1000;
		int64_t n = take(t, &spans, next_us < figures_us ? next_us : figures_us, &closing);
		if (n)
			send_spans(t, &spans, n);
		tdm_bytes_release(&spans);
		if (closing || tdm_now_us() >= figures_us) {
			send_figures(t);
			figures_us = tdm_now_us() + t->settings.figures_ms * 1000;
		}
	}
	return NULL;
}

// --- opening and closing

static char *url_of(const char *base, const char *path) {
	size_t n = strlen(base);
	char *url = NULL;
	while (n && base[n - 1] == '/')
		n--;
	return asprintf(&url, "%.*s%s", (int)n, base, path) < 0 ? NULL : url;
}

static int start(struct tdm_telemetry *t, struct tdm_error *err) {
	struct tdm_http_options http = {NULL, 2000};
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&t->lock, NULL);
	tdm_bytes_init(&t->waiting, QUEUE_LIMIT_BYTES);
	t->started_ns = tdm_wall_us() * 1000;
	t->spans_url = url_of(t->settings.otlp, "/v1/traces");
	t->figures_url = url_of(t->settings.otlp, "/v1/metrics");
	t->settings.otlp = NULL; // the settings may go
	t->http = tdm_http_new(&http);
	t->figures = tdm_figures_new(t->settings.names);
	if (!t->spans_url || !t->figures_url || !t->http || !t->figures ||
	    !tdm_http_header(&t->headers, "Content-Type: application/json") || !tdm_http_header(&t->headers, "Expect:"))
		return tdm_fail(err, TDM_ENOMEM, "out of memory for telemetry");
	if (pthread_create(&t->thread, NULL, send_loop, t))
		return tdm_fail(err, TDM_EIO, "telemetry cannot start a thread");
	t->has_thread = true;
	return TDM_OK;
}

int tdm_telemetry_open(const struct tdm_telemetry_settings *s, struct tdm_telemetry **out, struct tdm_error *err) {
	*out = NULL;
	if (!s->otlp)
		return TDM_OK;
	struct tdm_telemetry *t = calloc(1, sizeof *t);
	if (!t)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for telemetry");
	t->settings = *s;
	int status = start(t, err);
	if (status)
		tdm_telemetry_close(t);
	else
		*out = t;
	return status;
}

void tdm_telemetry_close(struct tdm_telemetry *t) {
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->closing = true;
	t->close_us = tdm_now_us() + CLOSE_LIMIT_US;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (t->has_thread)
		pthread_join(t->thread, NULL);
	tdm_http_free(t->http);
	tdm_http_headers_free(t->headers);
	tdm_figures_free(t->figures);
	tdm_bytes_release(&t->waiting);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t->spans_url);
	free(t->figures_url);
	free(t);
}

bool tdm_telemetry_same(const struct tdm_telemetry_settings *a, const struct tdm_telemetry_settings *b) {
	bool same_url = a->otlp && b->otlp ? !strcmp(a->otlp, b->otlp) : a->otlp == b->otlp;
	return same_url && a->names == b->names && a->batch_ms == b->batch_ms && a->figures_ms == b->figures_ms;
}

// --- requests

struct tdm_spans *tdm_telemetry_begin(struct tdm_telemetry *t, struct tdm_arena *arena, const char *traceparent) {
	struct tdm_spans *s = t ? tdm_arena_alloc(arena, sizeof *s) : NULL;
	if (!s)
		return NULL;
	tdm_spans_init(s);
	tdm_spans_continue(s, traceparent);
	return s;
}

void tdm_telemetry_end(struct tdm_telemetry *t, const struct tdm_told *told) {
	struct tdm_bytes spans;
	int64_t n = told->spans->n + 1;
	tdm_bytes_init(&spans, BATCH_BYTES);
	tdm_telemetry_spans(&spans, told);
	pthread_mutex_lock(&t->lock);
	bool fits = !spans.failed && t->waiting.len + spans.len <= QUEUE_LIMIT_BYTES;
	if (fits) {
		tdm_bytes_add(&t->waiting, spans.data, spans.len);
		t->n_waiting += n;
	}
	tdm_figures_count(t->figures, told);
	if (t->waiting.len >= BATCH_BYTES)
		pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (!fits)
		count("spans", false, n);
	tdm_bytes_release(&spans);
	tdm_spans_release(told->spans);
}
