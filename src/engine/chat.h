// Chat: messages to the token sequence that a model was trained on.
//
// There is no template interpreter: the template in the weight file is recognised by its content among the known
// families (ChatML, Llama 2, Llama 3, Zephyr, Gemma, Mistral); an unknown one is an error that says so and lists the
// names to set by hand. What a tool says is told as the user's.
#pragma once
#include "engine/vocab.h"

struct tdm_chat_format; // one row of a constant table
// name: "auto" (recognise) or one of tdm_chat_names(). template_text: of the file, may be NULL.
int tdm_chat_find(const char *name, const char *template_text, size_t n, const struct tdm_chat_format **out,
                  struct tdm_error *err);
const char *const *tdm_chat_names(size_t *n);
const char *tdm_chat_name(const struct tdm_chat_format *f);
// Appends the tokens of the conversation and, with `reply`, of the start of the assistant's turn. A last assistant turn
// with `reply` false and `open` true is left unfinished (prefill). Returns the count (at most cap are written) or a
// negative status.
int tdm_chat_tokens(const struct tdm_chat_format *f, const struct tdm_vocab *v, const struct tdm_message *turns,
                    size_t n_turns, bool reply, bool open, int32_t *out, int cap, struct tdm_error *err);
