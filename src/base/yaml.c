// YAML, read with libyaml's events and built in the arena. This is the only file that knows libyaml.
//
// The rules kept here: a settings file says exactly one thing (one document, no key twice, no unknown tag), and no
// file can grow: depth is limited, and an alias counts as often as it is used. Plain scalars follow the core schema
// of YAML 1.2, and `yes` and `no` are booleans too. A value in a map has the line of its key.
#include "base/value.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_LIMIT 64
#define N_NODES_LIMIT 200000
#define FILE_LIMIT_BYTES (8u << 20)

struct anchor {
	struct anchor *next;
	const char *name;
	struct tdm_value *value; // NULL while the node is being read: an alias to it would be a cycle
	size_t n_nodes;
};

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; // the current one
	bool has_event;
	struct tdm_arena *arena;
	const char *name;
	struct tdm_error *err;
	struct anchor *anchors; // newest first
	size_t n_nodes;
};

// The items of one list or map while their number is not known.
struct items {
	struct tdm_value *values;
	const char **keys;
	size_t n, cap;
};

static int read_node(struct reader *r, struct tdm_value *out, int depth);

static int line_of(const struct reader *r) {
	return (int)r->event.start_mark.line + 1;
}

static int fail_at(struct reader *r, int line, const char *what) {
	return tdm_fail(r->err, TDM_ECONFIG, "%s line %d: %s", r->name, line, what);
}

static int no_memory(struct reader *r) {
	return tdm_fail(r->err, TDM_ENOMEM, "%s: the file needs more memory than it may use", r->name);
}

static int fail_syntax(struct reader *r) {
	const yaml_parser_t *p = &r->parser;
	if (p->error == YAML_MEMORY_ERROR)
		return no_memory(r);
	const char *problem = p->problem ? p->problem : "not valid";
	if (p->error == YAML_READER_ERROR)
		return tdm_fail(r->err, TDM_ECONFIG, "%s line %d: %s (byte %zu)", r->name, (int)p->mark.line + 1, problem,
		                p->problem_offset);
	return tdm_fail(r->err, TDM_ECONFIG, "%s line %d: %s (column %d)", r->name, (int)p->problem_mark.line + 1, problem,
	                (int)p->problem_mark.column + 1);
}

static int next_event(struct reader *r) {
	if (r->has_event)
		yaml_event_delete(&r->event);
	r->has_event = yaml_parser_parse(&r->parser, &r->event);
	return r->has_event ? TDM_OK : fail_syntax(r);
}

static bool is_one_of(const char *text, const char *words) {
	size_t n = strcspn(text, "|");
	if (text[n])
		return false;
	for (const char *at = strstr(words, text); n && at; at = strstr(at + 1, text))
		if ((at == words || at[-1] == '|') && (at[n] == '|' || at[n] == 0))
			return true;
	return false;
}

static size_t count_digits(const char *text) {
	return strspn(text, "0123456789");
}

// [-+]? (digits | digits.digits? | .digits) ([eE] [-+]? digits)?
static bool is_decimal(const char *text, bool *is_whole) {
	const char *at = text + (*text == '-' || *text == '+');
	size_t n = count_digits(at), n_fraction = 0;
	at += n;
	*is_whole = *at == 0;
	if (*at == '.') {
		n_fraction = count_digits(++at);
		at += n_fraction;
	}
	if (n + n_fraction == 0)
		return false;
	if (*at == 'e' || *at == 'E') {
		at += 1 + (at[1] == '-' || at[1] == '+');
		n = count_digits(at);
		if (n == 0)
			return false;
		at += n;
	}
	return *at == 0;
}

static void set_number(struct tdm_value *out, double number) {
	out->type = TDM_NUMBER;
	out->number = number;
	out->is_integer = number >= -0x1p63 && number < 0x1p63 && trunc(number) == number;
	out->integer = out->is_integer ? (int64_t)number : 0;
}

