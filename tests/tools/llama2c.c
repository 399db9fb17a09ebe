// llama2c MODEL TOKENIZER OUT [FORMAT]: a model of llama2.c (its first file format, without a version number) and its
// tokenizer as one GGUF file, matrices in FORMAT (F32 when it is absent).
//
// MODEL: seven 32-bit numbers (width, feed-forward, layers, heads, heads of keys and values, vocabulary, context), then
// floats: embeddings, for all layers in turn the norms of attention, q, k, v, o, the norms of the feed-forward, gate,
// down, up; the last norm, two tables of rotations, and, where the vocabulary's number is negative, the output.
// TOKENIZER: a number, then score, length and bytes of each token, in which a space stands for SentencePiece's mark.
#include "base/file.h"
#include "engine/gguf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VOCAB = 1 << 20, MOST_BYTES = 1 << 30, PIECE = 256 };

struct shape {
	int32_t width, ff, n_layers, n_heads, n_kv_heads, n_vocab, context;
};

struct source {
	const char *at, *end;
};

static const void *take(struct source *s, size_t bytes) {
	const char *at = s->at;
	if (bytes > (size_t)(s->end - s->at))
		return NULL;
	s->at += bytes;
	return at;
}

static bool is_sound(const struct shape *s) {
	const int32_t numbers[] = {s->width, s->ff, s->n_layers, s->n_heads, s->n_kv_heads, abs(s->n_vocab), s->context};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (numbers[i] < 1 || numbers[i] > MOST_VOCAB)
			return false;
	return s->width % s->n_heads == 0 && s->n_heads % s->n_kv_heads == 0;
}

// --- weights

struct kind {
	const char *name; // NULL: what is passed over
	int rows, cols;   // rows 0: a vector
	int n_layers;     // that have one; 0: it is the model's
};

static bool put(struct tdm_gguf_writer *w, const struct kind *k, uint32_t type, struct source *from) {
	for (int i = 0; i < k->n_layers || i == 0; i++) {
		char name[64];
		size_t rows = (size_t)(k->rows ? k->rows : 1), cols = (size_t)k->cols;
		const float *x = take(from, rows * cols * sizeof *x);
		if (!x)
			return false;
		if (!k->name)
			continue;
		if (k->n_layers)
			snprintf(name, sizeof name, "blk.%d.%s.weight", i, k->name);
		else
			snprintf(name, sizeof name, "%s.weight", k->name);
		tdm_gguf_put_tensor(w, name, k->rows ? type : (uint32_t)TDM_F32, (uint64_t[]){cols, rows}, k->rows ? 2 : 1, x);
	}
	return true;
}

static bool put_weights(struct tdm_gguf_writer *w, const struct shape *s, uint32_t type, struct source *from) {
	int head = s->width / s->n_heads, kv = head * s->n_kv_heads, n = s->n_layers;
	const struct kind kinds[] = {{"token_embd", abs(s->n_vocab), s->width, 0},
	                             {"attn_norm", 0, s->width, n},
	                             {"attn_q", s->width, s->width, n},
	                             {"attn_k", kv, s->width, n},
	                             {"attn_v", kv, s->width, n},
	                             {"attn_output", s->width, s->width, n},
	                             {"ffn_norm", 0, s->width, n},
	                             {"ffn_gate", s->ff, s->width, n},
	                             {"ffn_down", s->width, s->ff, n},
	                             {"ffn_up", s->ff, s->width, n},
	                             {"output_norm", 0, s->width, 0},
	                             {NULL, s->context, head, 0},
	                             {"output", -s->n_vocab, s->width, 0}};
	size_t n_kinds = sizeof kinds / sizeof *kinds;
	for (size_t i = 0; i < n_kinds - (s->n_vocab > 0); i++)
		if (!put(w, &kinds[i], type, from))
			return false;
	return from->at == from->end;
}

// --- keys and vocabulary

static void put_keys(struct tdm_gguf_writer *w, const struct shape *s) {
	const struct {
		const char *key;
		int value;
	} counts[] = {{"llama.context_length", s->context},
	              {"llama.embedding_length", s->width},
	              {"llama.block_count", s->n_layers},
	              {"llama.feed_forward_length", s->ff},
	              {"llama.attention.head_count", s->n_heads},
	              {"llama.attention.head_count_kv", s->n_kv_heads},
	              {"llama.rope.dimension_count", s->width / s->n_heads},
	              {"tokenizer.ggml.bos_token_id", 1},
	              {"tokenizer.ggml.eos_token_id", 2},
	              {"tokenizer.ggml.unknown_token_id", 0}};
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_text(w, "general.name", "llama2.c");
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		tdm_gguf_put_u32(w, counts[i].key, (uint32_t)counts[i].value);
	tdm_gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
	tdm_gguf_put_text(w, "tokenizer.ggml.model", "llama");
	tdm_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true);
	tdm_gguf_put_bool(w, "tokenizer.ggml.add_eos_token", false);
}

