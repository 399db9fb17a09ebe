// Small vocabularies for tests, written as weight files and read back.
#pragma once
#include "engine/vocab.h"

struct small_vocab {
	const char *family; // "gpt2" or "llama"
	const char *pre;    // gpt2; NULL = no key
	// gpt2: 256 bytes, then one token per merge ("left right" in the file's characters), then `extra`, then `special`.
	// llama: <unk>, <s>, </s>, 256 bytes, then `extra` with scores -1, -2, ..., then `special`. NULL-terminated lists.
	const char *const *merges, *const *extra, *const *special;
	int extra_type;     // 0 = normal (1)
	const char *begins; // text of the token that begins a text; NULL = no key
	const char *ends;
	int add_bos; // 0 = no key, 1 = yes, -1 = no
	int add_space_prefix;
};

int small_vocab_read(const struct small_vocab *s, struct tdm_vocab **out, struct tdm_error *err);
// Writes, reads back and removes the file.
int small_vocab_from(struct tdm_gguf_writer *w, struct tdm_vocab **out, struct tdm_error *err);
// Tokens as text: special ones by their text, the others by their bytes; `mark` is put between two tokens.
void small_vocab_show(const struct tdm_vocab *v, const struct small_vocab *s, const int32_t *tokens, int n,
                      const char *mark, struct tdm_bytes *out);
