// Server: which setup a request begins with; opening and closing.
#include "serve/server.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/random.h"
#include "ledger/metric.h"
#include "serve/formats/format.h"
#include "serve/formats/responses.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tdm_setup *keep_setup(struct tdm_server *s) {
	pthread_mutex_lock(&s->mutex);
	struct tdm_setup *setup = s->setup;
	if (setup)
		atomic_fetch_add(&setup->n_running, 1);
	pthread_mutex_unlock(&s->mutex);
	return setup;
}

static void leave_setup(struct tdm_setup *setup) {
	if (setup)
		atomic_fetch_sub(&setup->n_running, 1);
}

static void on_exchange(void *context, struct tdm_exchange *x) {
	struct tdm_server *s = context;
	struct tdm_setup *setup = keep_setup(s);
	tdm_answer(s, setup, x);
	leave_setup(setup);
}

// A request may start at once when a worker is free; beyond that `queue` may wait. Never a hidden queue. What only
// tells how the server is needs no worker, so that a busy one is not taken for a dead one.
static void refuse_full(void *context, struct tdm_exchange *x) {
	struct tdm_server *s = context;
	struct tdm_setup *setup = keep_setup(s);
	struct tdm_call_context c = {.server = s, .setup = setup, .x = x, .format = &tdm_format_chat};
	tdm_set_request_id(&c);
	if (!setup || !tdm_authenticate(&c))
		tdm_fail(&c.error, TDM_EQUEUE, "all %lld workers are busy and %lld requests wait already",
		         (long long)s->settings->workers, (long long)s->settings->queue);
	tdm_metric_add(TDM_METRIC_REJECTED, 1, TDM_LABELS(tdm_status_info(TDM_EQUEUE)->code));
	tdm_reply_error(&c, NULL);
	tdm_who_leave(&c.who);
	leave_setup(setup);
}

// --- opening

static int start_listening(struct tdm_server *s, struct tdm_error *err) {
	char address[64];
	int port = 0;
	int status = tdm_serve_check(s->settings, err);
	if (!status)
		status = tdm_listen_parse(s->settings->listen, address, sizeof address, &port, err);
	if (status)
		return status;
	struct tdm_http_options o = {.address = address,
	                             .port = (uint16_t)port,
	                             .max_body_bytes = (size_t)s->settings->max_body_bytes,
	                             .workers = (size_t)s->settings->workers,
	                             .queue = (size_t)s->settings->queue,
	                             .connections = (size_t)s->settings->connections,
	                             .ping_s = (int)s->settings->ping_s,
	                             .header_s = (int)s->settings->header_s,
	                             .body_s = (int)s->settings->body_s,
	                             .write_s = (int)s->settings->write_s,
	                             .idle_s = (int)s->settings->idle_s,
	                             .half_close = s->settings->half_close,
	                             .context = s,
	                             .handle = on_exchange,
	                             .refuse = refuse_full,
	                             .is_quick = tdm_is_quick};
	status = tdm_http_open(&o, &s->http, err);
	if (!status)
		snprintf(s->url, sizeof s->url, strchr(address, ':') ? "http://[%s]:%d" : "http://%s:%d", address,
		         tdm_http_port(s->http));
	return status;
}

static int open_ledger(struct tdm_server *s, struct tdm_error *err) {
	const struct tdm_serve_settings *t = s->settings;
	struct tdm_ledger_options o = {t->ledger, t->ledger_journal, t->ledger_sync, t->ledger_limit_bytes};
	return tdm_ledger_open(&o, &s->ledger, err);
}

int tdm_server_open(const struct tdm_serve_settings *settings, struct tdm_server **out, struct tdm_error *err) {
	struct tdm_server *s = calloc(1, sizeof *s);
	if (!s)
		return tdm_fail(err, TDM_ENOMEM, "out of memory");
	s->settings = settings;
	s->started_us = tdm_wall_us();
	pthread_mutex_init(&s->mutex, NULL);
	pthread_mutex_init(&s->live.mutex, NULL);
	snprintf(s->loading, sizeof s->loading, "loading the models");
	int status = tdm_system_random(s->hash_key, sizeof s->hash_key);
	if (status)
		tdm_fail(err, status, "the system gives no random numbers");
	if (!status)
		status = open_ledger(s, err);
	if (!status && settings->responses)
		status = tdm_responses_open((size_t)settings->responses_bytes, settings->responses_ttl_s, &s->responses);
	if (!status && !(s->stats = tdm_stats_new()))
		status = tdm_fail(err, TDM_ENOMEM, "out of memory");
	if (!status)
		status = start_listening(s, err);
	if (status) {
		tdm_server_close(s, 0);
		return status;
	}
	*out = s;
	return TDM_OK;
}

