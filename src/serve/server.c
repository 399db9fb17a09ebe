// Server: queue, workers, routes, keys. A new path: a row in `routes`.
#include "serve/server.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "serve/format.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LONGEST_WAIT_MS 60000
#define ARENA_BASE_BYTES ((size_t)64 << 20) // of one request, beside 16 times its body

// --- answers that every path shares

void tdm_set_error_headers(struct tdm_exchange *x, const struct tdm_error *err) {
	const struct tdm_status_info *info = tdm_status_info(err->status);
	bool is_long = err->retry_after_ms > LONGEST_WAIT_MS; // clients would sleep, or not wait at all
	tdm_exchange_set(x, "x-should-retry", info->retry == TDM_RETRY_NO || is_long ? "false" : "true");
	if (info->http == 429 || info->http == 503) {
		char text[32];
		int64_t wait_ms = err->retry_after_ms > 0 ? err->retry_after_ms : 1000;
		snprintf(text, sizeof text, "%lld", (long long)(wait_ms + 999) / 1000);
		tdm_exchange_set(x, "retry-after", text);
		snprintf(text, sizeof text, "%lld", (long long)wait_ms);
		tdm_exchange_set(x, "retry-after-ms", text);
	}
	if (info->http == 401)
		tdm_exchange_set(x, "www-authenticate", "Bearer");
}

void tdm_reply_error(struct tdm_call_context *c, const char *receipt) {
	struct tdm_bytes body;
	tdm_bytes_init(&body, 1 << 20);
	tdm_set_error_headers(c->x, &c->error);
	c->format->error(&body, &c->error, c->request_id, receipt, false);
	tdm_exchange_reply(c->x, tdm_status_info(c->error.status)->http, "application/json", body.data ? body.data : "{}",
	                   body.data ? body.len : 2);
	tdm_bytes_release(&body);
}

static void reply_json(struct tdm_call_context *c, const struct tdm_bytes *body) {
	tdm_exchange_reply(c->x, 200, "application/json", body->data ? body->data : "", body->len);
}

void tdm_set_warnings(struct tdm_exchange *x, const struct tdm_record *r) {
	struct tdm_bytes list;
	tdm_bytes_init(&list, 1024);
	for (const struct tdm_warning *w = r->warnings; w; w = w->next)
		tdm_bytes_printf(&list, "%s%s%s%s", list.len ? "," : "", w->code, w->param ? "=" : "",
		                 w->param ? w->param : "");
	if (list.len)
		tdm_exchange_set(x, "x-tandem-warnings", list.data);
	tdm_bytes_release(&list);
}

// --- what every request for an answer needs

int tdm_read_body(struct tdm_call_context *c, struct tdm_value **out, struct tdm_error *err) {
	const struct tdm_bytes *body = tdm_exchange_body(c->x);
	const char *encoding = tdm_exchange_header(c->x, "content-encoding");
	if (encoding && strcasecmp(encoding, "identity"))
		return tdm_fail(err, TDM_EMEDIA, "content-encoding: expected identity, got %s", encoding);
	return tdm_json_parse(c->arena, body->data ? body->data : "", body->len, out, err);
}

static void no_model(const struct tdm_server *s, const char *name, struct tdm_error *err) {
	struct tdm_model *const *models;
	const char *names[256];
	size_t n = tdm_tree_models(s->tree, &models), n_names = 0;
	for (size_t i = 0; i < n && n_names < 256; i++)
		if (!models[i]->hidden)
			names[n_names++] = models[i]->name;
	const char *near = tdm_nearest(name, names, n_names);
	tdm_fail_param(err, TDM_EMODEL, "model", "there is no model \"%s\"%s%s%s", name, near ? " (nearest: \"" : "",
	               near ? near : "", near ? "\")" : "");
}

struct tdm_model *tdm_find_model(const struct tdm_server *s, const char *name, struct tdm_error *err) {
	if (name && !strncmp(name, "tandem/", 7))
		name += 7;
	if (!name || !*name || !strcmp(name, "auto") || !strcmp(name, "default"))
		return s->standard;
	struct tdm_model *m = tdm_tree_model(s->tree, name);
	if (m && (!m->hidden || m == s->standard))
		return m;
	no_model(s, name, err);
	return NULL;
}

