// Vocabulary: text to tokens and back, as the weight file's tokenizer defines it.
//
// Two families: byte-level BPE ("gpt2", with a named pre-split pattern) and SentencePiece-BPE ("llama", with byte
// fallback). The rule it protects: text of a user never becomes a special token. Special tokens come only from chat.h
// by id. Immutable after reading; safe from many threads.
#pragma once
#include "base/bytes.h"
#include "base/status.h"
#include "engine/gguf.h"
#include <stdbool.h>
#include <stdint.h>

struct tdm_vocab;

// Reads tokenizer.ggml.*. Error: TDM_EFORMAT; an unknown tokenizer or pre-split name is an error that names it and the
// known ones.
int tdm_vocab_read(const struct tdm_gguf *g, struct tdm_vocab **out, struct tdm_error *err);
void tdm_vocab_free(struct tdm_vocab *v);

int tdm_vocab_size(const struct tdm_vocab *v);
// Tokens of plain text, no begin or end token added, special tokens never recognised. Returns the number of tokens; at
// most `cap` are written (call with cap 0 to count), or a negative status.
int tdm_tokenize(const struct tdm_vocab *v, const char *text, size_t n, int32_t *out, int cap);
// The bytes of one token as they appear in text; empty for control tokens. *piece is owned by the vocabulary.
size_t tdm_token_piece(const struct tdm_vocab *v, int32_t token, const char **piece);
bool tdm_token_is_special(const struct tdm_vocab *v, int32_t token); // control and user-defined special
bool tdm_token_is_end(const struct tdm_vocab *v, int32_t token); // ends a turn: eos, eot and the family's end marker
int32_t tdm_token_special(const struct tdm_vocab *v, const char *text); // id of a special token by its text, or -1
int32_t tdm_token_bos(const struct tdm_vocab *v);                       // -1 when none is to be added
int32_t tdm_token_eos(const struct tdm_vocab *v);                       // -1 when there is none
// The pieces laid end to end. Where the tokenizer begins a text with a space ("llama" files, unless they say
// otherwise), that space is part of the first piece and comes back.
int tdm_detokenize(const struct tdm_vocab *v, const int32_t *tokens, int n, struct tdm_bytes *out);
// Hash of (id -> bytes, special ids): equal hashes mean that token ids are interchangeable.
uint64_t tdm_vocab_id(const struct tdm_vocab *v);
