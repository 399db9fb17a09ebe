// Chat completions, reading: tools and calls. The older shape, functions and function_call, becomes the newer one.
#include "serve/reader.h"
#include <string.h>

#define MAX_TOOLS 1024
#define MAX_CALLS 64

// --- tools

static bool is_name(const struct tdm_value *v) {
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	return v && v->type == TDM_STRING && v->len && v->len <= 64 && strspn(v->text, allowed) == v->len;
}

// Where a function stands: in a tool, alone in functions, or flat in a tool.
enum shape { NESTED, OLDER, FLAT };

#define A_NAME "1 to 64 letters, digits, _ or -"

static int read_function(struct tdm_reader *r, const struct tdm_value *function, const char *param,
                         struct tdm_tool *out) {
	const struct tdm_value *name = tdm_get(function, "name"), *description = tdm_get(function, "description");
	const struct tdm_value *parameters = tdm_get(function, "parameters");
	if (!is_name(name))
		return tdm_reader_wrong(r, tdm_arena_printf(r->arena, "%s.name", param), A_NAME, name);
	if (description && description->type != TDM_STRING)
		return tdm_reader_wrong(r, tdm_arena_printf(r->arena, "%s.description", param), "a string", description);
	if (parameters && parameters->type != TDM_MAP)
		return tdm_reader_wrong(r, tdm_arena_printf(r->arena, "%s.parameters", param), "a schema", parameters);
	*out = (struct tdm_tool){.name = name->text, .description = description ? description->text : NULL};
	if (parameters && !(out->parameters = tdm_reader_json(r, parameters, &out->len)))
		return tdm_reader_memory(r);
	return tdm_reader_bool(r, function, "strict", tdm_arena_printf(r->arena, "%s.strict", param), &out->strict);
}

// A tool of another type than function is dropped, with a warning.
static int read_tool(struct tdm_reader *r, const struct tdm_value *tool, size_t index, enum shape shape,
                     struct tdm_toolbox *out, struct tdm_tool *items) {
	static const char *const places[] = {"tools[%zu].function", "functions[%zu]", "tools[%zu]"};
	char *param = tdm_arena_printf(r->arena, places[shape], index);
	const char *type = tdm_get_string(tool, "type");
	if (!param)
		return tdm_reader_memory(r);
	if (shape != OLDER && type && strcmp(type, "function") != 0) {
		tdm_record_warn(r->record, "tool_dropped", "tools", "only tools of the type function can be called");
		return TDM_OK;
	}
	return read_function(r, shape == NESTED ? tdm_get(tool, "function") : tool, param, &items[out->n++]);
}

static int read_list(struct tdm_reader *r, const struct tdm_value *list, enum shape shape, struct tdm_toolbox *out) {
	const char *param = shape == OLDER ? "functions" : "tools";
	if (list->type != TDM_LIST || list->n > MAX_TOOLS)
		return tdm_reader_wrong(r, param, "a list of at most 1024", list);
	struct tdm_tool *items = tdm_arena_array(r->arena, list->n + 1, sizeof *items);
	int status = items ? TDM_OK : tdm_reader_memory(r);
	for (size_t i = 0; i < list->n && !status; i++)
		status = read_tool(r, &list->items[i], i, shape, out, items);
	out->items = items;
	return status;
}

// --- the choice

static int choose_one(struct tdm_reader *r, const struct tdm_value *name, const char *param, struct tdm_toolbox *out) {
	if (!name || name->type != TDM_STRING)
		return tdm_reader_wrong(r, param, "the name of a tool", name);
	for (size_t i = 0; i < out->n; i++) {
		if (strcmp(out->items[i].name, name->text) != 0)
			continue;
		out->choice = TDM_TOOLS_ONE;
		out->chosen = out->items[i].name;
		return TDM_OK;
	}
	return tdm_fail_param(r->err, TDM_EVALUE, param, "%s: there is no tool of that name in this request", param);
}

