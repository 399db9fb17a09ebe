// Fiber: a stack that a thread can leave in the middle of a call, and that any thread can go on with later.
//
// What runs on a fiber may find itself on another thread after a switch: the address of errno or of a thread's own
// variable, taken before, is another thread's then. Sanitizers are told of every switch.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <ucontext.h>

struct tdm_fiber {            // of a thread itself: zeroed, and filled when it is left
	void *top;                // of its stack, where the processor is one that we know
	ucontext_t context;       // elsewhere
	void (*entry)(void *arg); // does not return
	void *arg;
	struct tdm_fiber *from; // who switched to it
	char *stack;            // NULL: of a thread itself
	const void *bottom;     // for sanitizers: where its stack is, what they keep for it
	size_t bytes;
	void *fake, *race;
};

// The stack takes memory as it is used, and its end is guarded. NULL: no memory.
struct tdm_fiber *tdm_fiber_new(void (*entry)(void *arg), void *arg);
void tdm_fiber_free(struct tdm_fiber *f);                            // nobody is on it
void tdm_fiber_switch(struct tdm_fiber *from, struct tdm_fiber *to); // returns when somebody switches to `from`
