// Origin: which web pages may ask, and under which names. A browser on this machine runs pages of strangers: what they
// send comes from this machine too.
//
// The rules it protects: no page of another origin than the server's own may ask, unless serve.cors names it; and
// without keys, on loopback, a request counts only under a name that means this machine, so that a page whose name was
// made to point here (DNS rebinding) is refused.
#include "serve/server_parts.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_listed(const struct tdm_strings *list, const char *text, size_t n) {
	for (size_t i = 0; i < list->n; i++)
		if (strlen(list->items[i]) == n && !strncasecmp(list->items[i], text, n))
			return true;
	return false;
}

// A number is no name, and cannot be made to point elsewhere.
static bool is_number(const char *name, size_t n) {
	char text[64];
	struct in6_addr address;
	if (n >= sizeof text)
		return false;
	bool is_v6 = n > 2 && name[0] == '[' && name[n - 1] == ']';
	snprintf(text, sizeof text, "%.*s", (int)(is_v6 ? n - 2 : n), is_v6 ? name + 1 : name);
	return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, &address) == 1;
}

static bool host_is_right(const struct tdm_call_context *c, const struct tdm_serve_settings *settings) {
	const char *host = tdm_exchange_host(c->x), *close = *host == '[' ? strchr(host, ']') : NULL;
	size_t n = close ? (size_t)(close + 1 - host) : strcspn(host, ":");
	if (!*host || !tdm_listen_is_local(c->server->settings->listen) || (c->setup && !tdm_keys_none(c->setup->keys)))
		return true;
	return is_number(host, n) || (n == 9 && !strncasecmp(host, "localhost", 9)) || is_listed(&settings->hosts, host, n);
}

static bool is_own(const char *origin, const char *host) {
	const char *name = !strncmp(origin, "http://", 7) ? origin + 7 : !strncmp(origin, "https://", 8) ? origin + 8 : "";
	return *name && !strcasecmp(name, host);
}

static void set_headers(const struct tdm_call_context *c, const char *origin) {
	static const char *const fixed[][2] = {
	    {"vary", "Origin"},
	    {"access-control-expose-headers",
	     "x-request-id, request-id, retry-after, retry-after-ms, x-should-retry, x-tandem-receipt, x-tandem-requested, "
	     "x-tandem-served, x-tandem-decision, x-tandem-cache, x-tandem-warnings, x-tandem-cost, x-tandem-overhead-us"}};
	tdm_exchange_set(c->x, "access-control-allow-origin", origin);
	for (size_t i = 0; i < TDM_COUNT(fixed); i++)
		tdm_exchange_set(c->x, fixed[i][0], fixed[i][1]);
}

static void answer_preflight(const struct tdm_call_context *c) {
	const char *asked = tdm_exchange_header(c->x, "access-control-request-headers");
	tdm_exchange_set(c->x, "access-control-allow-methods", "GET, POST, DELETE");
	tdm_exchange_set(c->x, "access-control-allow-headers", asked ? asked : "authorization, content-type");
	tdm_exchange_set(c->x, "access-control-max-age", "600");
	tdm_exchange_reply(c->x, 204, NULL, "", 0);
}

bool tdm_origin_allowed(struct tdm_call_context *c) {
	const struct tdm_serve_settings *settings = c->setup ? &c->setup->settings : c->server->settings;
	const char *origin = tdm_exchange_header(c->x, "origin"), *host = tdm_exchange_host(c->x);
	if (!host_is_right(c, settings)) {
		tdm_fail(&c->error, TDM_EORIGIN, "this server is not known under this name; serve.hosts lists others");
	} else if (origin && !is_own(origin, host)) {
		if (!is_listed(&settings->cors, origin, strlen(origin)))
			tdm_fail(&c->error, TDM_EORIGIN, "a page of this origin may not ask; serve.cors lists those that may");
		else
			set_headers(c, origin);
	}
	if (c->error.status) {
		tdm_reply_error(c, NULL);
		return false;
	}
	if (!origin || strcmp(tdm_exchange_method(c->x), "OPTIONS") != 0)
		return true;
	answer_preflight(c);
	return false;
}
