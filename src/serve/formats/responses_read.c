// Responses, reading: the body of POST /v1/responses into the internal request. Calls of tools, which are items of
// their own here, join the assistant's message before them. A new field of the request: read_settings(), and a row in
// `echoed` if the answer repeats it.
#include "serve/reader.h"
#include "serve/formats/responses.h"
#include <string.h>

struct growing { // the messages so far
	struct tdm_message *items;
	size_t n;
	struct tdm_tool_call *calls; // of all of them, in order
	size_t n_calls;
};

// --- text

static int add_part(struct tdm_reader *r, const struct tdm_value *part, const char *param, struct tdm_bytes *text) {
	static const char *const texts[] = {"input_text", "output_text", "text", "summary_text", "refusal"};
	const char *type = tdm_get_string(part, "type");
	for (size_t i = 0; type && i < 5; i++) {
		if (strcmp(type, texts[i]) != 0)
			continue;
		const struct tdm_value *value = tdm_get(part, i == 4 ? "refusal" : "text");
		if (!value || value->type != TDM_STRING)
			return tdm_reader_wrong(r, param, "a text part with a string", value);
		tdm_bytes_add(text, value->text, value->len);
		return TDM_OK;
	}
	return tdm_fail_param(r->err, TDM_ECONTENT, param, "%s: this model takes text parts only", param);
}

static int read_parts(struct tdm_reader *r, const struct tdm_value *parts, const char *param, struct tdm_message *out) {
	struct tdm_bytes text;
	int status = TDM_OK;
	tdm_bytes_init(&text, r->arena->limit_bytes);
	for (size_t i = 0; i < parts->n && !status; i++) {
		char *part = tdm_arena_printf(r->arena, "%s[%zu]", param, i);
		status = part ? add_part(r, &parts->items[i], part, &text) : tdm_reader_memory(r);
	}
	out->len = text.len;
	out->text = status || text.failed ? NULL : tdm_arena_copy(r->arena, text.data ? text.data : "", text.len);
	tdm_bytes_release(&text);
	return status || out->text ? status : tdm_reader_memory(r);
}

// A string, or a list of parts of text. name: of the item's member.
static int read_text(struct tdm_reader *r, const struct tdm_value *item, const char *name, const char *param,
                     struct tdm_message *out) {
	const struct tdm_value *value = tdm_get(item, name);
	char *at = tdm_arena_printf(r->arena, "%s.%s", param, name);
	out->text = "";
	if (!at)
		return tdm_reader_memory(r);
	if (value && value->type == TDM_LIST)
		return read_parts(r, value, at, out);
	if (!value || value->type != TDM_STRING)
		return tdm_reader_wrong(r, at, "a string or a list of parts", value);
	out->text = value->text;
	out->len = value->len;
	return TDM_OK;
}

// --- items

static int read_message(struct tdm_reader *r, const struct tdm_value *item, const char *param, struct growing *all) {
	static const struct {
		const char *name;
		enum tdm_author from;
	} roles[] = {{"user", TDM_FROM_USER},
	             {"assistant", TDM_FROM_ASSISTANT},
	             {"system", TDM_FROM_SYSTEM},
	             {"developer", TDM_FROM_SYSTEM}};
	const char *role = tdm_get_string(item, "role");
	struct tdm_message *m = &all->items[all->n];
	for (size_t i = 0; role && i < sizeof roles / sizeof roles[0]; i++) {
		if (strcmp(role, roles[i].name) != 0)
			continue;
		*m = (struct tdm_message){.from = roles[i].from};
		all->n++;
		return read_text(r, item, "content", param, m);
	}
	char *at = tdm_arena_printf(r->arena, "%s.role", param);
	return tdm_fail_param(r->err, TDM_EVALUE, at, "%s.role: expected user, assistant, system or developer", param);
}

