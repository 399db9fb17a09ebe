// POST /v1/messages/count_tokens, /v1/responses/input_tokens: how long a prompt would be, without asking anybody.
// Programs that pack their context by it count wrong without it.
#include "serve/formats/format.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <string.h>

static int count(struct tdm_call_context *c, struct tdm_run *run, int64_t *n) {
	struct tdm_chat_request asked;
	struct tdm_value *body;
	bool estimated = false;
	int status = tdm_read_body(c, &body, &run->error);
	if (!status && c->format->resolve)
		status = c->format->resolve(c, run->record, body, &run->error);
	if (!status)
		status = c->format->read(c->arena, body, run->record, &asked, &run->error);
	struct tdm_model *model = status ? NULL : tdm_find_model(c, asked.model, &run->error);
	if (!model)
		return run->error.status;
	status = tdm_count_prompt(model, run, &asked.request, n, &estimated);
	if (estimated)
		tdm_record_warn(run->record, "usage_estimated", NULL, "no model here can count these tokens");
	return status;
}

void tdm_handle_count(struct tdm_call_context *c) {
	struct tdm_run run;
	int64_t n = 0;
	char text[96];
	if (tdm_run_init(&run, c->arena, 1) || count(c, &run, &n)) {
		c->error = run.error;
		tdm_reply_error(c, NULL);
		return;
	}
	tdm_set_warnings(c->x, run.record);
	snprintf(text, sizeof text, "{%s\"input_tokens\":%lld}",
	         c->format == &tdm_format_responses ? "\"object\":\"response.input_tokens\"," : "", (long long)n);
	tdm_exchange_reply(c->x, 200, "application/json", text, strlen(text));
}
