// Checks: what an answer must be, found out without asking a model: JSON of a schema, a number between two others, a
// text that a regular expression finds its match in, an input that a command of the settings accepts.
#pragma once
#include "base/option.h"
#include "base/text.h"
#include "engine/grammar.h"
#include "models/kind.h"

struct tdm_check_options {
	const struct tdm_value *schema, *number;
	const char *pattern;
	struct tdm_strings command;
	int64_t command_ms, command_bytes;
};

struct tdm_checks {
	struct tdm_check_options o;
	bool any;
	struct tdm_grammar *schema;
	double low, high;
	struct tdm_regex *pattern;
	const char **command; // NULL-terminated
};

int tdm_checks_make(const struct tdm_build *b, const struct tdm_check_options *o, struct tdm_checks *out);
void tdm_checks_release(struct tdm_checks *c);
// *failed: the name of the first check that the answer does not pass; NULL: all pass. Error: TDM_EGONE, TDM_EDEADLINE,
// or that the command could not be run.
int tdm_checks_run(const struct tdm_checks *c, struct tdm_run *run, const char *answer, size_t n, const char **failed);
