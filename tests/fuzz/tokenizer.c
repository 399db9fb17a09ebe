// Fuzz target: text into tokens and back, with a vocabulary of each kind (the first byte chooses it). Whatever comes
// in, counting agrees with writing, no token is a special one, and the pieces laid end to end are the text again.
//
// links: engine base
// with: tests/unit/engine/small_vocab.c
#include "unit/engine/small_vocab.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "Ġ w", "Ġw o", "1 2", "12 3",
                                     "a b", "b c", "ab c",  "a bc",   "Ġ Ġ", "' s",  "i n", NULL};
static const char *const marks[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "[INST]", NULL};
static const char *const added[] = {"<tool>", "  ", "ab", "a", NULL};
static const char *const words[] = {"▁", "a", "b", "ab", "▁ab", "▁▁", "é", "hello", "▁hello", NULL};

static const struct small_vocab kinds[] = {
    {.family = "gpt2", .pre = "gpt-2", .merges = merges, .special = marks},
    {.family = "gpt2", .pre = "llama-bpe", .merges = merges, .special = marks, .extra = added, .extra_type = 4},
    {.family = "gpt2", .pre = "qwen2", .merges = merges, .special = marks},
    {.family = "gpt2", .pre = "smollm", .merges = merges, .special = marks},
    {.family = "gpt2", .pre = "default", .merges = merges, .special = marks},
    {.family = "llama", .extra = words, .special = marks, .add_space_prefix = 1},
    {.family = "llama", .extra = words, .special = marks, .add_space_prefix = -1},
    {.family = "llama", .extra = added, .extra_type = 4, .special = marks},
    {.family = "bert"},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static int read_words(struct tdm_vocab **out, struct tdm_error *err) {
	static const char *const tokens[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁the", "▁a", "a", "b", "▁b", "▁!", "▁日"};
	static const int32_t types[] = {3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1};
	enum { N = sizeof types / sizeof *types };
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	size_t lens[N];
	float scores[N] = {0};
	for (int i = 0; i < N; i++)
		lens[i] = strlen(tokens[i]);
	tdm_gguf_put_text(w, "general.architecture", "bert");
	tdm_gguf_put_text(w, "tokenizer.ggml.model", "bert");
	tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, lens, N);
	tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, N);
	tdm_gguf_put_f32s(w, "tokenizer.ggml.scores", scores, N);
	tdm_gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 1);
	tdm_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 2);
	tdm_gguf_put_u32(w, "tokenizer.ggml.seperator_token_id", 3);
	int status = small_vocab_from(w, out, err);
	tdm_gguf_writer_free(w);
	return status;
}

static const struct tdm_vocab *vocab(int kind) {
	static struct tdm_vocab *read[N_KINDS];
	struct tdm_error err = {0};
	bool is_words = !strcmp(kinds[kind].family, "bert");
	if (!read[kind] && (is_words ? read_words(&read[kind], &err) : small_vocab_read(&kinds[kind], &read[kind], &err)))
		abort();
	return read[kind];
}

// The text as its tokens must spell it: with the space that the tokenizer puts before it, and before all text behind
// a token that is taken whole. So where there are both, only the characters that are no spaces are compared.
static void check_text(const struct small_vocab *s, const struct tdm_bytes *pieces, const char *text, size_t n) {
	bool is_spm = !strcmp(s->family, "llama"), skips = is_spm && s->extra_type;
	size_t at = is_spm && s->add_space_prefix >= 0 && n && !skips;
	if (at && (!pieces->len || pieces->data[0] != ' '))
		abort();
	for (size_t i = 0; i < n; i++) {
		bool is_block = is_spm && n - i >= 3 && !memcmp(text + i, "\xE2\x96\x81", 3);
		char c = is_block ? ' ' : text[i];
		i += is_block ? 2 : 0;
		if (skips && c == ' ')
			continue;
		while (skips && at < pieces->len && pieces->data[at] == ' ')
			at++;
		if (at >= pieces->len || pieces->data[at++] != c)
			abort();
	}
	while (skips && at < pieces->len && pieces->data[at] == ' ')
		at++;
	if (at != pieces->len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	if (!n)
		return 0;
	int kind = data[0] % N_KINDS;
	const struct tdm_vocab *v = vocab(kind);
	char *text = malloc(n); // nothing behind it
	if (!text)
		return 0;
	memcpy(text, data + 1, n - 1);
	int count = tdm_tokenize(v, text, n - 1, NULL, 0);
	int32_t *tokens = malloc(((size_t)(count > 0 ? count : 0) + 1) * sizeof *tokens);
	if (count < 0 || !tokens)
		abort();
	tokens[count] = -7;
	tokens[count / 2] = -7;
	if (tdm_tokenize(v, text, n - 1, tokens, count / 2) != count || tokens[count / 2] != -7)
		abort();
	if (tdm_tokenize(v, text, n - 1, tokens, count) != count || tokens[count] != -7)
		abort();
	bool is_words = !strcmp(kinds[kind].family, "bert");
	for (int i = 0; i < count; i++)
		if (tokens[i] < 0 || tokens[i] >= tdm_vocab_size(v) ||
		    (tdm_token_is_special(v, tokens[i]) && !(is_words && tokens[i] == 1)))
			abort(); // a word that is no token is the unknown one
	struct tdm_bytes pieces;
	tdm_bytes_init(&pieces, 1 << 24);
	if (tdm_detokenize(v, tokens, count, &pieces) != TDM_OK)
		abort();
	if (!is_words)
		check_text(&kinds[kind], &pieces, text, n - 1);
	tdm_bytes_release(&pieces);
	free(tokens);
	free(text);
	return 0;
}
