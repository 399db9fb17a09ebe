// Fuzz target: bytes as a weight file, through the reader and, when they are one, through an engine that evaluates.
// links: engine base
#include "engine/engine.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

// The last block of a tensor as numbers: the table's sizes and what a conversion reads must agree.
static size_t touch_last_block(const struct tdm_tensor *t) {
	const struct tdm_format *f = tdm_format_of(t->type);
	float x[256], sum = 0;
	tdm_dequantize(t->type, (const uint8_t *)t->data + t->bytes - f->block_bytes, f->per_block, x);
	for (uint32_t i = 0; i < f->per_block; i++)
		sum += x[i];
	return sum > 0;
}

// Reads everything that the file offers, so that a wrong pointer is touched.
static size_t touch(const struct tdm_gguf *g) {
	size_t sum = 0, n, len;
	uint64_t value;
	double number;
	const char *text;
	const float *floats;
	const int32_t *ints;
	for (size_t i = 0; i < tdm_gguf_n_tensors(g); i++) {
		const struct tdm_tensor *t = tdm_gguf_tensor_at(g, i);
		const uint8_t *bytes = t->data;
		sum += bytes[0] + bytes[t->bytes - 1] + (tdm_gguf_tensor(g, t->name) == t);
		sum += touch_last_block(t);
	}
	static const char *const keys[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.scores", "general.architecture",
	                                   "llama.block_count", "llama.rope.freq_base"};
	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
		if (tdm_gguf_strings(g, keys[k], &n))
			for (size_t i = 0; i < n; i++)
				if (tdm_gguf_string_at(g, keys[k], i, &text, &len) && len)
					sum += (unsigned char)text[len - 1];
		if (tdm_gguf_f32s(g, keys[k], &floats, &n) && n)
			sum += floats[n - 1] > 0;
		if (tdm_gguf_i32s(g, keys[k], &ints, &n) && n)
			sum += ints[n - 1] > 0;
		if (tdm_gguf_text(g, keys[k], &text, &len) && len)
			sum += (unsigned char)text[len - 1];
		sum += tdm_gguf_u64(g, keys[k], &value) + tdm_gguf_f64(g, keys[k], &number);
	}
	return sum;
}

static void evaluate(struct tdm_engine *e) {
	struct tdm_seq *s = NULL;
	const int32_t tokens[] = {0, 0, 0};
	int n = tdm_engine_info(e)->context < 3 ? tdm_engine_info(e)->context : 3;
	if (tdm_seq_open(e, &s, NULL) == TDM_OK)
		tdm_seq_eval(s, tokens, n, NULL, NULL, NULL);
	tdm_seq_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	struct tdm_gguf *g = NULL;
	struct tdm_engine *e = NULL;
	struct tdm_error err = {0};
	static volatile size_t sink;
	uint8_t *exact = malloc(n ? n : 1); // aligned as a mapping is, and nothing behind it
	if (!exact)
		return 0;
	memcpy(exact, data, n);
	int status = tdm_gguf_memory("fuzz", exact, n, &g, &err);
	if ((status != TDM_OK) != (err.status != TDM_OK && err.text[0]))
		abort(); // an error without a sentence, or the reverse
	if (status == TDM_OK) {
		sink = touch(g);
		tdm_gguf_close(g);
		err = (struct tdm_error){0};
		status = tdm_engine_memory("fuzz", exact, n, NULL, &e, &err);
		if ((status != TDM_OK) != (err.status != TDM_OK && err.text[0]))
			abort();
	}
	if (e) {
		evaluate(e);
		tdm_engine_close(e);
	}
	free(exact);
	return 0;
}
