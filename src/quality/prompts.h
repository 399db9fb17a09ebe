// Prompts: every text that a kind of quality puts into another model's prompt, by name, in one table. Words of a user
// or a model enter only where {prompt} and {answer} stand; they are data, never looked at for more of these.
#pragma once
#include "base/arena.h"
#include "base/status.h"

struct tdm_prompt {
	const char *name, *text;
};

struct tdm_prompt_words {
	const char *prompt, *answer; // the last message; the other model's words
	size_t n_prompt, n_answer;
	int percent; // how sure the other model is, 0..100; {sure} in percent, {confidence} as 0.00 to 1.00
};

const struct tdm_prompt *tdm_prompt_find(const char *name); // NULL when unknown
const struct tdm_prompt *tdm_prompts(size_t *n);            // the table
// The text with the words in place, in the arena; *n = its bytes. NULL when out of memory.
char *tdm_prompt_fill(struct tdm_arena *arena, const struct tdm_prompt *p, const struct tdm_prompt_words *words,
                      size_t *n);
