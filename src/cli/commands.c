// The list of commands. A new command: one file with its row, one line here.
#include "cli/command.h"

extern const struct tdm_command tdm_command_ask, tdm_command_chat, tdm_command_models, tdm_command_serve,
    tdm_command_config, tdm_command_check, tdm_command_key, tdm_command_gym, tdm_command_tokens, tdm_command_tokenizer,
    tdm_command_train, tdm_command_distil, tdm_command_eval, tdm_command_exact, tdm_command_fit, tdm_command_fit_router,
    tdm_command_quantize, tdm_command_perplexity, tdm_command_bench, tdm_command_ledger, tdm_command_certify,
    tdm_command_certify_front, tdm_command_replay, tdm_command_scan, tdm_command_mask, tdm_command_unmask,
    tdm_command_leaks, tdm_command_certify_leak, tdm_command_index;
extern const struct tdm_command tdm_command_fit_tagger, tdm_command_fit_states;

// one line each
// clang-format off
const struct tdm_command *const tdm_commands[] = {
    &tdm_command_ask,
    &tdm_command_chat,
    &tdm_command_scan,
    &tdm_command_mask,
    &tdm_command_unmask,
    &tdm_command_models,
    &tdm_command_serve,
    &tdm_command_ledger,
    &tdm_command_leaks,
    &tdm_command_config,
    &tdm_command_check,
    &tdm_command_key,
    &tdm_command_gym,
    &tdm_command_tokens,
    &tdm_command_tokenizer,
    &tdm_command_train,
    &tdm_command_distil,
    &tdm_command_eval,
    &tdm_command_replay,
    &tdm_command_exact,
    &tdm_command_certify,
    &tdm_command_certify_front,
    &tdm_command_certify_leak,
    &tdm_command_fit,
    &tdm_command_fit_router,
    &tdm_command_fit_tagger,
    &tdm_command_fit_states,
    &tdm_command_quantize,
    &tdm_command_index,
    &tdm_command_perplexity,
    &tdm_command_bench,
    NULL,
};
// clang-format on