static double sum_digits(const char *text, int base) {
	double sum = 0;
	for (; *text; text++)
		sum = sum * base + (*text <= '9' ? *text - '0' : (*text | 32) - 'a' + 10);
	return sum;
}

// A whole number beyond 64 bits becomes a double.
static void set_whole(struct tdm_value *out, const char *text, int base) {
	errno = 0;
	long long integer = strtoll(text, NULL, base);
	if (errno == ERANGE) {
		set_number(out, base == 10 ? strtod(text, NULL) : sum_digits(text, base));
		return;
	}
	*out = (struct tdm_value){
	    .type = TDM_NUMBER, .line = out->line, .is_integer = true, .integer = integer, .number = (double)integer};
}

static bool set_prefixed(struct tdm_value *out, const char *text) {
	bool is_hex = strncmp(text, "0x", 2) == 0;
	const char *digits = is_hex ? "0123456789abcdefABCDEF" : "01234567";
	if ((!is_hex && strncmp(text, "0o", 2) != 0) || !text[2] || text[2 + strspn(text + 2, digits)])
		return false;
	set_whole(out, text + 2, is_hex ? 16 : 8);
	return true;
}

static bool set_special(struct tdm_value *out, const char *text) {
	if (is_one_of(text, ".nan|.NaN|.NAN"))
		set_number(out, NAN);
	else if (is_one_of(text + (*text == '-' || *text == '+'), ".inf|.Inf|.INF"))
		set_number(out, *text == '-' ? -INFINITY : INFINITY);
	else
		return false;
	return true;
}

static void set_plain(struct tdm_value *out, const char *text) {
	bool is_whole;
	if (!*text || is_one_of(text, "~|null|Null|NULL")) {
		out->type = TDM_NULL;
	} else if (is_one_of(text, "true|True|TRUE|yes|Yes|YES|false|False|FALSE|no|No|NO")) {
		out->type = TDM_BOOL;
		out->truth = strchr("tTyY", *text) != NULL;
	} else if (is_decimal(text, &is_whole)) {
		if (is_whole)
			set_whole(out, text, 10);
		else
			set_number(out, strtod(text, NULL));
	} else if (!set_prefixed(out, text) && !set_special(out, text)) {
		out->type = TDM_STRING;
	}
}

static int check_tag(struct reader *r, const yaml_char_t *tag, const char *allowed) {
	if (!tag || strcmp((const char *)tag, allowed) == 0)
		return TDM_OK;
	return tdm_fail(r->err, TDM_ECONFIG, "%s line %d: unknown tag \"%s\"", r->name, line_of(r), (const char *)tag);
}

static int read_scalar(struct reader *r, struct tdm_value *out) {
	const char *text = (const char *)r->event.data.scalar.value;
	size_t n = r->event.data.scalar.length;
	int status = check_tag(r, r->event.data.scalar.tag, YAML_STR_TAG);
	if (status != TDM_OK)
		return status;
	out->type = TDM_STRING;
	if (r->event.data.scalar.plain_implicit && strlen(text) == n)
		set_plain(out, text);
	if (out->type != TDM_STRING)
		return TDM_OK;
	out->text = tdm_arena_copy(r->arena, text, n);
	out->len = n;
	return out->text ? TDM_OK : no_memory(r);
}

static bool grow(struct items *items) {
	if (items->n < items->cap)
		return true;
	size_t cap = items->cap ? items->cap * 2 : 8;
	struct tdm_value *values = realloc(items->values, cap * sizeof *values);
	if (!values)
		return false;
	items->values = values;
	const char **keys = realloc(items->keys, cap * sizeof *keys);
	if (!keys)
		return false;
	items->keys = keys;
	items->cap = cap;
	return true;
}

static int read_key(struct reader *r, const char **key) {
	if (r->event.type != YAML_SCALAR_EVENT)
		return fail_at(r, line_of(r), "a key must be a word");
	if (strlen((const char *)r->event.data.scalar.value) != r->event.data.scalar.length)
		return fail_at(r, line_of(r), "a key must not contain the character NUL");
	if (r->event.data.scalar.anchor)
		return fail_at(r, line_of(r), "a key must not have an anchor");
	*key = tdm_arena_string(r->arena, (const char *)r->event.data.scalar.value);
	return *key ? next_event(r) : no_memory(r);
}

