// Messages: the wire format of Anthropic's API.
#pragma once
#include "serve/formats/chat_read.h"

// As tdm_chat_read.
int tdm_messages_read(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
                      struct tdm_chat_request *out, struct tdm_error *err);
