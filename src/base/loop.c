// Loop: see loop.h. A strand is a fiber that takes events, one after the other, on whatever thread runs it. One that
// waits in the middle of an event leaves its thread to another strand; the event that it waits for is taken by a strand
// with nothing in hand, which gives up its thread to it.
//
// A seat is the right to take events; there are as many as processors. A thread that may block leaves its seat to
// another thread, and the ticker takes away that of one that has stayed at an event.
//
// Locks: loop->mutex guards what is marked so. A line is waited for by its state alone: FREE, HAPPENED, or the strand
// that waits. The memory of lines is never given back, so that a late event finds one, if perhaps another's: who waits
// looks for itself whether there is something.
#include "base/loop.h"
#include "base/blocks.h"
#include "base/clock.h"
#include "base/fiber.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)256 << 10) // of a thread, which does nothing on its own
#define IS_LINE (UINT64_C(1) << 63)
#define STOP UINT64_MAX
#define STIRRED (UINT64_MAX - 1)
#define SPARE_MS 2000 // a thread beyond two ends after so long without work
#define SPARE_THREADS 2
#define MOST_SEATS 64
#define TICK_MS 2
#define LONG_TICKS 10 // an event that takes longer is taken to block
#define LATE_TICKS 5  // between two looks at who waits too long
#define QUIET_TICKS 100
#define SLEEP_MS 100 // of the ticker, where nothing happens
#define TRIM_TICKS 500
#define SPARE_STRANDS 4

struct worker {
	struct tdm_loop *loop;
	struct tdm_fiber root;
	struct strand *strand; // that it runs, or ran last
	atomic_bool seated;
	bool is_new;          // it is among the loop's n_new; guarded by its mutex
	atomic_uint beats;    // odd: at an event
	unsigned seen, ticks; // for so many ticks it has been at the event that was seen last
	int id;
	struct worker *next, *before;
};

enum leaving { RESTS, WAITS };

struct strand {
	struct tdm_fiber *fiber;
	struct tdm_loop *loop;
	struct strand *from; // who left it the thread, and how; NULL: the thread itself
	enum leaving how;
	struct tdm_line *line;
	struct strand *next; // at rest, or among all that wait
	struct strand *before;
	struct strand *stirred; // the next one
	int64_t until_us;
};

struct tdm_line {
	_Atomic(struct strand *) state;
	uint64_t loop; // its number
	int epoll, fd; // fd: -1 = closed; guarded by lines_lock
	struct tdm_line *next;
};
static struct strand happened; // as a state
#define FREE NULL
#define HAPPENED (&happened)

static pthread_mutex_t lines_lock = PTHREAD_MUTEX_INITIALIZER; // guards what follows
static struct tdm_line *free_lines;
static uint64_t n_loops;

struct tdm_loop {
	struct tdm_loop_options options;
	int epoll, stop, stir; // stir: an eventfd that counts `stirred`
	uint64_t number;
	size_t n_seats;
	pthread_t ticker;
	atomic_size_t n_polling, n_waiting, n_seated; // n_seated: written with the mutex
	atomic_bool is_asleep;                        // the ticker
	atomic_bool is_stopping;

	pthread_mutex_t mutex; // guards what follows
	pthread_cond_t free_seat, ended, busy;
	size_t n_threads, n_standing, n_called, n_new; // standing: who waits for a seat; called: those of them who are told
	                                               // of one; new: threads that have not asked for one yet
	struct worker *workers;
	struct strand *resting, *waiting; // the last one to rest is the first one to go on
	struct strand *stirred;           // whose time is over, and that somebody has to go on with
	size_t n_resting, least_resting;
	bool has_ticker;
};

static _Thread_local struct worker *worker;

// Who runs here now. After a switch it is another: the address of a thread's own variable is not kept over one.
static __attribute__((noinline)) struct worker *here(void) {
	__asm__ volatile("" ::: "memory");
	return worker;
}

