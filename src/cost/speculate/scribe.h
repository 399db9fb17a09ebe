// Scribe: who writes down how an answer may go on, as text: a session of a local model, or a model that is asked for
// words, wherever it is. For drafts that cross the border of a vocabulary or of a machine.
//
// A scribe never fails an answer: it falls silent, and says why. What it writes is a draft, greedy whatever the request
// samples; somebody else decides what comes true.
#pragma once
#include "base/bytes.h"
#include "models/model.h"

struct tdm_scribe;

struct tdm_written {
	const char *text; // valid until the next call
	size_t len;
	bool is_end; // the answer would be over after it
};

// Nothing is asked yet. request: of the answer; borrowed. min_prob: of a session: the draft ends where all of it
// together is less likely. NULL: no memory.
struct tdm_scribe *tdm_scribe_new(struct tdm_model *model, const struct tdm_request *request, double min_prob);
// What may follow the first bytes of the answer: about n tokens, or what is left of what was written before. most_us:
// what it is worth at most; a model that takes longer is not waited for. Nothing: it has fallen silent, or is not sure.
void tdm_scribe_write(struct tdm_scribe *s, struct tdm_run *run, const char *answer, size_t len, int n, int64_t most_us,
                      struct tdm_written *out);
const char *tdm_scribe_silence(const struct tdm_scribe *s); // why it is silent; NULL: it is not
// Leaves the row of its session in the record; calls of a model have left their own. scribe NULL is fine.
void tdm_scribe_free(struct tdm_scribe *s, struct tdm_run *run, int status);
