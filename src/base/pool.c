// Pool: threads that run the parts of one job together.
//
// The rule kept here: a part is run by whoever lowers `unclaimed`, and fn, arg and n_parts change only while no part
// is unclaimed or running. So a thread that wakes late can never run a part of a job that is over, and the caller
// waits for parts, not for threads. run_lock: one job at a time. lock: guards sleeping only.
//
// Where other processes want the same cores, a thread can lose its core in the middle of a part, and everybody waits
// for a time slice. A caller that had to wait so runs the next jobs alone, for several times as long as it lost, the
// longer the more often it happens: two threads beside a busy process are then no slower than one.
#include "base/pool.h"
#include "base/clock.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#define N_SPINS 2000

enum { STALL_US = 150, LEAST_ALONE = 4, CALM_US = 50000, YIELD_US = 4000 };
// A wait as long as a time slice says that somebody wants the core all the time, a shorter one that he is soon done.
enum { SLICE_US = 1000, MOST_ALONE = 12, MOST_ALONE_OF_SLICES = 48 };

struct tdm_pool {
	pthread_mutex_t run_lock, lock;
	pthread_cond_t wake, done;
	tdm_pool_fn *fn;
	void *arg;
	int n_parts;
	atomic_int unclaimed;   // parts that nobody has taken
	atomic_int unfinished;  // parts that have not returned
	atomic_int n_sleeping;  // threads at or before `wake`
	atomic_bool is_waiting; // the caller is at or before `done`
	atomic_bool is_over;
	// of the caller: until when it runs alone; how many times what it lost; when it had to wait last
	int64_t alone_until_us, stalled_us;
	int times_alone;
	int n_threads; // the caller's included
	pthread_t threads[];
};

static void relax(void) {
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void finish_part(struct tdm_pool *pool) {
	if (atomic_fetch_sub(&pool->unfinished, 1) != 1 || !atomic_load(&pool->is_waiting))
		return;
	pthread_mutex_lock(&pool->lock);
	pthread_cond_signal(&pool->done);
	pthread_mutex_unlock(&pool->lock);
}

// The number of parts that were done here.
static int work(struct tdm_pool *pool) {
	int left = atomic_load(&pool->unclaimed), n = 0;
	while (left > 0) {
		if (!atomic_compare_exchange_weak(&pool->unclaimed, &left, left - 1))
			continue;
		pool->fn(pool->arg, pool->n_parts - left, pool->n_parts);
		finish_part(pool);
		n++;
		left = atomic_load(&pool->unclaimed);
	}
	return n;
}

static bool has_news(struct tdm_pool *pool) {
	return atomic_load(&pool->unclaimed) > 0 || atomic_load(&pool->is_over);
}

static void await_job(struct tdm_pool *pool) {
	for (int i = 0; i < N_SPINS; i++) {
		if (has_news(pool))
			return;
		relax();
	}
	pthread_mutex_lock(&pool->lock);
	atomic_fetch_add(&pool->n_sleeping, 1);
	while (!has_news(pool))
		pthread_cond_wait(&pool->wake, &pool->lock);
	atomic_fetch_sub(&pool->n_sleeping, 1);
	pthread_mutex_unlock(&pool->lock);
}

static void *thread_main(void *arg) {
	struct tdm_pool *pool = arg;
	while (!atomic_load(&pool->is_over)) {
		work(pool);
		await_job(pool);
	}
	return NULL;
}

// Signals are for the thread that the program chose for them, so ours block all.
static bool start_threads(struct tdm_pool *pool, int n_threads) {
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (pool->n_threads < n_threads) {
		if (pthread_create(&pool->threads[pool->n_threads - 1], NULL, thread_main, pool) != 0)
			break;
		pool->n_threads++;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pool->n_threads == n_threads;
}

struct tdm_pool *tdm_pool_new(int n_threads) {
	if (n_threads < 1)
		n_threads = 1;
	struct tdm_pool *pool = calloc(1, sizeof *pool + (size_t)(n_threads - 1) * sizeof(pthread_t));
	if (!pool)
		return NULL;
	pthread_mutex_init(&pool->run_lock, NULL);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->wake, NULL);
	pthread_cond_init(&pool->done, NULL);
	pool->n_threads = 1;
	if (!start_threads(pool, n_threads)) {
		tdm_pool_free(pool);
		return NULL;
	}
	return pool;
}

void tdm_pool_free(struct tdm_pool *pool) {
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->is_over, true);
	pthread_cond_broadcast(&pool->wake);
	pthread_mutex_unlock(&pool->lock);
	for (int i = 0; i < pool->n_threads - 1; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->done);
	pthread_cond_destroy(&pool->wake);
	pthread_mutex_destroy(&pool->lock);
	pthread_mutex_destroy(&pool->run_lock);
	free(pool);
}

