// Vocabulary: text to tokens and back, as the weight file's tokenizer defines it.
//
// Two families: byte-level BPE ("gpt2", with a named pre-split pattern) and SentencePiece-BPE ("llama", with byte
// fallback). The rule it protects: text of a user never becomes a special token. Special tokens come only from chat.h
// by id. Immutable after reading; safe from many threads.
#pragma once
#include "tandem.h"
#include "base/bytes.h"
#include "base/status.h"
#include "engine/gguf.h"

// Reads tokenizer.ggml.*. Error: TDM_EFORMAT; an unknown tokenizer or pre-split name is an error that names it and the
// known ones.
int tdm_vocab_read(const struct tdm_gguf *g, struct tdm_vocab **out, struct tdm_error *err);
void tdm_vocab_free(struct tdm_vocab *v);

// A special token's text as the file has it; nothing for others.
size_t tdm_token_name(const struct tdm_vocab *v, int32_t token, const char **text);
int32_t tdm_token_pad(const struct tdm_vocab *v); // -1: none
int tdm_vocab_size(const struct tdm_vocab *v);
bool tdm_token_is_special(const struct tdm_vocab *v, int32_t token); // control and user-defined special
// The pieces laid end to end. Where the tokenizer begins a text with a space ("llama" files, unless they say
// otherwise), that space is part of the first piece and comes back.
int tdm_detokenize(const struct tdm_vocab *v, const int32_t *tokens, int n, struct tdm_bytes *out);
