// Vote: answers that say the same form a group; the weights of a group's answers are its weight. What is no answer is
// in no group, and its weight counts all the same: it agrees with nobody.
#pragma once
#include "models/answer.h"

enum { TDM_MOST_VOTES = 72 };

struct tdm_vote {
	struct tdm_bytes form; // what it says, as it is compared
	double weight;
	int group; // the first vote of its group; -1: no answer
};

struct tdm_ballot {
	enum tdm_answer_type type;
	struct tdm_vote votes[TDM_MOST_VOTES];
	int n;
	double total; // of the weights
};

void tdm_ballot_init(struct tdm_ballot *b, enum tdm_answer_type type);
void tdm_ballot_release(struct tdm_ballot *b);
// False: there is no room for it.
bool tdm_ballot_add(struct tdm_ballot *b, const char *reply, size_t n, double weight);
double tdm_ballot_weight(const struct tdm_ballot *b, int group);
// The group of the largest weight, the first of equal ones; -1 when nobody said anything. *share: of all weights.
int tdm_ballot_majority(const struct tdm_ballot *b, double *share);
// What says the same as vote 0, as a share of the weights of all votes but that one; *agree: how many do.
double tdm_ballot_support(const struct tdm_ballot *b, int *agree);
