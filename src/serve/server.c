// Server: queue and workers; opening and closing.
#include "serve/server.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/random.h"
#include "serve/format.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
		pthread_mutex_unlock(&s->mutex);
		tdm_answer(s, x);
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
	tdm_reply_error(&c, NULL);
}

// A request may start at once when a worker is free; beyond that `queue` may wait. Never a hidden queue.
static void on_exchange(void *context, struct tdm_exchange *x) {
	struct tdm_server *s = context;
	pthread_mutex_lock(&s->mutex);
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

static int parse_listen(const char *listen, char *address, size_t cap, int *port, struct tdm_error *err) {
	const char *colon = strrchr(listen, ':');
	char *end = NULL;
	long number = colon ? strtol(colon + 1, &end, 10) : -1;
	size_t n = colon ? (size_t)(colon - listen) : 0;
	if (n > 1 && listen[0] == '[' && listen[n - 1] == ']') {
		listen++;
		n -= 2;
	}
	if (!colon || end == colon + 1 || *end || number < 0 || number > 65535 || !n || n >= cap)
		return tdm_fail(err, TDM_ECONFIG, "serve.listen: expected \"address:port\", got \"%s\"", listen);
	memcpy(address, listen, n);
	address[n] = 0;
	*port = (int)number;
	return TDM_OK;
}

static bool is_loopback(const char *address) {
	return !strncmp(address, "127.", 4) || !strcmp(address, "::1");
}

static int start_listening(struct tdm_server *s, struct tdm_error *err) {
	char address[64];
	int port = 0;
	int status = parse_listen(s->settings->listen, address, sizeof address, &port, err);
	if (status)
		return status;
	if (!s->n_keys && !is_loopback(address) && !s->settings->open)
		return tdm_fail(err, TDM_ECONFIG, "serve.listen: %s is not loopback; set serve.keys, or serve.open: yes",
		                address);
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

static int find_standard(struct tdm_server *s, struct tdm_error *err) {
	struct tdm_model *const *models;
	size_t n = tdm_tree_models(s->tree, &models);
	const char *name = s->settings->standard;
	s->standard = name ? tdm_tree_model(s->tree, name) : n ? models[0] : NULL;
	if (s->standard)
		return TDM_OK;
	return tdm_fail(err, TDM_ECONFIG, "serve.default: there is no model \"%s\"", name ? name : "");
}

int tdm_server_open(const struct tdm_tree *tree, const struct tdm_serve_settings *settings, struct tdm_server **out,
                    struct tdm_error *err) {
	struct tdm_server *s = calloc(1, sizeof *s);
	if (!s)
		return tdm_fail(err, TDM_ENOMEM, "out of memory");
	s->tree = tree;
	s->settings = settings;
	s->started_s = tdm_wall_us() / 1000000;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->idle, NULL);
	snprintf(s->fingerprint, sizeof s->fingerprint, "tdm_%.8s", tdm_tree_hash(tree) + strlen("sha256:"));
	int status = tdm_system_random(s->hash_key, sizeof s->hash_key);
	if (status)
		tdm_fail(err, status, "the system gives no random numbers");
	if (!status)
		status = find_standard(s, err);
	if (!status)
		status = tdm_keys_read(s, err);
	if (!status)
		status = tdm_ledger_open(settings->ledger, &s->ledger, err);
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

// --- closing

static void drain(struct tdm_server *s, int drain_s) {
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += drain_s;
	pthread_mutex_lock(&s->mutex);
	s->draining = true;
	while ((s->busy || s->waiting) && !pthread_cond_timedwait(&s->idle, &s->mutex, &until))
		;
	s->stopping = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->mutex);
}

void tdm_server_close(struct tdm_server *s, int drain_s) {
	if (s->http)
		tdm_http_stop_accepting(s->http);
	drain(s, drain_s);
	if (s->http)
		tdm_http_cancel_all(s->http);
	for (size_t i = 0; i < s->n_workers; i++)
		pthread_join(s->workers[i], NULL);
	if (s->http)
		tdm_http_close(s->http);
	if (s->ledger)
		tdm_ledger_close(s->ledger);
	tdm_wipe(s->keys, sizeof s->keys);
	free(s->queue);
	free(s->workers);
	free(s);
}
