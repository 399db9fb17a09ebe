// Passages with people and their private details, and the questions about them. Only the gym includes this file.
#pragma once
#include "eval/gym_values.h"

#define TDM_GYM_PEOPLE 3

struct tdm_gym_person {
	const char *name; // as it stands in the passage: "Anna Keller" or a typed token
	const char *first, *last;
	bool female;
	const char *details[TDM_GYM_N_DETAILS]; // as they stand in the passage; NULL = not stated
};

struct tdm_gym_passage {
	const char *text;
	struct tdm_gym_person people[TDM_GYM_PEOPLE];
	int n_people;
	struct tdm_gym_person absent; // a person who is not in the passage
	bool masked;
	int level;
	uint64_t key;
};

// A passage with `level` people. Its text decides the split.
void tdm_gym_draw_passage(struct tdm_gym_draw *draw, int level, struct tdm_gym_passage *out);

// Questions about a passage; out->prompt is the question alone. They set out->key to that of the passage.
typedef void tdm_gym_ask_fn(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, struct tdm_gym_item *out);
tdm_gym_ask_fn tdm_gym_ask_read, tdm_gym_ask_message, tdm_gym_ask_unanswerable;

// Puts the passage before the question of the first turn.
void tdm_gym_join(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, struct tdm_gym_item *item);