struct words {
	char (*text)[PIECE];
	const char **pieces;
	size_t *lens;
	float *scores;
	int32_t *types;
};

// Spaces become the mark; returns the length.
static size_t spell(const char *from, size_t n, char out[PIECE]) {
	size_t used = 0;
	for (size_t i = 0; i < n && used + 3 < PIECE; i++) {
		if (from[i] == ' ') {
			memcpy(out + used, "\u2581", 3);
			used += 3;
		} else {
			out[used++] = from[i];
		}
	}
	return used;
}

static bool read_word(struct words *w, int i, struct source *from) {
	static const char *const first[] = {"<unk>", "<s>", "</s>"};
	int32_t length = 0;
	const void *score = take(from, sizeof(float)), *size = take(from, sizeof length), *bytes = NULL;
	if (size)
		memcpy(&length, size, sizeof length);
	if (length > 0 && length < PIECE)
		bytes = take(from, (size_t)length);
	if (!score || !bytes)
		return false;
	memcpy(&w->scores[i], score, sizeof(float));
	w->lens[i] = i < 3 ? strlen(first[i]) : spell(bytes, (size_t)length, w->text[i]);
	w->pieces[i] = i < 3 ? first[i] : w->text[i];
	w->types[i] = i == 0 ? 2 : i < 3 ? 3 : i < 3 + 256 ? 6 : 1; // unknown, control, bytes, normal
	return true;
}

static bool put_words(struct tdm_gguf_writer *w, int n, struct source *from) {
	size_t count = (size_t)n;
	struct words words = {calloc(count, PIECE), calloc(count, sizeof(char *)), calloc(count, sizeof(size_t)),
	                      calloc(count, sizeof(float)), calloc(count, sizeof(int32_t))};
	bool is_good = words.text && words.pieces && words.lens && words.scores && words.types && take(from, 4);
	for (int i = 0; i < n && is_good; i++)
		is_good = read_word(&words, i, from);
	if (is_good) {
		tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", words.pieces, words.lens, count);
		tdm_gguf_put_f32s(w, "tokenizer.ggml.scores", words.scores, count);
		tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", words.types, count);
	}
	free(words.text);
	free(words.pieces);
	free(words.lens);
	free(words.scores);
	free(words.types);
	return is_good;
}

// ---

static int convert(const struct tdm_bytes *model, const struct tdm_bytes *tokenizer, uint32_t type, const char *path,
                   struct tdm_error *err) {
	struct source from = {model->data, model->data + model->len};
	struct source words = {tokenizer->data, tokenizer->data + tokenizer->len};
	struct shape shape;
	const void *header = take(&from, sizeof shape);
	if (!header)
		return tdm_fail(err, TDM_EFORMAT, "a model of %zu bytes has no header", model->len);
	memcpy(&shape, header, sizeof shape);
	if (!is_sound(&shape))
		return tdm_fail(err, TDM_EFORMAT, "the header is none of llama2.c's first format");
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	if (!w)
		return tdm_fail(err, TDM_ENOMEM, "no memory for %s", path);
	put_keys(w, &shape);
	int status = TDM_OK;
	if (!put_words(w, abs(shape.n_vocab), &words))
		status = tdm_fail(err, TDM_EFORMAT, "the tokenizer is not one of %d tokens", abs(shape.n_vocab));
	else if (!put_weights(w, &shape, type, &from))
		status = tdm_fail(err, TDM_EFORMAT, "the model has more or fewer numbers than its header says");
	else
		status = tdm_gguf_write(w, path, err);
	tdm_gguf_writer_free(w);
	return status;
}

static uint32_t type_of(const char *name) {
	for (uint32_t i = 0; i < tdm_n_formats; i++)
		if (strcmp(tdm_formats[i].name, name) == 0)
			return tdm_formats[i].type;
	return TDM_F32;
}

int main(int argc, char **argv) {
	struct tdm_error err = {0};
	struct tdm_bytes model = {0}, tokenizer = {0};
	if (argc < 4) {
		fprintf(stderr, "usage: llama2c MODEL TOKENIZER OUT [FORMAT]\n");
		return 2;
	}
	int status = tdm_file_read(argv[1], MOST_BYTES, &model, &err);
	if (!status)
		status = tdm_file_read(argv[2], MOST_BYTES, &tokenizer, &err);
	if (!status)
		status = convert(&model, &tokenizer, argc > 4 ? type_of(argv[4]) : TDM_F32, argv[3], &err);
	if (status)
		fprintf(stderr, "llama2c: %s\n", err.text);
	tdm_bytes_release(&model);
	tdm_bytes_release(&tokenizer);
	return status != TDM_OK;
}
