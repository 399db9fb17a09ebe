// Trip: whether round trips to a target elsewhere, which each bring a few tokens, are sooner than its plain answers.
//
// The rules it protects: only measured time decides, so a plain answer comes first; trying what the figures speak
// against is paid from a purse that seven thousandths of all time go into; and what wins is compared again with a plain
// answer now and then.
//
// Pure arithmetic over one struct of the caller's; a copy is a snapshot.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct tdm_trip {
	double plain_us;        // a token of a plain answer; 0 = none yet
	double trip_us, tokens; // a trip, with what was drafted for it, and what it brings; 0 = none yet
	double purse_us;
	int n_since; // answers since the last plain one
};

void tdm_trip_plain(struct tdm_trip *t, int64_t us, int64_t n_tokens); // a whole plain answer
void tdm_trip_made(struct tdm_trip *t, int64_t us, int n_tokens);
bool tdm_trip_loses(const struct tdm_trip *t); // by what is measured; false where nothing is
// Whether the next answer goes by trips. One that loses is left after TDM_TRIP_LOSSES trips, which is what trying
// costs.
enum { TDM_TRIP_LOSSES = 2 };
bool tdm_trip_choose(struct tdm_trip *t);
