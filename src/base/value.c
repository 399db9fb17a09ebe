// Value: looking things up in a tree, and writing a tree as JSON. json.c and yaml.c build the trees.
#include "base/value.h"
#include <string.h>

const struct tdm_value *tdm_get(const struct tdm_value *map, const char *key) {
	if (!map || map->type != TDM_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (*map->keys[i] == *key && strcmp(map->keys[i], key) == 0) // most differ at once
			return map->items[i].type == TDM_NULL ? NULL : &map->items[i];
	return NULL;
}

const char *tdm_get_string(const struct tdm_value *map, const char *key) {
	const struct tdm_value *value = tdm_get(map, key);
	return value && value->type == TDM_STRING ? value->text : NULL;
}

bool tdm_value_numbers(const struct tdm_value *list, size_t n, double *out) {
	if (!list || list->type != TDM_LIST || list->n != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (list->items[i].type != TDM_NUMBER)
			return false;
		out[i] = list->items[i].number;
	}
	return true;
}

double tdm_get_number(const struct tdm_value *map, const char *key, double otherwise) {
	const struct tdm_value *value = tdm_get(map, key);
	return value && value->type == TDM_NUMBER ? value->number : otherwise;
}

bool tdm_get_bool(const struct tdm_value *map, const char *key, bool otherwise) {
	const struct tdm_value *value = tdm_get(map, key);
	return value && value->type == TDM_BOOL ? value->truth : otherwise;
}

const char *tdm_type_name(enum tdm_type type) {
	static const char *const names[] = {"null", "a boolean", "a number", "a string", "a list", "a map"};
	return (size_t)type < sizeof names / sizeof *names ? names[type] : "an unknown value";
}

static void write_items(struct tdm_bytes *out, const struct tdm_value *value) {
	bool is_map = value->type == TDM_MAP;
	tdm_bytes_putc(out, is_map ? '{' : '[');
	// An alias may name a tree many times: stop when the buffer is full, and not when the tree ends.
	for (size_t i = 0; i < value->n && !out->failed; i++) {
		if (i)
			tdm_bytes_putc(out, ',');
		if (is_map) {
			tdm_bytes_json(out, value->keys[i], strlen(value->keys[i]));
			tdm_bytes_putc(out, ':');
		}
		tdm_value_write(out, &value->items[i]);
	}
	tdm_bytes_putc(out, is_map ? '}' : ']');
}

void tdm_value_write(struct tdm_bytes *out, const struct tdm_value *value) {
	switch (value->type) {
	case TDM_NULL:
		tdm_bytes_puts(out, "null");
		break;
	case TDM_BOOL:
		tdm_bytes_puts(out, value->truth ? "true" : "false");
		break;
	case TDM_NUMBER:
		if (value->is_integer)
			tdm_bytes_integer(out, value->integer);
		else
			tdm_bytes_number(out, value->number);
		break;
	case TDM_STRING:
		tdm_bytes_json(out, value->text, value->len);
		break;
	case TDM_LIST:
	case TDM_MAP:
		write_items(out, value);
		break;
	}
}