static int read_item(struct reader *r, struct items *items, bool is_map, int depth) {
	const char *key = NULL;
	int line = line_of(r);
	if (!grow(items))
		return no_memory(r);
	int status = is_map ? read_key(r, &key) : TDM_OK;
	if (status != TDM_OK)
		return status;
	struct tdm_value value = {0};
	status = read_node(r, &value, depth + 1);
	if (status != TDM_OK)
		return status;
	value.line = line;
	items->keys[items->n] = key;
	items->values[items->n++] = value;
	return next_event(r);
}

struct sorted_key {
	const char *key;
	int line;
};

static int compare_keys(const void *a, const void *b) {
	const struct sorted_key *x = a, *y = b;
	int order = strcmp(x->key, y->key);
	return order ? order : (x->line > y->line) - (x->line < y->line);
}

static int check_duplicates(struct reader *r, const struct items *items) {
	if (items->n < 2)
		return TDM_OK;
	struct sorted_key *sorted = malloc(items->n * sizeof *sorted);
	if (!sorted)
		return no_memory(r);
	for (size_t i = 0; i < items->n; i++)
		sorted[i] = (struct sorted_key){items->keys[i], items->values[i].line};
	qsort(sorted, items->n, sizeof *sorted, compare_keys);
	int status = TDM_OK;
	for (size_t i = 1; i < items->n && status == TDM_OK; i++)
		if (strcmp(sorted[i - 1].key, sorted[i].key) == 0)
			status = tdm_fail(r->err, TDM_ECONFIG, "%s line %d: the key \"%s\" is given twice (first in line %d)",
			                  r->name, sorted[i].line, sorted[i].key, sorted[i - 1].line);
	free(sorted);
	return status;
}

static int keep_items(struct reader *r, const struct items *items, struct tdm_value *out) {
	out->n = items->n;
	out->items = tdm_arena_array(r->arena, items->n, sizeof *out->items);
	if (!out->items)
		return no_memory(r);
	if (items->n)
		memcpy(out->items, items->values, items->n * sizeof *out->items);
	if (out->type != TDM_MAP)
		return TDM_OK;
	out->keys = tdm_arena_array(r->arena, items->n, sizeof *out->keys);
	if (!out->keys)
		return no_memory(r);
	if (items->n)
		memcpy(out->keys, items->keys, items->n * sizeof *out->keys);
	return check_duplicates(r, items);
}

static int read_collection(struct reader *r, struct tdm_value *out, int depth) {
	bool is_map = r->event.type == YAML_MAPPING_START_EVENT;
	yaml_event_type_t end = is_map ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT;
	struct items items = {0};
	if (depth >= DEPTH_LIMIT)
		return fail_at(r, line_of(r), "nested deeper than 64 levels");
	int status = is_map ? check_tag(r, r->event.data.mapping_start.tag, YAML_MAP_TAG)
	                    : check_tag(r, r->event.data.sequence_start.tag, YAML_SEQ_TAG);
	out->type = is_map ? TDM_MAP : TDM_LIST;
	if (status == TDM_OK)
		status = next_event(r);
	while (status == TDM_OK && r->event.type != end)
		status = read_item(r, &items, is_map, depth);
	if (status == TDM_OK)
		status = keep_items(r, &items, out);
	free(items.values);
	free(items.keys);
	return status;
}

static int count_nodes(struct reader *r, size_t n) {
	r->n_nodes += n;
	if (r->n_nodes <= N_NODES_LIMIT)
		return TDM_OK;
	return fail_at(r, line_of(r), "the file has more than 200000 values (an alias counts as often as it is used)");
}

