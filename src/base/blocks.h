// Blocks: memory that a thread takes and gives back all the time, kept by it for its next use.
//
// The buffers of a request are made on one thread and released on another, where it has gone on after a wait; through
// malloc alone each of them asks for the lock of the pool that it came from, and threads wait there for each other. A
// block is malloc's own memory all the same: one that nobody keeps is freed, and realloc may take it over.
#pragma once
#include <stddef.h>

#define TDM_LEAST_BLOCK_BYTES ((size_t)512)
#define TDM_MOST_BLOCK_BYTES ((size_t)32768)

// The next size that is kept; what is larger than the largest one stays as it is.
size_t tdm_block_round(size_t bytes);
void *tdm_block_take(size_t bytes);             // as malloc
void tdm_block_give(void *block, size_t bytes); // as it was asked for; of another size than those kept: as free

// A thread that serves requests begins to keep blocks, and frees them before it ends. Others keep none.
void tdm_blocks_keep(void);
void tdm_blocks_free(void);
