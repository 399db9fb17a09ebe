// Shadow: a session that follows a text which others write, in tokens of its own.
//
// What is there already is not computed again: only tokens that the text's new end splits otherwise are taken back.
#pragma once
#include "models/model.h"

struct tdm_shadow;

// s: prompted; the caller's, and in use as long. NULL: no memory.
struct tdm_shadow *tdm_shadow_new(struct tdm_session *s);
void tdm_shadow_free(struct tdm_shadow *sh); // NULL is fine
// Brings the session to the whole text of the answer. *logits: the row after it; NULL: there is none, because the text
// ends inside a character, cannot be split, or is longer than the context; the session is then as before.
int tdm_shadow_follow(struct tdm_shadow *sh, struct tdm_run *run, const char *text, size_t len, const float **logits);
// The answer in the session's tokens, as far as it was followed.
const int32_t *tdm_shadow_tokens(const struct tdm_shadow *sh, int *n);
