// Info: what the server says about itself: its models, its receipts, its health.
#include "base/text.h"
#include "models/sources.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void no_model(const struct tdm_setup *s, const char *name, struct tdm_error *err) {
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

static struct tdm_model *find_model(const struct tdm_setup *s, const char *name) {
	if (name && !strncmp(name, "tandem/", 7))
		name += 7;
	if (!name || !*name || !strcmp(name, "auto") || !strcmp(name, "default"))
		return s->standard;
	struct tdm_model *m = tdm_tree_model(s->tree, name);
	const char *at = m ? NULL : strchr(name, '@'); // wishes follow: tdm_entry_aim reads them
	char plain[256];
	if (at) {
		snprintf(plain, sizeof plain, "%.*s", (int)(at - name), name);
		return find_model(s, plain);
	}
	return m && (!m->hidden || m == s->standard) ? m : NULL;
}

struct tdm_model *tdm_find_model(const struct tdm_call_context *c, const char *name, struct tdm_error *err) {
	struct tdm_model *m = find_model(c->setup, name);
	if (m && tdm_who_may_ask(&c->who, m->name))
		return m;
	if (m)
		tdm_fail_param(err, TDM_EFORBIDDEN, "model", "this key may not ask the model \"%s\"", m->name);
	else
		no_model(c->setup, name, err);
	return NULL;
}

static void put_model(struct tdm_call_context *c, struct tdm_bytes *out, const struct tdm_model *m) {
	static const char *const caps[] = {"text", "logprobs", "score", "embed", "step", "tools"};
	char when[32];
	time_t started = (time_t)c->setup->made_s;
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
	tdm_bytes_printf(out, "],\"default\":%s}}", m == c->setup->standard ? "true" : "false");
}

static int by_name(const void *a, const void *b) {
	return strcmp((*(struct tdm_model *const *)a)->name, (*(struct tdm_model *const *)b)->name);
}

// The models a client may see, sorted, the default first.
static size_t visible_models(struct tdm_call_context *c, const struct tdm_model **out, size_t cap) {
	struct tdm_model *const *all;
	size_t n_all = tdm_tree_models(c->setup->tree, &all), n = 0;
	if (tdm_who_may_ask(&c->who, c->setup->standard->name))
		out[n++] = c->setup->standard;
	size_t first = n;
	for (size_t i = 0; i < n_all && n < cap; i++)
		if (!all[i]->hidden && all[i] != c->setup->standard && tdm_who_may_ask(&c->who, all[i]->name))
			out[n++] = all[i];
	qsort(out + first, n - first, sizeof *out, by_name);
	return n;
}

static void put_name(struct tdm_bytes *out, const struct tdm_model *m) {
	if (m)
		tdm_bytes_json(out, m->name, strlen(m->name));
	else
		tdm_bytes_puts(out, "null");
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
		put_name(&body, n ? models[0] : NULL);
		tdm_bytes_puts(&body, ",\"last_id\":");
		put_name(&body, n ? models[n - 1] : NULL);
		tdm_bytes_putc(&body, '}');
	}
	if (shown || !id) {
		tdm_reply_json(c, &body);
	} else {
		tdm_fail_param(&c->error, TDM_EMODEL, "model", "there is no model \"%s\"; GET /v1/models lists them", id);
		tdm_reply_error(c, NULL);
	}
	tdm_bytes_release(&body);
}

void tdm_handle_receipt(struct tdm_call_context *c, const char *id) {
	struct tdm_bytes body;
	tdm_bytes_init(&body, 4 << 20);
	if (tdm_ledger_receipt(c->server->ledger, id, c->who.admin ? NULL : c->who.tenant, &body, &c->error)) {
		tdm_reply_error(c, NULL);
	} else {
		tdm_exchange_set(c->x, "cache-control", "private");
		tdm_reply_json(c, &body);
	}
	tdm_bytes_release(&body);
}

static void reply_unready(struct tdm_call_context *c) {
	struct tdm_bytes body;
	const struct tdm_status_info *info = tdm_status_info(c->error.status);
	tdm_bytes_init(&body, 4096);
	tdm_set_error_headers(c->x, &c->error, false);
	tdm_bytes_printf(&body, "{\"status\":\"%s\",\"error\":{\"message\":", info->code);
	tdm_bytes_json(&body, c->error.text, strlen(c->error.text));
	tdm_bytes_printf(&body, ",\"type\":\"unavailable_error\",\"param\":null,\"code\":\"%s\"}}", info->code);
	tdm_reply_body(c->x, info->http, &body);
	tdm_bytes_release(&body);
}

// What a load balancer asks: no key. Why the last reload failed is for who has one: the sentence names files.
void tdm_handle_health(struct tdm_call_context *c) {
	struct tdm_bytes body;
	struct tdm_model *const *models;
	char fault[sizeof c->server->fault];
	if (tdm_ready(c, &c->error)) {
		reply_unready(c);
		return;
	}
	size_t n = tdm_tree_models(c->setup->tree, &models);
	tdm_bytes_init(&body, 1 << 20);
	tdm_bytes_puts(&body, "{\"status\":\"ok\",\"models\":{");
	for (size_t i = 0, shown = 0; i < n; i++) {
		if (models[i]->hidden)
			continue;
		tdm_bytes_puts(&body, shown++ ? "," : "");
		tdm_bytes_json(&body, models[i]->name, strlen(models[i]->name));
		tdm_bytes_printf(&body, ":\"%s\"", tdm_remote_is_open(models[i]) ? "open-circuit" : "ok");
	}
	pthread_mutex_lock(&c->server->mutex);
	memcpy(fault, c->server->fault, sizeof fault);
	pthread_mutex_unlock(&c->server->mutex);
	tdm_bytes_printf(&body, "},\"settings\":{\"hash\":\"%s\",\"reload\":\"%s\"", tdm_tree_hash(c->setup->tree),
	                 *fault ? "failed" : "ok");
	if (*fault && !tdm_authenticate(c)) {
		tdm_bytes_puts(&body, ",\"error\":");
		tdm_bytes_json(&body, fault, strlen(fault));
	}
	tdm_bytes_puts(&body, "}}");
	tdm_reply_json(c, &body);
	tdm_bytes_release(&body);
}

void tdm_handle_live(struct tdm_call_context *c) {
	tdm_exchange_reply(c->x, 200, "application/json", "{\"status\":\"ok\"}", 15);
}
