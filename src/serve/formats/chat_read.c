// Chat completions, reading. A new field of the request: a row in `numbers` or a few lines in read_settings().
#include "serve/formats/chat_read.h"
#include "serve/reader.h"
#include "models/forms.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>

// --- messages

static const struct {
	const char *name;
	enum tdm_author from;
} roles[] = {
    {"system", TDM_FROM_SYSTEM},       {"developer", TDM_FROM_SYSTEM}, {"user", TDM_FROM_USER},
    {"assistant", TDM_FROM_ASSISTANT}, {"tool", TDM_FROM_TOOL},        {"function", TDM_FROM_TOOL},
};

static int read_role(struct tdm_reader *r, const struct tdm_value *message, size_t index, enum tdm_author *out) {
	const struct tdm_value *role = tdm_get(message, "role");
	char *param = tdm_arena_printf(r->arena, "messages[%zu].role", index);
	if (!role || role->type != TDM_STRING)
		return tdm_reader_wrong(r, param, "a string", role);
	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
		if (!strcmp(roles[i].name, role->text)) {
			*out = roles[i].from;
			return TDM_OK;
		}
	}
	return tdm_fail_param(r->err, TDM_EVALUE, param,
	                      "%s: expected system, developer, user, assistant, tool or function", param);
}

static int add_part(struct tdm_reader *r, const struct tdm_value *part, const char *param, struct tdm_bytes *text) {
	static const char *const texts[] = {"text", "input_text", "output_text", "refusal"};
	const char *type = tdm_get_string(part, "type");
	for (size_t i = 0; type && i < 4; i++) {
		if (strcmp(type, texts[i]))
			continue;
		const struct tdm_value *value = tdm_get(part, i == 3 ? "refusal" : "text");
		if (!value || value->type != TDM_STRING)
			return tdm_reader_wrong(r, param, "a text part with a string", value);
		tdm_bytes_add(text, value->text, value->len);
		return TDM_OK;
	}
	return tdm_fail_param(r->err, TDM_ECONTENT, param, "%s: this model takes text parts only", param);
}

static int read_parts(struct tdm_reader *r, const struct tdm_value *parts, size_t index, struct tdm_message *out) {
	struct tdm_bytes text;
	int status = TDM_OK;
	tdm_bytes_init(&text, r->arena->limit_bytes);
	for (size_t i = 0; i < parts->n && !status; i++) {
		char *param = tdm_arena_printf(r->arena, "messages[%zu].content[%zu]", index, i);
		status = param ? add_part(r, &parts->items[i], param, &text) : tdm_reader_memory(r);
	}
	out->len = text.len;
	out->text = status ? NULL : tdm_arena_copy(r->arena, text.data ? text.data : "", text.len);
	if (!status && (text.failed || !out->text))
		status = tdm_reader_memory(r);
	tdm_bytes_release(&text);
	return status;
}

static int read_content(struct tdm_reader *r, const struct tdm_value *message, size_t index, struct tdm_message *out) {
	const struct tdm_value *content = tdm_get(message, "content");
	out->text = "";
	if (!content)
		return TDM_OK;
	if (content->type == TDM_LIST)
		return read_parts(r, content, index, out);
	char *param = tdm_arena_printf(r->arena, "messages[%zu].content", index);
	if (content->type != TDM_STRING)
		return tdm_reader_wrong(r, param ? param : "content", "a string or a list of parts", content);
	out->text = content->text;
	out->len = content->len;
	return TDM_OK;
}

// all: the messages; those before this one are read.
static int read_message(struct tdm_reader *r, const struct tdm_value *message, size_t index, struct tdm_message *all) {
	struct tdm_message *out = &all[index];
	char *param = tdm_arena_printf(r->arena, "messages[%zu]", index);
	if (!param)
		return tdm_reader_memory(r);
	if (message->type != TDM_MAP)
		return tdm_reader_wrong(r, param, "an object", message);
	int status = read_role(r, message, index, &out->from);
	if (!status)
		status = read_content(r, message, index, out);
	if (!status && out->from == TDM_FROM_ASSISTANT)
		status = tdm_read_calls(r, message, index, out);
	if (!status && out->from == TDM_FROM_TOOL)
		status = tdm_read_call_id(r, message, all, index, out);
	return status;
}

static int read_messages(struct tdm_reader *r, const struct tdm_value *body, struct tdm_request *out) {
	const struct tdm_value *list = tdm_get(body, "messages");
	if (!list)
		return tdm_fail_param(r->err, TDM_EMISSING, "messages", "messages: expected a list with at least one message");
	if (list->type != TDM_LIST)
		return tdm_reader_wrong(r, "messages", "a list", list);
	if (!list->n)
		return tdm_fail_param(r->err, TDM_EVALUE, "messages", "messages: expected at least one message, got none");
	struct tdm_message *messages = tdm_arena_array(r->arena, list->n, sizeof *messages);
	if (!messages)
		return tdm_reader_memory(r);
	for (size_t i = 0; i < list->n; i++) {
		int status = read_message(r, &list->items[i], i, messages);
		if (status)
			return status;
	}
	out->messages = messages;
	out->n_messages = list->n;
	return TDM_OK;
}

