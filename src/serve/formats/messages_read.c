// Messages, reading: the body of POST /v1/messages into the internal request. Results of tools, which are blocks of a
// user's message here, become messages of their own before the user's words.
#include "serve/formats/messages.h"
#include "serve/reader.h"
#include <string.h>

#define MAX_TOOLS 1024

struct growing { // the messages so far
	struct tdm_message *items;
	size_t n;
};

static char *at(struct tdm_reader *r, const char *format, size_t i, size_t k) {
	return tdm_arena_printf(r->arena, format, i, k);
}

// --- text

static int add_text(struct tdm_reader *r, const struct tdm_value *block, const char *param, struct tdm_bytes *out) {
	const struct tdm_value *text = tdm_get(block, "text");
	if (!text || text->type != TDM_STRING)
		return tdm_reader_wrong(r, param, "a block of text with a string", text);
	tdm_bytes_add(out, text->text, text->len);
	return TDM_OK;
}

static int keep_text(struct tdm_reader *r, struct tdm_bytes *text, struct tdm_message *out) {
	out->text = text->failed ? NULL : tdm_arena_copy(r->arena, text->data ? text->data : "", text->len);
	out->len = text->len;
	return out->text ? TDM_OK : tdm_reader_memory(r);
}

// A string, or a list of blocks of text: system, and what a tool says.
static int read_text(struct tdm_reader *r, const struct tdm_value *value, const char *param, struct tdm_message *out) {
	struct tdm_bytes text;
	int status = TDM_OK;
	out->text = "";
	if (!value)
		return TDM_OK;
	if (value->type != TDM_STRING && value->type != TDM_LIST)
		return tdm_reader_wrong(r, param, "a string or a list of blocks", value);
	tdm_bytes_init(&text, r->arena->limit_bytes);
	if (value->type == TDM_STRING)
		tdm_bytes_add(&text, value->text, value->len);
	for (size_t i = 0; value->type == TDM_LIST && i < value->n && !status; i++) {
		const char *type = tdm_get_string(&value->items[i], "type");
		status = type && strcmp(type, "text") != 0
		             ? tdm_fail_param(r->err, TDM_ECONTENT, param, "%s: this model takes blocks of text only", param)
		             : add_text(r, &value->items[i], param, &text);
	}
	if (!status)
		status = keep_text(r, &text, out);
	tdm_bytes_release(&text);
	return status;
}

// --- blocks

static int read_tool_use(struct tdm_reader *r, const struct tdm_value *block, const char *param,
                         struct tdm_tool_call *out) {
	const struct tdm_value *id = tdm_get(block, "id"), *name = tdm_get(block, "name"), *input = tdm_get(block, "input");
	if (!id || id->type != TDM_STRING || !id->len || !name || name->type != TDM_STRING || !name->len)
		return tdm_reader_wrong(r, param, "a use of a tool with id and name", id ? name : id);
	if (input && input->type != TDM_MAP)
		return tdm_reader_wrong(r, param, "an object as input", input);
	*out = (struct tdm_tool_call){.id = id->text, .name = name->text, .arguments = "{}", .len = 2};
	if (input)
		out->arguments = tdm_reader_json(r, input, &out->len);
	return out->arguments ? TDM_OK : tdm_reader_memory(r);
}

static int read_tool_result(struct tdm_reader *r, const struct tdm_value *block, const char *param,
                            struct growing *out) {
	const struct tdm_value *id = tdm_get(block, "tool_use_id");
	if (!id || id->type != TDM_STRING || !id->len)
		return tdm_reader_wrong(r, param, "a result with a tool_use_id", id);
	struct tdm_message *m = &out->items[out->n++];
	*m = (struct tdm_message){.from = TDM_FROM_TOOL, .call_id = id->text};
	return read_text(r, tdm_get(block, "content"), param, m);
}

// calls: of the message, with room for all its blocks.
static int read_block(struct tdm_reader *r, const struct tdm_value *block, const char *param, struct growing *out,
                      struct tdm_bytes *text, struct tdm_message *m, struct tdm_tool_call *calls) {
	const char *type = tdm_get_string(block, "type");
	if (!type)
		return tdm_reader_wrong(r, param, "a block with a type", tdm_get(block, "type"));
	if (!strcmp(type, "text"))
		return add_text(r, block, param, text);
	if (!strcmp(type, "tool_use") && m->from == TDM_FROM_ASSISTANT)
		return read_tool_use(r, block, param, &calls[m->n_calls++]);
	if (!strcmp(type, "tool_result") && m->from == TDM_FROM_USER)
		return read_tool_result(r, block, param, out);
	if (!strcmp(type, "thinking") || !strcmp(type, "redacted_thinking"))
		return TDM_OK; // another model's thoughts are not shown to this one
	return tdm_fail_param(r->err, TDM_ECONTENT, param, "%s: this model takes text, uses of tools and their results",
	                      param);
}

