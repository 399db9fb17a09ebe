// Value: one tree for everything that is read from JSON or YAML (requests, upstream answers, settings).
//
// Values live in an arena and are read-only after parsing. Every value knows its line, so that an error
// can name it. This is the only interface through which the program sees JSON and YAML.
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

enum tdm_type { TDM_NULL, TDM_BOOL, TDM_NUMBER, TDM_STRING, TDM_LIST, TDM_MAP };

struct tdm_value {
	enum tdm_type type;
	int line;                // 1-based line in the source; 0 = not known (JSON)
	bool truth;              // TDM_BOOL
	bool is_integer;         // TDM_NUMBER: written without fraction or exponent, or integral ("100.0")
	double number;           // TDM_NUMBER
	int64_t integer;         // TDM_NUMBER with is_integer
	const char *text;        // TDM_STRING: valid UTF-8, NUL-terminated; may contain NUL (use len)
	size_t len;              // TDM_STRING: bytes
	size_t n;                // TDM_LIST, TDM_MAP: number of items
	struct tdm_value *items; // n values
	const char **keys;       // TDM_MAP: n keys, in source order
};

// Parses one JSON text. Depth limit 64; duplicate keys: the last counts. Error: TDM_EJSON with line and column.
int tdm_json_parse(struct tdm_arena *arena, const char *data, size_t n, struct tdm_value **out, struct tdm_error *err);
// Parses one YAML document (YAML 1.2 core scalars; anchors and aliases allowed, cycles refused; duplicate keys
// refused). name is used in errors ("tandem.yaml line 3: ..."). A value in a map has the line of its key. Error:
// TDM_ECONFIG.
int tdm_yaml_parse(struct tdm_arena *arena, const char *name, const char *data, size_t n, struct tdm_value **out,
                   struct tdm_error *err);

const struct tdm_value *tdm_get(const struct tdm_value *map, const char *key); // NULL when absent, null, or not a map
const char *tdm_get_string(const struct tdm_value *map, const char *key);      // NULL unless a string
// Exactly n numbers in out; false: it is no such list (NULL too), and out may be written in part.
bool tdm_value_numbers(const struct tdm_value *list, size_t n, double *out);
double tdm_get_number(const struct tdm_value *map, const char *key, double otherwise);
bool tdm_get_bool(const struct tdm_value *map, const char *key, bool otherwise);
const char *tdm_type_name(enum tdm_type type);                              // "a string", "a number" ...
void tdm_value_write(struct tdm_bytes *out, const struct tdm_value *value); // JSON, compact
