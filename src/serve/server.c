// Server: queue and workers; opening and closing.
#include "serve/server.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/random.h"
#include "ledger/metric.h"
#include "serve/format.h"
#include "serve/responses.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// With the mutex held.
static struct tdm_setup *keep_setup(struct tdm_server *s) {
	if (s->setup)
		atomic_fetch_add(&s->setup->n_running, 1);
	return s->setup;
}

static void answer(struct tdm_server *s, struct tdm_setup *setup, struct tdm_exchange *x) {
	tdm_answer(s, setup, x);
	if (setup)
		atomic_fetch_sub(&setup->n_running, 1);
}

static void *work_loop(void *context) {
	struct tdm_server *s = context;
	pthread_mutex_lock(&s->mutex);
	for (;;) {
		while (!s->waiting && !s->stopping)
			pthread_cond_wait(&s->work, &s->mutex);
		if (!s->waiting)
			break;
		struct tdm_exchange *x = s->queue[s->first];
		s->first = (s->first + 1) % s->capacity;
		s->waiting--;
		s->busy++;
		struct tdm_setup *setup = keep_setup(s);
		pthread_mutex_unlock(&s->mutex);
		answer(s, setup, x);
		pthread_mutex_lock(&s->mutex);
		s->busy--;
		pthread_cond_broadcast(&s->idle);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

static void refuse_full(struct tdm_server *s, struct tdm_exchange *x) {
	struct tdm_call_context c = {.server = s, .x = x, .format = &tdm_format_chat};
	tdm_set_request_id(&c);
	tdm_fail(&c.error, TDM_EQUEUE, "all %zu workers are busy and %zu requests wait already", s->n_workers, s->capacity);
	tdm_metric_add(TDM_METRIC_REJECTED, 1, TDM_LABELS(tdm_status_info(TDM_EQUEUE)->code));
	tdm_reply_error(&c, NULL);
}

// A request may start at once when a worker is free; beyond that `queue` may wait. Never a hidden queue. What only
// tells how the server is needs no worker, so that a busy one is not taken for a dead one.
static void on_exchange(void *context, struct tdm_exchange *x) {
	struct tdm_server *s = context;
	pthread_mutex_lock(&s->mutex);
	if (s->stopping || tdm_is_quick(x)) {
		struct tdm_setup *setup = keep_setup(s);
		pthread_mutex_unlock(&s->mutex);
		answer(s, setup, x);
		return;
	}
	size_t room = s->n_workers - (size_t)s->busy + (size_t)s->settings->queue;
	bool full = s->waiting >= room || s->waiting == s->capacity;
	if (!full) {
		s->queue[(s->first + s->waiting++) % s->capacity] = x;
		pthread_cond_signal(&s->work);
	}
	pthread_mutex_unlock(&s->mutex);
	if (full)
		refuse_full(s, x);
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
	                             .ping_s = (int)s->settings->ping_s,
	                             .context = s,
	                             .handle = on_exchange};
	status = tdm_http_open(&o, &s->http, err);
	if (!status)
		snprintf(s->url, sizeof s->url, strchr(address, ':') ? "http://[%s]:%d" : "http://%s:%d", address,
		         tdm_http_port(s->http));
	return status;
}

static int start_workers(struct tdm_server *s, struct tdm_error *err) {
	size_t n = (size_t)s->settings->workers;
	s->capacity = n + (size_t)s->settings->queue;
	s->queue = calloc(s->capacity, sizeof *s->queue);
	s->workers = calloc(n, sizeof *s->workers);
	if (!s->queue || !s->workers)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for %zu workers", n);
	for (; s->n_workers < n; s->n_workers++)
		if (pthread_create(&s->workers[s->n_workers], NULL, work_loop, s))
			return tdm_fail(err, TDM_EIO, "the server cannot start %zu threads", n);
	return TDM_OK;
}

// Waiting is measured on the monotonic clock: a wall clock that jumps must not end it, nor keep it up.
static void init_locks(struct tdm_server *s) {
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->mutex, NULL);
	pthread_mutex_init(&s->live.mutex, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int tdm_server_open(const struct tdm_serve_settings *settings, struct tdm_server **out, struct tdm_error *err) {
	struct tdm_server *s = calloc(1, sizeof *s);
	if (!s)
		return tdm_fail(err, TDM_ENOMEM, "out of memory");
	s->settings = settings;
	s->started_us = tdm_wall_us();
	init_locks(s);
	snprintf(s->loading, sizeof s->loading, "loading the models");
	int status = tdm_system_random(s->hash_key, sizeof s->hash_key);
	if (status)
		tdm_fail(err, status, "the system gives no random numbers");
	if (!status)
		status = tdm_ledger_open(settings->ledger, &s->ledger, err);
	if (!status && settings->responses)
		status = tdm_responses_open((size_t)settings->responses_bytes, settings->responses_ttl_s, &s->responses);
	if (!status && !(s->stats = tdm_stats_new()))
		status = tdm_fail(err, TDM_ENOMEM, "out of memory");
	if (!status)
		status = start_workers(s, err);
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
	if (status)
		return status;
	pthread_mutex_lock(&s->mutex);
	struct tdm_setup *old = s->setup;
	s->setup = setup;
	s->fault[0] = 0;
	pthread_mutex_unlock(&s->mutex);
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

static void drain(struct tdm_server *s, int drain_s) {
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += drain_s;
	pthread_mutex_lock(&s->mutex);
	while ((s->busy || s->waiting) && !pthread_cond_timedwait(&s->idle, &s->mutex, &until))
		;
	s->stopping = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->mutex);
}

void tdm_server_close(struct tdm_server *s, int drain_s) {
	atomic_store(&s->draining_us, tdm_now_us());
	drain(s, drain_s);
	if (s->http) {
		tdm_http_stop_accepting(s->http);
		tdm_http_cancel_all(s->http);
	}
	for (size_t i = 0; i < s->n_workers; i++)
		pthread_join(s->workers[i], NULL);
	if (s->http)
		tdm_http_close(s->http);
	if (s->ledger)
		tdm_ledger_close(s->ledger);
	tdm_server_tend(s);
	tdm_setup_close(s->setup);
	tdm_responses_close(s->responses);
	if (s->stats)
		tdm_stats_free(s->stats);
	free(s->queue);
	free(s->workers);
	free(s);
}
