// Fuzz target: bytes as a chat template to be recognised, and as a conversation to be rendered (the first byte says
// which). Recognition ends with a family or a sentence. A conversation has the special tokens of its format and
// roles, in their order: what its contents say makes no difference.
//
// links: engine base
// with: tests/unit/engine/small_vocab.c
#include "engine/chat.h"
#include "unit/engine/small_vocab.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_TURNS = 16 };

static const char *const no_merges[] = {NULL};
static const char *const marks[] = {"<|endoftext|>",
                                    "<|im_start|>",
                                    "<|im_end|>",
                                    "<|start_header_id|>",
                                    "<|end_header_id|>",
                                    "<|eot_id|>",
                                    "<start_of_turn>",
                                    "<end_of_turn>",
                                    "[INST]",
                                    "[/INST]",
                                    "<|user|>",
                                    "<|assistant|>",
                                    "<|system|>",
                                    NULL};

static const struct tdm_vocab *vocab(bool is_spm) {
	static struct tdm_vocab *read[2];
	static const struct small_vocab kinds[] = {
	    {.family = "gpt2",
	     .pre = "llama-bpe",
	     .merges = no_merges,
	     .special = marks,
	     .begins = "<|endoftext|>",
	     .ends = "<|im_end|>",
	     .add_bos = 1},
	    {.family = "llama", .special = marks, .begins = "<s>", .ends = "</s>", .add_bos = 1},
	};
	if (!read[is_spm] && small_vocab_read(&kinds[is_spm], &read[is_spm], NULL))
		abort();
	return read[is_spm];
}

static void recognise(const char *text, size_t n) {
	const struct tdm_chat_format *f = NULL, *again = NULL;
	struct tdm_error err = {0};
	int status = tdm_chat_find("auto", text, n, &f, &err);
	if ((status == TDM_OK) != (f != NULL) || (status != TDM_OK) != (err.status != TDM_OK && err.text[0]))
		abort();
	if (f && (tdm_chat_find(tdm_chat_name(f), NULL, 0, &again, &err) != TDM_OK || again != f))
		abort();
}

// The special tokens alone, in place.
static int render(const struct tdm_chat_format *f, const struct tdm_vocab *v, const struct tdm_message *turns, size_t n,
                  int flags, int32_t **out) {
	struct tdm_error err = {0};
	bool reply = flags & 1, open = flags & 2;
	int count = tdm_chat_tokens(f, v, turns, n, reply, open, NULL, 0, &err), kept = 0;
	if (count < 0)
		abort();
	int32_t *tokens = malloc(((size_t)count + 1) * sizeof *tokens);
	if (!tokens || tdm_chat_tokens(f, v, turns, n, reply, open, tokens, count, &err) != count)
		abort();
	for (int i = 0; i < count; i++)
		if (tdm_token_is_special(v, tokens[i]))
			tokens[kept++] = tokens[i];
	*out = tokens;
	return kept;
}

// Turns are divided by a byte that is in no text: 0xFF; each begins with its role.
static size_t read_turns(const char *text, size_t n, struct tdm_message *turns) {
	static const enum tdm_author roles[] = {TDM_FROM_SYSTEM, TDM_FROM_USER, TDM_FROM_ASSISTANT};
	size_t count = 0;
	while (n && count < MAX_TURNS) {
		const char *end = memchr(text, 0xFF, n);
		size_t len = end ? (size_t)(end - text) : n;
		if (len)
			turns[count++] = (struct tdm_message){roles[(unsigned char)text[0] % 3], text + 1, len - 1};
		text += len + (end != NULL);
		n -= len + (end != NULL);
	}
	return count;
}

static void converse(int format, int flags, const char *text, size_t n) {
	struct tdm_message turns[MAX_TURNS], plain[MAX_TURNS];
	const struct tdm_chat_format *f = NULL;
	size_t n_names, n_turns = read_turns(text, n, turns);
	const char *const *names = tdm_chat_names(&n_names);
	if (tdm_chat_find(names[(size_t)format % n_names], NULL, 0, &f, NULL) != TDM_OK)
		abort();
	for (size_t i = 0; i < n_turns; i++)
		plain[i] = (struct tdm_message){turns[i].from, "x", 1};
	for (int is_spm = 0; is_spm < 2; is_spm++) {
		int32_t *tokens, *expected;
		int count = render(f, vocab(is_spm), turns, n_turns, flags, &tokens);
		if (render(f, vocab(is_spm), plain, n_turns, flags, &expected) != count ||
		    memcmp(tokens, expected, (size_t)count * sizeof *tokens) != 0)
			abort();
		free(tokens);
		free(expected);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	if (n < 2)
		return 0;
	char *text = malloc(n - 1); // nothing behind it
	if (!text)
		return 0;
	memcpy(text, data + 2, n - 2);
	if (data[0] == 't')
		recognise(text, n - 2);
	else
		converse(data[0], data[1], text, n - 2);
	free(text);
	return 0;
}
