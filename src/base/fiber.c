// Fiber: see fiber.h. The functions of sanitizers are there only in their builds.
#include "base/fiber.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define STACK_BYTES ((size_t)1 << 20) // address space; what is never used costs nothing
#define GUARD_BYTES ((size_t)4096)

#define OPTIONAL __attribute__((weak))
extern void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t bytes) OPTIONAL;
extern void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *bytes) OPTIONAL;
extern void *__tsan_get_current_fiber(void) OPTIONAL;
extern void *__tsan_create_fiber(unsigned flags) OPTIONAL;
extern void __tsan_destroy_fiber(void *race) OPTIONAL;
extern void __tsan_switch_to_fiber(void *race, unsigned flags) OPTIONAL;

// Where the stack is that was left is known from here on, a thread's own too.
static void arrive(struct tdm_fiber *f) {
	if (__sanitizer_finish_switch_fiber)
		__sanitizer_finish_switch_fiber(f->fake, &f->from->bottom, &f->from->bytes);
}

static __attribute__((used)) void start(struct tdm_fiber *f) {
	arrive(f);
	f->entry(f->arg);
	__builtin_trap(); // an entry does not return
}

#ifdef __x86_64__
// The registers that a call keeps go onto the stack that is left, and come from the one that is gone to; without the
// system calls of swapcontext, which keeps the set of blocked signals too.
__asm__(".text\n"
        ".local swap\n.type swap, @function\n"
        "swap:\n"
        "\tpushq %rbp\n\tpushq %rbx\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n"
        "\tmovq %rsp, (%rdi)\n"
        "\tmovq %rsi, %rsp\n"
        "\tpopq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbx\n\tpopq %rbp\n"
        "\tret\n"
        ".size swap, .-swap\n"
        ".local begin\n.type begin, @function\n"
        "begin:\n"
        "\tmovq %r12, %rdi\n\txorl %ebp, %ebp\n\tcall start\n\tud2\n"
        ".size begin, .-begin\n");
void swap(void **left, void *to);
void begin(void);

static bool prepare(struct tdm_fiber *f) {
	void **top = (void **)(f->stack + STACK_BYTES);
	// r15 to r12, rbx, rbp, where to go; begin() finds the stack as a function's call needs it.
	void *const first[] = {NULL, NULL, NULL, f, NULL, NULL, (void *)(uintptr_t)begin, NULL, NULL};
	f->top = memcpy(top - 9, first, sizeof first);
	return true;
}

static void leave_for(struct tdm_fiber *from, struct tdm_fiber *to) {
	swap(&from->top, to->top);
}
#else
static void start_at(unsigned high, unsigned low) {
	start((struct tdm_fiber *)((uintptr_t)high << 32 | low));
}

static bool prepare(struct tdm_fiber *const f) {
	uintptr_t at = (uintptr_t)f;
	if (getcontext(&f->context))
		return false;
	f->context.uc_stack.ss_sp = f->stack + GUARD_BYTES;
	f->context.uc_stack.ss_size = f->bytes;
	makecontext(&f->context, (void (*)(void))start_at, 2, (unsigned)(at >> 32), (unsigned)at);
	return true;
}

static void leave_for(struct tdm_fiber *from, struct tdm_fiber *to) {
	swapcontext(&from->context, &to->context);
}
#endif

struct tdm_fiber *tdm_fiber_new(void (*entry)(void *arg), void *arg) {
	struct tdm_fiber *f = calloc(1, sizeof *f);
	void *stack = f ? mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)
	                : MAP_FAILED;
	if (stack == MAP_FAILED) {
		free(f);
		return NULL;
	}
	f->entry = entry;
	f->arg = arg;
	f->stack = stack;
	f->bottom = f->stack + GUARD_BYTES;
	f->bytes = STACK_BYTES - GUARD_BYTES;
	if (mprotect(stack, GUARD_BYTES, PROT_NONE) || !prepare(f)) {
		tdm_fiber_free(f);
		return NULL;
	}
	f->race = __tsan_create_fiber ? __tsan_create_fiber(0) : NULL;
	return f;
}

void tdm_fiber_free(struct tdm_fiber *f) {
	if (f->race)
		__tsan_destroy_fiber(f->race);
	munmap(f->stack, STACK_BYTES);
	free(f);
}

void tdm_fiber_switch(struct tdm_fiber *from, struct tdm_fiber *to) {
	to->from = from;
	if (__tsan_get_current_fiber && !from->stack)
		from->race = __tsan_get_current_fiber();
	if (__sanitizer_start_switch_fiber)
		__sanitizer_start_switch_fiber(&from->fake, to->bottom, to->bytes);
	if (to->race)
		__tsan_switch_to_fiber(to->race, 0);
	leave_for(from, to);
	arrive(from);
}