// --- seats

static void *work(void *arg);

// With the mutex held.
static bool start_thread(struct tdm_loop *l) {
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	bool started = pthread_create(&thread, &attributes, work, l) == 0;
	pthread_attr_destroy(&attributes);
	l->n_threads += started;
	return started;
}

// With the mutex held. Nobody is called to a seat that somebody is on the way to.
static void fill_seats(struct tdm_loop *l) {
	if (l->n_seated + l->n_called + l->n_new >= l->n_seats || atomic_load(&l->is_stopping))
		return;
	if (l->n_standing > l->n_called) {
		l->n_called++;
		pthread_cond_signal(&l->free_seat);
	} else if (start_thread(l)) {
		l->n_new++;
	}
}

// With the mutex held.
static void leave_seat(struct worker *w) {
	bool was = atomic_exchange(&w->seated, false);
	w->loop->n_seated -= was;
	if (was)
		fill_seats(w->loop);
}

void tdm_loop_blocks(void) {
	struct worker *w = here();
	if (!w || !atomic_load_explicit(&w->seated, memory_order_relaxed))
		return;
	pthread_mutex_lock(&w->loop->mutex);
	leave_seat(w);
	pthread_mutex_unlock(&w->loop->mutex);
}

static void add_ms(struct timespec *t, int ms) {
	clock_gettime(CLOCK_MONOTONIC, t);
	t->tv_nsec += ms % 1000 * 1000000L;
	t->tv_sec += ms / 1000 + t->tv_nsec / 1000000000;
	t->tv_nsec %= 1000000000;
}

// With the mutex held: until there is a free seat, or nothing to do for too long.
static void stand(struct tdm_loop *l) {
	struct timespec until;
	bool late = false;
	add_ms(&until, SPARE_MS);
	l->n_standing++;
	while (l->n_seated >= l->n_seats && !late && !atomic_load(&l->is_stopping)) {
		late = pthread_cond_timedwait(&l->free_seat, &l->mutex, &until) == ETIMEDOUT;
		l->n_called -= l->n_called > 0; // whoever it was that was called: he is here
	}
	l->n_standing--;
	if (l->n_called > l->n_standing)
		l->n_called = l->n_standing;
}

// false: the thread is to end.
static bool take_seat(struct worker *w) {
	struct tdm_loop *l = w->loop;
	if (atomic_load_explicit(&w->seated, memory_order_relaxed))
		return true;
	tdm_blocks_free(); // others have more use for them than who may stand for long
	pthread_mutex_lock(&l->mutex);
	l->n_new -= w->is_new;
	w->is_new = false;
	stand(l);
	bool took = l->n_seated < l->n_seats && !atomic_load(&l->is_stopping);
	l->n_seated += took;
	atomic_store(&w->seated, took);
	pthread_mutex_unlock(&l->mutex);
	if (took)
		tdm_blocks_keep();
	return took;
}

// A thread that has had nothing to do for a while ends, as long as others are there.
static bool is_spare(struct worker *w) {
	struct tdm_loop *l = w->loop;
	pthread_mutex_lock(&l->mutex);
	bool spare = l->n_seated > SPARE_THREADS && atomic_exchange(&w->seated, false);
	l->n_seated -= spare;
	pthread_mutex_unlock(&l->mutex);
	return spare;
}

// Somebody has an event and nobody waits for the next one.
static void call_another(struct tdm_loop *l) {
	if (atomic_load(&l->n_seated) >= l->n_seats)
		return;
	pthread_mutex_lock(&l->mutex);
	fill_seats(l);
	pthread_mutex_unlock(&l->mutex);
}

// --- strands

static void run(void *arg);

static void rest(struct strand *s) {
	struct tdm_loop *l = s->loop;
	pthread_mutex_lock(&l->mutex);
	s->next = l->resting;
	l->resting = s;
	l->n_resting++;
	pthread_mutex_unlock(&l->mutex);
}

