// JSON as expressions: the pieces that a schema is made of. Each is one rule of the grammar, made when first asked for.
#pragma once
#include "engine/grammar_parts.h"

struct tdm_json { // zero-initialise; b set
	struct tdm_builder *b;
	int space, string, number, integer, value, object, array, plain; // rule + 1, 0 = not made yet
};

const struct tdm_expr *tdm_json_space(struct tdm_json *j);
const struct tdm_expr *tdm_json_char(struct tdm_json *j); // of a string, escapes too
const struct tdm_expr *tdm_json_string(struct tdm_json *j);
const struct tdm_expr *tdm_json_number(struct tdm_json *j);
const struct tdm_expr *tdm_json_integer(struct tdm_json *j);
const struct tdm_expr *tdm_json_value(struct tdm_json *j);
const struct tdm_expr *tdm_json_object(struct tdm_json *j);
const struct tdm_expr *tdm_json_array(struct tdm_json *j);
const struct tdm_expr *tdm_json_word(struct tdm_json *j, const char *text);
// An integer of lo..hi.
const struct tdm_expr *tdm_json_range(struct tdm_json *j, int64_t lo, int64_t hi);
// A string with its quotes that is none of n names; names are put in order.
const struct tdm_expr *tdm_json_other_key(struct tdm_json *j, struct tdm_word *names, size_t n);
// OPEN white space, what is inside, white space, CLOSE.
const struct tdm_expr *tdm_json_enclosed(struct tdm_json *j, char open, const struct tdm_expr *inside, char close);
const struct tdm_expr *tdm_json_comma(struct tdm_json *j); // , and white space
// key (with its quotes), colon, white space, value
const struct tdm_expr *tdm_json_member(struct tdm_json *j, const struct tdm_expr *key, const struct tdm_expr *value);
