// Admin: GET /admin/stats/hour and /admin/stats/day, the figures of the admin page.
//
// The rule it protects: who may see them. A server with keys asks for one with the right to administrate; a keyless one
// answers clients of its own machine only (routes.c, bounds.c).
#include "base/clock.h"
#include "serve/server_parts.h"
#include <string.h>

static const char *const windows[TDM_N_WINDOWS] = {[TDM_LAST_HOUR] = "hour", [TDM_LAST_DAY] = "day"};

static int find_window(struct tdm_call_context *c, const char *name, enum tdm_window *out) {
	for (int i = 0; i < TDM_N_WINDOWS; i++)
		if (!strcmp(windows[i], name)) {
			*out = (enum tdm_window)i;
			return TDM_OK;
		}
	return tdm_fail(&c->error, TDM_EPATH, "there are no figures of \"%s\": expected hour or day", name);
}

static void put_queue(struct tdm_call_context *c, struct tdm_bytes *out) {
	struct tdm_server *s = c->server;
	size_t busy, waiting;
	tdm_http_load(s->http, &busy, &waiting);
	tdm_bytes_printf(out, "\"running\":%zu,\"waiting\":%zu,\"workers\":%lld,\"queue\":%lld,\"draining\":%s",
	                 busy ? busy - 1 : 0, waiting, (long long)s->settings->workers, // this request is no work
	                 (long long)s->settings->queue, atomic_load(&s->draining_us) ? "true" : "false");
}

static int put_stats(struct tdm_call_context *c, enum tdm_window window, struct tdm_bytes *out) {
	int64_t now_s = tdm_wall_us() / 1000000;
	tdm_bytes_printf(out, "{\"object\":\"stats\",\"window\":\"%s\",\"now\":%lld,\"live\":{", windows[window],
	                 (long long)now_s);
	put_queue(c, out);
	tdm_bytes_puts(out, ",\"requests\":");
	tdm_live_write(&c->server->live, out);
	tdm_bytes_puts(out, "},");
	int status = tdm_ledger_stats(c->server->ledger, c->server->stats, window, now_s, out, &c->error);
	tdm_bytes_putc(out, '}');
	return status;
}

void tdm_handle_stats(struct tdm_call_context *c, const char *name) {
	enum tdm_window window = TDM_LAST_HOUR;
	struct tdm_bytes body;
	tdm_bytes_init(&body, 16 << 20);
	int status = find_window(c, name, &window);
	if (!status)
		status = put_stats(c, window, &body);
	if (status) {
		tdm_reply_error(c, NULL);
	} else {
		tdm_exchange_set(c->x, "cache-control", "no-store");
		tdm_reply_json(c, &body);
	}
	tdm_bytes_release(&body);
}
