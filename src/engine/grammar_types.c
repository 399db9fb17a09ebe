// JSON Schema: an expression for each type of value.
#include "engine/grammar_schema.h"
#include "base/bytes.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_PREFIX = 256, MAX_COUNT = 1000000 };

// --- numbers of things

static int count_of(struct tdm_schema *r, const struct tdm_value *schema, const char *name, int otherwise, int *out) {
	const struct tdm_value *v = tdm_schema_find(schema, name);
	*out = otherwise;
	if (!v)
		return TDM_OK;
	if (v->type != TDM_NUMBER || !v->is_integer || v->integer < 0)
		return tdm_schema_wrong(r, "expected an integer of at least 0: ", name);
	*out = v->integer > MAX_COUNT ? MAX_COUNT : (int)v->integer;
	if (v->integer > MAX_COUNT && otherwise < 0) // as good as none
		*out = -1;
	return TDM_OK;
}

static int counts(struct tdm_schema *r, const struct tdm_value *schema, const char *least, const char *most, int *min,
                  int *max) {
	int status = count_of(r, schema, least, 0, min);
	return status ? status : count_of(r, schema, most, -1, max);
}

static const struct tdm_expr *nothing(struct tdm_schema *r) {
	return tdm_expr_alt(r->b, 0, NULL);
}

// --- strings

