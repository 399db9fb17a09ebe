// JSON Schema, inside: what grammar_schema.c (keywords, references, merging) and grammar_types.c (an expression for
// each type) say to each other.
#pragma once
#include "engine/grammar_json.h"

enum tdm_schema_type {
	TDM_OBJECT = 1,
	TDM_ARRAY = 2,
	TDM_TEXT = 4,
	TDM_FLOAT = 8,
	TDM_INTEGER = 16,
	TDM_BOOLEAN = 32,
	TDM_NONE = 64,
	TDM_ANY = 127
};

struct tdm_schema { // one document on its way to a grammar
	struct tdm_builder *b;
	struct tdm_json json;
	const struct tdm_value *document;
	struct tdm_schema_reference *references;
	int n_references, cap_references;
	char path[200]; // where we are, for errors
};

// The error of a schema: its place, what is wrong, and a name.
int tdm_schema_wrong(struct tdm_schema *r, const char *what, const char *name);
// Unlike tdm_get, a null counts: {"const": null}.
const struct tdm_value *tdm_schema_find(const struct tdm_value *map, const char *key);
// A schema below this one, under `name` in errors.
int tdm_schema_at(struct tdm_schema *r, const char *name, const struct tdm_value *schema, const struct tdm_expr **out);
size_t tdm_schema_enter(struct tdm_schema *r, const char *name); // what leave takes
void tdm_schema_leave(struct tdm_schema *r, size_t n);
// Values of one type that a schema without references and alternatives allows.
int tdm_schema_of_type(struct tdm_schema *r, const struct tdm_value *schema, enum tdm_schema_type type,
                       const struct tdm_expr **out);
