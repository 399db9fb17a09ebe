// The list of commands. A new command: one file with its row, one line here.
#include "cli/command.h"

extern const struct tdm_command tdm_command_gym;
extern const struct tdm_command tdm_command_distil;
extern const struct tdm_command tdm_command_tokenizer;
extern const struct tdm_command tdm_command_tokens;
extern const struct tdm_command tdm_command_train;

const struct tdm_command *const tdm_commands[] = {
    &tdm_command_gym, &tdm_command_tokens, &tdm_command_tokenizer, &tdm_command_train, &tdm_command_distil, NULL,
};
