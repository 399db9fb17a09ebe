// Export: metadata, tokenizer and tensors of a net (see export.h). A key that tokenizers gain goes into a table below.
#include "learn/export.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int copy_text(struct tdm_gguf_writer *w, const struct tdm_gguf *from, const char *key) {
	const char *text;
	size_t n;
	if (!tdm_gguf_text(from, key, &text, &n))
		return TDM_OK;
	char *copy = malloc(n + 1);
	if (!copy)
		return TDM_ENOMEM;
	memcpy(copy, text, n);
	copy[n] = 0;
	tdm_gguf_put_text(w, key, copy);
	free(copy);
	return TDM_OK;
}

static int copy_strings(struct tdm_gguf_writer *w, const struct tdm_gguf *from, const char *key) {
	size_t n;
	if (!tdm_gguf_strings(from, key, &n))
		return TDM_OK;
	const char **items = calloc(n + 1, sizeof(*items));
	size_t *lens = calloc(n + 1, sizeof(*lens));
	bool all = items && lens;
	for (size_t i = 0; i < n && all; i++)
		all = tdm_gguf_string_at(from, key, i, &items[i], &lens[i]);
	if (all)
		tdm_gguf_put_strings(w, key, items, lens, n);
	free(items);
	free(lens);
	return all ? TDM_OK : TDM_ENOMEM;
}

static int copy_numbers(struct tdm_gguf_writer *w, const struct tdm_gguf *from) {
	static const char *const ids[] = {"bos", "eos", "eot", "unknown", "padding", "seperator", "eom"};
	static const char *const flags[] = {"add_bos_token", "add_eos_token", "add_space_prefix",
	                                    "remove_extra_whitespaces"};
	char key[64];
	uint64_t value;
	const float *scores;
	const int32_t *types;
	size_t n;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		snprintf(key, sizeof(key), "tokenizer.ggml.%s_token_id", ids[i]);
		if (tdm_gguf_u64(from, key, &value))
			tdm_gguf_put_u32(w, key, (uint32_t)value);
	}
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		snprintf(key, sizeof(key), "tokenizer.ggml.%s", flags[i]);
		if (tdm_gguf_u64(from, key, &value))
			tdm_gguf_put_bool(w, key, value != 0);
	}
	if (tdm_gguf_f32s(from, "tokenizer.ggml.scores", &scores, &n))
		tdm_gguf_put_f32s(w, "tokenizer.ggml.scores", scores, n);
	if (tdm_gguf_i32s(from, "tokenizer.ggml.token_type", &types, &n))
		tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, n);
	return TDM_OK;
}

static int copy_tokenizer(struct tdm_gguf_writer *w, const struct tdm_gguf *from) {
	static const char *const texts[] = {"tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.chat_template"};
	int status = copy_numbers(w, from);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]) && !status; i++)
		status = copy_text(w, from, texts[i]);
	if (!status)
		status = copy_strings(w, from, "tokenizer.ggml.tokens");
	return status ? status : copy_strings(w, from, "tokenizer.ggml.merges");
}

static void put_shape(struct tdm_gguf_writer *w, const struct tdm_shape *s) {
	tdm_gguf_put_u32(w, "llama.vocab_size", (uint32_t)s->n_vocab);
	tdm_gguf_put_u32(w, "llama.context_length", (uint32_t)s->context);
	tdm_gguf_put_u32(w, "llama.embedding_length", (uint32_t)s->width);
	tdm_gguf_put_u32(w, "llama.block_count", (uint32_t)s->n_layers);
	tdm_gguf_put_u32(w, "llama.feed_forward_length", (uint32_t)s->n_ff);
	tdm_gguf_put_u32(w, "llama.attention.head_count", (uint32_t)s->n_heads);
	tdm_gguf_put_u32(w, "llama.attention.head_count_kv", (uint32_t)s->n_kv_heads);
	tdm_gguf_put_u32(w, "llama.rope.dimension_count", (uint32_t)tdm_shape_head_width(s));
	tdm_gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", s->norm_eps);
	tdm_gguf_put_f32(w, "llama.rope.freq_base", s->rope_base);
}

enum tdm_tensor_type tdm_export_type(enum tdm_tensor_type type, uint64_t n_in) {
	return type == TDM_Q8_0 && n_in % 32 ? TDM_F16 : type;
}

int tdm_export(const struct tdm_net *net, const struct tdm_gguf *tokenizer, const char *name, enum tdm_tensor_type type,
               const char *path, struct tdm_error *err) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	if (!w)
		return tdm_fail(err, TDM_ENOMEM, "no memory to write %s", path);
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_text(w, "general.name", name);
	tdm_gguf_put_u32(w, "general.file_type",
	                 type == TDM_Q8_0 ? 7 : (uint32_t)type); // llama.cpp's number of "mostly Q8_0"
	tdm_gguf_put_u32(w, "general.quantization_version", 2);
	put_shape(w, &net->shape);
	int status = copy_tokenizer(w, tokenizer);
	if (status)
		tdm_fail(err, status, "no memory to copy the tokenizer into %s", path);
	for (size_t i = 0; i < tdm_shape_n_tensors(&net->shape) && !status; i++) {
		struct tdm_net_tensor t;
		tdm_shape_tensor(&net->shape, i, &t);
		tdm_gguf_put_tensor(w, t.name, t.n_dims == 1 ? TDM_F32 : tdm_export_type(type, t.dims[0]), t.dims, t.n_dims,
		                    net->params + t.offset);
	}
	if (!status)
		status = tdm_gguf_write(w, path, err);
	tdm_gguf_writer_free(w);
	return status;
}
