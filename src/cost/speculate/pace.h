// Pace: how many guessed tokens are worth a place in the next pass, from what passes have taken and what guesses have
// brought. It is what makes speculation end by itself where it loses, and come back where it would win.
//
// The rules it protects: only measured time decides; a pass without guesses is the measure of all others. What has not
// been tried for long may have become cheaper, so that no unlucky measurement lasts; but trying what the figures speak
// against is paid from a purse that seven thousandths of all time go into. What guesses would have brought is learned
// from the text that comes, whether they were in a pass or not.
//
// Pure arithmetic over one struct of the caller's; a copy is a snapshot.
#pragma once
#include "cost/speculate/guess.h"
#include <stdbool.h>

struct tdm_pace {
	double pass_us[TDM_GUESS_MOST + 2]; // of passes with so many tokens; 0 = none yet
	double fresh[TDM_GUESS_MOST + 2];   // 1: tried just now; falls
	double purse_us;
	double gain[TDM_GUESS_SORTS][TDM_GUESS_MOST + 1];   // tokens that came of a guess cut to so many
	double asked[TDM_GUESS_MOST], came[TDM_GUESS_MOST]; // places of drafts or trees: how often there was one, came true
	double held, broke;                                 // drafted tokens that came true; drafts that did not, at one
	double look_us, tried[TDM_GUESS_MOST], made[TDM_GUESS_MOST]; // of drafts, where told: what a look takes; places
	                                                             // that were looked at, and that got a token
};

void tdm_pace_init(struct tdm_pace *p);
void tdm_pace_pass(struct tdm_pace *p, int n_tokens, int64_t us); // one pass
double tdm_pace_cost(const struct tdm_pace *p, int n_tokens);     // microseconds that a pass would take; 0 = unknown
// How many of a guess's first tokens to put into the next pass, at most `most`; 0: none.
int tdm_pace_choose(struct tdm_pace *p, const struct tdm_guess *g, int most);
// Whether it is known that guesses of that sort, of at most n tokens, are not worth it now.
bool tdm_pace_is_off(struct tdm_pace *p, int sort, int n);
// For drafts that cost time to make: of one of at most m tokens, `kept` came true. Where made() is not told of them,
// pass() is told the time of draft and pass together, as of a pass of 1 + m tokens.
void tdm_pace_kept(struct tdm_pace *p, int sort, int m, int kept);
void tdm_pace_made(struct tdm_pace *p, int m, int n, int64_t us); // of at most m > 0 tokens, n were made in us
// The same for trees, whose tokens have their order: those at path[0..kept) came true.
void tdm_pace_branched(struct tdm_pace *p, int sort, int m, const int *path, int kept);
double tdm_pace_each(const struct tdm_pace *p, int sort, int m); // microseconds for a token of the answer; 0 = unknown
// Of n drafted tokens, `kept` came true: how many of a draft do at even odds is in run(), 0 = unknown.
void tdm_pace_held(struct tdm_pace *p, int n, int kept);
int tdm_pace_run(const struct tdm_pace *p, int most);

// A guess beside the text that comes, one at a time from its beginning to its end: only so is what is learned fair.
struct tdm_watch {
	struct tdm_guess guess;
	bool is_on;
	int path[TDM_GUESS_MOST], n; // of the nodes that came true
};
void tdm_watch_start(struct tdm_watch *w, const struct tdm_guess *g); // unless there is one that is not over
void tdm_watch_token(struct tdm_watch *w, struct tdm_pace *p, int32_t token);
