#include "models/policies/toolwords.h"
#include "base/bytes.h"
#include "base/value.h"
#include <string.h>

#define WORDS_LIMIT_BYTES ((size_t)64 << 20)
#define DEMANDED_SCHEMA "{\"type\":\"object\"}" // of arguments whose own schema is not stated or refers to parts of it

bool tdm_toolwords_demands(const struct tdm_request *request) {
	return tdm_wants_tools(request) &&
	       (request->tools.choice == TDM_TOOLS_REQUIRED || request->tools.choice == TDM_TOOLS_ONE);
}

static bool may_call(const struct tdm_toolbox *tools, const char *name) {
	bool known = false;
	for (size_t i = 0; i < tools->n && !known; i++)
		known = !strcmp(tools->items[i].name, name);
	return known && (tools->choice != TDM_TOOLS_ONE || !strcmp(tools->chosen, name));
}

// --- what goes in

static void put_tool(struct tdm_bytes *out, const struct tdm_tool *tool) {
	tdm_bytes_puts(out, "{\"type\":\"function\",\"function\":{\"name\":");
	tdm_bytes_json(out, tool->name, strlen(tool->name));
	if (tool->description) {
		tdm_bytes_puts(out, ",\"description\":");
		tdm_bytes_json(out, tool->description, strlen(tool->description));
	}
	if (tool->parameters) {
		tdm_bytes_puts(out, ",\"parameters\":");
		tdm_bytes_add(out, tool->parameters, tool->len);
	}
	tdm_bytes_puts(out, "}}\n");
}

static void put_tools(struct tdm_bytes *out, const struct tdm_request *request) {
	const struct tdm_toolbox *tools = &request->tools;
	bool demands = tdm_toolwords_demands(request);
	tdm_bytes_puts(out, "Functions that can be called, one JSON object in each line:\n<tools>\n");
	for (size_t i = 0; i < tools->n; i++)
		if (may_call(tools, tools->items[i].name))
			put_tool(out, &tools->items[i]);
	tdm_bytes_puts(out, "</tools>\n");
	tdm_bytes_puts(out, demands ? "Call one of them now" : "If one of them helps, call it");
	tdm_bytes_puts(out,
	               ": its name and its arguments as JSON between these marks, and nothing after them:\n" TDM_CALL_OPENS
	               "\n{\"name\": \"...\", \"arguments\": {...}}\n" TDM_CALL_CLOSES);
	if (tools->one_call)
		tdm_bytes_puts(out, "\nAt most one call.");
}

static void put_calls(struct tdm_bytes *out, const struct tdm_message *m) {
	for (size_t i = 0; i < m->n_calls; i++) {
		if (out->len)
			tdm_bytes_putc(out, '\n');
		tdm_bytes_puts(out, TDM_CALL_OPENS "\n{\"name\": ");
		tdm_bytes_json(out, m->calls[i].name, strlen(m->calls[i].name));
		tdm_bytes_puts(out, ", \"arguments\": ");
		tdm_bytes_add(out, m->calls[i].arguments, m->calls[i].len);
		tdm_bytes_puts(out, "}\n" TDM_CALL_CLOSES);
	}
}

static void put_response(struct tdm_bytes *out, const struct tdm_message *m) {
	if (out->len)
		tdm_bytes_putc(out, '\n');
	tdm_bytes_puts(out, "<tool_response>\n");
	tdm_bytes_add(out, m->text, m->len);
	tdm_bytes_puts(out, "\n</tool_response>");
}

struct words { // the messages as they are written anew
	struct tdm_run *run;
	struct tdm_message *items;
	size_t n;
};

static bool add(struct words *w, enum tdm_author from, const struct tdm_bytes *text) {
	const char *copy = text->failed ? NULL : tdm_arena_copy(w->run->arena, text->data ? text->data : "", text->len);
	if (copy)
		w->items[w->n++] = (struct tdm_message){.from = from, .text = copy, .len = text->len};
	return copy != NULL;
}

static void put_message(struct tdm_bytes *out, const struct tdm_message *m) {
	if (m->len)
		tdm_bytes_add(out, m->text, m->len);
	put_calls(out, m);
}

// One message, or several that follow each other and are what tools say. Their number; 0: no memory.
static size_t take(struct words *w, const struct tdm_request *request, size_t at) {
	const struct tdm_message *m = &request->messages[at];
	struct tdm_bytes text;
	size_t n = 1;
	tdm_bytes_init(&text, WORDS_LIMIT_BYTES);
	if (m->from == TDM_FROM_TOOL)
		for (n = 0; at + n < request->n_messages && m[n].from == TDM_FROM_TOOL; n++)
			put_response(&text, &m[n]);
	else
		put_message(&text, m);
	if (!at && m->from == TDM_FROM_SYSTEM && tdm_wants_tools(request)) {
		tdm_bytes_puts(&text, "\n\n");
		put_tools(&text, request);
	}
	bool added = add(w, m->from == TDM_FROM_TOOL ? TDM_FROM_USER : m->from, &text);
	tdm_bytes_release(&text);
	return added ? n : 0;
}

