// Fuzz target: bytes as a schema, a GBNF grammar or a regular expression (the first byte says which), then a walk
// through what it allows. Whatever comes in, compiling ends within its budget and masks agree with steps.
//
// links: engine base
#include "engine/constraint.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const words[] = {"the",
                                    " the",
                                    "a ",
                                    "ab",
                                    "abc",
                                    " abc",
                                    "hello world",
                                    "  ",
                                    "    ",
                                    "----",
                                    "\"a",
                                    "a\"",
                                    "\",",
                                    "\": ",
                                    "\":\"",
                                    "{\"",
                                    "}}",
                                    "\"}",
                                    "],[",
                                    "12",
                                    "345",
                                    "0.5",
                                    "true",
                                    "false",
                                    "null",
                                    "\\n",
                                    "\\u00",
                                    "\n  ",
                                    ", ",
                                    ": ",
                                    "\xC3\xA9",
                                    "\xC3\xA9t\xC3\xA9",
                                    " \xE2\x82",
                                    "\x82\xAC",
                                    "\xF0\x9F\x98\x80",
                                    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
                                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                                    " Word",
                                    "Word",
                                    "2024-01-01",
                                    "x@y.zz",
                                    "\xC3\xA9 and",
                                    " \"",
                                    "a\\",
                                    "key\":1",
                                    "b,c",
                                    "q\n"};
enum { N_WORDS = sizeof words / sizeof *words, END = 256 + N_WORDS, N_VOCAB = END + 2 };
static char bytes[256];

static size_t piece(const void *self, int32_t token, const char **text) {
	*text = token < 256 ? &bytes[token] : token < END ? words[token - 256] : "";
	return token < 256 ? 1 : token < END ? strlen(*text) : 0;
}

static bool is_end(const void *self, int32_t token) {
	return token == END;
}

static struct tdm_token_tree *byte_tree(void) {
	static struct tdm_token_tree *tree;
	static const struct tdm_token_source source = {NULL, N_VOCAB, piece, is_end};
	for (int i = 0; i < 256; i++)
		bytes[i] = (char)i;
	if (!tree && tdm_token_tree_new(&source, &tree, NULL) != TDM_OK)
		abort();
	return tree;
}

// Chooses by the input's own bytes; each token must be allowed exactly when it can be appended.
static void walk(struct tdm_constraint *c, const uint8_t *data, size_t n) {
	uint64_t bits[(N_VOCAB + 63) / 64];
	struct tdm_error err = {0};
	for (size_t step = 0; step < 12 && step < n && tdm_constraint_mask(c, bits, &err) == TDM_OK; step++) {
		int32_t chosen = -1;
		for (int32_t i = 0; i < N_VOCAB; i++) {
			int32_t token = (i + data[n - 1 - step]) % N_VOCAB;
			bool allowed = bits[token / 64] >> (token % 64) & 1;
			int length = tdm_constraint_length(c), status = tdm_constraint_advance(c, token);
			if (tdm_constraint_stats(c).has_failed) // a budget: nothing is known of this token
				return;
			if (allowed != (status == TDM_OK) || (allowed && token == END + 1))
				abort();
			tdm_constraint_rewind(c, length);
			if (allowed && chosen < 0)
				chosen = token;
		}
		if (chosen < 0 || chosen == END)
			return;
		tdm_constraint_advance(c, chosen);
	}
	if (err.status && !err.text[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	static const char kinds[] = "jsgr"; // any JSON, schema, GBNF, regular expression
	const struct tdm_grammar_options options = {.max_states = 20000, .max_ms = 500, .max_bytes = 16 << 20};
	const char *kind = n ? memchr(kinds, data[0], 4) : NULL;
	struct tdm_grammar *g = NULL;
	struct tdm_constraint *c = NULL;
	struct tdm_error err = {0};
	if (!kind)
		return 0;
	char *exact = malloc(n); // nothing behind it
	if (!exact)
		return 0;
	memcpy(exact, data + 1, n - 1);
	int status = tdm_grammar_new((enum tdm_grammar_kind)(kind - kinds), exact, n - 1, &options, &g, &err);
	if (status == TDM_OK)
		status = tdm_constraint_new(g, byte_tree(), &c, &err);
	if ((status != TDM_OK) != (err.status != TDM_OK && err.text[0]))
		abort(); // an error without a sentence, or the reverse
	if (c)
		walk(c, data, n);
	tdm_constraint_free(c);
	tdm_grammar_free(g);
	free(exact);
	return 0;
}