const char *tdm_server_url(const struct tdm_server *s) {
	return s->url;
}

// --- setups

int tdm_ready(const struct tdm_call_context *c, struct tdm_error *err) {
	struct tdm_server *s = c->server;
	int64_t draining_us = atomic_load(&s->draining_us);
	if (draining_us && tdm_exchange_arrived_us(c->x) >= draining_us)
		return tdm_fail(err, TDM_EDRAINING, "the server is about to stop");
	if (c->setup)
		return TDM_OK;
	pthread_mutex_lock(&s->mutex);
	tdm_fail(err, TDM_ELOADING, "%s", s->loading);
	pthread_mutex_unlock(&s->mutex);
	return TDM_ELOADING;
}

void tdm_server_loading(struct tdm_server *s, const char *model, size_t n, size_t total) {
	pthread_mutex_lock(&s->mutex);
	snprintf(s->loading, sizeof s->loading, "loading model %s: %zu %%", model, 100 * n / total);
	pthread_mutex_unlock(&s->mutex);
}

int tdm_server_use(struct tdm_server *s, struct tdm_setup *setup, struct tdm_error *err) {
	struct tdm_serve_settings next = setup->settings;
	next.listen = s->settings->listen; // which no reload changes
	int status = tdm_serve_check(&next, err);
	if (!status && !s->setup) // nobody asks the models yet
		status = tdm_telemetry_open(&setup->telemetry, &s->telemetry, err);
	if (status)
		return status;
	tdm_recall(s->ledger, setup);
	pthread_mutex_lock(&s->mutex);
	struct tdm_setup *old = s->setup;
	if (old && !tdm_telemetry_same(&old->telemetry, &setup->telemetry))
		tdm_log(TDM_WARN, "settings.restart", NULL, " option=telemetry effect=\"at the next start\"");
	s->setup = setup;
	s->fault[0] = 0;
	pthread_mutex_unlock(&s->mutex);
	tdm_keep_certificates(s->ledger, setup);
	tdm_metric_add(TDM_METRIC_RELOADS, 1, TDM_LABELS("ok"));
	if (old) {
		old->next = s->older;
		s->older = old;
	}
	return TDM_OK;
}

bool tdm_server_tend(struct tdm_server *s) {
	for (struct tdm_setup **at = &s->older; *at;) {
		struct tdm_setup *setup = *at;
		if (atomic_load(&setup->n_running)) {
			at = &setup->next;
			continue;
		}
		*at = setup->next;
		tdm_setup_close(setup);
	}
	return s->older != NULL;
}

void tdm_server_fault(struct tdm_server *s, const char *why) {
	pthread_mutex_lock(&s->mutex);
	snprintf(s->fault, sizeof s->fault, "%s", why);
	tdm_metric_add(TDM_METRIC_RELOADS, 1, TDM_LABELS("failed"));
	pthread_mutex_unlock(&s->mutex);
}

// --- closing

void tdm_server_close(struct tdm_server *s, int drain_s) {
	atomic_store(&s->draining_us, tdm_now_us());
	if (s->http) {
		tdm_http_wait_idle(s->http, drain_s);
		tdm_http_stop_accepting(s->http);
		tdm_http_cancel_all(s->http);
		tdm_http_close(s->http);
	}
	if (s->ledger)
		tdm_ledger_close(s->ledger);
	tdm_server_tend(s);
	tdm_setup_close(s->setup);
	tdm_telemetry_close(s->telemetry);
	tdm_responses_close(s->responses);
	if (s->stats)
		tdm_stats_free(s->stats);
	free(s);
}
