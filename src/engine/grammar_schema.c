// JSON Schema as expressions. Each keyword is a row of `keywords`: an unknown one is an error that names it and where.
//
// What a schema says by itself and what allOf, anyOf and $ref add to it is merged into one map first; that map then
// becomes an expression for each type. A $ref that stands alone is a rule, so schemas may refer to themselves.
#include "engine/grammar_schema.h"
#include "base/bytes.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MERGES = 64 };

static const struct {
	const char *name;
	enum tdm_schema_type type;
} types[] = {{"object", TDM_OBJECT},   {"array", TDM_ARRAY},     {"string", TDM_TEXT}, {"number", TDM_FLOAT},
             {"integer", TDM_INTEGER}, {"boolean", TDM_BOOLEAN}, {"null", TDM_NONE}};
enum { N_TYPES = sizeof types / sizeof *types };

enum merge { SAME, LARGER, SMALLER, UNION, LIST, NEVER_BOTH, NOTE };

static const struct keyword {
	const char *name;
	int types; // it says something about these only; 0 = about all
	enum merge merge;
} keywords[] = {
    {"type", 0, SAME},
    {"enum", 0, SAME},
    {"const", 0, SAME},
    {"anyOf", 0, NEVER_BOTH},
    {"oneOf", 0, NEVER_BOTH},
    {"allOf", 0, LIST},
    {"$ref", 0, NEVER_BOTH},
    {"properties", TDM_OBJECT, UNION},
    {"required", TDM_OBJECT, LIST},
    {"additionalProperties", TDM_OBJECT, SAME},
    {"items", TDM_ARRAY, SAME},
    {"prefixItems", TDM_ARRAY, SAME},
    {"minItems", TDM_ARRAY, LARGER},
    {"maxItems", TDM_ARRAY, SMALLER},
    {"minLength", TDM_TEXT, LARGER},
    {"maxLength", TDM_TEXT, SMALLER},
    {"pattern", TDM_TEXT, SAME},
    {"format", TDM_TEXT, SAME},
    {"minimum", TDM_FLOAT | TDM_INTEGER, LARGER},
    {"maximum", TDM_FLOAT | TDM_INTEGER, SMALLER},
    {"exclusiveMinimum", TDM_FLOAT | TDM_INTEGER, LARGER},
    {"exclusiveMaximum", TDM_FLOAT | TDM_INTEGER, SMALLER},
    {"$defs", 0, NOTE},
    {"definitions", 0, NOTE},
    {"title", 0, NOTE},
    {"description", 0, NOTE},
    {"default", 0, NOTE},
    {"examples", 0, NOTE},
    {"deprecated", 0, NOTE},
    {"readOnly", 0, NOTE},
    {"writeOnly", 0, NOTE},
    {"$schema", 0, NOTE},
    {"$id", 0, NOTE},
    {"$comment", 0, NOTE},
};
enum { N_KEYWORDS = sizeof keywords / sizeof *keywords };

struct tdm_schema_reference { // a rule for a schema that is referred to
	const struct tdm_value *schema;
	const char *text;
	int rule;
};

// --- errors and places

int tdm_schema_wrong(struct tdm_schema *r, const char *what, const char *name) {
	return tdm_fail(r->b->err, TDM_EVALUE, "the schema at #%s: %s%s", r->path, what, name);
}

size_t tdm_schema_enter(struct tdm_schema *r, const char *name) {
	size_t n = strlen(r->path), len = strlen(name);
	if (n + len + 2 < sizeof r->path) {
		r->path[n] = '/';
		memcpy(r->path + n + 1, name, len + 1);
	}
	return n;
}

void tdm_schema_leave(struct tdm_schema *r, size_t n) {
	r->path[n] = '\0';
}

static const struct keyword *keyword(const char *name) {
	for (int i = 0; i < N_KEYWORDS; i++)
		if (!strcmp(keywords[i].name, name))
			return &keywords[i];
	return NULL;
}

