// Habits: what followed what in the traffic of a tenant: runs of tokens and the token after them, and the best
// successors of a token as the target ranked them.
//
// The rules they protect: nothing of a tenant's traffic is in a guess for another; memory is bounded: a room of fixed
// size for each tenant, a fixed number of rooms, of which the one that was used longest ago is emptied for a new
// tenant. A full room forgets what came up least.
#pragma once
#include "cost/speculate/guess.h"
#include <stddef.h>

struct tdm_habits; // may be used by many threads

enum { TDM_HABIT_RUN = 4, TDM_HABIT_SUCCESSORS = 8 }; // longest run; of a token

struct tdm_habits *tdm_habits_new(size_t room_bytes, int n_rooms); // NULL: no memory
void tdm_habits_free(struct tdm_habits *h);                        // NULL is fine
// What is read: that text[from..n) came after what stands before it. tenant may be NULL: nobody's.
void tdm_habits_read(struct tdm_habits *h, const char *tenant, const int32_t *text, int n, int from);
// What the target thinks of the tokens after `token`.
void tdm_habits_rank(struct tdm_habits *h, const char *tenant, int32_t token, const float *logits, int n_vocab);
// What followed the longest run at the end of the text, again and again: a chain of at most `most`. sort: 0 to
// TDM_HABIT_RUN - 2, by the length of the first run.
void tdm_habits_follow(struct tdm_habits *h, const char *tenant, const int32_t *text, int n, int most,
                       struct tdm_guess *out);
// A tree of the best successors of the best successors, at most `most` of them (token recycling, arXiv 2408.08696).
// sort 0.
void tdm_habits_branch(struct tdm_habits *h, const char *tenant, int32_t token, int most, struct tdm_guess *out);
