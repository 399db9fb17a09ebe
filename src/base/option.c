// Options: the one reader of settings. A table row says everything about a setting; this file turns values and
// texts into fields, and faults into sentences that name the file, the line and the nearest known name.
// To add a type of option: a row in option.h's enum, in `setters`, and in from_text.
#include "base/option.h"
#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct setting {
	struct tdm_arena *arena;
	const char *where;
	const struct tdm_option *option;
	void *field;
	struct tdm_error *err;
};

// "tandem.yaml: model small" in line 7 is told as "tandem.yaml line 7: model small".
static const char *place(struct tdm_arena *arena, const char *where, int line) {
	const char *colon = where ? strchr(where, ':') : "";
	const char *text;
	if (line <= 0)
		return where && *where ? where : "settings";
	if (!where || !*where)
		text = tdm_arena_printf(arena, "line %d", line);
	else if (!colon)
		text = tdm_arena_printf(arena, "%s line %d", where, line);
	else
		text = tdm_arena_printf(arena, "%.*s line %d%s", (int)(colon - where), where, line, colon);
	return text ? text : where;
}

static int no_memory(const struct setting *s) {
	return tdm_fail(s->err, TDM_ENOMEM, "%s: no memory for option \"%s\"", place(s->arena, s->where, 0),
	                s->option->name);
}

// What the value is, for the end of a sentence: short scalars as they are, anything else by its type.
static const char *shown(const struct setting *s, const struct tdm_value *value) {
	struct tdm_bytes text;
	if (value->type == TDM_LIST || value->type == TDM_MAP || value->type == TDM_NULL)
		return tdm_type_name(value->type);
	tdm_bytes_init(&text, 60);
	tdm_value_write(&text, value);
	const char *copy = text.failed ? NULL : tdm_arena_printf(s->arena, "%s", text.data);
	tdm_bytes_release(&text);
	return copy ? copy : tdm_type_name(value->type);
}

static int refuse(const struct setting *s, const struct tdm_value *value, const char *expected) {
	return tdm_fail(s->err, TDM_ECONFIG, "%s: option \"%s\": expected %s, found %s",
	                place(s->arena, s->where, value->line), s->option->name, expected, shown(s, value));
}

static int refuse_range(const struct setting *s, const struct tdm_value *value, const char *what) {
	const struct tdm_option *option = s->option;
	const char *expected = tdm_arena_printf(s->arena, "%s from %.15g to %.15g", what, option->min, option->max);
	return refuse(s, value, expected ? expected : what);
}

// Written so that NaN is outside every range.
static bool is_inside(const struct tdm_option *option, double number) {
	return (option->min == 0 && option->max == 0) || (number >= option->min && number <= option->max);
}

static int set_int(const struct setting *s, const struct tdm_value *value) {
	if (value->type != TDM_NUMBER || !value->is_integer)
		return refuse(s, value, "a whole number");
	if (!is_inside(s->option, value->number))
		return refuse_range(s, value, "a whole number");
	*(int64_t *)s->field = value->integer;
	return TDM_OK;
}

static int set_number(const struct setting *s, const struct tdm_value *value) {
	if (value->type != TDM_NUMBER || value->number != value->number)
		return refuse(s, value, "a number");
	if (!is_inside(s->option, value->number))
		return refuse_range(s, value, "a number");
	*(double *)s->field = value->number;
	return TDM_OK;
}

static int set_bool(const struct setting *s, const struct tdm_value *value) {
	if (value->type != TDM_BOOL)
		return refuse(s, value, "true or false");
	*(bool *)s->field = value->truth;
	return TDM_OK;
}

static bool is_text(const struct tdm_value *value) {
	return value->type == TDM_STRING && strlen(value->text) == value->len;
}

static int set_string(const struct setting *s, const struct tdm_value *value) {
	if (!is_text(value))
		return refuse(s, value,
		              value->type == TDM_NUMBER || value->type == TDM_BOOL ? "a string in quotes" : "a string");
	*(const char **)s->field = value->text;
	return TDM_OK;
}