static int choose_word(struct tdm_reader *r, const struct tdm_value *word, const char *param, struct tdm_toolbox *out) {
	static const char *const words[] = {"auto", "none", "required"};
	for (int i = 0; i < 3 && word && word->type == TDM_STRING; i++) {
		if (strcmp(words[i], word->text) != 0)
			continue;
		out->choice = (enum tdm_tool_choice)i;
		return TDM_OK;
	}
	return tdm_fail_param(r->err, TDM_EVALUE, param, "%s: expected auto, none, required, or a function", param);
}

// {"mode": "auto", "tools": [...]}: the others do not exist for this answer.
static int choose_some(struct tdm_reader *r, const struct tdm_value *allowed, bool flat, struct tdm_toolbox *out) {
	const struct tdm_value *list = tdm_get(allowed, "tools");
	struct tdm_tool *some = tdm_arena_array(r->arena, out->n + 1, sizeof *some);
	size_t n = 0;
	if (!list || list->type != TDM_LIST)
		return tdm_reader_wrong(r, "tool_choice.allowed_tools.tools", "a list", list);
	if (!some)
		return tdm_reader_memory(r);
	for (size_t i = 0; i < out->n; i++)
		for (size_t k = 0; k < list->n; k++) {
			const struct tdm_value *tool = &list->items[k];
			const char *name = tdm_get_string(flat ? tool : tdm_get(tool, "function"), "name");
			if (!name || strcmp(name, out->items[i].name) != 0)
				continue;
			some[n++] = out->items[i];
			break;
		}
	out->items = some;
	out->n = n;
	return choose_word(r, tdm_get(allowed, "mode"), "tool_choice.allowed_tools.mode", out);
}

static int read_choice(struct tdm_reader *r, const struct tdm_value *choice, enum shape shape,
                       struct tdm_toolbox *out) {
	const char *type = tdm_get_string(choice, "type"), *param = shape == OLDER ? "function_call" : "tool_choice";
	if (choice->type != TDM_MAP)
		return choose_word(r, choice, param, out);
	if (shape == OLDER)
		return choose_one(r, tdm_get(choice, "name"), "function_call.name", out);
	if (type && !strcmp(type, "function") && shape == FLAT)
		return choose_one(r, tdm_get(choice, "name"), "tool_choice.name", out);
	if (type && !strcmp(type, "function"))
		return choose_one(r, tdm_get(tdm_get(choice, "function"), "name"), "tool_choice.function.name", out);
	if (type && !strcmp(type, "allowed_tools"))
		return choose_some(r, shape == FLAT ? choice : tdm_get(choice, "allowed_tools"), shape == FLAT, out);
	return tdm_fail_param(r->err, TDM_ETOOL, param, "%s: a tool of this type cannot be called here", param);
}

int tdm_read_tools(struct tdm_reader *r, const struct tdm_value *body, struct tdm_toolbox *out, bool *older) {
	const struct tdm_value *tools = tdm_get(body, "tools"), *functions = tdm_get(body, "functions");
	static const struct tdm_field fields[] = {
	    {"tools", TDM_FIELD_LIST, 0, 0},
	    {"functions", TDM_FIELD_LIST, 0, 0},
	    {"tool_choice", TDM_FIELD_STRING | TDM_FIELD_MAP, 0, 0},
	    {"function_call", TDM_FIELD_STRING | TDM_FIELD_MAP, 0, 0},
	    {"parallel_tool_calls", TDM_FIELD_BOOL, 0, 0},
	};
	bool many = true;
	*older = !tools && functions;
	int status = tdm_reader_fields(r, body, fields, sizeof fields / sizeof fields[0]); // also without tools
	if (status || (!tools && !functions))
		return status;
	enum shape shape = *older ? OLDER : NESTED;
	status = read_list(r, *older ? functions : tools, shape, out);
	const struct tdm_value *choice = tdm_get(body, *older ? "function_call" : "tool_choice");
	if (!status && choice)
		status = read_choice(r, choice, shape, out);
	if (!status)
		status = tdm_reader_bool(r, body, "parallel_tool_calls", "parallel_tool_calls", &many);
	out->one_call = *older || !many;
	return status;
}

