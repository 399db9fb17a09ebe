// Vocabulary: both families on small vocabularies whose tokens can be worked out by hand, merging against a plain
// implementation, and what a file may get wrong.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/presplit.h"
#include "small_vocab.h"
#include "tests.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <sys/mman.h>

static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "Ġ w", "Ġw o", "1 2", "12 3",
                                     "a b", "b c", "ab c",  "a bc",   "Ġ Ġ", "' s",  "i n", NULL};
static const char *const marks[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>", NULL};
static const struct small_vocab bpe = {.family = "gpt2",
                                       .pre = "gpt-2",
                                       .merges = merges,
                                       .special = marks,
                                       .begins = "<|endoftext|>",
                                       .ends = "<|endoftext|>"};

// Tokens of text with '|' between them.
static void expect_tokens(const struct small_vocab *s, const char *text, const char *expected) {
	struct tdm_vocab *v = NULL;
	struct tdm_error err = {0};
	int32_t tokens[256];
	struct tdm_bytes shown;
	tdm_bytes_init(&shown, 4096);
	if (small_vocab_read(s, &v, &err))
		fail_msg("%s", err.text);
	int n = tdm_tokenize(v, text, strlen(text), tokens, 256);
	assert_true(n >= 0);
	small_vocab_show(v, s, tokens, n, "|", &shown);
	assert_string_equal(shown.data ? shown.data : "", expected);
	assert_int_equal(tdm_tokenize(v, text, strlen(text), NULL, 0), n);
	tdm_bytes_release(&shown);
	tdm_vocab_free(v);
}

static void bpe_merges_by_rank(void **state) {
	expect_tokens(&bpe, "", "");
	expect_tokens(&bpe, "hello", "hello");
	expect_tokens(&bpe, "hello world", "hello| wo|r|l|d");
	expect_tokens(&bpe, "hell", "hell");
	expect_tokens(&bpe, "abc", "abc");    // "a b" is older than "b c"
	expect_tokens(&bpe, "aabc", "a|abc"); // and the leftmost comes first among equals
	expect_tokens(&bpe, "lll", "ll|l");
	expect_tokens(&bpe, "it's in", "i|t|'s| |in");
	expect_tokens(&bpe, "\xC3\xA9", "\xC3|\xA9");
}

static void presplit_limits_merges(void **state) {
	struct small_vocab s = bpe;
	expect_tokens(&s, "x123", "x|123");
	s.pre = "smollm"; // every digit its own piece
	expect_tokens(&s, "x123 12", "x|1|2|3| |1|2");
	s.pre = "llama-bpe"; // digits by three
	expect_tokens(&s, "12312", "123|12");
	s.pre = "qwen2";
	expect_tokens(&s, "12312", "1|2|3|1|2");
}

static void whole_pieces_where_the_family_takes_them(void **state) {
	static const char *const extra[] = {"world", NULL};
	struct small_vocab s = bpe;
	s.extra = extra;
	expect_tokens(&s, "world", "w|o|r|l|d"); // no merge leads there
	s.pre = "llama-bpe";
	s.add_bos = -1;
	expect_tokens(&s, "world", "world");
}

struct splitting {
	char text[512];
	size_t n;
};

static int collect(void *arg, const char *piece, size_t n) {
	struct splitting *s = arg;
	s->text[s->n++] = '[';
	memcpy(s->text + s->n, piece, n);
	s->n += n;
	s->text[s->n++] = ']';
	s->text[s->n] = 0;
	return TDM_OK;
}

// The expectations were compared with llama.cpp (through node-llama-cpp 3.22.1) on vocabularies of the same pattern.
static void presplit_patterns(void **state) {
	static const struct {
		const char *name, *text, *pieces;
	} cases[] = {
	    {"gpt-2", "I'm 12 years  old!\n\n x", "[I]['m][ 12][ years][ ][ old][!][\n\n][ x]"},
	    {"gpt-2", "a   b  ", "[a][  ][ b][  ]"},
	    {"gpt-2", "caf\u00E9 \u4F60\u597D\u00BD", "[caf\u00E9][ \u4F60\u597D][\u00BD]"},
	    {"gpt-2", "a\u180E b", "[a][\u180E][ b]"}, // U+180E is no white space
	    {"gpt-2", "DON'T don't", "[DON]['][T][ don]['t]"},
	    {"smollm", "a 12.5", "[a][ ][1][2][.][5]"},
	    {"smollm", "x  7", "[x][  ][7]"},
	    {"llama-bpe", "DON'T 12345\r\n\r\n  x", "[DON]['T][ ][123][45][\r\n\r\n][ ][ x]"},
	    {"llama-bpe", "(hello) a.b\n", "[(hello][)][ a][.b][\n]"},
	    {"qwen2", "a=12;\n\ty", "[a][=][1][2][;\n][\ty]"},
	    {"default", "$12345 a<b", "[$][123][45][ a][<][b]"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tdm_presplit *p;
		struct tdm_error err = {0};
		struct splitting got = {.n = 0};
		assert_int_equal(tdm_presplit_new(cases[i].name, strlen(cases[i].name), &p, &err), TDM_OK);
		assert_int_equal(tdm_presplit_run(p, cases[i].text, strlen(cases[i].text), collect, &got), TDM_OK);
		assert_string_equal(got.text, cases[i].pieces);
		tdm_presplit_free(p);
	}
}

static void bytes_that_are_not_utf8_survive(void **state) {
	static const char text[] = "a\xFF\xFE hello \xE4\xBD";
	struct tdm_vocab *v;
	struct tdm_bytes back;
	int32_t tokens[64];
	tdm_bytes_init(&back, 256);
	assert_int_equal(small_vocab_read(&bpe, &v, NULL), TDM_OK);
	int n = tdm_tokenize(v, text, sizeof text - 1, tokens, 64);
	assert_int_equal(tdm_detokenize(v, tokens, n, &back), TDM_OK);
	assert_int_equal(back.len, sizeof text - 1);
	assert_memory_equal(back.data, text, sizeof text - 1);
	tdm_bytes_release(&back);
	tdm_vocab_free(v);
}

// What every merge order must agree with: join the pair of least rank, leftmost first, until none is left.
static size_t plain_merge(char piece[][16], size_t n) {
	for (;;) {
		size_t best = SIZE_MAX, at = 0;
		for (size_t i = 0; i + 1 < n; i++)
			for (size_t r = 0; merges[r] && r < best; r++) {
				char pair[40];
				snprintf(pair, sizeof pair, "%.15s %.15s", piece[i], piece[i + 1]);
				if (!strcmp(pair, merges[r])) {
					best = r;
					at = i;
				}
			}
		if (best == SIZE_MAX)
			return n;
		char joined[40];
		snprintf(joined, sizeof joined, "%.15s%.15s", piece[at], piece[at + 1]);
		memcpy(piece[at], joined, sizeof *piece);
		memmove(piece[at + 1], piece[at + 2], (n - at - 2) * sizeof *piece);
		n--;
	}
}

static void heap_agrees_with_plain_merging(void **state) {
	struct tdm_rng rng;
	struct tdm_vocab *v;
	tdm_rng_init(&rng, 7);
	assert_int_equal(small_vocab_read(&bpe, &v, NULL), TDM_OK);
	for (int round = 0; round < 3000; round++) {
		static const char letters[] = "abchelo";
		char text[32], piece[32][16];
		size_t n = 1 + tdm_rng_below(&rng, 30);
		for (size_t i = 0; i < n; i++) {
			text[i] = letters[tdm_rng_below(&rng, 7)];
			snprintf(piece[i], sizeof piece[i], "%c", text[i]);
		}
		size_t expected = plain_merge(piece, n);
		int32_t tokens[32];
		assert_int_equal(tdm_tokenize(v, text, n, tokens, 32), expected);
		for (size_t i = 0; i < expected; i++) {
			const char *bytes;
			size_t len = tdm_token_piece(v, tokens[i], &bytes);
			assert_int_equal(len, strlen(piece[i]));
			assert_memory_equal(bytes, piece[i], len);
		}
	}
	tdm_vocab_free(v);
}

static const char *const pieces[] = {"\u2581",     "e",         "h",           "l",   "o",  "w",  "r",
                                     "d",          "\u2581h",   "\u2581w",     "ell", "el", "ll", "or",
                                     "\u2581hell", "\u2581wor", "\u2581hello", "lo",  NULL};
static const struct small_vocab spm = {.family = "llama", .extra = pieces, .begins = "<s>", .ends = "</s>"};

static void spm_merges_by_score(void **state) {
	expect_tokens(&spm, "", "");
	expect_tokens(&spm, "hello", " hello"); // " h" joins first, then "el", "ell" and " hell", before "lo" could
	expect_tokens(&spm, "world", " wor|l|d");
	expect_tokens(&spm, "hello  w", " hello| | w");
	expect_tokens(&spm, "x", " |x"); // no token: a byte
	expect_tokens(&spm, "\u20AC", " |\xE2|\x82|\xAC");
	expect_tokens(&spm, "\u2581h", " | h"); // U+2581 is a space, as for the family's own tokenizer
	struct small_vocab s = spm;
	s.add_space_prefix = -1;
	expect_tokens(&s, "hello", "h|ell|o");
	expect_tokens(&s, "", "");
}

static void text_never_becomes_special(void **state) {
	expect_tokens(&bpe, "<|im_end|>", "<|||i|m|_|e|n|d|||>");
	expect_tokens(&spm, "</s><s>", " |<|/|s|>|<|s|>");
	static const char *const added[] = {"<|tool|>", "[INST]", "  ", "<h1>", NULL};
	struct small_vocab s = bpe;
	s.extra = added;
	s.extra_type = 4; // user-defined: markers are special all the same, other text is taken whole
	expect_tokens(&s, "<|tool|>", "<|||t|o|o|l|||>");
	expect_tokens(&s, "[INST]", "[|I|N|S|T|]");
	expect_tokens(&s, "a   b<h1>c", "a|  | |b|<h1>|c"); // the merge of two spaces never comes to pass
}

static void ends_and_begins(void **state) {
	struct tdm_vocab *v;
	assert_int_equal(small_vocab_read(&bpe, &v, NULL), TDM_OK);
	int32_t end = tdm_token_special(v, "<|im_end|>"), start = tdm_token_special(v, "<|im_start|>");
	assert_int_equal(end, tdm_vocab_size(v) - 1);
	assert_true(tdm_token_is_end(v, end));
	assert_true(tdm_token_is_end(v, tdm_token_eos(v)));
	assert_false(tdm_token_is_end(v, start));
	assert_false(tdm_token_is_end(v, 'a'));
	assert_true(tdm_token_is_special(v, start));
	assert_int_equal(tdm_token_special(v, "hello"), -1);
	assert_int_equal(tdm_token_bos(v), -1); // gpt2 adds none unless the file says so
	assert_false(tdm_token_is_special(v, -1));
	assert_false(tdm_token_is_end(v, 1 << 20));
	const char *piece;
	assert_int_equal(tdm_token_piece(v, end, &piece), 0);
	assert_int_equal(tdm_token_piece(v, 1 << 20, &piece), 0);
	tdm_vocab_free(v);
	struct small_vocab s = bpe;
	s.add_bos = 1;
	assert_int_equal(small_vocab_read(&s, &v, NULL), TDM_OK);
	assert_int_equal(tdm_token_bos(v), tdm_token_special(v, "<|endoftext|>"));
	tdm_vocab_free(v);
	assert_int_equal(small_vocab_read(&spm, &v, NULL), TDM_OK);
	assert_int_equal(tdm_token_bos(v), 1);
	tdm_vocab_free(v);
}

static void id_tells_vocabularies_apart(void **state) {
	struct tdm_vocab *a, *b, *c;
	struct small_vocab other = bpe;
	static const char *const swapped[] = {"<|im_start|>", "<|endoftext|>", "<|im_end|>", NULL};
	other.special = swapped;
	assert_int_equal(small_vocab_read(&bpe, &a, NULL), TDM_OK);
	assert_int_equal(small_vocab_read(&bpe, &b, NULL), TDM_OK);
	assert_int_equal(small_vocab_read(&other, &c, NULL), TDM_OK);
	assert_true(tdm_vocab_id(a) == tdm_vocab_id(b));
	assert_true(tdm_vocab_id(a) != tdm_vocab_id(c));
	tdm_vocab_free(a);
	tdm_vocab_free(b);
	tdm_vocab_free(c);
}

static void expect_refused(const struct small_vocab *s, const char *part) {
	struct tdm_vocab *v = NULL;
	struct tdm_error err = {0};
	assert_int_equal(small_vocab_read(s, &v, &err), TDM_EFORMAT);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void bad_files_are_refused(void **state) {
	struct small_vocab s = bpe;
	s.pre = "no-such";
	expect_refused(&s, "unknown pre-split \"no-such\"; known are default, gpt-2");
	s = bpe;
	s.family = "unigram";
	expect_refused(&s, "tokenizer.ggml.model is \"unigram\"; known are gpt2");
	static const char *const to_special[] = {"a b", "<|im_ end|>", NULL};
	s = bpe;
	s.merges = to_special; // the merged token exists twice: as the merge's own and as a special one
	s.special = NULL;
	expect_refused(&s, "tokenizer.ggml.merges[1] (\"<|im_ end|>\") does not join");
	s = bpe;
	s.extra = marks;
	s.extra_type = 9;
	s.special = NULL;
	s.begins = s.ends = NULL;
	expect_refused(&s, "is 9; expected 1 to 6");
}

// Files that only a writer of its own can make.
static void refuse_keys(const char *key, const int32_t *ids, size_t n_types, const char *part) {
	static const char *const tokens[] = {"a", "b"};
	static const size_t lens[] = {1, 1};
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	struct tdm_vocab *v = NULL;
	struct tdm_error err = {0};
	static const float scores[] = {0, 0};
	tdm_gguf_put_text(w, "tokenizer.ggml.model", "llama");
	tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, lens, 2);
	tdm_gguf_put_f32s(w, "tokenizer.ggml.scores", scores, 2);
	if (n_types)
		tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", ids, n_types);
	else
		tdm_gguf_put_u32(w, key, (uint32_t)ids[0]);
	assert_int_equal(small_vocab_from(w, &v, &err), TDM_EFORMAT);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" does not say \"%s\"", err.text, part);
	tdm_gguf_writer_free(w);
}

static void lengths_and_ids_are_checked(void **state) {
	static const int32_t ids[] = {1, 1, 1}, two = 2;
	refuse_keys(NULL, ids, 3, "tokenizer.ggml.token_type has 3 entries for 2 tokens");
	refuse_keys("tokenizer.ggml.eos_token_id", &two, 0,
	            "tokenizer.ggml.eos_token_id is 2; the vocabulary has 2 tokens");
}

// Texts whose tokens could not be counted in 32 bits are refused before anything is read of them.
static void S42_a_text_of_two_gigabytes_is_refused(void **state) {
	size_t n = (size_t)INT32_MAX + 2;
	char *text = mmap(NULL, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(text, MAP_FAILED);
	static const struct small_vocab sentences = {.family = "llama"};
	const struct small_vocab *const kinds[] = {&bpe, &sentences};
	for (int i = 0; i < 2; i++) {
		struct tdm_vocab *v = NULL;
		assert_int_equal(small_vocab_read(kinds[i], &v, NULL), TDM_OK);
		assert_int_equal(tdm_tokenize(v, text, n, NULL, 0), TDM_ETOOLARGE);
		assert_int_equal(tdm_tokenize(v, text, (size_t)1 << 40, NULL, 0), TDM_ETOOLARGE);
		tdm_vocab_free(v);
	}
	munmap(text, n);
}

static void refuse_merge(const char *merge) {
	char texts[256][5];
	const char *tokens[256];
	size_t lens[256], merge_len = strlen(merge);
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	struct tdm_vocab *v = NULL;
	struct tdm_error err = {0};
	for (int b = 0; b < 256; b++) {
		lens[b] = tdm_byte_char((unsigned char)b, texts[b]);
		tokens[b] = texts[b];
	}
	tdm_gguf_put_text(w, "tokenizer.ggml.model", "gpt2");
	tdm_gguf_put_text(w, "tokenizer.ggml.pre", "gpt-2");
	tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, lens, 256);
	tdm_gguf_put_strings(w, "tokenizer.ggml.merges", &merge, &merge_len, 1);
	assert_int_equal(small_vocab_from(w, &v, &err), TDM_EFORMAT);
	if (!strstr(err.text, "tokenizer.ggml.merges[0]"))
		fail_msg("%s: %s", merge, err.text);
	tdm_gguf_writer_free(w);
}

// One token whose text is much longer than any buffer, merges that are none, scores that are no numbers.
static void S55_garbage_in_the_lists_is_refused(void **state) {
	static const char *const garbage[] = {"", " ", "a", "a ", " a", "ab", "a  b", "\xFF \xFF", "no such", NULL};
	char *large = malloc((1 << 20) + 2);
	memset(large, 'a', (1 << 20) + 1);
	large[(1 << 20) + 1] = 0;
	const char *const tokens[] = {"a", large};
	size_t lens[] = {1, (1 << 20) + 1};
	for (int i = 0; i < 2; i++) {
		struct tdm_gguf_writer *w = tdm_gguf_writer_new();
		struct tdm_vocab *v = NULL;
		struct tdm_error err = {0};
		lens[1] -= (size_t)i; // as long as may be
		const float scores[] = {0, i ? NAN : 0};
		tdm_gguf_put_text(w, "tokenizer.ggml.model", "llama");
		tdm_gguf_put_strings(w, "tokenizer.ggml.tokens", tokens, lens, 2);
		tdm_gguf_put_f32s(w, "tokenizer.ggml.scores", scores, 2);
		assert_int_equal(small_vocab_from(w, &v, &err), TDM_EFORMAT);
		assert_non_null(
		    strstr(err.text, i ? "scores[1] is not a number" : "tokens[1] cannot be read or is over 1 MiB"));
		tdm_gguf_writer_free(w);
	}
	free(large);
	for (int i = 0; garbage[i]; i++)
		refuse_merge(garbage[i]);
}

int tdm_test_vocab(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bpe_merges_by_rank),
	    cmocka_unit_test(presplit_limits_merges),
	    cmocka_unit_test(whole_pieces_where_the_family_takes_them),
	    cmocka_unit_test(presplit_patterns),
	    cmocka_unit_test(bytes_that_are_not_utf8_survive),
	    cmocka_unit_test(heap_agrees_with_plain_merging),
	    cmocka_unit_test(spm_merges_by_score),
	    cmocka_unit_test(text_never_becomes_special),
	    cmocka_unit_test(ends_and_begins),
	    cmocka_unit_test(id_tells_vocabularies_apart),
	    cmocka_unit_test(bad_files_are_refused),
	    cmocka_unit_test(lengths_and_ids_are_checked),
	    cmocka_unit_test(S42_a_text_of_two_gigabytes_is_refused),
	    cmocka_unit_test(S55_garbage_in_the_lists_is_refused),
	};
	return cmocka_run_group_tests_name("engine: vocabulary", tests, NULL, NULL);
}