// The index of `word` in "a|b|c", or -1.
static int choice_index(const char *choices, const char *word) {
	size_t n = strlen(word);
	for (int index = 0; choices; index++) {
		size_t length = strcspn(choices, "|");
		if (length == n && memcmp(choices, word, n) == 0)
			return index;
		choices = choices[length] ? choices + length + 1 : NULL;
	}
	return -1;
}

// A choice may look like a number or a boolean in YAML: level: 2, keep: no.
static int set_choice(const struct setting *s, const struct tdm_value *value) {
	char digits[24];
	int index = -1;
	if (is_text(value)) {
		index = choice_index(s->option->choices, value->text);
	} else if (value->type == TDM_NUMBER && value->is_integer) {
		snprintf(digits, sizeof digits, "%" PRId64, value->integer);
		index = choice_index(s->option->choices, digits);
	} else if (value->type == TDM_BOOL) {
		index = choice_index(s->option->choices, value->truth ? "yes" : "no");
		if (index < 0)
			index = choice_index(s->option->choices, value->truth ? "true" : "false");
	}
	if (index < 0) {
		const char *expected = tdm_arena_printf(s->arena, "one of %s", s->option->choices);
		return refuse(s, value, expected ? expected : "one of the choices");
	}
	*(int *)s->field = index;
	return TDM_OK;
}

static int set_list(const struct setting *s, const struct tdm_value *value) {
	const struct tdm_value *items = value->type == TDM_LIST ? value->items : value;
	size_t n = value->type == TDM_LIST ? value->n : 1;
	struct tdm_strings *out = s->field;
	const char **texts = tdm_arena_array(s->arena, n, sizeof *texts);
	if (!texts)
		return no_memory(s);
	for (size_t i = 0; i < n; i++) {
		if (!is_text(&items[i]))
			return refuse(s, &items[i], "a list of strings");
		texts[i] = items[i].text;
	}
	*out = (struct tdm_strings){texts, n};
	return TDM_OK;
}

static int set_value(const struct setting *s, const struct tdm_value *value) {
	*(const struct tdm_value **)s->field = value;
	return TDM_OK;
}

static int (*const setters[])(const struct setting *, const struct tdm_value *) = {
    [TDM_OPT_INT] = set_int,       [TDM_OPT_NUMBER] = set_number, [TDM_OPT_BOOL] = set_bool,
    [TDM_OPT_STRING] = set_string, [TDM_OPT_CHOICE] = set_choice, [TDM_OPT_LIST] = set_list,
    [TDM_OPT_VALUE] = set_value,
};

// "a,b,c"; the empty text is the empty list.
static int split_list(const struct setting *s, const char *text, struct tdm_value *out) {
	size_t n = *text != 0;
	for (const char *at = text; *at; at++)
		n += *at == ',';
	*out = (struct tdm_value){.type = TDM_LIST, .n = n};
	out->items = tdm_arena_array(s->arena, n, sizeof *out->items);
	if (!out->items)
		return no_memory(s);
	for (size_t i = 0; i < n; i++) {
		size_t length = strcspn(text, ",");
		out->items[i] = (struct tdm_value){.type = TDM_STRING, .len = length};
		out->items[i].text = tdm_arena_copy(s->arena, text, length);
		if (!out->items[i].text)
			return no_memory(s);
		text += length + 1;
	}
	return TDM_OK;
}

// Text from the command line or a default: strings need no quotes, everything else reads as in the file.
static int from_text(const struct setting *s, const char *text, struct tdm_value **out) {
	enum tdm_option_type type = s->option->type;
	if (type != TDM_OPT_STRING && type != TDM_OPT_CHOICE && type != TDM_OPT_LIST)
		return tdm_yaml_parse(s->arena, place(s->arena, s->where, 0), text, strlen(text), out, s->err);
	*out = tdm_arena_alloc(s->arena, sizeof **out);
	if (!*out)
		return no_memory(s);
	if (type == TDM_OPT_LIST)
		return split_list(s, text, *out);
	**out = (struct tdm_value){.type = TDM_STRING, .len = strlen(text)};
	(*out)->text = tdm_arena_string(s->arena, text);
	return (*out)->text ? TDM_OK : no_memory(s);
}

