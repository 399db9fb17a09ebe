// Gone: see gone.h. The thread sleeps when there has been no call for a while; a call starts or wakes it.
#include "models/remote/gone.h"
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <time.h>

#define IDLE_TICKS 64 // without a call, before it sleeps

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards what follows
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static struct tdm_gone *first;
static bool started, asleep;

static bool is_set(const atomic_bool *flag) {
	return flag && atomic_load_explicit(flag, memory_order_relaxed);
}

static void look_at_all(void) {
	for (struct tdm_gone *g = first; g; g = g->next)
		if (!g->cut && (is_set(g->stops[0]) || is_set(g->stops[1]))) {
			g->cut = true;
			shutdown(g->fd, SHUT_RDWR);
		}
}

static void *look(void *unused) {
	static const struct timespec tick = {.tv_nsec = TDM_GONE_MS * 1000000L};
	for (int idle = 0;;) {
		nanosleep(&tick, NULL);
		pthread_mutex_lock(&lock);
		look_at_all();
		idle = first ? 0 : idle + 1;
		asleep = idle > IDLE_TICKS;
		while (asleep)
			pthread_cond_wait(&wake, &lock);
		pthread_mutex_unlock(&lock);
	}
	return unused;
}

// With the lock held.
static bool start(void) {
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	bool ok = pthread_create(&thread, &attributes, look, NULL) == 0;
	pthread_attr_destroy(&attributes);
	return ok;
}

bool tdm_gone_watch(struct tdm_gone *g) {
	g->cut = false;
	g->before = NULL;
	pthread_mutex_lock(&lock);
	started = started || start();
	if (asleep)
		pthread_cond_signal(&wake);
	asleep = false;
	g->next = first;
	if (first)
		first->before = g;
	first = g;
	bool watched = started;
	pthread_mutex_unlock(&lock);
	return watched;
}

void tdm_gone_forget(struct tdm_gone *g) {
	pthread_mutex_lock(&lock);
	if (g->before)
		g->before->next = g->next;
	else
		first = g->next;
	if (g->next)
		g->next->before = g->before;
	pthread_mutex_unlock(&lock);
}