static struct strand *new_strand(struct tdm_loop *l) {
	struct strand *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->loop = l;
	s->fiber = tdm_fiber_new(run, s);
	if (s->fiber)
		return s;
	free(s);
	return NULL;
}

static struct strand *take_strand(struct tdm_loop *l) {
	pthread_mutex_lock(&l->mutex);
	struct strand *s = l->resting;
	if (s) {
		l->resting = s->next;
		l->n_resting--;
		if (l->n_resting < l->least_resting)
			l->least_resting = l->n_resting;
	}
	pthread_mutex_unlock(&l->mutex);
	return s ? s : new_strand(l);
}

// The thread has come to s. Who left it is whole only now, and may be gone on with: elsewhere, or, where what it waits
// for has happened meanwhile, here at once.
static void settle(struct strand *s) {
	for (;;) {
		struct strand *from = s->from, *none = FREE;
		here()->strand = s;
		if (from && s->how == RESTS)
			rest(from);
		if (!from || s->how == RESTS || atomic_compare_exchange_strong(&from->line->state, &none, from))
			return;
		atomic_store(&from->line->state, FREE);
		from->from = s;
		from->how = RESTS;
		tdm_fiber_switch(s->fiber, from->fiber);
	}
}

static void go_to(struct strand *s, struct strand *to, enum leaving how) {
	to->from = s;
	to->how = how;
	tdm_fiber_switch(s->fiber, to->fiber);
	settle(s);
}

static void on_line(struct strand *s, struct tdm_line *line) {
	struct strand *state = atomic_load(&line->state);
	while (state != HAPPENED)
		if (atomic_compare_exchange_weak(&line->state, &state, state ? FREE : HAPPENED)) {
			if (state)
				go_to(s, state, RESTS);
			return;
		}
}

static void on_stirred(struct strand *s) {
	struct tdm_loop *l = s->loop;
	eventfd_t one;
	if (eventfd_read(l->stir, &one))
		return;
	pthread_mutex_lock(&l->mutex);
	struct strand *late = l->stirred;
	l->stirred = late->stirred;
	pthread_mutex_unlock(&l->mutex);
	go_to(s, late, RESTS);
}

static void take_event(struct strand *s, const struct epoll_event *event) {
	struct tdm_loop *l = s->loop;
	uint64_t name = event->data.u64;
	if (atomic_load_explicit(&l->is_asleep, memory_order_relaxed)) {
		pthread_mutex_lock(&l->mutex);
		pthread_cond_signal(&l->busy);
		pthread_mutex_unlock(&l->mutex);
	}
	if (name == STIRRED)
		on_stirred(s);
	else if (name & IS_LINE)
		on_line(s, (struct tdm_line *)(uintptr_t)(name & ~IS_LINE));
	else
		l->options.event(l->options.context, name, event->events);
}

// Said when it begins, not when an event ends: which strand goes on here after an event, and where in its code, is
// another matter.
static void beat(struct worker *w, bool at_event) {
	unsigned beats = atomic_load_explicit(&w->beats, memory_order_relaxed);
	atomic_store_explicit(&w->beats, at_event ? beats | 1 : (beats + 1) & ~1u, memory_order_relaxed);
}

// Waits for one event and takes it. false: there will be no more for this thread.
static bool take_one(struct strand *s) {
	struct tdm_loop *l = s->loop;
	struct worker *w = here();
	struct epoll_event event;
	beat(w, false);
	if (!take_seat(w))
		return false;
	atomic_fetch_add_explicit(&l->n_polling, 1, memory_order_relaxed);
	int n = epoll_wait(l->epoll, &event, 1, SPARE_MS);
	bool is_last = atomic_fetch_sub_explicit(&l->n_polling, 1, memory_order_relaxed) == 1;
	if (n == 0)
		return !is_spare(w);
	if (n < 0)
		return true;
	if (event.data.u64 == STOP)
		return false;
	beat(w, true);
	if (is_last && l->n_seats > 1)
		call_another(l);
	take_event(s, &event);
	return true;
}

