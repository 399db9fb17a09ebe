// Families: on random weights of each, logits are the same bits however the tokens are split over passes, on every set
// of kernels; and files that lack what their family has are refused. That the numbers are right is compared with
// llama.cpp in tests/integration/families.test.mjs.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../tools/family_model.h"
#include "base/bytes.h"
#include "base/file.h"
#include "engine/engine.h"
#include "engine/kernels.h"
#include "tests.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N = 290, MOST_VOCAB = 512 }; // beyond one block of 256 keys

// More of the layers of gemma2.
static bool is_deep(const char *recipe) {
	return strcmp(recipe, "gemma2-27b") == 0;
}

static bool is_decoder(const char *recipe) {
	return !tdm_family_model_is_encoder(recipe);
}

static const char *path_of(const char *recipe) {
	static char path[128];
	snprintf(path, sizeof path, "/tmp/tdm-family-%d-%s.gguf", (int)getpid(), recipe);
	return path;
}

static void write_model(const char *recipe, uint32_t type) {
	struct tdm_error err = {0};
	if (tdm_family_model_write(recipe, &(struct tdm_family_model_options){.type = type, .seed = 5}, path_of(recipe),
	                           &err) != TDM_OK)
		fail_msg("%s", err.text);
}

static struct tdm_engine *open_with(const char *recipe, const char *kernels, int threads,
                                    enum tdm_cache_type cache_type) {
	struct tdm_engine_options o = {.kernels = kernels, .threads = threads, .cache_type = cache_type};
	struct tdm_engine *e = NULL;
	struct tdm_error err = {0};
	if (tdm_engine_open(path_of(recipe), &o, &e, &err) != TDM_OK)
		fail_msg("%s", err.text);
	return e;
}

static struct tdm_engine *open_model(const char *recipe, const char *kernels, int threads) {
	return open_with(recipe, kernels, threads, TDM_CACHE_AUTO);
}

// Where the pieces of step 0 begin: single tokens around the ends of pages, passes and the block of keys, and long
// ones.
static const int cuts[] = {0, 1, 2, 3, 14, 15, 16, 17, 18, 40, 63, 64, 65, 254, 255, 256, 257, 258, N - 1, N};

static int piece_end(int at, int step) {
	int end = at + step;
	for (size_t i = 0; step == 0 && end <= at; i++)
		end = cuts[i];
	return end < N ? end : N;
}

// Evaluates n_tokens in pieces of `step`; the logits of all of them to out.
static void run_with(struct tdm_engine *e, int32_t first_token, int n_tokens, int step, float *out) {
	int n_vocab = tdm_engine_info(e)->n_vocab;
	int32_t tokens[N];
	uint8_t wanted[N];
	struct tdm_seq *s;
	memset(wanted, 1, sizeof wanted);
	for (int i = 0; i < N; i++)
		tokens[i] = i ? (i * 31 + i / 7) % n_vocab : first_token;
	assert_int_equal(tdm_seq_open(e, &s, NULL), TDM_OK);
	for (int at = 0, n; at < n_tokens; at += n) {
		int end = piece_end(at, step);
		n = (end < n_tokens ? end : n_tokens) - at;
		assert_int_equal(tdm_seq_eval(s, tokens + at, n, wanted, NULL, NULL), TDM_OK);
		for (int i = 0; i < n; i++)
			memcpy(out + (at + i) * n_vocab, tdm_seq_logits(s, i), (size_t)n_vocab * sizeof *out);
	}
	tdm_seq_close(s);
}

static void run(struct tdm_engine *e, int step, float *out) {
	run_with(e, 0, N, step, out);
}

static void splits_change_nothing(const char *recipe, const char *kernels, enum tdm_cache_type cache_type,
                                  float *expected, float *got) {
	static const int steps[] = {0, N, 5, 1}; // a sanitizer takes the first two
	struct tdm_engine *e = open_with(recipe, kernels, 1, cache_type);
	size_t bytes = (size_t)(N * tdm_engine_info(e)->n_vocab) * sizeof *got;
	assert_true(tdm_engine_info(e)->n_vocab <= MOST_VOCAB);
	run(e, steps[0], expected);
	for (size_t i = 1; i < (TDM_SANITIZED ? 2 : sizeof steps / sizeof *steps); i++) {
		run(e, steps[i], got);
		if (memcmp(got, expected, bytes) != 0)
			fail_msg("%s, %s: pieces of %d tokens differ", recipe, kernels, steps[i]);
	}
	tdm_engine_close(e);
}

