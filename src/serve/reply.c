// Reply: what every path shares of reading a request and answering it.
#include "serve/formats/format.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <strings.h>

#define LONGEST_WAIT_MS 60000

// Clients are told to try again only where that may help and nobody has tried again here: their tries and ours
// multiply.
void tdm_set_error_headers(struct tdm_exchange *x, const struct tdm_error *err, bool retried) {
	const struct tdm_status_info *info = tdm_status_info(err->status);
	bool is_long = err->retry_after_ms > LONGEST_WAIT_MS; // clients would sleep, or not wait at all
	bool helps = info->retry != TDM_RETRY_NO && !is_long && !retried;
	tdm_exchange_set(x, "x-should-retry", helps ? "true" : "false");
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

void tdm_reply_body(struct tdm_exchange *x, int http_status, const struct tdm_bytes *body) {
	static const char none[] =
	    "{\"error\":{\"message\":\"there is no memory for this answer\",\"type\":\"overloaded_error\","
	    "\"param\":null,\"code\":\"out_of_memory\"}}";
	if (body->failed)
		tdm_exchange_reply(x, 503, "application/json", none, sizeof none - 1);
	else
		tdm_exchange_reply(x, http_status, "application/json", body->data ? body->data : "", body->len);
}

void tdm_reply_error(struct tdm_call_context *c, const char *receipt) {
	struct tdm_bytes body;
	tdm_bytes_init(&body, 1 << 20);
	tdm_set_error_headers(c->x, &c->error, c->retried);
	c->format->error(&body, &c->error, c->request_id, receipt);
	tdm_reply_body(c->x, tdm_status_info(c->error.status)->http, &body);
	tdm_bytes_release(&body);
}

void tdm_reply_json(struct tdm_call_context *c, const struct tdm_bytes *body) {
	tdm_reply_body(c->x, 200, body);
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

int tdm_read_body(struct tdm_call_context *c, struct tdm_value **out, struct tdm_error *err) {
	const struct tdm_bytes *body = tdm_exchange_body(c->x);
	const char *encoding = tdm_exchange_header(c->x, "content-encoding");
	if (encoding && strcasecmp(encoding, "identity"))
		return tdm_fail(err, TDM_EMEDIA, "content-encoding: expected identity, got %s", encoding);
	return tdm_json_parse(c->arena, body->data ? body->data : "", body->len, out, err);
}