static int check_keywords(struct tdm_schema *r, const struct tdm_value *schema) {
	for (size_t i = 0; i < schema->n; i++)
		if (!keyword(schema->keys[i]) && strncmp(schema->keys[i], "x-", 2))
			return tdm_schema_wrong(r, "unsupported keyword ", schema->keys[i]);
	return TDM_OK;
}

const struct tdm_value *tdm_schema_find(const struct tdm_value *map, const char *key) {
	for (size_t i = 0; i < map->n; i++)
		if (!strcmp(map->keys[i], key))
			return &map->items[i];
	return NULL;
}

// --- references

static const struct tdm_value *step_into(const struct tdm_value *at, const char *name, size_t n) {
	char key[256], *end;
	size_t len = 0;
	for (size_t i = 0; i < n && len + 1 < sizeof key; i++) { // ~1 is a slash, ~0 a tilde
		bool escaped = name[i] == '~' && i + 1 < n && (name[i + 1] == '0' || name[i + 1] == '1');
		key[len++] = !escaped ? name[i] : name[i + 1] == '1' ? '/' : '~';
		i += escaped;
	}
	key[len] = '\0';
	if (at->type == TDM_MAP)
		return tdm_schema_find(at, key);
	unsigned long index = strtoul(key, &end, 10);
	return at->type == TDM_LIST && end != key && !*end && index < at->n ? &at->items[index] : NULL;
}

static int resolve(struct tdm_schema *r, const struct tdm_value *ref, const struct tdm_value **out) {
	if (ref->type != TDM_STRING)
		return tdm_schema_wrong(r, "$ref must be a string", "");
	const char *at = ref->text;
	*out = r->document;
	if (*at++ != '#' || (*at && *at != '/'))
		return tdm_schema_wrong(r, "only references into the schema itself are supported, not ", ref->text);
	while (*at && *out) {
		size_t n = strcspn(++at, "/");
		*out = step_into(*out, at, n);
		at += n;
	}
	return *out ? TDM_OK : tdm_schema_wrong(r, "nothing is found at ", ref->text);
}

static int reference(struct tdm_schema *r, const struct tdm_value *ref, const struct tdm_expr **out) {
	const struct tdm_value *target;
	int status = resolve(r, ref, &target);
	if (status)
		return status;
	int i = 0;
	while (i < r->n_references && r->references[i].schema != target)
		i++;
	if (i == r->cap_references) {
		int cap = i ? 2 * i : 16;
		struct tdm_schema_reference *grown = tdm_arena_array(&r->b->arena, (size_t)cap, sizeof *grown);
		if (!grown)
			return tdm_budget_bytes(r->b);
		if (i)
			memcpy(grown, r->references, (size_t)i * sizeof *grown);
		r->references = grown;
		r->cap_references = cap;
	}
	if (i == r->n_references) {
		r->references[i] = (struct tdm_schema_reference){target, ref->text, tdm_rule_add(r->b, ref->text, true)};
		r->n_references++;
	}
	*out = tdm_expr_rule(r->b, r->references[i].rule);
	return *out ? TDM_OK : tdm_budget_bytes(r->b);
}

// --- merging

static struct tdm_value *empty_map(struct tdm_schema *r, size_t cap) {
	struct tdm_value *map = tdm_arena_alloc(&r->b->arena, sizeof *map);
	if (!map)
		return NULL;
	map->type = TDM_MAP;
	map->items = tdm_arena_array(&r->b->arena, cap + 1, sizeof *map->items);
	map->keys = tdm_arena_array(&r->b->arena, cap + 1, sizeof *map->keys);
	return map->items && map->keys ? map : NULL;
}

static void put(struct tdm_value *map, const char *key, const struct tdm_value *value) {
	map->keys[map->n] = key;
	map->items[map->n++] = *value;
}