static void run(void *arg) {
	struct strand *s = arg;
	settle(s);
	for (;;) {
		while (take_one(s))
			;
		struct worker *w = here();
		tdm_fiber_switch(s->fiber, &w->root);
		settle(s);
	}
}

// --- threads

static void join(struct worker *w) {
	struct tdm_loop *l = w->loop;
	pthread_mutex_lock(&l->mutex);
	w->next = l->workers;
	if (w->next)
		w->next->before = w;
	l->workers = w;
	pthread_mutex_unlock(&l->mutex);
}

static void part(struct worker *w) {
	struct tdm_loop *l = w->loop;
	pthread_mutex_lock(&l->mutex);
	l->n_new -= w->is_new;
	leave_seat(w);
	if (w->before)
		w->before->next = w->next;
	else
		l->workers = w->next;
	if (w->next)
		w->next->before = w->before;
	l->n_threads--;
	pthread_cond_broadcast(&l->ended);
	pthread_mutex_unlock(&l->mutex);
}

static void *work(void *arg) {
	struct worker w = {.loop = arg, .is_new = true, .id = (int)gettid()};
	struct strand *s = take_strand(arg);
	worker = &w;
	join(&w);
	if (s) {
		s->from = NULL;
		tdm_fiber_switch(&w.root, s->fiber);
		rest(w.strand);
	}
	worker = NULL;
	tdm_blocks_free();
	part(&w);
	return NULL;
}

// --- the ticker: who stays at an event, who waits for too long, stacks that nobody needs

// Whether a thread waits for something, as the system says; one that only waits for a processor does not.
static bool is_blocked(const struct worker *w) {
	char path[64], line[256];
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", w->id);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
	if (fd >= 0)
		close(fd);
	line[n < 0 ? 0 : n] = 0;
	const char *end = strrchr(line, ')'); // of its name, which may hold anything
	return !end || end[1] != ' ' || end[2] != 'R';
}

// Who blocks at its event, or has been at it for long, leaves its seat to another.
static size_t unseat_stuck(struct tdm_loop *l) {
	size_t n_new = 0;
	for (struct worker *w = l->workers; w; w = w->next) {
		unsigned beats = atomic_load(&w->beats);
		w->ticks = beats == w->seen ? w->ticks + 1 : 0;
		if ((beats & 1) && w->ticks && atomic_load(&w->seated) && (w->ticks > LONG_TICKS || is_blocked(w)))
			leave_seat(w);
		n_new += beats != w->seen;
		w->seen = beats;
	}
	return n_new;
}

// With the mutex held, which who waits needs to go on. Whoever's event comes at the same time goes on with that.
static void stir_late(struct tdm_loop *l) {
	int64_t now_us = tdm_now_us();
	for (struct strand *s = l->waiting; s; s = s->next) {
		struct strand *state = s;
		if (now_us <= s->until_us || !atomic_compare_exchange_strong(&s->line->state, &state, FREE))
			continue;
		s->stirred = l->stirred;
		l->stirred = s;
		(void)!eventfd_write(l->stir, 1);
	}
}

// With the mutex held: the strands that nobody has needed for a while.
static struct strand *take_spare(struct tdm_loop *l) {
	struct strand *spare = NULL;
	for (; l->least_resting > SPARE_STRANDS && l->resting; l->least_resting--) {
		struct strand *s = l->resting;
		l->resting = s->next;
		l->n_resting--;
		s->next = spare;
		spare = s;
	}
	l->least_resting = l->n_resting;
	return spare;
}

static void free_strands(struct strand *s) {
	for (struct strand *next; s; s = next) {
		next = s->next;
		tdm_fiber_free(s->fiber);
		free(s);
	}
}

