// The inside of a vocabulary, shared by vocab.c (reading, looking up), vocab_bpe.c, vocab_spm.c and
// vocab_wordpiece.c (splitting text).
#pragma once
#include "engine/index.h"
#include "engine/presplit.h"
#include "engine/vocab.h"

// Kinds of token as tokenizer.ggml.token_type numbers them.
enum tdm_token_type {
	TDM_TOKEN_NORMAL = 1,
	TDM_TOKEN_UNKNOWN = 2,
	TDM_TOKEN_CONTROL = 3,
	TDM_TOKEN_USER = 4, // added by the model's makers; taken whole where it stands in text
	TDM_TOKEN_UNUSED = 5,
	TDM_TOKEN_BYTE = 6
};

struct tdm_token {
	const char *piece; // the bytes it stands for; empty for special tokens
	uint32_t len;
	float score;
	uint8_t type; // enum tdm_token_type
	bool special, ends;
};

struct tdm_vocab {
	const char *family; // "gpt2", "llama" or "bert"
	int size;
	struct tdm_token *tokens;
	char *text;                     // bytes of all pieces and special texts
	struct tdm_text_index plain;    // piece -> token, of the tokens that text may become
	struct tdm_text_index special;  // text -> token, of the others
	struct tdm_text_index whole;    // text -> token, of user-defined tokens
	uint32_t longest_plain;         // bytes
	uint32_t longest_whole;         // bytes; 0 = there is none
	bool whole_begins[256];         // first bytes of user-defined tokens
	int32_t bytes[256];             // token of a byte, or -1
	int32_t bos, eos, unknown, pad; // -1 = none
	uint64_t id;
	struct tdm_pair_index merges;   // gpt2: (left, right) -> merged token and rank
	struct tdm_presplit *presplit;  // gpt2
	bool space_prefix;              // llama: a text begins with a space
	bool words;                     // bert
	bool lower_case, strip_accents; // bert: before words are looked up
};

// The tokens a text becomes: counted always, written while there is room.
struct tdm_tokens {
	int32_t *items;
	size_t cap, n;
};
static inline void tdm_tokens_add(struct tdm_tokens *t, int32_t token) {
	if (t->n < t->cap)
		t->items[t->n] = token;
	t->n++;
}

// A possible merge; the least rank goes first, then the leftmost. Ranks of one vocabulary are comparable numbers.
struct tdm_merge {
	double rank;
	int32_t left, right; // symbol positions
	int32_t left_token, right_token, token;
};
// The symbols of a piece as a linked list, and the heap of possible merges; reused from piece to piece.
struct tdm_symbol {
	int32_t token, before, after; // token -1 = a character that is no token; before and after -1 = none
	uint32_t at, len;             // bytes in the piece; len 0 = merged away
};
struct tdm_scratch {
	struct tdm_symbol *symbols;
	struct tdm_merge *heap;
	size_t symbols_cap, heap_cap, heap_n;
};
void tdm_scratch_release(struct tdm_scratch *s);
int tdm_scratch_reserve(struct tdm_scratch *s, size_t n_symbols); // also room for every merge they can offer
// Merges until nothing is left to merge. offer: true and *m's rank and token for two neighbouring symbols that merge.
typedef bool tdm_offer_fn(const struct tdm_vocab *v, const char *piece, const struct tdm_symbol *left,
                          const struct tdm_symbol *right, struct tdm_merge *m);
void tdm_merge_all(const struct tdm_vocab *v, const char *piece, struct tdm_scratch *s, size_t n, tdm_offer_fn *offer);

int tdm_bpe_read(const struct tdm_gguf *g, struct tdm_vocab *v, struct tdm_error *err);
int tdm_bpe_tokenize(const struct tdm_vocab *v, const char *text, size_t n, struct tdm_scratch *s,
                     struct tdm_tokens *out);
int tdm_spm_tokenize(const struct tdm_vocab *v, const char *text, size_t n, struct tdm_scratch *s,
                     struct tdm_tokens *out);
int tdm_wordpiece_tokenize(const struct tdm_vocab *v, const char *text, size_t n, struct tdm_tokens *out);
// Decodes a token's text of the file into the bytes it stands for (at most n are written); returns their number.
size_t tdm_bpe_piece(const char *text, size_t n, char *out);
size_t tdm_spm_piece(const char *text, size_t n, char *out);
