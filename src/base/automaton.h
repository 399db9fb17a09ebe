// Automaton: many strings searched at once in one pass (Aho and Corasick 1975): live tokens in an answer's stream,
// masked values in a conversation, phrases in what a guard reads.
//
// The depth of a state is the length of the longest end of what was read that begins a pattern: exactly what a stream
// must hold back.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

struct tdm_automaton;

// max_bytes: sum of the lengths of all patterns to come. NULL when out of memory.
struct tdm_automaton *tdm_automaton_new(struct tdm_arena *arena, size_t max_bytes);
// id: any number >= 0. A pattern that is there already keeps its first id; an empty one is ignored.
int tdm_automaton_add(struct tdm_automaton *a, const char *pattern, size_t n, int id);
int tdm_automaton_build(struct tdm_automaton *a); // after the last add; TDM_OK or TDM_ENOMEM

// States: 0 is the start. Read-only after build, so any number of threads and streams may share one automaton.
uint32_t tdm_automaton_step(const struct tdm_automaton *a, uint32_t state, unsigned char byte);
// The bytes at the beginning of text[0..n) that leave the start where it is. fold: of small letters, whatever is
// written.
size_t tdm_automaton_skip(const struct tdm_automaton *a, const char *text, size_t n, bool fold);
size_t tdm_automaton_depth(const struct tdm_automaton *a, uint32_t state);
// The longest pattern that ends in this state: its id and length, and in *more the state to ask for the next shorter
// one. -1 when there is none.
int tdm_automaton_match(const struct tdm_automaton *a, uint32_t state, size_t *length, uint32_t *more);
