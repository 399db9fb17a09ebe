// Index: two hash tables with open addressing, for what a vocabulary looks up: bytes to a number, a pair of tokens to
// a number. Keys of a text index are borrowed and must outlive it. Reading is safe from many threads; nothing is
// ever removed.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

struct tdm_text_slot {
	const char *key; // NULL = free
	uint32_t len;
	int32_t value;
};
struct tdm_text_index {
	struct tdm_text_slot *slots;
	size_t cap, n; // cap is 0 or a power of two
};

void tdm_text_index_release(struct tdm_text_index *index); // a zeroed struct is an empty index
// The place of the value of a key, added with value -1 when absent; NULL when out of memory. Valid until the next add.
int32_t *tdm_text_index_put(struct tdm_text_index *index, const char *key, size_t len);
int32_t tdm_text_index_get(const struct tdm_text_index *index, const char *key, size_t len); // -1 when absent

struct tdm_pair_slot {
	int32_t left, right; // left -1 = free
	int32_t value, rank; // the caller's
};
struct tdm_pair_index {
	struct tdm_pair_slot *slots;
	size_t cap, n;
};

void tdm_pair_index_release(struct tdm_pair_index *index);
// left and right are not negative; a new slot has value -1.
struct tdm_pair_slot *tdm_pair_index_put(struct tdm_pair_index *index, int32_t left, int32_t right);
const struct tdm_pair_slot *tdm_pair_index_get(const struct tdm_pair_index *index, int32_t left, int32_t right);
