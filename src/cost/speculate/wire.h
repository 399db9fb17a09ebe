// Wire: an answer of a target that is elsewhere, drafted here and verified there: the upstream reads context, answer
// and draft in one call that echoes its prompt with log-probabilities, and what it would have written itself stays.
//
// The rules it protects: the answer is the upstream's own greedy one, byte for byte, or it is asked plainly; only what
// it has verified leaves (echoed.h); what has left is never followed by words of another answer. Greedy alone can be
// verified this way, so every other request is asked plainly, and the receipt says so.
//
// Whether it is worth it is decided before and while an answer comes, by the measured time of calls and of plain
// answers, and by the price of prompts that are sent again and again.
#pragma once
#include "cost/speculate/trip.h"
#include "models/model.h"
#include <pthread.h>

struct tdm_wire_kind { // of the kind's model; lives as long as it
	const char *name;
	struct tdm_model *target, *draft;
	int most;      // tokens of a draft
	bool adaptive; // whether it is done at all is decided by time
	double min_prob;
	double dearer;              // how many times the price of a plain answer it may cost
	pthread_mutex_t lock;       // guards trip
	struct tdm_trip trip;       // what answers have learned so far
	_Atomic int64_t refused_us; // when the upstream was found not to echo; 0 = never
};

void tdm_wire_init(struct tdm_wire_kind *k);
void tdm_wire_release(struct tdm_wire_kind *k);
int tdm_wire(struct tdm_wire_kind *k, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
             struct tdm_result *result);
