// JSON, read with jansson and copied into the arena. This is the only file that knows jansson.
//
// The rules kept here: text that is not UTF-8 is refused, nesting is limited, and an error tells the place but
// never the text, because the text may be a prompt.
#include "base/value.h"
#include <jansson.h>
#include <math.h>
#include <string.h>

#define DEPTH_LIMIT 64

static int convert(struct tdm_arena *arena, json_t *json, struct tdm_value *out, int depth, struct tdm_error *err);

static int no_memory(struct tdm_error *err) {
	return tdm_fail(err, TDM_ENOMEM, "The JSON text needs more memory than the request may use.");
}

static void set_number(struct tdm_value *out, double number) {
	out->type = TDM_NUMBER;
	out->number = number;
	out->is_integer = trunc(number) == number && number >= -0x1p63 && number < 0x1p63;
	out->integer = out->is_integer ? (int64_t)number : 0;
}

static int convert_list(struct tdm_arena *arena, json_t *json, struct tdm_value *out, int depth,
                        struct tdm_error *err) {
	int status = TDM_OK;
	out->type = TDM_LIST;
	out->n = json_array_size(json);
	out->items = tdm_arena_array(arena, out->n, sizeof *out->items);
	if (!out->items)
		return no_memory(err);
	for (size_t i = 0; i < out->n && status == TDM_OK; i++)
		status = convert(arena, json_array_get(json, i), &out->items[i], depth + 1, err);
	return status;
}

static int convert_map(struct tdm_arena *arena, json_t *json, struct tdm_value *out, int depth, struct tdm_error *err) {
	int status = TDM_OK;
	size_t i = 0;
	out->type = TDM_MAP;
	out->n = json_object_size(json);
	out->items = tdm_arena_array(arena, out->n, sizeof *out->items);
	out->keys = tdm_arena_array(arena, out->n, sizeof *out->keys);
	if (!out->items || !out->keys)
		return no_memory(err);
	for (void *at = json_object_iter(json); at && status == TDM_OK; at = json_object_iter_next(json, at), i++) {
		out->keys[i] = tdm_arena_string(arena, json_object_iter_key(at));
		if (!out->keys[i])
			return no_memory(err);
		status = convert(arena, json_object_iter_value(at), &out->items[i], depth + 1, err);
	}
	return status;
}

static int convert(struct tdm_arena *arena, json_t *json, struct tdm_value *out, int depth, struct tdm_error *err) {
	switch (json_typeof(json)) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		if (depth >= DEPTH_LIMIT)
			return tdm_fail(err, TDM_EJSON, "The JSON text is nested deeper than %d levels.", DEPTH_LIMIT);
		return json_is_object(json) ? convert_map(arena, json, out, depth, err)
		                            : convert_list(arena, json, out, depth, err);
	case JSON_STRING:
		out->type = TDM_STRING;
		out->len = json_string_length(json);
		out->text = tdm_arena_copy(arena, json_string_value(json), out->len);
		return out->text ? TDM_OK : no_memory(err);
	case JSON_INTEGER:
		out->type = TDM_NUMBER;
		out->is_integer = true;
		out->integer = json_integer_value(json);
		out->number = (double)out->integer;
		return TDM_OK;
	case JSON_REAL:
		set_number(out, json_real_value(json));
		return TDM_OK;
	case JSON_TRUE:
	case JSON_FALSE:
		out->type = TDM_BOOL;
		out->truth = json_is_true(json);
		return TDM_OK;
	default:
		out->type = TDM_NULL;
		return TDM_OK;
	}
}

// A text with an integer beyond 64 bits is read a second time with all integers as doubles.
static json_t *load(const char *data, size_t n, json_error_t *error) {
	size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_t *json = json_loadb(data ? data : "", n, flags, error);
	if (!json && json_error_code(error) == json_error_numeric_overflow)
		json = json_loadb(data, n, flags | JSON_DECODE_INT_AS_REAL, error);
	return json;
}

static int fail_syntax(const json_error_t *error, struct tdm_error *err) {
	if (json_error_code(error) == json_error_out_of_memory)
		return no_memory(err);
	const char *quote = strstr(error->text, " near '"); // what follows is the text itself
	int length = quote ? (int)(quote - error->text) : (int)strlen(error->text);
	return tdm_fail(err, TDM_EJSON, "The JSON text is not valid at line %d column %d: %.*s%s.", error->line,
	                error->column, length, error->text,
	                json_error_code(error) == json_error_invalid_utf8 ? ", expected UTF-8" : "");
}

int tdm_json_parse(struct tdm_arena *arena, const char *data, size_t n, struct tdm_value **out, struct tdm_error *err) {
	json_error_t error;
	json_t *json = load(data, n, &error);
	if (!json)
		return fail_syntax(&error, err);
	struct tdm_value *value = tdm_arena_alloc(arena, sizeof *value);
	int status = value ? convert(arena, json, value, 0, err) : no_memory(err);
	json_decref(json);
	if (status == TDM_OK)
		*out = value;
	return status;
}