// --- models, receipts, health

static void put_model(struct tdm_call_context *c, struct tdm_bytes *out, const struct tdm_model *m) {
	static const char *const caps[] = {"text", "logprobs", "score", "embed", "step", "tools"};
	char when[32];
	time_t started = (time_t)c->server->started_s;
	struct tm tm;
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&started, &tm));
	tdm_bytes_puts(out, "{\"id\":");
	tdm_bytes_json(out, m->name, strlen(m->name));
	tdm_bytes_printf(out, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"tandem\",\"type\":\"model\"",
	                 (long long)started);
	tdm_bytes_puts(out, ",\"display_name\":");
	tdm_bytes_json(out, m->name, strlen(m->name));
	tdm_bytes_printf(out, ",\"created_at\":\"%s\",\"tandem\":{\"kind\":\"%s\",\"can\":[", when, m->kind->name);
	for (size_t i = 0, n = 0; i < TDM_COUNT(caps); i++)
		if (m->can & 1u << i)
			tdm_bytes_printf(out, "%s\"%s\"", n++ ? "," : "", caps[i]);
	tdm_bytes_printf(out, "],\"default\":%s}}", m == c->server->standard ? "true" : "false");
}

static int by_name(const void *a, const void *b) {
	return strcmp((*(struct tdm_model *const *)a)->name, (*(struct tdm_model *const *)b)->name);
}

// The models a client may see, sorted, the default first.
static size_t visible_models(struct tdm_call_context *c, const struct tdm_model **out, size_t cap) {
	struct tdm_model *const *all;
	size_t n_all = tdm_tree_models(c->server->tree, &all), n = 0;
	out[n++] = c->server->standard;
	for (size_t i = 0; i < n_all && n < cap; i++)
		if (!all[i]->hidden && all[i] != c->server->standard)
			out[n++] = all[i];
	qsort(out + 1, n - 1, sizeof *out, by_name);
	return n;
}

void tdm_handle_models(struct tdm_call_context *c, const char *id) {
	const struct tdm_model *models[256];
	size_t n = visible_models(c, models, 256), shown = 0;
	struct tdm_bytes body;
	tdm_bytes_init(&body, 1 << 20);
	if (!id)
		tdm_bytes_puts(&body, "{\"object\":\"list\",\"data\":[");
	for (size_t i = 0; i < n; i++) {
		if (id && strcmp(models[i]->name, id))
			continue;
		if (shown++)
			tdm_bytes_putc(&body, ',');
		put_model(c, &body, models[i]);
	}
	if (!id) {
		tdm_bytes_puts(&body, "],\"has_more\":false,\"first_id\":");
		tdm_bytes_json(&body, models[0]->name, strlen(models[0]->name));
		tdm_bytes_puts(&body, ",\"last_id\":");
		tdm_bytes_json(&body, models[n - 1]->name, strlen(models[n - 1]->name));
		tdm_bytes_putc(&body, '}');
	}
	if (shown) {
		reply_json(c, &body);
	} else {
		tdm_fail_param(&c->error, TDM_EMODEL, "model", "there is no model \"%s\"; GET /v1/models lists them", id);
		tdm_reply_error(c, NULL);
	}
	tdm_bytes_release(&body);
}

void tdm_handle_receipt(struct tdm_call_context *c, const char *id) {
	struct tdm_bytes body;
	tdm_bytes_init(&body, 4 << 20);
	if (tdm_ledger_receipt(c->server->ledger, id, NULL, &body, &c->error)) {
		tdm_reply_error(c, NULL);
	} else {
		tdm_exchange_set(c->x, "cache-control", "private");
		reply_json(c, &body);
	}
	tdm_bytes_release(&body);
}

