// Dictate: guesses (guess.h) of the target's tokens, made of a text that somebody writes (scribe.h).
//
// The rule it protects: what is written is only a guess. It is split by the target's own tokenizer, as it would follow
// the answer; where it is split otherwise than the target writes, it does not come true, and that is all.
#pragma once
#include "cost/speculate/guess.h"
#include "cost/speculate/scribe.h"

struct tdm_dictation;

// target: prompted; end: the token that ends an answer of it, -1 = none. NULL: no memory.
struct tdm_dictation *tdm_dictation_new(struct tdm_session *target, int32_t end, struct tdm_model *writer,
                                        const struct tdm_request *request, double min_prob);
bool tdm_dictation_hear(struct tdm_dictation *d, int32_t token); // one more token of the answer. False: no memory
// At most n tokens after the answer, of a text of about as many; most_us as of tdm_scribe_write.
void tdm_dictation_guess(struct tdm_dictation *d, struct tdm_run *run, int n, int64_t most_us, struct tdm_guess *out);
const char *tdm_dictation_silence(const struct tdm_dictation *d); // why nothing comes any more; NULL: it may
void tdm_dictation_free(struct tdm_dictation *d, struct tdm_run *run, int status); // NULL is fine
