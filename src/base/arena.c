// Arena: blocks of growing size, newest first; an allocation is a step forward in the newest block.
//
// The rule kept here: used_bytes never passes limit_bytes, and a block is never larger than what the limit
// still allows, so the limit bounds the memory taken and not only the memory asked for.
#include "base/arena.h"
#include "base/blocks.h"
#include "base/format.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK_BYTES ((size_t)4096) // with its head, so that it is one of the sizes that are kept
#define LAST_BLOCK_BYTES ((size_t)1 << 20)
#define ALIGN_BYTES 16u

struct tdm_arena_block {
	struct tdm_arena_block *next;
	size_t used, size;
	size_t is_zero; // it came so from the system, which is not to be asked for pages that nobody uses
	unsigned char data[];
};

void tdm_arena_init(struct tdm_arena *arena, size_t limit_bytes) {
	*arena = (struct tdm_arena){.limit_bytes = limit_bytes};
}

void tdm_arena_release(struct tdm_arena *arena) {
	struct tdm_arena_block *block = arena->blocks, *next;
	for (; block; block = next) {
		next = block->next;
		tdm_block_give(block, sizeof *block + block->size);
	}
	arena->blocks = NULL;
	arena->used_bytes = 0;
}

void tdm_arena_clear(struct tdm_arena *arena) {
	struct tdm_arena_block *block = arena->blocks;
	if (!block || block->next || block->size > FIRST_BLOCK_BYTES) { // more than it needs as a rule
		tdm_arena_release(arena);
		return;
	}
	block->used = 0;
	arena->used_bytes = 0;
}

// Behind the newest block, which goes on being filled. What passes the limit so is counted as the limit.
void tdm_arena_adopt(struct tdm_arena *into, struct tdm_arena *from) {
	struct tdm_arena_block **last = into->blocks ? &into->blocks->next : &into->blocks;
	struct tdm_arena_block *first = from->blocks, *rest = *last;
	size_t room = into->limit_bytes - into->used_bytes;
	if (!first)
		return;
	*last = first;
	while (first->next)
		first = first->next;
	first->next = rest;
	into->used_bytes += from->used_bytes < room ? from->used_bytes : room;
	from->blocks = NULL;
	from->used_bytes = 0;
}

// A request that does not fit gets a block of at least its size; room left in the older block is given up.
static struct tdm_arena_block *add_block(struct tdm_arena *arena, size_t bytes) {
	size_t left = arena->limit_bytes - arena->used_bytes;
	size_t whole = arena->blocks ? (arena->blocks->size + sizeof(struct tdm_arena_block)) * 2 : FIRST_BLOCK_BYTES;
	size_t size = (whole < LAST_BLOCK_BYTES ? whole : LAST_BLOCK_BYTES) - sizeof(struct tdm_arena_block);
	if (size > left)
		size = left;
	if (size < bytes)
		size = bytes;
	if (size > SIZE_MAX - sizeof(struct tdm_arena_block))
		return NULL;
	bool is_large = sizeof(struct tdm_arena_block) + size > TDM_MOST_BLOCK_BYTES;
	struct tdm_arena_block *block = is_large ? calloc(1, sizeof *block + size) : tdm_block_take(sizeof *block + size);
	if (!block)
		return NULL;
	*block = (struct tdm_arena_block){.next = arena->blocks, .size = size, .is_zero = is_large};
	arena->blocks = block;
	return block;
}

void *tdm_arena_alloc(struct tdm_arena *arena, size_t bytes) {
	if (bytes > SIZE_MAX - ALIGN_BYTES)
		return NULL;
	bytes = bytes ? (bytes + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1) : ALIGN_BYTES;
	if (bytes > arena->limit_bytes - arena->used_bytes)
		return NULL;
	struct tdm_arena_block *block = arena->blocks;
	if (!block || bytes > block->size - block->used)
		block = add_block(arena, bytes);
	if (!block)
		return NULL;
	void *data = block->data + block->used;
	block->used += bytes;
	arena->used_bytes += bytes;
	return block->is_zero ? data : memset(data, 0, bytes);
}

void *tdm_arena_array(struct tdm_arena *arena, size_t n, size_t item_bytes) {
	size_t bytes;
	if (__builtin_mul_overflow(n, item_bytes, &bytes))
		return NULL;
	return tdm_arena_alloc(arena, bytes);
}

char *tdm_arena_copy(struct tdm_arena *arena, const char *data, size_t n) {
	if (n == SIZE_MAX)
		return NULL;
	char *copy = tdm_arena_alloc(arena, n + 1);
	if (copy && n)
		memcpy(copy, data, n);
	return copy;
}

char *tdm_arena_string(struct tdm_arena *arena, const char *text) {
	return text ? tdm_arena_copy(arena, text, strlen(text)) : NULL;
}

char *tdm_arena_printf(struct tdm_arena *arena, const char *format, ...) {
	char buffer[256]; // most texts fit, and are made once
	va_list args;
	va_start(args, format);
	int n = tdm_format(buffer, sizeof buffer, format, args);
	va_end(args);
	if (n < 0 || (size_t)n < sizeof buffer)
		return n < 0 ? NULL : tdm_arena_copy(arena, buffer, (size_t)n);
	char *text = tdm_arena_alloc(arena, (size_t)n + 1);
	if (!text)
		return NULL;
	va_start(args, format);
	tdm_format(text, (size_t)n + 1, format, args);
	va_end(args);
	return text;
}
