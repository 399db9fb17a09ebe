// Distinct pieces with counts. Bytes and tokens lie in large blocks, because a training text has a million short
// pieces.
#include "learn/bpe_words.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)1 << 20)

struct tdm_word_block {
	struct tdm_word_block *next;
	size_t used, cap;
	_Alignas(8) char data[];
};

void tdm_words_release(struct tdm_words *words) {
	while (words->blocks) {
		struct tdm_word_block *next = words->blocks->next;
		free(words->blocks);
		words->blocks = next;
	}
	tdm_text_index_release(&words->by_text);
	free(words->items);
	*words = (struct tdm_words){0};
}

static void *take(struct tdm_words *words, size_t bytes) {
	bytes = (bytes + 7) & ~(size_t)7;
	struct tdm_word_block *block = words->blocks;
	if (!block || block->cap - block->used < bytes) {
		size_t cap = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
		block = malloc(sizeof *block + cap);
		if (!block)
			return NULL;
		block->next = words->blocks;
		block->used = 0;
		block->cap = cap;
		words->blocks = block;
	}
	void *at = block->data + block->used;
	block->used += bytes;
	return at;
}

static int grow(struct tdm_words *words) {
	if (words->n < words->cap)
		return TDM_OK;
	size_t cap = words->cap ? 2 * words->cap : 1024;
	struct tdm_word *items = cap < INT32_MAX ? realloc(words->items, cap * sizeof *items) : NULL;
	if (!items)
		return TDM_ENOMEM;
	words->items = items;
	words->cap = cap;
	return TDM_OK;
}

static int add_word(struct tdm_words *words, const char *piece, size_t n) {
	if (n > UINT32_MAX / 8 || grow(words))
		return TDM_ENOMEM;
	int32_t *tokens = take(words, n * sizeof *tokens);
	char *text = take(words, n);
	if (!tokens || !text)
		return TDM_ENOMEM;
	memcpy(text, piece, n);
	int32_t *place = tdm_text_index_put(&words->by_text, text, n);
	if (!place)
		return TDM_ENOMEM;
	for (size_t i = 0; i < n; i++)
		tokens[i] = (unsigned char)piece[i];
	*place = (int32_t)words->n;
	words->items[words->n++] = (struct tdm_word){tokens, (uint32_t)n, (uint32_t)n, 1, 1};
	return TDM_OK;
}

int tdm_words_count(struct tdm_words *words, const char *piece, size_t n) {
	int32_t place = tdm_text_index_get(&words->by_text, piece, n);
	if (place < 0)
		return add_word(words, piece, n);
	words->items[place].count++;
	return TDM_OK;
}