static bool equal(struct tdm_schema *r, const struct tdm_value *x, const struct tdm_value *y) {
	struct tdm_bytes a, b;
	tdm_bytes_init(&a, r->b->budget.max_bytes);
	tdm_bytes_init(&b, r->b->budget.max_bytes);
	tdm_value_write(&a, x);
	tdm_value_write(&b, y);
	bool same = a.len == b.len && !a.failed && !b.failed && (!a.len || !memcmp(a.data, b.data, a.len));
	tdm_bytes_release(&a);
	tdm_bytes_release(&b);
	return same;
}

static int join_lists(struct tdm_schema *r, struct tdm_value *into, const struct tdm_value *more) {
	if (into->type != TDM_LIST || more->type != TDM_LIST)
		return tdm_schema_wrong(r, "expected a list", "");
	struct tdm_value *items = tdm_arena_array(&r->b->arena, into->n + more->n + 1, sizeof *items);
	if (!items)
		return tdm_budget_bytes(r->b);
	for (size_t i = 0; i < into->n + more->n; i++)
		items[i] = i < into->n ? into->items[i] : more->items[i - into->n];
	into->items = items;
	into->n += more->n;
	return TDM_OK;
}

// A property of both must be both.
static int join_both(struct tdm_schema *r, struct tdm_value *into, const struct tdm_value *more) {
	struct tdm_value *both = empty_map(r, 1), list = {.type = TDM_LIST};
	list.items = tdm_arena_array(&r->b->arena, 2, sizeof *list.items);
	if (!both || !list.items)
		return tdm_budget_bytes(r->b);
	list.items[0] = *into;
	list.items[1] = *more;
	list.n = 2;
	put(both, "allOf", &list);
	*into = *both;
	return TDM_OK;
}

static int join_properties(struct tdm_schema *r, struct tdm_value *into, const struct tdm_value *more) {
	if (into->type != TDM_MAP || more->type != TDM_MAP)
		return tdm_schema_wrong(r, "properties must be an object", "");
	struct tdm_value *map = empty_map(r, into->n + more->n);
	if (!map)
		return tdm_budget_bytes(r->b);
	for (size_t i = 0; i < into->n; i++)
		put(map, into->keys[i], &into->items[i]);
	for (size_t i = 0; i < more->n; i++) {
		struct tdm_value *old = (struct tdm_value *)(uintptr_t)tdm_schema_find(map, more->keys[i]);
		int status = old && !equal(r, old, &more->items[i]) ? join_both(r, old, &more->items[i]) : TDM_OK;
		if (status)
			return status;
		if (!old)
			put(map, more->keys[i], &more->items[i]);
	}
	*into = *map;
	return TDM_OK;
}

static int join(struct tdm_schema *r, const struct keyword *k, struct tdm_value *into, const struct tdm_value *more) {
	switch (k->merge) {
	case NOTE:
		return TDM_OK;
	case UNION:
		return join_properties(r, into, more);
	case LIST:
		return join_lists(r, into, more);
	case LARGER:
	case SMALLER:
		if (into->type != TDM_NUMBER || more->type != TDM_NUMBER)
			return tdm_schema_wrong(r, "expected a number: ", k->name);
		if ((k->merge == LARGER) == (more->number > into->number))
			*into = *more;
		return TDM_OK;
	case SAME:
		if (equal(r, into, more))
			return TDM_OK;
		return tdm_schema_wrong(r, "schemas that are merged differ in ", k->name);
	default:
		return tdm_schema_wrong(r, "schemas that are merged have both ", k->name);
	}
}

// additionalProperties of one schema speaks of that schema's properties only.
static bool closes_others(const struct tdm_value *schema, const struct tdm_value *other) {
	const struct tdm_value *more = tdm_schema_find(schema, "additionalProperties"),
	                       *own = tdm_schema_find(schema, "properties");
	const struct tdm_value *others = tdm_schema_find(other, "properties");
	if (!more || (more->type == TDM_BOOL && more->truth) || !others)
		return false;
	for (size_t i = 0; i < others->n && others->type == TDM_MAP; i++)
		if (!own || own->type != TDM_MAP || !tdm_schema_find(own, others->keys[i]))
			return true;
	return false;
}