static void threads_change_nothing(const char *recipe, float *expected, float *got) {
	struct tdm_engine *e = open_model(recipe, NULL, 1);
	size_t bytes = (size_t)(N * tdm_engine_info(e)->n_vocab) * sizeof *got;
	run(e, 100, expected);
	tdm_engine_close(e);
	e = open_model(recipe, NULL, 2);
	run(e, 100, got);
	assert_memory_equal(got, expected, bytes);
	tdm_engine_close(e);
}

// A sanitizer looks at accesses, not at numbers: there each recipe meets one set of kernels, in turn, and where only
// races are looked for, one recipe alone is split in one thread, and each third one between two.
static void every_split(void **state) {
	static const uint32_t types[] = {TDM_F32, TDM_F16, TDM_Q8_0};
	const struct tdm_kernels *kernels;
	const char *recipe;
	bool runs;
	float *expected = malloc(sizeof *expected * N * MOST_VOCAB), *got = malloc(sizeof *got * N * MOST_VOCAB);
	for (size_t i = 0; (recipe = tdm_family_model_at(i)) && !is_deep(recipe); i++) {
		if (!is_decoder(recipe))
			continue;
		write_model(recipe, types[i % 3]);
		for (size_t k = 0; (kernels = tdm_kernels_at(k, &runs)); k++)
			if (runs && (!TDM_SANITIZED || k == i % 3) && (!TDM_RACES || i == 0))
				splits_change_nothing(recipe, kernels->name, i % 2 ? TDM_CACHE_Q8_0 : TDM_CACHE_AUTO, expected, got);
		if (!TDM_RACES || i % 3 == 0)
			threads_change_nothing(recipe, expected, got);
		unlink(path_of(recipe));
	}
	free(got);
	free(expected);
}

// The sets of kernels compute the same numbers, but for the last bits of products and sums.
static void kernels_agree(void **state) {
	const struct tdm_kernels *kernels;
	const char *recipe;
	const int n = TDM_SANITIZED ? 90 : N;
	bool runs;
	float *expected = malloc(sizeof *expected * N * MOST_VOCAB), *got = malloc(sizeof *got * N * MOST_VOCAB);
	for (size_t i = 0; (recipe = tdm_family_model_at(i)) && !is_deep(recipe) && (!TDM_RACES || i == 0); i++) {
		if (!is_decoder(recipe))
			continue;
		write_model(recipe, TDM_F32);
		for (size_t k = 0; (kernels = tdm_kernels_at(k, &runs)); k++) {
			if (!runs)
				continue;
			struct tdm_engine *e = open_model(recipe, kernels->name, 1);
			run_with(e, 0, n, 64, got);
			for (int j = 0; j < n * tdm_engine_info(e)->n_vocab && k; j++)
				if (!(fabsf(got[j] - expected[j]) < 1e-2f))
					fail_msg("%s, %s: logit %d is %g instead of %g", recipe, kernels->name, j, got[j], expected[j]);
			memcpy(expected, got, sizeof *got * (size_t)(n * tdm_engine_info(e)->n_vocab));
			tdm_engine_close(e);
		}
		unlink(path_of(recipe));
	}
	free(got);
	free(expected);
}

// Two layers with a window of 30 tokens, as Mistral has them: what a token says reaches the 58 after it, and no other.
static void windows_end(void **state) {
	float *with = malloc(sizeof *with * N * MOST_VOCAB), *without = malloc(sizeof *without * N * MOST_VOCAB);
	const struct tdm_kernels *kernels;
	bool runs;
	write_model("llama-window", TDM_F32);
	for (size_t k = 0; (kernels = tdm_kernels_at(k, &runs)); k++) {
		if (!runs)
			continue;
		struct tdm_engine *e = open_with("llama-window", kernels->name, 1, k % 2 ? TDM_CACHE_Q8_0 : TDM_CACHE_AUTO);
		size_t n_vocab = (size_t)tdm_engine_info(e)->n_vocab;
		run_with(e, 1, N, 7, with);
		run_with(e, 2, N, 7, without);
		for (size_t i = 0; i < N; i++)
			assert_int_equal(memcmp(with + i * n_vocab, without + i * n_vocab, n_vocab * sizeof *with) != 0, i < 59);
		tdm_engine_close(e);
	}
	unlink(path_of("llama-window"));
	free(without);
	free(with);
}

