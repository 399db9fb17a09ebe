// Follow: an answer of the target, which goes through guesses (guess.h) in one pass and keeps what it would have said
// itself.
//
// The rule it protects: every token is chosen as the target alone chooses it, from the same row with the same draw, so
// the answer is the target's own at every temperature, whatever was guessed and however often. A guess only decides
// which rows are computed together.
#pragma once
#include "cost/defer/dictate.h"
#include "cost/speculate/habit.h"
#include "cost/speculate/worth.h"
#include "models/model.h"
#include <pthread.h>

// The better first. Of a text: what a model writes, which takes time, so it is the only source of its kind.
enum tdm_guess_from { TDM_FROM_LOOKUP = 1, TDM_FROM_LEARNED = 2, TDM_FROM_RECYCLE = 4, TDM_FROM_TEXT = 8 };

struct tdm_follow_kind { // of the kind's model; lives as long as it
	const char *name;
	struct tdm_model *target;
	unsigned from;             // enum tdm_guess_from, all that are asked
	struct tdm_habits *habits; // for learned and recycle
	struct tdm_model *writer;  // of a text
	double min_prob;           // likewise
	_Atomic int32_t end;       // likewise: 2 more than the token that ends an answer; 0 = not looked for yet
	int most;                  // tokens of a guess
	bool adaptive;             // the length is chosen by time; else always as long as it can be
	pthread_mutex_t lock;      // guards pace and worth
	struct tdm_pace pace;      // what answers have learned so far
	struct tdm_worth worth;    // with the lock too: of drafts of a model
};

void tdm_follow_init(struct tdm_follow_kind *k);
void tdm_follow_release(struct tdm_follow_kind *k);
// What answers have learned, for one that begins; and back, when it ends.
void tdm_follow_learned(struct tdm_follow_kind *k, struct tdm_pace *out);
void tdm_follow_learn(struct tdm_follow_kind *k, const struct tdm_pace *pace);
int tdm_follow(struct tdm_follow_kind *k, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
               struct tdm_result *result);
