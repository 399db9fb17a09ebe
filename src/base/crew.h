// Crew: threads of the process that wait for work of any caller, so that doing two things at once costs no new thread.
//
// Work that nobody has begun when its caller wants the result is done by the caller: a busy machine loses nothing, and
// a task may start tasks of its own.
#pragma once
#include <stdbool.h>

enum tdm_task_state { TDM_TASK_QUEUED, TDM_TASK_BEGUN, TDM_TASK_DONE };

struct tdm_task { // the caller's, until finish() returns
	void (*fn)(void *arg);
	void *arg;
	enum tdm_task_state state;
	struct tdm_task *next;
};

void tdm_task_start(struct tdm_task *t);  // t with fn and arg, which run once, here or elsewhere
void tdm_task_finish(struct tdm_task *t); // fn has returned
bool tdm_task_cancel(struct tdm_task *t); // true: it has not begun and never will; false: as finish()
