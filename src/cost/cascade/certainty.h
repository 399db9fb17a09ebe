// Certainty: how sure a model was of the tokens of an answer, gathered while it comes, for gates and for sentences.
#pragma once
#include "models/collect.h"

struct tdm_certainty {
	struct tdm_logprobs logprobs; // of its tokens
	int n_tops;                   // tokens whose alternatives are known
	double margins, entropies;    // sums over these: p of the first less p of the second; entropy in nats
};

void tdm_certainty_add(struct tdm_certainty *c, const struct tdm_event *event);
// Of a mean per token; NAN while nothing is known. entropy is negative: larger is better.
double tdm_certainty_mean(const struct tdm_certainty *c);
double tdm_certainty_least(const struct tdm_certainty *c);
double tdm_certainty_margin(const struct tdm_certainty *c);
double tdm_certainty_entropy(const struct tdm_certainty *c);

struct tdm_certainty_sink { // passes on what goes through
	struct tdm_sink sink;
	struct tdm_certainty *certainty;
};
void tdm_certainty_listen(struct tdm_certainty_sink *s, struct tdm_certainty *c, struct tdm_sink *next);

struct tdm_trim { // cuts alternatives that a gate asked for and the client did not
	struct tdm_sink sink;
	struct tdm_arena *arena;
	int most;
};
void tdm_trim_init(struct tdm_trim *t, struct tdm_arena *arena, const struct tdm_request *request,
                   struct tdm_sink *next);