static void *tick(void *arg) {
	struct tdm_loop *l = arg;
	struct timespec until;
	size_t quiet = 0;
	pthread_mutex_lock(&l->mutex);
	for (size_t i = 0; !atomic_load(&l->is_stopping); i++) {
		bool sleeps = quiet > QUIET_TICKS && !atomic_load(&l->n_waiting);
		atomic_store(&l->is_asleep, sleeps);
		add_ms(&until, sleeps ? SLEEP_MS : TICK_MS);
		pthread_cond_timedwait(&l->busy, &l->mutex, &until);
		quiet = unseat_stuck(l) ? 0 : quiet + 1;
		if (!l->n_seated)
			fill_seats(l);
		if (i % LATE_TICKS == 0)
			stir_late(l);
		struct strand *spare = sleeps || i % TRIM_TICKS == 0 ? take_spare(l) : NULL;
		if (spare) {
			pthread_mutex_unlock(&l->mutex);
			free_strands(spare);
			pthread_mutex_lock(&l->mutex);
		}
	}
	pthread_mutex_unlock(&l->mutex);
	return NULL;
}

// --- lines

static struct tdm_line *take_line(void) {
	struct tdm_line *line = free_lines;
	if (line)
		free_lines = line->next;
	else if ((line = calloc(1, sizeof *line)))
		line->fd = -1;
	return line;
}

static void give_line(struct tdm_line *line) {
	line->fd = -1;
	line->next = free_lines;
	free_lines = line;
}

struct tdm_line *tdm_line_open(int fd) {
	struct worker *w = here();
	if (!w)
		return NULL;
	pthread_mutex_lock(&lines_lock);
	struct tdm_line *line = take_line();
	struct epoll_event event = {.events = EPOLLONESHOT, .data.u64 = (uintptr_t)line | IS_LINE};
	if (line) {
		atomic_store(&line->state, FREE);
		line->loop = w->loop->number;
		line->epoll = w->loop->epoll;
		line->fd = fd;
		if (epoll_ctl(line->epoll, EPOLL_CTL_ADD, fd, &event)) {
			give_line(line);
			line = NULL;
		}
	}
	pthread_mutex_unlock(&lines_lock);
	return line;
}

void tdm_line_close(struct tdm_line *line) {
	if (!line)
		return;
	pthread_mutex_lock(&lines_lock);
	give_line(line);
	pthread_mutex_unlock(&lines_lock);
}

bool tdm_line_is_here(const struct tdm_line *line) {
	const struct worker *w = here();
	return w && line && line->loop == w->loop->number;
}

// For one event, so that nobody is woken by what comes while its user is at work.
static bool watch(struct tdm_line *line, bool writes) {
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT | (writes ? EPOLLOUT : 0u),
	                            .data.u64 = (uintptr_t)line | IS_LINE};
	return epoll_ctl(line->epoll, EPOLL_CTL_MOD, line->fd, &event) == 0;
}

static void add_waiting(struct strand *s) {
	struct tdm_loop *l = s->loop;
	pthread_mutex_lock(&l->mutex);
	s->before = NULL;
	s->next = l->waiting;
	if (s->next)
		s->next->before = s;
	l->waiting = s;
	pthread_mutex_unlock(&l->mutex);
	atomic_fetch_add(&l->n_waiting, 1);
}

static void drop_waiting(struct strand *s) {
	struct tdm_loop *l = s->loop;
	pthread_mutex_lock(&l->mutex);
	if (s->before)
		s->before->next = s->next;
	else
		l->waiting = s->next;
	if (s->next)
		s->next->before = s->before;
	pthread_mutex_unlock(&l->mutex);
	atomic_fetch_sub(&l->n_waiting, 1);
}

// Where no other strand can take the thread, it waits itself.
static void block(const struct tdm_line *line, bool writes, int for_ms) {
	struct pollfd ready = {.fd = line->fd, .events = (short)(writes ? POLLIN | POLLOUT : POLLIN)};
	tdm_loop_blocks();
	poll(&ready, 1, for_ms);
}