static int read_blocks(struct tdm_reader *r, const struct tdm_value *list, size_t index, struct growing *out,
                       struct tdm_message *m) {
	struct tdm_tool_call *calls = tdm_arena_array(r->arena, list->n + 1, sizeof *calls);
	size_t before = out->n;
	struct tdm_bytes text;
	int status = calls ? TDM_OK : tdm_reader_memory(r);
	tdm_bytes_init(&text, r->arena->limit_bytes);
	m->calls = calls;
	for (size_t i = 0; i < list->n && !status; i++) {
		char *param = at(r, "messages[%zu].content[%zu]", index, i);
		status = param ? read_block(r, &list->items[i], param, out, &text, m, calls) : tdm_reader_memory(r);
	}
	if (!status)
		status = keep_text(r, &text, m);
	tdm_bytes_release(&text);
	bool is_results = out->n > before && !m->len;
	if (!status && !is_results)
		out->items[out->n++] = *m;
	return status;
}

static int read_message(struct tdm_reader *r, const struct tdm_value *message, size_t index, struct growing *out) {
	static const char *const roles[] = {"system", "user", "assistant"};
	const char *role = tdm_get_string(message, "role");
	const struct tdm_value *content = tdm_get(message, "content");
	struct tdm_message m = {.text = ""};
	size_t from = 0;
	while (role && from < 3 && strcmp(roles[from], role) != 0)
		from++;
	if (!role || from == 3)
		return tdm_fail_param(r->err, TDM_EVALUE, at(r, "messages[%zu].role", index, 0),
		                      "messages[%zu].role: expected user or assistant", index);
	m.from = (enum tdm_author)from;
	if (!content || (content->type != TDM_STRING && content->type != TDM_LIST))
		return tdm_reader_wrong(r, at(r, "messages[%zu].content", index, 0), "a string or a list of blocks", content);
	if (content->type == TDM_LIST)
		return read_blocks(r, content, index, out, &m);
	m.text = content->text;
	m.len = content->len;
	out->items[out->n++] = m;
	return TDM_OK;
}

// How many internal messages there can be at most: each, and each of its blocks.
static size_t count(const struct tdm_value *list) {
	size_t n = 1; // the system text
	for (size_t i = 0; i < list->n; i++) {
		const struct tdm_value *content = tdm_get(&list->items[i], "content");
		n += 1 + (content && content->type == TDM_LIST ? content->n : 0);
	}
	return n;
}

static int read_messages(struct tdm_reader *r, const struct tdm_value *body, struct tdm_request *out) {
	const struct tdm_value *list = tdm_get(body, "messages"), *system = tdm_get(body, "system");
	struct growing all = {0};
	int status = TDM_OK;
	if (!list)
		return tdm_fail_param(r->err, TDM_EMISSING, "messages", "messages: expected a list with at least one message");
	if (list->type != TDM_LIST || !list->n)
		return tdm_reader_wrong(r, "messages", "a list with at least one message", list);
	all.items = tdm_arena_array(r->arena, count(list), sizeof *all.items);
	if (!all.items)
		return tdm_reader_memory(r);
	if (system) {
		all.items[0] = (struct tdm_message){.from = TDM_FROM_SYSTEM};
		status = read_text(r, system, "system", &all.items[all.n++]);
	}
	for (size_t i = 0; i < list->n && !status; i++)
		status = read_message(r, &list->items[i], i, &all);
	out->messages = all.items;
	out->n_messages = all.n;
	return status;
}

// --- tools

static int read_tool(struct tdm_reader *r, const struct tdm_value *tool, size_t index, struct tdm_toolbox *out,
                     struct tdm_tool *items) {
	const struct tdm_value *name = tdm_get(tool, "name"), *schema = tdm_get(tool, "input_schema");
	const char *type = tdm_get_string(tool, "type");
	if (type && strcmp(type, "custom") != 0) {
		tdm_record_warn(r->record, "tool_dropped", "tools", "only tools of the client's own can be called");
		return TDM_OK;
	}
	if (!name || name->type != TDM_STRING || !name->len || name->len > 64)
		return tdm_reader_wrong(r, at(r, "tools[%zu].name", index, 0), "1 to 64 letters, digits, _ or -", name);
	if (schema && schema->type != TDM_MAP)
		return tdm_reader_wrong(r, at(r, "tools[%zu].input_schema", index, 0), "a schema", schema);
	struct tdm_tool *t = &items[out->n++];
	*t = (struct tdm_tool){.name = name->text, .description = tdm_get_string(tool, "description")};
	if (schema && !(t->parameters = tdm_reader_json(r, schema, &t->len)))
		return tdm_reader_memory(r);
	return TDM_OK;
}