// into: a map made by empty_map; with room for what comes.
static int merge_into(struct tdm_schema *r, struct tdm_value *into, const struct tdm_value *more) {
	int status = check_keywords(r, more);
	if (!status && (closes_others(into, more) || closes_others(more, into)))
		return tdm_schema_wrong(r, "additionalProperties cannot be merged with properties of another schema", "");
	for (size_t i = 0; i < more->n && !status; i++) {
		struct tdm_value *old = (struct tdm_value *)(uintptr_t)tdm_schema_find(into, more->keys[i]);
		const struct keyword *k = keyword(more->keys[i]);
		if (!old)
			put(into, more->keys[i], &more->items[i]);
		else if (k)
			status = join(r, k, old, &more->items[i]);
	}
	return status;
}

// One map of two: base without `taken` (NULL = all of it), and more.
static int merge(struct tdm_schema *r, const struct tdm_value *base, const char *taken, const struct tdm_value *more,
                 const struct tdm_value **out) {
	if (more->type == TDM_BOOL && more->truth) // adds nothing
		more = empty_map(r, 0);
	if (!more)
		return tdm_budget_bytes(r->b);
	if (more->type != TDM_MAP)
		return tdm_schema_wrong(r, "a schema that is merged must be an object", "");
	struct tdm_value *map = empty_map(r, base->n + more->n);
	if (!map)
		return tdm_budget_bytes(r->b);
	for (size_t i = 0; i < base->n; i++)
		if (!taken || strcmp(base->keys[i], taken))
			put(map, base->keys[i], &base->items[i]);
	*out = map;
	return merge_into(r, map, more);
}

// Takes allOf, and $ref beside other keywords, into the schema itself.
static int flatten(struct tdm_schema *r, const struct tdm_value **schema) {
	int status = check_keywords(r, *schema);
	for (int merges = 0; !status; merges++) {
		const struct tdm_value *all = tdm_schema_find(*schema, "allOf"), *ref = tdm_schema_find(*schema, "$ref"),
		                       *target = NULL;
		if (!all && !ref)
			return TDM_OK;
		if (merges > MAX_MERGES || tdm_budget_time(r->b))
			return tdm_schema_wrong(r, "allOf and $ref need more than 64 merges: do they contain themselves?", "");
		if (ref) {
			status = resolve(r, ref, &target);
			if (!status)
				status = merge(r, *schema, "$ref", target, schema);
			continue;
		}
		if (all->type != TDM_LIST)
			return tdm_schema_wrong(r, "allOf must be a list", "");
		struct tdm_value rest = *all;
		const struct tdm_value *base = *schema;
		const struct tdm_value *none = empty_map(r, 0);
		status = none ? merge(r, base, "allOf", none, schema) : tdm_budget_bytes(r->b);
		for (size_t i = 0; i < rest.n && !status; i++)
			status = merge(r, *schema, NULL, &rest.items[i], schema);
	}
	return status;
}

// --- values, types and alternatives

static int type_of(const struct tdm_value *v) {
	static const int of[] = {[TDM_NULL] = TDM_NONE,   [TDM_BOOL] = TDM_BOOLEAN, [TDM_NUMBER] = TDM_FLOAT,
	                         [TDM_STRING] = TDM_TEXT, [TDM_LIST] = TDM_ARRAY,   [TDM_MAP] = TDM_OBJECT};
	return of[v->type] | (v->type == TDM_NUMBER && v->is_integer ? TDM_INTEGER : 0);
}

static int one_type(struct tdm_schema *r, const struct tdm_value *v, int *out) {
	for (int i = 0; i < N_TYPES; i++)
		if (v->type == TDM_STRING && !strcmp(v->text, types[i].name)) {
			*out |= types[i].type;
			return TDM_OK;
		}
	return tdm_schema_wrong(r, "unknown type ", v->type == TDM_STRING ? v->text : "(not a string)");
}

