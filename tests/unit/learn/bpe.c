// Vocabulary training: against a plain trainer that counts everything again before every merge; and the file it makes
// tokenizes its own text as it was counted.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/vocab.h"
#include "learn/bpe_train.h"
#include "tests.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct tdm_vocab *read_back(const struct tdm_bpe_trainer *t) {
	char path[] = "/tmp/tandem-bpe-XXXXXX";
	int file = mkstemp(path);
	assert_true(file >= 0);
	close(file);
	struct tdm_error err = {0};
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	struct tdm_gguf *g = NULL;
	struct tdm_vocab *v = NULL;
	tdm_gguf_put_text(w, "general.architecture", "llama");
	int status = tdm_bpe_trainer_put(t, w, &err);
	status = status ? status : tdm_gguf_write(w, path, &err);
	status = status ? status : tdm_gguf_open(path, &g, &err);
	status = status ? status : tdm_vocab_read(g, &v, &err);
	if (status)
		fail_msg("%s", err.text);
	tdm_gguf_close(g);
	tdm_gguf_writer_free(w);
	unlink(path);
	return v;
}

static struct tdm_bpe_trainer *train(const struct tdm_bpe_options *o, const char *const *texts, size_t n) {
	struct tdm_bpe_trainer *t;
	struct tdm_error err = {0};
	assert_int_equal(tdm_bpe_trainer_new(o, &t, &err), TDM_OK);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(tdm_bpe_trainer_add(t, texts[i], strlen(texts[i]), &err), TDM_OK);
	assert_int_equal(tdm_bpe_trainer_run(t, &err), TDM_OK);
	return t;
}

static void expect_piece(const struct tdm_vocab *v, int32_t token, const char *text) {
	const char *piece;
	size_t len = tdm_token_piece(v, token, &piece);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(piece, text, len);
}

static void merges_by_frequency(void **state) {
	static const char *const texts[] = {"low low low low low", "lower lower",
	                                    "newest newest newest newest newest newest", "widest widest widest"};
	struct tdm_bpe_options o = {.size = 256 + 3 + 4, .max_piece_bytes = 16, .min_frequency = 2, .presplit = "smollm"};
	struct tdm_bpe_trainer *t = train(&o, texts, 4);
	struct tdm_vocab *v = read_back(t);
	// (e,s) and (s,t) are seen 9 times, (w,e) 8, (l,o) and (o,w) 7; of two equal counts the older tokens go first
	expect_piece(v, 256, "es");
	expect_piece(v, 257, "est");
	expect_piece(v, 258, "lo");
	expect_piece(v, 259, "low");
	assert_int_equal(tdm_vocab_size(v), 263);
	assert_int_equal(tdm_token_special(v, "<|endoftext|>"), 260);
	assert_int_equal(tdm_token_special(v, "<|im_start|>"), 261);
	assert_int_equal(tdm_token_special(v, "<|im_end|>"), 262);
	assert_int_equal(tdm_token_eos(v), 260);
	assert_int_equal(tdm_token_bos(v), -1);
	assert_true(tdm_token_is_end(v, 262));
	tdm_vocab_free(v);
	tdm_bpe_trainer_free(t);
}

static void limits_hold(void **state) {
	static const char *const texts[] = {"abcdefgh abcdefgh abcdefgh 1234 1234 zz"};
	struct tdm_bpe_options o = {.size = 1000, .max_piece_bytes = 3, .min_frequency = 2, .presplit = "smollm"};
	struct tdm_bpe_trainer *t = train(&o, texts, 1);
	struct tdm_bpe_figures f;
	tdm_bpe_trainer_figures(t, &f);
	assert_true(f.size < 1000 && f.n_merges > 3 && f.last_frequency >= 2);
	struct tdm_vocab *v = read_back(t);
	for (int32_t i = 256; i < tdm_vocab_size(v); i++) {
		const char *piece;
		size_t len = tdm_token_piece(v, i, &piece);
		assert_true(len <= 3);
		assert_false(len && (memchr(piece, '1', len) || memchr(piece, 'z', len)));
	}
	tdm_vocab_free(v);
	tdm_bpe_trainer_free(t);
	o.size = 258;
	struct tdm_error err = {0};
	assert_int_equal(tdm_bpe_trainer_new(&o, &t, &err), TDM_EVALUE);
	o.size = 300;
	o.presplit = "nothing";
	err = (struct tdm_error){0};
	assert_int_equal(tdm_bpe_trainer_new(&o, &t, &err), TDM_EFORMAT);
}