// Of the assistant's message before it, if there is one.
static int read_call(struct tdm_reader *r, const struct tdm_value *item, const char *param, struct growing *all) {
	const struct tdm_value *id = tdm_get(item, "call_id");
	struct tdm_tool_call *call = &all->calls[all->n_calls++];
	if (!id || id->type != TDM_STRING || !id->len)
		return tdm_reader_wrong(r, param, "a call with a call_id", id);
	if (!all->n || all->items[all->n - 1].from != TDM_FROM_ASSISTANT)
		all->items[all->n++] = (struct tdm_message){.from = TDM_FROM_ASSISTANT, .text = ""};
	struct tdm_message *m = &all->items[all->n - 1];
	if (!m->n_calls)
		m->calls = call;
	m->n_calls++;
	call->id = id->text;
	return tdm_read_call(r, item, param, call);
}

static int read_output(struct tdm_reader *r, const struct tdm_value *item, const char *param, struct growing *all) {
	const struct tdm_value *id = tdm_get(item, "call_id");
	if (!id || id->type != TDM_STRING || !id->len)
		return tdm_reader_wrong(r, param, "an output with a call_id", id);
	struct tdm_message *m = &all->items[all->n++];
	*m = (struct tdm_message){.from = TDM_FROM_TOOL, .call_id = id->text};
	return read_text(r, item, "output", param, m);
}

static int read_item(struct tdm_reader *r, const struct tdm_value *item, const char *param, struct growing *all) {
	const char *type = tdm_get_string(item, "type");
	if (item->type != TDM_MAP)
		return tdm_reader_wrong(r, param, "an object", item);
	if (!type || !strcmp(type, "message"))
		return read_message(r, item, param, all);
	if (!strcmp(type, "function_call"))
		return read_call(r, item, param, all);
	if (!strcmp(type, "function_call_output"))
		return read_output(r, item, param, all);
	if (!strcmp(type, "reasoning"))
		return TDM_OK; // another model's thoughts are not shown to this one
	if (!strcmp(type, "item_reference"))
		return tdm_fail_param(r->err, TDM_EPREVIOUS, param, "%s: there is no stored item of that id", param);
	return tdm_fail_param(r->err, TDM_ECONTENT, param,
	                      "%s: this model takes messages, calls of functions and their outputs", param);
}

static int read_items(struct tdm_reader *r, const struct tdm_value *input, struct growing *all) {
	int status = TDM_OK;
	if (input->type == TDM_STRING) {
		all->items[all->n++] = (struct tdm_message){.from = TDM_FROM_USER, .text = input->text, .len = input->len};
		return TDM_OK;
	}
	for (size_t i = 0; i < input->n && !status; i++) {
		char *param = tdm_arena_printf(r->arena, "input[%zu]", i);
		status = param ? read_item(r, &input->items[i], param, all) : tdm_reader_memory(r);
	}
	return status;
}

static int read_input(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	const struct tdm_value *input = tdm_get(body, "input"), *system = tdm_get(body, "instructions");
	struct growing all = {0};
	if (!input)
		return tdm_fail_param(r->err, TDM_EMISSING, "input", "input: expected a string or a list of items");
	if (input->type != TDM_STRING && input->type != TDM_LIST)
		return tdm_reader_wrong(r, "input", "a string or a list of items", input);
	if (system && system->type != TDM_STRING)
		return tdm_reader_wrong(r, "instructions", "a string", system);
	size_t most = (input->type == TDM_LIST ? input->n : 1) + 1;
	all.items = tdm_arena_array(r->arena, most, sizeof *all.items);
	all.calls = tdm_arena_array(r->arena, most, sizeof *all.calls);
	if (!all.items || !all.calls)
		return tdm_reader_memory(r);
	if (system)
		all.items[all.n++] = (struct tdm_message){.from = TDM_FROM_SYSTEM, .text = system->text, .len = system->len};
	int status = read_items(r, input, &all);
	if (!status && all.n == (system ? 1u : 0u))
		status = tdm_fail_param(r->err, TDM_EVALUE, "input", "input: expected at least one message, got none");
	out->input = input;
	out->request.messages = all.items;
	out->request.n_messages = all.n;
	return status;
}