// --- settings

struct number {
	const char *name;
	double min, max;
	bool integer;
	size_t offset; // of the field in struct tdm_request
};

static const struct number numbers[] = {
    {"temperature", 0, 2, false, offsetof(struct tdm_request, temperature)},
    {"top_p", 0, 1, false, offsetof(struct tdm_request, top_p)},
    {"min_p", 0, 1, false, offsetof(struct tdm_request, min_p)},
    {"repeat_penalty", 0.01, 10, false, offsetof(struct tdm_request, repeat_penalty)},
    {"top_k", 0, 1 << 20, true, offsetof(struct tdm_request, top_k)},
    {"top_logprobs", 0, 20, true, offsetof(struct tdm_request, top_logprobs)},
};

static int check_number(struct tdm_reader *r, const struct tdm_value *v, const struct number *n) {
	if (v->type != TDM_NUMBER || (n->integer && !v->is_integer))
		return tdm_reader_wrong(r, n->name, n->integer ? "an integer" : "a number", v);
	if (v->number < n->min || v->number > n->max)
		return tdm_fail_param(r->err, TDM_EVALUE, n->name, "%s: expected %g to %g, got %g", n->name, n->min, n->max,
		                      v->number);
	return TDM_OK;
}

static int read_numbers(struct tdm_reader *r, const struct tdm_value *body, struct tdm_request *out) {
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		const struct tdm_value *v = tdm_get(body, numbers[i].name);
		if (!v)
			continue;
		int status = check_number(r, v, &numbers[i]);
		if (status)
			return status;
		char *field = (char *)out + numbers[i].offset;
		if (numbers[i].integer)
			*(int *)(void *)field = (int)v->integer;
		else
			*(float *)(void *)field = (float)v->number;
	}
	return TDM_OK;
}

static int read_limits(struct tdm_reader *r, const struct tdm_value *body, struct tdm_request *out) {
	static const struct number limits[] = {{"max_completion_tokens", 0, 1e9, true, 0}, {"max_tokens", 0, 1e9, true, 0}};
	for (size_t i = 0; i < 2; i++) {
		const struct tdm_value *v = tdm_get(body, limits[i].name);
		if (!v)
			continue;
		int status = check_number(r, v, &limits[i]);
		if (status)
			return status;
		int limit = v->integer ? (int)v->integer : 1; // the shortest answer is one token
		if (!out->max_tokens || limit < out->max_tokens)
			out->max_tokens = limit;
	}
	return TDM_OK;
}

static int read_stream(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	const struct tdm_value *options = tdm_get(body, "stream_options");
	int status = tdm_reader_bool(r, body, "stream", "stream", &out->stream);
	if (status || !options)
		return status;
	if (options->type != TDM_MAP)
		return tdm_reader_wrong(r, "stream_options", "an object", options);
	return tdm_reader_bool(r, options, "include_usage", "stream_options.include_usage", &out->include_usage);
}

static int read_draws(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	static const struct number choices = {"n", 1, TDM_MOST_CHOICES, true, 0}, seed = {"seed", -9.3e18, 9.3e18, true, 0};
	const struct tdm_value *v = tdm_get(body, "n");
	int status = v ? check_number(r, v, &choices) : TDM_OK;
	if (status)
		return status;
	out->n = v ? (int)v->integer : 1;
	v = tdm_get(body, "seed");
	status = v ? check_number(r, v, &seed) : TDM_OK;
	if (status)
		return status;
	out->has_seed = v != NULL;
	out->seed = v ? (uint64_t)v->integer : 0;
	out->request.wants_seed = out->has_seed;
	return TDM_OK;
}

// --- the form of the answer

// What the client calls the schema, for an upstream that wants to know.
static int read_schema_name(struct tdm_reader *r, const struct tdm_value *schema, const char *at,
                            struct tdm_form *form) {
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	const struct tdm_value *name = tdm_get(schema, "name");
	if (name && (name->type != TDM_STRING || !name->len || name->len > 64 || strspn(name->text, allowed) != name->len))
		return tdm_reader_wrong(r, tdm_arena_printf(r->arena, "%s.name", at), "1 to 64 letters, digits, _ or -", name);
	form->name = name ? name->text : NULL;
	return tdm_reader_bool(r, schema, "strict", tdm_arena_printf(r->arena, "%s.strict", at), &form->strict);
}

// The schema as text, compiled once here so that a bad one is refused before anything runs. holder: what has it.
static int read_schema(struct tdm_reader *r, const struct tdm_value *holder, const char *at, struct tdm_form *form) {
	const struct tdm_value *schema = tdm_get(holder, "schema");
	struct tdm_error err = {0};
	if (!schema || (schema->type != TDM_MAP && schema->type != TDM_BOOL))
		return tdm_reader_wrong(r, tdm_arena_printf(r->arena, "%s.schema", at), "a schema", schema);
	form->text = tdm_reader_json(r, schema, &form->len);
	if (!form->text)
		return tdm_reader_memory(r);
	int status = tdm_forms_check(form, &err);
	if (status)
		return tdm_fail_param(r->err, status, TDM_FORM_FIELD, "response_format: %s", err.text);
	return read_schema_name(r, holder, at, form);
}

