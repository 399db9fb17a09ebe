// `tandem check`: everything that a start would check, without one. Status 0: the file is good; 2: it is not, and one
// sentence says where and why.
#include "cli/command.h"
#include "cli/reading.h"
#include <stddef.h>

struct options {
	bool explain;
};

static const struct tdm_option options[] = {
    {"explain", TDM_OPT_BOOL, offsetof(struct options, explain), "no", 0, 0, NULL,
     "print every setting with its value and where it comes from, and the tree of models"},
};

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_reading r;
	const struct tdm_given given = {call->n_operands ? call->operands[0] : NULL, NULL, NULL};
	if (call->n_operands > 1)
		return tdm_fail(call->error, TDM_EVALUE, "tandem check: expected one file");
	int status = tdm_reading_open(&given, &r, call->error);
	return status ? status : tdm_reading_check(&r, o->explain, call->error);
}

const struct tdm_command tdm_command_check = {
    .name = "check",
    .summary = "whether a settings file is good: options, models, keys; --explain: what it comes to",
    .operands = "[FILE]",
    .group = "serve",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
