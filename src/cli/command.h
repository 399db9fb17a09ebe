// Command: one file per command, one row per file; commands.c lists the rows.
//
// A command declares its options as a table (base/option.h); main reads `--name value`, `--name=value` and bare
// `--flag` for booleans into a struct, prints --help from the table, and calls run with what is left.
#pragma once
#include "base/arena.h"
#include "base/option.h"

struct tdm_command_call {
	struct tdm_arena *arena;     // lives until the command returns
	const void *options;         // the command's options struct, filled
	const char *const *operands; // what is not an option
	size_t n_operands;
	struct tdm_error *error; // on failure: the sentence main prints
};

struct tdm_command {
	const char *name, *summary; // "ask", "one question, one answer"
	const char *operands;       // "QUESTION", shown in --help; NULL = takes none
	const char *group;          // help is grouped by purpose: "use", "serve", "measure", "make"
	const struct tdm_option *options;
	size_t n_options, options_bytes;
	int (*run)(const struct tdm_command_call *call); // TDM_OK or a negative status with call->error set
};

extern const struct tdm_command *const tdm_commands[]; // NULL-terminated; in commands.c