static const struct {
	const char *name, *pattern;
} formats[] = {
    {"date", "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"},
    {"time", "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"},
    {"date-time", "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
                  "(\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"},
    {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    {"email", "^[A-Za-z0-9_+-]{1,32}(\\.[A-Za-z0-9_+-]{1,32}){0,3}@([A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?\\.)"
              "{1,4}[A-Za-z]{2,24}$"},
    {"ipv4", "^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$"},
    {"uri", "^[A-Za-z][A-Za-z0-9+.-]{0,30}://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]{1,2000}$"},
};

static int pattern_of(struct tdm_schema *r, const struct tdm_value *schema, const char **text, size_t *n) {
	const struct tdm_value *pattern = tdm_schema_find(schema, "pattern"), *format = tdm_schema_find(schema, "format");
	const struct tdm_value *v = pattern ? pattern : format;
	*text = NULL;
	if (!v)
		return TDM_OK;
	if (v->type != TDM_STRING)
		return tdm_schema_wrong(r, "pattern and format must be strings", "");
	if ((pattern && format) || tdm_schema_find(schema, "minLength") || tdm_schema_find(schema, "maxLength"))
		return tdm_schema_wrong(r, "only one of pattern, format, and lengths is supported at once", "");
	*text = pattern ? v->text : NULL;
	*n = v->len;
	for (size_t i = 0; i < sizeof formats / sizeof *formats && !pattern; i++)
		if (!strcmp(formats[i].name, v->text)) {
			*text = formats[i].pattern;
			*n = strlen(*text);
		}
	return *text ? TDM_OK : tdm_schema_wrong(r, "unsupported format ", v->text);
}

// What strings of these lengths, or of this pattern, are called: fields that ask for the same share one rule.
static char *string_name(struct tdm_schema *r, const char *pattern, size_t n, int min, int max) {
	return pattern ? tdm_arena_printf(&r->b->arena, "string of %.*s", (int)n, pattern)
	               : tdm_arena_printf(&r->b->arena, "string of %d to %d", min, max);
}

static int inside_of(struct tdm_schema *r, const char *pattern, size_t n, int min, int max,
                     const struct tdm_expr **out) {
	char where[256];
	if (!pattern) {
		*out = tdm_expr_repeat(r->b, tdm_json_char(&r->json), min, max);
		return TDM_OK;
	}
	snprintf(where, sizeof where, "the pattern at #%s", r->path);
	return tdm_regex_string(r->b, where, pattern, n, out);
}

static int string(struct tdm_schema *r, const struct tdm_value *schema, const struct tdm_expr **out) {
	const struct tdm_expr *inside = NULL, *quote = tdm_expr_bytes(r->b, '"', '"');
	const char *text;
	size_t n = 0;
	int min, max, status = pattern_of(r, schema, &text, &n);
	if (!status)
		status = counts(r, schema, "minLength", "maxLength", &min, &max);
	if (status)
		return status;
	*out = nothing(r);
	if (max >= 0 && max < min)
		return TDM_OK;
	if (!text && min == 0 && max < 0) {
		*out = tdm_json_string(&r->json);
		return TDM_OK;
	}
	const char *name = string_name(r, text, n, min, max);
	int rule = name ? tdm_rule_find(r->b, name, strlen(name)) : -1;
	if (rule < 0 && name && (rule = tdm_rule_add(r->b, name, true)) >= 0) {
		status = inside_of(r, text, n, min, max, &inside);
		r->b->rules[rule].expr = tdm_expr_seq(r->b, 3, (const struct tdm_expr *[]){quote, inside, quote});
	}
	*out = tdm_expr_rule(r->b, rule);
	return status;
}

// --- integers

static int64_t clamp(double x) {
	return x < -0x1p63 ? INT64_MIN : x >= 0x1p63 ? INT64_MAX : (int64_t)x;
}

// Tightens *bound by one keyword. step: +1 for a minimum, -1 for a maximum.
static int bound(struct tdm_schema *r, const struct tdm_value *schema, const char *name, bool exclusive, int step,
                 int64_t *limit, bool *has) {
	const struct tdm_value *v = tdm_schema_find(schema, name);
	if (!v)
		return TDM_OK;
	if (v->type != TDM_NUMBER)
		return tdm_schema_wrong(r, "expected a number: ", name);
	int64_t value = v->is_integer ? v->integer : clamp(step > 0 ? ceil(v->number) : floor(v->number));
	if (exclusive && v->is_integer && value != (step > 0 ? INT64_MAX : INT64_MIN))
		value += step;
	if (!*has || (step > 0 ? value > *limit : value < *limit))
		*limit = value;
	*has = true;
	return TDM_OK;
}

static int integer(struct tdm_schema *r, const struct tdm_value *schema, const struct tdm_expr **out) {
	const int64_t wide = 999999999999999999;
	int64_t lo = -wide, hi = wide;
	bool has_lo = false, has_hi = false;
	int status = bound(r, schema, "minimum", false, 1, &lo, &has_lo);
	if (!status)
		status = bound(r, schema, "exclusiveMinimum", true, 1, &lo, &has_lo);
	if (!status)
		status = bound(r, schema, "maximum", false, -1, &hi, &has_hi);
	if (!status)
		status = bound(r, schema, "exclusiveMaximum", true, -1, &hi, &has_hi);
	if (status)
		return status;
	if (!has_hi && lo > hi)
		hi = INT64_MAX;
	if (!has_lo && hi < lo)
		lo = INT64_MIN;
	*out = has_lo || has_hi ? tdm_json_range(&r->json, lo, hi) : tdm_json_integer(&r->json);
	return TDM_OK;
}

static int number(struct tdm_schema *r, const struct tdm_value *schema, const struct tdm_expr **out) {
	static const char *const bounds[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
	for (int i = 0; i < 4; i++)
		if (tdm_schema_find(schema, bounds[i]))
			return tdm_schema_wrong(r, "supported for integers only: ", bounds[i]);
	*out = tdm_json_number(&r->json);
	return TDM_OK;
}

// --- objects

static const struct tdm_expr *key_text(struct tdm_schema *r, const char *name) {
	struct tdm_bytes text;
	tdm_bytes_init(&text, r->b->budget.max_bytes);
	tdm_bytes_json(&text, name, strlen(name));
	const struct tdm_expr *e = text.failed ? NULL : tdm_expr_text(r->b, text.data, text.len);
	tdm_bytes_release(&text);
	return e;
}

struct members {
	const struct tdm_expr **kids;
	uint8_t *flags;
	int n;
};

static int add_member(struct tdm_schema *r, struct members *m, const struct tdm_expr *key, const struct tdm_expr *value,
                      int flags) {
	m->kids[m->n] = tdm_json_member(&r->json, key, value);
	m->flags[m->n] = (uint8_t)flags;
	return m->kids[m->n++] ? TDM_OK : tdm_budget_bytes(r->b);
}

static bool is_required(const struct tdm_value *required, const char *name) {
	for (size_t i = 0; required && i < required->n; i++)
		if (!strcmp(required->items[i].text, name))
			return true;
	return false;
}

static int check_object(struct tdm_schema *r, const struct tdm_value *properties, const struct tdm_value *required) {
	if (properties && properties->type != TDM_MAP)
		return tdm_schema_wrong(r, "properties must be an object", "");
	if (required && required->type != TDM_LIST)
		return tdm_schema_wrong(r, "required must be a list", "");
	for (size_t i = 0; required && i < required->n; i++)
		if (required->items[i].type != TDM_STRING)
			return tdm_schema_wrong(r, "required must be a list of strings", "");
	return TDM_OK;
}

// What the schema names, in its order; then what is required without being described.
static int add_named(struct tdm_schema *r, struct members *m, const struct tdm_value *properties,
                     const struct tdm_value *required, const struct tdm_expr *others) {
	int status = TDM_OK;
	size_t n = strlen(r->path), at = tdm_schema_enter(r, "properties");
	for (size_t i = 0; properties && i < properties->n && !status; i++) {
		const struct tdm_expr *value;
		const char *name = properties->keys[i];
		status = tdm_budget_time(r->b);
		if (!status)
			status = tdm_schema_at(r, name, &properties->items[i], &value);
		if (!status)
			status = add_member(r, m, key_text(r, name), value, is_required(required, name) ? TDM_MEMBER_REQUIRED : 0);
	}
	tdm_schema_leave(r, at < n ? at : n);
	for (size_t i = 0; required && i < required->n && !status; i++) {
		const char *name = required->items[i].text;
		struct tdm_value before = *required;
		before.n = i;
		if ((!properties || !tdm_schema_find(properties, name)) && !is_required(&before, name))
			status = add_member(r, m, key_text(r, name), others, TDM_MEMBER_REQUIRED);
	}
	return status;
}

static int add_others(struct tdm_schema *r, struct members *m, const struct tdm_value *properties,
                      const struct tdm_value *required, const struct tdm_expr *value) {
	size_t n = 0, all = (properties ? properties->n : 0) + (required ? required->n : 0);
	struct tdm_word *names = tdm_arena_array(&r->b->arena, all + 1, sizeof *names);
	if (!names)
		return tdm_budget_bytes(r->b);
	for (size_t i = 0; properties && i < properties->n; i++, n++)
		names[n] = (struct tdm_word){properties->keys[i], strlen(properties->keys[i])};
	for (size_t i = 0; required && i < required->n; i++, n++)
		names[n] = (struct tdm_word){required->items[i].text, strlen(required->items[i].text)};
	const struct tdm_expr *key = tdm_json_other_key(&r->json, names, n);
	if (!key && r->b->err->status)
		return r->b->err->status;
	return add_member(r, m, key, value, TDM_MEMBER_MANY);
}

static int add_all(struct tdm_schema *r, struct members *m, const struct tdm_value *schema,
                   const struct tdm_value *properties, const struct tdm_value *required) {
	const struct tdm_value *more = tdm_schema_find(schema, "additionalProperties");
	const struct tdm_expr *others = tdm_json_value(&r->json);
	bool is_closed = more && more->type == TDM_BOOL && !more->truth;
	int status = TDM_OK;
	if (is_closed)
		others = nothing(r);
	else if (more && more->type != TDM_BOOL)
		status = tdm_schema_at(r, "additionalProperties", more, &others);
	if (!status)
		status = add_named(r, m, properties, required, others);
	if (!status && !is_closed && (more || !properties))
		status = add_others(r, m, properties, required, others);
	return status;
}

static int object(struct tdm_schema *r, const struct tdm_value *schema, const struct tdm_expr **out) {
	const struct tdm_value *properties = tdm_schema_find(schema, "properties");
	const struct tdm_value *required = tdm_schema_find(schema, "required");
	struct members m = {.n = 1};
	int status = check_object(r, properties, required);
	if (status)
		return status;
	size_t cap = (properties ? properties->n : 0) + (required ? required->n : 0) + 2;
	m.kids = tdm_arena_array(&r->b->arena, cap, sizeof *m.kids);
	m.flags = tdm_arena_alloc(&r->b->arena, cap);
	if (!m.kids || !m.flags)
		return tdm_budget_bytes(r->b);
	m.kids[0] = tdm_json_comma(&r->json);
	status = add_all(r, &m, schema, properties, required);
	*out = tdm_json_enclosed(&r->json, '{', tdm_expr_series(r->b, m.n, m.kids, m.flags), '}');
	return status;
}

// --- arrays

// A rule of its own, so that counting copies calls only.
static const struct tdm_expr *as_rule(struct tdm_schema *r, const struct tdm_expr *e) {
	int rule = e && e->kind != TDM_EXPR_RULE ? tdm_rule_add(r->b, "items", true) : -1;
	if (rule < 0)
		return e && e->kind == TDM_EXPR_RULE ? e : NULL;
	r->b->rules[rule].expr = e;
	return tdm_expr_rule(r->b, rule);
}

// Between min and max items, of which `k` have been said.
static const struct tdm_expr *tail(struct tdm_schema *r, const struct tdm_expr *item, int k, int min, int max) {
	const struct tdm_expr *next = tdm_expr_pair(r->b, tdm_json_comma(&r->json), item);
	if (k > 0)
		return tdm_expr_repeat(r->b, next, min > k ? min - k : 0, max < 0 ? -1 : max - k);
	if (max == 0)
		return tdm_expr_seq(r->b, 0, NULL);
	const struct tdm_expr *some =
	    tdm_expr_pair(r->b, item, tdm_expr_repeat(r->b, next, min > 1 ? min - 1 : 0, max < 0 ? -1 : max - 1));
	return min > 0 ? some : tdm_expr_repeat(r->b, some, 0, 1);
}

// The first items, each by its own schema, from the last to the first; rest: what may follow all of them.
static int add_prefix(struct tdm_schema *r, const struct tdm_value *prefix, int n, int min, const struct tdm_expr *rest,
                      const struct tdm_expr **out) {
	int status = TDM_OK;
	*out = rest;
	for (int i = n - 1; i >= 0 && !status; i--) {
		const struct tdm_expr *item;
		status = tdm_schema_at(r, "prefixItems", &prefix->items[i], &item);
		if (status)
			return status;
		const struct tdm_expr *comma = i ? tdm_json_comma(&r->json) : tdm_expr_seq(r->b, 0, NULL);
		*out = tdm_expr_seq(r->b, 3, (const struct tdm_expr *[]){comma, item, *out});
		if (i >= min)
			*out = tdm_expr_repeat(r->b, *out, 0, 1);
	}
	return status;
}

// How many items, and the largest of it that what is said about them leaves.
static int item_counts(struct tdm_schema *r, const struct tdm_value *schema, int n, int *min, int *max) {
	const struct tdm_value *items = tdm_schema_find(schema, "items");
	int status = counts(r, schema, "minItems", "maxItems", min, max);
	bool is_closed = items ? items->type == TDM_BOOL && !items->truth : n && *min <= n;
	if (is_closed && (*max < 0 || *max > n))
		*max = n;
	return status;
}

static int array(struct tdm_schema *r, const struct tdm_value *schema, const struct tdm_expr **out) {
	const struct tdm_value *items = tdm_schema_find(schema, "items"), *prefix = tdm_schema_find(schema, "prefixItems");
	const struct tdm_expr *item = tdm_json_value(&r->json), *inside;
	if (prefix && (prefix->type != TDM_LIST || prefix->n > MAX_PREFIX))
		return tdm_schema_wrong(r, "prefixItems must be a list of at most 256 schemas", "");
	int n = prefix ? (int)prefix->n : 0, min, max, status = item_counts(r, schema, n, &min, &max);
	if (!status && items)
		status = tdm_schema_at(r, "items", items, &item);
	if (status)
		return status;
	if (max >= 0 && max < min) {
		*out = nothing(r);
		return TDM_OK;
	}
	if (max >= 0 && n > max)
		n = max;
	inside = max == n && n > 0 ? tdm_expr_seq(r->b, 0, NULL) : tail(r, as_rule(r, item), n, min, max);
	status = add_prefix(r, prefix, n, min, inside, &inside);
	*out = tdm_json_enclosed(&r->json, '[', inside, ']');
	return status;
}

int tdm_schema_of_type(struct tdm_schema *r, const struct tdm_value *schema, enum tdm_schema_type type,
                       const struct tdm_expr **out) {
	switch (type) {
	case TDM_OBJECT:
		return object(r, schema, out);
	case TDM_ARRAY:
		return array(r, schema, out);
	case TDM_TEXT:
		return string(r, schema, out);
	case TDM_FLOAT:
		return number(r, schema, out);
	case TDM_INTEGER:
		return integer(r, schema, out);
	case TDM_BOOLEAN:
		*out = tdm_expr_either(r->b, tdm_json_word(&r->json, "true"), tdm_json_word(&r->json, "false"));
		return TDM_OK;
	default:
		*out = tdm_json_word(&r->json, "null");
		return TDM_OK;
	}
}