static void handle_health(struct tdm_call_context *c) {
	pthread_mutex_lock(&c->server->mutex);
	bool draining = c->server->draining;
	pthread_mutex_unlock(&c->server->mutex);
	if (draining) {
		tdm_fail(&c->error, TDM_EDRAINING, "the server is about to stop");
		tdm_reply_error(c, NULL);
		return;
	}
	struct tdm_bytes body;
	struct tdm_model *const *models;
	size_t n = tdm_tree_models(c->server->tree, &models);
	tdm_bytes_init(&body, 1 << 20);
	tdm_bytes_puts(&body, "{\"status\":\"ok\",\"models\":{");
	for (size_t i = 0, shown = 0; i < n; i++) {
		if (models[i]->hidden)
			continue;
		tdm_bytes_puts(&body, shown++ ? "," : "");
		tdm_bytes_json(&body, models[i]->name, strlen(models[i]->name));
		tdm_bytes_puts(&body, ":\"ok\"");
	}
	tdm_bytes_puts(&body, "}}");
	reply_json(c, &body);
	tdm_bytes_release(&body);
}

static void handle_live(struct tdm_call_context *c) {
	tdm_exchange_reply(c->x, 200, "application/json", "{\"status\":\"ok\"}", 15);
}

static void handle_list(struct tdm_call_context *c) {
	tdm_handle_models(c, NULL);
}

// --- routes

struct route {
	const char *method, *path;
	bool needs_key;
	void (*handle)(struct tdm_call_context *c);                    // the path is whole
	void (*handle_id)(struct tdm_call_context *c, const char *id); // the path is a prefix; the rest is an id
};

static const struct route routes[] = {
    {"POST", "/chat/completions", true, tdm_handle_answer, NULL},
    {"POST", "/messages", true, tdm_handle_answer, NULL},
    {"POST", "/messages/count_tokens", true, tdm_handle_count, NULL},
    {"GET", "/models", true, handle_list, NULL},
    {"GET", "/models/", true, NULL, tdm_handle_models},
    {"GET", "/receipts/", true, NULL, tdm_handle_receipt},
    {"GET", "/health", false, handle_health, NULL},
    {"GET", "/health/live", false, handle_live, NULL},
};

// Every path is also served under /v1; one trailing slash is ignored.
static const char *plain_path(struct tdm_call_context *c) {
	const char *path = tdm_exchange_path(c->x);
	if (!strncmp(path, "/v1/", 4))
		path += 3;
	size_t n = strlen(path);
	return n > 1 && path[n - 1] == '/' ? tdm_arena_copy(c->arena, path, n - 1) : path;
}

static const char *match(const struct route *r, const char *path) {
	size_t n = strlen(r->path);
	if (r->handle)
		return strcmp(path, r->path) ? NULL : "";
	return !strncmp(path, r->path, n) && path[n] ? path + n : NULL;
}

static bool same_method(const char *asked, const char *known) {
	return !strcmp(asked, known) || (!strcmp(asked, "HEAD") && !strcmp(known, "GET"));
}

static void no_route(struct tdm_call_context *c, const char *path, const char *allow) {
	if (allow) {
		tdm_exchange_set(c->x, "allow", allow);
		tdm_fail(&c->error, TDM_EMETHOD, "%s expects %s, got %s", path, allow, tdm_exchange_method(c->x));
	} else if (!strncmp(path, "/v1/", 4)) {
		tdm_fail(&c->error, TDM_EPATH, "there is no path %s: the base URL already ends in /v1",
		         tdm_exchange_path(c->x));
	} else {
		tdm_fail(&c->error, TDM_EPATH, "there is no path %s here", tdm_exchange_path(c->x));
	}
	tdm_reply_error(c, NULL);
}

static const char *given_key(const struct tdm_exchange *x) {
	const char *bearer = tdm_exchange_header(x, "authorization");
	if (bearer && !strncasecmp(bearer, "Bearer ", 7))
		return bearer + 7;
	return tdm_exchange_header(x, "x-api-key");
}

// Every accepted key is compared, each in constant time.
static bool key_is_right(const struct tdm_server *s, const char *key) {
	uint8_t hash[32];
	bool right = s->n_keys == 0;
	if (right || !key)
		return right;
	tdm_sha256(key, strlen(key), hash);
	for (size_t i = 0; i < s->n_keys; i++)
		right |= tdm_equal_ct(hash, s->keys[i], sizeof hash);
	return right;
}