// Classes by dense and head, and a rank by a head alone: near on every set of kernels, and the text's that was asked
// about; who has none says so.
static void check_classes(const char *recipe, const char *kernels, float out[3]) {
	struct tdm_engine *e = open_model(recipe, kernels, 1);
	const struct tdm_classes *said = tdm_engine_classes(e);
	float again[3] = {0}, other[3] = {0}, vector[64];
	int32_t tokens[40];
	for (int i = 0; i < 40; i++)
		tokens[i] = (i * 31 + i / 7) % 300;
	assert_int_equal(tdm_engine_classify(e, tokens, 40, NULL, out, NULL), TDM_OK);
	assert_int_equal(tdm_engine_classify(e, tokens, 39, NULL, other, NULL), TDM_OK);
	assert_int_equal(tdm_engine_encode(e, tokens, 40, NULL, vector, NULL), TDM_OK);
	assert_int_equal(tdm_engine_classify(e, tokens, 40, NULL, again, NULL), TDM_OK);
	assert_memory_equal(out, again, (size_t)said->n * sizeof *out);
	assert_memory_not_equal(out, other, (size_t)said->n * sizeof *out);
	assert_int_equal(tdm_engine_classify(e, tokens, 0, NULL, again, NULL), TDM_EVALUE);
	if (said->n == 3)
		assert_string_equal(said->labels[2], "poor");
	else
		assert_true(said->n == 1 && !said->labels && said->are_all);
	tdm_engine_close(e);
}

static void classes(void **state) {
	static const char *const recipes[] = {"bert-classes", "bert-rank"};
	const struct tdm_kernels *kernels;
	struct tdm_error err = {0};
	float out[3] = {0};
	bool runs;
	for (size_t i = 0; i < 2; i++) {
		float first[3] = {0};
		write_model(recipes[i], TDM_F32);
		check_classes(recipes[i], "portable", first);
		for (size_t k = 0; (kernels = tdm_kernels_at(k, &runs)); k++) {
			if (runs)
				check_classes(recipes[i], kernels->name, out);
			for (int j = 0; j < 3 && runs && (j == 0 || i == 0); j++)
				assert_true(fabsf(first[j] - out[j]) < 1e-3f);
		}
		unlink(path_of(recipes[i]));
	}
	write_model("bert", TDM_F32);
	struct tdm_engine *e = open_model("bert", NULL, 1);
	assert_int_equal(tdm_engine_classify(e, (const int32_t[]){1, 2, 3}, 3, NULL, out, &err), TDM_ECONFIG);
	assert_non_null(strstr(err.text, "cls.output.weight"));
	tdm_engine_close(e);
	unlink(path_of("bert"));
}

// A text's vector: the same bits beside others, near on every set of kernels; and what encoders cannot do is said.
static void encoders(void **state) {
	static const char *const recipes[] = {"bert", "bert-first", "nomic-bert"};
	const struct tdm_kernels *kernels;
	bool runs;
	int32_t tokens[N];
	for (int i = 0; i < N; i++)
		tokens[i] = (i * 31 + i / 7) % 300;
	for (size_t i = 0; i < 3; i++) {
		float first[64] = {0}, again[64], shorter[64];
		write_model(recipes[i], TDM_F32);
		for (size_t k = 0; (kernels = tdm_kernels_at(k, &runs)); k++) {
			if (!runs)
				continue;
			struct tdm_engine *e = open_model(recipes[i], kernels->name, 1 + (int)k % 2);
			struct tdm_error err = {0};
			struct tdm_seq *s = NULL;
			atomic_bool cancelled = true;
			assert_int_equal(tdm_engine_encode(e, tokens, N, NULL, again, &err), TDM_OK);
			assert_int_equal(tdm_engine_encode(e, tokens, 17, NULL, shorter, &err), TDM_OK);
			for (int j = 0; j < 64 && k; j++)
				assert_true(fabsf(first[j] - again[j]) < 1e-3f);
			assert_int_equal(tdm_engine_encode(e, tokens, N, NULL, first, &err), TDM_OK);
			assert_memory_equal(first, again, sizeof first);
			assert_memory_not_equal(first, shorter, sizeof first);
			assert_int_equal(tdm_engine_encode(e, tokens, N, &cancelled, again, NULL), TDM_EGONE);
			assert_int_equal(tdm_engine_encode(e, tokens, 513, NULL, again, NULL), TDM_ECONTEXT);
			assert_int_equal(tdm_engine_encode(e, tokens, 0, NULL, again, NULL), TDM_EVALUE);
			assert_int_equal(tdm_engine_encode(e, (int32_t[]){-1}, 1, NULL, again, NULL), TDM_EVALUE);
			err = (struct tdm_error){0};
			assert_int_equal(tdm_seq_open(e, &s, &err), TDM_ECONFIG);
			assert_non_null(strstr(err.text, "is an encoder"));
			tdm_engine_close(e);
		}
		unlink(path_of(recipes[i]));
	}
	write_model("qwen3", TDM_F32);
	struct tdm_engine *e = open_model("qwen3", NULL, 1);
	float out[64];
	assert_int_equal(tdm_engine_encode(e, tokens, 3, NULL, out, NULL), TDM_ECONFIG);
	tdm_engine_close(e);
	unlink(path_of("qwen3"));
}