int tdm_read_flat_tools(struct tdm_reader *r, const struct tdm_value *body, struct tdm_toolbox *out) {
	const struct tdm_value *tools = tdm_get(body, "tools"), *choice = tdm_get(body, "tool_choice");
	bool many = true;
	int status = tools ? read_list(r, tools, FLAT, out) : TDM_OK;
	if (!status && choice)
		status = read_choice(r, choice, FLAT, out);
	if (!status)
		status = tdm_reader_bool(r, body, "parallel_tool_calls", "parallel_tool_calls", &many);
	out->one_call = !many;
	return status;
}

// --- calls of earlier answers

int tdm_read_call(struct tdm_reader *r, const struct tdm_value *call, const char *param, struct tdm_tool_call *out) {
	const struct tdm_value *name = tdm_get(call, "name"), *arguments = tdm_get(call, "arguments");
	if (!is_name(name))
		return tdm_reader_wrong(r, tdm_arena_printf(r->arena, "%s.name", param), A_NAME, name);
	out->name = name->text;
	out->arguments = arguments && arguments->type == TDM_STRING ? arguments->text : "{}";
	out->len = arguments && arguments->type == TDM_STRING ? arguments->len : 2;
	if (arguments && arguments->type == TDM_MAP)
		out->arguments = tdm_reader_json(r, arguments, &out->len);
	else if (arguments && arguments->type != TDM_STRING)
		return tdm_reader_wrong(r, tdm_arena_printf(r->arena, "%s.arguments", param), "a string", arguments);
	return out->arguments ? TDM_OK : tdm_reader_memory(r);
}

static int read_older_call(struct tdm_reader *r, const struct tdm_value *call, size_t index, struct tdm_message *out) {
	struct tdm_tool_call *one = tdm_arena_alloc(r->arena, sizeof *one);
	char *param = tdm_arena_printf(r->arena, "messages[%zu].function_call", index);
	if (!one || !param || !(one->id = tdm_arena_printf(r->arena, "call_%zu", index)))
		return tdm_reader_memory(r);
	out->calls = one;
	out->n_calls = 1;
	return tdm_read_call(r, call, param, one);
}

int tdm_read_calls(struct tdm_reader *r, const struct tdm_value *message, size_t index, struct tdm_message *out) {
	const struct tdm_value *list = tdm_get(message, "tool_calls"), *older = tdm_get(message, "function_call");
	char *param = tdm_arena_printf(r->arena, "messages[%zu].tool_calls", index);
	if (!list)
		return older ? read_older_call(r, older, index, out) : TDM_OK;
	if (list->type != TDM_LIST || list->n > MAX_CALLS)
		return tdm_reader_wrong(r, param, "a list of at most 64", list);
	struct tdm_tool_call *calls = tdm_arena_array(r->arena, list->n + 1, sizeof *calls);
	int status = calls && param ? TDM_OK : tdm_reader_memory(r);
	for (size_t i = 0; i < list->n && !status; i++) {
		const struct tdm_value *id = tdm_get(&list->items[i], "id");
		param = tdm_arena_printf(r->arena, "messages[%zu].tool_calls[%zu]", index, i);
		if (!param)
			return tdm_reader_memory(r);
		if (!id || id->type != TDM_STRING || !id->len)
			return tdm_reader_wrong(r, param, "a call with an id", id);
		calls[i].id = id->text;
		status = tdm_read_call(r, tdm_get(&list->items[i], "function"), param, &calls[i]);
	}
	out->calls = calls;
	out->n_calls = list->n;
	return status;
}

int tdm_read_call_id(struct tdm_reader *r, const struct tdm_value *message, const struct tdm_message *before,
                     size_t index, struct tdm_message *out) {
	const struct tdm_value *id = tdm_get(message, "tool_call_id");
	if (id && (id->type != TDM_STRING || !id->len))
		return tdm_reader_wrong(r, tdm_arena_printf(r->arena, "messages[%zu].tool_call_id", index), "a string", id);
	if (id)
		out->call_id = id->text;
	const char *role = tdm_get_string(message, "role");
	for (size_t i = index; !id && role && !strcmp(role, "function") && i-- > 0;)
		if (before[i].n_calls) {
			out->call_id = before[i].calls[before[i].n_calls - 1].id;
			break;
		}
	return TDM_OK;
}