int tdm_read_form(struct tdm_reader *r, const struct tdm_value *format, const char *at, bool flat,
                  struct tdm_request *out) {
	const struct tdm_value *type = tdm_get(format, "type");
	char *type_at = tdm_arena_printf(r->arena, "%s.type", at);
	if (!format)
		return TDM_OK;
	if (format->type != TDM_MAP)
		return tdm_reader_wrong(r, at, "an object", format);
	if (!type || type->type != TDM_STRING)
		return tdm_reader_wrong(r, type_at, "a string", type);
	if (!strcmp(type->text, "text"))
		return TDM_OK;
	bool has_schema = !strcmp(type->text, "json_schema");
	if (!has_schema && strcmp(type->text, "json_object"))
		return tdm_fail_param(r->err, TDM_EVALUE, type_at, "%s: expected text, json_object or json_schema", type_at);
	struct tdm_form *form = tdm_arena_alloc(r->arena, sizeof *form);
	const char *schema_at = flat ? at : tdm_arena_printf(r->arena, "%s.json_schema", at);
	if (!form || !schema_at)
		return tdm_reader_memory(r);
	form->kind = has_schema ? TDM_GRAMMAR_SCHEMA : TDM_GRAMMAR_JSON;
	out->form = form;
	return has_schema ? read_schema(r, flat ? format : tdm_get(format, "json_schema"), schema_at, form) : TDM_OK;
}

// What this form of the program cannot do is said, never silently dropped.
static int read_without_effect(struct tdm_reader *r, const struct tdm_value *body) {
	static const struct tdm_field ignored[] = {
	    {"frequency_penalty", TDM_FIELD_NUMBER, -2, 2},
	    {"presence_penalty", TDM_FIELD_NUMBER, -2, 2},
	    {"logit_bias", TDM_FIELD_MAP, 0, 0},
	    {"reasoning_effort", TDM_FIELD_STRING, 0, 0},
	    {"prediction", TDM_FIELD_MAP, 0, 0},
	    {"web_search_options", TDM_FIELD_MAP, 0, 0},
	    {"audio", TDM_FIELD_MAP, 0, 0},
	};
	int status = tdm_reader_fields(r, body, ignored, sizeof ignored / sizeof ignored[0]);
	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
		const struct tdm_value *v = tdm_get(body, ignored[i].name);
		if (v && !(v->type == TDM_NUMBER && v->number == 0))
			tdm_record_warn(r->record, "parameter_ignored", ignored[i].name, "no model of this tree has this setting");
	}
	return status;
}

static int read_modalities(struct tdm_reader *r, const struct tdm_value *body) {
	static const struct tdm_field field = {"modalities", TDM_FIELD_LIST, 0, 0};
	const struct tdm_value *list = tdm_get(body, "modalities");
	int status = tdm_reader_field(r, body, &field);
	for (size_t i = 0; list && !status && i < list->n; i++)
		if (list->items[i].type != TDM_STRING || strcmp(list->items[i].text, "text") != 0)
			return tdm_fail_param(r->err, TDM_ECAPABILITY, "modalities", "modalities: models here write text alone");
	return status;
}

int tdm_read_common(struct tdm_reader *r, const struct tdm_value *body, struct tdm_chat_request *out) {
	memset(out, 0, sizeof *out);
	tdm_request_init(&out->request);
	tdm_objective_init(&out->objective);
	if (body->type != TDM_MAP)
		return tdm_fail(r->err, TDM_EVALUE, "the body: expected a JSON object, got %s", tdm_type_name(body->type));
	const struct tdm_value *model = tdm_get(body, "model");
	if (model && model->type != TDM_STRING)
		return tdm_reader_wrong(r, "model", "a string", model);
	out->model = model && model->len ? model->text : NULL;
	int status = read_numbers(r, body, &out->request);
	if (!status)
		status = read_limits(r, body, &out->request);
	if (!status)
		status = tdm_reader_stop(r, tdm_get(body, "stop"), "stop", &out->request);
	if (!status)
		status = read_stream(r, body, out);
	if (!status)
		status = read_draws(r, body, out);
	if (!status)
		status = read_without_effect(r, body);
	return status ? status : tdm_objective_read(tdm_get(body, "tandem"), &out->objective, r->err);
}

int tdm_chat_read(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
                  struct tdm_chat_request *out, struct tdm_error *err) {
	struct tdm_reader r = {arena, record, err};
	int status = tdm_read_common(&r, body, out);
	if (!status)
		status = read_messages(&r, body, &out->request);
	if (!status)
		status = tdm_reader_bool(&r, body, "logprobs", "logprobs", &out->request.logprobs);
	if (!status)
		status = tdm_read_form(&r, tdm_get(body, TDM_FORM_FIELD), TDM_FORM_FIELD, false, &out->request);
	if (!status)
		status = tdm_read_tools(&r, body, &out->request.tools, &out->older_tools);
	return status ? status : read_modalities(&r, body);
}
