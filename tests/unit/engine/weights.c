// Opening: metadata and tensors that contradict each other or the supported architecture, one sentence each.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/bytes.h"
#include "base/file.h"
#include "tests.h"
#include "toy.h"
#include <stdlib.h>
#include <string.h>

// The value of a key, or the name of something, replaced in the file's bytes.
struct change {
	const char *find; // text in the file; the change is made `after` bytes behind its end
	size_t after;
	uint32_t value;
	int bytes; // 0: one letter of `find` itself becomes 'X'
	int status;
	const char *sentence;
};
#define KEY(name, v, sentence) \
	{ name, 4, v, 4, TDM_EFORMAT, sentence }

static const struct change changes[] = {
    {"llama", 0, 0, 0, TDM_EFORMAT, "\"Xlama\" is not supported; supported are llama, qwen2, qwen3, smollm3, gemma"},
    {"general.architecture", 0, 0, 0, TDM_EFORMAT, "general.architecture is missing"},
    {"llama.context_length", 0, 0, 0, TDM_EFORMAT, "llama.context_length is missing"},
    {"blk.1.ffn_up.weight", 0, 0, 0, TDM_EFORMAT, "tensor blk.1.ffn_up.weight is missing"},
    {"output.weight", 0, 0, 0, TDM_EFORMAT, "tensor Xutput.weight has no place in a llama model of 2 layers"},
    {"output_norm.weight", 0, 0, 0, TDM_EFORMAT, "tensor output_norm.weight is missing"},
    {"token_embd.weight", 0, 0, 0, TDM_EFORMAT, "tensor token_embd.weight is missing"},
    {"tokenizer.ggml.model", 0, 0, 0, TDM_EFORMAT, "tokenizer"},
    KEY("llama.context_length", 0, "llama.context_length is 0; expected 1 to"),
    KEY("llama.context_length", UINT32_MAX, "expected 1 to"),
    KEY("llama.embedding_length", 32, "tensor token_embd.weight is 64 x 40; the metadata asks for 32 x 40"),
    KEY("llama.embedding_length", UINT32_MAX, "llama.embedding_length is 4294967295"),
    KEY("llama.block_count", 3, "tensor blk.2.attn_norm.weight is missing"),
    KEY("llama.block_count", 4000, "llama.block_count is 4000, but the file has 21 tensors"),
    KEY("llama.block_count", 1, "has no place in a llama model of 1 layers"),
    KEY("llama.feed_forward_length", 97, "the metadata asks for 64 x 97"),
    KEY("llama.attention.head_count", 3, "3 heads cannot share 2 heads"),
    KEY("llama.attention.head_count", 8, "the metadata asks for 64 x 128"),
    KEY("llama.attention.head_count", 1 << 22, "heads of 16 elements; at most"),
    KEY("llama.attention.head_count_kv", 5, "llama.attention.head_count_kv is 5; expected 1 to 4"),
    KEY("llama.attention.head_count_kv", 1, "tensor blk.0.attn_k.weight is 64 x 32; the metadata asks for 64 x 16"),
    KEY("llama.attention.key_length", 8, "keys of 8 and values of 16"),
    KEY("llama.attention.key_length", 4096, "llama.attention.key_length is 4096"),
    KEY("llama.rope.dimension_count", 17, "expected an even number up to the head's 16"),
    KEY("llama.rope.dimension_count", 32, "expected an even number up to the head's 16"),
    KEY("llama.attention.layer_norm_rms_epsilon", 0x7FC00000, "layer_norm_rms_epsilon is missing or not between"),
    KEY("llama.rope.freq_base", 0, "llama.rope.freq_base is 0"),
};

static char *place_of(struct tdm_bytes *b, const char *text) {
	size_t n = strlen(text);
	for (size_t at = 8; at + n <= b->len; at++) {
		uint64_t len;
		memcpy(&len, b->data + at - 8, sizeof len);
		if (len == n && memcmp(b->data + at, text, n) == 0)
			return b->data + at;
	}
	fail_msg("\"%s\" is not in the file", text);
	return NULL;
}

static void S56_contradictions(void **state) {
	struct tdm_toy toy = TDM_TOY;
	tdm_toy_make(&toy);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		const struct change *c = &changes[i];
		struct tdm_bytes b;
		struct tdm_engine *e = NULL;
		struct tdm_error err = {0};
		assert_int_equal(tdm_file_read(toy.path, 1 << 24, &b, &err), TDM_OK);
		char *at = place_of(&b, c->find);
		if (c->bytes)
			memcpy(at + strlen(c->find) + c->after, &c->value, (size_t)c->bytes);
		else
			*at = 'X';
		assert_int_equal(tdm_engine_memory("toy", b.data, b.len, NULL, &e, &err), c->status);
		if (!strstr(err.text, c->sentence))
			fail_msg("change %zu: expected \"%s\" in \"%s\"", i, c->sentence, err.text);
		tdm_bytes_release(&b);
	}
	tdm_toy_free(&toy);
}

static void options(void **state) {
	struct tdm_toy toy = TDM_TOY;
	struct tdm_engine *e = NULL;
	struct tdm_error err = {0};
	tdm_toy_make(&toy);
	assert_int_equal(tdm_engine_open(toy.path, &(struct tdm_engine_options){.context = 601}, &e, &err), TDM_ECONFIG);
	assert_non_null(strstr(err.text, "601 tokens was asked for; the model's limit is 600"));
	err = (struct tdm_error){0};
	assert_int_equal(tdm_engine_open(toy.path, &(struct tdm_engine_options){.kernels = "x"}, &e, &err), TDM_ECONFIG);
	err = (struct tdm_error){0};
	assert_int_not_equal(tdm_engine_open(toy.path, &(struct tdm_engine_options){.chat = "nobody"}, &e, &err), TDM_OK);
	err = (struct tdm_error){0};
	assert_int_equal(tdm_engine_open(toy.path, &(struct tdm_engine_options){.context = 50}, &e, &err), TDM_OK);
	const struct tdm_engine_info *info = tdm_engine_info(e);
	assert_int_equal(info->context, 50);
	assert_int_equal(info->n_vocab, 40);
	assert_int_equal(info->n_layers, 2);
	assert_int_equal(info->n_parameters, 40 * 64 * 2 + 64 + 2 * (64 * 2 + 64 * 64 * 2 + 64 * 32 * 2 + 64 * 96 * 3));
	assert_string_equal(info->architecture, "llama");
	assert_null(info->chat);
	assert_null(tdm_engine_chat(e));
	assert_int_equal(tdm_vocab_size(tdm_engine_vocab(e)), 40);
	tdm_engine_close(e);
	tdm_toy_free(&toy);
	err = (struct tdm_error){0};
	assert_int_equal(tdm_engine_open(toy.path, NULL, &e, &err), TDM_EIO);
}

int tdm_test_weights(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(S56_contradictions), cmocka_unit_test(options)};
	return cmocka_run_group_tests_name("weights", tests, NULL, NULL);
}
