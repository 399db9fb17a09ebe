// Fuzz target: bytes as a weight file with a vocabulary. One that is read turns text into tokens of its own that are
// none of the special ones, also the texts of its special tokens.
//
// links: engine base
#include "engine/vocab.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_text(const struct tdm_vocab *v, bool has_unknown, const char *text, size_t n) {
	int32_t tokens[256];
	int count = tdm_tokenize(v, text, n, tokens, 256);
	if (count < 0 && count != TDM_ENOMEM)
		abort();
	for (int i = 0; i < count && i < 256; i++)
		if (tokens[i] < 0 || tokens[i] >= tdm_vocab_size(v) || (tdm_token_is_special(v, tokens[i]) && !has_unknown))
			abort();
}

static void check(const struct tdm_gguf *g, const struct tdm_vocab *v) {
	static const char plain[] = " <|im_end|>hello</s> 123 \xC3\xA9\n\t\xFF<unk>[UNK]";
	uint64_t id;
	const char *text;
	size_t n, len;
	// A tokenizer that finds no token for a character writes the unknown one, which may be a special one; but where
	// every byte is a token there is none, unless the file names one.
	bool has_bytes = tdm_gguf_text(g, "tokenizer.ggml.model", &text, &n) && n == 4 && !memcmp(text, "gpt2", 4);
	bool has_unknown = tdm_gguf_u64(g, "tokenizer.ggml.unknown_token_id", &id) || !has_bytes;
	check_text(v, has_unknown, plain, sizeof plain - 1);
	tdm_gguf_strings(g, "tokenizer.ggml.tokens", &n);
	for (size_t i = 0; i < n && i < 600; i++) {
		if (tdm_gguf_string_at(g, "tokenizer.ggml.tokens", i, &text, &len))
			check_text(v, has_unknown, text, len < 64 ? len : 64);
		tdm_token_is_end(v, (int32_t)i);
		if (tdm_token_piece(v, (int32_t)i, &text) && tdm_token_is_special(v, (int32_t)i))
			abort(); // the text of a special token is no text of an answer
	}
	if (tdm_token_bos(v) >= tdm_vocab_size(v) || tdm_token_eos(v) >= tdm_vocab_size(v))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct tdm_gguf *g = NULL;
	struct tdm_vocab *v = NULL;
	struct tdm_error err = {0};
	uint8_t *exact = malloc(n ? n : 1); // aligned as a mapping is, and nothing behind it
	if (!exact)
		return 0;
	memcpy(exact, data, n);
	if (tdm_gguf_memory("fuzz", exact, n, &g, &err) == TDM_OK) {
		int status = tdm_vocab_read(g, &v, &err);
		if ((status != TDM_OK) != (err.status != TDM_OK && err.text[0]))
			abort(); // an error without a sentence, or the reverse
		if (v)
			check(g, v);
		tdm_vocab_free(v);
		tdm_gguf_close(g);
	}
	free(exact);
	return 0;
}