static void random_codes_teach_nothing(void **state) {
	static const char *const texts[] = {"PERSON PERSON PERSON PERSON PERSON QX-QX-QX the the the the the the the"};
	struct tdm_bpe_options o = {.size = 300, .max_piece_bytes = 16, .min_frequency = 2, .presplit = "smollm"};
	for (int k = 0; k < 2; k++) {
		o.min_code_share = k ? 0.2 : 0; // of 20 pieces: QX is seen 3 times, " PERSON" 4 times
		struct tdm_bpe_trainer *t = train(&o, texts, 1);
		struct tdm_vocab *v = read_back(t);
		assert_int_equal(tdm_tokenize(v, "QX", 2, NULL, 0), k ? 2 : 1);
		assert_int_equal(tdm_tokenize(v, " PERSON", 7, NULL, 0), 1);
		tdm_vocab_free(v);
		tdm_bpe_trainer_free(t);
	}
}

// --- a plain trainer over words of the letters a to d, each word written once per line
#define WORDS 40
#define LENGTH 12
struct plain {
	int tokens[WORDS][LENGTH], n[WORDS];
	char text[300][LENGTH + 1];
	int n_tokens;
};

static int count_pair(const struct plain *p, int left, int right) {
	int count = 0;
	for (int w = 0; w < WORDS; w++)
		for (int i = 1; i < p->n[w]; i++)
			count += p->tokens[w][i - 1] == left && p->tokens[w][i] == right;
	return count;
}

static bool plain_step(struct plain *p) {
	int best = 1, left = -1, right = -1;
	for (int a = 0; a < p->n_tokens; a++)
		for (int b = 0; b < p->n_tokens; b++) {
			int count = strlen(p->text[a]) + strlen(p->text[b]) <= LENGTH ? count_pair(p, a, b) : 0;
			if (count > best) {
				best = count;
				left = a;
				right = b;
			}
		}
	if (left < 0)
		return false;
	char text[2 * LENGTH + 2];
	snprintf(text, sizeof text, "%s%s", p->text[left], p->text[right]);
	int token = 0;
	while (token < p->n_tokens && strcmp(p->text[token], text))
		token++;
	if (token == p->n_tokens)
		memcpy(p->text[p->n_tokens++], text, LENGTH + 1);
	for (int w = 0; w < WORDS; w++)
		for (int i = 1; i < p->n[w]; i++)
			if (p->tokens[w][i - 1] == left && p->tokens[w][i] == right) {
				p->tokens[w][i - 1] = token;
				memmove(&p->tokens[w][i], &p->tokens[w][i + 1], (size_t)(--p->n[w] - i) * sizeof(int));
			}
	return true;
}

static void agrees_with_plain(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 5);
	for (int round = 0; round < 20; round++) {
		struct plain p = {.n_tokens = 4};
		char words[WORDS][LENGTH + 1] = {{0}};
		const char *texts[WORDS];
		for (int c = 0; c < 4; c++)
			p.text[c][0] = (char)('a' + c);
		for (int w = 0; w < WORDS; w++) {
			p.n[w] = 1 + (int)tdm_rng_below(&rng, LENGTH);
			for (int i = 0; i < p.n[w]; i++) {
				p.tokens[w][i] = (int)tdm_rng_below(&rng, 4);
				words[w][i] = (char)('a' + p.tokens[w][i]);
			}
			texts[w] = words[w];
		}
		while (p.n_tokens < 44 && plain_step(&p))
			;
		struct tdm_bpe_options o = {
		    .size = 256 + 3 + p.n_tokens - 4, .max_piece_bytes = LENGTH, .min_frequency = 2, .presplit = "smollm"};
		struct tdm_bpe_trainer *t = train(&o, texts, WORDS);
		struct tdm_vocab *v = read_back(t);
		assert_int_equal(tdm_vocab_size(v), o.size);
		for (int i = 4; i < p.n_tokens; i++)
			expect_piece(v, 256 + i - 4, p.text[i]);
		struct tdm_bpe_figures f;
		tdm_bpe_trainer_figures(t, &f);
		uint64_t tokens = 0;
		for (int w = 0; w < WORDS; w++)
			tokens += (uint64_t)tdm_tokenize(v, texts[w], strlen(texts[w]), NULL, 0);
		assert_int_equal(tokens, f.tokens);
		tdm_vocab_free(v);
		tdm_bpe_trainer_free(t);
	}
}

int tdm_test_bpe(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(merges_by_frequency),
	    cmocka_unit_test(limits_hold),
	    cmocka_unit_test(random_codes_teach_nothing),
	    cmocka_unit_test(agrees_with_plain),
	};
	return cmocka_run_group_tests_name("learn: vocabulary training", tests, NULL, NULL);
}
