// The rule kept here: a task is in the queue or begun, never both, and what happens to it happens under the lock.
#include "base/crew.h"
#include "base/loop.h"
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

enum { CREW_MOST = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static struct tdm_task *queue; // newest first: its data are warm
static int n_queued, n_idle, n_threads;
static bool is_over;
static pthread_t threads[CREW_MOST];

// With the lock, which is free while the task runs.
static void run(struct tdm_task *t) {
	t->state = TDM_TASK_BEGUN;
	n_queued--;
	pthread_mutex_unlock(&lock);
	t->fn(t->arg);
	pthread_mutex_lock(&lock);
	t->state = TDM_TASK_DONE;
}

static void *thread_main(void *arg) {
	pthread_mutex_lock(&lock);
	while (!is_over) {
		struct tdm_task *t = queue;
		if (t) {
			queue = t->next;
			run(t);
			pthread_cond_broadcast(&done);
			continue;
		}
		n_idle++;
		pthread_cond_wait(&wake, &lock);
		n_idle--;
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

// With the lock. Signals are for the thread that the program chose for them, so ours block all.
static void hire(void) {
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	n_threads += pthread_create(&threads[n_threads], NULL, thread_main, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void tdm_task_start(struct tdm_task *t) {
	pthread_mutex_lock(&lock);
	t->state = TDM_TASK_QUEUED;
	t->next = queue;
	queue = t;
	n_queued++;
	if (n_idle < n_queued && n_threads < CREW_MOST && !is_over)
		hire();
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&lock);
}

// With the lock: takes the task out of the queue; false when somebody has begun it.
static bool take(struct tdm_task *t) {
	struct tdm_task **at = &queue;
	if (t->state != TDM_TASK_QUEUED)
		return false;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	return true;
}

static void await(const struct tdm_task *t) {
	if (t->state != TDM_TASK_DONE)
		tdm_loop_blocks();
	while (t->state != TDM_TASK_DONE)
		pthread_cond_wait(&done, &lock);
}

void tdm_task_finish(struct tdm_task *t) {
	pthread_mutex_lock(&lock);
	if (take(t))
		run(t);
	await(t);
	pthread_mutex_unlock(&lock);
}

bool tdm_task_cancel(struct tdm_task *t) {
	pthread_mutex_lock(&lock);
	bool is_taken = take(t);
	if (is_taken)
		n_queued--;
	else
		await(t);
	pthread_mutex_unlock(&lock);
	return is_taken;
}

__attribute__((destructor)) static void dismiss(void) {
	pthread_mutex_lock(&lock);
	is_over = true;
	pthread_cond_broadcast(&wake);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
}