// --- settings

static int read_include(struct tdm_reader *r, const struct tdm_value *body, struct tdm_request *out) {
	const struct tdm_value *list = tdm_get(body, "include");
	if (!list)
		return TDM_OK;
	if (list->type != TDM_LIST)
		return tdm_reader_wrong(r, "include", "a list of strings", list);
	for (size_t i = 0; i < list->n; i++) {
		if (list->items[i].type != TDM_STRING)
			return tdm_reader_wrong(r, "include", "a list of strings", &list->items[i]);
		if (!strcmp(list->items[i].text, "message.output_text.logprobs"))
			out->logprobs = true;
		else
			tdm_record_warn(r->record, "parameter_ignored", "include", "only logprobs can be included");
	}
	return TDM_OK;
}

static int read_truncation(struct tdm_reader *r, const struct tdm_value *body, bool *may_drop) {
	const struct tdm_value *v = tdm_get(body, "truncation");
	*may_drop = v && v->type == TDM_STRING && !strcmp(v->text, "auto");
	if (!v || *may_drop || (v->type == TDM_STRING && !strcmp(v->text, "disabled")))
		return TDM_OK;
	return tdm_fail_param(r->err, TDM_EVALUE, "truncation", "truncation: expected auto or disabled");
}

static int read_flags(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	const struct tdm_value *text = tdm_get(body, "text");
	bool background = false;
	int status = tdm_reader_bool(r, body, "stream", "stream", &out->stream);
	if (!status)
		status = tdm_reader_bool(r, body, "store", "store", &out->store);
	if (!status)
		status = tdm_reader_bool(r, body, "background", "background", &background);
	if (!status && background)
		status = tdm_fail_param(r->err, TDM_ECAPABILITY, "background",
		                        "background: answers are given to the client that asks, not kept for later");
	if (!status && text && text->type != TDM_MAP)
		status = tdm_reader_wrong(r, "text", "an object", text);
	if (!status)
		status = tdm_read_form(r, tdm_get(text, "format"), "text.format", true, &out->request);
	return status ? status : read_truncation(r, body, &out->may_drop);
}

static void warn_ignored(struct tdm_reader *r, const struct tdm_value *body) {
	static const char *const ignored[] = {"max_tool_calls", "prompt"};
	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		if (tdm_get(body, ignored[i]))
			tdm_record_warn(r->record, "parameter_ignored", ignored[i], "no model of this tree has this setting");
	if (tdm_get(tdm_get(body, "reasoning"), "effort"))
		tdm_record_warn(r->record, "parameter_ignored", "reasoning", "no model of this tree has this setting");
}

static int read_settings(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	const struct tdm_value *model = tdm_get(body, "model");
	struct tdm_request *q = &out->request;
	if (model && model->type != TDM_STRING)
		return tdm_reader_wrong(r, "model", "a string", model);
	out->model = model && model->len ? model->text : NULL;
	int status = tdm_body_count(r, body, "max_output_tokens", 1, &q->max_tokens);
	if (!status)
		status = tdm_body_number(r, body, "temperature", 2, &q->temperature);
	if (!status)
		status = tdm_body_number(r, body, "top_p", 1, &q->top_p);
	if (!status)
		status = tdm_body_count(r, body, "top_logprobs", 0, &q->top_logprobs);
	if (!status && q->top_logprobs > 20)
		status = tdm_fail_param(r->err, TDM_EVALUE, "top_logprobs", "top_logprobs: expected 0 to 20");
	q->logprobs = q->top_logprobs > 0;
	if (!status)
		status = read_include(r, body, q);
	if (!status)
		status = read_flags(r, body, out);
	warn_ignored(r, body);
	return status;
}

// --- what the answer repeats