int tdm_option_set(struct tdm_arena *arena, const char *where, const struct tdm_option *option, const char *text,
                   void *out, struct tdm_error *err) {
	struct setting s = {arena, where, option, (char *)out + option->offset, err};
	struct tdm_value *value;
	int status = from_text(&s, text, &value);
	if (status != TDM_OK)
		return status;
	value->line = 0; // a text has no lines
	return setters[option->type](&s, value);
}

static size_t find_option(const struct tdm_option *table, size_t n_options, const char *name) {
	size_t i = 0;
	while (i < n_options && strcmp(table[i].name, name) != 0)
		i++;
	return i;
}

static int refuse_unknown(struct tdm_arena *arena, const char *where, const char *key, const struct tdm_option *table,
                          size_t n_options, const char *const *also, struct tdm_error *err) {
	size_t n_also = 0, n = 0;
	while (also && also[n_also])
		n_also++;
	const char **names = tdm_arena_array(arena, n_options + n_also, sizeof *names);
	for (size_t i = 0; names && i < n_options; i++)
		names[n++] = table[i].name;
	for (size_t i = 0; names && i < n_also; i++)
		names[n++] = also[i];
	const char *nearest = names ? tdm_nearest(key, names, n) : NULL;
	if (nearest)
		return tdm_fail(err, TDM_ECONFIG, "%s: unknown option \"%s\" (nearest: \"%s\")", where, key, nearest);
	return tdm_fail(err, TDM_ECONFIG, "%s: unknown option \"%s\"", where, key);
}

static bool is_listed(const char *const *also, const char *name) {
	for (; also && *also; also++)
		if (strcmp(*also, name) == 0)
			return true;
	return false;
}

int tdm_options_read(struct tdm_arena *arena, const char *where, const struct tdm_value *map,
                     const struct tdm_option *table, size_t n_options, const char *const *also, void *out,
                     size_t option_bytes, struct tdm_error *err) {
	int status = TDM_OK;
	memset(out, 0, option_bytes);
	for (size_t i = 0; i < n_options && status == TDM_OK; i++)
		if (table[i].standard)
			status = tdm_option_set(arena, where, &table[i], table[i].standard, out, err);
	if (status != TDM_OK || !map || map->type == TDM_NULL)
		return status;
	if (map->type != TDM_MAP)
		return tdm_fail(err, TDM_ECONFIG, "%s: expected a map of options, found %s", place(arena, where, map->line),
		                tdm_type_name(map->type));
	for (size_t i = 0; i < map->n && status == TDM_OK; i++) {
		const struct tdm_value *value = &map->items[i];
		size_t at = find_option(table, n_options, map->keys[i]);
		struct setting s = {arena, where, &table[at], NULL, err};
		if (at < n_options && value->type != TDM_NULL) {
			s.field = (char *)out + table[at].offset;
			status = setters[table[at].type](&s, value);
		} else if (at == n_options && !is_listed(also, map->keys[i])) {
			status = refuse_unknown(arena, place(arena, where, value->line), map->keys[i], table, n_options, also, err);
		}
	}
	return status;
}

const char *tdm_nearest(const char *name, const char *const *names, size_t n) {
	size_t length = strlen(name), best = length / 3 > 2 ? length / 3 : 2;
	const char *nearest = NULL;
	if (length > 256) // no such name exists, and the distance costs the product of the lengths
		return NULL;
	if (best >= length && length > 0)
		best = length - 1; // a name of which nothing is left is not near
	for (size_t i = 0; i < n; i++) {
		size_t distance = tdm_edit_distance(name, names[i]);
		if (distance < best || (distance == best && !nearest)) {
			best = distance;
			nearest = names[i];
		}
	}
	return nearest;
}
