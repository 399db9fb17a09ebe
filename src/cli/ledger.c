// `tandem ledger`: brings what waits in a ledger's journal to its database and walks the chain of its records.
#include "ledger/store.h"
#include "cli/command.h"
#include <stddef.h>
#include <stdio.h>

struct options {
	const char *ledger, *journal;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"ledger", TDM_OPT_STRING, AT(ledger), "tandem.db", 0, 0, NULL, "a file or postgresql://..., as serve.ledger"},
    {"journal", TDM_OPT_STRING, AT(journal), NULL, 0, 0, NULL, "as serve.ledger_journal"},
};

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_ledger *l;
	int status =
	    tdm_ledger_open(&(struct tdm_ledger_options){.path = o->ledger, .journal = o->journal}, &l, call->error);
	if (status)
		return status;
	status = tdm_ledger_verify(l, call->error);
	tdm_ledger_close(l);
	if (!status)
		printf("the ledger is whole: every record fits the one before it\n");
	return status;
}

const struct tdm_command tdm_command_ledger = {
    .name = "ledger",
    .summary = "check that no record of a ledger was removed or changed",
    .group = "serve",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .options_bytes = sizeof(struct options),
    .run = run,
};
