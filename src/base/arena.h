// Arena: memory that lives exactly as long as one request, file or batch, freed at once.
//
// Every arena has a limit in bytes; an allocation beyond it returns NULL, so that a request which
// wants too much fails and the process does not. Not thread-safe: one thread owns an arena.
#pragma once
#include <stdarg.h>
#include <stddef.h>

struct tdm_arena_block;
struct tdm_arena {
	struct tdm_arena_block *blocks; // newest first
	size_t used_bytes, limit_bytes;
};

void tdm_arena_init(struct tdm_arena *arena, size_t limit_bytes);
void tdm_arena_release(struct tdm_arena *arena); // frees everything; the arena may be used again
void tdm_arena_clear(struct tdm_arena *arena);   // likewise, but keeps a block for what comes next
// All memory of `from` lives on in `into`, where it stays; `from` is empty then.
void tdm_arena_adopt(struct tdm_arena *into, struct tdm_arena *from);
void *tdm_arena_alloc(struct tdm_arena *arena, size_t bytes); // zeroed, 16-byte aligned; NULL beyond the limit
void *tdm_arena_array(struct tdm_arena *arena, size_t n, size_t item_bytes); // NULL on overflow too
char *tdm_arena_copy(struct tdm_arena *arena, const char *data, size_t n);   // n bytes and a final NUL
char *tdm_arena_string(struct tdm_arena *arena, const char *text);           // NULL in gives NULL out
char *tdm_arena_printf(struct tdm_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
