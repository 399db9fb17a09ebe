// Small vocabularies for tests.
#include "small_vocab.h"
#include "engine/presplit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 1024

struct list {
	char *texts[MOST];
	int32_t types[MOST];
	float scores[MOST];
	size_t n;
};

static void add(struct list *l, const char *text, int type, float score) {
	l->texts[l->n] = strdup(text);
	l->types[l->n] = type;
	l->scores[l->n++] = score;
}

static void add_bpe(struct list *l, const struct small_vocab *s) {
	for (int b = 0; b < 256; b++) {
		char text[5] = "";
		tdm_byte_char((unsigned char)b, text);
		add(l, text, 1, 0);
	}
	for (size_t i = 0; s->merges && s->merges[i]; i++) {
		char joined[64];
		const char *space = strchr(s->merges[i] + 1, ' ');
		snprintf(joined, sizeof joined, "%.*s%s", (int)(space - s->merges[i]), s->merges[i], space + 1);
		add(l, joined, 1, 0);
	}
}

static void add_spm(struct list *l) {
	add(l, "<unk>", 2, 0);
	add(l, "<s>", 3, 0);
	add(l, "</s>", 3, 0);
	for (int b = 0; b < 256; b++) {
		char text[8];
		snprintf(text, sizeof text, "<0x%02X>", b);
		add(l, text, 6, 0);
	}
}

static void put_id(struct tdm_gguf_writer *w, const struct list *l, const char *key, const char *text) {
	for (size_t i = 0; text && i < l->n; i++)
		if (!strcmp(l->texts[i], text))
			tdm_gguf_put_u32(w, key, (uint32_t)i);
}

static void put_strings(struct tdm_gguf_writer *w, const char *key, const char *const *items, size_t n) {
	size_t lens[MOST];
	for (size_t i = 0; i < n; i++)
		lens[i] = strlen(items[i]);
	tdm_gguf_put_strings(w, key, items, lens, n);
}

static size_t count(const char *const *items) {
	size_t n = 0;
	while (items && items[n])
		n++;
	return n;
}

static void put_keys(struct tdm_gguf_writer *w, const struct small_vocab *s, struct list *l) {
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_text(w, "tokenizer.ggml.model", s->family);
	if (s->pre)
		tdm_gguf_put_text(w, "tokenizer.ggml.pre", s->pre);
	put_strings(w, "tokenizer.ggml.tokens", (const char *const *)l->texts, l->n);
	tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", l->types, l->n);
	tdm_gguf_put_f32s(w, "tokenizer.ggml.scores", l->scores, l->n);
	put_strings(w, "tokenizer.ggml.merges", s->merges, count(s->merges));
	put_id(w, l, "tokenizer.ggml.bos_token_id", s->begins);
	put_id(w, l, "tokenizer.ggml.eos_token_id", s->ends);
	if (s->add_bos)
		tdm_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", s->add_bos > 0);
	if (s->add_space_prefix)
		tdm_gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", s->add_space_prefix > 0);
}

int small_vocab_read(const struct small_vocab *s, struct tdm_vocab **out, struct tdm_error *err) {
	struct list *l = calloc(1, sizeof *l);
	if (!strcmp(s->family, "gpt2"))
		add_bpe(l, s);
	else
		add_spm(l);
	for (size_t i = 0; s->extra && s->extra[i]; i++)
		add(l, s->extra[i], s->extra_type ? s->extra_type : 1, -1 - (float)i);
	for (size_t i = 0; s->special && s->special[i]; i++)
		add(l, s->special[i], 3, 0);
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	put_keys(w, s, l);
	int status = small_vocab_from(w, out, err);
	tdm_gguf_writer_free(w);
	for (size_t i = 0; i < l->n; i++)
		free(l->texts[i]);
	free(l);
	return status;
}

int small_vocab_from(struct tdm_gguf_writer *w, struct tdm_vocab **out, struct tdm_error *err) {
	char path[] = "/tmp/tandem-vocab-XXXXXX";
	int file = mkstemp(path);
	if (file >= 0)
		close(file);
	struct tdm_gguf *g = NULL;
	int status = tdm_gguf_write(w, path, err);
	if (!status)
		status = tdm_gguf_open(path, &g, err);
	if (!status)
		status = tdm_vocab_read(g, out, err);
	tdm_gguf_close(g); // the vocabulary keeps copies
	unlink(path);
	return status;
}

static const char *special_text(const struct tdm_vocab *v, const struct small_vocab *s, int32_t token) {
	static const char *const spm[] = {"<unk>", "<s>", "</s>"};
	for (size_t i = 0; i < 3; i++)
		if (tdm_token_special(v, spm[i]) == token)
			return spm[i];
	for (size_t i = 0; s->special && s->special[i]; i++)
		if (tdm_token_special(v, s->special[i]) == token)
			return s->special[i];
	return "?";
}

void small_vocab_show(const struct tdm_vocab *v, const struct small_vocab *s, const int32_t *tokens, int n,
                      const char *mark, struct tdm_bytes *out) {
	for (int i = 0; i < n; i++) {
		const char *piece;
		size_t len = tdm_token_piece(v, tokens[i], &piece);
		tdm_bytes_puts(out, i ? mark : "");
		if (tdm_token_is_special(v, tokens[i]))
			tdm_bytes_puts(out, special_text(v, s, tokens[i]));
		else
			tdm_bytes_add(out, piece, len);
	}
}