static int read_alias(struct reader *r, struct tdm_value *out) {
	const char *name = (const char *)r->event.data.alias.anchor;
	struct anchor *anchor = r->anchors;
	while (anchor && strcmp(anchor->name, name) != 0)
		anchor = anchor->next;
	if (!anchor)
		return tdm_fail(r->err, TDM_ECONFIG, "%s line %d: the alias *%s has no anchor before it", r->name, line_of(r),
		                name);
	if (!anchor->value)
		return tdm_fail(r->err, TDM_ECONFIG, "%s line %d: the alias *%s is inside its own anchor", r->name, line_of(r),
		                name);
	*out = *anchor->value;
	return count_nodes(r, anchor->n_nodes);
}

static int add_anchor(struct reader *r, struct anchor **out) {
	const yaml_event_t *event = &r->event;
	const yaml_char_t *name = event->type == YAML_SCALAR_EVENT           ? event->data.scalar.anchor
	                          : event->type == YAML_SEQUENCE_START_EVENT ? event->data.sequence_start.anchor
	                                                                     : event->data.mapping_start.anchor;
	*out = NULL;
	if (!name)
		return TDM_OK;
	struct anchor *anchor = tdm_arena_alloc(r->arena, sizeof *anchor);
	if (!anchor)
		return no_memory(r);
	anchor->name = tdm_arena_string(r->arena, (const char *)name);
	anchor->next = r->anchors;
	anchor->n_nodes = r->n_nodes; // of the file before this node
	if (!anchor->name)
		return no_memory(r);
	*out = r->anchors = anchor;
	return TDM_OK;
}

static int close_anchor(struct reader *r, struct anchor *anchor, const struct tdm_value *value) {
	if (!anchor)
		return TDM_OK;
	anchor->value = tdm_arena_alloc(r->arena, sizeof *anchor->value);
	if (!anchor->value)
		return no_memory(r);
	*anchor->value = *value;
	anchor->n_nodes = r->n_nodes - anchor->n_nodes;
	return TDM_OK;
}

// Reads the node that begins with the current event; afterwards the current event is the node's last.
static int read_node(struct reader *r, struct tdm_value *out, int depth) {
	struct anchor *anchor;
	out->line = line_of(r);
	if (r->event.type == YAML_ALIAS_EVENT)
		return read_alias(r, out);
	int status = add_anchor(r, &anchor);
	if (status == TDM_OK)
		status = count_nodes(r, 1);
	if (status != TDM_OK)
		return status;
	status = r->event.type == YAML_SCALAR_EVENT ? read_scalar(r, out) : read_collection(r, out, depth);
	return status == TDM_OK ? close_anchor(r, anchor, out) : status;
}

// STREAM-START (DOCUMENT-START node DOCUMENT-END)? STREAM-END
static int read_document(struct reader *r, struct tdm_value *out) {
	int status = next_event(r);
	if (status == TDM_OK)
		status = next_event(r);
	if (status != TDM_OK || r->event.type == YAML_STREAM_END_EVENT)
		return status;
	status = next_event(r);
	if (status == TDM_OK)
		status = read_node(r, out, 0);
	if (status == TDM_OK)
		status = next_event(r);
	if (status == TDM_OK)
		status = next_event(r);
	if (status == TDM_OK && r->event.type != YAML_STREAM_END_EVENT)
		return fail_at(r, line_of(r), "a second document begins, expected one");
	return status;
}

int tdm_yaml_parse(struct tdm_arena *arena, const char *name, const char *data, size_t n, struct tdm_value **out,
                   struct tdm_error *err) {
	struct reader r = {.arena = arena, .name = name, .err = err};
	if (n > FILE_LIMIT_BYTES)
		return tdm_fail(err, TDM_ECONFIG, "%s: the file has %zu bytes, expected at most %u", name, n, FILE_LIMIT_BYTES);
	struct tdm_value *value = tdm_arena_alloc(arena, sizeof *value);
	if (!value || !yaml_parser_initialize(&r.parser))
		return no_memory(&r);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)(data ? data : ""), n);
	int status = read_document(&r, value);
	if (r.has_event)
		yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
	if (status == TDM_OK)
		*out = value;
	return status;
}