// The types a schema allows: those it names; else the one that its keywords speak of.
static int types_of(struct tdm_schema *r, const struct tdm_value *schema, int *out) {
	const struct tdm_value *type = tdm_schema_find(schema, "type");
	int status = TDM_OK, spoken = 0;
	*out = 0;
	if (type && type->type != TDM_LIST)
		return one_type(r, type, out);
	for (size_t i = 0; type && i < type->n && !status; i++)
		status = one_type(r, &type->items[i], out);
	if (type)
		return status;
	for (size_t i = 0; i < schema->n; i++) {
		const struct keyword *k = keyword(schema->keys[i]);
		spoken |= k ? k->types : 0;
	}
	if (spoken & (spoken - 1) && spoken != (TDM_FLOAT | TDM_INTEGER))
		return tdm_schema_wrong(r, "keywords of several types, and no type", "");
	*out = spoken ? spoken : TDM_ANY;
	return TDM_OK;
}

static bool contains(struct tdm_schema *r, const struct tdm_value *list, const struct tdm_value *v) {
	for (size_t i = 0; i < list->n; i++)
		if (equal(r, &list->items[i], v))
			return true;
	return false;
}

// One value of enum or const among the words, as JSON writes it shortest.
static int add_word(struct tdm_schema *r, const struct tdm_value *v, struct tdm_word *word) {
	struct tdm_bytes text;
	tdm_bytes_init(&text, r->b->budget.max_bytes);
	tdm_value_write(&text, v);
	char *copy = text.failed ? NULL : tdm_arena_copy(&r->b->arena, text.data, text.len);
	*word = (struct tdm_word){copy, text.len};
	tdm_bytes_release(&text);
	return copy ? tdm_budget_time(r->b) : tdm_budget_bytes(r->b);
}

static int check_listed(struct tdm_schema *r, const struct tdm_value *schema, int *allowed) {
	*allowed = TDM_ANY;
	for (size_t i = 0; i < schema->n; i++) {
		const struct keyword *k = keyword(schema->keys[i]);
		if (k && k->types)
			return tdm_schema_wrong(r, "beside enum and const, unsupported keyword ", k->name);
	}
	return tdm_schema_find(schema, "type") ? types_of(r, schema, allowed) : TDM_OK;
}

// enum and const: their values of the right type; of both, what is in both.
static int listed(struct tdm_schema *r, const struct tdm_value *schema, const struct tdm_expr **out) {
	const struct tdm_value *constant = tdm_schema_find(schema, "const"), *list = tdm_schema_find(schema, "enum");
	const struct tdm_value *values = constant ? constant : list->items;
	size_t n = constant ? 1 : list->n, kept = 0;
	struct tdm_word *words = tdm_arena_array(&r->b->arena, n + 1, sizeof *words);
	int allowed, status = words ? check_listed(r, schema, &allowed) : tdm_budget_bytes(r->b);
	if (constant && list && !contains(r, list, constant))
		n = 0;
	for (size_t i = 0; i < n && !status; i++)
		if (type_of(&values[i]) & allowed)
			status = add_word(r, &values[i], &words[kept++]);
	*out = status ? NULL : tdm_expr_words(r->b, words, kept);
	return status;
}

static int by_types(struct tdm_schema *r, const struct tdm_value *schema, const struct tdm_expr **out) {
	struct tdm_expr_list list = {0};
	int allowed, status = types_of(r, schema, &allowed);
	if (allowed & TDM_FLOAT)
		allowed &= ~TDM_INTEGER; // is one
	for (int i = 0; i < N_TYPES && !status; i++) {
		const struct tdm_expr *e = NULL;
		if (!(allowed & types[i].type))
			continue;
		status = tdm_schema_of_type(r, schema, types[i].type, &e);
		if (!status && !tdm_expr_list_add(r->b, &list, e))
			status = tdm_budget_bytes(r->b);
	}
	*out = status ? NULL : tdm_expr_alt(r->b, list.n, list.items);
	return status;
}

