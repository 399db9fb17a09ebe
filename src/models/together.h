// Together: work on several models at the same time, so that a strategy over models waits for the slowest one and not
// for their sum.
#pragma once
#include "base/crew.h"
#include "models/model.h"

enum { TDM_TOGETHER_MAX = 8 };

// Work that another thread of the crew takes up; what none has taken up by then, join() does itself. A run belongs to
// one thread, so the work has one of its own: the same request, seed, deadline and watchers, with its own memory and
// error.
struct tdm_apart {
	struct tdm_run run;
	struct tdm_arena arena;
	int (*work)(void *arg, struct tdm_run *run);
	void *arg;
	struct tdm_task task;
	int status;
};
void tdm_apart_start(struct tdm_apart *p, const struct tdm_run *run, int (*work)(void *arg, struct tdm_run *run),
                     void *arg);
// Waits for the work: its status, its error then in run->error. What it has taken from its run's arena is gone.
int tdm_apart_join(struct tdm_apart *p, struct tdm_run *run);
// Gives the work up if it has not begun; else waits for it. True: it was done, and its status is TDM_OK.
bool tdm_apart_cancel(struct tdm_apart *p);

// prompt() of sessions[0..n-1], each on a thread of its own; the caller's thread takes the first one. The status is
// that of the first session that failed, with its error in run->error; the others are prompted then all the same. n is
// at most TDM_TOGETHER_MAX.
int tdm_together_prompt(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *const *sessions,
                        int n);
