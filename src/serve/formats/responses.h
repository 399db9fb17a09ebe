// Responses: OpenAI's second wire format, and the answers that are kept for it.
#pragma once
#include "serve/formats/chat_read.h"

struct tdm_call_context;
struct tdm_responses;

// As tdm_chat_read. What the body refers to is in its input already (tdm_responses_resolve).
int tdm_responses_read(struct tdm_arena *arena, const struct tdm_value *body, struct tdm_record *record,
                       struct tdm_chat_request *out, struct tdm_error *err);
// Takes the oldest n turns from a conversation, or as many as there are but the last; a turn begins with the user's
// words. What the system says stays. False: there is none to take, or no memory.
bool tdm_responses_drop(struct tdm_arena *arena, struct tdm_request *request, size_t n);

// Answers kept in memory: at most so many bytes, each for so long; the oldest make room. Any thread may call.
int tdm_responses_open(size_t limit_bytes, int64_t ttl_s, struct tdm_responses **out);
void tdm_responses_close(struct tdm_responses *s); // NULL is fine
// previous_response_id and item_reference become items of `input`; `store` becomes what will happen.
// TDM_OK, TDM_EPREVIOUS, TDM_ENOMEM.
int tdm_responses_resolve(struct tdm_call_context *c, struct tdm_record *record, struct tdm_value *body,
                          struct tdm_error *err);
void tdm_responses_keep(struct tdm_call_context *c, const struct tdm_chat_request *request, const char *answer,
                        size_t n);
