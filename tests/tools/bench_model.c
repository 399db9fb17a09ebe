// bench_model SHAPE OUT.gguf: random F16 weights in the shape of a well-known model, to be measured and not to be read.
// Shapes: 135m (SmolLM2-135M), 135m-32k (the same with the vocabulary of the next, to draft for it), 1.1b
// (TinyLlama-1.1B). `tandem quantize` makes the other formats of it.
#include "base/random.h"
#include "engine/gguf.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct shape {
	const char *name;
	int width, layers, heads, kv_heads, ff, vocab;
	bool is_tied;
} shapes[] = {{"135m", 576, 30, 9, 3, 1536, 49152, true},
              {"135m-32k", 576, 30, 9, 3, 1536, 32000, true},
              {"1.1b", 2048, 22, 32, 4, 5632, 32000, false}};

enum { NUMBERS = 1 << 22 };

static float *numbers; // normal; every tensor is a stretch of them, again and again

static void put_matrix(struct tdm_gguf_writer *w, const char *name, int rows, int cols) {
	size_t n = (size_t)rows * (size_t)cols;
	float *x = malloc(n * sizeof *x), gain = 1 / sqrtf((float)cols);
	for (size_t i = 0; x && i < n; i++)
		x[i] = numbers[(i + (size_t)rows) % NUMBERS] * gain;
	if (x)
		tdm_gguf_put_tensor(w, name, TDM_F16, (uint64_t[]){(uint64_t)cols, (uint64_t)rows}, 2, x);
	free(x);
}

static void put_norm(struct tdm_gguf_writer *w, const char *name, int n) {
	float *x = malloc((size_t)n * sizeof *x);
	for (int i = 0; x && i < n; i++)
		x[i] = 1;
	if (x)
		tdm_gguf_put_tensor(w, name, TDM_F32, (uint64_t[]){(uint64_t)n}, 1, x);
	free(x);
}

static void put_layer(struct tdm_gguf_writer *w, const struct shape *s, int layer) {
	int kv = s->width / s->heads * s->kv_heads;
	const struct {
		const char *part;
		int rows, cols;
	} parts[] = {{"attn_q", s->width, s->width},      {"attn_k", kv, s->width},      {"attn_v", kv, s->width},
	             {"attn_output", s->width, s->width}, {"ffn_gate", s->ff, s->width}, {"ffn_up", s->ff, s->width},
	             {"ffn_down", s->width, s->ff},       {"attn_norm", 0, s->width},    {"ffn_norm", 0, s->width}};
	char name[64];
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		snprintf(name, sizeof name, "blk.%d.%s.weight", layer, parts[i].part);
		if (parts[i].rows)
			put_matrix(w, name, parts[i].rows, parts[i].cols);
		else
			put_norm(w, name, parts[i].cols);
	}
}

static void put_keys(struct tdm_gguf_writer *w, const struct shape *s) {
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_text(w, "general.name", "random");
	tdm_gguf_put_u32(w, "llama.context_length", 2048);
	tdm_gguf_put_u32(w, "llama.embedding_length", (uint32_t)s->width);
	tdm_gguf_put_u32(w, "llama.block_count", (uint32_t)s->layers);
	tdm_gguf_put_u32(w, "llama.feed_forward_length", (uint32_t)s->ff);
	tdm_gguf_put_u32(w, "llama.attention.head_count", (uint32_t)s->heads);
	tdm_gguf_put_u32(w, "llama.attention.head_count_kv", (uint32_t)s->kv_heads);
	tdm_gguf_put_u32(w, "llama.rope.dimension_count", (uint32_t)(s->width / s->heads));
	tdm_gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
}

// Byte-level BPE: the visible bytes, one merge, and names for the rest.
static bool put_vocab(struct tdm_gguf_writer *w, int n) {
	enum { PIECE = 16 };
	char(*text)[PIECE] = calloc((size_t)n, PIECE);
	const char **pieces = calloc((size_t)n, sizeof *pieces), *merge = "! \"";
	size_t *lens = calloc((size_t)n, sizeof *lens), merge_len = 3;
	int32_t *types = calloc((size_t)n, sizeof *types);
	bool is_made = text && pieces && lens && types;
	for (int i = 0; i < n && is_made; i++) {
		// the visible characters that stand for bytes: 94 of ASCII, 12 and 82 of Latin-1, 68 beyond
		int code = i < 94 ? i + 33 : i < 106 ? i - 94 + 161 : i < 188 ? i - 106 + 174 : i - 188 + 256;
		if (i < 94)
			lens[i] = (size_t)snprintf(text[i], PIECE, "%c", code);
		else if (i < 256)
			lens[i] = (size_t)snprintf(text[i], PIECE, "%c%c", 0xC0 | code >> 6, 0x80 | (code & 63));
		else
			lens[i] = (size_t)snprintf(text[i], PIECE, i == 256 ? "!\"" : "word%d", i);
		pieces[i] = text[i];
		types[i] = i == n - 1 ? 3 : 1;
	}
	if (is_made) {
		tdm_gguf_put_text(w, "tokenizer.ggml.model", "gpt2");
		tdm_gguf_put_text(w, "tokenizer.ggml.pre", "smollm");
		tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", pieces, lens, (size_t)n);
		tdm_gguf_put_strings(w, "tokenizer.ggml.merges", &merge, &merge_len, 1);
		tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, (size_t)n);
		tdm_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)n - 1);
		tdm_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)n - 1);
	}
	free(text);
	free(pieces);
	free(lens);
	free(types);
	return is_made;
}

static int make(const struct shape *s, const char *path, struct tdm_error *err) {
	struct tdm_rng rng;
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	numbers = malloc(NUMBERS * sizeof *numbers);
	if (!w || !numbers)
		return tdm_fail(err, TDM_ENOMEM, "no memory");
	tdm_rng_init(&rng, 1);
	for (int i = 0; i < NUMBERS; i++)
		numbers[i] = (float)tdm_rng_normal(&rng);
	put_keys(w, s);
	if (!put_vocab(w, s->vocab))
		return tdm_fail(err, TDM_ENOMEM, "no memory");
	put_matrix(w, "token_embd.weight", s->vocab, s->width);
	for (int i = 0; i < s->layers; i++)
		put_layer(w, s, i);
	put_norm(w, "output_norm.weight", s->width);
	if (!s->is_tied)
		put_matrix(w, "output.weight", s->vocab, s->width);
	int status = tdm_gguf_write(w, path, err);
	tdm_gguf_writer_free(w);
	free(numbers);
	return status;
}

int main(int argc, char **argv) {
	struct tdm_error err = {0};
	const struct shape *s = NULL;
	for (size_t i = 0; argc == 3 && i < sizeof shapes / sizeof *shapes; i++)
		if (strcmp(argv[1], shapes[i].name) == 0)
			s = &shapes[i];
	if (!s) {
		fprintf(stderr, "usage: bench_model 135m|1.1b OUT.gguf\n");
		return 2;
	}
	if (make(s, argv[2], &err) == TDM_OK)
		return 0;
	fprintf(stderr, "bench_model: %s\n", err.text);
	return 1;
}