void tdm_line_wait(struct tdm_line *line, bool writes, int for_ms) {
	struct worker *w = here();
	struct strand *s = w ? w->strand : NULL, *state = HAPPENED;
	if (atomic_compare_exchange_strong(&line->state, &state, FREE))
		return;
	bool can_leave = s && !atomic_load(&s->loop->is_stopping) && watch(line, writes);
	struct strand *next = can_leave ? take_strand(s->loop) : NULL;
	if (!next) {
		block(line, writes, for_ms);
		return;
	}
	s->line = line;
	s->until_us = tdm_now_us() + (int64_t)for_ms * 1000;
	add_waiting(s);
	go_to(s, next, WAITS);
	drop_waiting(s);
}

// --- opening and closing

static size_t count_seats(void) {
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : n > MOST_SEATS ? MOST_SEATS : (size_t)n;
}

static void init_locks(struct tdm_loop *l) {
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&l->mutex, NULL);
	pthread_cond_init(&l->free_seat, &monotonic);
	pthread_cond_init(&l->ended, &monotonic);
	pthread_cond_init(&l->busy, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int tdm_loop_open(const struct tdm_loop_options *o, struct tdm_loop **out, struct tdm_error *err) {
	struct tdm_loop *l = calloc(1, sizeof *l);
	struct epoll_event stop = {.events = EPOLLIN, .data.u64 = STOP}, stirred = {.events = EPOLLIN, .data.u64 = STIRRED};
	if (!l)
		return tdm_fail(err, TDM_ENOMEM, "out of memory");
	l->options = *o;
	l->n_seats = count_seats();
	init_locks(l);
	pthread_mutex_lock(&lines_lock);
	l->number = ++n_loops;
	pthread_mutex_unlock(&lines_lock);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->stir = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	if (l->epoll < 0 || l->stop < 0 || l->stir < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->stop, &stop) ||
	    epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->stir, &stirred)) {
		int status = tdm_fail(err, TDM_EIO, "the server cannot watch its sockets: %s", strerror(errno));
		tdm_loop_close(l);
		return status;
	}
	*out = l;
	return TDM_OK;
}

int tdm_loop_start(struct tdm_loop *l, struct tdm_error *err) {
	pthread_mutex_lock(&l->mutex);
	fill_seats(l);
	fill_seats(l);
	l->has_ticker = l->n_threads && pthread_create(&l->ticker, NULL, tick, l) == 0;
	pthread_mutex_unlock(&l->mutex);
	return l->has_ticker ? TDM_OK : tdm_fail(err, TDM_EIO, "the server cannot start its threads");
}

int tdm_loop_epoll(const struct tdm_loop *l) {
	return l->epoll;
}

void tdm_loop_close(struct tdm_loop *l) {
	while (atomic_load(&l->n_waiting))
		poll(NULL, 0, TICK_MS);
	pthread_mutex_lock(&l->mutex);
	atomic_store(&l->is_stopping, true);
	if (l->stop >= 0)
		(void)!eventfd_write(l->stop, 1);
	pthread_cond_broadcast(&l->free_seat);
	pthread_cond_signal(&l->busy);
	while (l->n_threads)
		pthread_cond_wait(&l->ended, &l->mutex);
	pthread_mutex_unlock(&l->mutex);
	if (l->has_ticker)
		pthread_join(l->ticker, NULL);
	free_strands(l->resting);
	if (l->epoll >= 0)
		close(l->epoll);
	if (l->stop >= 0)
		close(l->stop);
	if (l->stir >= 0)
		close(l->stir);
	pthread_cond_destroy(&l->free_seat);
	pthread_cond_destroy(&l->ended);
	pthread_cond_destroy(&l->busy);
	pthread_mutex_destroy(&l->mutex);
	free(l);
}