static void run_route(struct tdm_call_context *c, const struct route *r, const char *id) {
	if (r->needs_key && !key_is_right(c->server, given_key(c->x))) {
		tdm_fail(&c->error, TDM_EKEY, "the API key is missing or not one of this server's");
		tdm_reply_error(c, NULL);
	} else if (tdm_exchange_too_large(c->x)) {
		tdm_fail(&c->error, TDM_ETOOLARGE, "the body is larger than %lld bytes (serve.max_body_bytes)",
		         (long long)c->server->settings->max_body_bytes);
		tdm_reply_error(c, NULL);
	} else if (r->handle) {
		r->handle(c);
	} else {
		r->handle_id(c, id);
	}
}

static void dispatch(struct tdm_call_context *c) {
	const char *path = plain_path(c), *allow = NULL;
	if (!strncmp(path, "/messages", 9))
		c->format = &tdm_format_messages;
	for (size_t i = 0; i < TDM_COUNT(routes); i++) {
		const char *id = match(&routes[i], path);
		if (!id)
			continue;
		if (same_method(tdm_exchange_method(c->x), routes[i].method)) {
			run_route(c, &routes[i], id);
			return;
		}
		allow = routes[i].method;
	}
	no_route(c, path, allow);
}

// --- one exchange, on a worker

static bool good_request_id(const char *id) {
	size_t n = id ? strlen(id) : 0;
	return n && n <= 64 && strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n;
}

// The client's own id, if it is a good one, or a new one. Every answer carries it.
static void set_request_id(struct tdm_call_context *c) {
	const char *given = tdm_exchange_header(c->x, "x-request-id");
	if (good_request_id(given))
		snprintf(c->request_id, sizeof c->request_id, "%s", given);
	else
		tdm_make_id(c->request_id, "req_");
	tdm_exchange_set(c->x, "x-request-id", c->request_id);
	tdm_exchange_set(c->x, "request-id", c->request_id);
}

static void answer(struct tdm_server *s, struct tdm_exchange *x) {
	struct tdm_arena arena;
	struct tdm_call_context c = {.server = s, .x = x, .arena = &arena, .format = &tdm_format_chat};
	tdm_arena_init(&arena, ARENA_BASE_BYTES + 16 * tdm_exchange_body(x)->len);
	set_request_id(&c);
	dispatch(&c);
	tdm_arena_release(&arena);
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
		pthread_mutex_unlock(&s->mutex);
		answer(s, x);
		pthread_mutex_lock(&s->mutex);
		s->busy--;
		pthread_cond_broadcast(&s->idle);
	}
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

static void refuse_full(struct tdm_server *s, struct tdm_exchange *x) {
	struct tdm_call_context c = {.server = s, .x = x, .format = &tdm_format_chat};
	set_request_id(&c);
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

static int read_key(const char *spec, char *out, size_t cap, struct tdm_error *err) {
	if (!strncmp(spec, "env:", 4)) {
		const char *value = getenv(spec + 4);
		if (!value || !*value)
			return tdm_fail(err, TDM_ECONFIG, "serve.keys: the environment has no variable %s", spec + 4);
		snprintf(out, cap, "%s", value);
		return TDM_OK;
	}
	if (strncmp(spec, "file:", 5))
		return tdm_fail(err, TDM_ECONFIG, "serve.keys: expected \"env:NAME\" or \"file:PATH\"");
	struct tdm_bytes bytes;
	int status = tdm_file_read(spec + 5, cap - 1, &bytes, err);
	if (status)
		return status;
	snprintf(out, cap, "%s", bytes.data ? bytes.data : "");
	out[strcspn(out, "\r\n")] = 0;
	tdm_bytes_release(&bytes);
	return *out ? TDM_OK : tdm_fail(err, TDM_ECONFIG, "serve.keys: %s is empty", spec + 5);
}

static int read_keys(struct tdm_server *s, struct tdm_error *err) {
	const struct tdm_strings *keys = &s->settings->keys;
	if (keys->n > TDM_MAX_KEYS)
		return tdm_fail(err, TDM_ECONFIG, "serve.keys: expected at most %d keys, got %zu", TDM_MAX_KEYS, keys->n);
	for (size_t i = 0; i < keys->n; i++) {
		char key[512];
		int status = read_key(keys->items[i], key, sizeof key, err);
		if (status)
			return status;
		tdm_sha256(key, strlen(key), s->keys[s->n_keys++]);
		tdm_wipe(key, sizeof key);
	}
	return TDM_OK;
}

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
		status = read_keys(s, err);
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
