// Dictionary: the values that must not leave (masked ones and the operator's list), found in folded text at word
// boundaries; numbers also with other separators, or none, between their digits.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include "privacy/detect/entities.h"

struct tdm_protected {
	const struct tdm_entity *entity;
	const char *folded, *bare; // bare: without separators; NULL unless the row is GROUPED
	size_t n, n_bare;
};
struct tdm_dictionary { // zero-initialise; memory from the arena
	struct tdm_protected *items;
	size_t n, cap, bytes, bare_bytes;
	struct tdm_automaton *folded, *bare;
};

// Adds a folded value unless it is there. Values under three characters are not worth finding elsewhere: ignored.
int tdm_dictionary_add(struct tdm_dictionary *d, struct tdm_arena *arena, const struct tdm_entity *entity,
                       const char *folded, size_t n);
// The row of a number that is known in any grouping; NULL when none is.
const struct tdm_entity *tdm_dictionary_number(const struct tdm_dictionary *d, const char *folded, size_t n);
int tdm_dictionary_build(struct tdm_dictionary *d, struct tdm_arena *arena); // after adding; TDM_OK or TDM_ENOMEM
typedef int tdm_dictionary_fn(void *arg, const struct tdm_entity *entity, size_t start, size_t end);
// Calls found for every occurrence in folded text[0..n); stops at the first negative status and returns it.
int tdm_dictionary_search(const struct tdm_dictionary *d, const char *text, size_t n, tdm_dictionary_fn *found,
                          void *arg);
