#include "tests.h"
#include "toy.h"
#include "base/random.h"
#include "base/text.h"
#include "engine/gguf.h"
#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 32, HEADS = 2, KV_HEADS = 1, HEAD_DIM = 16, FF = 64, LAYERS = 2, CONTROL = 3 };

static float *random_matrix(struct tdm_rng *rng, int rows, int cols) {
	float *x = malloc((size_t)(rows * cols) * sizeof *x);
	for (int i = 0; i < rows * cols; i++)
		x[i] = (float)(rows == 1 ? 1 : tdm_rng_normal(rng) / sqrt((double)cols));
	return x;
}

static void put_matrix(struct tdm_gguf_writer *w, struct tdm_rng *rng, const char *name, int rows, int cols) {
	float *x = random_matrix(rng, rows, cols);
	tdm_gguf_put_tensor(w, name, TDM_F32, (uint64_t[]){(uint64_t)cols, (uint64_t)rows}, rows > 1 ? 2 : 1, x);
	free(x);
}

static void put_block(struct tdm_gguf_writer *w, struct tdm_rng *rng, int block) {
	static const struct {
		const char *name;
		int rows, cols;
	} parts[] = {{"attn_norm", 1, WIDTH},
	             {"ffn_norm", 1, WIDTH},
	             {"attn_q", HEADS * HEAD_DIM, WIDTH},
	             {"attn_k", KV_HEADS * HEAD_DIM, WIDTH},
	             {"attn_v", KV_HEADS * HEAD_DIM, WIDTH},
	             {"attn_output", WIDTH, HEADS * HEAD_DIM},
	             {"ffn_gate", FF, WIDTH},
	             {"ffn_up", FF, WIDTH},
	             {"ffn_down", WIDTH, FF}};
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		char name[64];
		snprintf(name, sizeof name, "blk.%d.%s.weight", block, parts[i].name);
		put_matrix(w, rng, name, parts[i].rows, parts[i].cols);
	}
}

// The printable stand-in of a byte in byte-level vocabularies.
static size_t byte_text(unsigned byte, char out[8]) {
	unsigned shown = 256;
	for (unsigned b = 0; b <= byte; b++) {
		bool plain = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
		if (b == byte)
			return tdm_utf8_put(out, plain ? b : shown);
		shown += !plain;
	}
	return 0;
}

// The rows of tokens. Those of the other vocabulary are the same, where they are of the same tokens.
static void put_rows(struct tdm_gguf_writer *w, struct tdm_rng *rng, const char *name, bool is_other) {
	float *x = random_matrix(rng, TOY_VOCAB, WIDTH);
	if (!is_other) {
		tdm_gguf_put_tensor(w, name, TDM_F32, (uint64_t[]){WIDTH, TOY_VOCAB}, 2, x);
	} else {
		struct tdm_rng new;
		tdm_rng_init(&new, 77);
		float *y = random_matrix(&new, TOY_OTHER_VOCAB, WIDTH);
		for (int i = 0; i < TOY_VOCAB; i++)
			memcpy(y + (TOY_VOCAB - 1 - i) * WIDTH, x + i * WIDTH, WIDTH * sizeof *x);
		tdm_gguf_put_tensor(w, name, TDM_F32, (uint64_t[]){WIDTH, TOY_OTHER_VOCAB}, 2, y);
		free(y);
	}
	free(x);
}

// The other vocabulary has the same tokens in reverse, and a few more behind them.
static void put_vocab(struct tdm_gguf_writer *w, bool is_other) {
	static const char *const extra[] = {"th", "the", "yes", "es", "no", "in", "<|im_start|>", "<|im_end|>"};
	static const char *const more[] = {"or", "he", "ou", "lo", "co"};
	static const char *const merges[] = {"t h", "th e", "e s", "y es", "n o", "i n", "o r", "h e", "o u", "l o", "c o"};
	static char text[256][8];
	const char *tokens[TOY_OTHER_VOCAB], *merge_texts[11];
	size_t lens[TOY_OTHER_VOCAB], merge_lens[11];
	int32_t types[TOY_OTHER_VOCAB];
	int n = is_other ? TOY_OTHER_VOCAB : TOY_VOCAB, n_merges = is_other ? 11 : 6;
	for (int i = 0; i < n; i++) {
		int at = is_other && i < TOY_VOCAB ? TOY_VOCAB - 1 - i : i;
		tokens[at] = i < 256 ? text[i] : i < TOY_VOCAB ? extra[i - 256] : more[i - TOY_VOCAB];
		lens[at] = i < 256 ? byte_text((unsigned)i, text[i]) : strlen(tokens[at]);
		types[at] = i >= TOY_VOCAB - 2 && i < TOY_VOCAB ? CONTROL : 1;
	}
	for (int i = 0; i < n_merges; i++) {
		merge_texts[i] = merges[i];
		merge_lens[i] = strlen(merges[i]);
	}
	tdm_gguf_put_text(w, "tokenizer.ggml.model", "gpt2");
	tdm_gguf_put_text(w, "tokenizer.ggml.pre", "gpt-2");
	tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, lens, (size_t)n);
	tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, (size_t)n);
	tdm_gguf_put_strings(w, "tokenizer.ggml.merges", merge_texts, merge_lens, (size_t)n_merges);
	tdm_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", is_other ? 0 : TOY_VOCAB - 1);
	tdm_gguf_put_text(w, "tokenizer.chat_template",
	                  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}");
}

static void write_model(const char *path, unsigned seed, bool is_other) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	struct tdm_error err = {0};
	struct tdm_rng rng;
	tdm_rng_init(&rng, seed);
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_u32(w, "llama.context_length", TOY_CONTEXT);
	tdm_gguf_put_u32(w, "llama.embedding_length", WIDTH);
	tdm_gguf_put_u32(w, "llama.block_count", LAYERS);
	tdm_gguf_put_u32(w, "llama.feed_forward_length", FF);
	tdm_gguf_put_u32(w, "llama.attention.head_count", HEADS);
	tdm_gguf_put_u32(w, "llama.attention.head_count_kv", KV_HEADS);
	tdm_gguf_put_u32(w, "llama.rope.dimension_count", HEAD_DIM);
	tdm_gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	put_vocab(w, is_other);
	put_rows(w, &rng, "token_embd.weight", is_other);
	for (int i = 0; i < LAYERS; i++)
		put_block(w, &rng, i);
	put_matrix(w, &rng, "output_norm.weight", 1, WIDTH);
	put_rows(w, &rng, "output.weight", is_other);
	int status = tdm_gguf_write(w, path, &err);
	tdm_gguf_writer_free(w);
	if (status)
		fail_msg("%s", err.text);
}

void toy_write(const char *path, unsigned seed) {
	write_model(path, seed, false);
}

void toy_write_other(const char *path, unsigned seed) {
	write_model(path, seed, true);
}
