// Sentence: lets an answer out sentence by sentence, each one only when its own certainty passes the gate.
//
// The rule it protects: what was let out stays. The first sentence that does not pass ends the answer there; whoever
// goes on continues behind what was let out.
#pragma once
#include "cost/cascade/cascade.h"

struct tdm_sentences {
	struct tdm_sink sink; // next: where sentences go
	const struct tdm_cascade *c;
	const struct tdm_tier *tier;
	struct tdm_arena *arena;
	struct tdm_collect pending; // the sentence that is not over
	struct tdm_certainty certainty;
	struct tdm_bytes *shown;  // the words that were let out, of all tiers
	double score;             // the least of those let out, or of the one that did not pass
	int n, n_pieces;          // let out
	bool rejected, is_enough; // is_enough: who reads wants no more
};

void tdm_sentences_init(struct tdm_sentences *s, const struct tdm_cascade *c, const struct tdm_tier *tier,
                        struct tdm_arena *arena, struct tdm_bytes *shown, struct tdm_sink *next);
void tdm_sentences_release(struct tdm_sentences *s);
// The answer is over: what is left passes too, or does not. stands: it goes out whatever its certainty. A status of
// put.
int tdm_sentences_end(struct tdm_sentences *s, bool stands);
