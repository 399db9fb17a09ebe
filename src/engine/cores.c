// Cores: passes of all engines of the process take turns for the cores of the machine.
//
// The rule it protects: in order of arrival, and never more threads in passes than there are cores, because two passes
// that fight for a core are slower than one after the other. An engine of one thread leaves the others to the next.
// lock guards everything here; every engine shares it.
#include "engine/cores.h"
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int n_cores, n_taken;      // n_cores 0: not yet asked for
static uint64_t next_turn, serve; // turns given out; the one that takes next

static int count_cores(void) {
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

int tdm_cores_take(int n_threads) {
	pthread_mutex_lock(&lock);
	if (!n_cores)
		n_cores = count_cores();
	int n = n_threads < n_cores ? n_threads : n_cores;
	uint64_t turn = next_turn++;
	while (turn != serve || n_taken + n > n_cores)
		pthread_cond_wait(&changed, &lock);
	n_taken += n;
	serve++;
	if (next_turn != serve)
		pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return n;
}

void tdm_cores_give(int n) {
	pthread_mutex_lock(&lock);
	n_taken -= n;
	if (next_turn != serve)
		pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}