static int read_choice(struct tdm_reader *r, const struct tdm_value *choice, struct tdm_toolbox *out) {
	static const char *const types[] = {"auto", "none", "any", "tool"};
	const char *type = tdm_get_string(choice, "type"), *name = tdm_get_string(choice, "name");
	size_t i = 0;
	while (type && i < 4 && strcmp(types[i], type) != 0)
		i++;
	if (!type || i == 4)
		return tdm_fail_param(r->err, TDM_EVALUE, "tool_choice", "tool_choice: expected type auto, any, tool or none");
	out->choice = (enum tdm_tool_choice)i;
	for (size_t k = 0; i == 3 && k < out->n && !out->chosen; k++)
		if (name && !strcmp(out->items[k].name, name))
			out->chosen = out->items[k].name;
	if (i == 3 && !out->chosen)
		return tdm_fail_param(r->err, TDM_EVALUE, "tool_choice.name",
		                      "tool_choice.name: there is no tool of that name");
	return tdm_reader_bool(r, choice, "disable_parallel_tool_use", "tool_choice.disable_parallel_tool_use",
	                       &out->one_call);
}

static int read_tools(struct tdm_reader *r, const struct tdm_value *body, struct tdm_toolbox *out) {
	const struct tdm_value *list = tdm_get(body, "tools"), *choice = tdm_get(body, "tool_choice");
	if (!list)
		return TDM_OK;
	if (list->type != TDM_LIST || list->n > MAX_TOOLS)
		return tdm_reader_wrong(r, "tools", "a list of at most 1024", list);
	struct tdm_tool *items = tdm_arena_array(r->arena, list->n + 1, sizeof *items);
	int status = items ? TDM_OK : tdm_reader_memory(r);
	out->items = items;
	for (size_t i = 0; i < list->n && !status; i++)
		status = read_tool(r, &list->items[i], i, out, items);
	return !status && choice ? read_choice(r, choice, out) : status;
}

// --- settings

static int read_settings(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	const struct tdm_value *model = tdm_get(body, "model"), *thinking = tdm_get(body, "thinking");
	struct tdm_request *q = &out->request;
	if (model && model->type != TDM_STRING)
		return tdm_reader_wrong(r, "model", "a string", model);
	out->model = model && model->len ? model->text : NULL;
	static const struct tdm_field maps[] = {{"thinking", TDM_FIELD_MAP, 0, 0}, {"tool_choice", TDM_FIELD_MAP, 0, 0}};
	int status = tdm_reader_fields(r, body, maps, sizeof maps / sizeof maps[0]);
	if (status)
		return status;
	if (thinking && tdm_get_string(thinking, "type") && strcmp(tdm_get_string(thinking, "type"), "disabled") != 0)
		tdm_record_warn(r->record, "parameter_ignored", "thinking", "no model of this tree has this setting");
	status = tdm_body_count(r, body, "max_tokens", 1, &q->max_tokens);
	if (!status)
		status = tdm_body_number(r, body, "temperature", 2, &q->temperature);
	if (!status)
		status = tdm_body_number(r, body, "top_p", 1, &q->top_p);
	if (!status)
		status = tdm_body_count(r, body, "top_k", 0, &q->top_k);
	if (!status)
		status = tdm_reader_stop(r, tdm_get(body, "stop_sequences"), "stop_sequences", q);
	return status ? status : tdm_reader_bool(r, body, "stream", "stream", &out->stream);
}

int tdm_messages_read(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
                      struct tdm_chat_request *out, struct tdm_error *err) {
	struct tdm_reader r = {arena, record, err};
	memset(out, 0, sizeof *out);
	tdm_request_init(&out->request);
	tdm_objective_init(&out->objective);
	out->n = 1;
	if (body->type != TDM_MAP)
		return tdm_fail(err, TDM_EVALUE, "the body: expected a JSON object, got %s", tdm_type_name(body->type));
	int status = read_messages(&r, body, &out->request);
	if (!status)
		status = read_settings(&r, body, out);
	if (!status)
		status = read_tools(&r, body, &out->request.tools);
	return status ? status : tdm_objective_read(tdm_get(body, "tandem"), &out->objective, err);
}
