// Echo: the tokens of a prompt with what the model that reads them says of each.
#pragma once
#include "models/model.h"

// Reads all tokens but the last into an empty session, and tells of all n what came before them makes of them: the
// same numbers as for tokens that it writes. top: alternatives of each. Allocates in run->arena. Error: as eval.
int tdm_echo_read(struct tdm_run *run, struct tdm_session *s, const int32_t *tokens, int n, int top,
                  struct tdm_echo *out);
// Where a tokenizer begins a text with a space of its own, that is no part of the prompt.
void tdm_echo_fit(struct tdm_echo *echo, const char *text, size_t len);
