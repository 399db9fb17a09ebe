// Form: what a whole answer must look like, as a request says it. keeper.h keeps answers to it.
#pragma once
#include "engine/grammar.h"
#include "engine/tokens.h"

struct tdm_form {
	enum tdm_grammar_kind kind;
	const char *text; // not looked at for TDM_GRAMMAR_JSON
	size_t len;
	const char *name; // of a schema, as the client calls it: letters, digits, _ and -; NULL = none
	bool strict;      // the client asks an upstream to keep to the schema strictly
};

static inline bool tdm_form_is_json(const struct tdm_form *form) {
	return form && (form->kind == TDM_GRAMMAR_JSON || form->kind == TDM_GRAMMAR_SCHEMA);
}

#define TDM_FORM_FIELD "response_format" // of a request; named in errors
#define TDM_CANNOT_FORM                                                                                             \
	"response_format: model %s cannot keep an answer to a form such as json_object or json_schema, only local and " \
	"remote models can"
