// Align: models that do not share a vocabulary meet at their bytes (arXiv 2502.05202).
//
// The rule it protects: a token of one vocabulary stands for a token of another only where their bytes are equal;
// everything else goes through text. Nothing here decides what an answer says: a map and a split make drafts, which
// the target then judges by its own tokens.
#pragma once
#include "models/model.h"

// Which token of one vocabulary has the bytes of which one of another. Immutable, so that sessions may share it.
struct tdm_align;
// Of the vocabularies of two open sessions, which it does not keep. Error: TDM_ENOMEM; TDM_ECONFIG when no token is in
// both.
int tdm_align_new(struct tdm_session *from, struct tdm_session *to, struct tdm_align **out, struct tdm_error *err);
void tdm_align_free(struct tdm_align *a);                          // NULL is fine
int32_t tdm_align_token(const struct tdm_align *a, int32_t token); // -1: none has its bytes
int tdm_align_shared(const struct tdm_align *a, int32_t *n_vocab); // tokens that have one, of how many
// Rows of `from` as rows of `to`: what has no token there is left out (-INFINITY), so that a softmax renormalises.
// Where nothing is left, all shared tokens are alike. logits NULL: likewise.
void tdm_align_row(const struct tdm_align *a, const float *logits, float *out);

// A session that takes tokens of `like`'s vocabulary and gives rows of it, but asks `inner`, which it owns from then
// on: it splits the text of the tokens for it, and takes back only what is split otherwise now. Rows are those after
// the last token of a call alone; there are no trees, forks or hidden states. `like` is only asked for pieces, and must
// be open as long. Error: TDM_ENOMEM; inner is then still the caller's.
int tdm_align_open(struct tdm_run *run, const struct tdm_align *map, struct tdm_session *inner,
                   struct tdm_session *like, struct tdm_session **out);

// The tokens of text[before..len) as they follow text[0..before), of which the last bytes are looked at. ends: where
// each token ends, in `text`. Their number, at most cap; 0: it cannot be split there.
int tdm_align_split(struct tdm_session *s, const char *text, size_t before, size_t len, int32_t *tokens, size_t *ends,
                    int cap);
// The text that the prompt of a prompted session ends with, after its last special token: what an answer follows.
enum { TDM_ALIGN_BEHIND = 32 }; // bytes before a text that matter to how it is split
size_t tdm_align_before(struct tdm_session *s, char out[TDM_ALIGN_BEHIND]);
// The token that a model of these sessions most likely ends an answer with; -1: none ends one.
int32_t tdm_align_end(struct tdm_session *s);
// Whether the token ids of two models are interchangeable; where they are not, *map of a's to b's is made too, unless
// it is NULL. Opens a session of each.
int tdm_align_models(struct tdm_model *a, struct tdm_model *b, bool *same, struct tdm_align **map,
                     struct tdm_error *err);