static const struct {
	const char *text;
	int n;
	int32_t tokens[8];
} words[] = {
    {"the sea", 2, {192, 193}},
    {"The SE\xC3\x81", 2, {192, 193}},            // capitals and accents go
    {"unknown \xE6\x97\xA5", 3, {196, 197, 200}}, // an ideograph of the vocabulary
    {"\xE6\x9C\xAC!", 2, {1, 4}},                 // and one that is not
    {"[CLS]", 5, {120, 136, 155, 169, 124}},      // text is text
    {"  \t\n", 0, {0}},
    {"\xFF", 0, {0}},
};

static void wordpiece(void **state) {
	write_model("bert-words", TDM_F32);
	struct tdm_engine *e = open_model("bert-words", NULL, 1);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		int32_t tokens[8];
		int n = tdm_tokenize(tdm_engine_vocab(e), words[i].text, strlen(words[i].text), tokens, 8);
		assert_int_equal(n, words[i].n);
		assert_memory_equal(tokens, words[i].tokens, (size_t)n * sizeof *tokens);
	}
	assert_int_equal(tdm_token_bos(tdm_engine_vocab(e)), 2);
	assert_int_equal(tdm_token_eos(tdm_engine_vocab(e)), 3);
	tdm_engine_close(e);
	unlink(path_of("bert-words"));
}

// --- files that do not fit their family: a name in the file is changed by its first letter

static const struct {
	const char *recipe, *find, *sentence;
} misfits[] = {
    {"qwen2", "qwen2", "architecture \"Xwen2\" is not supported; supported are llama, qwen2"},
    {"qwen2", "blk.1.attn_k.bias", "tensor blk.1.attn_k.bias is missing"},
    {"llama-biases", "blk.1.attn_k.bias", "tensor Xlk.1.attn_k.bias has no place in a llama model of 2 layers"},
    {"qwen3", "blk.2.attn_q_norm.weight", "tensor blk.2.attn_q_norm.weight is missing"},
    {"llama-yarn", "yarn", "llama.rope.scaling.type is \"Xarn\"; supported are none, linear, yarn and longrope"},
    {"bert", "blk.1.attn_output_norm.bias", "tensor blk.1.attn_output_norm.bias is missing"},
    {"bert", "position_embd.weight", "tensor position_embd.weight is missing"},
    {"bert-rank", "cls.output.weight", "a classifier (pooling_type 4) without tensor cls.output.weight"},
    {"bert-classes", "bert.classifier.output_labels",
     "tensor cls.output.weight is 64 x 3; the metadata asks for 64 x 1"},
    {"llama-3", "rope_freqs.weight", "tensor Xope_freqs.weight has no place"},
};

static void misfits_are_refused(void **state) {
	for (size_t i = 0; i < sizeof misfits / sizeof *misfits; i++) {
		struct tdm_bytes b = {0};
		struct tdm_engine *e = NULL;
		struct tdm_error err = {0};
		size_t n = strlen(misfits[i].find), at = 8;
		write_model(misfits[i].recipe, TDM_F32);
		assert_int_equal(tdm_file_read(path_of(misfits[i].recipe), 1 << 24, &b, &err), TDM_OK);
		unlink(path_of(misfits[i].recipe));
		for (uint64_t len = 0; at + n <= b.len; at++) {
			memcpy(&len, b.data + at - 8, sizeof len);
			if (len == n && memcmp(b.data + at, misfits[i].find, n) == 0)
				break;
		}
		assert_true(at + n <= b.len);
		b.data[at] = 'X';
		assert_int_equal(tdm_engine_memory("file", b.data, b.len, NULL, &e, &err), TDM_EFORMAT);
		if (!strstr(err.text, misfits[i].sentence))
			fail_msg("\"%s\" lacks \"%s\"", err.text, misfits[i].sentence);
		tdm_bytes_release(&b);
	}
}

int tdm_test_families(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_split),
	    cmocka_unit_test(kernels_agree),
	    cmocka_unit_test(windows_end),
	    cmocka_unit_test(encoders),
	    cmocka_unit_test(classes),
	    cmocka_unit_test(wordpiece),
	    cmocka_unit_test(misfits_are_refused),
	};
	return cmocka_run_group_tests_name("families", tests, NULL, NULL);
}
