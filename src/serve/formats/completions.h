// Completions: text that is continued, as OpenAI's older interface has it, with its echo and its log-probabilities.
#pragma once
#include "serve/formats/chat_read.h"

// As tdm_chat_read.
int tdm_completions_read(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
                         struct tdm_chat_request *out, struct tdm_error *err);
// What can only be read with the model at hand: prompts of tokens, and whether it can echo.
int tdm_completions_fit(struct tdm_arena *arena, const struct tdm_model *model, struct tdm_record *record,
                        struct tdm_chat_request *out, struct tdm_error *err);