static const struct {
	const char *name, *absent;
} echoed[] = {
    {"background", "false"},
    {"instructions", "null"},
    {"max_output_tokens", "null"},
    {"max_tool_calls", "null"},
    {"metadata", "{}"},
    {"parallel_tool_calls", "true"},
    {"previous_response_id", "null"},
    {"prompt_cache_key", "null"},
    {"safety_identifier", "null"},
    {"service_tier", "null"},
    {"store", "false"},
    {"temperature", "null"},
    {"tool_choice", "\"auto\""},
    {"tools", "[]"},
    {"top_logprobs", "0"},
    {"top_p", "null"},
    {"truncation", "\"disabled\""},
    {"user", "null"},
};

static void put_value(struct tdm_bytes *out, const struct tdm_value *v, const char *absent) {
	if (v)
		tdm_value_write(out, v);
	else
		tdm_bytes_puts(out, absent);
}

static int write_echo(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	const struct tdm_value *reasoning = tdm_get(body, "reasoning"), *text = tdm_get(body, "text");
	struct tdm_bytes b;
	tdm_bytes_init(&b, r->arena->limit_bytes);
	for (size_t i = 0; i < sizeof echoed / sizeof echoed[0]; i++) {
		tdm_bytes_printf(&b, "\"%s\":", echoed[i].name);
		put_value(&b, tdm_get(body, echoed[i].name), echoed[i].absent);
		tdm_bytes_putc(&b, ',');
	}
	tdm_bytes_puts(&b, "\"reasoning\":{\"effort\":");
	put_value(&b, tdm_get(reasoning, "effort"), "null");
	tdm_bytes_puts(&b, ",\"summary\":");
	put_value(&b, tdm_get(reasoning, "summary"), "null");
	tdm_bytes_puts(&b, "},\"text\":{\"format\":");
	put_value(&b, tdm_get(text, "format"), "{\"type\":\"text\"}");
	if (tdm_get(text, "verbosity")) {
		tdm_bytes_puts(&b, ",\"verbosity\":");
		tdm_value_write(&b, tdm_get(text, "verbosity"));
	}
	tdm_bytes_putc(&b, '}');
	out->echo = b.failed ? NULL : tdm_arena_copy(r->arena, b.data, b.len);
	tdm_bytes_release(&b);
	return out->echo ? TDM_OK : tdm_reader_memory(r);
}

int tdm_responses_read(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
                       struct tdm_chat_request *out, struct tdm_error *err) {
	struct tdm_reader r = {arena, record, err};
	memset(out, 0, sizeof *out);
	tdm_request_init(&out->request);
	tdm_objective_init(&out->objective);
	out->n = 1;
	if (body->type != TDM_MAP)
		return tdm_fail(err, TDM_EVALUE, "the body: expected a JSON object, got %s", tdm_type_name(body->type));
	int status = read_input(&r, body, out);
	if (!status)
		status = read_settings(&r, body, out);
	if (!status)
		status = tdm_read_flat_tools(&r, body, &out->request.tools);
	if (!status)
		status = write_echo(&r, body, out);
	return status ? status : tdm_objective_read(tdm_get(body, "tandem"), &out->objective, err);
}

// --- a conversation that does not fit

bool tdm_responses_drop(struct tdm_arena *arena, struct tdm_request *request, size_t n) {
	size_t n_turns = 0, cut = 0, kept = 0;
	for (size_t i = 0; i < request->n_messages; i++)
		n_turns += request->messages[i].from == TDM_FROM_USER;
	if (n_turns < 2)
		return false;
	if (n > n_turns - 1)
		n = n_turns - 1;
	for (size_t seen = 0; cut < request->n_messages; cut++)
		if (request->messages[cut].from == TDM_FROM_USER && seen++ == n)
			break;
	struct tdm_message *left = tdm_arena_array(arena, request->n_messages, sizeof *left);
	if (!left)
		return false;
	for (size_t i = 0; i < request->n_messages; i++)
		if (i >= cut || request->messages[i].from == TDM_FROM_SYSTEM)
			left[kept++] = request->messages[i];
	request->messages = left;
	request->n_messages = kept;
	return true;
}
