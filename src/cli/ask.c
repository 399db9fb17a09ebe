// `tandem ask`: one question, one answer.
#include "base/file.h"
#include "cli/app.h"
#include "cli/command.h"
#include "cli/talk.h"
#include <stddef.h>
#include <string.h>

struct options {
	struct tdm_asked asked;
	int64_t seed;
	bool receipt;
};

static const struct tdm_option options[] = {
    TDM_TALK_OPTIONS(struct options, asked),
    {"seed", TDM_OPT_INT, offsetof(struct options, seed), "0", 0, 9e15, NULL, "0: from the system"},
    {"receipt", TDM_OPT_BOOL, offsetof(struct options, receipt), "no", 0, 0, NULL,
     "print the receipt to standard error"},
};

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	if (call->n_operands != 1 || !*call->operands[0])
		return tdm_fail(call->error, TDM_EVALUE, "tandem ask: expected one question in quotes, got %zu operands",
		                call->n_operands);
	struct tdm_app app;
	struct tdm_model *model;
	int status = tdm_app_open(call->arena, o->asked.config, &app, call->error);
	if (status)
		return status;
	struct tdm_message messages[2];
	size_t n = 0;
	if (o->asked.system)
		messages[n++] =
		    (struct tdm_message){.from = TDM_FROM_SYSTEM, .text = o->asked.system, .len = strlen(o->asked.system)};
	messages[n++] =
	    (struct tdm_message){.from = TDM_FROM_USER, .text = call->operands[0], .len = strlen(call->operands[0])};
	struct tdm_talk talk = {.colour = tdm_talk_wants_colour(),
	                        .receipt = o->receipt,
	                        .seed = (uint64_t)o->seed,
	                        .temperature = (float)o->asked.temperature,
	                        .max_tokens = (int)o->asked.max_tokens};
	talk.dearest = tdm_tree_dearest(app.tree);
	status = tdm_app_model(&app, o->asked.model, &model, call->error);
	if (!status)
		status = tdm_talk(&talk, model, messages, n, NULL, call->error);
	tdm_app_close(&app);
	return status;
}

const struct tdm_command tdm_command_ask = {
    .name = "ask",
    .summary = "one question, one answer",
    .operands = "QUESTION",
    .group = "use",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
