// Words: the distinct pieces of a training text, how often each occurs, and each as a list of tokens.
#pragma once
#include "engine/index.h"
#include <stdint.h>

struct tdm_word {
	int32_t *tokens; // n tokens; at first one per byte
	uint32_t n, len; // len: bytes
	uint64_t count;
	uint64_t weight; // what it counts for in choosing merges
};
struct tdm_word_block;
struct tdm_words {
	struct tdm_word *items;
	size_t n, cap;
	struct tdm_text_index by_text;
	struct tdm_word_block *blocks; // where bytes and tokens of the words are kept
};

void tdm_words_release(struct tdm_words *words);                           // a zeroed struct is an empty list
int tdm_words_count(struct tdm_words *words, const char *piece, size_t n); // TDM_OK or TDM_ENOMEM
