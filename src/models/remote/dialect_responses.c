// Responses of OpenAI. What differs from a chat: messages, calls and results of tools are items of one list, the stream
// tells what happened to which item, and there is no field for stop strings, so the answer is ended here.
#include "models/remote/dialect.h"
#include <string.h>

// --- what is asked

static void write_message(struct tdm_bytes *b, const struct tdm_message *m) {
	static const char *const roles[] = {"system", "user", "assistant", "user"};
	tdm_bytes_join(b, "{\"type\":\"message\",\"role\":\"", roles[m->from], "\",\"content\":");
	tdm_bytes_json(b, m->text, m->len);
	tdm_bytes_putc(b, '}');
}

static void write_call(struct tdm_bytes *b, const struct tdm_tool_call *c) {
	tdm_write_string(b, "{\"type\":\"function_call\",\"call_id\":", c->id);
	tdm_write_string(b, ",\"name\":", c->name);
	tdm_bytes_puts(b, ",\"arguments\":");
	tdm_bytes_json(b, c->arguments, c->len);
	tdm_bytes_putc(b, '}');
}

static void write_input(struct tdm_bytes *b, const struct tdm_request *rq) {
	bool first = true;
	tdm_bytes_puts(b, ",\"input\":[");
	for (size_t i = 0; i < rq->n_messages; i++) {
		const struct tdm_message *m = &rq->messages[i];
		if (!first)
			tdm_bytes_putc(b, ',');
		first = false;
		if (m->from == TDM_FROM_TOOL && m->call_id) {
			tdm_write_string(b, "{\"type\":\"function_call_output\",\"call_id\":", m->call_id);
			tdm_bytes_puts(b, ",\"output\":");
			tdm_bytes_json(b, m->text, m->len);
			tdm_bytes_putc(b, '}');
			continue;
		}
		if (m->len || !m->n_calls)
			write_message(b, m);
		for (size_t k = 0; k < m->n_calls; k++) {
			if (k || m->len)
				tdm_bytes_putc(b, ',');
			write_call(b, &m->calls[k]);
		}
	}
	tdm_bytes_putc(b, ']');
}

static void write_tools(struct tdm_bytes *b, const struct tdm_toolbox *tools) {
	if (!tools->n)
		return;
	for (size_t i = 0; i < tools->n; i++) {
		const struct tdm_tool *t = &tools->items[i];
		tdm_bytes_puts(b, i ? "," : ",\"tools\":[");
		tdm_write_string(b, "{\"type\":\"function\",\"name\":", t->name);
		if (t->description)
			tdm_write_string(b, ",\"description\":", t->description);
		tdm_bytes_puts(b, ",\"parameters\":");
		if (t->parameters)
			tdm_bytes_add(b, t->parameters, t->len);
		else
			tdm_bytes_puts(b, "{\"type\":\"object\",\"properties\":{}}");
		tdm_bytes_join(b, ",\"strict\":", t->strict ? "true" : "false", "}");
	}
	tdm_bytes_putc(b, ']');
	tdm_write_choice(b, tools, ",\"tool_choice\":{\"type\":\"function\",\"name\":", "}");
}

