// Recogniser: a grammar's network run over bytes. A state is a set of places in the network, each with what is to be
// done after its rule (a frame); states, frames and steps are kept once they were made, so a step is usually one look
// into a table. One thread owns a recogniser.
//
// A frame is a list of (place to go on, frame below): all calls of one rule from one position share it, so the
// number of places stays small where a grammar is ambiguous. Frame 0 is the end of the text. Frames 1 to TDM_HOLES
// stand for frames that are not looked into: a state made of them (a pattern) tells what is true wherever it occurs,
// and which holes were left through (escapes), where only the real frame knows what may follow.
#pragma once
#include "engine/grammar_parts.h"

enum { TDM_HOLES = 16 };

struct tdm_place {
	int32_t state, frame;
};

struct tdm_set { // an interned list of places
	int32_t first, n;
	uint32_t hash, flags;
};

struct tdm_sets {
	struct tdm_place *places;
	struct tdm_set *items;
	int32_t *table; // of hashes: item + 1, 0 = free
	int32_t n_places, cap_places, n, cap, table_size;
};

enum { TDM_SET_ACCEPTS = 1 }; // flags: the text may end here; escapes are the bits above

struct tdm_recogniser {
	const struct tdm_grammar *g;
	struct tdm_sets states, frames;
	int32_t *rows;       // of steps: n_classes per row; -1 = not made yet
	int32_t *row_of;     // per state, -1 = none
	int32_t *pattern_of; // per state, -1 = not known
	int32_t n_rows, cap_rows, cap_states;
	int32_t *alike; // per place in the network: one that no token tells from it
	struct tdm_place *work, *calls;
	int32_t *call_rules;
	int32_t n_work, cap_work, n_calls, cap_calls;
	struct tdm_place *seen; // a table of what is in work
	int32_t seen_size;
	uint32_t flags; // of the state in work
	size_t bytes, max_bytes;
	unsigned ticks;              // steps made since the work on one token began
	int64_t budget_us, until_us; // of processor time for one token; when it is used up, -1 = the clock was not read yet
	int status;                  // a budget was exceeded; error has the sentence
	struct tdm_error error;
};

// max_depth: bytes of the longest token. State 0 is dead. Error: TDM_ENOMEM.
int tdm_recogniser_init(struct tdm_recogniser *r, const struct tdm_grammar *g, int max_depth);
void tdm_recogniser_release(struct tdm_recogniser *r);
int32_t tdm_recogniser_start(struct tdm_recogniser *r);
void tdm_recogniser_begin_token(struct tdm_recogniser *r); // a new budget of time
int32_t tdm_recogniser_make_step(struct tdm_recogniser *r, int32_t state, int class);
// The state with its frames replaced by holes; frames[i] = what hole i + 1 stands for, *n of them. The state itself,
// without holes, when it has too many frames.
int32_t tdm_recogniser_pattern(struct tdm_recogniser *r, int32_t state, int32_t frames[TDM_HOLES], int *n);
int32_t tdm_recogniser_leave(struct tdm_recogniser *r, int32_t frame); // the state after a frame's rule has ended

static inline int32_t tdm_recogniser_step(struct tdm_recogniser *r, int32_t state, uint8_t byte) {
	int class = r->g->class_of[byte];
	int32_t row = r->row_of[state];
	int32_t to = row < 0 ? -1 : r->rows[(size_t)row * (size_t)r->g->n_classes + (size_t) class];
	return to >= 0 ? to : tdm_recogniser_make_step(r, state, class);
}

static inline bool tdm_recogniser_accepts(const struct tdm_recogniser *r, int32_t state) {
	return r->states.items[state].flags & TDM_SET_ACCEPTS;
}

static inline uint32_t tdm_recogniser_escapes(const struct tdm_recogniser *r, int32_t state) {
	return r->states.items[state].flags >> 1;
}