static int schema_of(struct tdm_schema *r, const struct tdm_value *schema, const struct tdm_expr **out);

static int alternatives(struct tdm_schema *r, const struct tdm_value *schema, const char *name,
                        const struct tdm_expr **out) {
	const struct tdm_value *list = tdm_schema_find(schema, name), *whole;
	struct tdm_expr_list exprs = {0};
	int status = list->type == TDM_LIST ? TDM_OK : tdm_schema_wrong(r, name, " must be a list");
	size_t at = tdm_schema_enter(r, name), says = 0;
	for (size_t i = 0; i < schema->n; i++) {
		const struct keyword *k = keyword(schema->keys[i]);
		says += k && k->merge != NOTE;
	}
	for (size_t i = 0; i < list->n && !status; i++) {
		const struct tdm_expr *e = NULL;
		whole = &list->items[i];
		if (says > 1) // more than the list itself
			status = merge(r, schema, name, &list->items[i], &whole);
		if (!status)
			status = schema_of(r, whole, &e);
		if (!status && !tdm_expr_list_add(r->b, &exprs, e))
			status = tdm_budget_bytes(r->b);
	}
	tdm_schema_leave(r, at);
	*out = status ? NULL : tdm_expr_alt(r->b, exprs.n, exprs.items);
	return status;
}

// Does $ref stand alone, but for notes?
static bool is_reference(const struct tdm_value *schema) {
	for (size_t i = 0; i < schema->n; i++) {
		const struct keyword *k = keyword(schema->keys[i]);
		if (strcmp(schema->keys[i], "$ref") && (!k || k->merge != NOTE))
			return false;
	}
	return tdm_schema_find(schema, "$ref") != NULL;
}

static int schema_of(struct tdm_schema *r, const struct tdm_value *schema, const struct tdm_expr **out) {
	int status = tdm_budget_time(r->b);
	if (schema->type == TDM_BOOL) {
		*out = schema->truth ? tdm_json_value(&r->json) : tdm_expr_alt(r->b, 0, NULL);
		return status;
	}
	if (schema->type != TDM_MAP)
		return tdm_schema_wrong(r, "a schema must be an object, true or false", "");
	if (!status)
		status = check_keywords(r, schema);
	if (!status && is_reference(schema))
		return reference(r, tdm_schema_find(schema, "$ref"), out);
	if (!status)
		status = flatten(r, &schema);
	if (status)
		return status;
	const struct tdm_value *list = tdm_schema_find(schema, "enum");
	if (list && list->type != TDM_LIST)
		return tdm_schema_wrong(r, "enum must be a list", "");
	if (tdm_schema_find(schema, "anyOf"))
		return alternatives(r, schema, "anyOf", out);
	if (tdm_schema_find(schema, "oneOf"))
		return alternatives(r, schema, "oneOf", out);
	return list || tdm_schema_find(schema, "const") ? listed(r, schema, out) : by_types(r, schema, out);
}

int tdm_schema_at(struct tdm_schema *r, const char *name, const struct tdm_value *schema, const struct tdm_expr **out) {
	size_t at = tdm_schema_enter(r, name);
	int status = schema_of(r, schema, out);
	tdm_schema_leave(r, at);
	return status;
}

int tdm_schema_build(struct tdm_builder *b, const char *text, size_t n) {
	struct tdm_value *document;
	struct tdm_schema r = {.b = b, .json = {.b = b}};
	int status = tdm_json_parse(&b->arena, text, n, &document, b->err);
	if (status)
		return status;
	r.document = document;
	status = schema_of(&r, document, &b->root);
	for (int i = 0; i < r.n_references && !status; i++) { // compiling one may find more
		const struct tdm_expr *e = NULL;
		snprintf(r.path, sizeof r.path, "%s", r.references[i].text + 1);
		status = schema_of(&r, r.references[i].schema, &e);
		if (!status && !e)
			status = tdm_budget_bytes(b);
		b->rules[r.references[i].rule].expr = e;
	}
	return status;
}