static void write_form(struct tdm_bytes *b, const struct tdm_form *form) {
	if (form->kind == TDM_GRAMMAR_JSON) {
		tdm_bytes_puts(b, ",\"text\":{\"format\":{\"type\":\"json_object\"}}");
		return;
	}
	tdm_write_string(b,
	                 ",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":", form->name ? form->name : "answer");
	tdm_bytes_puts(b, form->strict ? ",\"strict\":true,\"schema\":" : ",\"schema\":");
	tdm_bytes_add(b, form->text, form->len);
	tdm_bytes_puts(b, "}}");
}

static int write_request(struct tdm_bytes *b, const struct tdm_asking *a, struct tdm_run *run,
                         const struct tdm_request *rq) {
	int64_t most = tdm_most_tokens(a, rq);
	tdm_write_string(b, "{\"model\":", a->model);
	write_input(b, rq);
	write_tools(b, &rq->tools);
	if (most > 0)
		tdm_bytes_named(b, ",\"max_output_tokens\":", most < 16 ? 16 : most); // its least
	tdm_write_sampling(b, a, rq);
	if (rq->logprobs)
		tdm_bytes_named(b, ",\"include\":[\"message.output_text.logprobs\"],\"top_logprobs\":", rq->top_logprobs);
	if (rq->form)
		write_form(b, rq->form);
	tdm_bytes_puts(b, ",\"store\":false,\"stream\":true}");
	return TDM_OK;
}

// --- what is answered

typedef int reader(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event);

static int64_t index_of(const struct tdm_value *event) {
	return (int64_t)fmin(tdm_get_number(event, "output_index", 0), 1e9);
}

static int read_text(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *delta = tdm_get(event, "delta");
	if (!delta || delta->type != TDM_STRING)
		return TDM_OK;
	return tdm_upstream_tokens(u, arena, delta, tdm_get(event, "logprobs"));
}

static int read_thought(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *delta = tdm_get(event, "delta");
	return delta && delta->type == TDM_STRING ? tdm_upstream_thought(u, delta->text, delta->len) : TDM_OK;
}

static int read_item(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *item = tdm_get(event, "item");
	const char *type = tdm_get_string(item, "type"), *name = tdm_get_string(item, "name");
	if (!type || strcmp(type, "function_call") != 0)
		return TDM_OK;
	return tdm_upstream_call(u, index_of(event), tdm_get_string(item, "call_id"), name, NULL);
}

static int read_arguments(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	return tdm_upstream_call(u, index_of(event), NULL, NULL, tdm_get(event, "delta"));
}

// The whole item: where its arguments did not come in pieces, they are here.
static int read_item_done(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *item = tdm_get(event, "item");
	const char *type = tdm_get_string(item, "type");
	int64_t index = index_of(event);
	if (!type || strcmp(type, "function_call") != 0)
		return TDM_OK;
	for (int i = 0; i < u->calls.n; i++)
		if (u->calls.items[i].index == index && u->calls.items[i].arguments.len)
			return TDM_OK;
	return tdm_upstream_call(u, index, tdm_get_string(item, "call_id"), tdm_get_string(item, "name"),
	                         tdm_get(item, "arguments"));
}

static int read_begin(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	tdm_upstream_model(u, tdm_get_string(tdm_get(event, "response"), "model"));
	return TDM_OK;
}

static void read_usage(struct tdm_upstream *u, const struct tdm_value *usage) {
	tdm_upstream_thought_tokens(u, tdm_get_number(tdm_get(usage, "output_tokens_details"), "reasoning_tokens", -1));
	if (usage)
		tdm_upstream_usage(u, tdm_get_number(usage, "input_tokens", -1), tdm_get_number(usage, "output_tokens", -1),
		                   tdm_get_number(tdm_get(usage, "input_tokens_details"), "cached_tokens", -1));
}

static int read_end(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	static const struct tdm_reason reasons[] = {{"completed", TDM_FINISH_STOP},
	                                            {"max_output_tokens", TDM_FINISH_LENGTH},
	                                            {"content_filter", TDM_FINISH_FILTER},
	                                            {NULL, 0}};
	const struct tdm_value *response = tdm_get(event, "response");
	const char *why = tdm_get_string(tdm_get(response, "incomplete_details"), "reason");
	const char *status = tdm_get_string(response, "status");
	bool cut = status && !strcmp(status, "incomplete");
	read_usage(u, tdm_get(response, "usage"));
	int end = tdm_upstream_finish(u, reasons, why ? why : cut ? "max_output_tokens" : "completed");
	u->done = true;
	return end;
}

static int read_failed(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *error = tdm_get(tdm_get(event, "response"), "error");
	return tdm_upstream_fault(u, error ? error : event);
}

static int read_event(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	static const struct {
		const char *type;
		reader *read;
	} types[] = {{"response.created", read_begin},
	             {"response.output_text.delta", read_text},
	             {"response.refusal.delta", read_text},
	             {"response.reasoning_summary_text.delta", read_thought},
	             {"response.reasoning_text.delta", read_thought},
	             {"response.output_item.added", read_item},
	             {"response.function_call_arguments.delta", read_arguments},
	             {"response.output_item.done", read_item_done},
	             {"response.completed", read_end},
	             {"response.incomplete", read_end},
	             {"response.failed", read_failed},
	             {"response.cancelled", read_failed},
	             {"error", read_failed}};
	const char *type = tdm_get_string(event, "type");
	for (size_t i = 0; type && i < sizeof types / sizeof types[0]; i++)
		if (!strcmp(types[i].type, type))
			return types[i].read(u, arena, event);
	return type ? TDM_OK : tdm_upstream_bad(u, "an event without a type");
}

const struct tdm_dialect tdm_dialect_responses = {
    .name = "responses",
    .path = "/responses",
    .key_header = "Authorization",
    .key_prefix = "Bearer ",
    .can = TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_FORM | TDM_CAN_TOOLS,
    .knows = TDM_KNOWS_LOGPROBS,
    .write = write_request,
    .read = read_event,
};
