// The list of commands. A new command: one file with its row, one line here.
#include "cli/command.h"

const struct tdm_command *const tdm_commands[] = {
    NULL,
};
