// Blocks: see blocks.h. A list of each size, which only its thread touches. Where memory is watched for use after its
// end, nothing is kept.
#include "base/blocks.h"
#include <stdbool.h>
#include <stdlib.h>

#define N_SIZES 7
static const unsigned char most[N_SIZES] = {32, 24, 16, 16, 8, 4, 2}; // a third of a megabyte, of 512 bytes to 32 KiB

struct block {
	struct block *next;
};

struct blocks {
	struct block *free[N_SIZES];
	unsigned char n[N_SIZES];
};
static _Thread_local struct blocks *blocks;

extern void __asan_poison_memory_region(void const volatile *at, size_t bytes) __attribute__((weak));

// What runs on a fiber may be on another thread than at its last call.
static __attribute__((noinline)) struct blocks *mine(void) {
	__asm__ volatile("" ::: "memory");
	return blocks;
}

// The place of a size that is kept; -1: another one.
static int place_of(size_t bytes) {
	bool is_kept = bytes >= TDM_LEAST_BLOCK_BYTES && bytes <= TDM_MOST_BLOCK_BYTES && !(bytes & (bytes - 1));
	return is_kept ? __builtin_ctzl(bytes / TDM_LEAST_BLOCK_BYTES) : -1;
}

size_t tdm_block_round(size_t bytes) {
	if (bytes <= TDM_LEAST_BLOCK_BYTES)
		return TDM_LEAST_BLOCK_BYTES;
	return bytes > TDM_MOST_BLOCK_BYTES ? bytes : (size_t)1 << (64 - __builtin_clzl(bytes - 1));
}

void *tdm_block_take(size_t bytes) {
	struct blocks *all = mine();
	int at = all ? place_of(bytes) : -1;
	if (at < 0 || !all->free[at])
		return malloc(bytes);
	struct block *b = all->free[at];
	all->free[at] = b->next;
	all->n[at]--;
	return b;
}

void tdm_block_give(void *block, size_t bytes) {
	struct blocks *all = block ? mine() : NULL;
	int at = all ? place_of(bytes) : -1;
	if (at < 0 || all->n[at] == most[at]) {
		free(block);
		return;
	}
	struct block *b = block;
	b->next = all->free[at];
	all->free[at] = b;
	all->n[at]++;
}

void tdm_blocks_keep(void) {
	if (!blocks && !__asan_poison_memory_region)
		blocks = calloc(1, sizeof *blocks);
}

void tdm_blocks_free(void) {
	struct blocks *all = blocks;
	blocks = NULL;
	for (int i = 0; all && i < N_SIZES; i++)
		for (struct block *b = all->free[i], *next; b; b = next) {
			next = b->next;
			free(b);
		}
	free(all);
}
