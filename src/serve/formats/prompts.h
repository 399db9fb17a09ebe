// Prompts: texts or token ids as several endpoints take them: a string, a list of strings, a list of token ids, or a
// list of such lists.
#pragma once
#include "models/model.h"
#include "serve/reader.h"

struct tdm_prompt {
	struct tdm_message message; // its text; of token ids only after tdm_prompts_fit
	const int32_t *tokens;      // NULL: it came as text
	int n_tokens;
	uint64_t vocab_id;
};

struct tdm_prompts {
	struct tdm_prompt *items;
	int n;
};

// value: NULL = one empty text. param: in sentences. most: of prompts.
int tdm_prompts_read(struct tdm_reader *r, const struct tdm_value *value, const char *param, int most,
                     struct tdm_prompts *out);
// Checks token ids against the vocabulary of the local model that is asked and writes their text, so that guards see
// what they say. Refused: where a mask, or another machine, would have to understand them.
int tdm_prompts_fit(struct tdm_arena *arena, const struct tdm_model *model, const char *param, struct tdm_prompts *p,
                    struct tdm_error *err);
// The first model of kind local from m downwards, depth first; NULL: there is none.
const struct tdm_model *tdm_first_local(const struct tdm_model *m);
