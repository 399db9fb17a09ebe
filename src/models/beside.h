// Beside: parts of one request that run beside each other, at most so many at a time, and are taken in their order, so
// that what comes of them does not depend on how many run at once.
//
// The rule it protects: a part has a run, a memory and a record of its own; when it is taken its rows and its memory go
// to the caller's, in the order of the parts. The scans of bytes that leave, which are made for one thread, are made
// one at a time. Whoever takes may end it: parts that have begun are given up, the others never begin.
#pragma once
#include "models/model.h"

struct tdm_beside {
	int (*work)(void *arg, size_t i, struct tdm_run *run);
	// On the caller's thread, with the status of part i and, where it failed, its error in run->error. What it returns,
	// if not TDM_OK, ends it all.
	int (*take)(void *arg, size_t i, int status, struct tdm_run *run);
	void *arg;
};
// n parts, at most `most` of them begun and not taken. TDM_OK, what take() returned, or TDM_ENOMEM. No part runs when
// it returns.
int tdm_beside_run(const struct tdm_beside *b, struct tdm_run *run, size_t n, size_t most);
