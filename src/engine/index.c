// Hash tables of a vocabulary. Linear probing, at most 5/8 full, so that a probe nearly always ends in one cache line.
#include "engine/index.h"
#include <stdlib.h>
#include <string.h>

// Multiply and fold, eight bytes at a time: tokens are short, so the start and the end of this function matter most.
static uint64_t mix(uint64_t h) {
	h ^= h >> 32;
	h *= 0x9E3779B97F4A7C15u;
	return h ^ (h >> 29);
}

static uint64_t hash_text(const char *key, size_t len) {
	uint64_t h = len;
	while (len >= 8) {
		uint64_t word;
		memcpy(&word, key, 8);
		h = mix(h ^ word);
		key += 8;
		len -= 8;
	}
	uint64_t tail = 0;
	for (size_t i = 0; i < len; i++)
		tail = tail << 8 | (unsigned char)key[i];
	return mix(h ^ mix(tail));
}

static struct tdm_text_slot *text_slot(const struct tdm_text_index *index, const char *key, size_t len) {
	size_t i = hash_text(key, len) & (index->cap - 1);
	for (;; i = (i + 1) & (index->cap - 1)) {
		struct tdm_text_slot *slot = &index->slots[i];
		if (!slot->key || (slot->len == len && !memcmp(slot->key, key, len)))
			return slot;
	}
}

static bool text_grow(struct tdm_text_index *index) {
	struct tdm_text_index larger = {.cap = index->cap ? 2 * index->cap : 64, .n = index->n};
	larger.slots = calloc(larger.cap, sizeof *larger.slots);
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < index->cap; i++)
		if (index->slots[i].key)
			*text_slot(&larger, index->slots[i].key, index->slots[i].len) = index->slots[i];
	free(index->slots);
	*index = larger;
	return true;
}

void tdm_text_index_release(struct tdm_text_index *index) {
	free(index->slots);
	*index = (struct tdm_text_index){0};
}

int32_t *tdm_text_index_put(struct tdm_text_index *index, const char *key, size_t len) {
	if (len > UINT32_MAX || (index->n * 8 >= index->cap * 5 && !text_grow(index)))
		return NULL;
	struct tdm_text_slot *slot = text_slot(index, key, len);
	if (!slot->key) {
		*slot = (struct tdm_text_slot){key, (uint32_t)len, -1};
		index->n++;
	}
	return &slot->value;
}

int32_t tdm_text_index_get(const struct tdm_text_index *index, const char *key, size_t len) {
	if (!index->cap)
		return -1;
	const struct tdm_text_slot *slot = text_slot(index, key, len);
	return slot->key ? slot->value : -1;
}

static struct tdm_pair_slot *pair_slot(const struct tdm_pair_index *index, int32_t left, int32_t right) {
	size_t i = mix((uint64_t)(uint32_t)left << 32 | (uint32_t)right) & (index->cap - 1);
	for (;; i = (i + 1) & (index->cap - 1)) {
		struct tdm_pair_slot *slot = &index->slots[i];
		if (slot->left < 0 || (slot->left == left && slot->right == right))
			return slot;
	}
}

static bool pair_grow(struct tdm_pair_index *index) {
	struct tdm_pair_index larger = {.cap = index->cap ? 2 * index->cap : 64, .n = index->n};
	larger.slots = calloc(larger.cap, sizeof *larger.slots);
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < larger.cap; i++)
		larger.slots[i].left = -1;
	for (size_t i = 0; i < index->cap; i++)
		if (index->slots[i].left >= 0)
			*pair_slot(&larger, index->slots[i].left, index->slots[i].right) = index->slots[i];
	free(index->slots);
	*index = larger;
	return true;
}

void tdm_pair_index_release(struct tdm_pair_index *index) {
	free(index->slots);
	*index = (struct tdm_pair_index){0};
}

struct tdm_pair_slot *tdm_pair_index_put(struct tdm_pair_index *index, int32_t left, int32_t right) {
	if (index->n * 8 >= index->cap * 5 && !pair_grow(index))
		return NULL;
	struct tdm_pair_slot *slot = pair_slot(index, left, right);
	if (slot->left < 0) {
		*slot = (struct tdm_pair_slot){.left = left, .right = right, .value = -1};
		index->n++;
	}
	return slot;
}

const struct tdm_pair_slot *tdm_pair_index_get(const struct tdm_pair_index *index, int32_t left, int32_t right) {
	if (!index->cap)
		return NULL;
	const struct tdm_pair_slot *slot = pair_slot(index, left, right);
	return slot->left < 0 ? NULL : slot;
}
