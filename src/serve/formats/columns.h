// Columns: log-probabilities in the shape of completions: four arrays of equal length, one entry for each token.
#pragma once
#include "base/bytes.h"
#include "models/model.h"

struct tdm_columns {
	struct tdm_bytes tokens, logprobs, tops, offsets; // JSON, comma separated
	int n;
	size_t characters; // code points before the next token
	size_t missing;    // bytes that the character begun before it still needs
};

void tdm_columns_init(struct tdm_columns *c, const char *text, size_t n); // text: what the tokens follow
void tdm_columns_release(struct tdm_columns *c);
void tdm_columns_clear(struct tdm_columns *c);                                // no entries; the place in the text stays
void tdm_columns_event(struct tdm_columns *c, const struct tdm_event *event); // its tokens
void tdm_columns_token(struct tdm_columns *c, const struct tdm_scored *token);
// {"tokens":[...],"token_logprobs":[...],"top_logprobs":[...],"text_offset":[...]}: of a, then of b, which may be NULL.
void tdm_columns_write(struct tdm_bytes *out, const struct tdm_columns *a, const struct tdm_columns *b);
