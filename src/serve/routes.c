// Routes: from a path to its handler. A new path: a row in `routes`.
#include "base/log.h"
#include "base/format.h"
#include "ledger/metric.h"
#include "serve/formats/format.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ARENA_BASE_BYTES ((size_t)64 << 20) // of one request, beside 16 times its body

static void handle_list(struct tdm_call_context *c) {
	tdm_handle_models(c, NULL);
}

static void handle_certificates(struct tdm_call_context *c) {
	tdm_handle_certificates(c, NULL);
}

struct route {
	const char *method, *path;
	enum {
		TDM_ANYBODY, // also served while models load and while the server is about to stop
		TDM_KEY,
		TDM_ADMIN,
	} needs;
	void (*handle)(struct tdm_call_context *c);                    // the path is whole
	void (*handle_id)(struct tdm_call_context *c, const char *id); // the path is a prefix; the rest is an id
};

bool tdm_is_quick(const struct tdm_exchange *x) {
	const char *path = tdm_exchange_path(x);
	if (!strncmp(path, "/v1/", 4))
		path += 3;
	return !strncmp(path, "/health", 7) || !strcmp(path, "/metrics");
}

static const struct route routes[] = {
    {"POST", "/chat/completions", TDM_KEY, tdm_handle_answer, NULL},
    {"POST", "/completions", TDM_KEY, tdm_handle_answer, NULL},
    {"POST", "/embeddings", TDM_KEY, tdm_handle_embeddings, NULL},
    {"POST", "/rerank", TDM_KEY, tdm_handle_rerank, NULL},
    {"POST", "/moderations", TDM_KEY, tdm_handle_moderations, NULL},
    {"GET", "/tokenizer_info", TDM_KEY, tdm_handle_tokenizer_info, NULL},
    {"POST", "/tokenize", TDM_KEY, tdm_handle_tokenize, NULL},
    {"POST", "/detokenize", TDM_KEY, tdm_handle_detokenize, NULL},
    {"POST", "/messages", TDM_KEY, tdm_handle_answer, NULL},
    {"POST", "/messages/count_tokens", TDM_KEY, tdm_handle_count, NULL},
    {"POST", "/responses", TDM_KEY, tdm_handle_answer, NULL},
    {"POST", "/responses/input_tokens", TDM_KEY, tdm_handle_count, NULL},
    {"POST", "/responses/", TDM_KEY, NULL, tdm_handle_response_cancel},
    {"GET", "/responses/", TDM_KEY, NULL, tdm_handle_response},
    {"DELETE", "/responses/", TDM_KEY, NULL, tdm_handle_response_delete},
    {"GET", "/models", TDM_KEY, handle_list, NULL},
    {"GET", "/models/", TDM_KEY, NULL, tdm_handle_models},
    {"GET", "/receipts/", TDM_KEY, NULL, tdm_handle_receipt},
    {"GET", "/certificates", TDM_ADMIN, handle_certificates, NULL},
    {"GET", "/certificates/", TDM_KEY, NULL, tdm_handle_certificates},
    {"GET", "/tree", TDM_KEY, tdm_handle_tree, NULL},
    {"GET", "/", TDM_ANYBODY, tdm_handle_page, NULL},
    {"GET", "/admin", TDM_ANYBODY, tdm_handle_page, NULL},
    {"GET", "/seen", TDM_ANYBODY, tdm_handle_page, NULL},
    {"GET", "/web/", TDM_ANYBODY, NULL, tdm_handle_page_file},
    {"GET", "/admin/stats/", TDM_ADMIN, NULL, tdm_handle_stats},
    {"GET", "/health", TDM_ANYBODY, tdm_handle_health, NULL},
    {"GET", "/metrics", TDM_ANYBODY, tdm_handle_metrics, NULL},
    {"GET", "/health/live", TDM_ANYBODY, tdm_handle_live, NULL},
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

// Who has no key learns nothing, not even which paths there are.
static void no_route(struct tdm_call_context *c, const char *path, const char *allow) {
	if (c->setup && tdm_authenticate(c)) {
		// told
	} else if (allow) {
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

static bool may_run(struct tdm_call_context *c, const struct route *r) {
	if (r->needs == TDM_ANYBODY)
		return true;
	if (tdm_ready(c, &c->error) || tdm_authenticate(c))
		return false;
	if (r->needs == TDM_ADMIN && !c->who.admin)
		tdm_fail(&c->error, TDM_EADMIN, "this needs a key with the right to administrate");
	return !c->error.status;
}

static void run_route(struct tdm_call_context *c, const struct route *r, const char *id) {
	if (!may_run(c, r)) {
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
	else if (!strncmp(path, "/responses", 10))
		c->format = &tdm_format_responses;
	else if (!strcmp(path, "/completions"))
		c->format = &tdm_format_completions;
	for (size_t i = 0; i < TDM_COUNT(routes); i++) {
		const char *id = match(&routes[i], path);
		if (!id)
			continue;
		c->endpoint = routes[i].path;
		if (same_method(tdm_exchange_method(c->x), routes[i].method)) {
			run_route(c, &routes[i], id);
			return;
		}
		allow = allow ? tdm_arena_printf(c->arena, "%s, %s", allow, routes[i].method) : routes[i].method;
	}
	no_route(c, path, allow);
}

static bool good_request_id(const char *id) {
	size_t n = id ? strlen(id) : 0;
	return n && n <= 64 && strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n;
}

// The client's own id, if it is a good one, or a new one. Every answer carries it.
void tdm_set_request_id(struct tdm_call_context *c) {
	const char *given = tdm_exchange_header(c->x, "x-request-id");
	if (good_request_id(given))
		tdm_print(c->request_id, sizeof c->request_id, "%s", given);
	else
		tdm_make_id(c->request_id, "req_");
	tdm_exchange_set(c->x, "x-request-id", c->request_id);
	tdm_exchange_set(c->x, "request-id", c->request_id);
}

// What asked no model: only the path of a known route is told.
static void count_plain(const struct tdm_call_context *c) {
	char status[16];
	int failed = c->error.status;
	tdm_print(status, sizeof status, "%d", failed ? tdm_status_info(failed)->http : 200);
	tdm_metric_add(TDM_METRIC_REQUESTS, 1,
	               TDM_LABELS(c->endpoint ? c->endpoint : "unknown", NULL, status, failed ? "refused" : "complete"));
	tdm_log(failed ? TDM_INFO : TDM_DEBUG, "request", NULL, " request=%s endpoint=%s status=%s error=%s", c->request_id,
	        c->endpoint ? c->endpoint : "unknown", status, failed ? tdm_status_info(failed)->code : "-");
	if (failed)
		tdm_metric_add(TDM_METRIC_REJECTED, 1, TDM_LABELS(tdm_status_info(failed)->code));
}

void tdm_answer(struct tdm_server *s, const struct tdm_setup *setup, struct tdm_exchange *x) {
	struct tdm_arena arena;
	struct tdm_call_context c = {.server = s, .setup = setup, .x = x, .arena = &arena, .format = &tdm_format_chat};
	tdm_arena_init(&arena, ARENA_BASE_BYTES + 16 * tdm_exchange_body(x)->len);
	tdm_set_request_id(&c);
	if (tdm_origin_allowed(&c))
		dispatch(&c);
	if (!c.counted)
		count_plain(&c);
	tdm_bounds_leave(&c);
	tdm_who_leave(&c.who);
	tdm_arena_release(&arena);
}