static bool add_system(struct words *w, const struct tdm_request *request) {
	struct tdm_bytes text;
	tdm_bytes_init(&text, WORDS_LIMIT_BYTES);
	put_tools(&text, request);
	bool added = add(w, TDM_FROM_SYSTEM, &text);
	tdm_bytes_release(&text);
	return added;
}

// --- an answer that is a call

static bool is_whole(const struct tdm_tool *tool) {
	return tool->parameters && !strstr(tool->parameters, "\"$ref\"") && !strstr(tool->parameters, "\"$dynamicRef\"");
}

static const struct tdm_form *form_of_calls(struct tdm_run *run, const struct tdm_toolbox *tools) {
	struct tdm_form *form = tdm_arena_alloc(run->arena, sizeof *form);
	struct tdm_bytes text;
	tdm_bytes_init(&text, WORDS_LIMIT_BYTES);
	tdm_bytes_puts(&text, "{\"anyOf\":[");
	for (size_t i = 0, n = 0; i < tools->n; i++) {
		const struct tdm_tool *tool = &tools->items[i];
		if (!may_call(tools, tool->name))
			continue;
		tdm_bytes_puts(&text, n++ ? ",{\"type\":\"object\",\"properties\":{\"name\":{\"const\":"
		                          : "{\"type\":\"object\",\"properties\":{\"name\":{\"const\":");
		tdm_bytes_json(&text, tool->name, strlen(tool->name));
		tdm_bytes_puts(&text, "},\"arguments\":");
		tdm_bytes_add(&text, is_whole(tool) ? tool->parameters : DEMANDED_SCHEMA,
		              is_whole(tool) ? tool->len : strlen(DEMANDED_SCHEMA));
		tdm_bytes_puts(&text, "},\"required\":[\"name\",\"arguments\"],\"additionalProperties\":false}");
	}
	tdm_bytes_puts(&text, "]}");
	const char *copy = text.failed || !form ? NULL : tdm_arena_copy(run->arena, text.data, text.len);
	if (copy)
		*form = (struct tdm_form){.kind = TDM_GRAMMAR_SCHEMA, .text = copy, .len = text.len};
	tdm_bytes_release(&text);
	return copy ? form : NULL;
}

int tdm_toolwords_request(struct tdm_run *run, const struct tdm_request *request, bool can_form,
                          struct tdm_request *out) {
	struct words w = {.run = run, .items = tdm_arena_array(run->arena, request->n_messages + 1, sizeof *w.items)};
	bool speaks = request->n_messages && request->messages[0].from == TDM_FROM_SYSTEM;
	bool ok = w.items && (speaks || !tdm_wants_tools(request) || add_system(&w, request));
	*out = *request;
	for (size_t at = 0, n; ok && at < request->n_messages; at += n)
		ok = (n = take(&w, request, at)) > 0;
	if (ok && can_form && tdm_toolwords_demands(request))
		ok = (out->form = form_of_calls(run, &request->tools)) != NULL;
	if (!ok)
		return tdm_fail(&run->error, TDM_ENOMEM, "out of memory for the tools of a request");
	out->messages = w.items;
	out->n_messages = w.n;
	out->tools = (struct tdm_toolbox){0};
	return TDM_OK;
}

// --- what comes out

bool tdm_toolwords_read(struct tdm_run *run, const struct tdm_toolbox *tools, const char *text, size_t n,
                        struct tdm_call_read *out) {
	struct tdm_value *value = NULL;
	struct tdm_error err = {0};
	struct tdm_bytes json;
	if (tdm_json_parse(run->arena, text, n, &value, &err))
		return false;
	const struct tdm_value *arguments = tdm_get(value, "arguments");
	const char *name = tdm_get_string(value, "name");
	if (!name || !may_call(tools, name) || (arguments && arguments->type != TDM_MAP))
		return false;
	tdm_bytes_init(&json, WORDS_LIMIT_BYTES);
	if (arguments)
		tdm_value_write(&json, arguments);
	else
		tdm_bytes_puts(&json, "{}");
	const char *copy = json.failed ? NULL : tdm_arena_copy(run->arena, json.data, json.len);
	*out = (struct tdm_call_read){.name = name, .arguments = copy, .len = json.len};
	tdm_bytes_release(&json);
	return copy != NULL;
}