int tdm_pool_size(const struct tdm_pool *pool) {
	return pool->n_threads;
}

static void await_parts(struct tdm_pool *pool) {
	for (int i = 0; i < N_SPINS; i++) {
		if (atomic_load(&pool->unfinished) == 0)
			return;
		relax();
	}
	// Asleep, the caller would soon find somebody else on its core.
	for (int64_t until_us = tdm_now_us() + YIELD_US; tdm_now_us() < until_us; sched_yield())
		if (atomic_load(&pool->unfinished) == 0)
			return;
	pthread_mutex_lock(&pool->lock);
	atomic_store(&pool->is_waiting, true);
	while (atomic_load(&pool->unfinished) > 0)
		pthread_cond_wait(&pool->done, &pool->lock);
	atomic_store(&pool->is_waiting, false);
	pthread_mutex_unlock(&pool->lock);
}

static void publish(struct tdm_pool *pool, tdm_pool_fn *fn, void *arg, int n_parts) {
	pool->fn = fn;
	pool->arg = arg;
	pool->n_parts = n_parts;
	atomic_store(&pool->unfinished, n_parts);
	atomic_store(&pool->unclaimed, n_parts);
	if (n_parts > 1 && atomic_load(&pool->n_sleeping) > 0) {
		pthread_mutex_lock(&pool->lock);
		pthread_cond_broadcast(&pool->wake);
		pthread_mutex_unlock(&pool->lock);
	}
}

// A wait of more than a few parts' time says that a thread has lost its core.
static void judge_wait(struct tdm_pool *pool, int64_t worked_us, int n_done, int64_t waited_us, int64_t now_us) {
	int64_t part_us = n_done ? worked_us / n_done : worked_us;
	if (waited_us < STALL_US + 3 * part_us)
		return;
	bool is_calm = now_us - pool->stalled_us > CALM_US + waited_us * pool->times_alone;
	int most = waited_us < SLICE_US ? MOST_ALONE : MOST_ALONE_OF_SLICES, twice = 2 * pool->times_alone;
	pool->times_alone = is_calm ? LEAST_ALONE : twice < most ? twice : most;
	pool->alone_until_us = now_us + waited_us * pool->times_alone;
	pool->stalled_us = now_us;
}

void tdm_pool_run(struct tdm_pool *pool, tdm_pool_fn *fn, void *arg, int n_parts) {
	if (n_parts <= 0)
		return;
	pthread_mutex_lock(&pool->run_lock);
	int64_t started_us = tdm_now_us();
	if (started_us < pool->alone_until_us) {
		for (int part = 0; part < n_parts; part++)
			fn(arg, part, n_parts);
	} else {
		publish(pool, fn, arg, n_parts);
		int n_done = work(pool);
		int64_t worked_us = tdm_now_us();
		await_parts(pool);
		int64_t now_us = tdm_now_us();
		judge_wait(pool, worked_us - started_us, n_done, now_us - worked_us, now_us);
	}
	pthread_mutex_unlock(&pool->run_lock);
}
