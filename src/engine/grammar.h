// Grammar: what an answer may look like, compiled once: a context-free grammar over bytes as a network of states.
//
// Four languages come in: any JSON object, a JSON Schema, GBNF and a regular expression (of the whole answer). The rule
// it protects: what is not understood is refused with its name and place, never ignored, so that an answer that the
// network accepts is what was asked for. Compilation ends within a budget of states, milliseconds and bytes.
// A compiled grammar is immutable and may be used by many threads; constraint.h runs it.
// To add a language: a file grammar_NAME.c that builds expressions (grammar_parts.h), and a row in grammar.c.
#pragma once
#include "tandem.h"
#include "base/status.h"

// JSON Schema: type, enum, const, properties, required, additionalProperties, items, prefixItems, minItems, maxItems,
// minLength, maxLength, pattern, format (date, time, date-time, uuid, email, ipv4, uri), minimum, maximum,
// exclusiveMinimum, exclusiveMaximum (integers), anyOf, oneOf (as anyOf), allOf (merged), $ref into the document.
// Members come in the order of `properties`; where additionalProperties is absent, an object with properties has no
// other members. White space comes after { [ , : and before } ], and is a space, or a line end with at most 24 blanks.
// GBNF: as llama.cpp writes it. Left recursion is refused. Regular expressions: ECMAScript without look-around,
// back-references, word boundaries and properties.
int tdm_grammar_states(const struct tdm_grammar *g);
size_t tdm_grammar_bytes(const struct tdm_grammar *g);
